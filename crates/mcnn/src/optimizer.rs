//! The optimizer of policies and encoders: Adam with decoupled weight decay, gradient clipping, a learning-rate schedule and an
//! exponential moving average (EMA) of the parameters.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The constant of the denominator, PyTorch's default.
const EPSILON: f32 = 1e-8;

/// Parameters that one thread updates at a time: few enough for the cache.
const PIECE: usize = 1 << 13;

/// The default learning rate, batch size and optimizer of an architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerDefaults {
    /// Learning rate.
    pub lr: f64,
    /// Rows of a mini-batch.
    pub batch: usize,
    /// All other settings.
    pub optimizer: OptimizerSettings,
}

/// Settings of Adam with decoupled weight decay (Loshchilov and Hutter, 2019) and of the learning-rate schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Decay of the running means of the gradient and of its square, each in [0, 1).
    pub betas: [f64; 2],
    /// Weight decay per step, as a multiple of the learning rate; 0 for none.
    pub weight_decay: f64,
    /// Steps of linear warm-up from a learning rate of 0; 0 for none.
    pub warm_up: u64,
    /// Whether the learning rate falls to 0 along a half cosine. Every step then depends on the number of steps of the run.
    pub cosine: bool,
    /// Largest L2 norm of the gradient, to which a larger one is scaled down; 0 for no limit.
    pub clip: f64,
}

impl OptimizerSettings {
    /// Adam with PyTorch's defaults and a constant learning rate.
    pub const ADAM: OptimizerSettings =
        OptimizerSettings { betas: [0.9, 0.999], weight_decay: 0.0, warm_up: 0, cosine: false, clip: 0.0 };

    /// The learning rate of step `step` of `steps`, counted from 0, where `lr` is its largest value: linear warm-up, then
    /// constant, or a half cosine that reaches 0 after the last step.
    pub fn learning_rate(&self, lr: f64, steps: u64, step: u64) -> f64 {
        let Self { warm_up, cosine, .. } = *self;
        let factor = if step < warm_up {
            step as f64 / warm_up as f64
        } else if cosine {
            let progress = (step - warm_up) as f64 / (steps.saturating_sub(warm_up)).max(1) as f64;
            0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
        } else {
            1.0
        };
        lr * factor
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self::ADAM
    }
}

/// Adam's state: running means of the gradient and of its square, `[parameters]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub mean: Vec<f32>,
    /// Running mean of the gradient's square.
    pub square: Vec<f32>,
}

impl Moments {
    /// The state before the first step.
    pub fn zeros(parameters: usize) -> Self {
        Self { mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    /// Checks a state that was read from a file, as that of a network with so many parameters after `steps` steps.
    ///
    /// # Errors
    /// Another number of parameters, values that are not finite, negative squares, and a state other than 0 before the
    /// first step.
    pub fn validate(&self, parameters: usize, steps: u64) -> Result<(), &'static str> {
        let Self { mean, square } = self;
        if [mean.len(), square.len()] != [parameters; 2] {
            Err("Adam's state of a network with another number of parameters")
        } else if mean.iter().chain(square).any(|m| !m.is_finite()) || square.iter().any(|s| *s < 0.0) {
            Err("Adam's state with values that are not finite, or with negative squares")
        } else if steps == 0 && mean.iter().chain(square).any(|m| *m != 0.0) {
            Err("Adam's state before the first step that is not 0")
        } else {
            Ok(())
        }
    }
}

/// Adam (Kingma and Ba, 2015). The parameters are cut into pieces that any number of threads may share; the pieces do not depend
/// on the threads, so neither does the result.
#[derive(Debug)]
pub struct Adam {
    /// The state.
    pub moments: Moments,
    pieces: Vec<Piece>, // in order, all parameters
}

/// What a step reads and writes. Parameters may lie in several arrays; gradients and EMA lie in arrays of the same lengths.
#[derive(Debug)]
pub struct StepArrays<'a> {
    /// The parameters, updated in place.
    pub parameters: Vec<&'a mut [f32]>,
    /// One gradient or more, such as one per micro-batch. Adam uses their sum, which is left in the first.
    pub gradients: Vec<Vec<&'a mut [f32]>>,
    /// The EMA of the parameters with its decay, if there is one: `ema = decay * ema + (1 - decay) * parameters`.
    pub ema: Option<(Vec<&'a mut [f32]>, f64)>,
}

/// Consecutive parameters within one array.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    len: usize,
    decays: bool,
}

/// The factors of one step, the same for all parameters.
struct Factors {
    beta: f32,        // beta_2
    shares: [f32; 2], // 1 - beta_1, 1 - beta_2, rounded only once
    rate: f32,        // learning rate / (1 - beta_1^t)
    root: f32,        // 1 / sqrt(1 - beta_2^t)
    decay: f32,       // 1 - learning rate * weight decay
    ema_decay: f32,
}

