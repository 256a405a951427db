//! The folder of a training run, beside its policy: the log as JSON lines, TensorBoard events, and the checkpoint. The log is the
//! record of the run. The events are a copy for TensorBoard, which a resumed run writes again from the log.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use mcnn::{
    Error, Result,
    atomic::{self, Claim},
    file,
    train::Run,
};
use serde::{Deserialize, Serialize};

use crate::{
    beside::PolicyFolder,
    tensorboard::{self, Events},
};

/// A line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    pub step: u64,
    pub loss: Option<f64>,
    #[serde(alias = "held_out_loss")] // of version 1
    pub validation_loss: Option<f64>,
    /// Time since the start of training, without interruptions.
    #[serde(default, skip_serializing)]
    seconds: f64,
}

/// Limit of the log lines that are drawn.
const MAX_LINES: usize = 2000;

/// The folder of a training run.
pub struct RunFolder {
    folder: PolicyFolder,
    files: Option<(File, Events)>,
    seconds_before: f64, // of training, before this process
    claim: Option<Claim>,
}

impl RunFolder {
    /// The folder beside a policy: of `policy.safetensors`, `policy.run`.
    pub fn beside(policy: &Path) -> Self {
        Self { folder: PolicyFolder::new(policy, ".run"), files: None, seconds_before: 0.0, claim: None }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.path().join("checkpoint.safetensors")
    }

    fn log_path(&self) -> PathBuf {
        self.path().join("log.jsonl")
    }

    /// What to do if the folder is missing because an earlier version gave it another name.
    pub fn earlier_name(&self) -> Option<String> {
        self.folder.earlier_name()
    }

    /// Checks that the folder is not another policy's.
    ///
    /// # Errors
    /// If it is.
    pub fn check_owner(&self) -> Result<()> {
        self.folder.check_owner()
    }

    /// The lines of the log; of a long log, every k-th line and the last. Lines that cannot be read are left out. A missing log is
    /// empty.
    pub fn logged(&self) -> Vec<Logged> {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let all: Vec<Logged> = text.lines().filter_map(parse).collect();
        let every = all.len().div_ceil(MAX_LINES).max(1);
        let shown = |(i, _): &(usize, &Logged)| i.is_multiple_of(every) || i + 1 == all.len();
        all.iter().enumerate().filter(shown).map(|(_, line)| *line).collect()
    }

    /// Claims the folder for a run, and creates it if it is missing.
    ///
    /// # Errors
    /// If it cannot be written, is another policy's, or another process trains in it.
    pub fn claim(&mut self) -> Result<()> {
        self.check_owner()?;
        let path = self.path();
        fs::create_dir_all(path).map_err(|e| Error::io("creating the folder of the run", path, &e))?;
        self.claim = Some(Claim::new(&self.checkpoint())?);
        Ok(())
    }

    /// Opens the files of the folder, which is claimed. A new run replaces the log and the checkpoint of an earlier one. A resumed
    /// run continues the log, after removing the lines past the checkpoint.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn open(&mut self, run: &Run, resume: bool) -> Result<()> {
        self.folder.create()?;
        let log = self.log_path();
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |e: std::io::Error| Error::io("writing", &path, &e)
        };
        let kept = if resume { lines_up_to(&log, run.steps_taken()) } else { Vec::new() };
        let text: String = kept.iter().flat_map(|(line, _)| [line, "\n"]).collect();
        atomic::write(&log, text.as_bytes())?;
        if !resume && self.checkpoint().exists() {
            fs::remove_file(self.checkpoint()).map_err(io(&self.checkpoint()))?;
        }
        let settings = serde_json::to_string_pretty(run.settings()).expect("settings are plain values");
        atomic::write(&self.path().join("settings.json"), (settings + "\n").as_bytes())?;
        let lines = OpenOptions::new().append(true).open(&log).map_err(io(&log))?;
        self.seconds_before = kept.last().map_or(0.0, |(_, line)| line.seconds);
        let events = self.copy_events(kept.iter().map(|(_, line)| line)).map_err(io(self.path()))?;
        self.files = Some((lines, events));
        Ok(())
    }

    /// Replaces the TensorBoard events by those of the lines of the log.
    fn copy_events<'a>(&self, lines: impl Iterator<Item = &'a Logged>) -> std::io::Result<Events> {
        tensorboard::remove_events(self.path())?;
        let mut events = Events::create(self.path())?;
        let now = tensorboard::now();
        for line in lines {
            // As if there had been no interruption.
            scalars(&mut events, line, now - (self.seconds_before - line.seconds))?;
        }
        Ok(events)
    }

    /// Logs a training loss (NaN for none) and, where it was measured, the validation loss. `seconds`: since this process began to
    /// train.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn log(&mut self, step: u64, loss: f64, seconds: f64, validation: Option<f64>) -> Result<()> {
        let seconds = ((self.seconds_before + seconds) * 1e3).round() / 1e3;
        let loss = Some(loss).filter(|loss| loss.is_finite());
        let (lines, events) = self.files.as_mut().expect("the folder is open");
        let mut line = serde_json::json!({ "step": step, "seconds": seconds });
        for (key, value) in [("loss", loss), ("validation_loss", validation)] {
            if let Some(value) = value {
                line[key] = value.into();
            }
        }
        let logged = Logged { step, loss, validation_loss: validation, seconds };
        scalars(events, &logged, tensorboard::now())
            .and_then(|()| writeln!(lines, "{line}"))
            .map_err(|e| Error::io("writing the log in", self.folder.path(), &e))
    }

    /// Saves the checkpoint from which the run can be resumed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, run: &Run) -> Result<()> {
        match run.checkpoint() {
            Some(checkpoint) => file::write_checkpoint(&self.checkpoint(), &checkpoint),
            None => Ok(()),
        }
    }
}

impl Drop for RunFolder {
    /// Removes the folder if the run was refused before it wrote anything.
    fn drop(&mut self) {
        if self.claim.take().is_some() {
            let _ = fs::remove_dir(self.path()); // it is kept if it is not empty
        }
    }
}

/// Writes the values of a line of the log as TensorBoard scalars.
fn scalars(events: &mut Events, line: &Logged, wall_time: f64) -> std::io::Result<()> {
    for (tag, value) in [("loss/train", line.loss), ("loss/validation", line.validation_loss)] {
        if let Some(value) = value {
            events.scalar(tag, line.step, value as f32, wall_time)?;
        }
    }
    Ok(())
}

fn parse(line: &str) -> Option<Logged> {
    serde_json::from_str(line).ok()
}

/// The lines of a log up to a step, as they are and parsed.
fn lines_up_to(log: &Path, step: u64) -> Vec<(String, Logged)> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter_map(|line| Some((line.to_owned(), parse(line)?)));
    lines.filter(|(_, line)| line.step <= step).collect()
}
