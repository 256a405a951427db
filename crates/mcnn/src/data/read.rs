//! From a path to demonstrations: the format is recognized by the file's first bytes, never by its name.

use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

use zip::ZipArchive;

use super::{
    ActionRange, Demonstrations, DimensionNames, Outside, Parts, Selection, Units, columns,
    foreign::{self, Foreign},
    hdf5::{self, Simulator},
    lerobot, mcap, memory_limit, minari, npz, robomimic,
    sink::{Counted, InMemory, Sink, StepRows},
    source::Source,
    zarr,
};
use crate::error::{Error, Kind, Result};

/// What to do when frames are read as states, for error messages.
pub(super) const FRAMES: &str = "frames become demonstrations by `mcnn embed`";

/// Whether rows of this many unsigned bytes are taken for frames: three channels of at least 4 x 4 pixels.
pub(super) fn are_frames(width: u64) -> bool {
    width >= 48 && width.is_multiple_of(3)
}

/// Whether an array of this shape, with the steps first, is color frames: three channels last or first.
pub(super) fn are_color_frames(shape: &[u64]) -> bool {
    match *shape {
        [_, height, width, 3] => height.min(width) >= 4,
        [_, 3, height, width] => height.min(width) >= 4,
        _ => false,
    }
}

/// The most bytes of frames that are decoded together, where they are stored in large blocks.
pub(super) const MOST_OF_A_BLOCK: u64 = 512 << 20;

/// How to read demonstrations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOptions {
    /// Which arrays and which episodes are read.
    pub selection: Selection,
    /// The units that actions are scaled by.
    pub units: Units,
    /// What to do with scaled actions outside [-1, 1].
    pub range: ActionRange,
    /// Leave out the last step of every episode. D4RL's `qlearning_dataset` does (it needs a next observation), and
    /// published sample counts made with it are reproduced so: 25 human demonstrations of 5,000 steps become 4,975.
    pub drop_last: bool,
}

/// The results of [`read_with_notes`].
#[derive(Debug)]
pub struct ReadResult {
    /// The demonstrations.
    pub data: Demonstrations,
    /// The actions that were outside [-1, 1] and are clipped ([`ActionRange::Clip`]).
    pub outside: Outside,
    /// What a user should know of how the source was read.
    pub notes: Vec<String>,
}

/// A format that [`read`] understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Format {
    /// D4RL's flat HDF5: `observations`, `actions`, and `timeouts` or `terminals` where episodes end.
    #[serde(rename = "D4RL HDF5")]
    D4rl,
    /// NumPy's `.npz`: `states` or `observations`, `actions`, `episode_ends`.
    #[serde(rename = "npz")]
    Npz,
    /// A folder of LeRobot, version 2.0 or 2.1: one Parquet file for each episode.
    #[serde(rename = "LeRobot v2.1")]
    LeRobotV2,
    /// A folder of LeRobot, version 3.0: Parquet files of many episodes.
    #[serde(rename = "LeRobot v3.0")]
    LeRobotV3,
    /// A dataset of Minari, in HDF5, Parquet or Arrow.
    Minari,
    /// A replay buffer in zarr, version 2 or 3, a folder or a zip: `data/KEY` and `meta/episode_ends`.
    #[serde(rename = "zarr")]
    Zarr,
    /// A recording of ROS 2: an MCAP file, or the folder of a bag.
    #[serde(rename = "MCAP")]
    Mcap,
    /// Columns that are read by ranges, as safetensors: `states`, `actions`, `episode_ends` (`mcnn convert DATA -o FILE.mcnn`).
    #[serde(rename = "columns")]
    Columns,
    /// robomimic's HDF5: `data/demo_K` with `obs/KEY` and `actions`.
    #[serde(rename = "robomimic HDF5")]
    Robomimic,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::D4rl => "D4RL HDF5",
            Self::Npz => "npz",
            Self::LeRobotV2 => "LeRobot v2.1",
            Self::LeRobotV3 => "LeRobot v3.0",
            Self::Minari => "Minari",
            Self::Mcap => "MCAP",
            Self::Zarr => "zarr",
            Self::Robomimic => "robomimic HDF5",
            Self::Columns => "columns",
        })
    }
}

