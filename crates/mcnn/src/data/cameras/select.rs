//! Which arrays of a source are cameras.

use crate::{
    data::selection::no_such_key,
    error::{Error, Kind, Result},
};

/// The cameras asked for, or all of `there`, each an index in it. `others` are the keys that are no cameras.
///
/// # Errors
/// A key that is no camera, one that is asked for twice, and a source without cameras.
pub(in crate::data) fn select(asked: &[String], there: &[String], others: &[String]) -> Result<Vec<usize>> {
    if asked.is_empty() {
        if there.is_empty() {
            let mut listed: Vec<&str> = others.iter().take(20).map(String::as_str).collect();
            listed.sort_unstable();
            return Err(Error::new(Kind::Data, "a recording without camera frames")
                .expected("an array of color frames, (steps, height, width, 3), pictures or videos")
                .found(if listed.is_empty() { "no arrays".into() } else { listed.join(", ") })
                .next("states of numbers need no embedding: give the data to `mcnn learn`"));
        }
        return Ok((0..there.len()).collect());
    }
    let mut found = Vec::new();
    for key in asked {
        let Some(at) = there.iter().position(|name| name == key) else {
            if others.contains(key) {
                return Err(Error::new(Kind::Data, "an array that is not camera frames").at(key).expected(
                    match &there.join(", ")[..] {
                        "" => "color frames, of which there are none".into(),
                        listed => format!("one of {listed}"),
                    },
                ));
            }
            return Err(no_such_key(key, there));
        };
        if found.contains(&at) {
            return Err(
                Error::new(Kind::Settings, "a camera that is named twice").at(format!("--camera {key}"))
            );
        }
        found.push(at);
    }
    Ok(found)
}
