//! Compression of datasets: which filters are read, by their numbers in the HDF Group's registry.
//!
//! The crate that parses the file reads deflate, shuffle, Fletcher-32, szip, n-bit, scale-offset and LZ4. Here are LZF (which h5py
//! has of its own), Blosc and Zstandard, which recorders of robot data use.

use hdf5_reader::{
    FilterRegistry, error::Error as Hdf5Error, filters::*, messages::filter_pipeline::FilterDescription,
};

use crate::{
    data::compression::{Decoded, blosc, lzf, zstd},
    error::{Error, Kind, Result},
};

const LZF: u16 = 32000;
const BLOSC: u16 = 32001;
const ZSTD: u16 = 32015;

/// Filters that are known by name but not read.
const OTHERS: [(u16, &str); 8] = [
    (307, "bzip2"),
    (32008, "Bitshuffle"),
    (32013, "ZFP"),
    (32017, "SZ"),
    (32018, "FCIDECOMP"),
    (32024, "SZ3"),
    (32026, "Blosc2"),
    (32028, "SPERR"),
];

/// The filters that are read. No chunk expands to more than `most` bytes.
pub(super) fn registry(most: usize) -> FilterRegistry {
    let mut registry = FilterRegistry::new();
    let mut add = |id, name: &'static str, decode: fn(&[u8], usize) -> Decoded| {
        let filter = move |_: &FilterDescription, bytes: &[u8], _: usize| {
            decode(bytes, most).map_err(|e| Hdf5Error::DecompressionError(format!("{name}: {e}")))
        };
        registry.register(id, Box::new(filter));
    };
    add(LZF, "LZF", lzf);
    add(BLOSC, "Blosc", blosc);
    add(ZSTD, "Zstandard", zstd);
    registry
}

/// Checks that the filters of a dataset are read here. Whether one is a codec other than deflate.
///
/// # Errors
/// The name of the filter that is not.
pub(super) fn check(filters: &[FilterDescription], key: &str) -> Result<bool> {
    let refuse = |found: String| {
        Error::new(Kind::File, "a dataset with a compression that is not read")
            .at(format!("/{key}"))
            .expected("gzip, LZF, LZ4, Blosc, Zstandard, szip or none, with or without shuffle")
            .found(found)
            .next("copy it without: with h5py and hdf5plugin, new.create_dataset(name, data=old[name][()])")
    };
    let (mut codecs, mut others) = (0, 0);
    for filter in filters {
        match filter.id {
            FILTER_SHUFFLE | FILTER_FLETCHER32 | FILTER_NBIT | FILTER_SCALEOFFSET => {}
            FILTER_DEFLATE | FILTER_SZIP => codecs += 1,
            FILTER_LZ4 | LZF | ZSTD | BLOSC => (codecs, others) = (codecs + 1, others + 1),
            id => {
                let known = OTHERS.iter().find(|(other, _)| *other == id).map(|(_, name)| *name);
                let stored = filter.name.as_deref().map(|name| name.trim_end_matches('\0'));
                return Err(refuse(match known.or(stored.filter(|name| !name.is_empty())) {
                    Some(name) => format!("{name} (filter {id})"),
                    None => format!("filter {id}"),
                }));
            }
        }
    }
    // Between two codecs there is no bound of the bytes that the first expands to.
    if others > 0 && codecs > 1 {
        return Err(refuse(format!("{codecs} compressions one after the other")));
    }
    Ok(others > 0)
}
