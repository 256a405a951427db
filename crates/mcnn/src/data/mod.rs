//! Demonstrations: episodes of states and actions, their readers, and the scale that makes states comparable.

mod action_range;
mod action_units;
mod angles;
mod arrow;
mod cameras;
mod column;
mod columns;
mod compression;
mod content_hash;
mod cut;
mod demonstrations;
mod dimension;
#[cfg(test)]
mod fixtures;
pub mod foreign;
mod frame_demonstrations;
mod frame_file;
mod hdf5;
mod hdf5_write;
mod inspect;
mod json;
mod lerobot;
mod mcap;
mod memory_limit;
mod minari;
mod names;
mod npy;
mod npz;
mod number;
mod parquet;
mod parts;
mod positioned;
mod raw;
mod read;
mod recorded;
mod repeats;
mod rest;
mod robomimic;
mod scale;
mod selection;
mod several;
mod sink;
mod source;
mod steps;
mod stored;
mod velocities;
mod warnings;
mod write;
mod zarr;

pub use action_range::{ActionRange, MOST_CLIPPED, Outside};
pub use action_units::{ActionScale, ActionSettings, ActionUnits, RelativeTo, Units};
pub use angles::{Angle, AngleChoice, AngleUnit};
pub use cameras::{Camera, CameraFrames, CameraRecording, Clip, ReadRows, Rows, has_cameras};
pub use columns::stream;
pub use demonstrations::{Demonstrations, Step};
pub use dimension::Dimension;
pub use frame_demonstrations::FrameDemonstrations;
pub use frame_file::FrameFile;
pub use hdf5::Simulator;
pub use hdf5_write::{Recording, write_hdf5};
pub use inspect::{AT_LIMIT, Frozen, Inspection, Lengths, Returns, inspect, inspect_all};
pub use names::{DimensionNames, MAX_NAME_LENGTH};
pub use parts::Parts;
pub use read::{
    Format, ReadOptions, ReadResult, is_recording_of_topics, read, read_names, read_parts, read_simulator,
    read_with_notes, regular, upgrade_encoding,
};
pub use recorded::{
    IDLE_TOLERANCE, Idle, Recorded, RecordedInFile, Target, read_recorded, read_recorded_in_file,
};
pub use repeats::{EpisodeGroups, EpisodeRecord};
pub use scale::Scale;
pub use selection::{KeyRange, Selection, check_positive};
pub use several::read_all;
pub use source::{Key, Origin, Usage};
pub use stored::{EpisodeResult, StoredEpisode, StoredEpisodes, StoredSteps};
pub use write::{write_npz, write_npz_from};

pub(crate) use cut::{Pieces, block_steps, interior};
pub(crate) use npz::Arrays;
pub(crate) use repeats::{KnownEpisodes, mixed};
