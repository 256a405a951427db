//! Filter keys: `mask/NAME` lists episodes by the names of their groups.

use super::number;
use crate::{
    data::hdf5::{Flat, strings},
    error::{Error, Kind, Result},
};

/// The numbers of the episodes that a filter key lists.
pub(super) fn read(file: &Flat, name: &str) -> Result<Vec<u32>> {
    let mask = file.inside("mask")?;
    let listed = mask.as_ref().map(|mask| strings(mask, name)).transpose().map_err(|e| e.within("/mask"))?;
    let Some(listed) = listed.flatten() else {
        let there = mask.map(|mask| mask.names()).unwrap_or_default();
        return Err(Error::new(Kind::Settings, "a filter key that the file does not have")
            .at(format!("--filter-key {name}"))
            .found(match &there[..] {
                [] => "a file without filter keys (the group mask)".into(),
                there => {
                    format!("the filter keys {}", there.join(", ").chars().take(500).collect::<String>())
                }
            }));
    };
    let episode = |text: &String| {
        let text = text.trim_end_matches('\0');
        number(text).ok_or_else(|| {
            Error::new(Kind::Data, "a filter key with a name that is no episode's")
                .at(format!("/mask/{name}"))
                .expected("names such as demo_7")
                .found(text.chars().take(60).collect::<String>())
        })
    };
    listed.iter().map(episode).collect()
}
