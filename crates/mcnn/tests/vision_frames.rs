//! Presets against PIL's and torchvision's values (python/tests/frame_values.py).

use mcnn::vision::{Frames, Preset, Size};
use serde::Deserialize;

#[derive(Deserialize)]
struct Values {
    resized: Vec<Resized>,
    published: Vec<Published>,
}

#[derive(Deserialize)]
struct Resized {
    size: [usize; 2],
    frame: Vec<f32>,
    to: [usize; 2],
    bytes: Vec<f32>,
    floats: Vec<f32>,
}

#[derive(Deserialize)]
struct Published {
    size: [usize; 2],
    frame: Vec<f32>,
    at: Vec<usize>,
    values: Vec<f32>,
}

fn values() -> Values {
    serde_json::from_str(include_str!("vision/frame_values.json")).unwrap()
}

fn bytes(size: [usize; 2], pixels: &[f32]) -> Frames {
    Frames { size, pixels: pixels.to_vec(), full: 255.0, bytes: true }
}

#[test]
fn bytes_are_resized_to_the_bytes_of_pil_and_floats_to_the_floats_of_torchvision() {
    for case in values().resized {
        let preset = Preset { size: Size::Exact(case.to), normalize: false };
        let mut out = vec![9.0];
        assert_eq!(preset.apply(&bytes(case.size, &case.frame), 0..1, &mut out), case.to);
        let found: Vec<f32> = out[1..].iter().map(|v| v * 255.0).collect();
        assert_eq!(found.len(), case.bytes.len());
        // PIL takes the rows of the first case before its columns, and rounds between.
        let allowed = if case.size == [7, 5] { 1.001 } else { 1e-3 };
        for (found, expected) in found.iter().zip(&case.bytes) {
            assert!(
                (found - expected).abs() < allowed,
                "{:?} to {:?}: {found}, not {expected}",
                case.size,
                case.to
            );
        }
        let floats = case.frame.iter().map(|v| v / 255.0).collect();
        let floats = Frames { size: case.size, pixels: floats, full: 1.0, bytes: false };
        out.clear();
        preset.apply(&floats, 0..1, &mut out);
        for (found, expected) in out.iter().zip(&case.floats) {
            assert!(
                (found - expected).abs() < 2e-6,
                "{:?} to {:?}: {found}, not {expected}",
                case.size,
                case.to
            );
        }
    }
}

#[test]
fn torchvisions_preset_is_torchvisions() {
    for case in values().published {
        let mut out = Vec::new();
        let preset: Preset = "torchvision".parse().unwrap();
        assert_eq!(preset.apply(&bytes(case.size, &case.frame), 0..1, &mut out), [224, 224]);
        assert_eq!(out.len(), 224 * 224 * 3);
        for (&at, expected) in case.at.iter().zip(&case.values) {
            assert!(
                (out[at] - expected).abs() < 1e-5,
                "{:?} at {at}: {}, not {expected}",
                case.size,
                out[at]
            );
        }
    }
}

#[test]
fn at_their_own_size_frames_are_scaled_and_normalized_and_nothing_else() {
    let frames = bytes([1, 2], &[0.0, 51.0, 255.0, 255.0, 0.0, 102.0]);
    let with = |text: &str| {
        let mut out = Vec::new();
        text.parse::<Preset>().unwrap().apply(&frames, 0..1, &mut out);
        out
    };
    assert_eq!(with("raw"), [0.0, 0.2, 1.0, 1.0, 0.0, 0.4]);
    assert_eq!(with("raw:1x2"), with("raw"));
    let normalized = with("normalized");
    for (at, expected) in [(0, -0.485 / 0.229), (1, (0.2 - 0.456) / 0.224), (2, (1.0 - 0.406) / 0.225)] {
        assert!((normalized[at] - expected).abs() < 1e-6, "{normalized:?}");
    }
}

#[test]
fn presets_are_text() {
    for text in ["raw", "normalized", "raw:48x64", "normalized:1x4096", "torchvision"] {
        assert_eq!(text.parse::<Preset>().unwrap().to_string(), text);
    }
    for text in ["", "raws", "raw:", "raw:48", "raw:0x4", "raw:5000x4", "torchvision:4x4", "raw:4x4x4"] {
        assert!(text.parse::<Preset>().is_err(), "{text}");
    }
}
