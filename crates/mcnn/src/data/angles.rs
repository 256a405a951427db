//! Dimensions of the state that are angles: which they are, their unit, and what distances and networks see of them.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{DimensionNames, raw::RawSteps};
use crate::error::{Error, Kind, Result};

/// The unit of an angle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AngleUnit {
    /// A full turn is 360.
    #[serde(rename = "deg")]
    Degrees,
    /// A full turn is 2 pi.
    #[serde(rename = "rad")]
    Radians,
}

impl AngleUnit {
    /// A full turn.
    pub fn period(self) -> f64 {
        match self {
            Self::Degrees => 360.0,
            Self::Radians => std::f64::consts::TAU,
        }
    }
}

impl fmt::Display for AngleUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Degrees => "degrees",
            Self::Radians => "radians",
        })
    }
}

/// A dimension of the state that is an angle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Angle {
    /// The dimension, counted from 0.
    pub dimension: usize,
    /// Its unit.
    pub unit: AngleUnit,
}

impl Angle {
    /// Cosine and sine of a value of the dimension. Computed in 64 bits of the part of the turn in [0, 1), so that a value and the
    /// same value plus whole turns differ by no more than their own rounding.
    pub fn cos_sin(&self, value: f32) -> [f32; 2] {
        let turns = f64::from(value) / self.unit.period();
        let (sin, cos) = (std::f64::consts::TAU * (turns - turns.floor())).sin_cos();
        [cos as f32, sin as f32]
    }
}

/// A line for each angle, such as `state 3 yaw: an angle in degrees`.
pub(super) fn describe(angles: &[Angle], names: &DimensionNames) -> Vec<String> {
    let line = |angle: &Angle| {
        let name = names.state_names.as_ref().and_then(|names| names.get(angle.dimension));
        let name = name.map_or(String::new(), |name| format!(" {name}"));
        format!("state {}{name}: an angle in {}", angle.dimension, angle.unit)
    };
    angles.iter().map(line).collect()
}

/// Dimensions that a user says are angles. As text: `FIRST-LAST`, `DIMENSION` or a name, and `:deg` or `:rad` after it if the unit is
/// said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AngleChoice {
    which: Which,
    unit: Option<AngleUnit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Range(RangeInclusive<usize>),
    Name(String),
}

impl From<Angle> for AngleChoice {
    fn from(angle: Angle) -> Self {
        Self { which: Which::Range(angle.dimension..=angle.dimension), unit: Some(angle.unit) }
    }
}

impl FromStr for AngleChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim();
        let (which, unit) = match text.rsplit_once(':') {
            Some((which, "deg")) => (which, Some(AngleUnit::Degrees)),
            Some((which, "rad")) => (which, Some(AngleUnit::Radians)),
            _ => (text, None),
        };
        let (first, last) = which.split_once('-').unwrap_or((which, which));
        let which = match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Which::Range(first..=last),
            (Ok::<usize, _>(_), Ok::<usize, _>(_)) => {
                return Err(format!("{which}: the first dimension is after the last"));
            }
            _ if which.is_empty() => {
                return Err(
                    "expected state dimensions or a name, and perhaps a unit, such as 3-5 or 3-5:deg".into(),
                );
            }
            _ => Which::Name(which.into()),
        };
        Ok(Self { which, unit })
    }
}

impl fmt::Display for AngleChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Range(range) if range.start() == range.end() => write!(f, "{}", range.start())?,
            Which::Range(range) => write!(f, "{}-{}", range.start(), range.end())?,
            Which::Name(name) => f.write_str(name)?,
        }
        f.write_str(match self.unit {
            None => "",
            Some(AngleUnit::Degrees) => ":deg",
            Some(AngleUnit::Radians) => ":rad",
        })
    }
}

