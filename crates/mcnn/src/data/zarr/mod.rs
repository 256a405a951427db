//! zarr, versions 2 and 3: replay buffers as of Diffusion Policy, a folder or a zip of one.
//!
//! A replay buffer is a group with the arrays `data/KEY`, a row for each step of all episodes, and `meta/episode_ends` (where each
//! episode ends, exclusive). Layout: diffusion_policy, `common/replay_buffer.py`.

mod codec;
mod frames;
mod metadata;
mod store;
mod values;

use std::path::Path;

use super::{
    KeyRange, Origin, Parts, Selection,
    number::Beyond,
    read::{FRAMES, are_color_frames, limit_of_any_codec},
    selection::no_such_key,
    source::{Joined, Key, Source, Table, Usage, join, taken_as},
};
use crate::error::{Error, Kind, Result};
pub(super) use frames::cameras;
use metadata::{Array, Node};
use store::{METADATA, Store};
pub(super) use store::{is_folder, is_zip};
use values::{Stored, Values};

/// Where episodes end.
const ENDS: &str = "meta/episode_ends";
/// The names of states, actions and rewards, where none are asked for: the first that is there.
const STATES: [&str; 2] = ["state", "obs"];
const ACTIONS: [&str; 2] = ["action", "actions"];
const REWARDS: [&str; 2] = ["reward", "rewards"];
/// The most bytes of a file of metadata.
const LONGEST_METADATA: u64 = 1 << 20;

/// Reads a folder, or a zip of `length` bytes. Errors name the array; the caller adds the store.
pub(super) fn read(path: &Path, length: u64, selection: &Selection) -> Result<Source> {
    selection.refuse_of_others(false, false)?;
    let store = Store::open(path, length)?;
    let mut buffer = Buffer::open(&store);
    let ends = buffer.ends()?;
    let state_keys = match selection.no_state {
        true => Vec::new(),
        false => buffer.chosen(&selection.state, &STATES, "state")?,
    };
    let action_keys = buffer.chosen(&selection.action, &ACTIONS, "action")?;
    let reward = REWARDS.into_iter().find(|name| buffer.find(name).is_some_and(Entry::is_column));
    let beyond = Beyond::new();
    let states = buffer.tables(&state_keys, &beyond)?;
    let actions = buffer.tables(&action_keys, &beyond)?;
    let rewards = reward.map(|key| buffer.table(&KeyRange { key: key.into(), dimensions: None }, &beyond));
    let usage = |entry: &Entry| match taken_as(&entry.key, &state_keys, &action_keys) {
        Some(usage) => usage,
        None if Some(&*entry.key) == reward => Usage::Label,
        None if entry.are_frames() => Usage::Frames,
        None => Usage::Unused,
    };
    let mut keys: Vec<Key> = buffer.entries.iter().map(|entry| entry.listed(usage(entry))).collect();
    keys.push(Key {
        name: ENDS.into(),
        shape: vec![],
        dtype: buffer.ends_type.clone(),
        used_as: Usage::Label,
    });
    Ok(Source {
        parts: Parts {
            n_obs: states.width,
            n_act: actions.width,
            states: states.values,
            actions: actions.values,
            rewards: rewards.transpose()?.map(|table| table.values),
            ends,
        },
        names: super::DimensionNames { state_names: states.names, action_names: actions.names },
        origin: Origin::of(&state_keys, &action_keys),
        keys,
        beyond: beyond.into_inner(),
        notes: buffer.notes,
        ..Source::default()
    })
}

/// A replay buffer: its arrays, without their values.
struct Buffer<'a> {
    store: &'a Store,
    /// The arrays under `data`.
    entries: Vec<Entry>,
    ends_type: String,
    left: u64, // remaining bytes of the memory limit
    notes: Vec<String>,
}

/// An array under `data`.
struct Entry {
    /// Its name there.
    key: String,
    path: String,
    shape: Vec<u64>,
    dtype: String,
    array: Result<Array>,
}

impl Entry {
    /// The array at this path, if there is one, also one that cannot be read.
    fn open(store: &Store, path: &str, key: &str) -> Option<Self> {
        let bytes = METADATA[1..]
            .iter()
            .find_map(|file| store.get(&format!("{path}/{file}"), LONGEST_METADATA).transpose())?;
        let (shape, dtype, array) = match bytes.and_then(|bytes| metadata::parse(&bytes)) {
            Ok(Node::Group) => return None,
            Ok(Node::Array(shape, dtype, array)) => (shape, dtype, *array),
            Err(e) => (vec![], "unreadable".into(), Err(e)),
        };
        let array = array.map_err(|e| e.within(path));
        Some(Self { key: key.into(), path: path.into(), shape, dtype, array })
    }

    fn listed(&self, used_as: Usage) -> Key {
        let shape = self.shape.get(1..).unwrap_or_default().to_vec();
        let dtype = match &self.array {
            Ok(_) => self.dtype.clone(),
            Err(_) => format!("{}, stored in a way that is not read", self.dtype),
        };
        Key { name: self.key.clone(), shape, dtype, used_as }
    }

    /// Whether it is one image a step.
    fn are_frames(&self) -> bool {
        self.shape.len() == 4 && matches!(&*self.dtype, "uint8" | "|u1") || self.are_color_frames()
    }

