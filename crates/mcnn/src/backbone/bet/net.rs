//! The behaviour transformer as it is trained: all places of a window at once.

use burn::{
    module::{Module, Param, ParamId},
    nn::{LayerNorm, LayerNormConfig, Linear},
    tensor::{Device, Int, Tensor, TensorData, activation::softmax},
};

use super::{
    Bet, BetSettings, Block, Norm, Offsets,
    buckets::{focal, nearest},
    gelu::gelu_trained,
};
use crate::{
    backbone::{Layers, Proposed},
    seed::{Rng, Seed},
};

/// The network as it is trained.
#[derive(Module, Debug)]
pub struct BetNet {
    embed: Linear,
    positions: Param<Tensor<1>>, // of one dimension, as all that weight decay is not for
    blocks: Vec<BlockNet>,
    norm: LayerNorm,
    pub(super) logits: Linear,
    pub(super) offsets: OffsetsNet,
    #[module(skip)]
    settings: BetSettings,
    #[module(skip)]
    centres: Vec<f32>,
}

#[derive(Module, Debug)]
struct BlockNet {
    norms: Vec<LayerNorm>,
    query: Linear,
    key: Linear,
    value: Linear,
    mix: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Module, Debug)]
pub(super) struct OffsetsNet {
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

/// Numbers its parameters in the order in which it is asked for them.
struct Numbered<'a> {
    next: u64,
    device: &'a Device,
}

impl Numbered<'_> {
    fn id(&mut self) -> ParamId {
        self.next += 1;
        ParamId::from(self.next)
    }

    fn array<const D: usize>(&mut self, values: &[f32], shape: [usize; D]) -> Param<Tensor<D>> {
        let data = TensorData::new(values.to_vec(), shape);
        Param::initialized(self.id(), Tensor::from_data(data, self.device).require_grad())
    }

    fn linear(&mut self, layer: &Layers) -> Linear {
        let (weight, bias) = layer.one();
        Linear { weight: self.array(weight, layer.ends()), bias: Some(self.array(bias, [bias.len()])) }
    }

    fn norm(&mut self, norm: &Norm) -> LayerNorm {
        let width = norm.scale.len();
        let mut layer = LayerNormConfig::new(width).init(self.device);
        layer.gamma = self.array(&norm.scale, [width]);
        layer.beta = Some(self.array(&norm.shift, [width]));
        layer
    }
}

/// Sets a share of numbers to 0 and makes the others larger by as much, so that their mean stays. Drawn from a seed, not
/// from Burn's own generator, so that a resumed run draws what an unbroken one does.
pub(super) struct Dropout {
    rng: Rng,
    below: u16, // of 65536, what is dropped
}

impl Dropout {
    /// A share, 0 up to but not 1, rounded to 1 / 65536.
    pub fn new(share: f64, seed: Seed) -> Self {
        Self { rng: seed.rng(), below: (share * 65536.0).round().min(65535.0) as u16 }
    }

    /// Drops of some numbers what there is to drop.
    pub fn apply<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        if self.below == 0 {
            return x;
        }
        let kept = 1.0 / (1.0 - f32::from(self.below) / 65536.0);
        let shape = x.dims();
        let n = shape.iter().product();
        let mut mask = Vec::with_capacity(n + 3);
        while mask.len() < n {
            let bits = self.rng.bits();
            mask.extend(
                [0, 16, 32, 48].map(|at| if ((bits >> at) as u16) < self.below { 0.0 } else { kept }),
            );
        }
        mask.truncate(n);
        let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }
}

