//! Training against PyTorch (python/tests/torch_encoder.py), against what runs afterwards, and against itself.

use std::collections::BTreeMap;

use kernels::Convolution;

use super::*;
use crate::vision::{Preset, Weights, load, transposed};

const SIZE: [usize; 2] = [21, 13];
const N: usize = 12;

#[derive(serde::Deserialize)]
struct Probe {
    at: Vec<usize>,
    values: Vec<f32>,
    mean: f64,
}

#[derive(serde::Deserialize)]
struct Values {
    outputs: usize,
    losses: Vec<f64>,
    before: Vec<f32>,
    after: Vec<f32>,
    gradients: Vec<Probe>,
    weights: Vec<Probe>,
}

/// Values in [-1, 1) that depend on a name and an index, by the formula of the script.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let mut first = u32::MAX; // CRC-32 of the name
    for byte in name.bytes() {
        first ^= u32::from(byte);
        (0..8).for_each(|_| first = (first >> 1) ^ (0xedb8_8320 & (first & 1).wrapping_neg()));
    }
    let number = |i: usize| {
        let mut x = (i as u32).wrapping_add(!first);
        for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        ((x ^ (x >> 16)) >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

fn recorded_frames(frames: Vec<u8>, size: [usize; 2], actions: Vec<f32>, n_act: usize) -> RecordedFrames {
    let n = actions.len() / n_act;
    let preset = Preset { size: crate::vision::Size::Own, normalize: true };
    RecordedFrames {
        preset,
        size,
        cameras: 1,
        frames,
        n_act,
        actions,
        ends: vec![n / 2, n],
        margins: vec![0; 2],
    }
}

/// A run with the frames and weights of the script's formula.
fn of_script(objective: Objective) -> Run {
    let bytes = uniform("frames", N * SIZE[0] * SIZE[1] * 3).into_iter().map(|v| ((v + 1.0) * 127.5) as u8);
    let data = recorded_frames(bytes.collect(), SIZE, uniform("actions", N * 2), 2);
    let settings = EncoderSettings {
        objective,
        width: 5,
        batch: 18,
        validation_fraction: 0.0,
        ..EncoderSettings::default()
    };
    let mut run = Run::new(data, settings).unwrap();
    let inputs = [27, 32 * 9, 32 * 9, 64 * 9, 64 * 2, 5, 128];
    let outputs = [32, 32, 64, 64, 5, 128, run.net.outputs];
    for (k, layer) in run.net.layers.iter_mut().enumerate() {
        let scale = (6.0 / inputs[k] as f64).sqrt() as f32;
        let mut weights = uniform(&format!("weight{k}"), outputs[k] * inputs[k]);
        weights.iter_mut().for_each(|w| *w *= scale);
        if k == 0 {
            weights = transposed(&weights, 3, 9);
        }
        let mut bias: Vec<f32> = uniform(&format!("bias{k}"), outputs[k]).iter().map(|b| b * 0.1).collect();
        let shape = layer.shape();
        let row = shape.from * shape.kernel[0] * shape.kernel[1];
        let mut filled = vec![0.0; shape.to * row];
        for (to, from) in filled.chunks_exact_mut(row).zip(weights.chunks_exact(inputs[k])) {
            to[..inputs[k]].copy_from_slice(from);
        }
        bias.resize(shape.to, 0.0);
        *layer = Convolution::new(shape, &filled, &bias);
    }
    run.net.update_backward();
    run
}

/// The weights and the bias of layer `k` in PyTorch's order, without padding, which must be zero.
fn unpadded(run: &Run, k: usize, weights: &[f32], bias: &[f32]) -> [Vec<f32>; 2] {
    let outputs = [32, 32, 64, 64, 5, 128, run.net.outputs][k];
    let row = [27, 288, 288, 576, 128, 5, 128][k];
    let weights = if k == 0 { transposed(weights, 9, 3) } else { weights.to_vec() };
    let full = weights.len() / bias.len();
    let rows = weights.chunks_exact(full).take(outputs).flat_map(|w| w[..row].to_vec());
    let padding = weights.chunks_exact(full).enumerate();
    let padding = padding.flat_map(|(i, w)| if i < outputs { &w[row..] } else { w });
    assert!(padding.chain(&bias[outputs..]).all(|&v| v == 0.0), "the padding of layer {k} is not zero");
    [rows.collect(), bias[..outputs].to_vec()]
}

fn near(found: &[f32], probe: &Probe, scale: f64, what: &str) {
    let mean = found.iter().map(|v| f64::from(v.abs())).sum::<f64>() / found.len() as f64;
    assert!((mean - probe.mean).abs() < 1e-4 * scale, "{what}: a mean of {mean}, not {}", probe.mean);
    for (&at, &value) in probe.at.iter().zip(&probe.values) {
        let error = f64::from((found[at] - value).abs());
        assert!(error < 2e-4 * scale, "{what} at {at}: {} is not {value}", found[at]);
    }
}

fn embeddings(run: &Run) -> Vec<f32> {
    let groups = run.map_groups(&(0..N).collect::<Vec<_>>(), |workspace, rows| {
        workspace
            .embed(&run.net, &run.data, rows)
            .chunks_exact(32)
            .flat_map(|row| row[..5].to_vec())
            .collect()
    });
    groups.into_iter().flat_map(|v: Vec<f32>| v).collect()
}

#[test]
fn gradients_and_steps_of_adam_are_those_of_pytorch() {
    let text = include_str!("torch_encoder.json");
    let values: BTreeMap<String, Values> = serde_json::from_str(text).unwrap();
    for (objective, name) in [(Objective::Action, "action"), (Objective::Reconstruction, "reconstruction")] {
        let expected = &values[name];
        let mut run = of_script(objective);
        assert_eq!(run.net.outputs, expected.outputs);
        let close = |found: &[f32], expected: &[f32], tolerance: f32| {
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                found.len() == expected.len() && worst < tolerance,
                "{name}: embeddings differ by {worst}"
            );
        };
        close(&embeddings(&run), &expected.before, 2e-5);
        for (step, &loss) in expected.losses.iter().enumerate() {
            let s = step as isize;
            let row = |k: isize| (((5 * s + 3 * k) % 12) as usize, [(s + k) % 5 - 2, (s + 2 * k) % 3 - 1]);
            let found = run.train_on(&(0..18).map(row).collect::<Vec<_>>(), 2e-3);
            assert!((found / loss - 1.0).abs() < 2e-4, "{name}, step {step}: a loss of {found}, not {loss}");
            if step == 0 {
                for (k, gradient) in run.gradients[0].iter().enumerate() {
                    let mut layer = run.net.layers[k].clone();
                    layer.parameters_mut()[0].copy_from_slice(&gradient.weights);
                    let arrays = unpadded(&run, k, &layer.weights(), &gradient.bias);
                    for (i, found) in arrays.iter().enumerate() {
                        let probe = &expected.gradients[2 * k + i];
                        near(found, probe, probe.mean, &format!("{name}: gradient {i} of layer {k}"));
                    }
                }
            }
        }
        for (k, layer) in run.net.layers.iter().enumerate() {
            for (i, found) in unpadded(&run, k, &layer.weights(), layer.bias()).iter().enumerate() {
                near(found, &expected.weights[2 * k + i], 1.0, &format!("{name}: array {i} of layer {k}"));
            }
        }
        close(&embeddings(&run), &expected.after, 2e-3);
    }
}

/// Frames of a disc at a random position on a noisy background, whose action is the position; two episodes.
fn discs(n: usize, side: usize) -> RecordedFrames {
    let mut rng = Seed(3).rng();
    let (mut frames, mut actions) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let position = [rng.between(-0.8, 0.8), rng.between(-0.8, 0.8)];
        let center = position.map(|v| (v + 1.0) / 2.0 * side as f64);
        for y in 0..side {
            for x in 0..side {
                let distance = (x as f64 - center[0]).hypot(y as f64 - center[1]);
                let disc = if distance < side as f64 / 8.0 { 150.0 } else { 20.0 };
                frames.extend((0..3).map(|_| (disc + rng.between(0.0, 40.0)) as u8));
            }
        }
        actions.extend(position.map(|v| v as f32));
    }
    recorded_frames(frames, [side; 2], actions, 2)
}

