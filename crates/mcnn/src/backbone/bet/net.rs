//! The behavior transformer as it is trained: all places of a window at once, forward and back, in plain numbers on one thread.

use std::ops::Range;

use kernels::{Product, WIDE};

use super::{
    Bet, BetSettings,
    attend::{AttendRoom, attend, attend_back},
    gelu::gelu_slopes,
    heads::{Heads, Work},
    layout::{Layout, NormPlaces},
    norm::{Standard, Sums},
    passes,
    shape::{Dropout, Shape},
};
use crate::{
    backbone::{Batch, LossFn, Network, TrainableNet, Workspace},
    seed::Seed,
};

/// The network as it is trained; its numbers lie outside, one after the other.
#[derive(Debug, Clone)]
pub struct BetNet {
    settings: BetSettings,
    centers: Vec<f32>, // [buckets, n_act]
    layout: Layout,
}

/// Buffers that are used again from step to step: fresh ones would cost page faults. Numbers of tokens lie in panels.
#[derive(Debug, Default)]
pub struct BetRoom {
    product: Product,
    dropout: Dropout,
    observations: Vec<f32>, // n_obs
    tokens: Vec<f32>,       // width; on the way back their slopes
    normed: Vec<f32>,       // width
    more: Vec<f32>,         // width
    said: Vec<f32>,         // width: slopes of what perceptrons say
    seen: Vec<f32>,         // [3, tokens]: slopes
    wide: Vec<f32>,         // 4 * width, of one panel
    blocks: Vec<BlockRoom>,
    last: Standard,
    sums: [Sums; 2],
    attend: AttendRoom,
    heads: Heads,
}

/// What a block keeps for the way back.
#[derive(Debug, Default)]
struct BlockRoom {
    norms: [Standard; 2],
    seen: Vec<f32>,    // [3, tokens], width: queries, keys and values
    chances: Vec<f32>, // see `Shape`
    mixed: Vec<f32>,   // width
    slopes: Vec<f32>,  // 4 * width: of GELU
    wide: Vec<f32>,    // 4 * width
}

impl BetNet {
    /// A network as it is trained, and its numbers.
    pub fn new(bet: &Bet) -> (Self, Vec<f32>) {
        let (layout, numbers) = Layout::of(bet);
        (Self { settings: bet.settings, centers: bet.centers.clone(), layout }, numbers)
    }

    /// The network as it acts.
    ///
    /// # Panics
    /// If there are too few numbers.
    pub fn with_parameters(&self, parameters: &[f32]) -> Bet {
        self.layout.read(parameters, self.settings, &self.centers)
    }

    /// From observations to what the heads are for, in `normed`.
    fn forward(&self, shape: &Shape, numbers: &[f32], room: &mut BetRoom) {
        let BetRoom { product, dropout, observations, tokens, normed, more, blocks, last, .. } = room;
        let (layout, of) = (&self.layout, |place: &Range<usize>| &numbers[place.clone()]);
        let norm =
            |norm: &mut Standard, places: &NormPlaces, panel: usize, tokens: &[f32], out: &mut [f32]| {
                norm.set(panel, tokens, of(&places.scale), of(&places.shift), out);
            };
        layout.embed.forward(numbers, product, observations, false, tokens);
        let (bias, positions) = (of(&layout.embed.bias), of(&layout.positions));
        passes::place(shape, tokens, bias, positions, dropout.tokens(shape));
        let panels = (0..shape.tokens() / WIDE).map(|panel| (panel, shape.panel(panel)));
        for (k, (places, kept)) in layout.blocks.iter().zip(blocks).enumerate() {
            let [drop_chances, drop_mixed, drop_said] = dropout.block(shape, k);
            let BlockRoom { norms, seen, chances, mixed, slopes, wide } = kept;
            for (panel, own) in panels.clone() {
                let normed = &mut normed[own.clone()];
                norm(&mut norms[0], &places.norms[0], panel, &tokens[own.clone()], normed);
                for (layer, out) in places.sees.iter().zip(seen.chunks_exact_mut(shape.numbers())) {
                    let out = &mut out[own.clone()];
                    passes::start(out, of(&layer.bias));
                    layer.forward(numbers, product, normed, true, out);
                }
            }
            attend(shape, seen, drop_chances, chances, mixed, &mut room.attend);
            for (panel, own) in panels.clone() {
                let (tokens, normed, more) =
                    (&mut tokens[own.clone()], &mut normed[own.clone()], &mut more[own.clone()]);
                places.mix.forward(numbers, product, &mixed[own.clone()], false, more);
                passes::add(tokens, more, of(&places.mix.bias), drop_mixed.of_range(own.clone()));
                norm(&mut norms[1], &places.norms[1], panel, tokens, normed);
                let all = 4 * own.start..4 * own.end;
                let (slopes, wide) = (&mut slopes[all.clone()], &mut wide[all]);
                places.up.forward(numbers, product, normed, false, slopes);
                gelu_slopes(slopes, of(&places.up.bias), wide);
                places.down.forward(numbers, product, wide, false, more);
                passes::add(tokens, more, of(&places.down.bias), drop_said.of_range(own));
            }
        }
        for (panel, own) in panels {
            norm(last, &layout.norm, panel, &tokens[own.clone()], &mut normed[own]);
        }
    }

