//! D4RL's flat HDF5: every step of every episode in one table per key.
//!
//! Layout: D4RL, `d4rl/offline_env.py` and `scripts/generation/hand_dapg_demos.py`. Keys read: `observations` and
//! `actions` (rank 2), `timeouts`, `terminals` and `rewards` (rank 1, or 2 with one column), `state_names` and
//! `action_names` (rank 1, strings); others are ignored, and so are attributes.

use std::{collections::HashSet, path::Path};

use hdf5_reader::{
    ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions, StringSize, dtype_element_size, group::Group,
};

use super::{
    DimensionNames, MAX_NAME_LENGTH, Parts,
    read::{FRAMES, expanded, limit, too_large},
};
use crate::error::{Error, Kind, Result};

/// Reads the parts of a file of `length` bytes. Errors name the key; the caller adds the file.
pub(super) fn read(path: &Path, length: u64) -> Result<Parts> {
    let file = Flat::open(path, length)?;
    let observations = file.table("observations")?;
    if matches!(observations.dtype(), Datatype::FixedPoint { size: 1, .. }) {
        return Err(other_type("observations", "32-bit or 64-bit floats", observations.dtype()).next(FRAMES));
    }
    let (states, labels) = rayon::join(|| floats(&observations), || labels(&file, observations.shape()[0]));
    Ok(Parts { n_obs: observations.shape()[1] as usize, states: states?, ..labels? })
}

/// The same with the observations, of any rank from 2 on, left in the file.
pub(super) fn frames(path: &Path, length: u64) -> Result<(Parts, Dataset)> {
    let file = Flat::open(path, length)?;
    let observations = match file.within("observations", expanded(length))? {
        Some(frames) if frames.shape().len() > 1 => frames,
        _ => file.table("observations")?, // returns the error
    };
    Ok((labels(&file, observations.shape()[0])?, observations))
}

/// Actions, rewards and episode ends of `n_steps` steps; `states` is empty and `n_obs` is 1.
fn labels(file: &Flat, n_steps: u64) -> Result<Parts> {
    let actions = file.table("actions")?;
    let actions_steps = actions.shape()[0];
    if actions_steps != n_steps {
        return Err(other_length("actions", actions_steps, n_steps));
    }
    let column = |key| file.column(key, n_steps);
    let (timeouts, terminals) = (column("timeouts")?, column("terminals")?);
    let rewards = column("rewards")?;
    let ends = ends(
        timeouts.map(|c| flags(&c)).transpose()?,
        terminals.map(|c| flags(&c)).transpose()?,
        n_steps as usize,
    )?;
    Ok(Parts {
        n_obs: 1,
        n_act: actions.shape()[1] as usize,
        states: Vec::new(),
        actions: floats(&actions)?,
        rewards: match rewards {
            Some(c) if matches!(c.dtype(), Datatype::FloatingPoint { .. }) => Some(floats(&c)?),
            Some(c) => Some(whole_numbers(&c)?.iter().map(|&v| v as f32).collect()),
            None => None,
        },
        ends,
    })
}

/// Reads the names of dimensions. Errors name the key; the caller adds the file.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    let file = Flat::open(path, length)?;
    Ok(DimensionNames {
        state_names: strings(&file, "state_names")?,
        action_names: strings(&file, "action_names")?,
    })
}

/// The strings of a dataset of rank 1, if the file has it.
fn strings(file: &Flat, key: &str) -> Result<Option<Vec<String>>> {
    let Some(dataset) = file.find(key)? else {
        return Ok(None);
    };
    let [_] = dataset.shape() else {
        return Err(other_rank(key, "(dimensions,)", dataset.shape()));
    };
    match dataset.dtype() {
        Datatype::String { size: StringSize::Fixed(_), .. } => {}
        Datatype::String { size: StringSize::Variable, .. } | Datatype::VarLen { .. } => {
            // An element is a reference to a text elsewhere in the file, which many elements may share. The length of the text, the
            // first 4 bytes of the reference, is checked before the text is read.
            let references = dataset.read_raw_bytes().map_err(|e| unreadable(e, key))?;
            let size = dataset.vlen_reference_size().max(4);
            let longest = 4 * MAX_NAME_LENGTH as u32; // bytes in UTF-8
            for (i, reference) in references.chunks_exact(size).enumerate() {
                let bytes = u32::from_le_bytes([reference[0], reference[1], reference[2], reference[3]]);
                if bytes > longest {
                    return Err(Error::new(Kind::Data, "a name that is too long")
                        .at(format!("/{key}, dimension {i}"))
                        .expected(format!("at most {MAX_NAME_LENGTH} characters"))
                        .found(format!("{bytes} bytes")));
                }
            }
        }
        other => return Err(other_type(key, "strings", other)),
    }
    dataset.read_strings().map(Some).map_err(|e| unreadable(e, key))
}

