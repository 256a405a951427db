//! Reads comma-separated values: one row per line, with quotes around values that contain commas.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// The largest list in bytes: 100 bytes per row, a million rows (rounded up).
const LARGEST: u64 = 256 << 20;

/// A list of rows of equally many values, with the names of the columns.
pub(super) struct Table {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Reads a list. `names` are the column names of a file without a header; a first line with a number is not a header.
///
/// # Errors
/// A file that cannot be read, is not text, or whose rows have different numbers of values.
pub(super) fn read(path: &Path, names: Option<&[&str]>) -> Result<Table> {
    let io = |e| Error::io("reading", path, &e);
    if std::fs::metadata(path).map_err(io)?.len() > LARGEST {
        return Err(Error::new(Kind::Data, "a list that is too long").at(path.display().to_string()));
    }
    let text = std::fs::read(path).map_err(io)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let mut rows: Vec<Vec<String>> = lines.map(values).collect();
    let has_number = |row: &Vec<String>| row.iter().any(|value| value.parse::<f64>().is_ok());
    let names = match (rows.first(), names) {
        (None, _) => return Err(Error::new(Kind::Data, "a list without rows").at(path.display().to_string())),
        (Some(first), Some(names)) if has_number(first) => {
            names.iter().map(|&name| name.to_owned()).collect()
        }
        (Some(first), None) if has_number(first) => {
            return Err(Error::new(Kind::Data, "a list without column names")
                .at(path.display().to_string())
                .expected("names in the first line, such as: frame,steering,throttle")
                .found(first.join(",")));
        }
        _ => rows.remove(0).into_iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(),
    };
    if let Some(bad) = rows.iter().position(|row| row.len() != names.len()) {
        return Err(Error::new(Kind::Data, "a row with another number of values")
            .at(format!("{}: row {}", path.display(), bad + 1))
            .expected(format!("{}: {}", names.len(), names.join(", ")))
            .found(rows[bad].len().to_string()));
    }
    Ok(Table { names, rows })
}

/// The values of a line. A quote inside quotes is written twice.
fn values(line: &str) -> Vec<String> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            c => value.push(c),
        }
    }
    values.push(value);
    values.iter().map(|v| v.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_commas_outside_quotes() {
        assert_eq!(values(r#"a, 1.5 ,"b, ""c""",,"#), ["a", "1.5", "b, \"c\"", "", ""]);
    }
}