impl From<AngleChoice> for String {
    fn from(choice: AngleChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for AngleChoice {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

/// The angles of recorded states, sorted by dimension. Those without a unit have one unit together: degrees if a value of any of them
/// is more than a full turn of radians in size, else radians.
///
/// # Errors
/// Dimensions and names that do not exist, and dimensions that are named twice with different units.
pub(super) fn resolve(
    choices: &[AngleChoice],
    steps: &dyn RawSteps,
    names: &DimensionNames,
) -> Result<Vec<Angle>> {
    let [n_obs, _] = steps.widths();
    let mut chosen: Vec<(usize, Option<AngleUnit>)> = Vec::new();
    for choice in choices {
        let range = choice.range(n_obs, names)?;
        chosen.extend(range.map(|dimension| (dimension, choice.unit)));
    }
    chosen.sort_by_key(|(dimension, _)| *dimension);
    chosen.dedup();
    if let Some([(k, _), _]) = chosen.array_windows().find(|[a, b]| a.0 == b.0) {
        return Err(Error::new(
            Kind::Settings,
            "a dimension is named as an angle twice, with different units",
        )
        .at("--angle")
        .found(format!("dimension {k}"))
        .next("name it once"));
    }
    let open: Vec<usize> = chosen.iter().filter(|(_, unit)| unit.is_none()).map(|(k, _)| *k).collect();
    let mut largest = 0.0_f32;
    if !open.is_empty() {
        steps.each_states(&mut |states| {
            let size = states.chunks_exact(n_obs).flat_map(|state| open.iter().map(|&k| state[k].abs()));
            largest = size.fold(largest, f32::max);
        });
    }
    // A value of exactly a turn, rounded to 32 bits, is still one in radians.
    let is_degrees = largest > std::f32::consts::TAU;
    let default = if is_degrees { AngleUnit::Degrees } else { AngleUnit::Radians };
    Ok(chosen
        .into_iter()
        .map(|(dimension, unit)| Angle { dimension, unit: unit.unwrap_or(default) })
        .collect())
}

impl AngleChoice {
    fn range(&self, n_obs: usize, names: &DimensionNames) -> Result<RangeInclusive<usize>> {
        let error = |what: &str| Error::new(Kind::Settings, what).at(format!("--angle {self}"));
        match &self.which {
            Which::Range(range) if *range.end() < n_obs => Ok(range.clone()),
            Which::Range(range) => Err(error("an angle is a dimension that the state does not have")
                .expected(format!("dimensions 0 to {}", n_obs - 1))
                .found(range.end().to_string())),
            Which::Name(name) => {
                let Some(known) = &names.state_names else {
                    return Err(error("the data do not name the dimensions of the state")
                        .expected("dimensions counted from 0, such as 3-5")
                        .found(name.clone()));
                };
                let found = known.iter().position(|known| known == name);
                found.map(|k| k..=k).ok_or_else(|| {
                    error("no dimension of the state has this name")
                        .expected(known.join(", "))
                        .found(name.clone())
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Parts;

    fn parts(states: Vec<f32>) -> Parts {
        let n = states.len() / 2;
        Parts { n_obs: 2, n_act: 1, states, actions: vec![0.0; n], rewards: None, ends: vec![n] }
    }

    fn resolved(texts: &[&str], parts: &Parts) -> Result<Vec<(usize, AngleUnit)>> {
        let choices: Vec<AngleChoice> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let names = DimensionNames {
            state_names: Some(vec!["lift".into(), "wrist-roll".into()]),
            action_names: None,
        };
        resolve(&choices, parts, &names).map(|all| all.iter().map(|a| (a.dimension, a.unit)).collect())
    }

    #[test]
    fn choices_are_parsed_and_written_back() {
        for text in ["3", "3-5", "3-5:deg", "wrist.pos:rad", "a-b", "a:b"] {
            assert_eq!(text.parse::<AngleChoice>().unwrap().to_string(), text);
        }
        assert!("5-3".parse::<AngleChoice>().unwrap_err().contains("after the last"));
        assert!(":deg".parse::<AngleChoice>().unwrap_err().contains("such as 3-5"));
    }

    #[test]
    fn angles_without_a_unit_are_in_degrees_if_one_of_them_exceeds_a_turn_in_radians() {
        use AngleUnit::{Degrees, Radians};
        let small = parts(vec![0.0, std::f32::consts::TAU, -3.0, 0.1]);
        assert_eq!(resolved(&["0-1"], &small).unwrap(), [(0, Radians), (1, Radians)]);
        let large = parts(vec![0.0, 90.0, 1.0, 100.0]);
        assert_eq!(resolved(&["wrist-roll", "0"], &large).unwrap(), [(0, Degrees), (1, Degrees)]);
        assert_eq!(resolved(&["0", "1:deg"], &large).unwrap(), [(0, Radians), (1, Degrees)]);
        assert_eq!(resolved(&[], &large).unwrap(), []);
    }

    #[test]
    fn dimensions_and_names_that_do_not_exist_are_refused() {
        let refused = |text: &str| resolved(&[text], &parts(vec![0.0; 2])).unwrap_err().to_string();
        assert!(refused("1-2").contains("dimensions 0 to 1\n  found: 2"), "{}", refused("1-2"));
        assert!(refused("wrist").contains("lift, wrist-roll"));
        let twice = resolved(&["0:deg", "0-1:rad"], &parts(vec![0.0; 2])).unwrap_err().to_string();
        assert!(twice.contains("dimension 0"), "{twice}");
    }

    #[test]
    fn turns_change_cosine_and_sine_by_rounding_alone() {
        let angle = Angle { dimension: 0, unit: AngleUnit::Degrees };
        assert_eq!(angle.cos_sin(180.0), angle.cos_sin(-180.0));
        assert_eq!(angle.cos_sin(90.0), angle.cos_sin(90.0 - 3600.0));
        let [cos, sin] = angle.cos_sin(30.0);
        assert!((cos - 0.866_025_4).abs() < 1e-7 && (sin - 0.5).abs() < 1e-7);
    }
}
