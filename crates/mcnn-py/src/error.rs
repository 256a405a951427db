//! Errors: those of the library as `mcnn.Error`, a `ValueError`.

use std::fmt::Write as _;

use mcnn::error::Kind;
use pyo3::{PyErr, create_exception, exceptions::PyValueError};

create_exception!(
    mcnn,
    Error,
    PyValueError,
    "Input or settings that cannot be used. The message says what is wrong, where, what was expected, what was found and what to do next."
);

/// The exception of an error of the library.
pub fn raise(error: mcnn::Error) -> PyErr {
    Error::new_err(with_python_names(&error.to_string()))
}

/// An error of an argument: its name, what was expected and what was found.
pub fn argument(name: &str, expected: impl Into<String>, found: impl Into<String>) -> PyErr {
    raise(
        mcnn::Error::new(Kind::Settings, "an argument that cannot be used")
            .at(name)
            .expected(expected)
            .found(found),
    )
}

/// The message with the names of arguments in place of the options of the command line: `--smooth-neighbors` is `smooth_neighbors`.
fn with_python_names(message: &str) -> String {
    let mut parts = message.split("--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let name = match name {
            "lambda" => "lam",
            "k" => "neighbors",
            "ignore-dims" => "ignore",
            "envelope" => "form",
            name => name,
        };
        let _ = write!(text, "{}{rest}", name.replace('-', "_"));
    }
    text
}
