//! The file of outcomes of `mcnn tune`: one line of JSON per episode, appended when the episode is over.

use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use mcnn::{Error, Result, data::regular, error::Kind, eval::Episode, task::adroit::Rewards};
use serde::{Deserialize, Serialize};

use super::candidates::Settings;

/// What all lines of a file have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Fingerprint of the policy's file.
    pub policy: String,
    pub task: String,
    pub reward: Rewards,
    pub first_tuning_seed: u64,
}

/// An episode of a candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub origin: Origin,
    pub settings: Settings,
    /// The episode's number; its seed is the first tuning seed plus this.
    pub episode: usize,
    pub seed: u64,
    #[serde(rename = "return")]
    pub ret: f64,
    pub success: Option<bool>,
    /// Why the episode failed, if it did.
    pub error: Option<String>,
}

impl Line {
    pub fn new(origin: &Origin, settings: Settings, episode: &Episode) -> Self {
        let finite = episode.ret.is_finite();
        let fault = || (!finite).then(|| format!("the return is {}", episode.ret));
        Self {
            origin: origin.clone(),
            settings,
            episode: (episode.seed - origin.first_tuning_seed) as usize,
            seed: episode.seed,
            ret: if finite { episode.ret } else { 0.0 },
            success: episode.success,
            error: episode.error.as_ref().map(ToString::to_string).or_else(fault),
        }
    }

    /// The line as it is read again. A number read from JSON can differ from the one written in its last digit, and a race that
    /// goes on must come to the same end as an unbroken one.
    pub fn as_read(&self) -> Self {
        let text = serde_json::to_string(self).expect("an outcome is plain values");
        serde_json::from_str(&text).expect("what was written can be read")
    }

    /// The episode, as far as outcomes are compared.
    pub fn outcome(&self) -> Episode {
        Episode {
            seed: self.seed,
            ret: self.ret,
            success: self.success,
            error: self.error.as_ref().map(|text| Error::new(Kind::Task, text.as_str())),
            ..Episode::default()
        }
    }
}

/// The open file. It is locked, so that no second process writes to it.
pub struct Outcomes {
    path: PathBuf,
    file: Mutex<File>,
}

impl Outcomes {
    /// The file beside an output: of `tuned.safetensors`, `tuned.tune.jsonl`.
    pub fn beside(output: &Path) -> PathBuf {
        output.with_extension("tune.jsonl")
    }

    /// Opens or creates the file and reads its lines. A half-written line at its end is removed.
    ///
    /// # Errors
    /// If the file cannot be opened, another process has it open, or a line is not an outcome, or one of another policy, task,
    /// reward or first seed.
    pub fn open(path: &Path, origin: &Origin) -> Result<(Self, Vec<Line>)> {
        let io = |doing: &'static str| move |e: std::io::Error| Error::io(doing, path, &e);
        if path.exists() {
            regular(path)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(io("opening"))?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::new(Kind::File, "another process is writing its outcomes there")
                .at(path.display().to_string())
                .next("wait for it, or name another output"));
        }
        let text = std::fs::read_to_string(path).map_err(io("reading"))?;
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = Vec::new();
        for (i, line) in text[..complete].lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            lines.push(
                parse(line, origin).map_err(|e| e.within(format!("{}: line {}", path.display(), i + 1)))?,
            );
        }
        if complete < text.len() {
            crate::say::say(format!(
                "{}: the last line is half-written; its episode will be run again",
                path.display()
            ));
            file.set_len(complete as u64).map_err(io("writing"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io("writing"))?;
        Ok((Self { path: path.into(), file: Mutex::new(file) }, lines))
    }

    /// Appends an episode and flushes it to the disk.
    pub fn append(&self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).expect("an outcome is plain values") + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| Error::io("writing", &self.path, &e))
    }
}

fn parse(text: &str, origin: &Origin) -> Result<Line> {
    let line: Line = serde_json::from_str(text).map_err(|e| {
        Error::new(Kind::File, "this is not an outcome of mcnn tune")
            .found(e.to_string())
            .next("take the line out, or name another output")
    })?;
    if line.origin != *origin {
        let told = |o: &Origin| {
            format!(
                "policy {:.12}, task {}, reward {}, first seed {}",
                o.policy,
                o.task,
                serde_json::to_value(o.reward).expect("a word").as_str().unwrap_or_default(),
                o.first_tuning_seed
            )
        };
        return Err(Error::new(Kind::Mismatch, "the outcomes are of another policy, task or seed")
            .expected(told(origin))
            .found(told(&line.origin))
            .next("name another output, or remove the file"));
    }
    if origin.first_tuning_seed.checked_add(line.episode as u64) != Some(line.seed) {
        return Err(Error::new(Kind::File, "an outcome's seed is not that of its episode")
            .found(format!("episode {}, seed {}", line.episode, line.seed))
            .next("take the line out"));
    }
    Ok(line)
}
