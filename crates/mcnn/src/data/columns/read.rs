//! A file of columns as any other format: read whole, into memory.

use std::{fs::File, io::Read as _, path::Path};

use super::{
    file::{ColumnsFile, Place},
    header::Header,
};
use crate::{
    data::{
        DimensionNames, Key, KeyRange, Origin, Parts, Selection, Usage, regular,
        source::{Source, Table, chosen, join, taken_as},
        upgrade_encoding,
    },
    error::Result,
};

/// The names of the columns of states and actions, as keys of a selection.
const KEYS: [&str; 2] = ["states", "actions"];

/// Whether a file is one of columns: its header names the array `episode_ends`.
pub fn is_file(path: &Path) -> bool {
    let header = || {
        let length = regular(path).ok()?;
        Header::read(&mut File::open(path).ok()?, length).ok()
    };
    // A file that is cut short is one, too: its own error says more.
    let start = || {
        let mut start = Vec::new();
        File::open(path).ok()?.take(16 << 10).read_to_end(&mut start).ok()?;
        Some(start.get(8..10) == Some(b"{\"") && String::from_utf8_lossy(&start).contains("\"episode_ends\""))
    };
    match header() {
        Some(header) => header.arrays.contains_key("episode_ends"),
        None => start().unwrap_or(false),
    }
}

/// The names of the dimensions.
pub fn names(path: &Path) -> Result<DimensionNames> {
    ColumnsFile::open(path).map(|file| file.about.dimension_names())
}

/// Reads a file. Errors do not name it.
pub fn read(path: &Path, selection: &Selection) -> Result<Source> {
    selection.refuse_of_others(true, false)?;
    let file = ColumnsFile::open(path)?;
    let widths = [file.states.width, file.actions.width];
    let own = file.about.dimension_names();
    own.validate(widths[0], widths[1])?;
    let there = KEYS.map(String::from);
    let state_keys = chosen(&selection.state, &KEYS[..1], &there)?;
    let action_keys = chosen(&selection.action, &KEYS[1..], &there)?;
    let joined = |keys: &[KeyRange]| {
        let table = |key: &KeyRange| {
            let (place, names) = match key.key == KEYS[0] {
                true => (file.states, &own.state_names),
                false => (file.actions, &own.action_names),
            };
            let values = file.column(place)?;
            Ok(Table { key: key.clone(), width: place.width, values, names: names.clone() })
        };
        join(keys.iter().map(table).collect::<Result<_>>()?)
    };
    let (states, actions) = (joined(&state_keys)?, joined(&action_keys)?);
    let used_as = |name: &str| taken_as(name, &state_keys, &action_keys).unwrap_or(Usage::Unused);
    let key = |name: &str, place: Place, used_as: Usage| Key {
        name: name.into(),
        shape: if used_as == Usage::Label { Vec::new() } else { vec![place.width as u64] },
        dtype: "F32".into(),
        used_as,
    };
    let mut keys =
        vec![key(KEYS[0], file.states, used_as(KEYS[0])), key(KEYS[1], file.actions, used_as(KEYS[1]))];
    keys.extend(file.rewards.map(|place| key("rewards", place, Usage::Label)));
    Ok(Source {
        names: selection.names(own, states.names, actions.names),
        encoding: file.encoding().filter(|_| selection.state.is_empty()),
        keys,
        origin: Origin { fps: file.about.fps, ..Origin::of(&state_keys, &action_keys) },
        parts: Parts {
            n_obs: states.width,
            n_act: actions.width,
            states: states.values,
            actions: actions.values,
            rewards: file.rewards.map(|place| file.column(place)).transpose()?,
            ends: file.ends.clone(),
        },
        episode_numbers: file.episode_numbers.clone(),
        tasks: file.tasks.clone(),
        ..Source::default()
    })
}

impl ColumnsFile {
    /// The encoder of the states, as JSON in its present spelling.
    pub(super) fn encoding(&self) -> Option<String> {
        self.about.encoding.as_deref().map(upgrade_encoding)
    }

    /// Where states and actions come from, if they are whole columns.
    pub(super) fn origin(&self) -> Result<Origin> {
        let there = KEYS.map(String::from);
        let keys = |of: &[&str]| chosen(&[], of, &there);
        Ok(Origin { fps: self.about.fps, ..Origin::of(&keys(&KEYS[..1])?, &keys(&KEYS[1..])?) })
    }
}
