//! NumPy's `.npz`, a zip of arrays: `states` or `observations` (rank 2), `actions` (rank 2), `episode_ends` (where
//! each episode ends, exclusive: the running sum of the lengths) and optionally `rewards` (one value per step),
//! `state_names` and `action_names` (a string for each dimension, `<U` or `|S`).

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use zip::ZipArchive;

use super::{
    DimensionNames, KeyRange, Origin, Parts, Selection,
    foreign::{self, Foreign},
    frame_file::FrameLabels,
    npy::{Array, damaged, other_type},
    number::Beyond,
    read::{FRAMES, are_frames, expanded, is_label, limit, upgrade_encoding},
    source::{Joined, Key, Source, Table, Usage, chosen, join, taken_as},
};
use crate::error::{Error, Kind, Result};

/// Reads a file of `length` bytes. Errors name the array; the caller adds the file.
pub(super) fn read(path: &Path, length: u64, selection: &Selection) -> Result<Source> {
    selection.refuse_of_others(false, false)?;
    let mut arrays = Arrays::open(path, length, "states (or observations), actions and episode_ends")?;
    let default = match (arrays.has("states"), arrays.has("observations")) {
        (true, true) if selection.state.is_empty() => {
            return Err(Error::new(Kind::Data, "both states and observations")
                .expected("one of the two")
                .next("name one: --state states or --state observations"));
        }
        (false, true) => "observations",
        (false, false) if selection.state.is_empty() && arrays.has("frames") => {
            return Err(Error::new(Kind::Data, "frames, and no states").next(FRAMES));
        }
        _ => "states",
    };
    let beyond = Beyond::new();
    let state_keys = chosen(&selection.state, &[default], &arrays.names)?;
    let action_keys = chosen(&selection.action, &["actions"], &arrays.names)?;
    let states = arrays.tables(&state_keys, !selection.state.is_empty(), &beyond)?;
    let actions = arrays.tables(&action_keys, !selection.action.is_empty(), &beyond)?;
    let n_steps = states.values.len().checked_div(states.width).unwrap_or(0);
    let n_actions = actions.values.len().checked_div(actions.width).unwrap_or(0);
    same_length("actions", n_actions, n_steps)?;
    let labels = labels(&mut arrays, n_steps, &beyond)?;
    let own = arrays.dimension_names()?;
    let names = selection.names(own, states.names, actions.names);
    Ok(Source {
        names,
        encoding: if selection.state.is_empty() { arrays.encoding()? } else { None },
        keys: arrays.keys(&state_keys, &action_keys),
        origin: Origin::of(&state_keys, &action_keys),
        parts: Parts {
            n_obs: states.width,
            n_act: actions.width,
            states: states.values,
            actions: actions.values,
            ..labels
        },
        beyond: beyond.into_inner(),
        ..Source::default()
    })
}

/// The same with the frames left in the file: their shape.
pub(super) fn frames(
    path: &Path,
    length: u64,
    name: &str,
    selection: &Selection,
) -> Result<(FrameLabels, Vec<u64>)> {
    let mut arrays = Arrays::open(path, length, "frames, actions and episode_ends")?;
    let head = arrays.head(name)?;
    if head.shape.len() < 2 || head.fortran {
        return Err(head.other_shape("(frames, height, width, 3), row by row"));
    }
    if !head.is_bytes() && head.kind != 'f' {
        return Err(other_type("integers").expected("bytes (uint8) or floats").within(name));
    }
    let bytes = head.shape.iter().try_fold(head.size as u64, |n, &d| n.checked_mul(d));
    if bytes.is_none_or(|bytes| bytes > expanded(length)) {
        return Err(
            damaged(&format!("a shape {:?} too large for a file of this size", head.shape)).within(name)
        );
    }
    let beyond = Beyond::new();
    let n_steps = head.shape[0] as usize;
    let state_keys = chosen(&selection.state, &[], &arrays.names)?;
    let action_keys = chosen(&selection.action, &["actions"], &arrays.names)?;
    let states = arrays.tables(&state_keys, true, &beyond)?;
    let actions = arrays.tables(&action_keys, !selection.action.is_empty(), &beyond)?;
    for (key, joined) in [("actions", &actions), ("states", &states)] {
        if let Some(steps) = joined.values.len().checked_div(joined.width) {
            same_length(key, steps, n_steps)?;
        }
    }
    let parts = Parts {
        n_obs: states.width.max(1),
        n_act: actions.width,
        states: states.values,
        actions: actions.values,
        ..labels(&mut arrays, n_steps, &beyond)?
    };
    let own = arrays.dimension_names()?;
    let names = selection.names(own, states.names, actions.names);
    beyond.into_inner().map_or(Ok((FrameLabels { parts, names }, head.shape)), Err)
}

/// The names of all arrays.
pub(super) fn keys(path: &Path, length: u64) -> Result<Vec<String>> {
    Ok(Arrays::open(path, length, "states (or observations), actions and episode_ends")?.names)
}

/// The names of dimensions.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    Arrays::open(path, length, "state_names and action_names")?.dimension_names()
}

/// Rewards and episode ends of `n_steps` steps, without states and actions.
fn labels(arrays: &mut Arrays, n_steps: usize, beyond: &Beyond) -> Result<Parts> {
    let ends = arrays.need("episode_ends")?.ends()?;
    let rewards = match arrays.has("rewards") {
        true => Some(arrays.need("rewards")?.column(beyond)?),
        false => None,
    };
    if let Some(rewards) = &rewards {
        same_length("rewards", rewards.len(), n_steps)?;
    }
    Ok(Parts { rewards, ends, ..Parts::default() })
}

