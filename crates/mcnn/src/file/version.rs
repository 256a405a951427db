//! Versions of the file formats. Names that an earlier version wrote are replaced on reading; no other code knows them.

use serde_json::Value;

use super::broken;
use crate::{data::upgrade_encoding, error::Result};

/// The version written here, and the newest one that can be read.
pub(super) const VERSION: u32 = 2;

/// Keys renamed since version 1, in any object of a header: (version 1, now).
const KEYS: [(&str, &str); 11] = [
    ("l", "amplitude"),
    ("neighbours", "neighbors"),
    ("smooth", "smooth_neighbors"),
    ("check_on", "validation_fraction"),
    ("held_out_loss", "validation_loss"),
    ("held_out", "validation_episodes"),
    ("origin", "training"),
    ("optimiser", "optimizer"),
    ("predict", "prediction"),
    ("pick", "bucket_selection"),
    ("numbers", "checksum"),
];

/// Values renamed since version 1: (present key, version 1, now).
const VALUES: [(&str, &str, &str); 4] = [
    ("prediction", "action", "sample"),
    ("prediction", "noise", "epsilon"),
    ("name", "cloning, clamp", "BC, clamp"),
    ("name", "cloning, tanh", "BC, tanh"),
];

/// Parts of array names, between dots, renamed since version 1. The arrays of an encoder keep their names.
const ARRAYS: [(&str, &str); 4] =
    [("gauge", "calibration"), ("following", "future_actions"), ("centres", "centers"), ("average", "ema")];

/// Parses a header and gives it the present names. Returns it with the version that the file has.
///
/// # Errors
/// If the text is not JSON, has no version, or has one that cannot be read here.
pub(super) fn header(text: &str) -> Result<(Value, u32)> {
    let mut header: Value = serde_json::from_str(text)
        .map_err(|e| broken("the header of the file is not JSON").found(e.to_string()))?;
    let Some(version) = header["version"].as_u64() else {
        return Err(broken("the header of the file has no version").expected("a version number"));
    };
    let supported = u32::try_from(version).ok().filter(|version| (1..=VERSION).contains(version));
    let Some(version) = supported else {
        return Err(broken("the file is of a version of the format that this program cannot read")
            .expected(format!("version 1 to {VERSION}"))
            .found(format!("version {version}"))
            .next("read it with the version of mcnn that wrote it, or a newer one"));
    };
    if version < VERSION {
        upgrade_names(&mut header);
        if let Some(Value::String(encoding)) = header.pointer_mut("/codebook/encoding") {
            *encoding = upgrade_encoding(encoding);
        }
    }
    Ok((header, version))
}

/// Replaces the keys and values that an earlier version wrote by the present ones, at any depth. Present names stay.
pub fn upgrade_names(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (old, new) in KEYS {
                if let Some(value) = map.remove(old) {
                    map.entry(new).or_insert(value);
                }
            }
            for (key, old, new) in VALUES {
                if let Some(value) = map.get_mut(key).filter(|value| **value == old) {
                    *value = new.into();
                }
            }
            map.values_mut().for_each(upgrade_names);
        }
        Value::Array(values) => values.iter_mut().for_each(upgrade_names),
        _ => {}
    }
}

/// The present name of an array in a file of version `version`.
pub(super) fn array_name(name: &str, version: u32) -> String {
    if version >= VERSION || name.starts_with("encoder.") {
        return name.into();
    }
    let present =
        |part: &str| ARRAYS.iter().find(|(old, _)| *old == part).map_or(part, |(_, new)| new).to_string();
    name.split('.').map(present).collect::<Vec<_>>().join(".")
}