    /// From the slopes of what the heads were for, in `more`, to the gradient of all that was before them.
    fn back(&self, shape: &Shape, numbers: &[f32], gradient: &mut [f32], room: &mut BetRoom) {
        let BetRoom { product, dropout, observations, tokens, normed, more, said, seen, wide, .. } = room;
        let (layout, width) = (&self.layout, shape.width);
        let panels = (0..shape.tokens() / WIDE).map(|panel| (panel, shape.panel(panel)));
        let write = |sums: &Sums, places: &NormPlaces, gradient: &mut [f32]| {
            let NormPlaces { scale, shift } = places.clone();
            let [scales, shifts] = gradient.get_disjoint_mut([scale, shift]).expect("arrays of their own");
            sums.write(scales, shifts);
        };
        tokens.fill(0.0);
        room.sums[0].clear(width);
        for (panel, own) in panels.clone() {
            let (scale, tokens) = (&numbers[layout.norm.scale.clone()], &mut tokens[own.clone()]);
            room.last.back(panel, &more[own], scale, tokens, &mut room.sums[0]);
        }
        write(&room.sums[0], &layout.norm, gradient);
        for (k, (places, kept)) in layout.blocks.iter().zip(&mut room.blocks).enumerate().rev() {
            let [drop_chances, drop_mixed, drop_said] = dropout.block(shape, k);
            let [first, second] = places
                .norms
                .each_ref()
                .map(|norm| [&numbers[norm.scale.clone()], &numbers[norm.shift.clone()]]);
            room.sums.iter_mut().for_each(|sums| sums.clear(width));
            let BlockRoom { norms, seen: saw, chances, mixed, slopes, wide: widened } = kept;
            for (panel, own) in panels.clone() {
                let tokens = &mut tokens[own.clone()];
                let (said, more) = (&mut said[own.clone()], &mut more[own.clone()]);
                passes::drop(tokens, drop_said.of_range(own.clone()), said);
                let slopes = &mut slopes[4 * own.start..4 * own.end];
                places.down.back(numbers, product, said, false, wide);
                passes::multiply(slopes, wide);
                places.up.back(numbers, product, slopes, false, more);
                norms[1].back(panel, more, second[0], tokens, &mut room.sums[1]);
                norms[1].scaled(panel, second[0], second[1], &mut normed[own.clone()]);
                passes::drop(tokens, drop_mixed.of_range(own), more);
            }
            places.down.learn(product, widened, said, gradient);
            places.up.learn(product, normed, slopes, gradient);
            places.mix.learn(product, mixed, more, gradient);
            let of_mixed = &mut *said;
            places.mix.back(numbers, product, more, false, of_mixed);
            attend_back(shape, saw, chances, drop_chances, of_mixed, seen, &mut room.attend);
            for (panel, own) in panels.clone() {
                let more = &mut more[own.clone()];
                for (which, layer) in places.sees.iter().enumerate() {
                    let slopes = &seen[which * shape.numbers()..][own.clone()];
                    layer.back(numbers, product, slopes, which > 0, more);
                }
                norms[0].back(panel, more, first[0], &mut tokens[own.clone()], &mut room.sums[0]);
                norms[0].scaled(panel, first[0], first[1], &mut normed[own]);
            }
            for (layer, slopes) in places.sees.iter().zip(seen.chunks_exact(shape.numbers())) {
                layer.learn(product, normed, slopes, gradient);
            }
            for (sums, norm) in room.sums.iter().zip(&places.norms) {
                write(sums, norm, gradient);
            }
        }
        passes::drop(tokens, dropout.tokens(shape), more);
        layout.embed.learn(product, observations, more, gradient);
        passes::place_back(shape, more, &mut gradient[layout.positions.clone()]);
    }
}

