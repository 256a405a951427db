//! Errors of the HDF5 reader: a damaged file, one that uses what is not read, and one whose values are elsewhere are told apart.

use hdf5_reader::{Datatype, error::Error as Hdf5Error};

use crate::error::{Error, Kind};

/// What to do about a dataset that cannot be read as it is stored.
pub(super) const REWRITE: &str =
    "write it as an ordinary dataset: with h5py, new.create_dataset(name, data=old[name][()])";

/// The error of the crate that parses the file, at a key (empty: none in particular).
pub(in crate::data) fn unreadable(e: Hdf5Error, key: &str) -> Error {
    let mut cause = &e;
    while let Hdf5Error::Context { source, .. } = cause {
        cause = source;
    }
    use Hdf5Error as E;
    let (what, next) = match cause {
        // Class 3, with the mappings to other datasets in place of an address.
        E::UnsupportedLayoutClass(3) => return virtual_dataset(key),
        E::UnsupportedSuperblockVersion(_)
        | E::UnsupportedObjectHeaderVersion(_)
        | E::UnsupportedBTreeVersion(_)
        | E::UnsupportedFractalHeapVersion(_)
        | E::UnsupportedDataspaceVersion(_)
        | E::UnsupportedDatatypeClass(_)
        | E::UnsupportedLayoutClass(_)
        | E::UnsupportedLayoutVersion(_)
        | E::UnsupportedFilterPipelineVersion(_)
        | E::UnsupportedFillValueVersion(_)
        | E::UnsupportedLinkVersion(_)
        | E::UnsupportedLinkType(_)
        | E::UnsupportedAttributeVersion(_)
        | E::UnsupportedChunkIndexType(_)
        | E::UnsupportedFilter(_)
        | E::UnsupportedEncoding(_) => (
            "the HDF5 file uses a part of the format that is not read",
            "write it again with h5py; if h5py cannot read it either, it is damaged",
        ),
        E::ResourceLimit(_) => (
            "the HDF5 file asks for more memory than it is given",
            "write it again with chunks of a few MiB; if it is small, it is damaged",
        ),
        _ => (
            "the HDF5 file cannot be read",
            "it may be damaged or cut short: compare its size with the source's, or write it again with h5py",
        ),
    };
    Error::new(Kind::File, what).at(place(key)).found(e.to_string()).next(next)
}

fn place(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("/{key}") }
}

fn virtual_dataset(key: &str) -> Error {
    elsewhere(key, "a virtual dataset, which shows parts of other files".into())
}

/// The values are not in this file.
pub(super) fn elsewhere(key: &str, found: String) -> Error {
    Error::new(Kind::File, "the values of a dataset are not in this file")
        .at(place(key))
        .expected("a dataset with its values in the same file; other files are not opened")
        .found(found)
        .next(REWRITE)
}

pub(super) fn other_rank(key: &str, expected: &str, shape: &[u64]) -> Error {
    Error::new(Kind::Data, "an array of another shape")
        .at(format!("/{key}"))
        .expected(expected)
        .found(format!("({})", list(shape)))
}

pub(super) fn other_length(key: &str, found: u64, expected: u64) -> Error {
    Error::new(Kind::Data, "keys with different numbers of steps")
        .at(format!("/{key}"))
        .expected(format!("{expected} steps, as in /observations"))
        .found(format!("{found} steps"))
}

pub(in crate::data) fn other_type(key: &str, expected: &str, found: &Datatype) -> Error {
    Error::new(Kind::Data, "numbers of an unsupported type")
        .at(format!("/{key}"))
        .expected(expected)
        .found(type_name(found))
}

/// A type in words.
pub(super) fn type_name(found: &Datatype) -> String {
    match found {
        Datatype::FloatingPoint { size, .. } => format!("{}-bit floats", 8 * u32::from(*size)),
        Datatype::FixedPoint { size, .. } => format!("{}-bit integers", 8 * u32::from(*size)),
        Datatype::String { .. } | Datatype::VarLen { .. } => "text or rows of varying length".into(),
        Datatype::Enum { .. } => "booleans or an enumeration".into(),
        Datatype::Compound { .. } => "records".into(),
        _ => "another type".into(),
    }
}

/// The items with commas; of many, the first.
pub(super) fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let mut text: Vec<String> = items.iter().take(20).map(T::to_string).collect();
    if items.len() > text.len() {
        text.push(format!("and {} more", items.len() - text.len()));
    }
    text.join(", ")
}
