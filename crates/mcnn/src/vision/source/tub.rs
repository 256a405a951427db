//! A donkeycar tub, version 2: `manifest.json`, whose fifth line names the catalogs of records, and `images/`.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use serde_json::Value;

use super::folder::{Recorded, Row};
use crate::error::{Error, Kind, Result};

/// What a record has that is used or says nothing of the drive.
const KNOWN: [&str; 6] =
    ["_index", "_session_id", "_timestamp_ms", "cam/image_array", "user/angle", "user/throttle"];

pub(super) fn read(path: &Path) -> Result<Recorded> {
    let manifest = path.join("manifest.json");
    let bad = |file: &Path, found: String| {
        Error::new(Kind::Data, "a tub that cannot be read")
            .at(file.display().to_string())
            .expected("what donkeycar writes since version 4: a manifest, catalogs of records, images/")
            .found(found)
    };
    // After a loss of power, a file may end with anything.
    let text = |file: &Path| match std::fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) => Err(Error::io("reading", file, &e)),
    };
    let about = text(&manifest)?;
    let about = about.lines().nth(4).ok_or_else(|| bad(&manifest, "fewer than five lines".into()))?;
    let about: Value = serde_json::from_str(about).map_err(|e| bad(&manifest, e.to_string()))?;
    let catalogs = about["paths"].as_array().ok_or_else(|| bad(&manifest, "no paths of catalogs".into()))?;
    let deleted: HashSet<u64> =
        about["deleted_indexes"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let mut found = Recorded::new("a donkeycar tub; actions: throttle, angle");
    let mut unused = BTreeSet::new();
    for catalog in catalogs {
        let name = catalog.as_str().and_then(|name| Path::new(name).file_name());
        let file = path.join(name.ok_or_else(|| bad(&manifest, format!("{catalog}")))?);
        let text = text(&file)?;
        let lines: Vec<(usize, &str)> =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
        for (k, &(i, line)) in lines.iter().enumerate() {
            let place = |found: String| {
                bad(&file, format!("line {}: {found}", i + 1)).next("repair that line, or remove it")
            };
            let record: Value = match serde_json::from_str(line) {
                Ok(record) => record,
                // Where recording was interrupted.
                Err(e)
                    if k + 1 == lines.len()
                        && (e.is_eof() || line.contains('\0') || !text.ends_with('\n')) =>
                {
                    found
                        .warnings
                        .push(format!("{}: the last record is incomplete, and is skipped", file.display()));
                    continue;
                }
                Err(e) => return Err(place(e.to_string())),
            };
            if record["_index"].as_u64().is_some_and(|index| deleted.contains(&index)) {
                continue;
            }
            let picture = record["cam/image_array"].as_str().and_then(|name| Path::new(name).file_name());
            let number = |key: &str| record[key].as_f64().ok_or_else(|| place(format!("no {key}")));
            found.rows.push(Row {
                picture: path.join("images").join(picture.ok_or_else(|| place("no cam/image_array".into()))?),
                action: vec![number("user/throttle")? as f32, number("user/angle")? as f32],
                reward: None,
                episode: record["_session_id"].to_string(),
            });
            let keys = record.as_object().into_iter().flat_map(|record| record.keys());
            unused.extend(keys.filter(|key| !KNOWN.contains(&key.as_str())).cloned());
        }
    }
    if !unused.is_empty() {
        found.notes.push(format!("not used: {}", unused.into_iter().collect::<Vec<_>>().join(", ")));
    }
    Ok(found)
}
