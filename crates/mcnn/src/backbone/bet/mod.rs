//! The behavior transformer (Shafiullah et al., 2022). Actions are classified into buckets. From a window of observations a
//! transformer predicts the probability of each bucket and the offset of the action from the bucket's center.
//!
//! ```text
//! tokens    x_t = W o_t + position t                         o: a standardized observation, oldest first
//! block     x = x + attention(norm(x)), causal;  x = x + down(GELU(up(norm(x))))
//! heads     of norm(x): a logit for each bucket; for each bucket an offset, [n_act]
//! output    center + offset of a bucket, sampled by the logits or the likeliest
//! ```
//!
//! The output is for the newest observation. Training predicts for all steps of a window, each from the observations up to it.
//! Because attention is causal, a window that has just begun needs no padding.

mod act;
mod attention;
mod buckets;
mod gelu;
mod heads;
mod layout;
mod net;
mod norm;
mod passes;
mod settings;
mod shape;

pub use net::BetNet;
pub use settings::{BetSettings, BucketSelection, ResidualInit};

use super::{
    ActingState, Arrays, Backbone, BackboneSettings, BucketChoice, Constrain, InvalidSetting, TrainableNet,
    Workspace, packed::PackedWeights,
};
use crate::{
    error::{Error, Kind, Result},
    seed::{Rng, Seed},
};
use act::ActBuffers;

/// A behavior transformer that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Bet {
    settings: BetSettings,
    centers: Vec<f32>,   // [buckets, n_act]
    embed: Layer,        // n_obs to width
    positions: Vec<f32>, // [window, width]
    blocks: Vec<Block>,  // [layers]
    norm: Norm,
    logits: Layer, // width to buckets
    offsets: Offsets,
}

/// A linear layer for each bucket: width to n_act.
#[derive(Debug, Clone, PartialEq)]
struct Offsets {
    weights: Vec<f32>, // [buckets, width, n_act]
    biases: Vec<f32>,  // [buckets, n_act]
}

/// A block of the transformer.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    norms: [Norm; 2], // before attention, before the MLP
    query: Layer,     // width to width
    key: Layer,
    value: Layer,
    out_proj: Layer,
    up: Layer,   // width to 4 * width
    down: Layer, // 4 * width to width
}

/// `x W + b`.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    weight: PackedWeights,
    bias: Vec<f32>,
}

/// Layer normalization: `(x - mean) / sqrt(variance + 1e-5) * scale + shift` of a token.
#[derive(Debug, Clone, PartialEq)]
struct Norm {
    scale: Vec<f32>, // [width]
    shift: Vec<f32>, // [width]
}

/// Where the arrays of a network come from. They are requested by name and shape, in one order.
trait Source {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
}

/// Random arrays as in minGPT: normal with standard deviation 0.02; biases 0; norms scale by 1 and shift by 0. What a block adds to
/// its input passes a last layer, whose weights may have a standard deviation of their own.
struct Random {
    rng: Rng,
    last_of_block: f64,
}

impl Source for Random {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut value = || match name.rsplit('.').next() {
            Some("bias" | "shift") => 0.0,
            Some("scale") => 1.0,
            _ if name.ends_with("mix.weight") || name.ends_with("down.weight") => {
                (self.last_of_block * self.rng.normal()) as f32
            }
            _ => (0.02 * self.rng.normal()) as f32,
        };
        Ok((0..shape.iter().product()).map(|_| value()).collect())
    }
}

impl Source for &Arrays {
    fn array(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = match self.get(name) {
            Some((found, values)) if found == shape => return Ok(values.clone()),
            Some((found, _)) => format!("{found:?}"),
            None => "nothing of that name".into(),
        };
        Err(Error::new(Kind::File, "an array that is missing or of another shape")
            .at(name)
            .expected(format!("{shape:?}"))
            .found(found))
    }
}

impl Bet {
    /// A network of random weights. `centers`: of the buckets, `[buckets, n_act]`.
    ///
    /// # Panics
    /// If a width is 0, a setting is out of range, or the number of centers is another.
    pub fn random(n_obs: usize, n_act: usize, settings: BetSettings, centers: &[f32], seed: Seed) -> Self {
        assert!(n_obs > 0 && n_act > 0 && settings.validate(&[]).is_ok(), "{n_obs}, {n_act}, {settings:?}");
        assert_eq!(centers.len(), settings.buckets * n_act, "centers for every bucket");
        let last_of_block = match settings.residual_init {
            ResidualInit::Normal => 0.02,
            ResidualInit::Scaled => 0.02 / (2.0 * settings.layers as f64).sqrt(),
        };
        Self::from_source(settings, n_obs, centers.to_vec(), &mut Random { rng: seed.rng(), last_of_block })
            .expect("random arrays of any shape")
    }

    /// The network of the arrays of a source.
    fn from_source(
        settings: BetSettings,
        n_obs: usize,
        centers: Vec<f32>,
        source: &mut impl Source,
    ) -> Result<Self> {
        let (width, n_act) = (settings.width, centers.len() / settings.buckets);
        let embed = linear(source, "embed", n_obs, width)?;
        let positions = source.array("positions", &[settings.window, width])?;
        let block = |k: usize| -> Result<Block> {
            let name = |part: &str| format!("blocks.{k}.{part}");
            Ok(Block {
                norms: [norm(source, &name("norm1"), width)?, norm(source, &name("norm2"), width)?],
                query: linear(source, &name("query"), width, width)?,
                key: linear(source, &name("key"), width, width)?,
                value: linear(source, &name("value"), width, width)?,
                out_proj: linear(source, &name("mix"), width, width)?,
                up: linear(source, &name("up"), width, 4 * width)?,
                down: linear(source, &name("down"), 4 * width, width)?,
            })
        };
        let blocks = (0..settings.layers).map(block).collect::<Result<_>>()?;
        let last = norm(source, "norm", width)?;
        let logits = linear(source, "logits", width, settings.buckets)?;
        let offsets = Offsets {
            weights: source.array("offsets.weight", &[settings.buckets, width, n_act])?,
            biases: source.array("offsets.bias", &[settings.buckets, n_act])?,
        };
        Ok(Self { settings, centers, embed, positions, blocks, norm: last, logits, offsets })
    }

