//! Steps in temporary files: a file for states, one for actions and one for rewards.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{
    atomic::Temporary,
    data::{
        number,
        positioned::Positioned,
        sink::{Sink, StepRows},
    },
    error::{Error, Result},
};

/// Bytes that are written together.
const BUFFER: usize = 1 << 20;

/// Steps in temporary files beside an output, which are removed with this. They are written, and then read.
#[derive(Debug)]
pub(super) struct Spool {
    output: PathBuf, // that errors name
    states: Floats,
    actions: Floats,
    rewards: Option<Floats>,
    failed: OnceLock<Error>,
    usable: bool,
}

/// A file of floats.
#[derive(Debug)]
pub(super) struct Floats {
    _temporary: Temporary,
    writer: BufWriter<File>,
    reader: Positioned,
    len: usize,
}

impl Spool {
    /// Creates the files in the folder of an output.
    ///
    /// # Errors
    /// Of the file system.
    pub fn new(output: &Path) -> Result<Self> {
        let create = || {
            let temporary = Temporary::beside(output)?;
            let open = || {
                let writer = File::options().write(true).open(temporary.path())?;
                Ok((writer, File::open(temporary.path())?))
            };
            let (writer, reader) = open().map_err(|e| Error::io("writing", output, &e))?;
            let writer = BufWriter::with_capacity(BUFFER, writer);
            Ok(Floats { _temporary: temporary, writer, reader: Positioned::new(reader), len: 0 })
        };
        Ok(Self {
            output: output.to_owned(),
            states: create()?,
            actions: create()?,
            rewards: Some(create()?),
            failed: OnceLock::new(),
            usable: true,
        })
    }

    pub fn states(&self) -> &Floats {
        &self.states
    }

    pub fn actions(&self) -> &Floats {
        &self.actions
    }

    /// Rewards, if all steps have them.
    pub fn rewards(&self) -> Option<&Floats> {
        self.rewards.as_ref()
    }

    /// Whether all values of the steps that were put since the last call can be used ([`number::is_usable`]).
    ///
    /// # Errors
    /// Of the file system: now everything can be read.
    pub fn flush(&mut self) -> Result<bool> {
        let all = [Some(&mut self.states), Some(&mut self.actions), self.rewards.as_mut()];
        let flushed = all.into_iter().flatten().try_for_each(|floats| floats.writer.flush());
        flushed.map_err(|e| Error::io("writing", &self.output, &e))?;
        Ok(std::mem::replace(&mut self.usable, true))
    }

    /// Appends `count` floats of a file from `first` on; zeros if they cannot be read, see [`check_readable`](Self::check_readable).
    pub fn read(&self, from: &Floats, first: usize, count: usize, to: &mut Vec<f32>) {
        let mut bytes = vec![0; 4 * count];
        if let Err(e) = from.reader.read(&mut bytes, 4 * first as u64) {
            let _ = self.failed.set(Error::io("reading the temporary files beside", &self.output, &e));
            bytes.fill(0);
        }
        to.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
    }

    /// The first error of writing or reading.
    ///
    /// # Errors
    /// See above.
    pub fn check_readable(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |e| Err(e.clone()))
    }
}

impl Floats {
    /// The number of floats.
    pub fn len(&self) -> usize {
        self.len
    }

    fn put(&mut self, values: &[f32]) -> io::Result<()> {
        self.len += values.len();
        values.iter().try_for_each(|v| self.writer.write_all(&v.to_le_bytes()))
    }
}

impl Sink for Spool {
    fn put(&mut self, rows: StepRows) -> Result<()> {
        let StepRows { states, actions, rewards } = rows;
        self.usable = self.usable && number::is_usable(&states) && number::is_usable(&actions);
        if rewards.is_none() {
            self.rewards = None;
        }
        let put = || {
            self.states.put(&states)?;
            self.actions.put(&actions)?;
            self.rewards.as_mut().zip(rewards).map_or(Ok(()), |(to, rewards)| to.put(&rewards))
        };
        put().map_err(|e| {
            let error = Error::io("writing", &self.output, &e);
            let _ = self.failed.set(error.clone());
            error
        })
    }

    fn in_memory(&self) -> bool {
        false
    }
}
