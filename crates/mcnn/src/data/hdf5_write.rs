//! Writing recordings as D4RL's flat HDF5.

use std::path::Path;

use rust_hdf5::{H5File, H5Group, H5Type, types::HBool};

use super::{
    DimensionNames, Parts,
    column::{Column, Numbers},
};
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
    write(path, Column::floats(parts.n_obs, &parts.states), parts, recording)
}

/// Writes `observations` in place of the states of `labels`, which have been validated.
pub(super) fn write(path: &Path, observations: Column, labels: &Parts, recording: &Recording) -> Result<()> {
    check(labels, recording)?;
    let infos = recording.infos.iter().map(|(name, width, rows)| (*name, Column::floats(*width, rows)));
    write_columns(
        path,
        Columns {
            observations,
            actions: Column::floats(labels.n_act, &labels.actions),
            rewards: labels.rewards.as_ref().map(|rewards| Column::floats(1, rewards)),
            infos: infos.collect(),
        },
        &labels.ends,
        recording,
    )
}

/// The columns of a recording.
pub(super) struct Columns<'a> {
    pub observations: Column<'a>,
    pub actions: Column<'a>,
    pub rewards: Option<Column<'a>>,
    pub infos: Vec<(&'static str, Column<'a>)>,
}

/// Writes columns, whose rows are read one after another. The tables of `recording` do not count.
pub(super) fn write_columns(
    path: &Path,
    columns: Columns,
    ends: &[usize],
    recording: &Recording,
) -> Result<()> {
    atomic::write_through(path, |temporary| {
        fill(temporary, columns, ends, recording).map_err(|e| {
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

/// An error of HDF5, or of reading a column.
type Failure = Box<dyn std::error::Error>;

fn fill(
    path: &Path,
    columns: Columns,
    ends: &[usize],
    recording: &Recording,
) -> std::result::Result<(), Failure> {
    let file = H5File::options().no_locking().create(path)?;
    let root = file.root_group();
    let n = ends.last().copied().unwrap_or(0);
    put_column(&root, "observations", n, columns.observations)?;
    put_column(&root, "actions", n, columns.actions)?;
    if let Some(rewards) = columns.rewards {
        put_rows::<f32>(&root, "rewards", &[n], rewards)?;
    }
    let names = &recording.names;
    for (key, names) in [("state_names", &names.state_names), ("action_names", &names.action_names)] {
        if let Some(names) = names {
            file.write_vlen_strings(key, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }
    for (name, by_task) in [("terminals", true), ("timeouts", false)] {
        let mut marks = vec![HBool::from(false); n];
        for (&end, _) in ends.iter().zip(&recording.terminals).filter(|(_, t)| **t == by_task) {
            marks[end - 1] = HBool::from(true);
        }
        put(&root, name, &[n], &marks)?;
    }
    if !columns.infos.is_empty() {
        let infos = file.create_group("infos")?;
        for (name, column) in columns.infos {
            put_column(&infos, name, n, column)?;
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
    Ok(file.close()?)
}

/// The dataset of a column, `[n, width]`.
fn put_column(group: &H5Group, name: &str, n: usize, column: Column) -> std::result::Result<(), Failure> {
    let shape = [n, column.width];
    match column.numbers {
        Numbers::F32 => put_rows::<f32>(group, name, &shape, column),
        Numbers::U8 => put_rows::<u8>(group, name, &shape, column),
    }
}

/// One compressed dataset, written chunk by chunk.
fn put_rows<T: H5Type>(
    group: &H5Group,
    name: &str,
    shape: &[usize],
    mut column: Column,
) -> std::result::Result<(), Failure> {
    let (n, row) = (shape[0], column.row_bytes());
    let mut chunk = shape.to_vec();
    chunk[0] = chunk_rows(n, row);
    let dataset = group.new_dataset::<T>().shape(shape).chunk(&chunk).shuffle_deflate(LEVEL).create(name)?;
    let mut bytes = vec![0; chunk[0] * row];
    for (i, first) in (0..n).step_by(chunk[0]).enumerate() {
        let rows = chunk[0].min(n - first) * row;
        column.rows.read_exact(&mut bytes[..rows])?;
        bytes[rows..].fill(0); // the last chunk is filled up
        dataset.write_chunk(i, &bytes)?;
    }
    Ok(())
}

/// Rows of a chunk, for rows of `row` bytes.
fn chunk_rows(n: usize, row: usize) -> usize {
    n.min(ROWS.min(CHUNK / row.max(1)).max(1))
}

/// One compressed dataset.
fn put<T: H5Type>(group: &H5Group, name: &str, shape: &[usize], values: &[T]) -> rust_hdf5::Result<()> {
    let mut chunk = shape.to_vec();
    let row = size_of::<T>() * shape[1..].iter().product::<usize>();
    chunk[0] = chunk_rows(chunk[0], row);
    group.new_dataset::<T>().shape(shape).chunk(&chunk).shuffle_deflate(LEVEL).create(name)?.write_raw(values)
}
