//! Values of messages in CDR, the encoding of ROS 2 (XCDR1): numbers are aligned to their size, counted from after the first four bytes.
//!
//! Format: OMG, DDS-XTypes 1.3, 7.4.

use super::schema::{MAX_DEPTH, Number, Type};
use crate::{
    data::parquet::Budget,
    error::{Error, Kind, Result},
};

/// What is taken of a message.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Taken {
    pub numbers: Vec<f64>,
    pub texts: Vec<String>,
    count: usize, // of numbers
}

fn damaged(found: &str) -> Error {
    Error::new(Kind::Data, "a message that cannot be decoded").found(found)
}

/// The numbers (or texts) at `path` in a message: names of fields, and positions in lists. All numbers of a message or list there are
/// taken, in order, but those of headers, times and durations only if the path leads into them.
///
/// # Errors
/// Another encoding; bytes that do not fit the type; a position that a list does not have; more memory than is left of the budget, from
/// which nothing is taken.
pub(super) fn take(of: &Type, path: &[String], data: &[u8], budget: &Budget) -> Result<Taken> {
    let mut taken = Taken::default();
    walk(of, path, data, Some(budget), &mut taken)?;
    Ok(taken)
}

/// The number of numbers that [`take`] takes.
///
/// # Errors
/// As [`take`], but of memory.
pub(super) fn count(of: &Type, path: &[String], data: &[u8]) -> Result<usize> {
    let mut taken = Taken::default();
    walk(of, path, data, None, &mut taken)?;
    Ok(taken.count)
}

fn walk(of: &Type, path: &[String], data: &[u8], budget: Option<&Budget>, to: &mut Taken) -> Result<()> {
    let Some((head, bytes)) = data.split_first_chunk::<4>() else {
        return Err(damaged("fewer than 4 bytes"));
    };
    let is_little = match head[..2] {
        [0, 0] => false,
        [0, 1] => true,
        _ => {
            return Err(Error::new(Kind::Data, "a message in another encoding than CDR (XCDR1)")
                .found(format!("the first bytes {:02x} {:02x}", head[0], head[1])));
        }
    };
    Cursor { bytes, at: 0, is_little, budget }.walk(of, Some(path), to, 0)
}

/// Whether a type's numbers are no measurements: they are not taken with others.
pub(super) fn is_time(of: &Type) -> bool {
    matches!(of, Type::Message(name, _) if ["std_msgs/Header", "builtin_interfaces/Time", "builtin_interfaces/Duration"].contains(&&**name))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    is_little: bool,
    budget: Option<&'a Budget>, // none if values are counted only
}

