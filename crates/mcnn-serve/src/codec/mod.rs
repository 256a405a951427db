//! msgpack with NumPy arrays, as the package `openpi-client` encodes them: an array is a map whose keys are byte strings
//! (`__ndarray__`, `data`, `dtype`, `shape`), a NumPy scalar one with `__npgeneric__`.
//!
//! Decoding copies no data: values refer to the message. It is bounded by the number of values and the depth, because a byte of a
//! message can be a value of many bytes in memory.

mod array;
mod decode;
mod encode;

pub use array::{Array, Dtype};
pub use decode::decode;
pub use encode::Writer;

use std::borrow::Cow;

/// The most values in a message, those inside arrays' data not counted.
pub const MOST_VALUES: usize = 1 << 16;
/// The most lists and maps inside each other.
pub const MOST_DEPTH: usize = 16;

/// The signed number in the lower `n` bytes (1 to 8) of `value`.
pub fn sign_extended(value: u64, n: usize) -> i64 {
    let shift = 64 - 8 * n as u32;
    (value << shift) as i64 >> shift
}

/// A decoded value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer, or a floating-point number.
    Number(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Value<'a>>),
    /// A map with text as keys, in the order of the message.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
    /// A NumPy array.
    Array(Array<'a>),
}

impl<'a> Value<'a> {
    /// The value at a key of a map; `a/b` also is the key `b` in the map at key `a`.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let Value::Map(entries) = self else { return None };
        let of = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let nested = || {
            let mut splits = key.match_indices('/').filter(|(at, _)| *at > 0);
            splits.find_map(|(at, _)| of(&key[..at])?.get(&key[at + 1..]))
        };
        of(key).or_else(nested)
    }

    /// The values of a map and of the maps in it, with the keys that lead to them.
    pub fn leaves(&self) -> Vec<(Vec<&str>, &Value<'a>)> {
        let mut leaves = Vec::new();
        self.add_leaves(&mut Vec::new(), &mut leaves);
        leaves
    }

    fn add_leaves<'v>(&'v self, path: &mut Vec<&'v str>, leaves: &mut Vec<(Vec<&'v str>, &'v Value<'a>)>) {
        let Value::Map(entries) = self else { return };
        for (name, value) in entries {
            path.push(name);
            match value {
                Value::Map(_) => value.add_leaves(path, leaves),
                _ => leaves.push((path.clone(), value)),
            }
            path.pop();
        }
    }

    /// The keys of a map for messages, those of nested maps with `/`, cut as [`key_text`] does.
    pub fn keys(&self) -> Vec<String> {
        self.leaves().iter().map(|(path, _)| key_text(path)).collect()
    }

    /// What kind of value it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Nil => "nothing".into(),
            Value::Bool(_) => "a truth value".into(),
            Value::Number(_) => "a number".into(),
            Value::Text(_) => "text".into(),
            Value::Bytes(_) => "bytes".into(),
            Value::List(list) => format!("a list of {}", list.len()),
            Value::Map(_) => "a map".into(),
            Value::Array(array) => array.describe(),
        }
    }
}

/// The keys of a path, joined by `/`, for messages: the first 80 characters, because a client chooses their length.
pub fn key_text(path: &[&str]) -> String {
    let parts = path.iter().enumerate().map(|(k, part)| (if k == 0 { "" } else { "/" }, part));
    parts.flat_map(|(before, part)| before.chars().chain(part.chars())).take(80).collect()
}

#[cfg(test)]
mod tests;
