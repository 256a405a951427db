//! The behavior transformer in training: all steps of a window at once, forward and backward, on one thread.

use std::ops::Range;

use kernels::{Product, WIDE};

use super::{
    Bet, BetSettings,
    attention::{AttentionWorkspace, attention, attention_backward},
    gelu::gelu_with_derivative,
    heads::{Heads, Inputs},
    layout::{Layout, NormLayout},
    norm::{NormActivations, NormGrad},
    passes,
    shape::{Dropout, Shape},
};
use crate::{
    backbone::{Batch, LossFn, Network, TrainableNet, Workspace},
    seed::Seed,
};

/// The network in training.
#[derive(Debug, Clone)]
pub struct BetNet {
    settings: BetSettings,
    centers: Vec<f32>, // [buckets, n_act]
    layout: Layout,
}

/// Buffers of a training step. Tokens are in panels (see [`Shape`]); the comments give the width of a token.
#[derive(Debug, Default)]
pub(super) struct BetWorkspace {
    product: Product,
    dropout: Dropout,
    observations: Vec<f32>, // n_obs
    tokens: Vec<f32>,       // width; in the backward pass their gradient
    normed: Vec<f32>,       // width
    scratch: Vec<f32>,      // width
    mlp_grad: Vec<f32>,     // width: with respect to the outputs of a block's MLP
    qkv_grad: Vec<f32>,     // [3, tokens], width
    hidden_grad: Vec<f32>,  // 4 * width, of one panel
    blocks: Vec<BlockActivations>,
    last: NormActivations,
    norm_grads: [NormGrad; 2],
    attention: AttentionWorkspace,
    heads: Heads,
}

/// Activations of a block that the backward pass needs.
#[derive(Debug, Default)]
struct BlockActivations {
    norms: [NormActivations; 2],
    qkv: Vec<f32>,        // [3, tokens], width: queries, keys and values
    weights: Vec<f32>,    // of attention, see `Shape`
    attended: Vec<f32>,   // width: values summed by weight
    derivative: Vec<f32>, // 4 * width: of GELU
    hidden: Vec<f32>,     // 4 * width
}

impl BetNet {
    /// The network of a backbone, and its parameters.
    pub fn new(bet: &Bet) -> (Self, Vec<f32>) {
        let (layout, parameters) = Layout::new(bet);
        (Self { settings: bet.settings, centers: bet.centers.clone(), layout }, parameters)
    }

    /// The backbone of given parameters.
    ///
    /// # Panics
    /// If there are too few.
    pub fn with_parameters(&self, parameters: &[f32]) -> Bet {
        self.layout.read(parameters, self.settings, &self.centers)
    }

    /// From observations to the normalized tokens that the heads take, left in `normed`.
    fn forward(&self, shape: &Shape, parameters: &[f32], workspace: &mut BetWorkspace) {
        let BetWorkspace { product, dropout, observations, tokens, normed, scratch, blocks, last, .. } =
            workspace;
        let (layout, of) = (&self.layout, |range: &Range<usize>| &parameters[range.clone()]);
        let norm =
            |norm: &mut NormActivations, at: &NormLayout, panel: usize, tokens: &[f32], out: &mut [f32]| {
                norm.forward(panel, tokens, of(&at.scale), of(&at.shift), out);
            };
        layout.embed.forward(parameters, product, observations, false, tokens);
        let (bias, positions) = (of(&layout.embed.bias), of(&layout.positions));
        passes::add_positions(shape, tokens, bias, positions, dropout.tokens(shape));
        let panels = (0..shape.tokens() / WIDE).map(|panel| (panel, shape.panel(panel)));
        for (k, (at, saved)) in layout.blocks.iter().zip(blocks).enumerate() {
            let [drop_weights, drop_attended, drop_mlp] = dropout.block(shape, k);
            let BlockActivations { norms, qkv, weights, attended, derivative, hidden } = saved;
            for (panel, own) in panels.clone() {
                let normed = &mut normed[own.clone()];
                norm(&mut norms[0], &at.norms[0], panel, &tokens[own.clone()], normed);
                for (layer, out) in at.qkv.iter().zip(qkv.chunks_exact_mut(shape.size())) {
                    let out = &mut out[own.clone()];
                    passes::fill_bias(out, of(&layer.bias));
                    layer.forward(parameters, product, normed, true, out);
                }
            }
            attention(shape, qkv, drop_weights, weights, attended, &mut workspace.attention);
            for (panel, own) in panels.clone() {
                let (tokens, normed, scratch) =
                    (&mut tokens[own.clone()], &mut normed[own.clone()], &mut scratch[own.clone()]);
                at.out_proj.forward(parameters, product, &attended[own.clone()], false, scratch);
                passes::add_residual(
                    tokens,
                    scratch,
                    of(&at.out_proj.bias),
                    drop_attended.of_range(own.clone()),
                );
                norm(&mut norms[1], &at.norms[1], panel, tokens, normed);
                let all = 4 * own.start..4 * own.end;
                let (derivative, hidden) = (&mut derivative[all.clone()], &mut hidden[all]);
                at.up.forward(parameters, product, normed, false, derivative);
                gelu_with_derivative(derivative, of(&at.up.bias), hidden);
                at.down.forward(parameters, product, hidden, false, scratch);
                passes::add_residual(tokens, scratch, of(&at.down.bias), drop_mlp.of_range(own));
            }
        }
        for (panel, own) in panels {
            norm(last, &layout.norm, panel, &tokens[own.clone()], &mut normed[own]);
        }
    }