/// Reads demonstrations: D4RL's flat HDF5, or an `.npz` with `states` (or `observations`), `actions`, `episode_ends`
/// and optionally `rewards`, and in either format optionally `state_names` and `action_names` ([`read_names`]); robomimic's HDF5; a
/// replay buffer in zarr, a folder or a zip; the folder of a LeRobot dataset, version 2.0 to 3.0; or a Minari dataset: its folder, its
/// HDF5 file, or its id, if it lies where Minari keeps datasets.
///
/// In HDF5 an episode ends where `timeouts` or `terminals` is set; steps after the last end are one more, unfinished
/// episode. A file without a single end is one episode if it has both keys, and refused otherwise: the missing key
/// may have had the ends. Episodes are never cut at a number of steps. 64-bit floats are rounded to 32 bits.
///
/// No array may need more memory than 32 times the size of the file plus 64 MiB, though deflate can expand a file 1,032
/// times: recorded values are rarely compressed below a third, and constant arrays fit the 64 MiB (MCNN_EXPAND_MIB sets another
/// number of MiB). None may need more than a third of the free memory either (MCNN_MEMORY_MIB). A header that asks for more is refused before anything is allocated; in an `.npz`, a zarr
/// store (whose size is that of all its files) and robomimic's HDF5, all arrays together have that limit. (Decoding may need up to three copies of an array.) Names in an `.npz` are compared, never used as paths. HDF5's own structures are parsed by the
/// crate `hdf5-reader`, which is Rust without a C library; tests damage files in many ways, but its limits are its own.
///
/// # Errors
/// A file that cannot be read, is of another format, damaged or cut short; keys that are missing or have another
/// rank, length or type than expected; and all that [`Demonstrations::new`] refuses. The file and the key are named.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Demonstrations> {
    read_with_notes(path, options).map(|found| found.data)
}

/// The same, with what a user should know of it.
///
/// # Errors
/// As [`read`].
pub fn read_with_notes(path: &Path, options: &ReadOptions) -> Result<ReadResult> {
    let (_, source) = load(path, &options.selection)?;
    finish(source, &path.display().to_string(), options)
}

/// Demonstrations from a source, whose place errors name.
pub(super) fn finish(mut source: Source, place: &str, options: &ReadOptions) -> Result<ReadResult> {
    if let Some(e) = source.beyond {
        return Err(e);
    }
    let named = |e: Error| e.within(place);
    let parts = std::mem::take(&mut source.parts);
    let (data, outside) =
        Demonstrations::scaled(parts, &source.names, &options.units, options.range).map_err(named)?;
    described(data, outside, source, options).map_err(named)
}

/// The demonstrations with everything else that a source says of them, and without the last steps of episodes if so asked.
pub(super) fn described(
    data: Demonstrations,
    outside: Outside,
    source: Source,
    options: &ReadOptions,
) -> Result<ReadResult> {
    let data = data.with_encoding(source.encoding).with_origin(source.origin).with_names(source.names)?;
    let data = data.with_episodes(source.episode_numbers, source.tasks);
    let notes = source.notes;
    if !options.drop_last {
        return Ok(ReadResult { data, outside, notes });
    }
    let dropped = data.drop_last().ok_or_else(|| {
        Error::new(Kind::Data, "no steps are left without the last of every episode")
            .expected("an episode of two steps or more")
            .found(format!("{} episodes of one step", data.n_episodes()))
    })?;
    Ok(ReadResult { data: dropped, outside, notes })
}

/// Reads what [`read`] reads of a selection, but validates only the shapes ([`Parts::check`]): NaN and actions
/// outside [-1, 1] are kept, for inspection.
///
/// # Errors
/// As [`read`], except errors of the values.
pub fn read_parts(path: &Path, selection: &Selection) -> Result<(Format, Parts)> {
    load(path, selection).map(|(format, source)| (format, source.parts))
}

/// Reads a source. Episodes that are not selected are dropped here, if the reader did not.
pub(super) fn load(path: &Path, selection: &Selection) -> Result<(Format, Source)> {
    let mut values = InMemory::new();
    let (format, mut source) = load_into(path, selection, &mut values)?;
    let StepRows { states, actions, rewards } = values.into_rows();
    source.parts = Parts { states, actions, rewards, ..source.parts };
    Ok((format, source))
}

/// Reads a source and puts its steps into `to`. The source that is returned has no values of steps: its rewards are `Some` and empty where
/// there are any.
pub(super) fn load_into(path: &Path, selection: &Selection, to: &mut dyn Sink) -> Result<(Format, Source)> {
    let (format, length) = recognize(path)?;
    let named = |e: Error| e.within(path.display());
    let mut to = Counted::new(to, selection);
    let source = match format {
        // Piece by piece: these readers put only what is selected.
        Format::LeRobotV2 | Format::LeRobotV3 => lerobot::read(path, selection, &mut to),
        Format::Minari => minari::read(path, selection, &mut to),
        Format::Robomimic => robomimic::read(path, length, selection, &mut to),
        Format::Columns => columns::read(path, selection, &mut to),
        // Whole.
        Format::D4rl => hdf5::read(path, length, selection).and_then(|found| found.put(selection, &mut to)),
        Format::Npz => npz::read(path, length, selection).and_then(|found| found.put(selection, &mut to)),
        Format::Mcap => mcap::read(path, selection).and_then(|found| found.put(selection, &mut to)),
        Format::Zarr => zarr::read(path, length, selection).and_then(|found| found.put(selection, &mut to)),
    };
    let mut source = source.map_err(named)?;
    to.finish(&mut source.parts).map_err(named)?;
    source.origin.is_chosen = !(selection.state.is_empty() && selection.action.is_empty());
    source.beyond = source.beyond.map(named);
    Ok((format, source))
}