/// The slices of all arrays that belong to one piece.
struct Slices<'a> {
    decays: bool,
    parameters: &'a mut [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    ema: &'a mut [f32],
    gradients: Vec<&'a mut [f32]>,
}

impl Adam {
    /// For parameters in arrays of these lengths, from a given state. `decaying` are the parameters that weight decay applies
    /// to, as ascending ranges of places in all arrays one after another.
    ///
    /// # Panics
    /// If the state has another number of parameters.
    pub fn new(lengths: &[usize], decaying: &[Range<usize>], moments: Moments) -> Self {
        let parameters: usize = lengths.iter().sum();
        assert_eq!([moments.mean.len(), moments.square.len()], [parameters; 2], "Adam's state");
        Self { moments, pieces: pieces(lengths, decaying) }
    }

    /// Takes step `step`, counted from 0, with learning rate `lr`, then updates the EMA. Costs one pass over all arrays, or two
    /// with gradient clipping.
    ///
    /// # Panics
    /// If the arrays do not have the lengths that [`new`](Self::new) was given, or there is no gradient.
    pub fn step(&mut self, settings: &OptimizerSettings, lr: f64, step: u64, arrays: StepArrays) {
        let OptimizerSettings { betas, weight_decay, clip, .. } = *settings;
        let [first, second] = betas.map(|beta| 1.0 - beta.powf((step + 1) as f64));
        let factors = Factors {
            beta: betas[1] as f32,
            shares: betas.map(|beta| (1.0 - beta) as f32),
            rate: (lr / first) as f32,
            root: (1.0 / second.sqrt()) as f32,
            decay: (1.0 - lr * weight_decay) as f32,
            ema_decay: arrays.ema.as_ref().map_or(0.0, |(_, decay)| *decay as f32),
        };
        let mut slices = self.slices(arrays);
        if clip == 0.0 {
            for_each_piece(&mut slices, |slices| {
                slices.sum_gradients();
                slices.update(&factors, 1.0);
            });
            return;
        }
        for_each_piece(&mut slices, |slices| slices.sum_gradients());
        // Summed by pieces in their order, so that the norm does not depend on the threads.
        let norm = slices.iter().map(Slices::squared_norm).sum::<f64>().sqrt();
        // 1e-6 as in PyTorch's `clip_grad_norm_`.
        let scale = (clip / (norm + 1e-6)).min(1.0) as f32;
        for_each_piece(&mut slices, |slices| slices.update(&factors, scale));
    }

    fn slices<'a>(&'a mut self, arrays: StepArrays<'a>) -> Vec<Slices<'a>> {
        let mut parameters = Cursor::new(arrays.parameters);
        let mut gradients: Vec<Cursor> = arrays.gradients.into_iter().map(Cursor::new).collect();
        let mut ema = arrays.ema.map(|(ema, _)| Cursor::new(ema));
        let Moments { mean, square } = &mut self.moments;
        let (mut mean, mut square) = (Cursor::new(vec![mean]), Cursor::new(vec![square]));
        let slices = self.pieces.iter().map(|&Piece { len, decays }| Slices {
            decays,
            parameters: parameters.take(len),
            mean: mean.take(len),
            square: square.take(len),
            ema: ema.as_mut().map_or(&mut [][..], |ema| ema.take(len)),
            gradients: gradients.iter_mut().map(|gradient| gradient.take(len)).collect(),
        });
        slices.collect()
    }
}

/// Hands out consecutive slices of arrays, from the first place on.
struct Cursor<'a> {
    current: &'a mut [f32],
    rest: std::vec::IntoIter<&'a mut [f32]>,
}

impl<'a> Cursor<'a> {
    fn new(arrays: Vec<&'a mut [f32]>) -> Self {
        Self { current: &mut [], rest: arrays.into_iter() }
    }

    /// The next `len` values, all of one array; `len` is 1 or more.
    fn take(&mut self, len: usize) -> &'a mut [f32] {
        while self.current.is_empty() {
            self.current = self.rest.next().expect("as many parameters as Adam was made for");
        }
        self.current.split_off_mut(..len).expect("arrays of the lengths that Adam was made for")
    }
}

/// Calls `act` for every piece, on the threads of the current rayon pool if there are several.
fn for_each_piece(slices: &mut [Slices], act: impl Fn(&mut Slices) + Sync + Send) {
    if rayon::current_num_threads() > 1 {
        slices.par_iter_mut().for_each(act);
    } else {
        slices.iter_mut().for_each(act);
    }
}

