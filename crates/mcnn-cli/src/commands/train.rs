//! `mcnn train`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use mcnn::{
    Error, Result,
    calibration::{OodCalibration, OodQuantile},
    data::Demonstrations,
    envelope::Form,
    error::Kind,
    file,
    memory::{BaselineErrors, BatchSearchStats, LearnSettings, learn},
    optimizer::OptimizerDefaults,
    policy::ConstrainAt,
    seed::Seed,
    train::{Bagging, Checkpoint, Keep, Lambda, Run, TrainSettings, TrainThrough, Validation},
    vision::{Arrays, Encoding, Weights},
};
use serde::Serialize;

use super::{
    Done, Keep as KeepSteps, claim, claim_in_turn, claim_output, cores, names, on_threads,
    recordings::{Recordings, read_to_learn, say_warnings, staying_is_better},
};
use crate::{
    args::{ConstraintArgs, EnsembleArgs, TrainArgs},
    device, interrupt, print,
    progress::Progress,
    run_folder::RunFolder,
    smoothed_loss::SmoothedLoss,
    task_encoder,
};

/// The results of training.
#[derive(Serialize)]
pub struct TrainReport {
    pub steps: u64,
    pub seconds: f64,
    pub steps_per_second: f64,
    /// Mean training loss over the last 1/200 of the steps; null if no step was taken.
    pub loss: Option<f64>,
    /// What the training loss is, in words.
    pub objective: String,
    /// Mean squared error of the actions of the validation episodes; null if there are none.
    pub validation_loss: Option<f64>,
    /// The lowest validation loss of those measured during the run; null if there was none.
    pub lowest_validation: Option<LowestValidation>,
    /// Which network the policy has.
    pub keep: Keep,
    /// Decay rate of the memory weight; a number or "inf".
    pub lambda: Lambda,
    /// Distance at which the memory weight is 0.5; null if lambda is 0.
    pub half_distance: Option<f32>,
    /// Whether lambda was set from the data.
    pub lambda_auto: bool,
    pub amplitude: f32,
    /// Mean memory weight on the demonstrated states, each against the memories of other episodes; null if there are none.
    pub memory_weight: Option<f64>,
    /// Networks trained.
    pub members: usize,
    /// Share of the training rows with zero gradient: their memory weight is 1.
    pub zero_gradient_share: f64,
    /// Training episodes shorter than the observation or prediction horizon, and all training episodes.
    pub short_episodes: [usize; 2],
    /// The validation loss by distance to the memories; null if there are no validation episodes.
    pub validation: Option<Validation>,
    /// What copying and doing nothing cost on all states of the data.
    pub baselines: BaselineErrors,
    /// The OOD calibration; null if all memories are of one episode.
    pub calibration: Option<Calibration>,
    pub seed: u64,
    pub resumed_from: Option<u64>,
    pub interrupted: bool,
    /// The policy's method, as the literature names it, and its main settings.
    pub name: String,
    /// The policy; of an interrupted run, its checkpoint.
    pub file: String,
    /// The folder of the log and the checkpoint.
    pub run_folder: String,
    /// Fingerprint of the policy; null if interrupted.
    pub fingerprint: Option<String>,
    /// What looks unintended in the data or is unusual about the run, as sentences.
    pub warnings: Vec<String>,
    /// What was searched on a GPU; null without one.
    pub gpu: Option<BatchSearchStats>,
}

/// The lowest validation loss of a run.
#[derive(Serialize)]
pub struct LowestValidation {
    pub step: u64,
    pub loss: f64,
}

/// Distances of the calibration episodes to the memories of other episodes; each episode has the same weight.
#[derive(Serialize)]
pub struct Calibration {
    pub episodes: usize,
    pub median: f32,
    pub p95: f32,
    pub max: f32,
}

impl Calibration {
    fn new(calibration: &OodCalibration) -> Result<Self> {
        let at = |share| calibration.threshold(OodQuantile::States(share)).map(|t| t.distance);
        Ok(Self { episodes: calibration.episodes().len(), median: at(0.5)?, p95: at(0.95)?, max: at(1.0)? })
    }
}

