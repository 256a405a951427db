//! Recordings of ROS 2 in MCAP: a file, or the folder of a bag. Topics are chosen by name, and become steps of one rate.
//!
//! A key is a topic and a field of its messages, such as `/joint_states.position` or `/cmd.twist.linear`: all numbers there, in the order
//! of the message. Positions of joints are sorted by their names, which may be in any order in a message. A step is a tick of the rate:
//! its state is the last message at or before the tick, its action the next one at or after it.

mod cdr;
mod records;
mod resample;
mod schema;
mod topics;
mod tracks;

use std::path::{Path, PathBuf};

use super::{
    DimensionNames, Origin, Parts, Selection,
    number::{Beyond, beyond},
    parquet::Budget,
    regular,
    source::{Source, Table, join},
};
use crate::error::{Error, Kind, Result};
use resample::{Track, episodes};
use topics::{listing, topics, unchosen};
use tracks::{Wanted, take, wanted};

/// Whether the first bytes of a file are those of MCAP.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    bytes.starts_with(records::MAGIC)
}

/// Whether a folder is a bag: its description, and a file of messages.
pub(super) fn is_folder(folder: &Path) -> bool {
    folder.join("metadata.yaml").is_file() && !files(folder).is_empty()
}

/// The files of a bag, in order; or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "mcap")).collect();
    // Parts of a split bag are NAME_0.mcap, NAME_1.mcap, ...
    let number = |path: &PathBuf| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        stem.rsplit_once('_').and_then(|(_, n)| n.parse::<u64>().ok())
    };
    found.sort_by_key(|path| (number(path), path.clone()));
    found
}

/// Reads a recording. Errors name the topic; the caller adds the path.
pub(super) fn read(path: &Path, selection: &Selection) -> Result<Source> {
    selection.refuse_filters(false, false)?;
    let files = files(path);
    let lengths = files.iter().map(|file| regular(file)).collect::<Result<Vec<u64>>>()?;
    let budget = Budget::new(lengths.iter().sum());
    let mut notes = Vec::new();
    let topics = topics(&files, &lengths, &budget, &mut notes)?;
    if selection.state.is_empty() || selection.action.is_empty() {
        return Err(unchosen(selection, &topics));
    }
    let mut wanted = wanted(selection, &topics)?;
    take(&files, &lengths, &budget, &topics, &mut wanted)?;
    let stamped = wanted.iter().all(|wanted| wanted.track.is_stamped());
    let clock = if stamped { "the stamps of their headers" } else { "the times at which they were logged" };
    notes.push(format!("messages are in the order of {clock}"));
    for wanted in &mut wanted {
        wanted.track.sort(stamped);
    }
    let hz = selection.hz.or(selection.default_hz).ok_or_else(|| {
        let rate = |wanted: &Wanted| format!("{} {:.1}", wanted.key, wanted.track.rate());
        let rates: Vec<String> = wanted.iter().map(rate).collect();
        Error::new(Kind::Settings, "topics have rates of their own, and steps one")
            .expected("--hz RATE, in steps per second")
            .found(format!("messages per second: {}", rates.join(", ")))
    })?;
    let tracks: Vec<(&Track, bool)> = wanted.iter().map(|wanted| (&wanted.track, wanted.is_action)).collect();
    let (steps, ends) = episodes(&tracks, hz, selection.gap, &budget, &mut notes)?;
    let cell = Beyond::new();
    let mut tables = [Vec::new(), Vec::new()];
    for (k, wanted) in wanted.iter().enumerate() {
        let rows = steps.iter().skip(k).step_by(tracks.len());
        let values: Vec<f64> = rows.flat_map(|row| wanted.track.row(*row)).copied().collect();
        let width = wanted.track.width();
        if let Err(e) = beyond(&wanted.key.key, &values, width) {
            let _ = cell.set(e);
        }
        let values = values.into_iter().map(|v| v as f32).collect();
        let names = wanted.names.clone();
        tables[usize::from(wanted.is_action)].push(Table { key: wanted.key.clone(), width, values, names });
    }
    let [state, action] = tables;
    let (state, action) = (join(state)?, join(action)?);
    // Two keys of the same joints have the same names.
    let valid = |names: Option<Vec<String>>, width: usize| {
        let all = DimensionNames { state_names: names, action_names: None };
        if all.validate(width, 0).is_ok() { all.state_names } else { None }
    };
    Ok(Source {
        names: DimensionNames {
            state_names: valid(state.names, state.width),
            action_names: valid(action.names, action.width),
        },
        keys: listing(&topics, selection),
        origin: Origin { fps: Some(hz), ..Origin::of(&selection.state, &selection.action) },
        parts: Parts {
            n_obs: state.width,
            n_act: action.width,
            states: state.values,
            actions: action.values,
            rewards: None,
            ends,
        },
        beyond: cell.into_inner(),
        notes,
        ..Source::default()
    })
}

#[cfg(test)]
mod tests;
