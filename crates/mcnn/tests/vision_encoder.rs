//! The small network as it runs, and its file: which is taken, and which is refused.

use std::{fs, path::PathBuf};

use kernels::{Shape, oracle::convolve};
use mcnn::vision::{Conv, Design, EncoderInfo, Encoding, Objective, Training, Weights, load, write_encoder};

fn random_values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = mcnn::seed::Seed(seed).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

fn arrays(conv: Conv) -> Vec<Vec<f32>> {
    let of = |(i, (_, shape)): (usize, (String, Vec<usize>))| {
        let scale = (2.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
        random_values(shape.iter().product(), i as u64).into_iter().map(|v| v * scale).collect()
    };
    conv.tensors().into_iter().enumerate().map(of).collect()
}

fn info(conv: Conv) -> EncoderInfo {
    let training = Training {
        objective: Objective::Action,
        steps: 1,
        batch: 2,
        lr: 1e-3,
        augment: 0,
        validation_fraction: 0.0,
        seed: 3,
        data: "none".into(),
    };
    EncoderInfo { network: Design::Conv(conv), preset: "raw".parse().unwrap(), training }
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn file(&self, conv: Conv, arrays: &[Vec<f32>]) -> PathBuf {
        let path = self.0.path().join("encoder.safetensors");
        write_encoder(&path, conv, &info(conv), arrays).unwrap();
        path
    }
}

fn bench() -> Bench {
    Bench(tempfile::tempdir().unwrap())
}

/// The same sums one by one, frames as `[height, width, 3]`.
fn slowly(conv: Conv, arrays: &[Vec<f32>], frame: &[f32]) -> Vec<f64> {
    let (mut size, mut here, mut from) = (conv.frame(), frame.to_vec(), 3);
    for (k, to) in Conv::CHANNELS.into_iter().enumerate() {
        let shape = Shape { from, to, kernel: [3; 2], stride: [2; 2], pad: [1; 2] };
        let out = convolve(shape, &arrays[2 * k], &arrays[2 * k + 1], &here, size, 1);
        here = out.into_iter().map(|v| v.max(0.0) as f32).collect();
        (size, from) = (shape.output(size), to);
    }
    let shape = Shape { from, to: conv.width(), kernel: size, stride: [1; 2], pad: [0; 2] };
    convolve(shape, &arrays[8], &arrays[9], &here, size, 1)
}

#[test]
fn an_embedding_is_what_the_sums_say_in_any_company() {
    let bench = bench();
    for (size, width) in [([48, 48], 64), ([9, 31], 5), ([96, 17], 33)] {
        let conv = Conv::new(size, width).unwrap();
        let arrays = arrays(conv);
        let (network, found) = load(&Weights::File(bench.file(conv, &arrays)), None, &mut |_, _| ()).unwrap();
        assert_eq!((network.design(), network.width()), (Design::Conv(conv), width));
        assert_eq!(found.encoder, Some(info(conv)));
        let (n, each) = (70, size[0] * size[1] * 3);
        let frames = random_values(n * each, 9);
        let mut together = vec![f32::NAN; n * width];
        network.embed(&frames, size, &mut together);
        let expected = slowly(conv, &arrays, &frames[..each]);
        for (found, expected) in together.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} is not {expected}");
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut again = vec![f32::NAN; n * width];
            pool.install(|| network.embed(&frames, size, &mut again));
            assert_eq!(together, again);
        }
        for (frame, expected) in frames.chunks_exact(each).zip(together.chunks_exact(width)).take(9) {
            let mut alone = vec![f32::NAN; width];
            network.embed(frame, size, &mut alone);
            assert_eq!(alone, expected);
        }
    }
}

#[test]
fn a_network_is_one_text_and_the_residual_ones_are_the_same_text_as_ever() {
    let conv: Design = "conv:48x40:64".parse().unwrap();
    assert_eq!(conv, Design::Conv(Conv::new([48, 40], 64).unwrap()));
    let encoding =
        |network: &str| format!("{{\"network\":\"{network}\",\"weights\":\"0\",\"preset\":\"raw\"}}");
    for network in ["resnet18", "resnet34", "resnet50", "conv:48x40:64"] {
        let read: Encoding = serde_json::from_str(&encoding(network)).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), encoding(network));
    }
    for network in
        ["resnet19", "conv", "conv:48x48", "conv:48x48:0", "conv:7x48:64", "conv:48x257:64", "conv:1x:2"]
    {
        assert!(serde_json::from_str::<Encoding>(&encoding(network)).is_err(), "{network}");
    }
}

#[test]
fn other_files_are_refused() {
    let bench = bench();
    let conv = Conv::new([16, 16], 8).unwrap();
    let whole = fs::read(bench.file(conv, &arrays(conv))).unwrap();
    let path = bench.0.path().join("other");
    let refused = |bytes: &[u8], network: Option<&str>, parts: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let network = network.map(|text| text.parse().unwrap());
        let message =
            load(&Weights::File(path.clone()), network, &mut |_, _| ()).expect_err("refused").to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in\n{message}");
        }
    };
    refused(&whole, Some("resnet34"), &["an encoder, conv:16x16:8", "leave --network out"]);
    refused(&whole, Some("conv:16x16:9"), &["an encoder, conv:16x16:8"]);
    refused(&whole[..whole.len() - 1], None, &["damaged or cut short"]);
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&nan, None, &["NaN"]);
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    refused(&replaced("encoder", "polices"), None, &["no encoder", "polices"]);
    refused(&replaced("version\\\":1", "version\\\":2"), None, &["version 2"]);
    refused(&replaced("conv:16x16:8", "conv:16x16:9"), None, &["another shape", "linear.weight"]);
    refused(&replaced("\\\"raw\\\"", "\\\"paw\\\""), None, &["cannot be read", "preset"]);
    // A network's tensors without the text are weights like any other's, of a network that has to be named.
    let plain = replaced("{\"mcnn\"", "{\"mine\"");
    refused(&plain, None, &["resnet34"]);
    fs::write(&path, plain).unwrap();
    let named = load(&Weights::File(path), Some(Design::Conv(conv)), &mut |_, _| ()).unwrap();
    assert!(named.1.encoder.is_none() && named.0.design() == Design::Conv(conv));
}