/// Reads the names of dimensions, where a file has them: `state_names` and `action_names`, each an array (in HDF5 a dataset)
/// of strings, one for each dimension. Attributes of an HDF5 file are not read. [`DimensionNames::validate`] compares them
/// with the dimensions.
///
/// # Errors
/// As [`read`], of those arrays.
pub fn read_names(path: &Path) -> Result<DimensionNames> {
    let names = match recognize(path)? {
        (Format::Npz, length) => npz::names(path, length),
        (Format::D4rl, length) => hdf5::names(path, length),
        (Format::LeRobotV2 | Format::LeRobotV3, _) => lerobot::names(path),
        (Format::Columns, _) => columns::names(path),
        _ => Ok(DimensionNames::default()),
    };
    names.map_err(|e| e.within(path.display()))
}

/// Whether an array or dataset of this name is used beside observations. (`mcnn replay` uses the groups of D4RL.)
pub(super) fn is_label(name: &str) -> bool {
    const LABELS: [&str; 10] = [
        "actions",
        "rewards",
        "episode_ends",
        "timeouts",
        "terminals",
        "state_names",
        "action_names",
        "encoding",
        "infos",
        "metadata",
    ];
    LABELS.contains(&name)
}

/// An encoding (JSON, [`Demonstrations::encoding`]) with the present spelling of its preset, which differs in files of
/// version 1. Encodings are compared as texts.
pub fn upgrade_encoding(encoding: &str) -> String {
    encoding.replacen(r#""preset":"normalised"#, r#""preset":"normalized"#, 1)
}

/// Reads the simulator's state from a recording; empty for the formats that cannot contain it.
///
/// # Errors
/// As [`read`], of the keys concerned.
pub fn read_simulator(path: &Path) -> Result<Simulator> {
    match recognize(path)? {
        (Format::D4rl, length) => hdf5::simulator(path, length).map_err(|e| e.within(path.display())),
        _ => Ok(Simulator::default()),
    }
}

/// The most bytes that a file of `length` bytes expands to: no deflate stream goes further. Of what is read piece by piece.
pub(super) fn expanded(length: u64) -> u64 {
    length.saturating_mul(1032).saturating_add(64 << 10)
}

/// The memory limit in bytes for one array of a file of `length` bytes, as it is or compressed by deflate.
pub(super) fn limit(length: u64) -> u64 {
    limit_of_any_codec(length).min(expanded(length))
}

/// The same for other codecs, of which some expand further than deflate.
pub(super) fn limit_of_any_codec(length: u64) -> u64 {
    let named = std::env::var("MCNN_EXPAND_MIB").ok().and_then(|mib| mib.parse().ok());
    allowed(length, named.unwrap_or(64)).min(memory_limit::limit())
}

fn allowed(length: u64, mib: u64) -> u64 {
    length.saturating_mul(32).saturating_add(mib.saturating_mul(1 << 20))
}

/// What to do about an array of more bytes than [`limit`], where the file can contain it.
pub(super) const MORE_MEMORY: &str = "MCNN_EXPAND_MIB=1024 allows 1,024 MiB more than 32 times the file, if you trust it. \
    No file may need more than a third of the free memory: MCNN_MEMORY_MIB=N makes that N MiB, or read fewer arrays, or split the file";
/// The same, where it cannot.
pub(super) const TOO_LARGE: &str =
    "it is too large for a file of this size: the file is damaged, fetch it or write it again";

/// The length of a regular file. Anything else is refused before it is opened: a pipe would wait for its writer, and a
/// device may never end.
///
/// # Errors
/// If it does not exist, or is not a regular file.
pub fn regular(path: &Path) -> Result<u64> {
    let io = |e| Error::io("reading", path, &e);
    let about = std::fs::metadata(path).map_err(io)?;
    if about.is_dir() {
        return Err(match foreign::folder(path) {
            Some(Foreign { what, next }) => Error::new(Kind::File, "a folder where a file was expected")
                .at(path.display().to_string())
                .found(what)
                .next(next),
            None => io(std::io::ErrorKind::IsADirectory.into()),
        });
    }
    if !about.is_file() {
        return Err(Error::new(Kind::File, "only regular files are read, not pipes or devices")
            .at(path.display().to_string())
            .next("write it to a file first"));
    }
    Ok(about.len())
}

/// The error of a path that does not exist, with how to fetch what its name may mean.
fn no_such_path(path: &Path, e: &std::io::Error) -> Error {
    let error = Error::io("reading", path, e);
    match foreign::remote(path).filter(|_| e.kind() == std::io::ErrorKind::NotFound) {
        Some(next) => error.next(next),
        None => error,
    }
}

/// Whether a path is a recording of topics, which become steps only by a rate ([`Selection::hz`]).
pub fn is_recording_of_topics(path: &Path) -> bool {
    recognize(path).is_ok_and(|(format, _)| format == Format::Mcap)
}

/// Whether a zip is a zarr store.
fn is_zarr_zip(path: &Path) -> bool {
    let zip = File::open(path).ok().and_then(|file| ZipArchive::new(BufReader::new(file)).ok());
    let Some(zip) = zip else { return false };
    let names = || zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
    !names().any(|name| name.ends_with(".npy")) && zarr::is_zip(names())
}

/// The format of a file, by its first bytes, and its length; or the format of a folder, by the files in it, and 0.
pub(super) fn recognize(path: &Path) -> Result<(Format, u64)> {
    if path.is_dir()
        && let Some(format) = lerobot::recognize(path).map_err(|e| e.within(path.display()))?
    {
        return Ok((format, 0));
    }
    if let Some(format) = minari::recognize(path) {
        return Ok((format, 0));
    }
    let io = |e| Error::io("reading", path, &e);
    let refuse = |what: &str| Err(Error::new(Kind::File, what).at(path.display().to_string()));
    std::fs::metadata(path).map_err(|e| no_such_path(path, &e))?;
    if zarr::is_folder(path) {
        return Ok((Format::Zarr, 0));
    }
    if mcap::is_folder(path) {
        return Ok((Format::Mcap, 0));
    }
    let length = regular(path)?;
    if length == 0 {
        return refuse("the file is empty").map_err(|e| e.next("fetch or write it again"));
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(io)?;
    // HDF5 allows a block of the user's own before its signature, of 512, 1024, 2048, ... bytes.
    file.take(16 << 10).read_to_end(&mut start).map_err(io)?;
    let here = |at: usize, signature: &[u8]| start.get(at..).is_some_and(|s| s.starts_with(signature));
    let blocks = std::iter::successors(Some(512), |at| Some(at * 2)).take(5);
    if std::iter::once(0).chain(blocks).any(|at| here(at, b"\x89HDF\r\n\x1a\n")) {
        let format = match () {
            () if minari::is_file(path, length) => Format::Minari,
            () if robomimic::is_file(path, length) => Format::Robomimic,
            () => Format::D4rl,
        };
        return Ok((format, length));
    }
    if here(0, b"PK\x03\x04") || here(0, b"PK\x05\x06") {
        return Ok((if is_zarr_zip(path) { Format::Zarr } else { Format::Npz }, length));
    }
    if mcap::is_start(&start) {
        return Ok((Format::Mcap, length));
    }
    if here(8, b"{\"") && columns::is_file(path) {
        return Ok((Format::Columns, length));
    }
    let unknown = || Foreign {
        what: "neither".into(),
        next: "write an .npz with numpy.savez(path, states=..., actions=..., episode_ends=...)".into(),
    };
    let Foreign { what: found, next } = foreign::file(&start, length).unwrap_or_else(unknown);
    refuse("not a file of demonstrations").map_err(|e| {
        e.expected(
            "HDF5 as of D4RL or robomimic (\\x89HDF), an .npz of NumPy (PK), a zarr store, columns as safetensors, an MCAP file of ROS 2, \
             or a folder of LeRobot or Minari",
        )
            .found(found)
            .next(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_may_expand_as_deflate_does_a_large_one_thirtyfold_and_none_beyond_the_memory() {
        assert_eq!(limit(1000), 1_032_000 + 65_536);
        assert_eq!(limit_of_any_codec(1000), 32_000 + (64 << 20));
        assert_eq!(limit(10 << 20), (320 + 64) << 20);
        assert_eq!(allowed(10 << 20, 1024), (320 + 1024) << 20);
        assert_eq!(allowed(10 << 20, u64::MAX), u64::MAX);
        assert_eq!(limit(u64::MAX), memory_limit::limit());
    }
}
