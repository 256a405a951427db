//! The layout of the parameters in one flat array.

use std::{collections::BTreeMap, ops::Range};

use kernels::{Matrix, PackedMatrix, Product};

use super::{Arrays, Bet, BetSettings, Source, passes};
use crate::error::{Error, Kind, Result};

/// The ranges of all arrays of a network.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub embed: Linear,
    pub positions: Range<usize>, // [window, width]
    pub blocks: Vec<BlockLayout>,
    pub norm: NormLayout,
    pub logits: Linear,
    pub offsets: [Range<usize>; 2], // [buckets, width, n_act], [buckets, n_act]
    pub weights: Vec<Range<usize>>, // of all layers, with those of the offsets
    pub count: usize,               // of parameters
}

/// The ranges of a block.
#[derive(Debug, Clone)]
pub(super) struct BlockLayout {
    pub norms: [NormLayout; 2],
    pub qkv: [Linear; 3], // query, key, value
    pub out_proj: Linear,
    pub up: Linear,
    pub down: Linear,
}

/// The ranges of a layer normalization.
#[derive(Debug, Clone)]
pub(super) struct NormLayout {
    pub scale: Range<usize>,
    pub shift: Range<usize>,
}

/// The ranges of a linear layer, and its inputs and outputs.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub weight: Range<usize>, // [ends]
    pub bias: Range<usize>,
    pub ends: [usize; 2],
}

/// Copies arrays into a flat one, and notes the range of each.
struct Writer<'a> {
    arrays: &'a Arrays,
    flat: Vec<f32>,
    ranges: BTreeMap<String, (Range<usize>, Vec<usize>)>, // and shapes
}

impl Source for Writer<'_> {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.arrays.array(name, shape)?;
        let range = self.flat.len()..self.flat.len() + values.len();
        self.ranges.insert(name.into(), (range, shape.to_vec()));
        self.flat.extend(&values);
        Ok(values)
    }
}

/// Reads arrays from a flat one, in the same order.
struct Reader<'a>(&'a [f32]);

impl Source for Reader<'_> {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (values, rest) = self
            .0
            .split_at_checked(shape.iter().product())
            .ok_or_else(|| Error::new(Kind::File, "too few parameters for a network").at(name))?;
        self.0 = rest;
        Ok(values.to_vec())
    }
}

impl Layout {
    /// The layout of a network, and its parameters.
    pub fn new(bet: &Bet) -> (Self, Vec<f32>) {
        let mut arrays = Arrays::new();
        bet.save_arrays(&mut arrays);
        let mut writer = Writer { arrays: &arrays, flat: Vec::new(), ranges: BTreeMap::new() };
        Bet::from_source(bet.settings, bet.n_obs(), bet.centers.clone(), &mut writer)
            .expect("a network's own arrays");
        let Writer { flat, ranges, .. } = writer;
        let at = |name: &str| ranges[name].0.clone();
        let linear = |name: &str| {
            let (weight, shape) = &ranges[&format!("{name}.weight")];
            Linear { weight: weight.clone(), bias: at(&format!("{name}.bias")), ends: [shape[0], shape[1]] }
        };
        let norm = |name: &str| NormLayout {
            scale: at(&format!("{name}.scale")),
            shift: at(&format!("{name}.shift")),
        };
        let block = |k: usize| {
            let linear = |part: &str| linear(&format!("blocks.{k}.{part}"));
            BlockLayout {
                norms: ["norm1", "norm2"].map(|part| norm(&format!("blocks.{k}.{part}"))),
                qkv: ["query", "key", "value"].map(linear),
                out_proj: linear("mix"),
                up: linear("up"),
                down: linear("down"),
            }
        };
        let weights = ranges.iter().filter(|(name, _)| name.ends_with("weight"));
        let layout = Self {
            embed: linear("embed"),
            positions: at("positions"),
            blocks: (0..bet.settings.layers).map(block).collect(),
            norm: norm("norm"),
            logits: linear("logits"),
            offsets: [at("offsets.weight"), at("offsets.bias")],
            weights: weights.map(|(_, (range, _))| range.clone()).collect(),
            count: flat.len(),
        };
        (layout, flat)
    }

    /// The network of given parameters.
    ///
    /// # Panics
    /// If there are too few.
    pub fn read(&self, flat: &[f32], settings: BetSettings, centers: &[f32]) -> Bet {
        Bet::from_source(settings, self.embed.ends[0], centers.to_vec(), &mut Reader(flat))
            .expect("as many parameters as the layout has")
    }
}

impl Linear {
    /// The outputs for panels of tokens, without the bias. Adds to `out` if `accumulate`.
    pub fn forward(
        &self,
        parameters: &[f32],
        product: &mut Product,
        x: &[f32],
        accumulate: bool,
        out: &mut [f32],
    ) {
        let weight = Matrix::new(&parameters[self.weight.clone()], self.ends);
        product.packed(weight.transposed(), PackedMatrix::new(x, self.ends[0]), accumulate, out);
    }

    /// From the gradient with respect to the outputs to that with respect to the inputs. Adds to `out` if `accumulate`.
    pub fn input_grad(
        &self,
        parameters: &[f32],
        product: &mut Product,
        output_grad: &[f32],
        accumulate: bool,
        out: &mut [f32],
    ) {
        let weight = Matrix::new(&parameters[self.weight.clone()], self.ends);
        product.packed(weight, PackedMatrix::new(output_grad, self.ends[1]), accumulate, out);
    }

    /// The gradient of the weight and the bias, from the inputs and the gradient with respect to the outputs of all panels.
    pub fn weight_grad(&self, product: &mut Product, x: &[f32], output_grad: &[f32], grad: &mut [f32]) {
        let [inputs, outputs] =
            [PackedMatrix::new(x, self.ends[0]), PackedMatrix::new(output_grad, self.ends[1])];
        product.packed_transposed(inputs, outputs, &mut grad[self.weight.clone()]);
        passes::sum_rows(output_grad, &mut grad[self.bias.clone()]);
    }
}
