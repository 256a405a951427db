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
    error::Kind,
    file,
    memory::Codebook,
    optimizer::OptimizerDefaults,
    seed::Seed,
    train::{Lambda, Run, TrainSettings, Validation},
    vision::{Arrays, Encoding, Weights},
};
use serde::Serialize;

use super::{Done, check_output, cores, names, on_threads, read};
use crate::{
    args::TrainArgs, print, progress::Progress, run_folder::RunFolder, smoothed_loss::SmoothedLoss,
    task_encoder,
};

/// What training came to.
#[derive(Serialize)]
pub struct Trained {
    pub steps: u64,
    pub seconds: f64,
    pub steps_per_second: f64,
    /// Mean squared error on the training batches, over the last two-hundredth of the run; null where nothing was trained.
    pub loss: Option<f64>,
    /// Mean squared error on the episodes held out; null where none were.
    pub validation_loss: Option<f64>,
    /// lambda of the formula; a number or "inf".
    pub lambda: Lambda,
    /// Distance at which a memory counts half; null where it always counts all.
    pub half_distance: Option<f32>,
    pub auto: bool,
    pub amplitude: f32,
    /// Share of the training rows that train nothing because their memory decides alone.
    pub zero_gradient_share: f64,
    /// Episodes trained on that are shorter than what the network looks back on or proposes ahead; of all trained on.
    pub short_episodes: [usize; 2],
    pub held_out: Option<Validation>,
    /// The calibration of distances; null where the memories allow of none.
    pub calibration: Option<Calibration>,
    pub seed: u64,
    pub resumed_from: Option<u64>,
    pub interrupted: bool,
    /// What the policy is called in the literature.
    pub name: String,
    /// The policy, or what was saved of the interrupted run.
    pub file: String,
    pub run_folder: String,
    /// Fingerprint of the policy; null where the run was interrupted.
    pub fingerprint: Option<String>,
}

/// Distances of calibration episodes, each counting alike.
#[derive(Serialize)]
pub struct Calibration {
    pub episodes: usize,
    pub median: f32,
    pub p95: f32,
    pub farthest: f32,
}

impl Calibration {
    fn new(calibration: &OodCalibration) -> Result<Self> {
        let at = |share| calibration.threshold(OodQuantile::States(share)).map(|t| t.distance);
        Ok(Self {
            episodes: calibration.episodes().len(),
            median: at(0.5)?,
            p95: at(0.95)?,
            farthest: at(1.0)?,
        })
    }
}

pub fn run(args: &TrainArgs) -> Result<Done> {
    let folder = RunFolder::beside(&args.output.path);
    if args.resume {
        super::check_folder(&args.output.path)?;
    } else {
        check_output(&args.output)?;
        if folder.checkpoint().exists() && !args.output.force {
            return Err(Error::new(
                Kind::File,
                "an interrupted run is there, and starting anew would lose it",
            )
            .at(folder.checkpoint().display().to_string())
            .next("--resume goes on with it, --force starts anew"));
        }
    }
    let data = read(&args.input.data, args.input.options)?;
    let codebook = file::read_codebook(&args.memories)?;
    codebook.check_space(&data)?;
    let widths = [codebook.n_obs(), codebook.n_act()];
    let names = names(&args.names, widths, &[&codebook.parts().names, data.names()])?;
    let codebook = codebook.with_names(names)?;
    let encoder = args.encoder.as_ref().map(|weights| encoder(weights, &data)).transpose()?;
    let backbone = args.architecture()?;
    let OptimizerDefaults { lr, batch, optimizer } = args.optimizer.over(backbone.optimizer_defaults());
    let settings = TrainSettings {
        backbone: backbone.clone(),
        hidden: args.hidden.clone().unwrap_or_else(|| backbone.default_hidden()),
        activation: args.activation,
        lambda: args.lambda,
        amplitude: args.amplitude,
        distances: args.distances,
        neighbors: args.neighbors,
        steps: args.steps,
        batch: args.batch.unwrap_or(batch),
        lr,
        optimizer,
        validation_fraction: args.validation_fraction,
        seed: Seed(args.seed),
    };
    let run = prepare(args, &data, codebook, settings, &folder)?;
    let flag = super::interrupted()?;
    let threads = args.threads.map_or(backbone.micro_batches().min(cores()), usize::from);
    let report = on_threads(threads, || train(args, run, encoder, folder, &flag))??;
    let exit_code = if report.interrupted { 130 } else { 0 };
    Ok(Done { exit_code, ..Done::new(&report, print::trained(&report)) })
}

