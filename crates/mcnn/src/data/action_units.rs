//! The units of actions: actions of any range, absolute or relative to the state, as actions in [-1, 1] and back.
//!
//! Everything that learns, searches or constrains sees actions in [-1, 1]. Readers bring recorded actions there, and a policy's
//! session brings its actions back.

use super::{Angle, AngleChoice, DimensionNames, Parts, angles};
use crate::error::{Error, Kind, Result};

/// How each dimension of an action in the data's units is scaled to [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionScale {
    /// Not at all if every action is in [-1, 1] and absolute; else by its range.
    #[default]
    Auto,
    /// Not at all: actions must be in [-1, 1].
    None,
    /// By its smallest and largest value.
    Range,
    /// By its 1 % and 99 % quantiles; what is outside is clipped.
    Quantile,
}

/// What recorded actions are relative to when a policy learns them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RelativeTo {
    /// Nothing: actions are learned as they are recorded.
    #[default]
    Absolute,
    /// The state's dimension of the same name; an action without one stays absolute.
    SameName,
    /// For each dimension of the action, the dimension of the state; `None` stays absolute.
    Dimensions(Vec<Option<usize>>),
}

/// How actions are scaled when demonstrations are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionSettings {
    /// The scale of each dimension.
    pub scale: ActionScale,
    /// What actions are relative to.
    pub relative_to: RelativeTo,
    /// The dimensions of the state that are angles. An action relative to one is a difference of angles.
    pub angles: Vec<AngleChoice>,
}

/// The units that recorded actions are scaled by to [-1, 1].
#[derive(Debug, Clone, PartialEq)]
pub enum Units {
    /// Those that fit the data.
    Fitted(ActionSettings),
    /// Given ones, such as those of a policy.
    Given(ActionUnits),
}

impl Default for Units {
    fn default() -> Self {
        Self::Fitted(ActionSettings::default())
    }
}

/// The share of values below the lower and above the upper bound of [`ActionScale::Quantile`].
const TAIL: f64 = 0.01;
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

    /// The units of recorded actions, by the settings. Identity if the actions are used as they are.
    ///
    /// # Errors
    /// Relative actions without names that match, or to dimensions that do not exist; a scale of `None` for relative actions.
    pub fn fit(parts: &Parts, names: &DimensionNames, settings: &ActionSettings) -> Result<Self> {
        let angles = angles::resolve(&settings.angles, parts, names)?;
        let relative_to = settings.relative_to.resolve(parts, names)?;
        let is_relative = relative_to.iter().any(Option::is_some);
        let inside = || parts.actions.iter().all(|a| a.abs() <= 1.0);
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
        let (center, half) = (vec![0.0; parts.n_act], vec![1.0; parts.n_act]);
        let mut unscaled = Self { center, half, relative_to, angles, turn_centers: Vec::new() };
        unscaled.turn_centers = unscaled.turns_of(&parts.actions);
        let mut differences = parts.actions.clone();
        unscaled.to_scaled(&parts.states, parts.n_obs, &mut differences);
        let (mut center, mut half) = (Vec::new(), Vec::new());
        for k in 0..parts.n_act {
            let [low, high] = bounds(differences.iter().skip(k).step_by(parts.n_act).copied(), scale);
            // In 64 bits: the largest floats would overflow.
            let (low, high) = (f64::from(low), f64::from(high));
            let largest =
                parts.actions.iter().skip(k).step_by(parts.n_act).fold(0.0_f32, |m, a| m.max(a.abs()));
            let is_constant = high - low <= 4.0 * f64::from(f32::EPSILON * largest);
            center.push(((low + high) / 2.0) as f32);
            half.push(if is_constant { 0.0 } else { ((high - low) / 2.0) as f32 });
        }
        Ok(Self { center, half, ..unscaled })
    }

    /// The middle of the turn of recorded actions (`[n_steps, n_act]`), by dimension: 0 where all are in [-P/2, P/2], P/2 where all are in
    /// [0, P], else the middle of their range. Empty if no action is relative to an angle.
    fn turns_of(&self, actions: &[f32]) -> Vec<f32> {
        let n_act = self.center.len();
        let of = |k: usize| {
            let Some(period) = self.period(k) else { return 0.0 };
            let values = actions.iter().skip(k).step_by(n_act).copied();
            let [low, high] =
                values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
            let within = |center: f64| {
                let far = period / 2.0 * (1.0 + f64::from(ROUNDING));
                f64::from(low) >= center - far && f64::from(high) <= center + far
            };
            let usual = [0.0, period / 2.0].into_iter().find(|center| within(*center));
            usual.unwrap_or_else(|| f64::midpoint(f64::from(low), f64::from(high))) as f32
        };
        match (0..n_act).any(|k| self.period(k).is_some()) {
            true => (0..n_act).map(of).collect(),
            false => Vec::new(),
        }
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

    /// Subtracts from actions, `[n_steps, n_act]`, in the data's units what they are relative to. Differences of angles are the shorter way
    /// round.
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

impl RelativeTo {
    /// The dimension of the state for each dimension of the action; empty for `Absolute`.
    fn resolve(&self, parts: &Parts, names: &DimensionNames) -> Result<Vec<Option<usize>>> {
        let error = |what: &str| Error::new(Kind::Settings, what).at("--actions relative");
        match self {
            Self::Absolute => Ok(Vec::new()),
            Self::Dimensions(dimensions) => {
                if dimensions.len() != parts.n_act {
                    return Err(error("not one dimension of the state for each dimension of the action")
                        .at("--relative-to")
                        .expected(format!(
                            "{} dimensions, or none where an action stays absolute",
                            parts.n_act
                        ))
                        .found(format!("{} dimensions", dimensions.len())));
                }
                match dimensions.iter().flatten().find(|k| **k >= parts.n_obs) {
                    Some(k) => Err(error("the state does not have this dimension")
                        .at("--relative-to")
                        .expected(format!("0 to {}", parts.n_obs - 1))
                        .found(k.to_string())),
                    None => Ok(dimensions.clone()),
                }
            }
            Self::SameName => {
                const BY_NUMBER: &str = "name the state's dimensions by number: --relative-to 0-6";
                let (Some(states), Some(actions)) = (&names.state_names, &names.action_names) else {
                    return Err(
                        error("the data do not name the dimensions of states and actions").next(BY_NUMBER)
                    );
                };
                let same = |action: &String| states.iter().position(|state| state == action);
                let found: Vec<Option<usize>> = actions.iter().map(same).collect();
                if found.iter().all(Option::is_none) {
                    return Err(error("no dimension of the action has the name of a dimension of the state")
                        .found(format!("actions {}; states {}", actions.join(", "), states.join(", ")))
                        .next(BY_NUMBER));
                }
                Ok(found)
            }
        }
    }
}

/// An angle in (-P/2, P/2], where P is a full turn.
fn nearest_turn(angle: f64, period: f64) -> f64 {
    let turned = angle - period * (angle / period - 0.5).ceil();
    // Half a turn rounded to 32 bits may be a little less than it.
    if turned <= -0.5 * period * (1.0 - f64::from(f32::EPSILON)) { turned + period } else { turned }
}

/// The bounds of the values of one dimension.
fn bounds(values: impl Iterator<Item = f32>, scale: ActionScale) -> [f32; 2] {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    let last = values.len() - 1;
    let cut = if scale == ActionScale::Quantile { (TAIL * last as f64).floor() as usize } else { 0 };
    [values[cut], values[last - cut]]
}

#[cfg(test)]
mod tests;
