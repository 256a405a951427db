//! `mcnn encoder`.

use std::{num::NonZeroUsize, sync::atomic::Ordering, time::Instant};

use mcnn::{
    Error, Result,
    encoder::{EncoderSettings, RecordedFrames, Run, Validation},
    seed::Seed,
    train::Stepped,
    vision::{Objective, Preset, part_of},
};
use serde::Serialize;

use super::{
    Done, claim, claim_output,
    embed::{open, threads},
    range,
    recordings::say_warnings,
};
use crate::{args::EncoderArgs, interrupt, print, progress::Progress, smoothed_loss::SmoothedLoss};

/// The results of training an encoder.
#[derive(Serialize)]
pub struct EncoderReport {
    /// The encoder; of an interrupted run, its checkpoint.
    pub file: String,
    /// The network, as `mcnn embed --network` takes it.
    pub network: String,
    pub preset: Preset,
    /// The format of the frames, as recognized.
    pub source: Vec<String>,
    pub objective: Objective,
    /// Frames trained on.
    pub frames: usize,
    pub episodes: usize,
    pub steps: u64,
    pub batch: usize,
    pub lr: f64,
    pub random_shift: usize,
    pub seed: u64,
    /// Mean training loss (mean squared error) over the last 1/200 of the steps; null if no step was taken.
    pub loss: Option<f64>,
    /// Results on the validation episodes; null if there are none, or if interrupted.
    pub validation: Option<Validation>,
    /// Dimensions of the embedding that are constant over the training frames.
    pub constant_dimensions: Vec<usize>,
    /// Steps taken by an earlier, interrupted run.
    pub resumed_from: u64,
    pub interrupted: bool,
    /// Duration of training, without reading.
    pub seconds: f64,
    pub steps_per_second: f64,
    /// Fingerprint of the frames and actions.
    pub data: String,
    /// Fingerprint of the encoder, which `mcnn embed` records as its weights; null if interrupted.
    pub fingerprint: Option<String>,
    /// What looks unintended in the recording, as sentences.
    pub warnings: Vec<String>,
}

pub fn run(args: &EncoderArgs) -> Result<Done> {
    let _claim = claim_output(&args.output)?;
    let part = part_of(&args.output.path);
    drop(claim(&part)?); // its name is longer
    if args.output.force && part.exists() {
        std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
    }
    threads(args.frames.threads)?;
    let flag = interrupt::flag();
    let is_running = || !flag.load(Ordering::Relaxed);
    let mut source = open(&args.frames, false)?;
    let range = range(args.frames.clip_actions);
    let mut reading = Progress::new("reading", 0, source.n as u64);
    let frames = RecordedFrames::read(&mut source, args.preset, range, &mut |done| {
        reading.at(done as u64, "frames");
        is_running()
    })
    .map_err(|e| e.within(args.frames.data.display()))?;
    drop(reading);
    let Some(mut frames) = frames else {
        let report = serde_json::json!({ "interrupted": true });
        return Ok(Done { exit_code: 130, ..Done::new(&report, "interrupted before training\n".into()) });
    };
    let warnings = cut(&mut frames, args.episode_steps);
    say_warnings(&warnings);
    let (episodes, data) = (frames.ends.len(), frames.fingerprint());
    let settings = EncoderSettings {
        objective: args.objective,
        steps: args.steps,
        batch: args.batch,
        lr: args.lr,
        width: args.embedding_dim,
        augment: args.random_shift,
        validation_fraction: args.validation_fraction,
        seed: Seed(args.seed),
    };
    let mut run = Run::new(frames, settings)?;
    if part.exists() {
        run.resume(&part)?;
    }
    let resumed_from = run.steps_taken();
    let (mut losses, mut loss, mut steps) = (SmoothedLoss::new(args.steps), None, resumed_from);
    let mut progress = Progress::new("training", resumed_from, args.steps);
    let start = Instant::now();
    while is_running()
        && let Some(stepped) = run.step()
    {
        steps = stepped.step;
        let stepped = Stepped { step: steps, loss: stepped.loss };
        if let Some(mean) = losses.add(&stepped)? {
            loss = Some(mean);
            progress.at(steps, &format!("loss {mean:.5}"));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(progress);
    let interrupted = steps < args.steps;
    let (mut fingerprint, mut constant_dimensions) = (None, Vec::new());
    if interrupted {
        run.save(&part)?;
    } else {
        let (written, constant) = run.write(&args.output.path)?;
        (fingerprint, constant_dimensions) = (Some(written), constant);
        if part.exists() {
            std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
        }
    }
    let report = EncoderReport {
        file: if interrupted { &part } else { &args.output.path }.display().to_string(),
        network: run.network().to_string(),
        preset: args.preset,
        source: source.notes,
        objective: args.objective,
        frames: run.frames()[0],
        episodes,
        steps,
        batch: args.batch,
        lr: args.lr,
        random_shift: args.random_shift,
        seed: args.seed,
        loss,
        validation: if interrupted { None } else { run.validate() },
        constant_dimensions,
        resumed_from,
        interrupted,
        seconds,
        steps_per_second: (steps - resumed_from) as f64 / seconds,
        data,
        fingerprint,
        warnings,
    };
    let exit_code = if interrupted { 130 } else { 0 };
    Ok(Done { exit_code, ..Done::new(&report, print::encoder(&report)) })
}

/// Cuts recordings as `--episode-steps` says; without it, a single one into blocks. Gives what a user should know.
fn cut(frames: &mut RecordedFrames, episode_steps: Option<NonZeroUsize>) -> Vec<String> {
    if let Some(steps) = episode_steps {
        frames.cut(steps.into());
        return Vec::new();
    }
    let (groups, episodes) = (frames.groups().len(), frames.ends.len());
    if let Some(steps) = frames.cut_into_blocks() {
        let copies = if episodes > 1 { ", the longest of episodes that coincide" } else { "" };
        return vec![format!(
            "the frames are one recording{copies}: it is cut into {} blocks of {steps} frames, and blocks validate, without {} frames at \
             either end. They are more alike than new recordings, so the validation loss is too small: record more; --episode-steps N \
             cuts otherwise",
            frames.ends.len(),
            frames.margins[0]
        )];
    }
    if groups == 1 {
        return vec!["the frames are one short recording: there is no validation; record more".into()];
    }
    if groups < episodes {
        return vec![format!(
            "{} of {episodes} episodes repeat another: copies count as one in the validation split; take them out",
            episodes - groups
        )];
    }
    Vec::new()
}