/// The arrays of a file, read one by one on demand.
pub(crate) struct Arrays {
    zip: ZipArchive<BufReader<File>>,
    names: Vec<String>,
    wanted: &'static str,
    length: u64,
    left: u64, // remaining bytes of the memory limit
}

impl Arrays {
    /// Opens a file of `length` bytes; `wanted` lists the arrays of such a file for error messages. Errors, here and below, name
    /// the array; the caller adds the file.
    pub(crate) fn open(path: &Path, length: u64, wanted: &'static str) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(&e.to_string()))?;
        let all: Vec<&str> = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        let names: Vec<String> =
            all.iter().filter_map(|name| Some(name.strip_suffix(".npy")?.to_string())).collect();
        if names.is_empty()
            && let Some(Foreign { what, next }) = foreign::zip(&all)
        {
            return Err(Error::new(Kind::File, "not a file of demonstrations")
                .expected(wanted)
                .found(what)
                .next(next));
        }
        Ok(Self { names, wanted, zip, length, left: limit(length) })
    }

    /// Arrays of rank 2, or where a user `asked` for them of rank 1 as one column, side by side.
    fn tables(&mut self, keys: &[KeyRange], asked: bool, beyond: &Beyond) -> Result<Joined> {
        let mut tables = Vec::new();
        for key in keys {
            let array = self.need(&key.key)?;
            let bytes = array.is_bytes() && matches!(array.shape[..], [_, width] if are_frames(width));
            if bytes || matches!(array.shape[..], [_, _, _, _]) {
                return Err(array
                    .other_shape("(steps, width), numbers of a state and not pixels")
                    .next(FRAMES));
            }
            let (width, values) = match array.shape[..] {
                [_] if asked => (1, array.column(beyond)?),
                _ => array.table(beyond).map(|(_, width, values)| (width, values))?,
            };
            tables.push(Table { key: key.clone(), width, values, names: None });
        }
        join(tables)
    }

    /// All arrays, by their headers; an array whose header cannot be read is listed without a shape.
    fn keys(&mut self, state: &[KeyRange], action: &[KeyRange]) -> Vec<Key> {
        let names = self.names.clone();
        let one = |name: String| {
            let (shape, dtype) = match self.head(&name) {
                Ok(head) => (head.shape.get(1..).unwrap_or_default().to_vec(), head.type_name()),
                Err(_) => (vec![], "text or objects".into()),
            };
            let used_as = match taken_as(&name, state, action) {
                Some(usage) => usage,
                None if is_label(&name) => Usage::Label,
                None => Usage::Unused,
            };
            Key { name, shape, dtype, used_as }
        };
        names.into_iter().map(one).collect()
    }

    /// The encoder of the states, if they are embeddings.
    fn encoding(&mut self) -> Result<Option<String>> {
        if !self.has("encoding") {
            return Ok(None);
        }
        let array = self.need("encoding")?;
        match String::from_utf8(array.bytes) {
            Ok(text) if array.kind == 'u' && array.size == 1 => Ok(Some(upgrade_encoding(&text))),
            _ => Err(other_type("bytes that are not text").expected("JSON in UTF-8").within("encoding")),
        }
    }

    fn dimension_names(&mut self) -> Result<DimensionNames> {
        Ok(DimensionNames {
            state_names: self.strings("state_names")?,
            action_names: self.strings("action_names")?,
        })
    }

    /// Rows, columns, and the values of an array of rank 2, row-major.
    pub(crate) fn table(&mut self, name: &str) -> Result<(usize, usize, Vec<f32>)> {
        let beyond = Beyond::new();
        let table = self.need(name)?.table(&beyond)?;
        beyond.into_inner().map_or(Ok(table), Err)
    }

    /// The floats of an array of rank 1.
    pub(crate) fn vector(&mut self, name: &str) -> Result<Vec<f32>> {
        let beyond = Beyond::new();
        let column = self.need(name)?.column(&beyond)?;
        beyond.into_inner().map_or(Ok(column), Err)
    }

    /// The strings of an array of rank 1, if it is there.
    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        if !self.has(name) {
            return Ok(None);
        }
        let (length, left) = (self.length, self.left);
        let array =
            self.within(name, |file| Array::read(Array::text_head(name, file)?, file, length, left))?;
        self.left -= array.bytes.len() as u64;
        array.strings().map(Some)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    fn need(&mut self, name: &str) -> Result<Array> {
        let (length, left) = (self.length, self.left);
        let array = self.within(name, |file| Array::read(Array::head(name, file)?, file, length, left))?;
        self.left -= array.bytes.len() as u64;
        Ok(array)
    }

    /// The header of an array.
    fn head(&mut self, name: &str) -> Result<Array> {
        self.within(name, |file| Array::head(name, file))
    }

    fn within(&mut self, name: &str, read: impl FnOnce(&mut dyn Read) -> Result<Array>) -> Result<Array> {
        if !self.has(name) {
            return Err(Error::new(Kind::Data, "missing array").at(name).expected(self.wanted).found(
                match &self.names[..] {
                    [] => "no arrays".into(),
                    names => format!("the arrays {}", names.join(", ").chars().take(300).collect::<String>()),
                },
            ));
        }
        let array = match self.zip.by_name(&format!("{name}.npy")) {
            Ok(mut file) => read(&mut file),
            Err(e) => Err(damaged(&e.to_string())),
        };
        array.map_err(|e| e.within(name))
    }
}

fn same_length(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(Kind::Data, "arrays with different numbers of steps")
        .at(name)
        .expected(format!("{expected} steps, as there are states"))
        .found(format!("{found} steps")))
}
