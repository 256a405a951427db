//! Residual networks against PyTorch's values (python/tests/torch_resnet.py), layer by layer.

use std::collections::BTreeMap;

use mcnn::vision::{Network, ResNet};
use serde::Deserialize;

#[derive(Deserialize)]
struct Values {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    network: ResNet,
    frames: [usize; 3], // images, height, width
    layers: BTreeMap<String, Probe>,
    output: Vec<f32>,
}

#[derive(Deserialize)]
struct Probe {
    size: [usize; 2],
    mean: f64,
    at: Vec<usize>,
    values: Vec<f32>,
}

/// The CRC-32 of zip files, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Values in [-1, 1) that depend on a name and an index, by the formula of the script.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let first = crc32(name.as_bytes());
    let number = |i: usize| {
        let mut x = (i as u32).wrapping_add(first);
        for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        ((x ^ (x >> 16)) >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let scale = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
    let of = |v: f32| match shape.len() {
        4 => v * scale,
        _ if name.ends_with("running_var") => 1.0 + 0.5 * v,
        _ if name.ends_with("running_mean") || name.ends_with("bias") => 0.1 * v,
        _ => 0.7 + 0.2 * v,
    };
    uniform(name, shape.iter().product()).into_iter().map(of).collect()
}

fn network(resnet: ResNet) -> Network {
    Network::new(resnet.into(), |name, shape| Ok(tensor(name, shape))).unwrap()
}

#[test]
fn every_layer_gives_what_pytorch_gives() {
    let values: Values = serde_json::from_str(include_str!("vision/resnet_values.json")).unwrap();
    for case in &values.cases {
        let [n, height, width] = case.frames;
        let frames = uniform("frames", n * height * width * 3);
        let net = network(case.network);
        let mut output = vec![0.0; n * case.network.width()];
        let (mut seen, mut worst) = (0, 0.0_f32);
        net.embed_with_hook(&frames, [height, width], &mut output, &mut |name, size, images, values| {
            let probe = &case.layers[name];
            assert_eq!((size, images), (probe.size, n), "{name}");
            let mean = values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len() as f64;
            assert!(
                (mean - probe.mean).abs() < 1e-4,
                "{} {name}: {mean} is not {}",
                case.network,
                probe.mean
            );
            for (&at, &value) in probe.at.iter().zip(&probe.values) {
                worst = worst.max((values[at] - value).abs());
                assert!((values[at] - value).abs() < 1e-4, "{} {name} at {at}", case.network);
            }
            seen += 1;
        });
        assert_eq!(seen, case.layers.len());
        assert_eq!(output.len(), case.output.len());
        for (i, (found, expected)) in output.iter().zip(&case.output).enumerate() {
            worst = worst.max((found - expected).abs());
            assert!(
                (found - expected).abs() < 1e-4,
                "{} output {i}: {found} is not {expected}",
                case.network
            );
        }
        println!("{} {:?}: largest difference {worst:e}", case.network, case.frames);
    }
}

#[test]
fn an_embedding_does_not_depend_on_the_frames_beside_it() {
    let net = network(ResNet::ResNet18);
    for (n, size) in [(70, [16, 16]), (3, [40, 24])] {
        let each = size[0] * size[1] * 3;
        let frames = uniform("many", n * each);
        let mut together = vec![0.0; n * 512];
        net.embed(&frames, size, &mut together);
        let mut again = vec![1.0; n * 512];
        net.embed(&frames, size, &mut again);
        assert_eq!(together, again);
        for (frame, expected) in frames.chunks_exact(each).zip(together.chunks_exact(512)) {
            let mut alone = vec![0.0; 512];
            net.embed(frame, size, &mut alone);
            assert_eq!(alone, expected);
        }
    }
}

#[test]
fn frames_of_any_size_pass() {
    let net = network(ResNet::ResNet18);
    for size in [[1, 1], [2, 1], [7, 9], [31, 2]] {
        let mut out = vec![f32::NAN; 512];
        net.embed(&uniform("small", size[0] * size[1] * 3), size, &mut out);
        assert!(out.iter().all(|v| v.is_finite()), "{size:?}");
    }
    net.embed(&[], [48, 48], &mut []);
}

#[test]
fn folded_weights_are_the_tensors_times_the_scale_of_their_normalization() {
    let folded = network(ResNet::ResNet50).folded().unwrap();
    assert_eq!(folded.blocks.len(), 16);
    let block = &folded.blocks[3];
    for (layer, conv, norm, [from, to, kernel, stride]) in [
        (&folded.stem, "conv1", "bn1", [3, 64, 7, 2]),
        (&block.layers[1], "layer2.0.conv2", "layer2.0.bn2", [128, 128, 3, 2]),
        (
            block.shortcut.as_ref().unwrap(),
            "layer2.0.downsample.0",
            "layer2.0.downsample.1",
            [256, 512, 1, 2],
        ),
    ] {
        assert_eq!([layer.from, layer.to, layer.kernel, layer.stride], [from, to, kernel, stride]);
        let weights = tensor(&format!("{conv}.weight"), &[to, from, kernel, kernel]);
        let of_norm = |part: &str| tensor(&format!("{norm}.{part}"), &[to]);
        let [gamma, beta] = ["weight", "bias"].map(of_norm);
        let [mean, variance] = ["running_mean", "running_var"].map(of_norm);
        assert_eq!((layer.weights.len(), layer.bias.len()), (weights.len(), to));
        for (i, (found, weight)) in layer.weights.iter().zip(&weights).enumerate() {
            let out = i / (from * kernel * kernel);
            let expected = weight * gamma[out] / (variance[out] + 1e-5).sqrt();
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{conv} {i}: {found}, {expected}");
        }
        for (i, found) in layer.bias.iter().enumerate() {
            let expected = beta[i] - mean[i] * gamma[i] / (variance[i] + 1e-5).sqrt();
            assert!((found - expected).abs() < 1e-6, "{conv} bias {i}: {found}, {expected}");
        }
    }
    let small =
        Network::new("conv:16x16:8".parse().unwrap(), |_, shape| Ok(vec![0.0; shape.iter().product()]));
    assert!(small.unwrap().folded().is_none());
}
