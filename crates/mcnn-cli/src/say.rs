//! Messages on stderr.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr. Messages are not essential: where stderr cannot be written (a closed pipe, a full disk), the line is
/// dropped and the work goes on.
pub fn say(line: impl Display) {
    // One write, so that lines of several threads or processes do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
