//! Versions of the formats. A file of an earlier version is read as if it had the names of the present one; nothing else
//! in the program knows the earlier names.

use serde::Deserialize;
use serde_json::Value;

use super::broken;
use crate::error::Result;

/// The version of the formats written here, and the newest one read.
pub(super) const VERSION: u32 = 2;

/// Keys that version 1 called otherwise, in whatever object of a header they stand.
const KEYS: [(&str, &str); 8] = [
    ("l", "amplitude"),
    ("neighbours", "neighbors"),
    ("check_on", "validation_fraction"),
    ("held_out_loss", "validation_loss"),
    ("optimiser", "optimizer"),
    ("predict", "prediction"),
    ("pick", "bucket_selection"),
    ("numbers", "checksum"),
];

/// Values that version 1 called otherwise, by the present name of their key.
const VALUES: [(&str, &str, &str); 2] =
    [("prediction", "action", "sample"), ("prediction", "noise", "epsilon")];

/// Arrays whose names began otherwise in version 1.
const ARRAYS: [(&str, &str); 1] = [("gauge.", "calibration.")];

/// A header's text as JSON, with the present names.
///
/// # Errors
/// If the text is not JSON or is of a version that is not known here.
pub(super) fn header(text: &str) -> Result<Value> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let mut header: Value = serde_json::from_str(text)
        .map_err(|e| broken("a header that cannot be read").found(e.to_string()))?;
    if let Ok(Version { version }) = serde_json::from_str(text) {
        if !(1..=VERSION).contains(&version) {
            return Err(broken("a file of another version of mcnn")
                .expected(format!("version 1 to {VERSION}"))
                .found(format!("version {version}"))
                .next("use the version of mcnn that wrote it"));
        }
        if version < VERSION {
            upgrade_names(&mut header);
        }
    }
    Ok(header)
}

/// Gives keys and values that an earlier version wrote their present names, at any depth. What has the present names
/// stays as it is.
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

/// The present name of an array.
pub(super) fn array_name(name: &str) -> String {
    let renamed = ARRAYS.iter().find_map(|(old, new)| Some(format!("{new}{}", name.strip_prefix(old)?)));
    renamed.unwrap_or_else(|| name.into())
}
