//! The same demonstrations, with steps that need not fit in memory: they are read piece by piece into temporary files.

use std::{
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    About, Idle, Recorded, Target,
    idle::without_pauses,
    spool::{Floats, Spool},
    steps::Steps,
    write_as,
};
use crate::{
    data::{
        ActionSettings, ActionUnits, DimensionNames, Format, Parts, Selection,
        column::{Column, Numbers},
        memory_limit, number,
        raw::RawSteps,
        read::{MORE_MEMORY, load_into},
        several::{LoadOne, load_all, ranges},
        source::Source,
        write::Columns,
    },
    error::{Error, Kind, Result},
};

/// Demonstrations as they are recorded, with steps in temporary files. What is written of them has the same bytes as of [`Recorded`].
#[derive(Debug)]
pub struct RecordedInFile {
    steps: Steps<Box<Spool>>,
    names: DimensionNames,
    encoding: Option<String>,
    tasks: Vec<String>,
    fps: Option<f64>,
    /// What a user should know of how the sources were read.
    pub notes: Vec<String>,
    units: ActionUnits, // of which actions are relative
}

/// Reads one source or several as [`read_recorded`](super::read_recorded) does, with the steps in temporary files in the folder of
/// `output`: as many bytes as their states, actions and rewards have. In memory are the steps that are read together: an episode of
/// Minari or robomimic, a few data files of LeRobot (64 MiB, or one that is larger), 8 MiB of columns, and one source of any other format.
///
/// # Errors
/// As [`read_recorded`](super::read_recorded), and of writing the files.
///
/// # Panics
/// If there is no path.
pub fn read_recorded_in_file(
    paths: &[PathBuf],
    selection: &Selection,
    output: &Path,
) -> Result<RecordedInFile> {
    let mut loader = Loader { spool: Box::new(Spool::new(output)?), selection, starts: [0; 2] };
    let (_, source) = load_all(paths, &mut loader)?;
    let Source { parts, names, encoding, origin, tasks, notes, .. } = source;
    names.validate(parts.n_obs, parts.n_act)?;
    let steps = Steps::new(loader.spool, [0; 2], [parts.n_obs, parts.n_act], &parts.ends);
    Ok(RecordedInFile {
        steps,
        names,
        encoding,
        tasks,
        fps: origin.fps,
        notes,
        units: ActionUnits::default(),
    })
}

/// Loads sources into a spool.
struct Loader<'a> {
    spool: Box<Spool>,
    selection: &'a Selection,
    starts: [usize; 2], // where the states and actions of the source that was loaded last begin
}

impl LoadOne for Loader<'_> {
    fn load(&mut self, path: &Path) -> Result<(Format, Source)> {
        self.starts = [self.spool.states(), self.spool.actions()].map(Floats::len);
        let loaded = load_into(path, self.selection, &mut *self.spool);
        self.spool.check_readable()?; // with the output's name, not the source's
        let (format, mut source) = loaded?;
        let usable = self.spool.flush()?;
        if let Some(e) = source.beyond.take() {
            return Err(e);
        }
        if !usable {
            let ends = &source.parts.ends;
            let steps = self.last(&source);
            let [n_obs, n_act] = steps.widths();
            number::check("states", &|f| steps.each_states(f), n_obs, ends)
                .and_then(|()| number::check("actions", &|f| steps.each_actions(f), n_act, ends))
                .map_err(|e| e.within(path.display()))?;
            self.spool.check_readable()?;
        }
        Ok((format, source))
    }

    fn ranges(&self, last: &Source) -> [Vec<f32>; 2] {
        ranges(&self.last(last))
    }
}

impl Loader<'_> {
    fn last(&self, source: &Source) -> Steps<&Spool> {
        let Parts { n_obs, n_act, ends, .. } = &source.parts;
        Steps::new(&self.spool, self.starts, [*n_obs, *n_act], ends)
    }
}

/// Pieces of values as bytes, one after another.
struct Pieces<'a, F> {
    steps: &'a Steps<Box<Spool>>,
    rest: std::vec::IntoIter<Range<usize>>,
    read: F,
    bytes: io::Cursor<Vec<u8>>,
}

impl<F: FnMut(Range<usize>) -> Vec<f32>> Read for Pieces<'_, F> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.bytes.position() == self.bytes.get_ref().len() as u64 {
            let Some(steps) = self.rest.next() else { return Ok(0) };
            let bytes = (self.read)(steps).into_iter().flat_map(f32::to_le_bytes).collect();
            self.steps.spool.check_readable().map_err(|e| io::Error::other(e.to_string()))?;
            self.bytes = io::Cursor::new(bytes);
        }
        self.bytes.read(to)
    }
}

impl RecordedInFile {
    /// The dimensions of a state and of an action.
    pub fn widths(&self) -> [usize; 2] {
        self.steps.widths
    }

    /// Where each episode ends (exclusive).
    pub fn ends(&self) -> &[usize] {
        &self.steps.ends
    }

