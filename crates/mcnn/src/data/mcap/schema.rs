//! Types of ROS 2 messages, from the text that a recording has of them (`ros2msg`): the fields of the message, and after lines of `=` those
//! of the types in it.
//!
//! Grammar: <https://docs.ros.org/en/rolling/Concepts/Basic/About-Interfaces.html>.

use std::collections::HashMap;

use crate::{
    data::parquet::Budget,
    error::{Error, Kind, Result},
};

/// The deepest nesting of types: no message of ROS comes near.
pub(super) const MAX_DEPTH: usize = 32;
/// The most fields of all types together: types that have each other many times would expand to more.
const MAX_FIELDS: usize = 20_000;

/// A number as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Number {
    /// Bytes, to which it is aligned, too.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "byte" | "uint8" | "char" => Self::U8,
            "int8" => Self::I8,
            "uint16" => Self::U16,
            "int16" => Self::I16,
            "uint32" => Self::U32,
            "int32" => Self::I32,
            "uint64" => Self::U64,
            "int64" => Self::I64,
            "float32" => Self::F32,
            "float64" => Self::F64,
            _ => return None,
        })
    }
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Number(Number),
    Text,
    /// Characters of 16 bits.
    WideText,
    /// A message in a message, with its name.
    Message(String, Vec<(String, Type)>),
    /// So many elements, or as many as each message says.
    List(Box<Type>, Option<usize>),
}

/// The type of the messages of a schema.
///
/// # Errors
/// Types that are not defined, nested too deeply, or lines that are not understood; more memory than the budget.
pub(super) fn parse(name: &str, text: &str, budget: &Budget) -> Result<Type> {
    budget.check((size_of::<&str>() * text.lines().count()) as u64)?;
    let mut sections: HashMap<String, Vec<&str>> = HashMap::new();
    let mut current = short(name);
    for line in text.lines() {
        let line = line.trim();
        if line.len() >= 3 && line.bytes().all(|b| b == b'=') {
            continue;
        }
        if let Some(of) = line.strip_prefix("MSG:") {
            current = short(of.trim());
            continue;
        }
        sections.entry(current.clone()).or_default().push(line);
    }
    let mut parser = Parser { sections, fields: 0, budget };
    parser.message(&short(name), 0).map_err(|e| e.within(name))
}

/// A name of a type as package and name: `pkg/msg/Name` and `pkg/Name` are the same.
fn short(name: &str) -> String {
    match name.split('/').collect::<Vec<_>>()[..] {
        [package, _, name] => format!("{package}/{name}"),
        _ => name.into(),
    }
}

struct Parser<'a> {
    sections: HashMap<String, Vec<&'a str>>,
    fields: usize,
    budget: &'a Budget,
}

fn refuse(what: &str, line: &str) -> Error {
    Error::new(Kind::File, what).found(line.chars().take(100).collect::<String>())
}

impl Parser<'_> {
    fn message(&mut self, name: &str, depth: usize) -> Result<Type> {
        if depth > MAX_DEPTH {
            return Err(refuse("types of messages that are nested too deeply", name));
        }
        let Some(lines) = self.sections.get(name).cloned() else {
            // Two types that some recordings leave out.
            if !["builtin_interfaces/Time", "builtin_interfaces/Duration"].contains(&name) {
                return Err(refuse("a type of messages that the recording does not define", name));
            }
            let fields = [("sec", Number::I32), ("nanosec", Number::U32)];
            let fields = fields.map(|(name, number)| (name.to_owned(), Type::Number(number)));
            return Ok(Type::Message(name.into(), fields.to_vec()));
        };
        let mut fields = Vec::new();
        for line in lines {
            let line = line.split('#').next().unwrap_or("").trim();
            let mut words = line.split_whitespace();
            let (Some(of), Some(field)) = (words.next(), words.next()) else {
                if line.is_empty() {
                    continue;
                }
                return Err(refuse("a field without a name", line));
            };
            // A constant: TYPE NAME=VALUE, also with blanks.
            if field.contains('=') || words.next().is_some_and(|word| word.starts_with('=')) {
                continue;
            }
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(refuse("a type of messages with too many fields", name));
            }
            self.budget.take((size_of::<(String, Type)>() + field.len() + of.len()) as u64)?;
            fields.push((field.to_owned(), self.field(of, name, depth)?));
        }
        Ok(Type::Message(name.into(), fields))
    }

    /// A type as it is written, in a message of type `inside`.
    fn field(&mut self, text: &str, inside: &str, depth: usize) -> Result<Type> {
        if let Some((of, size)) = text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
            let size = match size.strip_prefix("<=") {
                Some(_) => None,
                None if size.is_empty() => None,
                None => Some(size.parse().map_err(|_| refuse("a list of a size that is no number", text))?),
            };
            if of.ends_with(']') {
                return Err(refuse("a list of lists, which ROS does not have", text));
            }
            return Ok(Type::List(Box::new(self.field(of, inside, depth)?), size));
        }
        let of = text.split("<=").next().unwrap_or(text);
        if let Some(number) = Number::named(of) {
            return Ok(Type::Number(number));
        }
        match of {
            "string" => Ok(Type::Text),
            "wstring" => Ok(Type::WideText),
            "time" | "duration" => self.message(
                &format!("builtin_interfaces/{}", if of == "time" { "Time" } else { "Duration" }),
                depth + 1,
            ),
            "Header" => self.message("std_msgs/Header", depth + 1),
            of if of.contains('/') => self.message(&short(of), depth + 1),
            // Of the same package.
            of => self.message(&format!("{}/{of}", inside.split('/').next().unwrap_or("")), depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_constants_bounds_and_types_of_the_same_package_are_understood() {
        let text = "# a comment\nuint8 MODE_A=1\nuint8 MODE_B = 2\nOther[<=3] others\nfloat64[2] pair [1.0, 2.0]\n\
                    string<=10 name \"x\" # text\nbuiltin_interfaces/Time stamp\n\
                    ================================================================================\n\
                    MSG: pkg/Other\nint16 a 5\nwstring w\nbool[] flags\n";
        let Type::Message(name, fields) = parse("pkg/msg/Thing", text, &Budget::new(0)).unwrap() else {
            panic!()
        };
        let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!((&*name, &names[..]), ("pkg/Thing", &["others", "pair", "name", "stamp"][..]));
        let Type::List(other, None) = &fields[0].1 else { panic!() };
        let Type::Message(_, inner) = &**other else { panic!() };
        assert_eq!(inner[0], ("a".into(), Type::Number(Number::I16)));
        assert_eq!(inner[2].1, Type::List(Box::new(Type::Number(Number::Bool)), None));
        assert_eq!(fields[1].1, Type::List(Box::new(Type::Number(Number::F64)), Some(2)));
        for (wrong, says) in [
            ("pkg/Nothing x", "does not define"),
            ("float64", "without a name"),
            ("Thing again", "too deeply"),
            ("float64[x] y", "no number"),
            (&format!("float64{} y", "[]".repeat(1_000_000)), "a list of lists"),
        ] {
            let error = parse("pkg/msg/Thing", wrong, &Budget::new(0)).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
