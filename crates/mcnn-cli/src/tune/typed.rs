//! Outcomes that a person typed in: a CSV file with the columns candidate, episode and outcome.

use std::path::Path;

use mcnn::{Error, Result, data::regular, error::Kind, eval::race::Request};

/// The columns, which the first line names.
const COLUMNS: [&str; 3] = ["candidate", "episode", "outcome"];

/// Limit of the file, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// An outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Typed {
    pub of: Request,
    /// More is better: a number; 1 for success and 0 for failure.
    pub value: f64,
    /// Whether it is a success or a failure, rather than a number.
    pub success: Option<bool>,
    /// The line in the file, from 1.
    pub line: usize,
}

/// Reads the outcomes. Columns may be in any order; columns of other names, empty lines and lines without an outcome are left
/// out.
///
/// # Errors
/// If the file cannot be read, a column is missing, or a line cannot be understood.
pub fn read(path: &Path) -> Result<Vec<Typed>> {
    regular(path)?;
    let length = std::fs::metadata(path).map_err(|e| Error::io("reading", path, &e))?.len();
    if length > MAX_BYTES {
        return Err(Error::new(Kind::File, "the file of outcomes is too large")
            .at(path.display().to_string())
            .expected(format!("{MAX_BYTES} bytes at most"))
            .found(length.to_string()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading", path, &e))?;
    parse(&text).map_err(|e| e.within(path.display()))
}

fn parse(text: &str) -> Result<Vec<Typed>> {
    // A spreadsheet may begin a CSV file with a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, head) = lines.next().unwrap_or((0, ""));
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = head.iter().position(|name| *name == column).ok_or_else(|| {
            Error::new(Kind::Data, "a column is missing")
                .at("line 1")
                .expected(COLUMNS.join(","))
                .found(head.join(","))
        })?;
    }
    let mut all = Vec::new();
    for (i, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [candidate, episode, outcome] = places.map(|place| cells.get(place).copied().unwrap_or(""));
        if outcome.is_empty() {
            continue;
        }
        let refuse = |what: &str, expected: &str, found: &str| {
            Error::new(Kind::Data, what)
                .at(format!("line {}", i + 1))
                .expected(expected)
                .found(format!("{found:?}"))
        };
        let number = |text: &str, column: &str| {
            text.parse::<usize>().map_err(|_| {
                refuse(&format!("the {column} is not a number"), "a whole number of 0 or more", text)
            })
        };
        let success = match outcome.to_lowercase().as_str() {
            "success" => Some(true),
            "failure" => Some(false),
            _ => None,
        };
        let value = match success {
            Some(success) => f64::from(u8::from(success)),
            None => outcome.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
                refuse("an outcome cannot be understood", "a finite number, success or failure", outcome)
            })?,
        };
        let of = Request { candidate: number(candidate, "candidate")?, episode: number(episode, "episode")? };
        all.push(Typed { of, value, success, line: i + 1 });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_read_in_any_order_of_columns() {
        let text = "\u{feff}episode, outcome ,candidate,notes\n0,success,1,\n\n3,-2.5,0,slipped\r\n4,,0,\n4,Failure,2,\n";
        let read = parse(text).unwrap();
        let of = |candidate, episode| Request { episode, candidate };
        assert_eq!(
            read,
            [
                Typed { of: of(1, 0), value: 1.0, success: Some(true), line: 2 },
                Typed { of: of(0, 3), value: -2.5, success: None, line: 4 },
                Typed { of: of(2, 4), value: 0.0, success: Some(false), line: 6 },
            ]
        );
        assert_eq!(parse("candidate,episode,outcome\n").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_line() {
        for (text, told) in [
            ("", "a column is missing"),
            ("candidate,outcome\n", "candidate,episode,outcome"),
            ("candidate,episode,outcome\n0,0,good\n", "line 2"),
            ("candidate,episode,outcome\n0,0,1\n0,1,inf\n", "line 3"),
            ("candidate,episode,outcome\n-1,0,1\n", "the candidate is not a number"),
            ("candidate,episode,outcome\n1,first,1\n", "the episode is not a number"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(told), "{text:?}: {message}");
        }
    }
}
