//! From the gradient of the proposals to that of the weights.

use kernels::Product;

use super::{
    Part, Plan,
    conv::Conv,
    net::{Kept, KeptBlock, KeptResidual, Tape, UnetRoom, add},
    norm::film_back,
    plan::Block,
};

impl Tape {
    /// Adds the gradient of the weights to `gradient`, from that of the network's output.
    pub fn back(
        &self,
        plan: &Plan,
        numbers: &[f32],
        output: Vec<f32>,
        gradient: &mut [f32],
        room: &mut UnetRoom,
    ) {
        let batch = self.film.len() / plan.film.outputs;
        let mut film_gradient = vec![0.0; self.film.len()];
        // Of each value, what is known of its gradient so far.
        let mut of_value: Vec<Option<Vec<f32>>> = vec![None; plan.parts.len() + 1];
        of_value[plan.parts.len()] = Some(output);
        for (k, (part, kept)) in plan.parts.iter().zip(&self.parts).enumerate().rev() {
            let dy = of_value[k + 1].take().expect("every value is used");
            let wanted = k > 0; // nobody asks for that of the noisy chunk
            let dx = match (part, kept) {
                (Part::Conv(conv), Kept::Conv(windows)) => {
                    convolved_back(conv, numbers, windows, &dy, gradient, wanted, &mut room.product)
                }
                (Part::Block(block), Kept::Block(kept)) => {
                    block_back(block, numbers, kept, dy, gradient, room, wanted)
                }
                (Part::Residual(of), Kept::Residual(kept)) => {
                    let KeptResidual { first, between, second, around } = &**kept;
                    let dz = block_back(&of.second, numbers, second, dy.clone(), gradient, room, true);
                    let mut dz = dz.expect("asked for");
                    let (width, row) = (2 * of.second.conv.inputs, dz.len() / batch);
                    for (((dz, y), f), df) in dz
                        .chunks_exact_mut(row)
                        .zip(between.chunks_exact(row))
                        .zip(self.film.chunks_exact(plan.film.outputs))
                        .zip(film_gradient.chunks_exact_mut(plan.film.outputs))
                    {
                        film_back(&f[of.film..][..width], y, dz, &mut df[of.film..][..width]);
                    }
                    let dx = block_back(&of.first, numbers, first, dz, gradient, room, wanted);
                    let around = match (&of.around, around) {
                        (Some(conv), Some(windows)) => {
                            convolved_back(conv, numbers, windows, &dy, gradient, wanted, &mut room.product)
                        }
                        _ => Some(dy),
                    };
                    let dx = dx.zip(around).map(|(mut dx, around)| {
                        add(&mut dx, &around);
                        dx
                    });
                    match (dx, of.skip) {
                        (Some(dx), Some(skip)) => {
                            let beside = plan_width(plan, skip);
                            let (dx, of_skip) =
                                parted(&dx, of.first.conv.inputs, of.first.conv.inputs - beside);
                            grow(&mut of_value[skip], of_skip);
                            Some(dx)
                        }
                        (dx, _) => dx,
                    }
                }
                _ => unreachable!("a part leaves what it is"),
            };
            if let Some(dx) = dx {
                grow(&mut of_value[k], dx);
            }
        }
        let product = &mut room.product;
        let back =
            convolved_back(&plan.film, numbers, &self.condition, &film_gradient, gradient, true, product);
        let mut condition = back.expect("asked for");
        multiply(&mut condition, &self.slopes[1]);
        let (time, _) = parted(&condition, plan.film.inputs, plan.widths[0]);
        let [first, second] = &self.time;
        let hidden = convolved_back(&plan.time[1], numbers, second, &time, gradient, true, product);
        let mut hidden = hidden.expect("asked for");
        multiply(&mut hidden, &self.slopes[0]);
        convolved_back(&plan.time[0], numbers, first, &hidden, gradient, false, product);
    }
}

fn convolved_back(
    conv: &Conv,
    numbers: &[f32],
    windows: &[f32],
    dy: &[f32],
    gradient: &mut [f32],
    wanted: bool,
    product: &mut Product,
) -> Option<Vec<f32>> {
    let bias = &mut gradient[conv.bias..][..conv.outputs];
    dy.chunks_exact(conv.outputs).for_each(|dy| add(bias, dy));
    conv.back(numbers, windows, dy, gradient, wanted, product)
}

fn block_back(
    Block { conv, norm }: &Block,
    numbers: &[f32],
    kept: &KeptBlock,
    mut dy: Vec<f32>,
    gradient: &mut [f32],
    room: &mut UnetRoom,
    wanted: bool,
) -> Option<Vec<f32>> {
    let row = conv.time * norm.channels;
    for (((dy, x), slope), inverse) in dy
        .chunks_exact_mut(row)
        .zip(kept.x.chunks_exact(row))
        .zip(kept.slope.chunks_exact(row))
        .zip(kept.inverse.chunks_exact(norm.channels))
    {
        norm.back(numbers, (x, slope, inverse), dy, gradient, &mut room.channels);
    }
    conv.back(numbers, &kept.windows, &dy, gradient, wanted, &mut room.product)
}

fn plan_width(plan: &Plan, value: usize) -> usize {
    match &plan.parts[value - 1] {
        Part::Residual(of) => of.second.conv.outputs,
        Part::Block(Block { conv, .. }) | Part::Conv(conv) => conv.outputs,
    }
}

fn multiply(to: &mut [f32], by: &[f32]) {
    to.iter_mut().zip(by).for_each(|(a, b)| *a *= b);
}

/// Adds a gradient to what is known of it.
fn grow(known: &mut Option<Vec<f32>>, more: Vec<f32>) {
    match known {
        Some(known) => add(known, &more),
        None => *known = Some(more),
    }
}

/// The first columns of rows of `width`, and the others.
fn parted(rows: &[f32], width: usize, first: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for row in rows.chunks_exact(width) {
        left.extend_from_slice(&row[..first]);
        right.extend_from_slice(&row[first..]);
    }
    (left, right)
}
