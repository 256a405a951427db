//! What a user takes from a source of demonstrations: keys, dimensions and episodes.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{DimensionNames, Origin};
use crate::error::{Error, Kind, Result};

/// Which arrays and which episodes of a source are read. By default the format decides which arrays are, and all episodes are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The arrays that make up the state, concatenated in this order; empty for the format's own.
    pub state: Vec<KeyRange>,
    /// The arrays that make up the action, likewise.
    pub action: Vec<KeyRange>,
    /// Ranges of episodes, by their numbers in the source; empty for all.
    pub episodes: Vec<RangeInclusive<u32>>,
    /// Only episodes of the task with this text.
    pub task: Option<String>,
    /// Only the episodes that this list of the file names (robomimic's `mask/NAME`).
    pub filter: Option<String>,
    /// Steps per second that a recording of topics (MCAP) becomes.
    pub hz: Option<f64>,
    /// The rate of the data that a policy or memories were learned from, used where `hz` is not given.
    pub default_hz: Option<f64>,
    /// Where a recording of topics ends an episode: silences of more than so many seconds.
    pub gap: Option<f64>,
    /// Of a recording that was stopped, read only the complete episodes (LeRobot).
    pub whole: bool,
    /// Leave the state out, where frames take its place: states are then one dimension of zeros.
    pub no_state: bool,
}

impl Selection {
    /// This selection; keys that it leaves to the format are those that a user chose of other data.
    #[must_use]
    pub fn or(self, other: &Origin) -> Self {
        let keys = |own: Vec<KeyRange>, theirs: &[String]| match own.is_empty() && other.is_chosen {
            true => theirs.iter().filter_map(|text| text.parse().ok()).collect(),
            false => own,
        };
        Self {
            state: keys(self.state, &other.state_keys),
            action: keys(self.action, &other.action_keys),
            default_hz: self.default_hz.or(other.fps),
            ..self
        }
    }

    /// The names of the dimensions: those that the source gives its own keys, unless others are selected, and else those of the tables.
    pub(super) fn names(
        &self,
        own: DimensionNames,
        state: Option<Vec<String>>,
        action: Option<Vec<String>>,
    ) -> DimensionNames {
        DimensionNames {
            state_names: own.state_names.filter(|_| self.state.is_empty()).or(state),
            action_names: own.action_names.filter(|_| self.action.is_empty()).or(action),
        }
    }

    /// Whether the episode with this number is taken.
    pub fn takes(&self, episode: u32) -> bool {
        self.episodes.is_empty() || self.episodes.iter().any(|range| range.contains(&episode))
    }

    /// Checks that options are not given that a format does not have.
    ///
    /// # Errors
    /// A task or a filter for a format without tasks or filters.
    pub(super) fn refuse_of_others(&self, has_tasks: bool, has_filters: bool) -> Result<()> {
        for (given, option) in [(self.hz, "--hz"), (self.gap, "--gap")] {
            if let Some(given) = given {
                return Err(Error::new(Kind::Settings, "the data have steps of their own, not topics")
                    .at(format!("{option} {given}"))
                    .expected("a recording of ROS 2 (MCAP)")
                    .next("leave the option out"));
            }
        }
        self.refuse_filters(has_tasks, has_filters)
    }

    /// The same, but the options of recordings of topics may be given.
    pub(super) fn refuse_filters(&self, has_tasks: bool, has_filters: bool) -> Result<()> {
        for (given, has, option, what) in [
            (&self.task, has_tasks, "--task", "texts of tasks"),
            (&self.filter, has_filters, "--filter-key", "filter keys"),
        ] {
            if let Some(given) = given.as_deref().filter(|_| !has) {
                return Err(Error::new(Kind::Settings, format!("the data have no {what}"))
                    .at(format!("{option} {given}"))
                    .next("leave the option out"));
            }
        }
        Ok(())
    }
}

/// Checks that the value of an option, if it is given, is finite and above 0.
///
/// # Errors
/// If it is not.
pub fn check_positive(value: Option<f64>, option: &str) -> Result<()> {
    match value.filter(|value| !(value.is_finite() && *value > 0.0)) {
        None => Ok(()),
        Some(value) => Err(Error::new(Kind::Settings, "out of range")
            .at(option)
            .expected("above 0")
            .found(value.to_string())),
    }
}

/// An array of a source, and a range of its dimensions if only some are taken. As text: `KEY` or `KEY:FIRST-LAST`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyRange {
    /// The array's name in the source.
    pub key: String,
    /// Its dimensions, counted from 0 over the flattened array of one step; `None` for all.
    pub dimensions: Option<RangeInclusive<usize>>,
}

impl FromStr for KeyRange {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.trim() != text || text.is_empty() {
            return Err("expected KEY or KEY:FIRST-LAST, such as observation.state:0-6".into());
        }
        let whole = Self { key: text.into(), dimensions: None };
        let Some((key, range)) = text.rsplit_once(':').filter(|(key, _)| !key.is_empty()) else {
            return Ok(whole);
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last => {
                Ok(Self { key: key.into(), dimensions: Some(first..=last) })
            }
            (Ok(_), Ok(_)) => Err(format!("{range}: the first dimension is after the last")),
            _ => Ok(whole), // a key with a colon
        }
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dimensions {
            None => f.write_str(&self.key),
            Some(range) if range.start() == range.end() => write!(f, "{}:{}", self.key, range.start()),
            Some(range) => write!(f, "{}:{}-{}", self.key, range.start(), range.end()),
        }
    }
}

impl From<KeyRange> for String {
    fn from(range: KeyRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for KeyRange {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

/// The error of a key that a source does not have: those that it has, the most similar first.
pub(super) fn no_such_key(key: &str, there: &[String]) -> Error {
    let mut names: Vec<&String> = there.iter().collect();
    names.sort_by_key(|name| distance(name, key));
    let listed: Vec<&str> = names.iter().take(20).map(|name| name.as_str()).collect();
    let more = match names.len() - listed.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::new(Kind::Data, "missing key").at(key).expected("a key of the data").found(if listed.is_empty() {
        "no keys".into()
    } else {
        format!("the keys {}{more}", listed.join(", "))
    })
}

/// The edit distance of two names (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_with_and_without_ranges_and_written_back() {
        let read = |text: &str| text.parse::<KeyRange>();
        for (text, key, dimensions) in [
            ("observation.state", "observation.state", None),
            ("state:0-1", "state", Some(0..=1)),
            ("obs/object:3", "obs/object", Some(3..=3)),
            ("a:b", "a:b", None),
            (":3", ":3", None),
        ] {
            let found = read(text).unwrap();
            assert_eq!(found, KeyRange { key: key.into(), dimensions });
            assert_eq!(found.to_string(), text);
        }
        assert!(read("state:3-1").unwrap_err().contains("after the last"));
        assert!(read(" state").unwrap_err().contains("KEY:FIRST-LAST"));
    }

    #[test]
    fn episodes_are_taken_by_range() {
        let some = Selection { episodes: vec![0..=1, 5..=5], ..Selection::default() };
        assert_eq!((0..7).filter(|&k| some.takes(k)).collect::<Vec<_>>(), [0, 1, 5]);
        assert!(Selection::default().takes(9));
    }

    #[test]
    fn the_most_similar_key_is_named_first() {
        let there = ["timestamp", "observation.state", "action"].map(String::from);
        let error = no_such_key("observations.state", &there).to_string();
        assert!(error.contains("the keys observation.state, "), "{error}");
        assert_eq!((distance("kitten", "sitting"), distance("", "ab")), (3, 2));
    }
}