pub fn run(args: &TrainArgs) -> Result<Done> {
    device::choose(args.device.device)?;
    // During the run, the claim to its folder keeps others away. The policy's file is claimed again when it is written: until then,
    // its memories may be edited.
    drop(if args.resume { claim(&args.output.path)? } else { claim_output(&args.output)? });
    let mut folder = RunFolder::beside(&args.output.path);
    folder.claim()?;
    if !args.resume && !args.output.force {
        check_unused(&folder)?;
    }
    let (input, memories) = args.data_and_memories()?;
    let memories = memories.map(|memories| file::read_codebook(memories)).transpose()?;
    if memories.is_some() && args.units.is_given() {
        return Err(Error::new(Kind::Settings, "the memories have their own units of actions, and angles")
            .at("--action-scale, --actions, --relative-to, --angle")
            .next("leave the options out, or choose the memories again with them (`mcnn learn`)"));
    }
    let Recordings { data, mut warnings } = read_to_learn(
        &input,
        &args.options,
        &args.episodes,
        &args.units,
        memories.as_ref(),
        KeepSteps::InFile,
    )?;
    let seed = Seed(args.optimizer.seed);
    let codebook = match memories {
        Some(memories) => memories,
        None if args.constraint.paper => learn(&data, &LearnSettings::paper(seed))?.codebook,
        None => learn(&data, &LearnSettings::for_policy(&data, seed))?.codebook,
    };
    codebook.check_space(&data)?;
    let widths = [codebook.n_obs(), codebook.n_act()];
    let names = names(&args.names, widths, &[&codebook.parts().names, data.names()])?;
    let codebook = codebook.with_names(names)?;
    let encoder = args.encoder.as_ref().map(|weights| encoder(weights, &data)).transpose()?;
    let backbone = args.architecture()?;
    // A resumed run has the settings that it was started with, where no option says otherwise.
    let checkpoint = args.resume.then(|| checkpoint(&folder)).transpose()?;
    let of_optimizer = match &checkpoint {
        Some(Checkpoint { settings: TrainSettings { lr, batch, optimizer, .. }, .. }) => {
            OptimizerDefaults { lr: *lr, batch: *batch, optimizer: *optimizer }
        }
        None if args.constraint.paper => backbone.paper_optimizer(),
        None => backbone.optimizer_defaults(),
    };
    let OptimizerDefaults { lr, batch, optimizer } = args.optimizer.or(of_optimizer);
    let EnsembleArgs { members, bagging, combine } = args.ensemble;
    let ConstraintArgs { paper, amplitude, activation, neighbors, .. } = args.constraint;
    let given = &args.constraint;
    let defaults = match &checkpoint {
        Some(checkpoint) => checkpoint.settings.clone(),
        None if paper => TrainSettings {
            hidden: backbone.default_hidden(),
            combine: TrainSettings::default_combine(&backbone),
            ..TrainSettings::paper()
        },
        None => TrainSettings {
            members: backbone.members(),
            steps: TrainSettings::default_steps(&backbone, batch, data.n_steps()),
            hidden: backbone.default_hidden(),
            combine: TrainSettings::default_combine(&backbone),
            ..TrainSettings::default()
        },
    };
    // A network trained through the envelope acts as it was trained.
    let (form, constrain_at) = match given.train_through {
        Some(TrainThrough::Envelope) => (Form::Mix, ConstrainAt::Denoising),
        _ => (defaults.form, defaults.constrain_at),
    };
    let members = members.unwrap_or(defaults.members);
    let bagging = bagging.unwrap_or(defaults.bagging);
    let validation_fraction = match (args.validation_fraction, bagging) {
        (Some(fraction), _) => fraction,
        // Folds validate on every episode.
        (None, Bagging::Folds) if checkpoint.is_none() => 0.0,
        (None, _) => defaults.validation_fraction,
    };
    let settings = TrainSettings {
        backbone: backbone.clone(),
        hidden: args.hidden.clone().unwrap_or_else(|| defaults.hidden.clone()),
        activation,
        lambda: given.lambda.unwrap_or(defaults.lambda),
        amplitude,
        form: given.form.unwrap_or(form),
        train_through: given.train_through.unwrap_or(defaults.train_through),
        constrain_at: given.constrain_at.unwrap_or(constrain_at),
        members,
        bagging,
        combine: combine.unwrap_or(defaults.combine),
        distances: given.distances.unwrap_or(defaults.distances),
        neighbors,
        steps: args.optimizer.steps.unwrap_or(defaults.steps),
        batch,
        lr,
        optimizer,
        validation_fraction,
        keep: args.keep.unwrap_or(defaults.keep),
        seed,
    };
    let baselines = codebook.baseline_errors(&data);
    let run = match checkpoint {
        Some(checkpoint) => Run::resume(&data, codebook, settings, checkpoint)?,
        None => Run::new(&data, codebook, settings)?,
    };
    warnings.extend(run.warnings());
    say_warnings(&warnings);
    let flag = interrupt::flag();
    let parallel = backbone.micro_batches(batch) * members;
    let threads = args.threads.map_or(parallel.clamp(1, cores()), usize::from);
    let report = on_threads(threads, || train(args, run, (warnings, baselines), encoder, folder, flag))??;
    let exit_code = if report.interrupted { 130 } else { 0 };
    Ok(Done { exit_code, ..Done::new(&report, print::train(&report) + &print::gpu(report.gpu.as_ref())) })
}

/// Checks that the folder has no earlier run, which a new one would overwrite.
fn check_unused(folder: &RunFolder) -> Result<()> {
    let path = folder.checkpoint();
    if !path.exists() {
        return Ok(());
    }
    let is_finished = file::read_checkpoint(&path).is_ok_and(|found| found.step >= found.settings.steps);
    let error = match is_finished {
        true => Error::new(Kind::File, "a finished run exists, and a new one would overwrite its log").next(
            "--resume writes its policy again or, with more --steps, continues it; --force starts a new one",
        ),
        false => Error::new(Kind::File, "an interrupted run exists, and a new one would overwrite it")
            .next("--resume continues it, --force starts a new one"),
    };
    Err(error.at(path.display().to_string()))
}