    /// The number of steps.
    pub fn n_steps(&self) -> usize {
        self.steps.n_steps()
    }

    /// Steps per second, if known.
    pub fn fps(&self) -> Option<f64> {
        self.fps
    }

    /// The same with another frame rate.
    #[must_use]
    pub fn with_fps(self, fps: Option<f64>) -> Self {
        Self { fps, ..self }
    }

    /// As [`Recorded::drop_idle`].
    ///
    /// # Errors
    /// Of reading the temporary files.
    ///
    /// # Panics
    /// After [`downsample`](Self::downsample).
    pub fn drop_idle(self, longest: usize) -> Result<(Self, Idle)> {
        let steps = &self.steps;
        assert!(steps.every == 1, "pauses are dropped before steps are left out");
        let kept = without_pauses(steps, &steps.kept, longest);
        let idle = Idle::between(&steps.kept, &kept);
        steps.spool.check_readable()?;
        Ok((Self { steps: self.steps.keep(kept, 1), ..self }, idle))
    }

    /// As [`Recorded::downsample`].
    ///
    /// # Panics
    /// If `every` is 0.
    #[must_use]
    pub fn downsample(mut self, every: usize) -> Self {
        assert!(every > 0, "every 0th step");
        let kept = std::mem::take(&mut self.steps.kept);
        let fps = if every == 1 { self.fps } else { self.fps.map(|fps| fps / every as f64) };
        Self { steps: self.steps.keep(kept, every), fps, ..self }
    }

    /// As [`Recorded::relative`].
    ///
    /// # Errors
    /// As [`Recorded::relative`], and of reading the temporary files.
    pub fn relative(self, settings: &ActionSettings) -> Result<(Self, Vec<Option<usize>>)> {
        let units = ActionUnits::fit_steps(&self.steps, &self.names, settings)?;
        self.steps.spool.check_readable()?;
        let relative_to = units.relative_to().to_vec();
        Ok((Self { units, ..self }, relative_to))
    }

    /// The actions of a range of steps, relative if so asked.
    fn actions(&self, steps: Range<usize>) -> Vec<f32> {
        let mut actions = self.steps.raw_actions(steps.clone()).into_owned();
        if !self.units.relative_to().is_empty() {
            self.units.subtract_base(&self.steps.raw_states(steps), self.steps.widths[0], &mut actions);
        }
        actions
    }

    fn column<'a>(&'a self, width: usize, read: impl FnMut(Range<usize>) -> Vec<f32> + 'a) -> Column<'a> {
        let rest = self.steps.pieces().into_iter();
        let rows = Pieces { steps: &self.steps, rest, read, bytes: io::Cursor::default() };
        Column { numbers: Numbers::F32, width, rows: Box::new(rows) }
    }

    /// As [`Recorded::write`]. D4RL's HDF5 is written from memory.
    ///
    /// # Errors
    /// As [`Recorded::write`], of reading the temporary files, and for HDF5 more memory than there is.
    pub fn write(&self, path: &Path, target: Target) -> Result<Vec<String>> {
        if target == Target::D4rl {
            return self.in_memory()?.write(path, target);
        }
        let [n_obs, n_act] = self.steps.widths;
        let rewards = self.steps.spool.rewards();
        let columns = Columns {
            observations: self.column(n_obs, |steps| self.steps.raw_states(steps).into_owned()),
            frame: None,
            actions: self.column(n_act, |steps| self.actions(steps)),
            rewards: rewards.map(|_| self.column(1, |steps| self.steps.rewards(steps))),
            ends: &self.steps.ends,
        };
        let Self { names, encoding, tasks, fps, .. } = self;
        write_as(path, target, columns, &About { names, encoding: encoding.as_deref(), tasks, fps: *fps })
    }

    /// The same in memory.
    fn in_memory(&self) -> Result<Recorded> {
        let [n_obs, n_act] = self.steps.widths;
        let (n, most) = (self.steps.n_steps(), memory_limit::limit());
        let bytes = 4 * (n as u64).saturating_mul((n_obs + n_act + 1) as u64);
        if bytes > most {
            return Err(Error::new(
                Kind::File,
                "HDF5 is written from memory, and the steps need more than they may",
            )
            .expected(format!("at most {most} bytes"))
            .found(format!("{bytes} bytes"))
            .next(format!("write columns (.mcnn), which is done piece by piece; else {MORE_MEMORY}")));
        }
        let rewards = self.steps.spool.rewards().map(|_| self.steps.rewards(0..n));
        let parts = Parts {
            n_obs,
            n_act,
            states: self.steps.raw_states(0..n).into_owned(),
            actions: self.actions(0..n),
            rewards,
            ends: self.steps.ends.clone(),
        };
        self.steps.spool.check_readable()?;
        let Self { names, encoding, tasks, notes, .. } = self;
        Ok(Recorded {
            parts,
            names: names.clone(),
            encoding: encoding.clone(),
            tasks: tasks.clone(),
            fps: self.fps,
            notes: notes.clone(),
        })
    }
}