fn settings(steps: u64) -> EncoderSettings {
    EncoderSettings { steps, width: 10, batch: 32, validation_fraction: 0.0, ..EncoderSettings::default() }
}

fn trained(data: RecordedFrames, settings: EncoderSettings) -> (Run, f32) {
    let mut run = Run::new(data, settings).unwrap();
    let mut last = 0.0;
    while let Some(stepped) = run.step() {
        last = stepped.loss;
    }
    (run, last)
}

#[test]
fn training_overfits_a_few_frames() {
    let (run, last) = trained(discs(64, 24), settings(300));
    assert!(last < 1e-3, "a loss of {last}");
    assert!(run.validate().is_none(), "there are no validation episodes");
}

#[test]
fn validation_loss_is_far_below_the_constant_prediction() {
    let (run, _) = trained(discs(600, 24), EncoderSettings { validation_fraction: 0.5, ..settings(200) });
    let validation = run.validate().unwrap();
    assert!(validation.frames == 300 && validation.loss < 0.1 * validation.baseline_loss, "{validation:?}");
}

#[test]
fn the_written_encoder_gives_the_standardized_embeddings_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    let (run, _) = trained(discs(70, 24), settings(5));
    let (fingerprint, constant) = run.write(&path).unwrap();
    assert_eq!(constant, [0; 0]);
    let (network, found) = load(&Weights::File(path), None, &mut |_, _| ()).unwrap();
    assert_eq!(found.weights, fingerprint);
    let info = found.encoder.unwrap();
    assert_eq!((info.network, info.preset, info.training.steps), (network.design(), run.data.preset, 5));
    assert_eq!(info.training.data, run.data.fingerprint());
    let (n, pixels) = (70, run.data.frames.iter().map(|&v| f32::from(v)).collect());
    let frames = crate::vision::Frames { size: [24, 24], pixels, full: 255.0, bytes: true };
    let (mut input, mut out) = (Vec::new(), vec![0.0; n * 10]);
    info.preset.apply(&frames, 0..n, &mut input);
    network.embed(&input, [24, 24], &mut out);
    let before: Vec<f32> = (run.map_groups(&(0..n).collect::<Vec<_>>(), |workspace, rows| {
        workspace.embed(&run.net, &run.data, rows).chunks_exact(32).flat_map(|v| v[..10].to_vec()).collect()
    }))
    .into_iter()
    .flat_map(|v: Vec<f32>| v)
    .collect();
    for i in 0..10 {
        let column = |values: &[f32]| values.iter().skip(i).step_by(10).map(|&v| f64::from(v)).collect();
        let (before, after): (Vec<f64>, Vec<f64>) = (column(&before), column(&out));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
        let std = |values: &[f64]| {
            (values.iter().map(|v| (v - mean(values)).powi(2)).sum::<f64>() / n as f64).sqrt()
        };
        assert!(mean(&after).abs() < 1e-4 && (std(&after) - 1.0).abs() < 1e-4, "dimension {i}");
        for (a, b) in before.iter().zip(&after) {
            let scaled = (a - mean(&before)) / std(&before);
            assert!((scaled - b).abs() < 1e-4, "dimension {i}: {b} is not {scaled}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_files_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let file = |threads, seed, augment| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let settings = EncoderSettings { seed: Seed(seed), augment, batch: 40, ..settings(4) };
            let (run, _) = trained(discs(50, 16), settings);
            let path = folder.path().join("encoder");
            run.write(&path).unwrap();
            std::fs::read(path).unwrap()
        })
    };
    let one = file(1, 7, 2);
    assert!(one == file(3, 7, 2) && one == file(2, 7, 2));
    assert!(one != file(1, 8, 2) && one != file(1, 7, 0));
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [part, path] = ["part", "encoder"].map(|name| folder.path().join(name));
    let new = |seed| {
        let settings = EncoderSettings { augment: 1, seed: Seed(seed), ..settings(6) };
        Run::new(discs(50, 16), settings).unwrap()
    };
    let finished = |mut run: Run| {
        while run.step().is_some() {}
        run.write(&path).unwrap();
        std::fs::read(&path).unwrap()
    };
    let mut run = new(1);
    (0..4).for_each(|_| assert!(run.step().is_some()));
    run.save(&part).unwrap();
    let mut again = new(1);
    again.resume(&part).unwrap();
    assert_eq!(again.steps_taken(), 4);
    let whole = finished(new(1));
    assert!(whole == finished(again) && whole == finished(run));
    // The same checkpoint as version 1 wrote it.
    let bytes = std::fs::read(&part).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut first = String::from_utf8(bytes[8..header].to_vec()).unwrap();
    for (name, old) in [
        ("validation_fraction", "check_on"),
        ("normalized", "normalised"),
        (r#"version\\\":2"#, r#"version\\\":1"#),
    ] {
        assert!(first.contains(name), "{name} in {first}");
        first = first.replace(name, old);
    }
    let old = folder.path().join("old");
    std::fs::write(&old, [&(first.len() as u64).to_le_bytes(), first.as_bytes(), &bytes[header..]].concat())
        .unwrap();
    let mut again = new(1);
    again.resume(&old).unwrap();
    assert!(whole == finished(again));
    let message = new(2).resume(&part).unwrap_err().to_string();
    assert!(message.contains("something else") && message.contains("\"seed\":2"), "{message}");
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() - 4]).unwrap();
    assert!(new(1).resume(&part).unwrap_err().to_string().contains("cut short"));
}