/// The simulator's state in a recording in D4RL's layout, beside its demonstrations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Simulator {
    /// Positions of the joints at every step (`infos/qpos`): the width of a row, and the rows.
    pub qpos: Option<(usize, Vec<f32>)>,
    /// Velocities of the joints at every step (`infos/qvel`).
    pub qvel: Option<(usize, Vec<f32>)>,
    /// The seed that each episode's reset was given (`metadata/episode_seeds`).
    pub seeds: Option<Vec<u64>>,
}

/// Reads the simulator's state. Errors name the key; the caller adds the file.
pub(super) fn simulator(path: &Path, length: u64) -> Result<Simulator> {
    let file = Flat::open(path, length)?;
    let mut found = Simulator::default();
    if let Some(infos) = file.inside("infos")? {
        let table = |key| match infos.find(key)? {
            Some(table) if table.shape().len() == 2 => Ok(Some((table.shape()[1] as usize, floats(&table)?))),
            Some(other) => Err(other_rank(key, "(steps, width)", other.shape())),
            None => Ok(None),
        };
        (found.qpos, found.qvel) = (table("qpos")?, table("qvel")?);
    }
    if let Some(metadata) = file.inside("metadata")?
        && let Some(seeds) = metadata.find("episode_seeds")?
    {
        found.seeds = Some(whole_numbers(&seeds)?.into_iter().map(|seed| seed as u64).collect());
    }
    Ok(found)
}

/// An open file (or a group in it), with the names of the groups and datasets at its root.
struct Flat {
    root: Group,
    groups: Vec<String>,
    datasets: Vec<String>,
    length: u64,
}

impl Flat {
    fn open(path: &Path, length: u64) -> Result<Self> {
        let limit = usize::try_from(expanded(length)).unwrap_or(usize::MAX);
        let options = OpenOptions {
            chunk_cache_bytes: 0, // every table is read once
            max_read_bytes: limit,
            max_chunk_bytes: limit.min(hdf5_reader::DEFAULT_MAX_CHUNK_BYTES),
            ..OpenOptions::default()
        };
        let damaged = |e| unreadable(e, "");
        let file = Hdf5File::open_with_options(path, options).map_err(damaged)?;
        Self::of(file.root_group().map_err(damaged)?, length)
    }

    fn of(root: Group, length: u64) -> Result<Self> {
        let (groups, datasets) = root.member_names().map_err(|e| unreadable(e, ""))?;
        Ok(Self { root, groups, datasets, length })
    }

    /// A group, if it exists.
    fn inside(&self, group: &str) -> Result<Option<Self>> {
        if !self.groups.iter().any(|name| name == group) {
            return Ok(None);
        }
        let inner = self.root.group(group).map_err(|e| unreadable(e, group))?;
        Self::of(inner, self.length).map(Some)
    }

    /// A table, rank 2.
    fn table(&self, key: &str) -> Result<Dataset> {
        let Some(dataset) = self.find(key)? else {
            let mut there = self.datasets.clone();
            there.extend(self.groups.iter().map(|g| format!("{g}/")));
            let next = if self.groups.iter().any(|g| g == "data" || g == "episode_0") {
                "robomimic and Minari layouts are not read: save states, actions and episode_ends with numpy.savez"
            } else {
                ""
            };
            return Err(Error::new(Kind::Data, "missing key")
                .at(format!("/{key}"))
                .expected("a table of observations and one of actions, a row a step")
                .found(if there.is_empty() {
                    "a file without keys".into()
                } else {
                    format!("the keys {}", list(&there))
                })
                .next(next));
        };
        match dataset.shape() {
            [_, _] => Ok(dataset),
            shape => Err(other_rank(key, "(steps, width)", shape)),
        }
    }

    /// A column of `n_steps` values, if the file has it.
    fn column(&self, key: &str, n_steps: u64) -> Result<Option<Dataset>> {
        let Some(dataset) = self.find(key)? else {
            return Ok(None);
        };
        match *dataset.shape() {
            [n] | [n, 1] if n == n_steps => Ok(Some(dataset)),
            [n] | [n, 1] => Err(other_length(key, n, n_steps)),
            ref shape => Err(other_rank(key, "(steps,) or (steps, 1)", shape)),
        }
    }

    /// A dataset that fits the memory limit, if it exists.
    fn find(&self, key: &str) -> Result<Option<Dataset>> {
        self.within(key, limit(self.length))
    }

