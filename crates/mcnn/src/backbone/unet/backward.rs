//! The backward pass: from the gradient with respect to the output to that of the parameters.

use kernels::Product;

use super::{
    Plan, Stage,
    conv::Conv,
    net::{BlockActivations, ResidualActivations, StageActivations, Tape, UnetWorkspace},
    norm::film_backward,
    plan::Block,
};
use crate::backbone::product::{add, multiply};

impl Tape {
    /// Adds the gradient of the parameters to `grad`, from that with respect to the output.
    pub fn backward(
        &self,
        plan: &Plan,
        parameters: &[f32],
        output_grad: Vec<f32>,
        grad: &mut [f32],
        workspace: &mut UnetWorkspace,
    ) {
        let batch = self.film.len() / plan.film.outputs;
        let mut film_grad = vec![0.0; self.film.len()];
        // The gradient with respect to each value, as far as it is summed.
        let mut value_grads: Vec<Option<Vec<f32>>> = vec![None; plan.stages.len() + 1];
        value_grads[plan.stages.len()] = Some(output_grad);
        for (k, (stage, saved)) in plan.stages.iter().zip(&self.stages).enumerate().rev() {
            let dy = value_grads[k + 1].take().expect("every value is used");
            let needs_input_grad = k > 0; // not for the noisy chunk
            let dx = match (stage, saved) {
                (Stage::Conv(conv), StageActivations::Conv(windows)) => convolve_backward(
                    conv,
                    parameters,
                    windows,
                    &dy,
                    grad,
                    needs_input_grad,
                    &mut workspace.product,
                ),
                (Stage::Block(block), StageActivations::Block(saved)) => {
                    block_backward(block, parameters, saved, dy, grad, workspace, needs_input_grad)
                }
                (Stage::Residual(of), StageActivations::Residual(saved)) => {
                    let ResidualActivations { first, between, second, shortcut } = &**saved;
                    let dz =
                        block_backward(&of.second, parameters, second, dy.clone(), grad, workspace, true);
                    let mut dz = dz.expect("it is needed");
                    let (width, row) = (2 * of.second.conv.inputs, dz.len() / batch);
                    for (((dz, y), f), df) in dz
                        .chunks_exact_mut(row)
                        .zip(between.chunks_exact(row))
                        .zip(self.film.chunks_exact(plan.film.outputs))
                        .zip(film_grad.chunks_exact_mut(plan.film.outputs))
                    {
                        film_backward(&f[of.film..][..width], y, dz, &mut df[of.film..][..width]);
                    }
                    let dx =
                        block_backward(&of.first, parameters, first, dz, grad, workspace, needs_input_grad);
                    let shortcut = match (&of.shortcut, shortcut) {
                        (Some(conv), Some(windows)) => convolve_backward(
                            conv,
                            parameters,
                            windows,
                            &dy,
                            grad,
                            needs_input_grad,
                            &mut workspace.product,
                        ),
                        _ => Some(dy),
                    };
                    let dx = dx.zip(shortcut).map(|(mut dx, shortcut)| {
                        add(&mut dx, &shortcut);
                        dx
                    });
                    match (dx, of.skip) {
                        (Some(dx), Some(skip)) => {
                            let skipped = value_channels(plan, skip);
                            let (dx, skip_grad) =
                                split(&dx, of.first.conv.inputs, of.first.conv.inputs - skipped);
                            accumulate(&mut value_grads[skip], skip_grad);
                            Some(dx)
                        }
                        (dx, _) => dx,
                    }
                }
                _ => unreachable!("a stage has activations of its kind"),
            };
            if let Some(dx) = dx {
                accumulate(&mut value_grads[k], dx);
            }
        }
        let product = &mut workspace.product;
        let back =
            convolve_backward(&plan.film, parameters, &self.condition, &film_grad, grad, true, product);
        let mut condition = back.expect("it is needed");
        multiply(&mut condition, &self.derivatives[1]);
        let (time, _) = split(&condition, plan.film.inputs, plan.widths[0]);
        let [first, second] = &self.time;
        let hidden = convolve_backward(&plan.time[1], parameters, second, &time, grad, true, product);
        let mut hidden = hidden.expect("it is needed");
        multiply(&mut hidden, &self.derivatives[0]);
        convolve_backward(&plan.time[0], parameters, first, &hidden, grad, false, product);
    }
}

fn convolve_backward(
    conv: &Conv,
    parameters: &[f32],
    windows: &[f32],
    dy: &[f32],
    grad: &mut [f32],
    needs_input_grad: bool,
    product: &mut Product,
) -> Option<Vec<f32>> {
    let bias = &mut grad[conv.bias..][..conv.outputs];
    dy.chunks_exact(conv.outputs).for_each(|dy| add(bias, dy));
    conv.backward(parameters, windows, dy, grad, needs_input_grad, product)
}

fn block_backward(
    Block { conv, norm }: &Block,
    parameters: &[f32],
    saved: &BlockActivations,
    mut dy: Vec<f32>,
    grad: &mut [f32],
    workspace: &mut UnetWorkspace,
    needs_input_grad: bool,
) -> Option<Vec<f32>> {
    let row = conv.time * norm.channels;
    for (((dy, x), derivative), inverse) in dy
        .chunks_exact_mut(row)
        .zip(saved.x.chunks_exact(row))
        .zip(saved.derivative.chunks_exact(row))
        .zip(saved.inverse.chunks_exact(norm.channels))
    {
        norm.backward(parameters, (x, derivative, inverse), dy, grad, &mut workspace.channels);
    }
    conv.backward(parameters, &saved.windows, &dy, grad, needs_input_grad, &mut workspace.product)
}

/// The channels of a value.
fn value_channels(plan: &Plan, value: usize) -> usize {
    match &plan.stages[value - 1] {
        Stage::Residual(of) => of.second.conv.outputs,
        Stage::Block(Block { conv, .. }) | Stage::Conv(conv) => conv.outputs,
    }
}

/// Adds to a sum of gradients.
fn accumulate(sum: &mut Option<Vec<f32>>, more: Vec<f32>) {
    match sum {
        Some(sum) => add(sum, &more),
        None => *sum = Some(more),
    }
}

/// The first columns of rows of `width`, and the others.
fn split(rows: &[f32], width: usize, first: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for row in rows.chunks_exact(width) {
        left.extend_from_slice(&row[..first]);
        right.extend_from_slice(&row[first..]);
    }
    (left, right)
}
