//! lambda, and its choice from the data.

use serde::{Deserialize, Serialize};

use crate::{
    calibration::OodCalibration,
    data::Demonstrations,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::Codebook,
};

/// How lambda is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lambda {
    /// From the data: as [`Weight`](Self::Weight) with [`AUTO_WEIGHT`](Self::AUTO_WEIGHT).
    Auto,
    /// From the data: the memory weight, in (0, 1), at the median distance between a training state that moves and its nearest memory
    /// from another episode.
    Weight(f32),
    /// lambda of the formula: 0 or more, or infinite.
    Value(f32),
}

impl Lambda {
    /// The weight `auto` gives a memory at the median distance: chosen on the built-in task (docs/book/src/results/defaults.md), where a
    /// half cost much and a tenth won nothing more.
    pub const AUTO_WEIGHT: f32 = 0.25;
}

impl Lambda {
    /// The value for a policy of this calibration: from its typical distance, if it follows from data.
    ///
    /// # Errors
    /// If it follows from data, and there is no calibration or no distance above 0.
    pub fn for_calibration(self, calibration: Option<&OodCalibration>) -> Result<f32> {
        self.value(calibration.and_then(OodCalibration::typical_distance), calibration.is_some())
    }

    /// The value, given the typical distance of states to memories of other episodes. `has_others`: whether there are such memories.
    fn value(self, typical: Option<f32>, has_others: bool) -> Result<f32> {
        let weight = match self {
            Self::Value(lambda) => return Ok(lambda),
            Self::Weight(weight) => weight,
            Self::Auto => Self::AUTO_WEIGHT,
        };
        typical.map(|distance| Envelope::lambda_for(weight, distance)).ok_or_else(|| {
            Error::new(Kind::Settings, "lambda cannot be set from these data")
                .at(format!("--lambda {self}"))
                .expected("states at some distance from the memories of other episodes")
                .found(if has_others { "distances of 0" } else { "no such memories" })
                .next("give lambda as a number")
        })
    }
}

impl Serialize for Lambda {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Lambda::Value(v) if v.is_finite() => to.serialize_f32(*v),
            other => to.serialize_str(&other.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Lambda {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::Number(n) => Ok(Lambda::Value(n.as_f64().unwrap_or(f64::NAN) as f32)),
            serde_json::Value::String(s) => s.parse().map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom("lambda must be a number, \"inf\", \"auto\" or \"weight:W\"")),
        }
    }
}

impl std::fmt::Display for Lambda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lambda::Auto => f.write_str("auto"),
            Lambda::Weight(weight) => write!(f, "weight:{weight}"),
            Lambda::Value(v) => write!(f, "{v}"),
        }
    }
}

impl std::str::FromStr for Lambda {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "auto" {
            return Ok(Lambda::Auto);
        }
        let in_range = match text.strip_prefix("weight:") {
            Some(weight) => weight.parse().ok().filter(|w| *w > 0.0 && *w < 1.0).map(Lambda::Weight),
            None => text.parse().ok().filter(|value| *value >= 0.0).map(Lambda::Value),
        };
        in_range.ok_or_else(|| {
            format!(
                "lambda must be a number of 0 or more, inf, auto, or weight:W with W above 0 and below 1, not {text:?}"
            )
        })
    }
}

/// lambda from the distances between training states and their nearest memory of another episode: from the median over the steps that
/// move ([`OodCalibration::typical_distance`]). With one episode only: over the distances above 0 to the second nearest memory, because
/// the nearest is often the state itself.
pub(super) fn lambda_of(lambda: Lambda, codebook: &Codebook, train: &Demonstrations) -> Result<f32> {
    if let Lambda::Value(value) = lambda {
        return Ok(value);
    }
    if let Some(others) = OodCalibration::leave_one_episode_out(codebook, train) {
        return lambda.value(others.typical_distance(), true);
    }
    let second = codebook.retrieve_two_of_each(train).into_iter().filter_map(|(_, second)| second);
    let mut distances: Vec<f32> = second.map(|r| r.distance).filter(|&d| d > 0.0).collect();
    distances.sort_unstable_by(f32::total_cmp);
    lambda.value(distances.get(distances.len() / 2).copied(), false)
}
