//! What moves the weights: Adam with decoupled weight decay, limits on gradients, and the course of the learning rate.

use std::ops::Range;

use rayon::prelude::*;

use super::TrainSettings;
use crate::backbone::{Net, Optimizer, vectors};

/// PyTorch's.
const EPSILON: f32 = 1e-8;

/// Numbers of a network that one thread takes at a time: few enough for a cache.
const PIECE: usize = 1 << 13;

/// Running means of gradients and of their squares, for every number of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of gradients.
    pub mean: Vec<f32>,
    /// Of their squares.
    pub square: Vec<f32>,
}

impl Moments {
    /// Before the first step.
    pub fn zeros(n: usize) -> Self {
        Self { mean: vec![0.0; n], square: vec![0.0; n] }
    }

    /// What is wrong with them as those of `n` numbers after `step` steps, if anything is.
    pub fn fault(&self, n: usize, step: u64) -> Option<&'static str> {
        let Self { mean, square } = self;
        if [mean.len(), square.len()] != [n, n] {
            Some("moments of another network")
        } else if mean.iter().chain(square).any(|m| !m.is_finite()) || square.iter().any(|s| *s < 0.0) {
            Some("moments that are no means of gradients and squares")
        } else if step == 0 && mean.iter().chain(square).any(|m| *m != 0.0) {
            Some("moments of before the first step that are not 0")
        } else {
            None
        }
    }
}

/// Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019), in pieces that any number of threads
/// may share.
#[derive(Debug)]
pub struct Adam {
    pub moments: Moments,
    pieces: Vec<Piece>, // one after the other, all numbers
}

/// Numbers that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    len: usize,
    decays: bool,
}

/// What a step does to every number.
struct Step {
    betas: [f32; 2],
    rate: f32, // the learning rate over 1 - beta_1^t
    root: f32, // 1 over the root of 1 - beta_2^t
    kept: f32, // of a number that decays
    average: f32,
}

/// The parts of all arrays that belong to a piece.
struct Slices<'a> {
    piece: Piece,
    numbers: &'a mut [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    average: &'a mut [f32],
    gradients: Vec<&'a mut [f32]>,
}

impl Adam {
    /// For a network, from given moments.
    pub fn new(net: &Net, moments: Moments) -> Self {
        Self { moments, pieces: pieces(net.parameters().len(), &net.decaying()) }
    }

    /// Takes a step, the one after `step` others, against the sum of some gradients, which is left in the first of them; and
    /// moves the running mean of the numbers, where one is kept, after them: it keeps a share of itself.
    pub fn step(
        &mut self,
        settings: &TrainSettings,
        step: u64,
        net: &mut Net,
        gradients: Vec<&mut [f32]>,
        average: Option<(&mut [f32], f64)>,
    ) {
        let Optimizer { betas, weight_decay, clip, .. } = settings.optimizer;
        let [first, second] = betas.map(|beta| 1.0 - beta.powf((step + 1) as f64));
        let lr = rate(settings, step);
        let (average, share) = match average {
            Some((average, share)) => (average, share),
            None => (&mut [][..], 0.0),
        };
        let of_step = Step {
            betas: betas.map(|beta| beta as f32),
            rate: (lr / first) as f32,
            root: (1.0 / second.sqrt()) as f32,
            kept: (1.0 - lr * weight_decay) as f32,
            average: share as f32,
        };
        let mut slices = self.slices(net.parameters_mut(), gradients, average);
        if clip == 0.0 {
            each(&mut slices, |slices| {
                slices.add_up();
                slices.step(&of_step, 1.0);
            });
            return;
        }
        each(&mut slices, |slices| slices.add_up());
        // Piece by piece, so that the sum is the same on any number of threads.
        let norm = slices.iter().map(Slices::squares).sum::<f64>().sqrt();
        // As PyTorch's `clip_grad_norm_` does, 1e-6 is added to the norm.
        let factor = (clip / (norm + 1e-6)).min(1.0) as f32;
        each(&mut slices, |slices| slices.step(&of_step, factor));
    }

    fn slices<'a>(
        &'a mut self,
        mut numbers: &'a mut [f32],
        mut gradients: Vec<&'a mut [f32]>,
        mut average: &'a mut [f32],
    ) -> Vec<Slices<'a>> {
        let (mut mean, mut square) = (&mut self.moments.mean[..], &mut self.moments.square[..]);
        let averaged = !average.is_empty();
        self.pieces
            .iter()
            .map(|&piece| {
                let n = piece.len;
                Slices {
                    piece,
                    numbers: numbers.split_off_mut(..n).expect("a piece"),
                    mean: mean.split_off_mut(..n).expect("a piece"),
                    square: square.split_off_mut(..n).expect("a piece"),
                    average: average.split_off_mut(..if averaged { n } else { 0 }).expect("a piece"),
                    gradients: gradients.iter_mut().map(|g| g.split_off_mut(..n).expect("a piece")).collect(),
                }
            })
            .collect()
    }
}