impl BetNet {
    /// The network with the numbers of `bet`, on a device.
    pub fn new(bet: &Bet, device: &Device) -> Self {
        let settings = bet.settings;
        let mut new = Numbered { next: 0, device };
        let embed = new.linear(&bet.embed);
        let positions = new.array(&bet.positions, [bet.positions.len()]);
        let blocks = bet.blocks.iter().map(|block| BlockNet::new(block, &mut new)).collect();
        let norm = new.norm(&bet.norm);
        let logits = new.linear(&bet.logits);
        let Offsets { weights, biases } = &bet.offsets;
        let shape = [settings.buckets, settings.width, bet.n_act()];
        let offsets =
            OffsetsNet { weight: new.array(weights, shape), bias: new.array(biases, [biases.len()]) };
        Self { embed, positions, blocks, norm, logits, offsets, settings, centres: bet.centres.clone() }
    }

    /// The numbers as they are now.
    pub fn numbers(&self) -> Bet {
        Bet {
            settings: self.settings,
            centres: self.centres.clone(),
            embed: numbers(&self.embed),
            positions: values(self.positions.val()),
            blocks: self.blocks.iter().map(BlockNet::numbers).collect(),
            norm: norm_numbers(&self.norm),
            logits: numbers(&self.logits),
            offsets: Offsets {
                weights: values(self.offsets.weight.val()),
                biases: values(self.offsets.bias.val()),
            },
        }
    }

    /// Logits (`[batch * window, buckets]`) for observations (`[batch * window, n_obs]`, a window's oldest first), without
    /// dropout.
    #[cfg(test)]
    pub fn logits(&self, observations: Tensor<2>) -> Tensor<2> {
        self.logits.forward(self.tokens(observations, &mut Dropout::new(0.0, Seed(0))))
    }

    /// The tokens that the heads are for (`[batch * window, width]`), from observations (`[batch * window, n_obs]`, a
    /// window's oldest first).
    pub(super) fn tokens(&self, observations: Tensor<2>, dropout: &mut Dropout) -> Tensor<2> {
        let BetSettings { window, width, heads, .. } = self.settings;
        let rows = observations.dims()[0];
        let tokens = self.embed.forward(observations).reshape([rows / window, window, width])
            + self.positions.val().reshape([1, window, width]);
        let mut tokens = dropout.apply(tokens.reshape([rows, width]));
        // What comes after a place has so low a score that its weight is 0.
        let after = (0..window * window).map(|i| if i % window > i / window { -1e9 } else { 0.0 }).collect();
        let after = TensorData::new::<f32, _>(after, [1, 1, window, window]);
        let after = Tensor::<4>::from_data(after, &tokens.device());
        for block in &self.blocks {
            let mixed = block.attend(block.norms[0].forward(tokens.clone()), heads, &after, dropout);
            tokens = tokens + dropout.apply(mixed);
            let wide = gelu_trained(block.up.forward(block.norms[1].forward(tokens.clone())));
            tokens = tokens + dropout.apply(block.down.forward(wide));
        }
        self.norm.forward(tokens)
    }

    /// Proposals towards actions (`[batch * window, n_act]`, row by row), before they are held: the centre of the true
    /// bucket and its offset. The buckets' own loss is the focal loss over the places that are `real` (`[batch * window]`).
    pub fn propose(&self, observations: Tensor<2>, actions: &[f32], real: &[bool], seed: Seed) -> Proposed {
        let (rows, k) = (real.len(), self.settings.buckets);
        let n_act = actions.len() / rows;
        let device = observations.device();
        let data =
            |values: Vec<f32>, width| Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &device);
        let buckets = nearest(actions, &self.centres, n_act);
        let tokens = self.tokens(observations, &mut Dropout::new(self.settings.dropout, seed));
        let logits = self.logits.forward(tokens.clone());
        // The loss is computed with its slopes: its value and gradient are those of slope (logits - at) + loss.
        let at = logits.clone().detach();
        let (loss, slopes) = focal(&values(at.clone()), &buckets, real, self.settings.gamma);
        let own = ((logits - at) * data(slopes, k)).sum() + loss;
        let centres =
            buckets.iter().flat_map(|bucket| &self.centres[bucket * n_act..][..n_act]).copied().collect();
        let proposal = self.offsets.forward(tokens, &buckets) + data(centres, n_act);
        let weights = Tensor::full([rows, n_act], self.settings.offset_weight, &device);
        Proposed { proposal, weights: Some(weights), own: Some(own), tape: None }
    }
}