impl Cursor<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.at = self.at.next_multiple_of(N);
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        let mut found = found.ok_or_else(|| damaged("it ends too early"))?;
        self.at += N;
        if !self.is_little {
            found.reverse();
        }
        Ok(found)
    }

    fn skip(&mut self, n: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| damaged("it ends too early"))?;
        let skipped = &self.bytes[self.at..end];
        self.at = end;
        Ok(skipped)
    }

    fn number(&mut self, of: Number) -> Result<f64> {
        Ok(match of {
            Number::Bool | Number::U8 => f64::from(self.bytes::<1>()?[0]),
            Number::I8 => f64::from(i8::from_le_bytes(self.bytes()?)),
            Number::U16 => f64::from(u16::from_le_bytes(self.bytes()?)),
            Number::I16 => f64::from(i16::from_le_bytes(self.bytes()?)),
            Number::U32 => f64::from(u32::from_le_bytes(self.bytes()?)),
            Number::I32 => f64::from(i32::from_le_bytes(self.bytes()?)),
            Number::U64 => u64::from_le_bytes(self.bytes()?) as f64,
            Number::I64 => i64::from_le_bytes(self.bytes()?) as f64,
            Number::F32 => f64::from(f32::from_le_bytes(self.bytes()?)),
            Number::F64 => f64::from_le_bytes(self.bytes()?),
        })
    }

    fn count(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.bytes()?) as usize)
    }

    /// Reads a value. `wanted`: the rest of the path to what is taken; `None` if nothing of it is.
    fn walk(&mut self, of: &Type, wanted: Option<&[String]>, to: &mut Taken, depth: usize) -> Result<()> {
        if depth > 2 * MAX_DEPTH {
            return Err(damaged("it is nested too deeply"));
        }
        match of {
            Type::Number(number) => {
                let value = self.number(*number)?;
                if wanted.is_some() {
                    to.count += 1;
                    if self.budget.is_some() {
                        to.numbers.push(value);
                    }
                }
            }
            Type::Text => {
                let n = self.count()?;
                let is_kept = wanted.is_some() && self.budget.is_some();
                let text = self.skip(n)?;
                if is_kept {
                    let text = text.strip_suffix(&[0]).unwrap_or(text);
                    to.texts.push(String::from_utf8_lossy(text).into_owned());
                }
            }
            Type::WideText => {
                let n = self.count()?;
                self.skip(n.saturating_mul(2))?;
            }
            Type::Message(_, fields) if fields.is_empty() => {
                self.skip(1)?; // an empty message has a byte
            }
            Type::Message(_, fields) => {
                for (name, of) in fields {
                    let inner = match wanted {
                        Some([first, rest @ ..]) => (first == name).then_some(rest),
                        Some([]) if is_time(of) => None,
                        other => other,
                    };
                    self.walk(of, inner, to, depth + 1)?;
                }
            }
            Type::List(of, size) => self.list(of, *size, wanted, to, depth)?,
        }
        Ok(())
    }

    fn list(
        &mut self,
        of: &Type,
        size: Option<usize>,
        wanted: Option<&[String]>,
        to: &mut Taken,
        depth: usize,
    ) -> Result<()> {
        let n = size.map_or_else(|| self.count(), Ok)?;
        // Every element takes a byte or more.
        if n > self.bytes.len() - self.at.min(self.bytes.len()) {
            return Err(damaged("a list that is longer than the message"));
        }
        if let (Type::Number(number), None) = (of, wanted) {
            if n > 0 {
                self.at = self.at.next_multiple_of(number.size());
                self.skip(n.saturating_mul(number.size()))?;
            }
            return Ok(());
        }
        if let (Some(budget), Some([])) = (self.budget, wanted) {
            // Numbers become 64 bits; other elements have at most a number for each byte.
            let left = self.bytes.len() - self.at.min(self.bytes.len());
            budget.check(8 * if matches!(of, Type::Number(_)) { n } else { left } as u64)?;
        }
        let place = match wanted {
            Some([first, ..]) => {
                Some(first.parse::<usize>().ok().filter(|place| *place < n).ok_or_else(|| {
                    damaged("a list without the element that was asked for")
                        .expected(format!("an element below {n}"))
                        .found(first.clone())
                })?)
            }
            _ => None,
        };
        for i in 0..n {
            let inner = match (wanted, place) {
                (Some([_, rest @ ..]), Some(place)) => (i == place).then_some(rest),
                (wanted, _) => wanted,
            };
            self.walk(of, inner, to, depth + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_counted_and_takes_eight_times_its_bytes_from_the_budget() {
        let of = Type::List(Box::new(Type::Number(Number::U8)), None);
        let n = 9 << 20;
        let data = [&[0, 1, 0, 0][..], &u32::to_le_bytes(n), &vec![7; n as usize]].concat();
        assert_eq!(count(&of, &[], &data).unwrap(), n as usize);
        let error = take(&of, &[], &data, &Budget::new(0)).unwrap_err().to_string();
        assert!(error.contains("more memory"), "{error}");
        assert_eq!(take(&of, &[], &data, &Budget::new(u64::from(n))).unwrap().numbers.len(), n as usize);
    }
}