/// Does something with every piece, on the threads of rayon's pool if it has several.
fn each(slices: &mut [Slices], act: impl Fn(&mut Slices) + Sync + Send) {
    if rayon::current_num_threads() > 1 {
        slices.par_iter_mut().for_each(act);
    } else {
        slices.iter_mut().for_each(act);
    }
}

impl Slices<'_> {
    /// Adds the other gradients to the first.
    fn add_up(&mut self) {
        let (sum, others) = self.gradients.split_first_mut().expect("one gradient or more");
        for other in others {
            vectors(|| sum.iter_mut().zip(&**other).for_each(|(s, g)| *s += g));
        }
    }

    fn squares(&self) -> f64 {
        self.gradients[0].iter().map(|g| f64::from(*g).powi(2)).sum()
    }

    fn step(&mut self, step: &Step, factor: f32) {
        let Step { betas: [first, second], rate, root, .. } = *step;
        let kept = if self.piece.decays { step.kept } else { 1.0 };
        let numbers = self.numbers.iter_mut().zip(&*self.gradients[0]);
        let moments = self.mean.iter_mut().zip(self.square.iter_mut());
        vectors(|| {
            for ((w, g), (m, v)) in numbers.zip(moments) {
                let g = factor * g;
                *m = first * *m + (1.0 - first) * g;
                *v = second * *v + (1.0 - second) * g * g;
                *w = kept * *w - rate * *m / (root * v.sqrt() + EPSILON);
            }
        });
        let share = step.average;
        let averages = self.average.iter_mut().zip(&*self.numbers);
        vectors(|| averages.for_each(|(a, w)| *a = share * *a + (1.0 - share) * w));
    }
}

/// Cuts `n` numbers, of which some ranges decay, into pieces.
fn pieces(n: usize, decaying: &[Range<usize>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |len: usize, decays: bool| {
        let whole = (0..len).step_by(PIECE).map(|at| Piece { len: PIECE.min(len - at), decays });
        pieces.extend(whole);
    };
    let mut end = 0;
    for range in decaying {
        add(range.start - end, false);
        add(range.len(), true);
        end = range.end;
    }
    add(n - end, false);
    pieces
}

/// The learning rate of a step, counted from 0: it rises in a straight line over the steps of warm-up, and where it is to,
/// falls along a half cosine that reaches 0 after the last step.
pub fn rate(settings: &TrainSettings, step: u64) -> f64 {
    let Optimizer { warm_up, cosine, .. } = settings.optimizer;
    let share = if step < warm_up {
        step as f64 / warm_up as f64
    } else if cosine {
        let done = (step - warm_up) as f64 / (settings.steps.saturating_sub(warm_up)).max(1) as f64;
        0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    } else {
        1.0
    };
    settings.lr * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_numbers_and_decay_where_they_are_to() {
        let ranges = [2..3, 10..PIECE + 11, 2 * PIECE..2 * PIECE + 5];
        let decays: Vec<bool> = pieces(3 * PIECE, &ranges)
            .into_iter()
            .inspect(|piece| assert!(piece.len <= PIECE))
            .flat_map(|piece| std::iter::repeat_n(piece.decays, piece.len))
            .collect();
        let expected = (0..3 * PIECE).map(|k| ranges.iter().any(|range| range.contains(&k)));
        assert!(decays.into_iter().eq(expected));
    }

    #[test]
    fn the_learning_rate_rises_and_falls_as_stated() {
        let with = |warm_up, cosine| TrainSettings {
            lr: 2.0,
            steps: 110,
            optimizer: Optimizer { warm_up, cosine, ..Optimizer::ADAM },
            ..TrainSettings::default()
        };
        assert_eq!(rate(&with(0, false), 77), 2.0);
        assert_eq!(
            (rate(&with(10, false), 0), rate(&with(10, false), 5), rate(&with(10, false), 50)),
            (0.0, 1.0, 2.0)
        );
        let course = with(10, true);
        assert_eq!((rate(&course, 5), rate(&course, 10)), (1.0, 2.0));
        assert!((rate(&course, 60) - 1.0).abs() < 1e-12 && rate(&course, 110) < 1e-12);
        let third = 10 + 100 / 4;
        assert!((rate(&course, third) - (1.0 + 0.5_f64.sqrt())).abs() < 1e-12);
    }
}
