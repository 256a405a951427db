//! The units that fit recorded actions.

use super::{ActionScale, ActionSettings, ActionUnits, ROUNDING};
use crate::{
    data::{DimensionNames, Parts, angles},
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
}

/// The bounds of the values of one dimension.
fn bounds(values: impl Iterator<Item = f32>, scale: ActionScale) -> [f32; 2] {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    let last = values.len() - 1;
    let cut = if scale == ActionScale::Quantile { (TAIL * last as f64).floor() as usize } else { 0 };
    [values[cut], values[last - cut]]
}
