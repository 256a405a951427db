//! A file of columns as any other format.

use std::{fs::File, io::Read as _, ops::Range, path::Path};

use super::{
    FileSteps,
    file::{ColumnsFile, Place},
    header::Header,
    stream::selected,
};
use crate::{
    data::{
        DimensionNames, Key, KeyRange, Origin, Parts, Selection, Usage,
        raw::RawSteps as _,
        regular,
        sink::{Sink, StepRows},
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

/// Reads a file, piece by piece. Errors do not name it.
pub fn read(path: &Path, selection: &Selection, to: &mut dyn Sink) -> Result<Source> {
    selection.refuse_of_others(true, false)?;
    let file = ColumnsFile::open(path)?;
    let widths = [file.states.width, file.actions.width];
    let own = file.about.dimension_names();
    own.validate(widths[0], widths[1])?;
    let there = KEYS.map(String::from);
    let state_keys = chosen(&selection.state, &KEYS[..1], &there)?;
    let action_keys = chosen(&selection.action, &KEYS[1..], &there)?;
    if to.in_memory() {
        file.check_memory()?;
    }
    let about = Source {
        encoding: file.encoding().filter(|_| selection.state.is_empty()),
        origin: Origin { fps: file.about.fps, ..Origin::of(&state_keys, &action_keys) },
        ..Source::default()
    };
    let all = FileSteps::new(file, path.to_owned());
    let (steps, ends, about) = selected(&all, about, selection)?;
    let joined = |keys: &[KeyRange], piece: &Range<usize>| {
        let table = |key: &KeyRange| {
            let (width, values, names) = match key.key == KEYS[0] {
                true => (widths[0], steps.states(piece.clone()), &own.state_names),
                false => (widths[1], steps.raw_actions(piece.clone()).into_owned(), &own.action_names),
            };
            Table { key: key.clone(), width, values, names: names.clone() }
        };
        join(keys.iter().map(table).collect())
    };
    let (mut found, mut names) = ([0; 2], [const { None }; 2]);
    for piece in steps.pieces() {
        let (states, actions) = (joined(&state_keys, &piece)?, joined(&action_keys, &piece)?);
        let rewards = steps.rewards(piece);
        all.file().check_readable()?;
        found = [states.width, actions.width];
        names = [states.names, actions.names];
        to.put(StepRows { states: states.values, actions: actions.values, rewards })?;
    }
    let [state_names, action_names] = names;
    let file = all.file();
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
        names: selection.names(own, state_names, action_names),
        keys,
        parts: Parts { n_obs: found[0], n_act: found[1], ends, ..Parts::default() },
        ..about
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
