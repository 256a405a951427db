//! The numbers of a network as one flat array: where each part of it lies.

use std::{collections::BTreeMap, ops::Range};

use kernels::{Matrix, Panels, Product};

use super::{Arrays, Bet, BetSettings, Source, passes};
use crate::error::{Error, Kind, Result};

/// Where each part of a network lies.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub embed: Linear,
    pub positions: Range<usize>, // [window, width]
    pub blocks: Vec<BlockPlaces>,
    pub norm: NormPlaces,
    pub logits: Linear,
    pub offsets: [Range<usize>; 2], // [buckets, width, n_act], [buckets, n_act]
    pub weights: Vec<Range<usize>>, // of all layers, those of the offsets included
    pub count: usize,               // numbers there are
}

/// Where a block lies.
#[derive(Debug, Clone)]
pub(super) struct BlockPlaces {
    pub norms: [NormPlaces; 2],
    pub sees: [Linear; 3], // query, key, value
    pub mix: Linear,
    pub up: Linear,
    pub down: Linear,
}

/// Where a layer normalization lies.
#[derive(Debug, Clone)]
pub(super) struct NormPlaces {
    pub scale: Range<usize>,
    pub shift: Range<usize>,
}

/// Where a layer lies.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub weight: Range<usize>, // [ends]
    pub bias: Range<usize>,
    pub ends: [usize; 2],
}

/// Writes down numbers that arrays have, one after the other, and where each array went.
struct Writer<'a> {
    arrays: &'a Arrays,
    flat: Vec<f32>,
    places: BTreeMap<String, (Range<usize>, Vec<usize>)>, // and shapes
}

impl Source for Writer<'_> {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.arrays.array(name, shape)?;
        let place = self.flat.len()..self.flat.len() + values.len();
        self.places.insert(name.into(), (place, shape.to_vec()));
        self.flat.extend(&values);
        Ok(values)
    }
}

/// Reads them again.
struct Reader<'a>(&'a [f32]);

impl Source for Reader<'_> {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (values, rest) = self
            .0
            .split_at_checked(shape.iter().product())
            .ok_or_else(|| Error::new(Kind::File, "too few numbers for a network").at(name))?;
        self.0 = rest;
        Ok(values.to_vec())
    }
}

impl Layout {
    /// The layout of a network, and its numbers so.
    pub fn of(bet: &Bet) -> (Self, Vec<f32>) {
        let mut arrays = Arrays::new();
        bet.put(&mut arrays);
        let mut writer = Writer { arrays: &arrays, flat: Vec::new(), places: BTreeMap::new() };
        Bet::of(bet.settings, bet.n_obs(), bet.centers.clone(), &mut writer).expect("a network's own arrays");
        let Writer { flat, places, .. } = writer;
        let at = |name: &str| places[name].0.clone();
        let linear = |name: &str| {
            let (weight, shape) = &places[&format!("{name}.weight")];
            Linear { weight: weight.clone(), bias: at(&format!("{name}.bias")), ends: [shape[0], shape[1]] }
        };
        let norm = |name: &str| NormPlaces {
            scale: at(&format!("{name}.scale")),
            shift: at(&format!("{name}.shift")),
        };
        let block = |k: usize| {
            let linear = |part: &str| linear(&format!("blocks.{k}.{part}"));
            BlockPlaces {
                norms: ["norm1", "norm2"].map(|part| norm(&format!("blocks.{k}.{part}"))),
                sees: ["query", "key", "value"].map(linear),
                mix: linear("mix"),
                up: linear("up"),
                down: linear("down"),
            }
        };
        let weights = places.iter().filter(|(name, _)| name.ends_with("weight"));
        let layout = Self {
            embed: linear("embed"),
            positions: at("positions"),
            blocks: (0..bet.settings.layers).map(block).collect(),
            norm: norm("norm"),
            logits: linear("logits"),
            offsets: [at("offsets.weight"), at("offsets.bias")],
            weights: weights.map(|(_, (place, _))| place.clone()).collect(),
            count: flat.len(),
        };
        (layout, flat)
    }

    /// The network of flat numbers.
    ///
    /// # Panics
    /// If they are too few.
    pub fn read(&self, flat: &[f32], settings: BetSettings, centers: &[f32]) -> Bet {
        Bet::of(settings, self.embed.ends[0], centers.to_vec(), &mut Reader(flat))
            .expect("as many numbers as were laid out")
    }
}

impl Linear {
    /// What comes out for some panels, without the bias: added to what is in `out`, if `onto`.
    pub fn forward(&self, numbers: &[f32], product: &mut Product, x: &[f32], onto: bool, out: &mut [f32]) {
        let weight = Matrix::new(&numbers[self.weight.clone()], self.ends);
        product.panels(weight.turned(), Panels::new(x, self.ends[0]), onto, out);
    }

    /// The slopes of what went in, from those of what came out: added to what is in `out`, if `onto`.
    pub fn back(&self, numbers: &[f32], product: &mut Product, slopes: &[f32], onto: bool, out: &mut [f32]) {
        let weight = Matrix::new(&numbers[self.weight.clone()], self.ends);
        product.panels(weight, Panels::new(slopes, self.ends[1]), onto, out);
    }

    /// The gradient, from what went in and the slopes of what came out, in all panels.
    pub fn learn(&self, product: &mut Product, x: &[f32], slopes: &[f32], gradient: &mut [f32]) {
        let panels = [Panels::new(x, self.ends[0]), Panels::new(slopes, self.ends[1])];
        product.outer(panels[0], panels[1], &mut gradient[self.weight.clone()]);
        passes::sum_rows(slopes, &mut gradient[self.bias.clone()]);
    }
}