impl TrainableNet for BetNet {
    /// The network's own loss is the focal loss of the buckets. An output is the center of the true bucket plus its offset.
    /// `seed` decides the dropout.
    fn loss_and_grad(
        &self,
        parameters: &[f32],
        batch: &Batch,
        seed: Seed,
        loss_fn: LossFn,
        grad: &mut [f32],
        workspace: &mut Workspace,
    ) -> f64 {
        let workspace: &mut BetRoom = workspace.buffers();
        assert_eq!([parameters.len(), grad.len()], [self.layout.count; 2], "parameters of the network");
        let (window, n_obs) = (self.settings.window, self.layout.embed.ends[0]);
        let shape = Shape::new(&self.settings, batch.real.len() / window);
        let places = shape.rows * window;
        let sizes = [batch.real.len(), batch.observations.len(), batch.actions.len() * self.settings.buckets];
        assert_eq!(sizes, [places, places * n_obs, places * self.centers.len()], "a batch of whole windows");
        workspace.fit(&shape, n_obs);
        workspace.dropout.draw(self.settings.dropout, seed, &shape);
        workspace.turn(&shape, batch.observations, n_obs);
        self.forward(&shape, parameters, workspace);
        let Self { settings, centers, layout } = self;
        let work = Work { layout, settings, centers, numbers: parameters, shape };
        let BetRoom { normed, more, product, heads, .. } = workspace;
        let loss = heads.run(&work, batch, normed, product, loss_fn, [more, grad]);
        self.back(&shape, parameters, grad, workspace);
        loss
    }

    /// The weights of layers, not their biases, nor positions and norms.
    fn decaying(&self) -> Vec<Range<usize>> {
        self.layout.weights.clone()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}

impl BetRoom {
    /// Makes the buffers as large as a batch needs them. What is in them does not matter, but in `observations`.
    fn fit(&mut self, shape: &Shape, n_obs: usize) {
        let (numbers, panels) = (shape.numbers(), shape.tokens() / WIDE);
        let Self { observations, tokens, normed, more, said, seen, wide, .. } = self;
        observations.clear();
        for (buffer, count) in [
            (observations, n_obs * shape.tokens()),
            (tokens, numbers),
            (normed, numbers),
            (more, numbers),
            (said, numbers),
            (seen, 3 * numbers),
            (wide, 4 * shape.width * WIDE),
        ] {
            buffer.resize(count, 0.0);
        }
        self.last.fit(panels, shape.width);
        self.blocks.resize_with(shape.blocks, BlockRoom::default);
        for BlockRoom { norms, seen, chances, mixed, slopes, wide } in &mut self.blocks {
            norms.iter_mut().for_each(|norm| norm.fit(panels, shape.width));
            let counts = [3 * numbers, shape.chances(), numbers, 4 * numbers, 4 * numbers];
            for (buffer, count) in [seen, chances, mixed, slopes, wide].into_iter().zip(counts) {
                buffer.resize(count, 0.0);
            }
        }
    }

    /// Lays observations out as tokens lie.
    fn turn(&mut self, shape: &Shape, observations: &[f32], n_obs: usize) {
        let of = Shape { width: n_obs, ..*shape };
        for (member, observation) in observations.chunks_exact(n_obs).enumerate() {
            let token = shape.token(member / shape.window, member % shape.window);
            let to = self.observations[of.at(token, 0)..].iter_mut().step_by(WIDE);
            to.zip(observation).for_each(|(to, x)| *to = *x);
        }
    }
}
