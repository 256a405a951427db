//! The units of actions: actions of any range, absolute or relative to the state, as actions in [-1, 1] and back.
//!
//! Everything that learns, searches or constrains sees actions in [-1, 1]. Readers bring recorded actions there, and a policy's
//! session brings its actions back.

mod fit;
mod settings;

use super::{Angle, DimensionNames, angles};
use crate::error::{Error, Kind, Result};
pub use settings::{ActionScale, ActionSettings, RelativeTo, Units};

/// Scaled values up to this far beyond 1 are rounding errors.
const ROUNDING: f32 = 1e-5;

/// The units of actions. An action in the data's units is b + c + h a, where a is the action in [-1, 1], c and h are the center and half
/// the range of its dimension, and b is the state's value that it is relative to, or 0.
///
/// The units also say which dimensions of the state are angles. An action relative to one is a difference of angles, in (-P/2, P/2] where
/// P is a full turn, and in the data's units it is brought to the turn that recorded actions lie in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActionUnits {
    center: Vec<f32>,                // [n_act]; empty if actions are in [-1, 1] as they are
    half: Vec<f32>,                  // [n_act]; 0 for a dimension that does not vary
    relative_to: Vec<Option<usize>>, // [n_act], dimensions of the state; empty if all actions are absolute
    angles: Vec<Angle>,              // of the state, in ascending order
    turn_centers: Vec<f32>, // [n_act], the middle of the turn of recorded angles; empty if no action is relative to an angle
}

impl ActionUnits {
    /// Units with these centers and halves of ranges: `[n_act]` both, or empty for actions that are in [-1, 1] as they are. `relative_to`:
    /// `[n_act]` dimensions of the state, or empty.
    ///
    /// # Errors
    /// Lengths that differ, values that are not finite, negative halves, actions relative to dimensions that do not exist.
    pub fn new(
        center: Vec<f32>,
        half: Vec<f32>,
        relative_to: Vec<Option<usize>>,
        [n_obs, n_act]: [usize; 2],
    ) -> Result<Self> {
        let error = |what: &str| Err(Error::new(Kind::Data, what).at("the units of actions"));
        let is_length = |n: usize| n == n_act || n == 0;
        if center.len() != half.len()
            || !is_length(center.len())
            || !is_length(relative_to.len())
            || relative_to.len() > center.len()
        {
            return error("their lengths do not fit the dimensions of the action");
        }
        if !center.iter().chain(&half).all(|v| v.is_finite()) || half.iter().any(|h| *h < 0.0) {
            return error("a center or half range that is NaN, infinite or negative");
        }
        if relative_to.iter().flatten().any(|k| *k >= n_obs) {
            return error("an action is relative to a dimension that the state does not have");
        }
        Ok(Self { center, half, relative_to, ..Self::default() })
    }

    /// The same units, where these dimensions of the state are angles. `turn_centers`: `[n_act]`, the middle of the turn that actions in
    /// the data's units are brought to, of dimensions that are relative to an angle; empty if there are none.
    ///
    /// # Errors
    /// Angles that do not exist or are not in ascending order; turn centers of another number than is needed, or not finite.
    pub fn with_angles(self, angles: Vec<Angle>, turn_centers: Vec<f32>, n_obs: usize) -> Result<Self> {
        let error = |what: &str| Err(Error::new(Kind::Data, what).at("the angles of the state"));
        let is_ascending = angles.array_windows().all(|[a, b]| a.dimension < b.dimension);
        if !is_ascending || angles.last().is_some_and(|last| last.dimension >= n_obs) {
            return error("they are no dimensions of the state in ascending order");
        }
        let units = Self { angles, turn_centers, ..self };
        let turns = (0..units.relative_to.len()).any(|k| units.period(k).is_some());
        let expected = if turns { units.relative_to.len() } else { 0 };
        if units.turn_centers.len() != expected || !units.turn_centers.iter().all(|c| c.is_finite()) {
            return error("the turns of actions do not fit the dimensions of the action");
        }
        Ok(units)
    }

    /// The dimensions of the state that are angles, in ascending order.
    pub fn angles(&self) -> &[Angle] {
        &self.angles
    }

    /// The middle of the turn that actions in the data's units are brought to: `[n_act]`, or empty if no action is relative to an angle.
    pub fn turn_centers(&self) -> &[f32] {
        &self.turn_centers
    }

    /// A full turn of dimension `k` of the action, if it is relative to an angle.
    pub fn period(&self, k: usize) -> Option<f64> {
        let of = self.relative_to.get(k).copied().flatten()?;
        self.angles.iter().find(|angle| angle.dimension == of).map(|angle| angle.unit.period())
    }

    /// Whole turns, in the data's units, that bring dimension `k` of an action there to the turn of recorded actions; 0 unless it is
    /// relative to an angle. Bounds of a box are moved by those of the action in it.
    pub fn turns(&self, k: usize, value: f32) -> f32 {
        let Some((period, center)) = self.period(k).zip(self.turn_centers.get(k)) else { return 0.0 };
        (nearest_turn(f64::from(value) - f64::from(*center), period)
            - (f64::from(value) - f64::from(*center))) as f32
    }

    /// Whether actions are in [-1, 1] as they are.
    pub fn is_identity(&self) -> bool {
        self.center.is_empty()
    }

    /// Center and half range of each dimension, `[n_act]`; empty for identity.
    pub fn scales(&self) -> [&[f32]; 2] {
        [&self.center, &self.half]
    }

