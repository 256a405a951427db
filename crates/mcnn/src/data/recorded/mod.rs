//! Demonstrations as they are recorded, with actions in the source's units: to change their rate, cut pauses, and write them in another
//! format. No value is rounded.

mod idle;
mod in_file;
mod spool;
mod steps;

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    ActionSettings, ActionUnits, DimensionNames, Parts, Recording, Selection,
    column::Column,
    columns, lerobot,
    several::{Whole, check_values, load_all},
    write::{Columns, write_columns},
    write_hdf5,
};
use crate::error::{Error, Kind, Result};
pub use idle::{IDLE_TOLERANCE, Idle};
pub use in_file::{RecordedInFile, read_recorded_in_file};

/// Demonstrations as they are recorded.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The episodes, with actions in the source's units.
    pub parts: Parts,
    /// Names of the dimensions, where the source has them.
    pub names: DimensionNames,
    /// The encoder of the states, as JSON, if they are embeddings.
    pub encoding: Option<String>,
    /// The text of each episode's task: `[n_episodes]`; empty if the source has none.
    pub tasks: Vec<String>,
    /// Steps per second, if known.
    pub fps: Option<f64>,
    /// What a user should know of how the sources were read.
    pub notes: Vec<String>,
}

/// Reads one source or several, which are joined as [`read_all`](super::read_all) does.
///
/// # Errors
/// As [`read_all`](super::read_all), but actions may have any range.
///
/// # Panics
/// If there is no path.
pub fn read_recorded(paths: &[PathBuf], selection: &Selection) -> Result<Recorded> {
    let (_, source) = load_all(paths, &mut Whole { selection, check: check_values })?;
    let super::source::Source { parts, names, encoding, origin, tasks, notes, .. } = source;
    names.validate(parts.n_obs, parts.n_act)?;
    Ok(Recorded { parts, names, encoding, tasks, fps: origin.fps, notes })
}

/// A format that [`Recorded::write`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Target {
    /// NumPy's `.npz`.
    #[serde(rename = "npz")]
    Npz,
    /// D4RL's flat HDF5.
    #[serde(rename = "D4RL HDF5")]
    D4rl,
    /// Columns that `mcnn learn` and `mcnn train` read piece by piece, as safetensors.
    #[serde(rename = "columns")]
    Columns,
    /// A folder of LeRobot, version 3.0, without videos.
    #[serde(rename = "LeRobot v3.0")]
    LeRobot,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Npz => "npz",
            Self::D4rl => "D4RL HDF5",
            Self::Columns => "columns",
            Self::LeRobot => "LeRobot v3.0",
        })
    }
}

impl Target {
    /// The format of an output by its name: a name without an ending, or with a slash at its end, is that of a LeRobot folder.
    ///
    /// # Errors
    /// Another ending than `.npz`, `.mcnn`, `.hdf5` and `.h5`.
    pub fn of(path: &Path) -> Result<Self> {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Ok(Self::LeRobot);
        }
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npz") => Ok(Self::Npz),
            Some("mcnn") => Ok(Self::Columns),
            Some("hdf5" | "h5") => Ok(Self::D4rl),
            None if path.file_name().is_some() => Ok(Self::LeRobot),
            _ => Err(Error::new(Kind::Settings, "the name says no format that is written")
                .at(path.display().to_string())
                .expected(
                    "a name that ends in .npz, in .mcnn for columns, in .hdf5 for D4RL's layout, or in / for a folder of LeRobot",
                )),
        }
    }
}

