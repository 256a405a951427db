//! The convolutions against their definitions.

use kernels::Product;

use super::conv::{Conv, Kind};
use crate::seed::Seed;

fn all() -> Vec<Conv> {
    let mut all = Vec::new();
    for (kind, kernel) in [
        (Kind::Plain, 1),
        (Kind::Plain, 3),
        (Kind::Plain, 5),
        (Kind::Plain, 9),
        (Kind::Downsample, 3),
        (Kind::Upsample, 4),
    ] {
        for (inputs, outputs) in [(1, 1), (3, 2), (16, 24), (256, 8)] {
            for time in [2, 4, 6, 16] {
                let conv = Conv { kind, kernel, inputs, outputs, time, weight: 3, bias: 0 };
                all.push(Conv { bias: 3 + conv.weights(), ..conv });
            }
        }
    }
    all
}

/// The convolution by the definition of its kind, in f64.
fn slow(conv: &Conv, parameters: &[f32], x: &[f32]) -> Vec<f64> {
    let (c, o, time) = (conv.inputs, conv.outputs, conv.time as isize);
    let mut y = Vec::new();
    for j in 0..conv.time_out() as isize {
        for out in 0..o {
            let mut sum = f64::from(parameters[conv.bias + out]);
            for k in 0..conv.kernel as isize {
                let i = match conv.kind {
                    Kind::Plain => Some(j + k - conv.kernel as isize / 2),
                    Kind::Downsample => Some(2 * j + k - 1),
                    Kind::Upsample => ((j + 1 - k) % 2 == 0).then_some((j + 1 - k) / 2),
                };
                let Some(i) = i.filter(|i| (0..time).contains(i)) else { continue };
                for input in 0..c {
                    let weight = parameters[conv.weight + (k as usize * c + input) * o + out];
                    sum += f64::from(weight) * f64::from(x[i as usize * c + input]);
                }
            }
            y.push(sum);
        }
    }
    y
}

#[test]
fn one_and_a_batch_are_the_definition_and_the_way_back_is_its_transpose() {
    let (mut rng, mut product) = (Seed(1).rng(), Product::default());
    let mut draw = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let mut cuts = std::collections::BTreeSet::new();
    for conv in all() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-3, "{conv:?}: {a} {b}");
        let parameters = draw(conv.bias + conv.outputs);
        let (size, out) = (conv.time * conv.inputs, conv.time_out() * conv.outputs);
        let (x, dy, dx) = (draw(3 * size), draw(3 * out), draw(3 * size));
        let (y, windows) = conv.forward(&parameters, &x, &mut product);
        let mut one = Vec::new();
        for (x, y) in x.chunks(size).zip(y.chunks(out)) {
            conv.forward_one(&parameters, x, &mut one);
            for (k, expected) in slow(&conv, &parameters, x).into_iter().enumerate() {
                close(f64::from(one[k]), expected);
                close(f64::from(y[k] + parameters[conv.bias + k % conv.outputs]), expected);
            }
        }
        // <dy, conv dx> = <back dy, dx>, and the same for the weights.
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let mut gradient = vec![0.0; parameters.len()];
        let back = conv.backward(&parameters, &windows, &dy, &mut gradient, true, &mut product).unwrap();
        let tolerance =
            |a: f64, b: f64| assert!((a - b).abs() < 1e-3 * a.abs().max(30.0), "{conv:?}: {a} {b}");
        tolerance(dot(&dy, &conv.forward(&parameters, &dx, &mut product).0), dot(&back, &dx));
        let other = draw(parameters.len());
        let weights = conv.weight..conv.weight + conv.weights();
        tolerance(
            dot(&dy, &conv.forward(&other, &x, &mut product).0),
            dot(&gradient[weights.clone()], &other[weights]),
        );
        let tiles = conv.tiles();
        cuts.insert((tiles.count > 1, tiles.outputs > 1));
    }
    assert_eq!(cuts.len(), 4, "whole, and cut into single steps and into longer tiles: {cuts:?}");
}