impl OffsetsNet {
    /// The offset of one bucket for each token: `[rows, width]` to `[rows, n_act]`. Tokens of a bucket go side by side into
    /// chunks, and a chunk is multiplied by the weights of its bucket: all offsets of all tokens would be as many times more
    /// as there are buckets, and count nothing.
    pub(super) fn forward(&self, tokens: Tensor<2>, buckets: &[usize]) -> Tensor<2> {
        const CHUNK: usize = 16;
        let ([k, width, n_act], device) = (self.weight.val().dims(), tokens.device());
        let mut chunks = Vec::new(); // the bucket of each
        let mut members = Vec::new(); // [chunks, CHUNK]: the token at each place; any, where there is room left
        let mut next = vec![0; k]; // of each bucket: the place for its next token; a whole number of chunks where it has none
        let mut places = Vec::with_capacity(buckets.len());
        for (row, &bucket) in buckets.iter().enumerate() {
            if next[bucket] % CHUNK == 0 {
                next[bucket] = chunks.len() * CHUNK;
                chunks.push(bucket);
                members.resize(chunks.len() * CHUNK, row);
            }
            members[next[bucket]] = row;
            places.push(next[bucket]);
            next[bucket] += 1;
        }
        let numbers = |values: &[usize]| {
            let values = values.iter().map(|&v| v as i64).collect::<Vec<_>>();
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), &device)
        };
        let inputs = tokens.select(0, numbers(&members)).reshape([chunks.len(), CHUNK, width]);
        let products = inputs.matmul(self.weight.val().select(0, numbers(&chunks)));
        let biases = self.bias.val().reshape([k, n_act]).select(0, numbers(buckets));
        products.reshape([members.len(), n_act]).select(0, numbers(&places)) + biases
    }
}

impl BlockNet {
    fn new(block: &Block, new: &mut Numbered) -> Self {
        let norms = block.norms.iter().map(|norm| new.norm(norm)).collect();
        let [query, key, value, mix, up, down] = block.layers().map(|(_, layer)| new.linear(layer));
        Self { norms, query, key, value, mix, up, down }
    }

    fn numbers(&self) -> Block {
        Block {
            norms: [norm_numbers(&self.norms[0]), norm_numbers(&self.norms[1])],
            query: numbers(&self.query),
            key: numbers(&self.key),
            value: numbers(&self.value),
            mix: numbers(&self.mix),
            up: numbers(&self.up),
            down: numbers(&self.down),
        }
    }

    /// Attention of every place to itself and those before it: `[batch * window, width]` to the same.
    fn attend(&self, tokens: Tensor<2>, heads: usize, after: &Tensor<4>, dropout: &mut Dropout) -> Tensor<2> {
        let ([rows, width], window) = (tokens.dims(), after.dims()[3]);
        let size = width / heads;
        let by_head = |layer: &Linear| {
            layer.forward(tokens.clone()).reshape([rows / window, window, heads, size]).swap_dims(1, 2)
        };
        let scale = 1.0 / (size as f32).sqrt();
        let scores = by_head(&self.query).matmul(by_head(&self.key).transpose()) * scale + after.clone();
        let mixed = dropout.apply(softmax(scores, 3)).matmul(by_head(&self.value));
        self.mix.forward(mixed.swap_dims(1, 2).reshape([rows, width]))
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("f32 parameters")
}

fn numbers(layer: &Linear) -> Layers {
    Layers::of_burn(std::slice::from_ref(layer))
}

fn norm_numbers(norm: &LayerNorm) -> Norm {
    let shift = norm.beta.as_ref().expect("every norm has a shift");
    Norm { scale: values(norm.gamma.val()), shift: values(shift.val()) }
}
