//! Gymnasium's spaces as Minari writes them in JSON, and their leaves in the order of `gymnasium.spaces.utils.flatten`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The most values of a leaf in one step.
const MAX_WIDTH: u64 = 1 << 20;
/// The most choices of a discrete space, each of which is a dimension of the state.
const MAX_CHOICES: u64 = 1 << 12;

/// A space. Limits of a Box are not read: for a picture they are megabytes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Space {
    r#type: String,
    #[serde(default)]
    dtype: Option<String>,
    #[serde(default)]
    shape: Vec<u64>,
    #[serde(default)]
    n: Value,
    #[serde(default)]
    start: Value,
    #[serde(default)]
    nvec: Value,
    #[serde(default)]
    subspaces: Subspaces,
}

/// The spaces in a Dict or a Tuple.
#[derive(Debug, Default)]
struct Subspaces(Vec<(String, Space)>);

impl<'de> Deserialize<'de> for Subspaces {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Both;
        impl<'de> Visitor<'de> for Both {
            type Value = Subspaces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("spaces by name or in a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Subspaces, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                // Gymnasium sorts the keys of a Dict.
                all.sort_by(|a: &(String, Space), b| a.0.cmp(&b.0));
                Ok(Subspaces(all))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Subspaces, A::Error> {
                let mut all = Vec::new();
                while let Some(space) = list.next_element()? {
                    all.push((all.len().to_string(), space));
                }
                Ok(Subspaces(all))
            }
        }
        from.deserialize_any(Both)
    }
}

/// A part of a space that is one array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Keys of Dicts and positions in Tuples, from the outermost on; empty for a space that is an array itself.
    pub path: Vec<String>,
    pub kind: LeafKind,
    /// Of one step.
    pub shape: Vec<u64>,
    /// Gymnasium's type, such as "Box float32".
    pub dtype: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum LeafKind {
    /// Numbers as they are.
    Numbers,
    /// One or more choices: the number of each and its first value. Each becomes as many dimensions, of which one is 1.
    Choices(Vec<(u64, i64)>),
    Frames,
    /// Text and others that are no numbers.
    Other,
}

impl Leaf {
    /// The name: the path with slashes, or `root` for a space that is an array itself.
    pub fn name(&self, root: &str) -> String {
        if self.path.is_empty() { root.into() } else { self.path.join("/") }
    }

    /// Values in the file in a step.
    pub fn stored_width(&self) -> usize {
        match &self.kind {
            LeafKind::Choices(choices) => choices.len(),
            _ => self.shape.iter().product::<u64>() as usize,
        }
    }

    /// Dimensions of the state.
    pub fn width(&self) -> usize {
        match &self.kind {
            LeafKind::Choices(choices) => choices.iter().map(|(n, _)| *n as usize).sum(),
            _ => self.stored_width(),
        }
    }
}

impl Space {
    /// A space of an array in a file without a description.
    pub fn of_array(dtype: &str, shape: &[u64]) -> Self {
        Self { r#type: "Box".into(), dtype: Some(dtype.into()), shape: shape.to_vec(), ..Self::default() }
    }

    /// One choice of an unknown number.
    pub fn of_choice() -> Self {
        Self { r#type: "Discrete".into(), n: 0.into(), ..Self::default() }
    }

    /// A Dict of spaces.
    pub fn of_parts(parts: Vec<(String, Self)>) -> Self {
        Self { r#type: "Dict".into(), subspaces: Subspaces(parts), ..Self::default() }
    }

    /// Bytes of encoded pictures or texts, in a file without a description.
    pub fn of_bytes() -> Self {
        Self { r#type: "pictures or texts".into(), ..Self::default() }
    }

    /// All leaves in the order of `flatten`.
    ///
    /// # Errors
    /// Sizes that no space of a robot has.
    pub fn leaves(&self) -> Result<Vec<Leaf>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all)?;
        Ok(all)
    }

    fn collect(&self, path: &mut Vec<String>, all: &mut Vec<Leaf>) -> Result<()> {
        if matches!(&*self.r#type, "Dict" | "Tuple") {
            for (name, space) in &self.subspaces.0 {
                path.push(name.clone());
                space.collect(path, all)?;
                path.pop();
            }
            return Ok(());
        }
        let refuse = |found: String| {
            Error::new(Kind::Data, "a space of an impossible size").at(path.join("/")).found(found)
        };
        let choices = self.choices().map_err(|found| refuse(found.into()))?;
        let shape = match &*self.r#type {
            "MultiBinary" => integers(&self.n).map(|n| n.into_iter().map(i64::unsigned_abs).collect()),
            _ => Some(self.shape.clone()),
        };
        let shape = shape.ok_or_else(|| refuse("MultiBinary without n".into()))?;
        let width = shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d));
        if width.is_none_or(|width| width > 1 << 40) {
            return Err(refuse(format!("{shape:?}").chars().take(100).collect()));
        }
        let dtype = self.dtype.as_deref().unwrap_or("");
        let kind = match &*self.r#type {
            "Box" if dtype == "uint8" && shape.len() > 1 => LeafKind::Frames,
            "Box" | "MultiBinary" if width.is_some_and(|width| width <= MAX_WIDTH) => LeafKind::Numbers,
            "Discrete" | "MultiDiscrete" => LeafKind::Choices(choices),
            "pictures or texts" => LeafKind::Frames,
            _ => LeafKind::Other,
        };
        let dtype = format!("{} {dtype}", self.r#type).trim().to_owned();
        all.push(Leaf { path: path.clone(), kind, shape, dtype });
        Ok(())
    }

    /// The choices of a Discrete or MultiDiscrete space.
    fn choices(&self) -> std::result::Result<Vec<(u64, i64)>, &'static str> {
        let counts = match &*self.r#type {
            "Discrete" => &self.n,
            "MultiDiscrete" => &self.nvec,
            _ => return Ok(Vec::new()),
        };
        let counts = integers(counts).ok_or("choices without their number")?;
        let starts = integers(&self.start).unwrap_or_else(|| vec![0; counts.len()]);
        if starts.len() != counts.len() {
            return Err("choices with other first values");
        }
        let all = counts.iter().map(|&n| n.unsigned_abs());
        if all.clone().fold(0, u64::saturating_add) > MAX_CHOICES {
            return Err("more than 4096 choices");
        }
        Ok(all.zip(starts).collect())
    }
}

/// An integer, or all integers of nested lists.
fn integers(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Array(list) => {
            let all: Option<Vec<Vec<i64>>> = list.iter().map(integers).collect();
            Some(all?.concat())
        }
        other => Some(vec![other.as_i64()?]),
    }
}
