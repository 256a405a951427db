//! The behavior transformer by Burn's automatic gradients: the definition of what `net.rs` computes.

use burn::{
    module::{Module, Param, ParamId},
    nn::{LayerNorm, LayerNormConfig, Linear},
    tensor::{
        Device, Int, Tensor, TensorData,
        activation::{gelu, softmax},
    },
};

use super::{
    Bet, BetSettings, Block, Layer, Norm, Offsets,
    buckets::{focal, nearest},
    shape::{Dropout, Mask, Shape},
};
use crate::seed::Seed;

/// What a network proposes for a batch.
pub(super) struct Proposed {
    /// `[batch * window, n_act]`.
    pub proposal: Tensor<2>,
    /// What the squared errors count, as many.
    pub weights: Tensor<2>,
    /// A loss of the network's own.
    pub own: Tensor<1>,
}

/// The network as it is trained.
#[derive(Module, Debug)]
pub struct BurnBet {
    embed: Linear,
    positions: Param<Tensor<1>>, // of one dimension, as all that weight decay is not for
    blocks: Vec<BlockNet>,
    norm: LayerNorm,
    pub(super) logits: Linear,
    pub(super) offsets: OffsetsNet,
    #[module(skip)]
    settings: BetSettings,
    #[module(skip)]
    centers: Vec<f32>,
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

    fn linear(&mut self, layer: &Layer) -> Linear {
        let (weight, bias) = (&layer.weight, &layer.bias);
        Linear {
            weight: self.array(&weight.rows(), weight.ends()),
            bias: Some(self.array(bias, [bias.len()])),
        }
    }

    fn norm(&mut self, norm: &Norm) -> LayerNorm {
        let width = norm.scale.len();
        let mut layer = LayerNormConfig::new(width).init(self.device);
        layer.gamma = self.array(&norm.scale, [width]);
        layer.beta = Some(self.array(&norm.shift, [width]));
        layer
    }
}

/// What is dropped, as [`Dropout`] has it, in the order that Burn's tensors have.
pub(super) struct Drops {
    shape: Shape,
    dropout: Dropout,
}

impl Drops {
    pub fn new(settings: &BetSettings, rows: usize, share: f64, seed: Seed) -> Self {
        let (shape, mut dropout) = (Shape::new(settings, rows), Dropout::default());
        dropout.draw(share, seed, &shape);
        Self { shape, dropout }
    }

    /// Of tokens: `[rows * window, width]`.
    fn tokens(&self, x: Tensor<2>, mask: Mask) -> Tensor<2> {
        let Shape { width, window, .. } = self.shape;
        let at = |i: usize| {
            let token = self.shape.token(i / width / window, i / width % window);
            mask.of(mask.drawn[self.shape.at(token, i % width)], 1.0)
        };
        masked(x, at)
    }

    /// Of the weights of attention: `[rows, heads, window, window]`.
    fn chances(&self, x: Tensor<4>, mask: Mask) -> Tensor<4> {
        let Shape { heads, window, .. } = self.shape;
        let at = |i: usize| {
            let (seen, place, head) = (i % window, i / window % window, i / window / window % heads);
            let row = i / window / window / heads;
            let drawn = |seen| mask.of(mask.drawn[self.shape.chance(row, head, place, seen)], 1.0);
            if seen > place { 0.0 } else { drawn(seen) }
        };
        masked(x, at)
    }
}

/// Every number times one that its place says.
fn masked<const D: usize>(x: Tensor<D>, at: impl Fn(usize) -> f32) -> Tensor<D> {
    let mask = (0..x.dims().iter().product()).map(at).collect::<Vec<_>>();
    let mask = Tensor::from_data(TensorData::new(mask, x.dims()), &x.device());
    x * mask
}

