//! JSON files that Python wrote, which may have NaN and Infinity as numbers.

use std::{borrow::Cow, path::Path};

use serde::de::DeserializeOwned;

use super::regular;
use crate::error::{Error, Kind, Result};

/// Reads a JSON file of at most `most` bytes. Errors do not name the file.
pub(super) fn read<T: DeserializeOwned>(path: &Path, most: u64) -> Result<T> {
    parse(&text(path, most)?)
}

/// Reads a text of at most `most` bytes. Errors do not name the file.
pub(super) fn text(path: &Path, most: u64) -> Result<String> {
    let length = regular(path)?;
    if length > most {
        return Err(Error::new(Kind::File, "the file is too large")
            .expected(format!("at most {most} bytes"))
            .found(format!("{length} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, &e))?;
    String::from_utf8(bytes).map_err(|_| {
        Error::new(Kind::File, "the file cannot be read").expected("text in UTF-8").found("other bytes")
    })
}

/// Parses JSON, with null in place of NaN and Infinity.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(&finite(text)).map_err(|e| {
        Error::new(Kind::File, "the JSON cannot be read")
            .found(e.to_string().chars().take(300).collect::<String>())
            .next("it may be damaged or of another version: fetch or write it again")
    })
}

/// The text with null in place of NaN, Infinity and -Infinity outside strings.
fn finite(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        found.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match rest.as_bytes()[0] {
            b'"' => {
                let inside = string(rest);
                found.push_str(&rest[..inside]);
                inside
            }
            _ => match ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)) {
                Some(word) => {
                    found.push_str("null");
                    word.len()
                }
                None => {
                    found.push_str(&rest[..1]);
                    1
                }
            },
        };
        rest = &rest[length..];
    }
    found.push_str(rest);
    Cow::Owned(found)
}

/// The length of a string with its quotes, at the start of a text.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_in_json_becomes_null_outside_strings() {
        let text = r#"{"low": [-Infinity, NaN, -1.5e-3], "high": Infinity, "NaN \" Infinity": "é-Infinity"}"#;
        let found: serde_json::Value = parse(text).unwrap();
        let expected =
            serde_json::json!({"low": [null, null, -1.5e-3], "high": null, "NaN \" Infinity": "é-Infinity"});
        assert_eq!(found, expected);
        for broken in ["{\"a\": NaN", "\"\\\"Infinity", "Nan", "-"] {
            assert!(parse::<serde_json::Value>(broken).is_err(), "{broken}");
        }
    }
}