    /// A dataset of at most `limit` bytes, if it exists.
    fn within(&self, key: &str, limit: u64) -> Result<Option<Dataset>> {
        if !self.datasets.iter().any(|name| name == key) {
            return Ok(None);
        }
        let dataset = self.root.dataset(key).map_err(|e| unreadable(e, key))?;
        // Sizes that the file cannot contain are refused before anything is allocated. A chunk takes at least one byte.
        let along = |(&n, &c): (&u64, &u32)| n.div_ceil(u64::from(c).max(1));
        let chunks = dataset.chunks().map_or(1, |chunk| {
            let counts = dataset.shape().iter().zip(&chunk).map(along);
            counts.fold(1, u64::saturating_mul)
        });
        let size = dtype_element_size(dataset.dtype()).unwrap_or(usize::MAX) as u64;
        let bytes = dataset.shape().iter().fold(size, |n, &d| n.saturating_mul(d));
        if chunks > self.length || bytes > limit {
            let what = match bytes > expanded(self.length) || chunks > self.length {
                true => "the HDF5 file declares more data than it can contain",
                false => "the HDF5 file expands to more memory than it is given",
            };
            return Err(Error::new(Kind::File, what)
                .at(format!("/{key}"))
                .expected(format!("at most {limit} bytes, in at most {} chunks", self.length))
                .found(format!("{bytes} bytes in {chunks} chunks"))
                .next(too_large(if chunks > self.length { u64::MAX } else { bytes }, self.length)));
        }
        Ok(Some(dataset))
    }
}

/// All values of a float dataset, row-major.
fn floats(dataset: &Dataset) -> Result<Vec<f32>> {
    let values = match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => by_chunks(dataset, f32::from_ne_bytes),
        Datatype::FloatingPoint { size: 8, .. } => by_chunks(dataset, |b| f64::from_ne_bytes(b) as f32),
        other => return Err(other_type(dataset.name(), "32-bit or 64-bit floats", other)),
    };
    if let Some(values) = values.map_err(|e| unreadable(e, dataset.name()))? {
        return Ok(values);
    }
    let bytes = native(dataset)?;
    Ok(match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => decode(&bytes, f32::from_ne_bytes),
        _ => decode(&bytes, |b| f64::from_ne_bytes(b) as f32),
    })
}

/// All bytes of a dataset, with its elements in the byte order of this machine.
fn native(dataset: &Dataset) -> Result<Vec<u8>> {
    let bytes = dataset.read_native_bytes();
    bytes.map_err(|e| unreadable(e, dataset.name()))
}

/// A faster path, about twice as fast as the crate's own copy where chunks are a column wide (as h5py makes them of
/// long tables). `None` where the general way is needed: another layout or byte order, or chunks that were never written.
fn by_chunks<const N: usize>(
    dataset: &Dataset,
    number: impl Fn([u8; N]) -> f32,
) -> std::result::Result<Option<Vec<f32>>, hdf5_reader::error::Error> {
    let native = if cfg!(target_endian = "little") { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
    let (&[rows, columns], Some(_), &Datatype::FloatingPoint { byte_order, .. }) =
        (dataset.shape(), dataset.chunks(), dataset.dtype())
    else {
        return Ok(None);
    };
    if byte_order != native {
        return Ok(None);
    }
    let (rows, columns) = (rows as usize, columns as usize);
    let mut values = vec![0.0; rows * columns];
    let mut missing = rows * columns;
    let mut seen = HashSet::new();
    for piece in dataset.iter_chunks()? {
        let piece = piece?;
        let (&[row, column], &[high, wide]) = (piece.offsets(), piece.shape()) else {
            return Ok(None);
        };
        let on_grid = row % high == 0 && column % wide == 0;
        let (row, column, wide) = (row as usize, column as usize, wide as usize);
        if !on_grid || row >= rows || column >= columns || !seen.insert((row, column)) {
            return Ok(None);
        }
        let width = wide.min(columns - column);
        let from = piece.bytes().as_chunks::<N>().0.chunks_exact(wide);
        let to = values[row * columns..].chunks_exact_mut(columns);
        for (to, from) in to.zip(from) {
            for (to, from) in to[column..][..width].iter_mut().zip(from) {
                *to = number(*from);
            }
            missing -= width;
        }
    }
    Ok((missing == 0).then_some(values))
}

/// The elements of native bytes, each through `number`.
fn decode<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
}

/// All values of a dataset of integers or booleans (in HDF5 an enumeration over an integer).
fn whole_numbers(dataset: &Dataset) -> Result<Vec<i64>> {
    let base = match dataset.dtype() {
        Datatype::Enum { base, .. } => base,
        other => other,
    };
    let &Datatype::FixedPoint { size, signed, .. } = base else {
        return Err(other_type(dataset.name(), "numbers or booleans", dataset.dtype()));
    };
    let bytes = native(dataset)?;
    Ok(match (size, signed) {
        (1, true) => decode(&bytes, |b| i8::from_ne_bytes(b).into()),
        (1, false) => decode(&bytes, |b| u8::from_ne_bytes(b).into()),
        (2, true) => decode(&bytes, |b| i16::from_ne_bytes(b).into()),
        (2, false) => decode(&bytes, |b| u16::from_ne_bytes(b).into()),
        (4, true) => decode(&bytes, |b| i32::from_ne_bytes(b).into()),
        (4, false) => decode(&bytes, |b| u32::from_ne_bytes(b).into()),
        (8, true) => decode(&bytes, i64::from_ne_bytes),
        (8, false) => decode(&bytes, |b| u64::from_ne_bytes(b).try_into().unwrap_or(i64::MAX)),
        _ => return Err(other_type(dataset.name(), "integers of 8 to 64 bits", base)),
    })
}

