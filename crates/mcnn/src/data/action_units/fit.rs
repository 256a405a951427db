//! The units that fit recorded actions.

use std::{borrow::Cow, cmp::Ordering};

use super::{ActionScale, ActionSettings, ActionUnits, ROUNDING};
use crate::{
    data::{DimensionNames, Parts, angles, raw::RawSteps},
    error::{Error, Kind, Result},
};

/// The share of values below the lower and above the upper bound of [`ActionScale::Quantile`].
const TAIL: f64 = 0.01;

impl ActionUnits {
    /// The units of recorded actions, by the settings. Identity if the actions are used as they are.
    ///
    /// # Errors
    /// Relative actions without names that match, or to dimensions that do not exist; a scale of `None` for relative actions.
    pub fn fit(parts: &Parts, names: &DimensionNames, settings: &ActionSettings) -> Result<Self> {
        Self::fit_steps(parts, names, settings)
    }

    /// The same of steps that are read piece by piece.
    pub(in crate::data) fn fit_steps(
        steps: &dyn RawSteps,
        names: &DimensionNames,
        settings: &ActionSettings,
    ) -> Result<Self> {
        let [n_obs, n_act] = steps.widths();
        let angles = angles::resolve(&settings.angles, steps, names)?;
        let relative_to = settings.relative_to.resolve([n_obs, n_act], names)?;
        let is_relative = relative_to.iter().any(Option::is_some);
        let inside = || {
            let mut inside = true;
            steps.each_actions(&mut |actions| inside &= actions.iter().all(|a| a.abs() <= 1.0));
            inside
        };
        let scale = match settings.scale {
            ActionScale::Auto if !is_relative && inside() => ActionScale::None,
            ActionScale::Auto => ActionScale::Range,
            ActionScale::None if is_relative => {
                return Err(Error::new(Kind::Settings, "relative actions are always scaled")
                    .at("--action-scale none")
                    .expected("range or quantile"));
            }
            scale => scale,
        };
        if scale == ActionScale::None {
            return Ok(Self { angles, ..Self::default() });
        }
        let relative_to = if is_relative { relative_to } else { Vec::new() };
        let (center, half) = (vec![0.0; n_act], vec![1.0; n_act]);
        let mut unscaled = Self { center, half, relative_to, angles, turn_centers: Vec::new() };
        unscaled.turn_centers = unscaled.turns_of(steps);
        let pieces = steps.pieces();
        let last = pieces.last().map_or(0, |steps| steps.end - 1);
        let cut = if scale == ActionScale::Quantile { (TAIL * last as f64).floor() as usize } else { 0 };
        let mut bounds = vec![Bounds::new(cut); n_act];
        let mut largest = vec![0.0_f32; n_act];
        for piece in pieces {
            let mut actions = steps.raw_actions(piece.clone()).into_owned();
            for row in actions.chunks_exact(n_act) {
                largest.iter_mut().zip(row).for_each(|(m, a)| *m = m.max(a.abs()));
            }
            let states =
                if unscaled.relative_to.is_empty() { Cow::default() } else { steps.raw_states(piece) };
            unscaled.to_scaled(&states, n_obs, &mut actions);
            for row in actions.chunks_exact(n_act) {
                bounds.iter_mut().zip(row).for_each(|(bounds, v)| bounds.add(*v));
            }
        }
        let (mut center, mut half) = (Vec::new(), Vec::new());
        for (bounds, largest) in bounds.into_iter().zip(largest) {
            // In 64 bits: the largest floats would overflow.
            let [low, high] = bounds.values().map(f64::from);
            let is_constant = high - low <= 4.0 * f64::from(f32::EPSILON * largest);
            center.push(((low + high) / 2.0) as f32);
            half.push(if is_constant { 0.0 } else { ((high - low) / 2.0) as f32 });
        }
        Ok(Self { center, half, ..unscaled })
    }

    /// The middle of the turn of recorded actions, by dimension: 0 where all are in [-P/2, P/2], P/2 where all are in [0, P], else the
    /// middle of their range. Empty if no action is relative to an angle.
    fn turns_of(&self, steps: &dyn RawSteps) -> Vec<f32> {
        let n_act = self.center.len();
        if (0..n_act).all(|k| self.period(k).is_none()) {
            return Vec::new();
        }
        let mut limits = vec![[f32::INFINITY, f32::NEG_INFINITY]; n_act];
        steps.each_actions(&mut |actions| {
            for row in actions.chunks_exact(n_act) {
                limits.iter_mut().zip(row).for_each(|([low, high], &v)| {
                    (*low, *high) = (low.min(v), high.max(v));
                });
            }
        });
        let of = |(k, [low, high]): (usize, [f32; 2])| {
            let Some(period) = self.period(k) else { return 0.0 };
            let within = |center: f64| {
                let far = period / 2.0 * (1.0 + f64::from(ROUNDING));
                f64::from(low) >= center - far && f64::from(high) <= center + far
            };
            let usual = [0.0, period / 2.0].into_iter().find(|center| within(*center));
            usual.unwrap_or_else(|| f64::midpoint(f64::from(low), f64::from(high))) as f32
        };
        limits.into_iter().enumerate().map(of).collect()
    }
}

/// The bounds of the values of one dimension without the `cut` smallest and the `cut` largest: no more values are kept than may be those.
#[derive(Debug, Clone)]
struct Bounds {
    cut: usize,
    lowest: Vec<f32>,
    highest: Vec<f32>,
}

impl Bounds {
    fn new(cut: usize) -> Self {
        Self { cut, lowest: Vec::new(), highest: Vec::new() }
    }

    fn add(&mut self, value: f32) {
        let descending = |a: &f32, b: &f32| b.total_cmp(a);
        keep(&mut self.lowest, value, self.cut, f32::total_cmp);
        keep(&mut self.highest, value, self.cut, descending);
    }

    /// The bounds. At least one value was added.
    fn values(mut self) -> [f32; 2] {
        let cut = self.cut;
        let low = *self.lowest.select_nth_unstable_by(cut, f32::total_cmp).1;
        let high = *self.highest.select_nth_unstable_by(cut, |a, b| b.total_cmp(a)).1;
        [low, high]
    }
}

/// Adds a value to those of which the first `cut + 1` in an order are wanted. Once there are as many, position
/// `cut` has the last of those that were wanted when they were last put in order: no later one can be.
fn keep(values: &mut Vec<f32>, value: f32, cut: usize, order: impl Fn(&f32, &f32) -> Ordering + Copy) {
    if values.len() > cut && order(&value, &values[cut]) != Ordering::Less {
        return;
    }
    values.push(value);
    if values.len() == cut + 1 || values.len() > 2 * cut + 1 {
        values.select_nth_unstable_by(cut, order);
        values.truncate(cut + 1);
    }
}
