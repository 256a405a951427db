//! The file of outcomes of `mcnn tune`: one line of JSON per episode, appended when the episode is over.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, data::regular, error::Kind, eval::Episode, task::adroit::Rewards};
use serde::{Deserialize, Serialize};

use super::candidates::Settings;
use crate::{
    beside::beside,
    json_lines::{JsonLines, Wording},
    say::say,
};

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

/// The file of a running race.
pub struct Outcomes(JsonLines);

impl Outcomes {
    /// The file beside an output: of `tuned.safetensors`, `tuned.tune.jsonl`.
    pub fn beside(output: &Path) -> PathBuf {
        beside(output, ".safetensors", ".tune.jsonl")
    }

    /// Opens or creates the file and reads its lines. A half-written line at its end is removed.
    ///
    /// # Errors
    /// If the file cannot be opened, another process has it open, or a line is not an outcome, or one of another policy, task,
    /// reward or first seed.
    pub fn open(path: &Path, origin: &Origin) -> Result<(Self, Vec<Line>)> {
        if path.exists() {
            regular(path)?;
        }
        let wording = Wording {
            is_locked: "another process is writing its outcomes there",
            next: "wait for it, or name another output",
            half_written: "its episode will be run again",
        };
        let read = |_: &File| read(path, origin);
        let (file, lines) = JsonLines::open(path, &wording, read, &|line| say(line))?;
        Ok((Self(file), lines))
    }

    /// Appends an episode and flushes it to the disk.
    pub fn append(&self, line: &Line) -> Result<()> {
        self.0.append(line)
    }
}

/// The outcomes in the complete lines of a file, and the bytes of these lines.
fn read(path: &Path, origin: &Origin) -> Result<(Vec<Line>, u64)> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading", path, &e))?;
    let complete = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = Vec::new();
    for (i, line) in text[..complete].lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        lines.push(parse(line, origin).map_err(|e| e.within(format!("{}: line {}", path.display(), i + 1)))?);
    }
    Ok((lines, complete as u64))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_whose_names_differ_after_a_dot_have_files_of_their_own() {
        let of = |output: &str| Outcomes::beside(Path::new(output)).display().to_string();
        assert_eq!(of("a/tuned.safetensors"), "a/tuned.tune.jsonl");
        assert_eq!(of("tuned-0.1"), "tuned-0.1.tune.jsonl");
        assert_eq!(of("tuned-0.2.safetensors"), "tuned-0.2.tune.jsonl");
    }
}