impl BurnBet {
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
        Self { embed, positions, blocks, norm, logits, offsets, settings, centers: bet.centers.clone() }
    }

    /// The tokens that the heads are for (`[batch * window, width]`), from observations (`[batch * window, n_obs]`, a
    /// window's oldest first).
    pub(super) fn tokens(&self, observations: Tensor<2>, share: f64, seed: Seed) -> Tensor<2> {
        let BetSettings { window, width, heads, .. } = self.settings;
        let rows = observations.dims()[0];
        let drops = Drops::new(&self.settings, rows / window, share, seed);
        let tokens = self.embed.forward(observations).reshape([rows / window, window, width])
            + self.positions.val().reshape([1, window, width]);
        let mut tokens = drops.tokens(tokens.reshape([rows, width]), drops.dropout.tokens(&drops.shape));
        // What comes after a place has so low a score that its weight is 0.
        let after = (0..window * window).map(|i| if i % window > i / window { -1e9 } else { 0.0 }).collect();
        let after = TensorData::new::<f32, _>(after, [1, 1, window, window]);
        let after = Tensor::<4>::from_data(after, &tokens.device());
        for (k, block) in self.blocks.iter().enumerate() {
            let [chances, mixes, says] = drops.dropout.block(&drops.shape, k);
            let drop = |x| drops.chances(x, chances);
            let mixed = block.attend(block.norms[0].forward(tokens.clone()), heads, &after, drop);
            tokens = tokens + drops.tokens(mixed, mixes);
            let wide = gelu(block.up.forward(block.norms[1].forward(tokens.clone())));
            tokens = tokens + drops.tokens(block.down.forward(wide), says);
        }
        self.norm.forward(tokens)
    }

    /// Proposals towards actions (`[batch * window, n_act]`, row by row), before they are held: the center of the true
    /// bucket and its offset. The buckets' own loss is the focal loss over the places that are `real` (`[batch * window]`).
    pub fn propose(&self, observations: Tensor<2>, actions: &[f32], real: &[bool], seed: Seed) -> Proposed {
        let (rows, k) = (real.len(), self.settings.buckets);
        let n_act = actions.len() / rows;
        let device = observations.device();
        let data =
            |values: Vec<f32>, width| Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &device);
        let buckets = nearest(actions, &self.centers, n_act);
        let tokens = self.tokens(observations, self.settings.dropout, seed);
        let logits = self.logits.forward(tokens.clone());
        // The loss is computed with its slopes: its value and gradient are those of slope (logits - at) + loss.
        let at = logits.clone().detach();
        let (mut slopes, count) = (values(at.clone()), real.iter().filter(|real| **real).count());
        let loss = focal(&mut slopes, &buckets, real, self.settings.gamma, count);
        let own = ((logits - at) * data(slopes, k)).sum() + loss;
        let centers =
            buckets.iter().flat_map(|bucket| &self.centers[bucket * n_act..][..n_act]).copied().collect();
        let proposal = self.offsets.forward(tokens, &buckets) + data(centers, n_act);
        let weights = Tensor::full([rows, n_act], self.settings.offset_weight, &device);
        Proposed { proposal, weights, own }
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

    /// Attention of every place to itself and those before it: `[batch * window, width]` to the same.
    fn attend(
        &self,
        tokens: Tensor<2>,
        heads: usize,
        after: &Tensor<4>,
        drop: impl Fn(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<2> {
        let ([rows, width], window) = (tokens.dims(), after.dims()[3]);
        let size = width / heads;
        let by_head = |layer: &Linear| {
            layer.forward(tokens.clone()).reshape([rows / window, window, heads, size]).swap_dims(1, 2)
        };
        let scale = 1.0 / (size as f32).sqrt();
        let scores = by_head(&self.query).matmul(by_head(&self.key).transpose()) * scale + after.clone();
        let mixed = drop(softmax(scores, 3)).matmul(by_head(&self.value));
        self.mix.forward(mixed.swap_dims(1, 2).reshape([rows, width]))
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("f32 parameters")
}
