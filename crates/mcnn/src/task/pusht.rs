//! Push-T (Florence et al., 2021; Chi et al., 2023) by diffusion_policy's rules, over gym-pusht's simulation: push a block in the
//! form of a T onto its goal. `python/pusht.py` has these rules.

use super::{Spec, worker::Plan};
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};

/// What an observation consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Observation {
    /// Nine points of the block, then the agent, x and y of each: the low-dimensional form of diffusion_policy, 20 values.
    #[default]
    Keypoint,
    /// Agent x, y, block x, y, and the block's angle from 0 to 2 pi: 5 values.
    State,
}

impl Observation {
    /// The observation that the task's options ask for: `observation`, `keypoint` (the default) or `state`.
    ///
    /// # Errors
    /// If there is another option or another value.
    pub fn of(options: &Map<String, Value>) -> Result<Self> {
        let refused = |found: String| {
            Error::new(Kind::Settings, "this is no option of the task")
                .at("task pusht")
                .expected("observation=keypoint or observation=state")
                .found(found)
        };
        let mut observation = Self::default();
        for (key, value) in options {
            observation = match (key.as_str(), value.as_str()) {
                ("observation", Some("keypoint")) => Self::Keypoint,
                ("observation", Some("state")) => Self::State,
                _ => return Err(refused(super::option_text(key, value))),
            };
        }
        Ok(observation)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Keypoint => "keypoint",
            Self::State => "state",
        }
    }
}

/// Widths, horizon and references. All positions are pixels of an area of 512 x 512. An action is the point that the agent moves
/// to; -1 and 1 stand for 0 and 512 pixels.
///
/// The score of an episode is the largest share of the goal that the block covered after a step, divided by 0.95 and at most 1.
/// A step's reward is what it adds to that, so that the return is the score. A share of 0.95 is a success, and the end.
/// gym-pusht rewards every step by the share itself, and calls only more than 0.95 a success.
pub fn spec(observation: Observation) -> Spec {
    let (name, n_obs) = match observation {
        Observation::Keypoint => ("pusht", 20),
        Observation::State => ("pusht (observation=state)", 5),
    };
    Spec {
        name: name.into(),
        n_obs,
        frame: None,
        n_act: 2,
        horizon: 300,
        reference: Some([0.0, 1.0]),
        parts: Vec::new(),
    }
}

/// The environment as `python/pusht.py` registers it.
pub(super) fn plan(observation: Observation) -> Plan {
    let options = [("observation".to_owned(), observation.name().into())];
    Plan { id: "mcnn/PushT-v0".into(), options: options.into_iter().collect(), ..Plan::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_option_is_the_observation() {
        let of = |text: &str| Observation::of(&serde_json::from_str(text).unwrap());
        assert_eq!(of("{}").unwrap(), Observation::Keypoint);
        assert_eq!(of(r#"{"observation": "keypoint"}"#).unwrap(), Observation::Keypoint);
        assert_eq!(of(r#"{"observation": "state"}"#).unwrap(), Observation::State);
        for wrong in [r#"{"observation": "pixels"}"#, r#"{"obs_type": "state"}"#, r#"{"observation": 5}"#] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("observation=state") && error.contains('='), "{error}");
        }
    }
}