    /// The settings.
    pub fn settings(&self) -> &BetSettings {
        &self.settings
    }

    /// The centers of the buckets: `[buckets, n_act]`.
    pub fn centers(&self) -> &[f32] {
        &self.centers
    }

    /// Width of an observation.
    pub fn n_obs(&self) -> usize {
        self.embed.weight.ends()[0]
    }

    /// Width of an action.
    pub fn n_act(&self) -> usize {
        self.centers.len() / self.settings.buckets
    }

    fn save_arrays(&self, arrays: &mut Arrays) {
        let mut put = |name: &str, shape: &[usize], values: &[f32]| {
            arrays.insert(name.into(), (shape.to_vec(), values.to_vec()));
        };
        let (width, settings) = (self.settings.width, &self.settings);
        put("centers", &[settings.buckets, self.n_act()], &self.centers);
        put("offsets.weight", &[settings.buckets, width, self.n_act()], &self.offsets.weights);
        put("offsets.bias", &[settings.buckets, self.n_act()], &self.offsets.biases);
        put("positions", &[settings.window, width], &self.positions);
        let blocks = self.blocks.iter().enumerate();
        let of_blocks = blocks.clone().flat_map(|(k, block)| {
            block.layers().into_iter().map(move |(name, layer)| (format!("blocks.{k}.{name}"), layer))
        });
        let ends = [("embed", &self.embed), ("logits", &self.logits)];
        for (name, layer) in ends.map(|(name, layer)| (name.to_string(), layer)).into_iter().chain(of_blocks)
        {
            put(&format!("{name}.weight"), &layer.weight.ends(), &layer.weight.rows());
            put(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
        }
        let norms = blocks.flat_map(|(k, b)| {
            [(format!("blocks.{k}.norm1"), &b.norms[0]), (format!("blocks.{k}.norm2"), &b.norms[1])]
        });
        for (name, norm) in norms.chain([("norm".to_string(), &self.norm)]) {
            put(&format!("{name}.scale"), &[width], &norm.scale);
            put(&format!("{name}.shift"), &[width], &norm.shift);
        }
    }

    fn load(settings: BetSettings, arrays: &Arrays) -> Result<Self> {
        settings.validate(&[]).map_err(InvalidSetting::into_error)?;
        let width = |name: &str, axis: usize| match arrays.get(name) {
            Some((shape, _)) if shape.len() == 2 && !shape.contains(&0) => Ok(shape[axis]),
            _ => Err(Error::new(Kind::File, "an array that is missing or empty").at(name)),
        };
        let (n_obs, n_act) = (width("embed.weight", 0)?, width("centers", 1)?);
        let mut source = arrays;
        let centers = source.array("centers", &[settings.buckets, n_act])?;
        Self::from_source(settings, n_obs, centers, &mut source)
    }
}

impl Backbone for Bet {
    fn settings(&self) -> &dyn BackboneSettings {
        &self.settings
    }

    fn widths(&self) -> [usize; 2] {
        [self.n_obs(), self.n_act()]
    }

    fn is_stochastic(&self) -> bool {
        self.settings.bucket_selection == BucketSelection::Sample
    }

    fn predict(&self, observations: &[f32], _: Constrain, state: &mut ActingState) {
        let ActingState { rng, workspace, output, .. } = state;
        self.forward(observations, rng, workspace.buffers(), output);
    }

    fn bucket_choice<'a>(&'a self, workspace: &'a Workspace) -> Option<BucketChoice<'a>> {
        let (bucket, probabilities) = workspace.existing::<ActBuffers>()?.selected()?;
        Some(BucketChoice { bucket, probabilities, centers: &self.centers })
    }

    fn save_tensors(&self) -> Arrays {
        let mut tensors = Arrays::new();
        self.save_arrays(&mut tensors);
        tensors
    }

    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>) {
        let (net, parameters) = BetNet::new(self);
        (Box::new(net), parameters)
    }
}

impl Block {
    fn layers(&self) -> [(&'static str, &Layer); 6] {
        let Self { query, key, value, out_proj, up, down, .. } = self;
        [("query", query), ("key", key), ("value", value), ("mix", out_proj), ("up", up), ("down", down)]
    }
}

fn linear(source: &mut impl Source, name: &str, inputs: usize, outputs: usize) -> Result<Layer> {
    let weight = source.array(&format!("{name}.weight"), &[inputs, outputs])?;
    let bias = source.array(&format!("{name}.bias"), &[outputs])?;
    Ok(Layer { weight: PackedWeights::new(&weight, inputs), bias })
}

fn norm(source: &mut impl Source, name: &str, width: usize) -> Result<Norm> {
    let mut array = |part: &str| source.array(&format!("{name}.{part}"), &[width]);
    Ok(Norm { scale: array("scale")?, shift: array("shift")? })
}

#[cfg(test)]
mod net_tests;
#[cfg(test)]
mod tests;