/// The checkpoint of the run to resume.
fn checkpoint(folder: &RunFolder) -> Result<Checkpoint> {
    if !folder.checkpoint().exists() {
        return Err(Error::new(Kind::File, "there is no interrupted run to resume")
            .at(folder.checkpoint().display().to_string())
            .next(folder.earlier_name().unwrap_or_else(|| {
                "leave --resume out, or give the -o of the run that was interrupted".into()
            })));
    }
    file::read_checkpoint(&folder.checkpoint())
}

/// Reads the tensors of the encoder, which must be the one that embedded the data.
fn encoder(weights: &Weights, data: &Demonstrations) -> Result<Arc<Arrays>> {
    let error = |e: Error| e.within("--encoder");
    let Some(encoding) = data.encoding() else {
        return Err(error(
            Error::new(Kind::Mismatch, "the states of the data are not embeddings")
                .expected("demonstrations from `mcnn embed`")
                .next("leave --encoder out"),
        ));
    };
    task_encoder::read(weights, &Encoding::parse(encoding)?).map(Arc::new).map_err(error)
}

fn train(
    args: &TrainArgs,
    mut run: Run,
    (mut warnings, baselines): (Vec<String>, BaselineErrors),
    encoder: Option<Arc<Arrays>>,
    mut folder: RunFolder,
    interrupted: &AtomicBool,
) -> Result<TrainReport> {
    let resumed_from = args.resume.then(|| run.steps_taken());
    folder.open(&run, args.resume)?;
    let (first, total) = (run.steps_taken(), run.settings().steps);
    let validation_steps = (total / 10).max(1);
    let mut progress = Progress::new("training", first, if run.done() { first } else { total });
    let (mut losses, mut loss) = (SmoothedLoss::new(total), None);
    let start = Instant::now();
    while !interrupted.load(Ordering::Relaxed)
        && let Some(steps) = run.steps(validation_steps - run.steps_taken() % validation_steps)
    {
        let step = run.steps_taken();
        for stepped in &steps {
            if let Some(mean) = losses.add(stepped)? {
                loss = Some(mean);
                progress.at(stepped.step, &format!("loss {mean:.5}"));
                folder.log(stepped.step, mean, start.elapsed().as_secs_f64(), None)?;
            }
        }
        if step.is_multiple_of(validation_steps) && !run.done() {
            // The checkpoint has the lowest loss, this one included.
            let validation = run.validate();
            run.check_readable()?;
            if let Some(validation) = validation {
                folder.log(step, f64::NAN, start.elapsed().as_secs_f64(), Some(validation.loss))?;
            }
            folder.save(&run)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    progress.finish();
    // An interrupted run goes on as if it had not been: what is measured now has no part in it.
    let last = if run.done() { run.validate() } else { None };
    run.check_readable()?;
    folder.save(&run)?;
    if let Some(last) = &last {
        folder.log(run.steps_taken(), f64::NAN, seconds, Some(last.loss))?;
    }
    let validation = run.validation();
    run.check_readable()?;
    let (policy, interrupted) =
        (run.policy().with_encoder(encoder), interrupted.load(Ordering::Relaxed) && !run.done());
    let (saved, fingerprint) = if interrupted {
        (folder.checkpoint(), None)
    } else {
        let _claim = claim_in_turn(&args.output.path)?;
        (args.output.path.clone(), Some(file::write_policy(&args.output.path, &policy)?))
    };
    let envelope = run.envelope();
    let is_relative = !policy.codebook().units().relative_to().is_empty();
    let error = validation.as_ref().map(|v| v.loss);
    let staying = staying_is_better(&baselines, "the policy on validation episodes", error, is_relative);
    say_warnings(staying.as_slice());
    warnings.extend(staying);
    Ok(TrainReport {
        steps: run.steps_taken(),
        seconds,
        steps_per_second: (run.steps_taken() - first) as f64 / seconds,
        loss,
        objective: run.settings().objective(),
        validation_loss: validation.as_ref().map(|v| v.loss),
        lowest_validation: run
            .lowest()
            .map(|lowest| LowestValidation { step: lowest.step, loss: lowest.loss }),
        keep: run.settings().keep,
        lambda: Lambda::Value(envelope.lambda),
        half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite()),
        lambda_auto: run.settings().lambda == Lambda::Auto,
        amplitude: envelope.amplitude,
        memory_weight: run.memory_weight(),
        members: policy.members().len(),
        zero_gradient_share: run.zero_gradient_share(),
        short_episodes: run.short_episodes(),
        validation,
        baselines,
        calibration: run.calibration().map(Calibration::new).transpose()?,
        seed: args.optimizer.seed,
        resumed_from,
        interrupted,
        name: policy.name(),
        file: saved.display().to_string(),
        run_folder: folder.path().display().to_string(),
        fingerprint,
        warnings,
        gpu: device::stats(),
    })
}
