//! The error type of the library: what went wrong, where, what was expected, what was found, what to do next.

use std::fmt;

/// The result type of the library.
pub type Result<T> = std::result::Result<T, Error>;

/// The category of an error, for callers that handle categories differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Invalid demonstrations: missing keys, wrong shapes, NaN, actions out of range.
    Data,
    /// A setting out of range, or settings that contradict each other.
    Settings,
    /// Two inputs that do not match: a policy and a task of different dimensions, memories of other data.
    Mismatch,
    /// A file that cannot be read or written, or is not of the expected kind.
    File,
    /// An environment that cannot be started, raised an error, or returned an invalid value.
    Task,
}

/// An error. Build one with [`Error::new`] and the methods `at`, `expected`, `found` and `next`; each part is a short phrase
/// without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    kind: Kind,
    what: String,
    place: String,
    expected: String,
    found: String,
    next: String,
}

impl Error {
    /// An error of a kind; `what` is one phrase that says what went wrong.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        let what = what.into();
        let (place, expected, found, next) = Default::default();
        Self(Box::new(Parts { kind, what, place, expected, found, next }))
    }

    /// Sets where: a file and the key in it, an option, an episode and step.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = place.into();
        self
    }

    /// Adds an outer location, such as a file name, in front of the location.
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.0.place =
            if self.0.place.is_empty() { outer.to_string() } else { format!("{outer}: {}", self.0.place) };
        self
    }

    /// Sets what was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = expected.into();
        self
    }

    /// Sets what was found instead.
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.0.found = found.into();
        self
    }

    /// Sets what the user can do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = next.into();
        self
    }

    /// An error of the file system at a path. `doing` is a present participle ("reading").
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        let next = match error.kind() {
            NotFound => "check the path",
            PermissionDenied => "check the permissions of the file and its folder",
            StorageFull | QuotaExceeded => "free some space, or write to another disk",
            IsADirectory => "name a file, not a folder",
            InvalidFilename => "choose a shorter name",
            _ => "",
        };
        Self::new(Kind::File, format!("{doing} failed"))
            .at(path.display().to_string())
            .found(error.to_string())
            .next(next)
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What went wrong, without the other parts.
    pub fn what(&self) -> &str {
        &self.0.what
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.0;
        f.write_str(&p.what)?;
        for (label, part) in
            [("where", &p.place), ("expected", &p.expected), ("found", &p.found), ("next", &p.next)]
        {
            if !part.is_empty() {
                write!(f, "\n  {label}: {part}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_its_parts_in_order_and_leaves_out_the_empty_ones() {
        let error = Error::new(Kind::Data, "missing key").at("/actions").found("nothing").within("a.hdf5");
        assert_eq!(error.to_string(), "missing key\n  where: a.hdf5: /actions\n  found: nothing");
    }
}
