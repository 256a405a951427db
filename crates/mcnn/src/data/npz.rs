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
    DimensionNames, Parts,
    foreign::{self, Foreign},
    npy::{Array, damaged, other_type},
    number::Beyond,
    read::{FRAMES, are_frames, expanded, limit},
};
use crate::error::{Error, Kind, Result};

/// Reads the parts of a file of `length` bytes. Errors, also that in `beyond`, name the array; the caller adds the file.
pub(super) fn read(path: &Path, length: u64, beyond: &Beyond) -> Result<Parts> {
    let mut arrays = Arrays::open(path, length, "states (or observations), actions and episode_ends")?;
    let states = match (arrays.has("states"), arrays.has("observations")) {
        (true, true) => {
            return Err(Error::new(Kind::Data, "both states and observations")
                .expected("one of the two")
                .next("remove one: they are two names of one array"));
        }
        (false, true) => "observations",
        (false, false) if arrays.has("frames") => {
            return Err(Error::new(Kind::Data, "frames, and no states").next(FRAMES));
        }
        _ => "states",
    };
    let array = arrays.need(states)?;
    let bytes = array.is_bytes() && matches!(array.shape[..], [_, width] if are_frames(width));
    if bytes || matches!(array.shape[..], [_, _, _, _]) {
        return Err(array.other_shape("(steps, width), numbers of a state and not pixels").next(FRAMES));
    }
    let (n_steps, n_obs, states) = array.table(beyond)?;
    drop(array); // as large as the states
    Ok(Parts { n_obs, states, ..labels(&mut arrays, n_steps, beyond)? })
}

/// The same with the frames left in the file: their shape.
pub(super) fn frames(path: &Path, length: u64, name: &str) -> Result<(Parts, Vec<u64>)> {
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
    let labels = labels(&mut arrays, head.shape[0] as usize, &beyond)?;
    beyond.into_inner().map_or(Ok((labels, head.shape)), Err)
}

/// The names of all arrays.
pub(super) fn keys(path: &Path, length: u64) -> Result<Vec<String>> {
    Ok(Arrays::open(path, length, "states (or observations), actions and episode_ends")?.names)
}

/// The encoder of the states of a file, if they are embeddings.
pub(super) fn encoding(path: &Path, length: u64) -> Result<Option<String>> {
    let mut arrays = Arrays::open(path, length, "encoding")?;
    if !arrays.has("encoding") {
        return Ok(None);
    }
    let array = arrays.need("encoding")?;
    match String::from_utf8(array.bytes) {
        Ok(text) if array.kind == 'u' && array.size == 1 => Ok(Some(text)),
        _ => Err(other_type("bytes that are not text").expected("JSON in UTF-8").within("encoding")),
    }
}

/// The names of dimensions.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    let mut arrays = Arrays::open(path, length, "state_names and action_names")?;
    Ok(DimensionNames {
        state_names: arrays.strings("state_names")?,
        action_names: arrays.strings("action_names")?,
    })
}

/// Actions, rewards and episode ends of `n_steps` steps; `states` is empty and `n_obs` is 1.
fn labels(arrays: &mut Arrays, n_steps: usize, beyond: &Beyond) -> Result<Parts> {
    let (actions_steps, n_act, actions) = arrays.need("actions")?.table(beyond)?;
    same_length("actions", actions_steps, n_steps)?;
    let ends = arrays.need("episode_ends")?.ends()?;
    let rewards = match arrays.has("rewards") {
        true => Some(arrays.need("rewards")?.column(beyond)?),
        false => None,
    };
    if let Some(rewards) = &rewards {
        same_length("rewards", rewards.len(), n_steps)?;
    }
    Ok(Parts { n_obs: 1, n_act, states: Vec::new(), actions, rewards, ends })
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
