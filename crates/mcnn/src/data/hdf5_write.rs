//! Writing recordings as D4RL's flat HDF5.

use std::path::Path;

use rust_hdf5::{H5File, H5Group, H5Type, types::HBool};

use super::{DimensionNames, Parts};
use crate::{
    atomic,
    error::{Error, Kind, Result},
};

const ROWS: usize = 4096; // the most rows of a chunk
const CHUNK: usize = 1 << 20; // approximate bytes of a chunk, because rows of frames are long
const LEVEL: u32 = 4; // of gzip, h5py's default

/// What a recording contains in addition to the demonstrations. Everything except `terminals` may be empty.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// For each episode, whether the task terminated it (otherwise it was truncated at the horizon).
    pub terminals: Vec<bool>,
    /// Tables of one row per step, such as `qpos`, as (name, width of a row, values row-major). They go into the group `infos`.
    pub infos: Vec<(&'static str, usize, Vec<f32>)>,
    /// For each episode, the seed it started from, and whether it was a success (where the task has a rule).
    pub episodes: Vec<(u64, Option<bool>)>,
    /// Names of the dimensions, where there are any.
    pub names: DimensionNames,
    /// Provenance, as (name, text): attributes of the group `metadata`.
    pub notes: Vec<(&'static str, String)>,
}

/// Writes what [`read`](super::read()) and h5py read back as D4RL's layout: `observations`, `actions`, `rewards`
/// (float32), `terminals` and `timeouts` (booleans: the last step of an episode has the one or the other), all gzip in
/// chunks; `infos/...`; the strings `state_names` and `action_names`, where there are names; and in the group `metadata` the attributes of `notes` and one row an episode of `episode_seeds`
/// (uint64) and `episode_success` (int8, -1 where there is no rule). The write is atomic; equal recordings
/// give equal bytes.
///
/// # Errors
/// Parts that do not belong together, a table or a list of another length, and errors of the file system.
pub fn write_hdf5(path: &Path, parts: &Parts, recording: &Recording) -> Result<()> {
    parts.check()?;
    recording.names.validate(parts.n_obs, parts.n_act)?;
    write(path, Observations::States(parts.n_obs, &parts.states), parts, recording)
}

/// The observations, row by row.
pub(super) enum Observations<'a> {
    /// The width of a row, and the values, row-major.
    States(usize, &'a [f32]),
    /// The bytes of a frame, and the frames.
    Frames(usize, &'a [u8]),
}

/// Writes `observations` with the actions, rewards and episode ends of `labels`, which have been validated; its states are
/// ignored.
pub(super) fn write(
    path: &Path,
    observations: Observations,
    labels: &Parts,
    recording: &Recording,
) -> Result<()> {
    check(labels, recording)?;
    atomic::write_through(path, |temporary| {
        fill(temporary, &observations, labels, recording).map_err(|e| {
            Error::new(Kind::File, "writing failed")
                .at(path.display().to_string())
                .found(e.to_string())
                .next("check the space left on the disk")
        })
    })
}

fn check(parts: &Parts, recording: &Recording) -> Result<()> {
    let (steps, episodes) = (parts.actions.len() / parts.n_act, parts.ends.len());
    let lists = [("terminals", recording.terminals.len()), ("episodes", recording.episodes.len())];
    let tables = recording.infos.iter().map(|(name, width, rows)| (*name, rows.len(), steps * width));
    for (name, found, expected) in lists.map(|(name, n)| (name, n, episodes)).into_iter().chain(tables) {
        if found != expected && !(name == "episodes" && found == 0) {
            return Err(Error::new(Kind::Data, "a recording whose parts have different lengths")
                .at(name)
                .expected(format!("{expected} for {steps} steps of {episodes} episodes"))
                .found(found.to_string()));
        }
    }
    Ok(())
}

fn fill(path: &Path, seen: &Observations, parts: &Parts, recording: &Recording) -> rust_hdf5::Result<()> {
    let file = H5File::options().no_locking().create(path)?;
    let root = file.root_group();
    let n = parts.actions.len() / parts.n_act;
    match seen {
        Observations::States(width, rows) => put(&root, "observations", &[n, *width], rows)?,
        Observations::Frames(width, rows) => put(&root, "observations", &[n, *width], rows)?,
    }
    put(&root, "actions", &[n, parts.n_act], &parts.actions)?;
    if let Some(rewards) = &parts.rewards {
        put(&root, "rewards", &[n], rewards)?;
    }
    let names = &recording.names;
    for (key, names) in [("state_names", &names.state_names), ("action_names", &names.action_names)] {
        if let Some(names) = names {
            file.write_vlen_strings(key, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }
    for (name, by_task) in [("terminals", true), ("timeouts", false)] {
        let mut marks = vec![HBool::from(false); n];
        for (&end, _) in parts.ends.iter().zip(&recording.terminals).filter(|(_, t)| **t == by_task) {
            marks[end - 1] = HBool::from(true);
        }
        put(&root, name, &[n], &marks)?;
    }
    if !recording.infos.is_empty() {
        let infos = file.create_group("infos")?;
        for (name, width, rows) in &recording.infos {
            put(&infos, name, &[n, *width], rows)?;
        }
    }
    let metadata = file.create_group("metadata")?;
    for (name, text) in &recording.notes {
        metadata.set_attr_string(name, text)?;
    }
    if !recording.episodes.is_empty() {
        let n = recording.episodes.len();
        let seeds: Vec<u64> = recording.episodes.iter().map(|(seed, _)| *seed).collect();
        let won: Vec<i8> = recording.episodes.iter().map(|(_, won)| won.map_or(-1, i8::from)).collect();
        put(&metadata, "episode_seeds", &[n], &seeds)?;
        put(&metadata, "episode_success", &[n], &won)?;
    }
    file.close()
}

/// One compressed dataset.
fn put<T: H5Type>(group: &H5Group, name: &str, shape: &[usize], values: &[T]) -> rust_hdf5::Result<()> {
    let mut chunk = shape.to_vec();
    let row = size_of::<T>() * shape[1..].iter().product::<usize>();
    chunk[0] = chunk[0].min(ROWS.min(CHUNK / row.max(1)).max(1));
    group.new_dataset::<T>().shape(shape).chunk(&chunk).shuffle_deflate(LEVEL).create(name)?.write_raw(values)
}