    /// From the gradient with respect to the heads' tokens, in `scratch`, to that of all parameters before the heads.
    fn backward(&self, shape: &Shape, parameters: &[f32], grad: &mut [f32], workspace: &mut BetWorkspace) {
        let BetWorkspace {
            product,
            dropout,
            observations,
            tokens,
            normed,
            scratch,
            mlp_grad,
            qkv_grad,
            hidden_grad,
            norm_grads,
            ..
        } = workspace;
        let (layout, width) = (&self.layout, shape.width);
        let panels = (0..shape.tokens() / WIDE).map(|panel| (panel, shape.panel(panel)));
        let write = |sums: &NormGrad, at: &NormLayout, grad: &mut [f32]| {
            let NormLayout { scale, shift } = at.clone();
            let [scales, shifts] = grad.get_disjoint_mut([scale, shift]).expect("arrays of their own");
            sums.write(scales, shifts);
        };
        tokens.fill(0.0);
        norm_grads[0].clear(width);
        for (panel, own) in panels.clone() {
            let (scale, tokens) = (&parameters[layout.norm.scale.clone()], &mut tokens[own.clone()]);
            workspace.last.backward(panel, &scratch[own], scale, tokens, &mut norm_grads[0]);
        }
        write(&norm_grads[0], &layout.norm, grad);
        for (k, (at, saved)) in layout.blocks.iter().zip(&mut workspace.blocks).enumerate().rev() {
            let [drop_weights, drop_attended, drop_mlp] = dropout.block(shape, k);
            let [first, second] = at
                .norms
                .each_ref()
                .map(|norm| [&parameters[norm.scale.clone()], &parameters[norm.shift.clone()]]);
            norm_grads.iter_mut().for_each(|sums| sums.clear(width));
            let BlockActivations { norms, qkv, weights, attended, derivative, hidden } = saved;
            for (panel, own) in panels.clone() {
                let tokens = &mut tokens[own.clone()];
                let (mlp_grad, scratch) = (&mut mlp_grad[own.clone()], &mut scratch[own.clone()]);
                passes::apply_dropout(tokens, drop_mlp.of_range(own.clone()), mlp_grad);
                let derivative = &mut derivative[4 * own.start..4 * own.end]; // becomes the gradient of its inputs
                at.down.input_grad(parameters, product, mlp_grad, false, hidden_grad);
                passes::multiply(derivative, hidden_grad);
                at.up.input_grad(parameters, product, derivative, false, scratch);
                norms[1].backward(panel, scratch, second[0], tokens, &mut norm_grads[1]);
                norms[1].scale_and_shift(panel, second[0], second[1], &mut normed[own.clone()]);
                passes::apply_dropout(tokens, drop_attended.of_range(own), scratch);
            }
            at.down.weight_grad(product, hidden, mlp_grad, grad);
            at.up.weight_grad(product, normed, derivative, grad);
            at.out_proj.weight_grad(product, attended, scratch, grad);
            let attended_grad = &mut *mlp_grad;
            at.out_proj.input_grad(parameters, product, scratch, false, attended_grad);
            let buffers = &mut workspace.attention;
            attention_backward(shape, qkv, weights, drop_weights, attended_grad, qkv_grad, buffers);
            for (panel, own) in panels.clone() {
                let scratch = &mut scratch[own.clone()];
                for (which, layer) in at.qkv.iter().enumerate() {
                    let output_grad = &qkv_grad[which * shape.size()..][own.clone()];
                    layer.input_grad(parameters, product, output_grad, which > 0, scratch);
                }
                norms[0].backward(panel, scratch, first[0], &mut tokens[own.clone()], &mut norm_grads[0]);
                norms[0].scale_and_shift(panel, first[0], first[1], &mut normed[own]);
            }
            for (layer, output_grad) in at.qkv.iter().zip(qkv_grad.chunks_exact(shape.size())) {
                layer.weight_grad(product, normed, output_grad, grad);
            }
            for (sums, norm) in norm_grads.iter().zip(&at.norms) {
                write(sums, norm, grad);
            }
        }
        passes::apply_dropout(tokens, dropout.tokens(shape), scratch);
        layout.embed.weight_grad(product, observations, scratch, grad);
        passes::position_grad(shape, scratch, &mut grad[layout.positions.clone()]);
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
        let workspace: &mut BetWorkspace = workspace.buffers();
        assert_eq!([parameters.len(), grad.len()], [self.layout.count; 2], "the number of parameters");
        let (window, n_obs) = (self.settings.window, self.layout.embed.ends[0]);
        let shape = Shape::new(&self.settings, batch.mask.len() / window);
        let steps = shape.rows * window;
        let sizes = [batch.mask.len(), batch.observations.len(), batch.actions.len() * self.settings.buckets];
        assert_eq!(sizes, [steps, steps * n_obs, steps * self.centers.len()], "a batch of whole windows");
        workspace.resize(&shape, n_obs);
        workspace.dropout.sample(self.settings.dropout, seed, &shape);
        workspace.set_observations(&shape, batch.observations, n_obs);
        self.forward(&shape, parameters, workspace);
        let Self { settings, centers, layout } = self;
        let inputs = Inputs { layout, settings, centers, parameters, shape };
        let BetWorkspace { normed, scratch, product, heads, .. } = workspace;
        let loss = heads.loss_and_grad(&inputs, batch, normed, product, loss_fn, [scratch, grad]);
        self.backward(&shape, parameters, grad, workspace);
        loss
    }

