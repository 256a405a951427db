//! The folder of a training run, beside its policy: the log as JSON lines, TensorBoard events, and the checkpoint.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, atomic, file, train::Run};
use serde::{Deserialize, Serialize};

use crate::{beside::beside, tensorboard::Events};

/// A line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    pub step: u64,
    pub loss: Option<f64>,
    #[serde(alias = "held_out_loss")] // of version 1
    pub validation_loss: Option<f64>,
}

/// Limit of the log lines that are drawn.
const MAX_LINES: usize = 2000;

/// The folder of a training run.
pub struct RunFolder {
    path: PathBuf,
    files: Option<(File, Events)>,
}

impl RunFolder {
    /// The folder beside a policy: of `policy.safetensors`, `policy.run`.
    pub fn beside(policy: &Path) -> Self {
        Self { path: beside(policy, ".safetensors", ".run"), files: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// The lines of the log; of a long log, every k-th line and the last. Lines that cannot be read are left out. A missing log is
    /// empty.
    pub fn logged(&self) -> Vec<Logged> {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let all: Vec<Logged> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let every = all.len().div_ceil(MAX_LINES).max(1);
        let shown = |(i, _): &(usize, &Logged)| i.is_multiple_of(every) || i + 1 == all.len();
        all.iter().enumerate().filter(shown).map(|(_, line)| *line).collect()
    }

    /// Creates the folder and opens its files. A new run replaces the log and the checkpoint of an earlier one. A resumed run
    /// continues the log, after removing the lines past the checkpoint.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn open(&mut self, run: &Run, resume: bool) -> Result<()> {
        std::fs::create_dir_all(&self.path)
            .map_err(|e| Error::io("creating the folder of the run", &self.path, &e))?;
        let log = self.log_path();
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |e: std::io::Error| Error::io("writing", &path, &e)
        };
        let kept = if resume { lines_up_to(&log, run.steps_taken()) } else { String::new() };
        atomic::write(&log, kept.as_bytes())?;
        if !resume {
            for entry in std::fs::read_dir(&self.path).map_err(io(&self.path))?.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with("events.out.tfevents.") || name == "checkpoint.safetensors" {
                    std::fs::remove_file(entry.path()).map_err(io(&entry.path()))?;
                }
            }
        }
        let settings = serde_json::to_string_pretty(run.settings()).expect("settings are plain values");
        atomic::write(&self.path.join("settings.json"), (settings + "\n").as_bytes())?;
        let lines = OpenOptions::new().append(true).open(&log).map_err(io(&log))?;
        self.files = Some((lines, Events::create(&self.path).map_err(io(&self.path))?));
        Ok(())
    }

    /// Logs a training loss (NaN for none) and, where it was measured, the validation loss.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn log(&mut self, step: u64, loss: f64, seconds: f64, validation: Option<f64>) -> Result<()> {
        let (lines, events) = self.files.as_mut().expect("the folder is open");
        let mut line = serde_json::json!({ "step": step, "seconds": (seconds * 1e3).round() / 1e3 });
        let mut scalars = || {
            for (key, tag, value) in [
                ("loss", "loss/train", Some(loss).filter(|l| l.is_finite())),
                ("validation_loss", "loss/validation", validation),
            ] {
                if let Some(value) = value {
                    line[key] = value.into();
                    events.scalar(tag, step, value as f32)?;
                }
            }
            writeln!(lines, "{line}")
        };
        scalars().map_err(|e| Error::io("writing the log in", &self.path, &e))
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

/// The lines of a log up to a step.
fn lines_up_to(log: &Path, step: u64) -> String {
    let lines = std::fs::read_to_string(log).unwrap_or_default();
    let at = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64();
    lines
        .lines()
        .filter(|line| at(line).is_some_and(|at| at <= step))
        .map(|line| format!("{line}\n"))
        .collect()
}
