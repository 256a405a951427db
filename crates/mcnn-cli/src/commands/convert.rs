//! `mcnn convert`: demonstrations of any format that is read, in one that is written.

use mcnn::{
    Error, Result,
    data::{
        ActionScale, ActionSettings, Idle, RelativeTo, Target, check_positive, is_recording_of_topics,
        read_recorded_in_file,
    },
    error::Kind,
};
use serde::Serialize;

use super::{Done, claim_demonstrations};
use crate::{args::ConvertArgs, print};

/// The results of a conversion.
#[derive(Serialize)]
pub struct ConvertReport {
    pub file: String,
    pub format: Target,
    pub episodes: usize,
    pub steps: usize,
    pub n_obs: usize,
    pub n_act: usize,
    /// Steps of the episodes that were selected.
    pub steps_read: usize,
    /// Pauses that were dropped.
    pub idle: Idle,
    /// One of how many steps was kept.
    pub downsample: u32,
    /// Steps per second of the result, if known.
    pub fps: Option<f64>,
    /// The dimension of the state that each of the action is relative to; null for one that is not. Empty if all are as they were.
    pub relative_to: Vec<Option<usize>>,
    /// How the data were read, and what the format has no place for.
    pub notes: Vec<String>,
}

pub fn run(args: &ConvertArgs) -> Result<Done> {
    let target = Target::of(&args.output.path)?;
    let _claim = claim_demonstrations(&args.output, target)?;
    let (seconds, hz) = (args.drop_idle, args.hz);
    check_positive(seconds, "--drop-idle")?;
    check_positive(hz, "--hz")?;
    let mut selection = args.keys.selection(&args.episodes);
    // Recordings of topics become steps of this rate; others have steps, of which it is said.
    selection.hz = hz.filter(|_| args.data.iter().any(|path| is_recording_of_topics(path)));
    selection.gap = args.gap;
    let recorded = read_recorded_in_file(&args.data, &selection, &args.output.path)?;
    let fps = hz.or(recorded.fps());
    let mut recorded = recorded.with_fps(fps);
    let steps_read = recorded.n_steps();
    let mut idle = Idle::default();
    if let Some(seconds) = seconds {
        let fps = fps.ok_or_else(|| {
            Error::new(Kind::Settings, "the data do not say how fast they were recorded")
                .at("--drop-idle")
                .next("say it with --hz, in steps per second")
        })?;
        (recorded, idle) = recorded.drop_idle((seconds * fps) as usize)?;
    }
    let mut recorded = recorded.downsample(args.downsample as usize);
    let mut relative_to = Vec::new();
    if args.relative || args.relative_to.is_some() {
        let settings = ActionSettings {
            scale: ActionScale::Range,
            relative_to: match &args.relative_to {
                Some(dimensions) => RelativeTo::Dimensions(dimensions.0.clone()),
                None => RelativeTo::SameName,
            },
            angles: args.angles.clone(),
        };
        (recorded, relative_to) = recorded.relative(&settings)?;
    } else if !args.angles.is_empty() {
        return Err(Error::new(Kind::Settings, "angles change nothing but relative actions")
            .at("--angle")
            .next("give --relative or --relative-to, too; or give --angle to `mcnn learn` or `train`"));
    }
    let [n_obs, n_act] = recorded.widths();
    let left_out = recorded.write(&args.output.path, target)?;
    let report = ConvertReport {
        file: args.output.path.display().to_string(),
        format: target,
        episodes: recorded.ends().len(),
        steps: recorded.n_steps(),
        n_obs,
        n_act,
        steps_read,
        idle,
        downsample: args.downsample,
        fps: recorded.fps(),
        relative_to,
        notes: recorded.notes.into_iter().chain(left_out).collect(),
    };
    Ok(Done::new(&report, print::convert(&report)))
}
