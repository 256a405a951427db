//! A stack of linear layers, `y = x W + b` each: the parameters in the layout of acting.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};

/// Arrays by name, each with its shape: a network in a file.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Weights and biases of linear layers. The output of each is the input of the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    widths: Vec<usize>,     // [n_layers + 1]
    weights: Vec<Vec<f32>>, // [n_layers][widths[k], widths[k + 1]], row by row
    biases: Vec<Vec<f32>>,  // [n_layers][widths[k + 1]]
}

impl Layers {
    /// Random layers: every weight and bias is uniform within 1/sqrt(inputs of the layer), the default of PyTorch's
    /// `nn.Linear`. `widths`: of the input, then of the output of each layer.
    ///
    /// # Panics
    /// If there are fewer than two widths or one of them is 0.
    pub fn random(widths: &[usize], seed: Seed) -> Self {
        assert!(widths.len() >= 2 && !widths.contains(&0), "widths {widths:?}");
        let mut rng = seed.rng();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for pair in widths.windows(2) {
            let bound = 1.0 / (pair[0] as f64).sqrt();
            let mut draw = |n: usize| (0..n).map(|_| rng.between(-bound, bound) as f32).collect::<Vec<_>>();
            weights.push(draw(pair[0] * pair[1]));
            biases.push(draw(pair[1]));
        }
        Self { widths: widths.to_vec(), weights, biases }
    }

    /// Layers of given weights `[widths[k], widths[k + 1]]` and biases `[widths[k + 1]]`. `None` if their sizes are others.
    pub fn new(widths: Vec<usize>, layers: Vec<(Vec<f32>, Vec<f32>)>) -> Option<Self> {
        let fits = widths.len() == layers.len() + 1
            && !layers.is_empty()
            && widths.windows(2).zip(&layers).all(|(w, (weight, bias))| {
                w[0].checked_mul(w[1]) == Some(weight.len()) && w[1] == bias.len() && w[0] > 0 && w[1] > 0
            });
        let (weights, biases) = layers.into_iter().unzip();
        fits.then_some(Self { widths, weights, biases })
    }

    /// Widths of the input and of the output of each layer.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The largest of the widths.
    pub fn max_width(&self) -> usize {
        self.widths.iter().copied().max().unwrap_or(0)
    }

    /// Widths of the input and of the last output.
    pub fn ends(&self) -> [usize; 2] {
        [self.widths[0], self.widths[self.widths.len() - 1]]
    }

    /// The layers: weights `[in, out]` row by row, and biases.
    pub fn iter(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.weights.iter().map(Vec::as_slice).zip(self.biases.iter().map(Vec::as_slice))
    }

    /// Adds the layers to `arrays` as `{prefix}{k}.weight` and `{prefix}{k}.bias`.
    pub fn save_tensors(&self, prefix: &str, arrays: &mut Arrays) {
        for (k, (weight, bias)) in self.iter().enumerate() {
            let shape = vec![self.widths[k], self.widths[k + 1]];
            arrays.insert(format!("{prefix}{k}.bias"), (vec![shape[1]], bias.to_vec()));
            arrays.insert(format!("{prefix}{k}.weight"), (shape, weight.to_vec()));
        }
    }

    /// The layers that [`save_tensors`](Self::save_tensors) added with that prefix.
    ///
    /// # Errors
    /// If there are none, or their shapes do not fit together.
    pub fn load_tensors(prefix: &str, arrays: &Arrays) -> Result<Self> {
        let unfit = |name: String| Error::new(Kind::File, "layers that do not fit together").at(name);
        let (mut widths, mut layers) = (Vec::new(), Vec::new());
        loop {
            let name = |part: &str| format!("{prefix}{}.{part}", layers.len());
            let Some((shape, weight)) = arrays.get(&name("weight")) else { break };
            let (Some((_, bias)), &[inputs, outputs]) = (arrays.get(&name("bias")), &shape[..]) else {
                return Err(unfit(name("weight")));
            };
            if widths.last().is_some_and(|&before| before != inputs) {
                return Err(unfit(name("weight")));
            }
            if widths.is_empty() {
                widths.push(inputs);
            }
            widths.push(outputs);
            layers.push((weight.clone(), bias.clone()));
        }
        Self::new(widths, layers).ok_or_else(|| {
            Error::new(Kind::File, "a network whose layers are not whole").at(format!("{prefix}0"))
        })
    }
}

/// The values of arrays, one after another, in the order of `expected`: names and shapes of all that there must be.
///
/// # Errors
/// If an array is missing, has another shape, or is one too many; `unfit` makes the error of a name.
pub(super) fn concatenate_arrays<'a>(
    arrays: &Arrays,
    expected: impl Iterator<Item = (&'a str, &'a [usize])> + Clone,
    unfit: impl Fn(&str) -> Error,
) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for (name, shape) in expected.clone() {
        match arrays.get(name) {
            Some((found, values)) if found == shape => all.extend_from_slice(values),
            found => {
                return Err(unfit(name)
                    .expected(format!("{shape:?}"))
                    .found(found.map_or("nothing".into(), |(shape, _)| format!("{shape:?}"))));
            }
        }
    }
    match arrays.keys().find(|name| expected.clone().all(|(known, _)| known != **name)) {
        Some(name) => Err(unfit(name).expected("no such array")),
        None => Ok(all),
    }
}

/// Empties buffers and reserves `size` values in each, so that later predictions allocate nothing.
pub(super) fn clear_and_reserve<const N: usize>(size: usize, buffers: [&mut Vec<f32>; N]) {
    for buffer in buffers {
        buffer.clear();
        buffer.reserve(size);
    }
}

#[cfg(test)]
impl Layers {
    /// The output for one input, with ReLU after every layer but the last, as it is written, in 64 bits.
    pub fn exact(&self, mut values: Vec<f64>) -> Vec<f64> {
        for (k, (weight, bias)) in self.iter().enumerate() {
            let sum = |to: usize| {
                let inputs = values.iter().enumerate();
                let products = inputs.map(|(i, v)| v * f64::from(weight[i * bias.len() + to]));
                f64::from(bias[to]) + products.sum::<f64>()
            };
            let sums = (0..bias.len()).map(sum);
            let is_last = k + 2 == self.widths.len();
            values = sums.map(|v| if is_last { v } else { v.max(0.0) }).collect();
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_weights_fill_their_bounds() {
        let layers = Layers::random(&[16, 400, 1], Seed(1));
        let largest = layers.weights[0].iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        assert!((0.24..=0.25).contains(&largest), "{largest}");
        assert!(Layers::new(vec![2, 3], vec![(vec![0.0; 5], vec![0.0; 3])]).is_none());
    }

    #[test]
    fn layers_are_loaded_as_they_were_saved_and_shapes_that_do_not_fit_are_refused() {
        let layers = Layers::random(&[3, 5, 2], Seed(2));
        let mut arrays = Arrays::new();
        layers.save_tensors("a.", &mut arrays);
        assert_eq!(Layers::load_tensors("a.", &arrays).unwrap(), layers);
        assert!(Layers::load_tensors("b.", &arrays).unwrap_err().to_string().contains("not whole"));
        arrays.get_mut("a.1.weight").unwrap().0 = vec![2, 5];
        assert!(Layers::load_tensors("a.", &arrays).unwrap_err().to_string().contains("a.1.weight"));
        arrays.remove("a.1.weight");
        arrays.get_mut("a.0.bias").unwrap().1.pop();
        assert!(Layers::load_tensors("a.", &arrays).unwrap_err().to_string().contains("not whole"));
    }
}