    /// The weights of layers: not their biases, nor positions and norms.
    fn decaying(&self) -> Vec<Range<usize>> {
        self.layout.weights.clone()
    }

    fn to_network(&self, parameters: &[f32]) -> Network {
        self.with_parameters(parameters).into()
    }
}

impl BetWorkspace {
    /// Resizes the buffers for a batch. Their contents stay, but for `observations`, which become 0.
    fn resize(&mut self, shape: &Shape, n_obs: usize) {
        let (size, panels) = (shape.size(), shape.tokens() / WIDE);
        self.observations.clear();
        for (buffer, len) in [
            (&mut self.observations, n_obs * shape.tokens()),
            (&mut self.tokens, size),
            (&mut self.normed, size),
            (&mut self.scratch, size),
            (&mut self.mlp_grad, size),
            (&mut self.qkv_grad, 3 * size),
            (&mut self.hidden_grad, 4 * shape.width * WIDE),
        ] {
            buffer.resize(len, 0.0);
        }
        self.last.resize(panels, shape.width);
        self.blocks.resize_with(shape.blocks, BlockActivations::default);
        for BlockActivations { norms, qkv, weights, attended, derivative, hidden } in &mut self.blocks {
            norms.iter_mut().for_each(|norm| norm.resize(panels, shape.width));
            let sizes = [3 * size, shape.attention_weights(), size, 4 * size, 4 * size];
            for (buffer, len) in [qkv, weights, attended, derivative, hidden].into_iter().zip(sizes) {
                buffer.resize(len, 0.0);
            }
        }
    }

    /// Copies observations (`[rows, window, n_obs]`) into panels.
    fn set_observations(&mut self, shape: &Shape, observations: &[f32], n_obs: usize) {
        let of = Shape { width: n_obs, ..*shape };
        for (index, observation) in observations.chunks_exact(n_obs).enumerate() {
            let token = shape.token(index / shape.window, index % shape.window);
            let to = self.observations[of.index(token, 0)..].iter_mut().step_by(WIDE);
            to.zip(observation).for_each(|(to, x)| *to = *x);
        }
    }
}