    /// Whether it is one color frame of pixels a step: bytes or floats, with three channels last or first.
    fn are_color_frames(&self) -> bool {
        let is_pixel = matches!(&self.array, Ok(array) if matches!((array.dtype.kind, array.dtype.size), ('u', 1) | ('f', _)));
        is_pixel && are_color_frames(&self.shape)
    }

    /// Whether it is one number a step, which can be read.
    fn is_column(&self) -> bool {
        self.array.is_ok() && matches!(self.shape[..], [_] | [_, 1])
    }

    /// The name and the shape, as in error messages.
    fn named(&self) -> String {
        let shape: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        format!("{} ({})", self.key, shape.join(", "))
    }
}

impl<'a> Buffer<'a> {
    fn open(store: &'a Store) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (path, _) in store.under("data/") {
            let Some((path, file)) = path.rsplit_once('/') else { continue };
            if METADATA[1..].contains(&file)
                && let Some(key) = path.strip_prefix("data/")
                && entries.last().is_none_or(|last| last.key != key)
            {
                entries.extend(Entry::open(store, path, key));
            }
        }
        let left = limit_of_any_codec(store.length);
        Self { store, entries, ends_type: String::new(), left, notes: Vec::new() }
    }

    fn find(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn ends(&mut self) -> Result<Vec<usize>> {
        let Some(entry) = Entry::open(self.store, ENDS, ENDS) else {
            return Err(Error::new(Kind::Data, "not a replay buffer")
                .expected("arrays data/KEY with a row for each step, and meta/episode_ends")
                .found(match &self.named()[..] {
                    "" => "no arrays in data, and no meta/episode_ends".into(),
                    listed => format!("data/ with {listed}, and no meta/episode_ends"),
                })
                .next("save states, actions and episode_ends with numpy.savez"));
        };
        self.ends_type.clone_from(&entry.dtype);
        let array = entry.array?;
        if array.shape.len() != 1 {
            return Err(Error::new(Kind::Data, "an array of another shape")
                .at(ENDS)
                .expected("(episodes,)")
                .found(format!("{:?}", array.shape)));
        }
        let stored = Stored { store: self.store, path: ENDS, array: &array };
        self.left -= stored.check(self.left)?;
        let Values { values, missing: [missing, _] } = stored.integers()?;
        if missing > 0 {
            return Err(damaged("no file of its values".into()).within(ENDS));
        }
        // A negative end becomes 0, which is refused as every end that does not increase is.
        Ok(values.into_iter().map(|v| usize::try_from(v).unwrap_or(0)).collect())
    }

    /// The keys asked for, or the first of `default` that is there.
    fn chosen(&self, asked: &[KeyRange], default: &[&str], of: &str) -> Result<Vec<KeyRange>> {
        if let Some(missing) = asked.iter().find(|range| self.find(&range.key).is_none()) {
            let there: Vec<String> = self.entries.iter().map(Entry::named).collect();
            return Err(no_such_key(&missing.key, &there));
        }
        if !asked.is_empty() {
            return Ok(asked.to_vec());
        }
        match default.iter().find(|name| self.find(name).is_some()) {
            Some(name) => Ok(vec![KeyRange { key: (*name).into(), dimensions: None }]),
            None => Err(Error::new(Kind::Data, format!("no array that is the {of} by its name"))
                .at("data/")
                .expected(default.join(" or "))
                .found(self.named())
                .next(format!("name the keys: --{of} KEY,KEY"))),
        }
    }

    /// The arrays with their shapes; of many, the first.
    fn named(&self) -> String {
        let mut listed: Vec<String> = self.entries.iter().take(20).map(Entry::named).collect();
        if self.entries.len() > listed.len() {
            listed.push(format!("{} more", self.entries.len() - listed.len()));
        }
        listed.join(", ")
    }

    fn tables(&mut self, keys: &[KeyRange], beyond: &Beyond) -> Result<Joined> {
        join(keys.iter().map(|key| self.table(key, beyond)).collect::<Result<_>>()?)
    }

    /// An array as a table: a row for each step, in which all other axes are flattened.
    fn table(&mut self, key: &KeyRange, beyond: &Beyond) -> Result<Table> {
        let Self { store, entries, left, notes, .. } = self;
        let Some(entry) = entries.iter().find(|entry| entry.key == key.key) else {
            return Err(no_such_key(&key.key, &[]));
        };
        let array = entry.array.as_ref().map_err(Clone::clone)?;
        if entry.are_frames() || array.shape.is_empty() {
            return Err(Error::new(Kind::Data, "an array of another shape")
                .at(&*entry.path)
                .expected("(steps, width), numbers of a state and not pixels")
                .found(format!("{:?}", array.shape))
                .next(FRAMES));
        }
        let stored = Stored { store, path: &entry.path, array };
        *left -= stored.check(*left)?;
        let width = array.shape[1..].iter().product::<u64>() as usize;
        let Values { values, missing: [missing, all] } = stored.floats(width, beyond)?;
        if missing > 0 && !values.is_empty() {
            notes.push(format!(
                "{missing} of the {all} chunks of {} are not stored: their values are the fill value {}",
                entry.path, array.layout.fill
            ));
        }
        Ok(Table { key: key.clone(), width, values, names: None })
    }
}

fn damaged(found: String) -> Error {
    Error::new(Kind::File, "the zarr store cannot be read")
        .found(found)
        .next("it may be damaged or incomplete: compare it with the source's, or write it again with zarr")
}

#[cfg(test)]
mod tests;