#[test]
fn validation_episodes_are_those_of_policy_training() {
    use crate::data::{ActionRange, Demonstrations, Parts};
    let ends: Vec<usize> = (1..=23).map(|k| k * k).collect();
    let n = 23 * 23;
    let pixels = (0..n).flat_map(|i| [i as u8, (i >> 8) as u8, 0]).collect(); // a frame for each row
    let data = RecordedFrames {
        cameras: 1,
        ends: ends.clone(),
        margins: vec![0; 23],
        ..recorded_frames(pixels, [1, 1], vec![0.0; n], 1)
    };
    let states = (0..n).map(|i| i as f32).collect(); // a state is its own row
    let parts = Parts { n_obs: 1, n_act: 1, states, actions: vec![0.0; n], rewards: None, ends };
    let demonstrations = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    for (fraction, seed) in [(0.1, 0), (0.1, 1), (0.5, 0), (0.01, 3), (0.0, 0)] {
        let [training, validation] = data.split(fraction, Seed(seed));
        let (train_data, validation_data) = demonstrations.split(fraction, Seed(seed));
        let rows = |data: &Demonstrations| data.states().iter().map(|&v| v as usize).collect::<Vec<_>>();
        let expected = (rows(&train_data), validation_data.as_ref().map(rows).unwrap_or_default());
        assert_eq!((training, validation), expected);
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |side, change: fn(&mut EncoderSettings), part: &str| {
        let mut settings = settings(1);
        change(&mut settings);
        let message = Run::new(discs(4, side), settings).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(16, |s| s.width = 0, "1 to 1024");
    refused(16, |s| s.width = 1025, "1 to 1024");
    refused(16, |s| s.steps = 0, "1 or more");
    refused(16, |s| s.batch = 0, "1 to 65,536");
    refused(16, |s| s.lr = f64::NAN, "above 0");
    refused(16, |s| s.validation_fraction = 1.0, "below 1");
    refused(16, |s| s.augment = 9, "half a side, 8 pixels");
    refused(7, |_| (), "sides of 8 to 256");
}