    /// The dimension of the state that each dimension of the action is relative to; empty if all are absolute.
    pub fn relative_to(&self) -> &[Option<usize>] {
        &self.relative_to
    }

    /// Writes what actions at an observation are relative to (`[n_act]`), 0 for absolute dimensions. Does nothing if all are absolute:
    /// then `base` may be empty.
    pub fn write_base(&self, observation: &[f32], base: &mut [f32]) {
        for (to, from) in base.iter_mut().zip(&self.relative_to) {
            *to = from.map_or(0.0, |k| observation[k]);
        }
    }

    /// Converts dimension `k` of an action from [-1, 1] to the data's units, without [`turns`](Self::turns). `base`: of
    /// [`write_base`](Self::write_base), or empty.
    pub fn to_data(&self, k: usize, action: f32, base: &[f32]) -> f32 {
        if self.is_identity() {
            return action;
        }
        base.get(k).unwrap_or(&0.0) + (self.center[k] + self.half[k] * action)
    }

    /// The same with turns: what a policy's action is.
    pub fn action_value(&self, k: usize, action: f32, base: &[f32]) -> f32 {
        let value = self.to_data(k, action, base);
        value + self.turns(k, value)
    }

    /// The length in the data's units of a length in [-1, 1] along dimension `k`.
    pub fn length_to_data(&self, k: usize, length: f32) -> f32 {
        if self.is_identity() { length } else { self.half[k] * length }
    }

    /// The action, `[n_act]`, of a state in the data's units.
    pub fn action_to_data(&self, action: &[f32], observation: &[f32]) -> Vec<f32> {
        let mut base = vec![0.0; self.relative_to.len()];
        self.write_base(observation, &mut base);
        action.iter().enumerate().map(|(k, &a)| self.action_value(k, a, &base)).collect()
    }

    /// Converts actions, `[n_steps, n_act]`, of states, `[n_steps, n_obs]` (not used if all actions are absolute), from the data's units. Those of the data that the units were
    /// fitted to are in [-1, 1] afterwards; others may not be.
    pub fn to_scaled(&self, states: &[f32], n_obs: usize, actions: &mut [f32]) {
        if self.is_identity() {
            return;
        }
        let mut base = vec![0.0; self.center.len()];
        for (i, action) in actions.chunks_exact_mut(self.center.len()).enumerate() {
            if !self.relative_to.is_empty() {
                self.write_base(&states[i * n_obs..][..n_obs], &mut base);
            }
            for (k, a) in action.iter_mut().enumerate() {
                let (center, half) = (f64::from(self.center[k]), f64::from(self.half[k]));
                let difference = f64::from(*a) - f64::from(base[k]);
                let offset = match self.period(k) {
                    Some(period) => nearest_turn(difference, period) - center,
                    None => difference - center,
                };
                let size = f64::from(a.abs() + base[k].abs() + self.center[k].abs());
                *a = match (offset / half) as f32 {
                    // A dimension that did not vary. Another value is outside.
                    _ if half == 0.0 && offset.abs() <= f64::from(ROUNDING) * size => 0.0,
                    _ if half == 0.0 => 2.0 * offset.signum() as f32,
                    scaled if scaled.abs() <= 1.0 + ROUNDING => scaled.clamp(-1.0, 1.0),
                    scaled => scaled,
                };
            }
        }
    }

    /// The angles of the state in a few words, a line for each.
    pub fn describe_angles(&self, names: &DimensionNames) -> Vec<String> {
        angles::describe(&self.angles, names)
    }

    /// Subtracts from actions, `[n_steps, n_act]`, in the data's units what they are relative to. Of angles it is the smallest difference.
    pub(super) fn subtract_base(&self, states: &[f32], n_obs: usize, actions: &mut [f32]) {
        let rows = actions.chunks_exact_mut(self.relative_to.len().max(1)).zip(states.chunks_exact(n_obs));
        for (action, state) in rows {
            for (k, (a, from)) in action.iter_mut().zip(&self.relative_to).enumerate() {
                let Some(from) = from else { continue };
                let difference = f64::from(*a) - f64::from(state[*from]);
                *a = self.period(k).map_or(difference, |period| nearest_turn(difference, period)) as f32;
            }
        }
    }

    /// The units in a few words, a line for each dimension; empty for identity.
    pub fn describe(&self, names: &DimensionNames) -> Vec<String> {
        let name = |names: &Option<Vec<String>>, k: usize| match names.as_ref().and_then(|names| names.get(k))
        {
            Some(name) => format!("{k} {name}"),
            None => k.to_string(),
        };
        let line = |k: usize| {
            let (center, half) = (self.center[k], self.half[k]);
            let relative = self.relative_to.get(k).copied().flatten();
            let relative = relative
                .map_or(String::new(), |i| format!(", relative to state {}", name(&names.state_names, i)));
            let range = match half {
                0.0 => format!("always {center}"),
                _ => format!("{} to {}", center - half, center + half),
            };
            format!("action {}: {range}{relative}", name(&names.action_names, k))
        };
        (0..self.center.len()).map(line).collect()
    }
}

/// An angle in (-P/2, P/2], where P is a full turn.
fn nearest_turn(angle: f64, period: f64) -> f64 {
    let turned = angle - period * (angle / period - 0.5).ceil();
    // Half a turn rounded to 32 bits may be a little less than it.
    if turned <= -0.5 * period * (1.0 - f64::from(f32::EPSILON)) { turned + period } else { turned }
}

#[cfg(test)]
mod tests;
