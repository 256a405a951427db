//! Reading a message.

use std::borrow::Cow;

use mcnn::error::{Error, Kind, Result};
use rmp::Marker;

use super::{Array, Dtype, MOST_DEPTH, MOST_VALUES, Value, sign_extended};

/// Decodes a message.
///
/// # Errors
/// Bytes that are not one msgpack value, more than 65,536 values, more than 16 levels, keys that are not text, extension types, and
/// arrays of other types or lengths than they say.
pub fn decode(message: &[u8]) -> Result<Value<'_>> {
    let mut reader = Reader { rest: message, values: 0 };
    let value = reader.value(0)?;
    match reader.rest {
        [] => Ok(value),
        rest => Err(broken("bytes after the message").found(format!("{} bytes", rest.len()))),
    }
}

fn broken(what: &str) -> Error {
    Error::new(Kind::Data, what).expected("one msgpack map in a binary frame, as openpi-client sends it")
}

/// A key of a map. Byte strings are the keys of NumPy arrays and scalars.
#[derive(PartialEq)]
enum MapKey<'a> {
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        self.rest.split_off(..n).ok_or_else(|| broken("a message that is cut off"))
    }

    /// An unsigned number of `n` bytes, big-endian.
    fn unsigned(&mut self, n: usize) -> Result<u64> {
        Ok(self.bytes(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A length of `n` bytes.
    fn length(&mut self, n: usize) -> Result<usize> {
        Ok(self.unsigned(n)? as usize)
    }

    fn signed(&mut self, n: usize) -> Result<Value<'a>> {
        Ok(Value::Number(sign_extended(self.unsigned(n)?, n) as f64))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > MOST_DEPTH {
            return Err(broken("a message of too many values").found(match depth {
                0..=MOST_DEPTH => format!("more than {MOST_VALUES}"),
                _ => format!("more than {MOST_DEPTH} levels"),
            }));
        }
        let number = |value: u64| Ok(Value::Number(value as f64));
        match Marker::from_u8(self.bytes(1)?[0]) {
            Marker::Null => Ok(Value::Nil),
            Marker::True => Ok(Value::Bool(true)),
            Marker::False => Ok(Value::Bool(false)),
            Marker::FixPos(value) => Ok(Value::Number(f64::from(value))),
            Marker::FixNeg(value) => Ok(Value::Number(f64::from(value))),
            Marker::U8 => number(self.unsigned(1)?),
            Marker::U16 => number(self.unsigned(2)?),
            Marker::U32 => number(self.unsigned(4)?),
            Marker::U64 => number(self.unsigned(8)?),
            Marker::I8 => self.signed(1),
            Marker::I16 => self.signed(2),
            Marker::I32 => self.signed(4),
            Marker::I64 => self.signed(8),
            Marker::F32 => Ok(Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32)))),
            Marker::F64 => Ok(Value::Number(f64::from_bits(self.unsigned(8)?))),
            Marker::FixStr(length) => self.text(length.into()),
            Marker::Str8 => self.length(1).and_then(|n| self.text(n)),
            Marker::Str16 => self.length(2).and_then(|n| self.text(n)),
            Marker::Str32 => self.length(4).and_then(|n| self.text(n)),
            Marker::Bin8 => self.length(1).and_then(|n| self.bytes(n)).map(Value::Bytes),
            Marker::Bin16 => self.length(2).and_then(|n| self.bytes(n)).map(Value::Bytes),
            Marker::Bin32 => self.length(4).and_then(|n| self.bytes(n)).map(Value::Bytes),
            Marker::FixArray(length) => self.list(length.into(), depth),
            Marker::Array16 => self.length(2).and_then(|n| self.list(n, depth)),
            Marker::Array32 => self.length(4).and_then(|n| self.list(n, depth)),
            Marker::FixMap(length) => self.map(length.into(), depth),
            Marker::Map16 => self.length(2).and_then(|n| self.map(n, depth)),
            Marker::Map32 => self.length(4).and_then(|n| self.map(n, depth)),
            _ => Err(broken("an extension type of msgpack")),
        }
    }

    fn text(&mut self, length: usize) -> Result<Value<'a>> {
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| broken("text that is not UTF-8"))?;
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    // Lists and maps grow as their values are read: a length may be wrong.
    fn list(&mut self, length: usize, depth: usize) -> Result<Value<'a>> {
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(self.value(depth + 1)?);
        }
        Ok(Value::List(list))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value<'a>> {
        let mut entries = Vec::new();
        for _ in 0..length {
            let key = match self.value(depth + 1)? {
                Value::Text(text) => MapKey::Text(text),
                Value::Bytes(bytes) => MapKey::Bytes(bytes),
                other => return Err(broken("a key that is not text").found(other.describe())),
            };
            entries.push((key, self.value(depth + 1)?));
        }
        let has = |name: &'static [u8]| entries.iter().any(|(key, _)| *key == MapKey::Bytes(name));
        if has(b"__ndarray__") {
            return array(&entries).map(Value::Array);
        }
        if has(b"__npgeneric__") {
            return scalar(&entries);
        }
        let named = |(key, value): (MapKey<'a>, Value<'a>)| match key {
            MapKey::Text(text) => (text, value),
            MapKey::Bytes(bytes) => (String::from_utf8_lossy(bytes), value),
        };
        Ok(Value::Map(entries.into_iter().map(named).collect()))
    }
}

fn entry<'e, 'a>(entries: &'e [(MapKey<'a>, Value<'a>)], name: &'static [u8]) -> Option<&'e Value<'a>> {
    entries.iter().find(|(key, _)| *key == MapKey::Bytes(name)).map(|(_, value)| value)
}

fn array<'a>(entries: &[(MapKey<'a>, Value<'a>)]) -> Result<Array<'a>> {
    let incomplete = || broken("an array without data, dtype or shape");
    let (Some(Value::Bytes(data)), Some(Value::Text(dtype)), Some(Value::List(sides))) =
        (entry(entries, b"data"), entry(entries, b"dtype"), entry(entries, b"shape"))
    else {
        return Err(incomplete());
    };
    let side = |side: &Value| match side {
        Value::Number(side) if side.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(side) => {
            Ok(*side as usize)
        }
        _ => Err(incomplete()),
    };
    Array::new(Dtype::parse(dtype)?, sides.iter().map(side).collect::<Result<_>>()?, data)
}

fn scalar<'a>(entries: &[(MapKey<'a>, Value<'a>)]) -> Result<Value<'a>> {
    match entry(entries, b"data") {
        Some(value @ (Value::Number(_) | Value::Bool(_) | Value::Text(_))) => Ok(value.clone()),
        _ => Err(broken("a NumPy scalar without a value")),
    }
}