fn prepare(
    args: &TrainArgs,
    data: &Demonstrations,
    codebook: Codebook,
    settings: TrainSettings,
    folder: &RunFolder,
) -> Result<Run> {
    if !args.resume {
        return Run::new(data, codebook, settings);
    }
    if !folder.checkpoint().exists() {
        return Err(Error::new(Kind::File, "there is no interrupted run to go on with")
            .at(folder.checkpoint().display().to_string())
            .next("leave --resume out, or give the -o of the run that was interrupted"));
    }
    Run::resume(data, codebook, settings, file::read_checkpoint(&folder.checkpoint())?)
}

/// The encoder's tensors, if they are those that embedded the data.
fn encoder(weights: &Weights, data: &Demonstrations) -> Result<Arc<Arrays>> {
    let error = |e: Error| e.within("--encoder");
    let Some(encoding) = data.encoding() else {
        return Err(error(
            Error::new(Kind::Mismatch, "the data's states are no embeddings")
                .expected("demonstrations from `mcnn embed`")
                .next("leave --encoder out"),
        ));
    };
    task_encoder::read(weights, &Encoding::parse(encoding)?).map(Arc::new).map_err(error)
}

fn train(
    args: &TrainArgs,
    mut run: Run,
    encoder: Option<Arc<Arrays>>,
    mut folder: RunFolder,
    interrupted: &AtomicBool,
) -> Result<Trained> {
    let resumed_from = args.resume.then(|| run.steps_taken());
    folder.open(&run, args.resume)?;
    let (first, total) = (run.steps_taken(), run.settings().steps);
    let check_every = (total / 10).max(1);
    let mut progress = Progress::new("training", first, if run.done() { first } else { total });
    let (mut losses, mut loss) = (SmoothedLoss::new(total), None);
    let start = Instant::now();
    while !interrupted.load(Ordering::Relaxed)
        && let Some(stepped) = run.step()
    {
        if let Some(mean) = losses.add(&stepped, run.done())? {
            loss = Some(mean);
            progress.at(stepped.step, &format!("loss {mean:.5}"));
            folder.log(stepped.step, mean, start.elapsed().as_secs_f64(), None)?;
        }
        if stepped.step.is_multiple_of(check_every) && !run.done() {
            folder.save(&run)?;
            if let Some(held_out) = run.validation() {
                folder.log(stepped.step, f64::NAN, start.elapsed().as_secs_f64(), Some(held_out.loss))?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    progress.finish();
    folder.save(&run)?;
    let held_out = run.validation();
    if let Some(held_out) = &held_out {
        folder.log(run.steps_taken(), f64::NAN, seconds, Some(held_out.loss))?;
    }
    let (policy, interrupted) =
        (run.policy().with_encoder(encoder), interrupted.load(Ordering::Relaxed) && !run.done());
    let (saved, fingerprint) = if interrupted {
        (folder.checkpoint(), None)
    } else {
        (args.output.path.clone(), Some(file::write_policy(&args.output.path, &policy)?))
    };
    let envelope = run.envelope();
    Ok(Trained {
        steps: run.steps_taken(),
        seconds,
        steps_per_second: (run.steps_taken() - first) as f64 / seconds,
        loss,
        validation_loss: held_out.as_ref().map(|h| h.loss),
        lambda: Lambda::Value(envelope.lambda),
        half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite()),
        auto: args.lambda == Lambda::Auto,
        amplitude: envelope.amplitude,
        zero_gradient_share: run.zero_gradient_share(),
        short_episodes: run.short_episodes(),
        held_out,
        calibration: run.calibration().map(Calibration::new).transpose()?,
        seed: args.seed,
        resumed_from,
        interrupted,
        name: policy.name(),
        file: saved.display().to_string(),
        run_folder: folder.path().display().to_string(),
        fingerprint,
    })
}
