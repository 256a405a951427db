//! Names of the dimensions of states and actions. They are shown to people and change no computation.

use std::{collections::HashMap, path::Path};

use serde::{Deserialize, Serialize};

use super::regular;
use crate::error::{Error, Kind, Result};

/// The most characters in a name.
pub const MAX_NAME_LENGTH: usize = 64;
/// The most bytes in a file of names.
const MAX_FILE_LENGTH: u64 = 4 << 20;
/// What a file of names contains, for error messages.
const FILE_FORMAT: &str = r#"JSON such as {"state_names": ["x", "y"], "action_names": ["steer"]}"#;

/// Names of the dimensions of states and actions, in order. Either list may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionNames {
    /// One name for each dimension of the state: `[n_obs]`.
    #[serde(default)]
    pub state_names: Option<Vec<String>>,
    /// One name for each dimension of the action: `[n_act]`.
    #[serde(default)]
    pub action_names: Option<Vec<String>>,
}

impl DimensionNames {
    /// Reads a JSON file with the keys `state_names` and `action_names`, of which one may be missing.
    ///
    /// # Errors
    /// A file that cannot be read, larger than 4 MiB, that is not such JSON, or that contains neither key. The number of
    /// names is checked by [`validate`](Self::validate).
    pub fn read(path: &Path) -> Result<Self> {
        let named = |e: Error| e.within(path.display());
        let length = regular(path)?;
        let error = |what: &str| Error::new(Kind::File, what).expected(FILE_FORMAT);
        if length > MAX_FILE_LENGTH {
            return Err(named(
                error("the file of names is too large")
                    .expected(format!("at most {MAX_FILE_LENGTH} bytes"))
                    .found(format!("{length} bytes")),
            ));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, &e))?;
        let names: Self = serde_json::from_slice(&bytes)
            .map_err(|e| named(error("the file of names cannot be read").found(e.to_string())))?;
        if names.is_empty() {
            return Err(named(error("a file of names without names").found("neither key")));
        }
        Ok(names)
    }

    /// Whether there are no names at all.
    pub fn is_empty(&self) -> bool {
        self.state_names.is_none() && self.action_names.is_none()
    }

    /// These names; a list that is absent here is taken from `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            state_names: self.state_names.or_else(|| other.state_names.clone()),
            action_names: self.action_names.or_else(|| other.action_names.clone()),
        }
    }

    /// Checks the names against the number of dimensions.
    ///
    /// # Errors
    /// A list that does not have one name for each dimension; a name that is empty, occurs twice in its list, is longer than
    /// [`MAX_NAME_LENGTH`] characters, begins or ends with white space, or contains characters that cannot be printed.
    pub fn validate(&self, n_obs: usize, n_act: usize) -> Result<()> {
        validate("state_names", self.state_names.as_deref(), n_obs)?;
        validate("action_names", self.action_names.as_deref(), n_act)
    }
}

fn validate(key: &str, names: Option<&[String]>, dimensions: usize) -> Result<()> {
    let Some(names) = names else { return Ok(()) };
    let error = |what: &str| Error::new(Kind::Data, what).at(key);
    if names.len() != dimensions {
        return Err(error("the number of names is not the number of dimensions")
            .expected(format!("{dimensions} names, one for each dimension"))
            .found(format!("{} names", names.len())));
    }
    let mut first = HashMap::new();
    for (i, name) in names.iter().enumerate() {
        let error = |what: &str| error(what).at(format!("{key}, dimension {i}"));
        if name.is_empty() {
            return Err(error("an empty name").expected("at least one character"));
        }
        let length = name.chars().count();
        if length > MAX_NAME_LENGTH {
            let start: String = name.chars().take(20).collect();
            return Err(error("a name that is too long")
                .expected(format!("at most {MAX_NAME_LENGTH} characters"))
                .found(format!("{length} characters, beginning {start:?}")));
        }
        if name.trim() != name || !name.chars().all(is_printable) {
            return Err(error("a name that cannot be printed as it is")
                .expected("printable characters, without white space at either end")
                .found(format!("{name:?}")));
        }
        if let Some(before) = first.insert(name, i) {
            return Err(error("a name that occurs twice")
                .expected("a different name for each dimension")
                .found(format!("{name:?} for the dimensions {before} and {i}")));
        }
    }
    Ok(())
}

/// Whether a character is shown by itself: neither a control character nor one that only changes how others are shown.
fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state: &[&str]) -> DimensionNames {
        let state_names = Some(state.iter().map(ToString::to_string).collect());
        DimensionNames { state_names, action_names: None }
    }

    #[test]
    fn names_are_one_for_each_dimension_different_and_printable() {
        assert_eq!(names(&["x", "y (m)", "Höhe"]).validate(3, 7), Ok(()));
        assert_eq!(DimensionNames::default().validate(3, 7), Ok(()));
        let long = "n".repeat(MAX_NAME_LENGTH + 1);
        assert_eq!(names(&["x", &long[1..]]).validate(2, 1), Ok(()));
        for (wrong, part) in [
            (&["x", "y"][..], "expected: 3 names, one for each dimension\n  found: 2 names"),
            (&["x", "y", "x"], "\"x\" for the dimensions 0 and 2"),
            (&["x", "", "z"], "state_names, dimension 1"),
            (&["x", "y", &long], "found: 65 characters"),
            (&["x", " y", "z"], "\" y\""),
            (&["x", "a\u{202e}b", "z"], "\\u{202e}"),
            (&["x", "a\nb", "z"], "\\n"),
        ] {
            let error = names(wrong).validate(3, 1).unwrap_err().to_string();
            assert!(error.contains(part), "{wrong:?}: {error}");
        }
        let actions = DimensionNames { action_names: Some(vec![]), ..Default::default() };
        let error = actions.validate(3, 1).unwrap_err().to_string();
        assert!(error.contains("action_names") && error.contains("found: 0 names"), "{error}");
    }

    #[test]
    fn a_list_that_is_absent_is_taken_from_the_other_names() {
        let all = DimensionNames { action_names: Some(vec!["turn".into()]), ..names(&["a"]) };
        let both = names(&["b"]).or(&all);
        assert_eq!(both.state_names, Some(vec!["b".to_owned()]));
        assert_eq!(both.action_names, all.action_names);
    }
}
