//! Residual networks on the best adapter of this machine: a convolution against its definition by plain loops in f64, networks against the
//! processor. Skipped, with the reason printed, where there is no adapter.

use mcnn::{
    seed::Seed,
    vision::{BatchEmbed as _, Conv, FoldedConvolution, Network, ResNet},
};
use mcnn_gpu::{Embedder, GpuNetwork};

/// The unit roundoff of WGSL, which leaves the direction of rounding open.
const UNIT: f64 = 1.0 / (1 << 23) as f64;

/// A GPU, or `None` with the reason printed.
fn embedder() -> Option<Embedder> {
    Embedder::open().inspect_err(|e| eprintln!("skipped: {e}")).ok()
}

/// Values in [-1, 1).
fn uniform(count: usize, seed: &str) -> Vec<f32> {
    let mut rng = Seed(7).fork(seed).rng();
    (0..count).map(|_| 2.0 * rng.uniform() as f32 - 1.0).collect()
}

/// Random weights, with statistics of batch normalization that are not those of the identity.
fn network(resnet: ResNet) -> Network {
    let tensor = |name: &str, shape: &[usize]| {
        let values = uniform(shape.iter().product(), name);
        let scale = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
        let of = |v: f32| match shape.len() {
            4 => v * scale,
            _ if name.ends_with("running_var") => 1.0 + 0.5 * v,
            _ if name.ends_with("running_mean") || name.ends_with("bias") => 0.1 * v,
            _ => 0.7 + 0.2 * v,
        };
        Ok(values.into_iter().map(of).collect())
    };
    Network::new(resnet.into(), tensor).unwrap()
}

/// The definition of a convolution: each output with the sum of the magnitudes of its terms.
fn convolution(
    layer: &FoldedConvolution,
    input: &[f32],
    [height, width]: [usize; 2],
    added: Option<&[f32]>,
) -> Vec<(f64, f64)> {
    let FoldedConvolution { from, to, kernel, stride, .. } = *layer;
    let padding = kernel / 2;
    let [out_height, out_width] = [height, width].map(|side| (side + 2 * padding - kernel) / stride + 1);
    let mut output = Vec::new();
    for image in input.chunks_exact(height * width * from) {
        for place in 0..out_height * out_width * to {
            let (y, x, out) = (place / to / out_width, place / to % out_width, place % to);
            let mut terms = vec![f64::from(layer.bias[out])];
            terms.extend(added.map(|added| f64::from(added[output.len()])));
            for tap in 0..kernel * kernel {
                let (ky, kx) = (tap / kernel, tap % kernel);
                let (iy, ix) = (y * stride + ky, x * stride + kx);
                if iy < padding || ix < padding || iy - padding >= height || ix - padding >= width {
                    continue;
                }
                let pixel = (iy - padding) * width + ix - padding;
                for c in 0..from {
                    let weight = layer.weights[(out * from + c) * kernel * kernel + tap];
                    terms.push(f64::from(weight) * f64::from(image[pixel * from + c]));
                }
            }
            output.push((terms.iter().sum(), terms.iter().map(|v| v.abs()).sum()));
        }
    }
    output
}

/// Images, height, width, input and output channels, kernel, stride: sizes beside those of the tiles, kernels wider than the image, strides
/// that leave pixels out.
const SHAPES: [[usize; 7]; 12] = [
    [1, 1, 1, 1, 4, 1, 1],
    [1, 1, 1, 3, 64, 7, 2],
    [2, 3, 2, 5, 8, 7, 1],
    [3, 5, 7, 3, 64, 7, 2],
    [1, 16, 8, 16, 64, 3, 1],
    [2, 13, 5, 17, 68, 3, 2],
    [1, 9, 10, 64, 132, 1, 2],
    [2, 8, 9, 4, 60, 1, 1],
    [1, 11, 6, 6, 4, 5, 3],
    [1, 2, 9, 7, 12, 3, 4],
    [129, 1, 1, 33, 64, 3, 1],
    [1, 1, 130, 2, 4, 3, 1],
];

#[test]
fn a_convolution_is_its_definition_within_rounding() {
    let Some(gpu) = embedder() else { return };
    for [n, height, width, from, to, kernel, stride] in SHAPES {
        let layer = FoldedConvolution {
            from,
            to,
            kernel,
            stride,
            weights: uniform(to * from * kernel * kernel, "weights"),
            bias: uniform(to, "bias"),
        };
        let (input, size) = (uniform(n * height * width * from, "input"), [height, width]);
        let more = uniform(n * height.div_ceil(stride) * width.div_ceil(stride) * to, "added");
        for (added, relu) in [(None, false), (Some(&more[..]), false), (Some(&more[..]), true)] {
            let found = gpu.convolve(&layer, &input, size, added, relu).unwrap();
            let expected = convolution(&layer, &input, size, added);
            assert_eq!(found.len(), expected.len());
            // Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: every term is rounded once for each addition after it,
            // and a product once more.
            let roundings = (kernel * kernel * from + 3) as f64 * UNIT;
            let bound = roundings / (1.0 - roundings);
            for (i, (found, (value, magnitude))) in found.iter().zip(expected).enumerate() {
                let value = if relu { value.max(0.0) } else { value };
                assert!(
                    (f64::from(*found) - value).abs() <= bound * magnitude,
                    "{:?}, added {}, ReLU {relu}, at {i}: {found} is not {value}",
                    [n, height, width, from, to, kernel, stride],
                    added.is_some()
                );
            }
        }
    }
}