impl Slices<'_> {
    /// Adds all other gradients to the first.
    fn sum_gradients(&mut self) {
        let (sum, others) = self.gradients.split_first_mut().expect("one gradient or more");
        for other in others {
            Arch::new().dispatch(|| sum.iter_mut().zip(&**other).for_each(|(s, g)| *s += g));
        }
    }

    fn squared_norm(&self) -> f64 {
        self.gradients[0].iter().map(|g| f64::from(*g).powi(2)).sum()
    }

    /// Updates state, parameters and EMA by `scale` times the gradient.
    fn update(&mut self, factors: &Factors, scale: f32) {
        let Factors { beta, shares: [first, second], rate, root, ema_decay, .. } = *factors;
        let decay = if self.decays { factors.decay } else { 1.0 };
        let parameters = self.parameters.iter_mut().zip(&*self.gradients[0]);
        let moments = self.mean.iter_mut().zip(self.square.iter_mut());
        Arch::new().dispatch(|| {
            for ((w, g), (m, v)) in parameters.zip(moments) {
                let g = scale * g;
                *m += first * (g - *m);
                *v = beta * *v + second * g * g;
                *w = decay * *w - rate * *m / (root * v.sqrt() + EPSILON);
            }
        });
        let ema = self.ema.iter_mut().zip(&*self.parameters);
        Arch::new().dispatch(|| ema.for_each(|(a, w)| *a = ema_decay * *a + (1.0 - ema_decay) * w));
    }
}

/// Cuts arrays, of which weight decay applies to some ranges, into pieces.
fn pieces(lengths: &[usize], decaying: &[Range<usize>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |len: usize, decays: bool| {
        let cut = (0..len).step_by(PIECE).map(|at| Piece { len: PIECE.min(len - at), decays });
        pieces.extend(cut);
    };
    let mut start = 0;
    for &len in lengths {
        let end = start + len;
        let first = start;
        let inside = decaying.iter().map(|range| range.start.max(first)..range.end.min(end));
        for range in inside.filter(|range| !range.is_empty()) {
            add(range.start - start, false);
            add(range.len(), true);
            start = range.end;
        }
        add(end - start, false);
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_parameters_and_decay_exactly_the_given_ranges() {
        let ranges = [2..3, 10..PIECE + 11, 2 * PIECE..2 * PIECE + 5];
        for lengths in [&[3 * PIECE][..], &[2, 0, 1, 2 * PIECE - 3, PIECE], &[12, PIECE, 2 * PIECE - 12]] {
            let pieces = pieces(lengths, &ranges);
            let decays = pieces.iter().flat_map(|piece| std::iter::repeat_n(piece.decays, piece.len));
            let expected = (0..3 * PIECE).map(|k| ranges.iter().any(|range| range.contains(&k)));
            assert!(decays.eq(expected), "{lengths:?}");
            assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len)), "{lengths:?}");
            let mut ends = pieces.iter().scan(0, |end, piece| {
                *end += piece.len;
                Some(*end)
            });
            let mut end = 0;
            for len in lengths.iter().filter(|len| **len > 0) {
                end += len;
                assert!(ends.any(|e| e == end), "a piece crosses the end of an array of {lengths:?}");
            }
        }
    }

    #[test]
    fn several_arrays_are_updated_as_one_array_would_be() {
        let settings = OptimizerSettings { weight_decay: 0.1, clip: 0.5, ..OptimizerSettings::ADAM };
        let run = |lengths: &[usize]| {
            let n: usize = lengths.iter().sum();
            let values = |k: usize| (0..n).map(|i| ((7 * i + k) % 11) as f32 - 5.0).collect::<Vec<_>>();
            let (mut parameters, mut ema) = (values(0), values(1));
            let mut adam = Adam::new(lengths, &[1..4, 6..9], Moments::zeros(n));
            for step in 0..3 {
                let mut gradients = [2, 3].map(|k| values(k + step as usize));
                let split = |array| {
                    let mut cursor = Cursor::new(vec![array]);
                    lengths.iter().map(|&len| cursor.take(len)).collect::<Vec<_>>()
                };
                let gradients = gradients.iter_mut().map(|gradient| split(gradient)).collect();
                let arrays = StepArrays {
                    parameters: split(&mut parameters),
                    gradients,
                    ema: Some((split(&mut ema), 0.9)),
                };
                adam.step(&settings, 0.01, step, arrays);
            }
            (parameters, ema, adam.moments)
        };
        assert_eq!(run(&[10]), run(&[1, 2, 4, 3]));
        assert_ne!(run(&[10]).0, (0..10).map(|i| ((7 * i) % 11) as f32 - 5.0).collect::<Vec<_>>());
    }

    #[test]
    fn the_learning_rate_rises_and_falls_as_stated() {
        let rate = |warm_up, cosine, step| {
            OptimizerSettings { warm_up, cosine, ..OptimizerSettings::ADAM }.learning_rate(2.0, 110, step)
        };
        assert_eq!(rate(0, false, 77), 2.0);
        assert_eq!([0, 5, 50].map(|step| rate(10, false, step)), [0.0, 1.0, 2.0]);
        assert_eq!([5, 10].map(|step| rate(10, true, step)), [1.0, 2.0]);
        assert!((rate(10, true, 60) - 1.0).abs() < 1e-12 && rate(10, true, 110) < 1e-12);
        let quarter = 10 + 100 / 4;
        assert!((rate(10, true, quarter) - (1.0 + 0.5_f64.sqrt())).abs() < 1e-12);
    }
}
