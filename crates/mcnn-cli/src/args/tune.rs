//! Options of `mcnn tune`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use mcnn::{Error, Result, envelope::Form, error::Kind, eval::Run, policy::Combine, train::Lambda};

use super::{
    TaskEncoderArgs,
    knobs::{combine, form},
    running::{COLLECTION_SEED, EVALUATION_SEED, TaskSettings, threads},
};

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["task", "results", "list"])))]
#[command(after_help = "Examples:
  mcnn tune policy.safetensors --task drive -o tuned.safetensors
  mcnn tune policy.safetensors --lambda weight:0.8,inf --list --write-candidates candidates
  mcnn tune policy.safetensors --lambda weight:0.8,inf --results robot.csv --budget 20

What training decided stays: steps of training and smoothing of the memories' actions cannot be
changed without the data.")]
pub struct TuneArgs {
    /// Policy, from `mcnn train`. Its own settings are candidate 0.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Run the episodes on this task; see `mcnn eval`. What is done is kept in a file beside the output (tuned.tune.jsonl), and
    /// the same command goes on from there.
    #[arg(long, value_name = "TASK", requires = "path", help_heading = "Task")]
    pub task: Option<String>,
    #[command(flatten)]
    pub task_settings: TaskSettings,
    #[command(flatten)]
    pub candidates: CandidateArgs,
    /// Episodes to run at most, of all candidates together. About half are for the race, the others compare its winner with the
    /// file's settings on fresh episodes.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          value_name = "EPISODES", help_heading = "Race")]
    pub budget: u32,
    /// Seed of the first tuning episode; episode i has seed SEED + i. Seeds of evaluations (1000 to 19999) are refused.
    #[arg(long, default_value_t = TUNING_SEED, value_name = "SEED", help_heading = "Race")]
    pub first_tuning_seed: u64,
    /// Also write a winner of which the fresh episodes do not show that it is better, unless its mean is no larger there [default:
    /// the file's settings are kept].
    #[arg(long, help_heading = "Race")]
    pub accept_uncertain: bool,
    /// Outcomes of episodes run elsewhere, for example on a robot: a CSV file with the columns candidate (its number in --list),
    /// episode (from 0) and outcome (a number, of which more is better, or success or failure). Prints which episodes to run
    /// next, or the winner. Give the same lists of settings every time.
    #[arg(long, value_name = "FILE", conflicts_with = "task", help_heading = "Episodes run elsewhere")]
    pub results: Option<PathBuf>,
    /// List the candidates with their numbers, and run no episode.
    #[arg(long, conflicts_with_all = ["task", "results", "path"], help_heading = "Episodes run elsewhere")]
    pub list: bool,
    /// With --list: write each candidate as a policy file, candidate-NUMBER.safetensors, to this folder.
    #[arg(long, value_name = "FOLDER", requires = "list", help_heading = "Episodes run elsewhere")]
    pub write_candidates: Option<PathBuf>,
    #[command(flatten)]
    pub encoder: TaskEncoderArgs,
    /// Worker processes that run episodes in parallel, 1 to 1024 [default: the number of cores]. Results do not depend on it.
    #[arg(long, value_name = "COUNT", help_heading = "Execution")]
    pub threads: Option<usize>,
    /// Environments in each worker process, stepped together. Results do not depend on it.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024),
          value_name = "COUNT", help_heading = "Execution")]
    pub envs_per_worker: u16,
    /// Policy file to write: the policy with the chosen settings.
    #[arg(short = 'o', long = "output", value_name = "FILE", help_heading = "Output")]
    pub path: Option<PathBuf>,
    /// Overwrite the output, or files of --write-candidates, if they exist.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

/// Lists of settings; every combination is a candidate. Settings without a list stay as in the file. Without any list, a grid is
/// raced.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Candidates (every combination of the lists; without a list, a grid)")]
pub struct CandidateArgs {
    /// Decay rates of the memory weight, separated by commas; see `mcnn eval` [default grid: inf and weights 0.1, 0.25, 0.5, 0.8
    /// and 0.95 at the median distance].
    #[arg(long, value_parser = clap::value_parser!(Lambda), value_delimiter = ',', value_name = "LAMBDAS")]
    pub lambda: Vec<Lambda>,
    /// Largest magnitudes of the network's share of an action, above 0 [default grid: that of the file].
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    pub amplitude: Vec<f32>,
    /// Forms of the envelope: project, mix [default grid: both].
    #[arg(long, value_parser = form, value_delimiter = ',', value_name = "FORMS")]
    pub envelope: Vec<Form>,
    /// Memories that a retrieval-conditioned network predicts from, or that VINN averages [default grid, for these: 5, 10 and
    /// 30].
    #[arg(long, value_delimiter = ',', value_name = "COUNTS")]
    pub k: Vec<usize>,
    /// Networks of an ensemble that act: the first COUNT [default grid: all].
    #[arg(long, value_delimiter = ',', value_name = "COUNTS")]
    pub members: Vec<usize>,
    /// How the networks of an ensemble act together: mean, member [default grid: as in the file].
    #[arg(long, value_parser = combine, value_delimiter = ',', value_name = "RULES")]
    pub combine: Vec<Combine>,
}

/// Default seed of the first tuning episode: no evaluation, of a million episodes at most, reaches it from its default seed.
const TUNING_SEED: u64 = 10_000_000;

impl TuneArgs {
    /// Settings of the tuning episodes, whose numbers are added to the first seed.
    ///
    /// # Errors
    /// If a tuning seed is one of the default evaluations', or a setting is out of range.
    pub fn run(&self) -> Result<Run> {
        let first_seed = self.first_tuning_seed;
        let last = first_seed.checked_add(u64::from(self.budget) - 1);
        if last.is_none_or(|last| first_seed < COLLECTION_SEED && last >= EVALUATION_SEED) {
            return Err(Error::new(Kind::Settings, "episodes of evaluations must not choose the settings")
                .at("--first-tuning-seed")
                .expected(format!(
                    "no seed from {EVALUATION_SEED} to {}, as the episodes of `mcnn eval` have",
                    COLLECTION_SEED - 1
                ))
                .found(format!("seeds from {first_seed} on, {} of them at most", self.budget))
                .next("leave the option out"));
        }
        Ok(Run {
            episodes: self.budget as usize,
            first_seed,
            threads: threads(self.threads)?,
            environments_per_worker: self.envs_per_worker.into(),
            trace: false,
        })
    }
}

impl CandidateArgs {
    /// Whether a list was given.
    pub fn is_empty(&self) -> bool {
        let Self { lambda, amplitude, envelope, k, members, combine } = self;
        lambda.is_empty()
            && amplitude.is_empty()
            && envelope.is_empty()
            && k.is_empty()
            && members.is_empty()
            && combine.is_empty()
    }
}