/// The embeddings of both, and the largest difference of two embeddings in relation to the length of one.
fn compare(on_cpu: &Network, on_gpu: &GpuNetwork, n: usize, size: [usize; 2]) -> (Vec<f32>, f64) {
    let frames = uniform(n * size[0] * size[1] * 3, "frames");
    let width = on_cpu.width();
    let (mut expected, mut found) = (vec![f32::NAN; n * width], vec![f32::NAN; n * width]);
    on_cpu.embed(&frames, size, &mut expected);
    on_gpu.embed_batch(&frames, size, &mut found).unwrap();
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let relative = |(found, expected): (&[f32], &[f32])| {
        let both = || found.iter().zip(expected).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        norm(&mut both().map(|(a, b)| a - b)) / norm(&mut both().map(|(_, b)| b))
    };
    let worst = found.chunks_exact(width).zip(expected.chunks_exact(width)).map(relative).fold(0.0, f64::max);
    (found, worst)
}

/// A tolerance for the difference of two embeddings, in relation to the length of one. Each layer rounds sums of up to `terms` products. Roundings that
/// are independent with mean zero add up to the square root of their number, times the unit (Higham and Mary, 2019), and a layer passes a
/// relative error on as it is. Both devices round, and the norms of their errors add up at worst.
fn tolerance(layers: usize, terms: usize) -> f64 {
    2.0 * layers as f64 * (terms as f64).sqrt() * UNIT
}

#[test]
fn embeddings_are_those_of_the_processor_within_rounding() {
    for (resnet, layers, sizes) in [
        (ResNet::ResNet18, 18, &[[64, 64], [33, 47], [1, 1], [2, 9]][..]),
        (ResNet::ResNet50, 50, &[[32, 32], [7, 21]]),
    ] {
        let Some(gpu) = embedder() else { return };
        let (name, on_cpu) = (gpu.name(), network(resnet));
        let on_gpu = gpu.load(&on_cpu).unwrap();
        assert_eq!((on_gpu.design(), on_gpu.device()), (resnet.into(), Some(name.clone())));
        for &size in sizes {
            for n in [1, 3] {
                let (_, worst) = compare(&on_cpu, &on_gpu, n, size);
                eprintln!("{resnet}, {n} frames of {size:?} on {name}: relative difference {worst:.1e}");
                let tolerance = tolerance(layers, 9 * 512);
                assert!(worst < tolerance, "{resnet}, {n} of {size:?}: {worst:e} is above {tolerance:e}");
            }
        }
    }
}

#[test]
fn an_embedding_has_the_same_bits_in_any_batch() {
    let Some(gpu) = embedder() else { return };
    let (on_cpu, size) = (network(ResNet::ResNet18), [20, 24]);
    // The output of the first layer has 10 x 12 x 64 values: batches of two frames.
    let bytes = 2 * 4 * 10 * 12 * 64;
    let on_gpu = gpu.load(&on_cpu).unwrap();
    let in_batches = embedder().unwrap().with_bytes(bytes, bytes).load(&on_cpu).unwrap();
    let (together, worst) = compare(&on_cpu, &on_gpu, 5, size);
    assert!(worst < tolerance(18, 9 * 512), "{worst:e}");
    assert_eq!(compare(&on_cpu, &in_batches, 5, size).0, together);
    assert_eq!(compare(&on_cpu, &in_batches, 1, size).0, together[..512]);
    // Buffers grow and are used again.
    assert_eq!(compare(&on_cpu, &on_gpu, 1, size).0, together[..512]);
    compare(&on_cpu, &on_gpu, 2, [30, 30]);
    assert_eq!(compare(&on_cpu, &on_gpu, 5, size).0, together);
    on_gpu.embed_batch(&[], size, &mut []).unwrap();
}

#[test]
fn what_a_gpu_cannot_embed_is_an_error_and_values_that_are_not_finite_stay() {
    let Some(gpu) = embedder() else { return };
    let small = Conv::new([16, 16], 8).unwrap();
    let small =
        Network::new(mcnn::vision::Design::Conv(small), |_, shape| Ok(vec![0.0; shape.iter().product()]));
    let error = gpu.load(&small.unwrap()).err().unwrap().to_string();
    assert!(error.contains("resnet18") && error.contains("conv:16x16:8"), "{error}");

    let on_cpu = network(ResNet::ResNet18);
    let on_gpu = embedder().unwrap().with_bytes(1, 4 * 8 * 8 * 64).load(&on_cpu).unwrap();
    let mut to = vec![0.0; 512];
    let error = on_gpu.embed_batch(&[0.0; 17 * 16 * 3], [17, 16], &mut to).unwrap_err().to_string();
    assert!(error.contains("too large") && error.contains("17 x 16"), "{error}");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut frames = uniform(2 * 16 * 16 * 3, "frames");
        frames[5] = bad;
        let mut to = vec![0.0; 2 * 512];
        on_gpu.embed_batch(&frames, [16, 16], &mut to).unwrap();
        assert!(to[..512].iter().all(|v| !v.is_finite()) && to[512..].iter().all(|v| v.is_finite()));
    }
    on_gpu.lose();
    for _ in 0..2 {
        let error = on_gpu.embed_batch(&[0.0; 768], [16, 16], &mut to).unwrap_err().to_string();
        assert!(error.contains("the GPU failed") && error.contains(&on_gpu.device().unwrap()), "{error}");
    }
}
