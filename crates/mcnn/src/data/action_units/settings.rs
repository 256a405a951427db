//! How actions are scaled, and what they are relative to.

use super::ActionUnits;
use crate::{
    data::{ActionRange, AngleChoice, DimensionNames, raw::RawSteps},
    error::{Error, Kind, Result},
};

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

impl Units {
    /// The units of recorded steps, and what to do with scaled actions outside [-1, 1].
    ///
    /// # Errors
    /// As [`ActionUnits::fit`].
    pub(in crate::data) fn of(
        &self,
        steps: &dyn RawSteps,
        names: &DimensionNames,
        range: ActionRange,
    ) -> Result<(ActionUnits, ActionRange)> {
        let settings = match self {
            Self::Given(units) => return Ok((units.clone(), range)),
            Self::Fitted(settings) => settings,
        };
        let is_relative = settings.relative_to != RelativeTo::Absolute;
        let settings = match (settings.scale, range) {
            // Who clips outliers wants the rest as it is.
            (ActionScale::Auto, ActionRange::Clip) if !is_relative => {
                &ActionSettings { scale: ActionScale::None, ..settings.clone() }
            }
            _ => settings,
        };
        let clips = settings.scale == ActionScale::Quantile;
        let range = if clips { ActionRange::Clip } else { range };
        Ok((ActionUnits::fit_steps(steps, names, settings)?, range))
    }
}

impl RelativeTo {
    /// The dimension of the state for each dimension of the action; empty for `Absolute`.
    pub(super) fn resolve(
        &self,
        [n_obs, n_act]: [usize; 2],
        names: &DimensionNames,
    ) -> Result<Vec<Option<usize>>> {
        let error = |what: &str| Error::new(Kind::Settings, what).at("--actions relative");
        match self {
            Self::Absolute => Ok(Vec::new()),
            Self::Dimensions(dimensions) => {
                if dimensions.len() != n_act {
                    return Err(error("not one dimension of the state for each dimension of the action")
                        .at("--relative-to")
                        .expected(format!("{n_act} dimensions, or none where an action stays absolute"))
                        .found(format!("{} dimensions", dimensions.len())));
                }
                match dimensions.iter().flatten().find(|k| **k >= n_obs) {
                    Some(k) => Err(error("the state does not have this dimension")
                        .at("--relative-to")
                        .expected(format!("0 to {}", n_obs - 1))
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
