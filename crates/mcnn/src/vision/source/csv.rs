//! Reads comma-separated values: one row per line, with quotes around values that contain commas. Semicolons or tabs may separate
//! them instead, and decimal commas are read where they are not separators.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// The largest list in bytes: 100 bytes per row, a million rows (rounded up).
const LARGEST: u64 = 256 << 20;

/// A list of rows of equally many values, with the names of the columns.
pub(super) struct Table {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// What was skipped.
    pub warnings: Vec<String>,
}

/// Reads a row of more values than there are columns: `None` if it cannot.
pub(super) type Repair<'a> = &'a dyn Fn(&[String]) -> Option<Vec<String>>;

/// Reads a list. `names` are the column names of a file without a header; a first line with a number is not a header. `repair` reads
/// rows of more values than columns. A last row that is cut short is skipped.
///
/// # Errors
/// A file that cannot be read, is not text, or whose rows have different numbers of values.
pub(super) fn read(path: &Path, names: Option<&[&str]>, repair: Option<Repair>) -> Result<Table> {
    let io = |e| Error::io("reading", path, &e);
    if std::fs::metadata(path).map_err(io)?.len() > LARGEST {
        return Err(Error::new(Kind::Data, "a list that is too long").at(path.display().to_string()));
    }
    let text = std::fs::read(path).map_err(io)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let separator = text.lines().next().map_or(',', separator);
    let mut rows: Vec<Vec<String>> = lines.map(|line| values(line, separator)).collect();
    let has_number = |row: &Vec<String>| row.iter().any(|value| number(value).is_some());
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
    let mut warnings = Vec::new();
    if rows.last().is_some_and(|row| row.len() < names.len()) && rows.len() > 1 && !text.ends_with('\n') {
        rows.pop();
        warnings.push(format!("{}: the last row is incomplete, and is skipped", path.display()));
    }
    for row in rows.iter_mut().filter(|row| row.len() > names.len()) {
        if let Some(repaired) = repair.and_then(|repair| repair(row)) {
            *row = repaired;
        }
    }
    if let Some(bad) = rows.iter().position(|row| row.len() != names.len()) {
        return Err(Error::new(Kind::Data, "a row with another number of values")
            .at(format!("{}: row {}", path.display(), bad + 1))
            .expected(format!("{}: {}", names.len(), names.join(", ")))
            .found(format!(
                "{}: {}",
                rows[bad].len(),
                rows[bad].join(",").chars().take(200).collect::<String>()
            ))
            .next(match rows[bad].len() > names.len() {
                true => {
                    "decimal commas? Write points, or separate the values by semicolons or put them in quotes"
                }
                false => "complete that row, or remove it",
            }));
    }
    Ok(Table { names, rows, warnings })
}

/// What separates the values: semicolons or tabs, if the first line has more of them than commas.
fn separator(line: &str) -> char {
    let count = |separator: char| line.chars().filter(|&c| c == separator).count();
    [';', '\t'].into_iter().find(|&other| count(other) > count(',')).unwrap_or(',')
}

/// A number with a decimal point, or with a decimal comma.
pub(super) fn number(text: &str) -> Option<f32> {
    text.parse().ok().or_else(|| match text.split_once(',') {
        Some((whole, fraction)) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{whole}.{fraction}").parse().ok()
        }
        _ => None,
    })
}

/// The values of a line. A quote inside quotes is written twice.
fn values(line: &str, separator: char) -> Vec<String> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => values.push(std::mem::take(&mut value)),
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
        assert_eq!(values(r#"a, 1.5 ,"b, ""c""",,"#, ','), ["a", "1.5", "b, \"c\"", "", ""]);
        assert_eq!(values("a;1,5", ';'), ["a", "1,5"]);
        assert_eq!(["a.png;b.png;0,5;1", "a,b;c", "a\tb", "a"].map(separator), [';', ',', '\t', ',']);
    }

    #[test]
    fn numbers_have_points_or_commas() {
        assert_eq!(
            ["1.5", "-0,25", "7,8E-05", "3"].map(number),
            [Some(1.5), Some(-0.25), Some(7.8e-5), Some(3.0)]
        );
        assert_eq!(["", "a", "1,", "1,2,3", "1,2.5", "1,-5"].map(number), [None; 6]);
    }
}