/// A column of booleans, of any numeric type: each value is 0 or 1.
fn flags(dataset: &Dataset) -> Result<Vec<bool>> {
    let refuse = |i: usize, found: String| {
        Error::new(Kind::Data, "marks of where episodes end must be 0 or 1")
            .at(format!("/{}, step {i}", dataset.name()))
            .found(found)
    };
    if let Datatype::FloatingPoint { .. } = dataset.dtype() {
        let values = floats(dataset)?;
        if let Some(i) = values.iter().position(|&v| v != 0.0 && v != 1.0) {
            return Err(refuse(i, values[i].to_string()));
        }
        return Ok(values.iter().map(|&v| v == 1.0).collect());
    }
    let values = whole_numbers(dataset)?;
    if let Some(i) = values.iter().position(|&v| v != 0 && v != 1) {
        return Err(refuse(i, values[i].to_string()));
    }
    Ok(values.iter().map(|&v| v == 1).collect())
}

/// Where episodes end (exclusive): after each step that `timeouts` or `terminals` marks, and after the last step.
fn ends(timeouts: Option<Vec<bool>>, terminals: Option<Vec<bool>>, n_steps: usize) -> Result<Vec<usize>> {
    let both = timeouts.is_some() && terminals.is_some();
    let marked = |marks: &Option<Vec<bool>>, i: usize| marks.as_ref().is_some_and(|m| m[i]);
    let mut ends: Vec<usize> =
        (0..n_steps).filter(|&i| marked(&timeouts, i) || marked(&terminals, i)).map(|i| i + 1).collect();
    if ends.is_empty() && n_steps > 0 && !both {
        // Cutting at a number of steps would be a guess: human demonstrations are longer than the task's horizon.
        return Err(Error::new(Kind::Data, "the ends of episodes are not marked")
            .at("/timeouts and /terminals")
            .expected("a mark at the last step of each episode")
            .found(match (timeouts, terminals) {
                (None, None) => "neither key",
                (Some(_), _) => "no mark in timeouts, and no terminals",
                (_, Some(_)) => "no mark in terminals, and no timeouts",
            })
            .next("write timeouts, or save states, actions and episode_ends with numpy.savez"));
    }
    if ends.last().is_none_or(|&end| end < n_steps) {
        ends.push(n_steps);
    }
    Ok(ends)
}

pub(super) fn unreadable(e: hdf5_reader::error::Error, key: &str) -> Error {
    let place = if key.is_empty() { String::new() } else { format!("/{key}") };
    Error::new(Kind::File, "the HDF5 file cannot be read").at(place).found(e.to_string()).next(
        "it may be damaged or cut short: compare its size with the source's, or write it again with h5py",
    )
}

fn other_rank(key: &str, expected: &str, shape: &[u64]) -> Error {
    Error::new(Kind::Data, "an array of another shape")
        .at(format!("/{key}"))
        .expected(expected)
        .found(format!("({})", list(shape)))
}

fn other_length(key: &str, found: u64, expected: u64) -> Error {
    Error::new(Kind::Data, "keys with different numbers of steps")
        .at(format!("/{key}"))
        .expected(format!("{expected} steps, as in /observations"))
        .found(format!("{found} steps"))
}

pub(super) fn other_type(key: &str, expected: &str, found: &Datatype) -> Error {
    let found = match found {
        Datatype::FloatingPoint { size, .. } => format!("{}-bit floats", 8 * u32::from(*size)),
        Datatype::FixedPoint { size, .. } => format!("{}-bit integers", 8 * u32::from(*size)),
        Datatype::String { .. } | Datatype::VarLen { .. } => "text or rows of varying length".into(),
        Datatype::Enum { .. } => "booleans or an enumeration".into(),
        Datatype::Compound { .. } => "records".into(),
        _ => "another type".into(),
    };
    Error::new(Kind::Data, "numbers of an unsupported type")
        .at(format!("/{key}"))
        .expected(expected)
        .found(found)
}

/// The items with commas; of many, the first.
fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let mut text: Vec<String> = items.iter().take(20).map(T::to_string).collect();
    if items.len() > text.len() {
        text.push(format!("and {} more", items.len() - text.len()));
    }
    text.join(", ")
}