impl Recorded {
    /// The steps of each episode.
    fn episodes(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.parts.ends.iter().copied());
        starts.zip(&self.parts.ends).map(|(start, &end)| start..end)
    }

    /// Every `every`th step of each episode, from its first on. The reward of a step is the sum of its own and of those that are left out
    /// before the next; the frame rate falls accordingly.
    ///
    /// # Panics
    /// If `every` is 0.
    #[must_use]
    pub fn downsample(self, every: usize) -> Self {
        assert!(every > 0, "every 0th step");
        if every == 1 {
            return self;
        }
        let groups: Vec<Vec<Range<usize>>> = self
            .episodes()
            .map(|steps| {
                let Range { start, end } = steps;
                (start..end).step_by(every).map(|first| first..end.min(first + every)).collect()
            })
            .collect();
        let fps = self.fps.map(|fps| fps / every as f64);
        Self { fps, ..self.take(&groups) }
    }

    /// The first steps of groups of steps, an episode for each list of groups. Rewards are summed over a group.
    fn take(self, groups: &[Vec<Range<usize>>]) -> Self {
        let Parts { n_obs, n_act, states, actions, rewards, .. } = self.parts;
        let all = || groups.iter().flatten();
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            all().flat_map(|group| &values[group.start * width..][..width]).copied().collect()
        };
        // In 64 bits, so that a sum is rounded once.
        let sum = |rewards: &[f32]| rewards.iter().map(|&r| f64::from(r)).sum::<f64>() as f32;
        let ends = groups.iter().scan(0, |end, groups| {
            *end += groups.len();
            Some(*end)
        });
        let parts = Parts {
            n_obs,
            n_act,
            states: rows(&states, n_obs),
            actions: rows(&actions, n_act),
            rewards: rewards.map(|rewards| all().map(|group| sum(&rewards[group.clone()])).collect()),
            ends: ends.collect(),
        };
        Self { parts, ..self }
    }

    /// The same with actions relative to the state: each minus the state's dimension that the settings say, of which the scale does not
    /// count. Of angles it is the smallest difference. Returns the dimension of the state for each of the action.
    ///
    /// # Errors
    /// As [`ActionUnits::fit`].
    pub fn relative(mut self, settings: &ActionSettings) -> Result<(Self, Vec<Option<usize>>)> {
        let units = ActionUnits::fit(&self.parts, &self.names, settings)?;
        units.subtract_base(&self.parts.states, self.parts.n_obs, &mut self.parts.actions);
        Ok((self, units.relative_to().to_vec()))
    }

    /// Writes everything that the format has a place for: all values and names; the encoder only in an `.npz` and in columns, texts of tasks
    /// and the frame rate only in columns and in LeRobot's format, which needs the frame rate. Episodes are numbered
    /// from 0 when read back. In D4RL's layout all episodes end by `timeouts`. Returns what was left out, in words.
    ///
    /// # Errors
    /// Embeddings in D4RL's and LeRobot's formats, LeRobot's without a frame rate, and errors of the file system.
    pub fn write(&self, path: &Path, target: Target) -> Result<Vec<String>> {
        let Self { names, tasks, fps, .. } = self;
        let about = About { names, encoding: self.encoding.as_deref(), tasks, fps: *fps };
        match target {
            Target::D4rl => {
                about.check_place(path, target)?;
                let recording = Recording {
                    terminals: vec![false; self.parts.ends.len()],
                    names: names.clone(),
                    ..Recording::default()
                };
                write_hdf5(path, &self.parts, &recording)?;
                Ok(about.left_out(target))
            }
            target => {
                let states = Column::floats(self.parts.n_obs, &self.parts.states);
                write_as(path, target, Columns::new(states, &self.parts), &about)
            }
        }
    }
}

/// What is written beside the columns of steps.
struct About<'a> {
    names: &'a DimensionNames,
    encoding: Option<&'a str>,
    tasks: &'a [String],
    fps: Option<f64>,
}

impl About<'_> {
    /// Refuses embeddings where a format has no place for their encoder.
    fn check_place(&self, path: &Path, target: Target) -> Result<()> {
        match target {
            Target::D4rl | Target::LeRobot if self.encoding.is_some() => Err(Error::new(
                Kind::Settings,
                format!("{target} has no place for the encoder of embeddings"),
            )
            .at(path.display().to_string())
            .next("write an .npz or columns (.mcnn)")),
            _ => Ok(()),
        }
    }

    /// What a format without texts of tasks and frame rate leaves out, in words.
    fn left_out(&self, target: Target) -> Vec<String> {
        let tasks = (!self.tasks.is_empty()).then(|| format!("{target} has no place for texts of tasks"));
        let fps = self.fps.map(|fps| format!("{target} has no place for the frame rate, {fps} steps/s"));
        tasks.into_iter().chain(fps).collect()
    }
}

/// Writes columns of steps in a format whose writer reads them row by row: any but D4RL's. Returns what was left out.
fn write_as(path: &Path, target: Target, columns: Columns, about: &About) -> Result<Vec<String>> {
    about.check_place(path, target)?;
    let &About { names, encoding, tasks, fps } = about;
    match target {
        Target::Columns => columns::write(path, columns::Written { columns, names, encoding, tasks, fps })?,
        Target::LeRobot => {
            let fps = fps.ok_or_else(|| {
                Error::new(Kind::Settings, "LeRobot's format needs the frame rate, which the data do not say")
                    .at(path.display().to_string())
                    .next("say it with --hz, in steps per second")
            })?;
            lerobot::write(path, lerobot::Written { columns, names, tasks, fps })?;
        }
        Target::Npz | Target::D4rl => {
            write_columns(path, columns, names, encoding)?;
            return Ok(about.left_out(target));
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod in_file_tests;
#[cfg(test)]
mod tests;
