//! `mcnn demo`: the whole method on the built-in task, its baselines, and a page of the results.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    time::Instant,
};

use mcnn::{
    Result,
    act::Act,
    atomic,
    data::Demonstrations,
    envelope::Envelope,
    eval::{Comparison, Episode, Run as Rollout, Summary, collect, compare, rollout},
    file,
    memory::{LearnSettings, learn},
    policy::{ActingSettings, Policy},
    seed::Seed,
    task::{Task, drive},
    train::{Run, TrainSettings},
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{
    Done, claim,
    demo_frames::{embedded_laps, frame_outputs},
    make::laps,
    on_threads,
};
use crate::{
    args::DemoArgs,
    beside::beside,
    page::{self, Road},
    print,
    say::say,
    smoothed_loss::SmoothedLoss,
    video::sprite_sheet,
};

/// The results of the demo.
#[derive(Serialize)]
pub struct DemoReport {
    pub task: String,
    /// With --pixels: the encoder's file.
    pub encoder: Option<String>,
    pub demonstrations: usize,
    /// Standard deviation of the noise on the expert's actions.
    pub noise: f64,
    /// Steps in the demonstrations.
    pub demonstrated_steps: usize,
    pub memories: usize,
    pub episodes: usize,
    pub seeds: [u64; 2],
    /// MCNN first.
    pub methods: Vec<Method>,
    /// Paired differences: each method minus each later one, on the same episodes.
    pub differences: Vec<Comparison>,
    pub page: String,
    pub seed: u64,
    pub seconds: f64,
}

/// One method and its results.
#[derive(Serialize)]
pub struct Method {
    pub name: String,
    pub file: String,
    /// Distance at which the memory weight is 0.5; null if lambda is 0 or infinite.
    pub half_distance: Option<f32>,
    #[serde(flatten)]
    pub summary: Summary,
}

/// Seed of the first evaluation episode, far from those of the demonstrations.
const FIRST_SEED: u64 = 1_000_000;

/// A policy with its training losses: (step, loss).
struct Learner {
    name: &'static str,
    stem: &'static str,
    policy: Policy,
    losses: Vec<(u64, f64)>,
}

pub fn run(args: &DemoArgs) -> Result<Done> {
    let start = Instant::now();
    let _claims = outputs(args).iter().map(|path| claim(path)).collect::<Result<Vec<_>>>()?;
    let log = |line: &str| say(line);
    let task: &dyn Task = if args.pixels { &drive::DrivePixels::new() } else { &drive::Drive::new() };
    let name = &task.spec().name;
    log(&format!(
        "{name}: {} demonstrations by the scripted expert, noise {}",
        args.demonstrations, args.noise
    ));
    let embedded = if args.pixels { Some(embedded_laps(args)?) } else { None };
    let data = match &embedded {
        Some(embedded) => &embedded.data,
        None => &laps(args.demonstrations as usize, args.noise, args.seed)?.0,
    };
    let learners = learners(data, args)?;

    let settings = Rollout {
        episodes: args.episodes as usize,
        first_seed: FIRST_SEED + args.seed * 100_000,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        environments_per_worker: 1,
        trace: true,
    };
    let mut runs: Vec<(&str, Vec<Episode>)> = Vec::new();
    let mut views = Vec::new();
    for learner in &learners {
        log(&format!("evaluating {} episodes: {}", settings.episodes, learner.name));
        let encoded =
            embedded.as_ref().map(|e| EncodedPolicy::new(&e.encoder, &learner.policy)).transpose()?;
        let act: &dyn Act = encoded.as_ref().map_or(&learner.policy, |encoded| encoded);
        runs.push((learner.name, rollout(act, task, &settings, &|_| ())?));
        if encoded.is_some() {
            views.push(views_of(act, task, &settings)?);
        }
    }
    let bootstrap = Seed(args.seed).fork("bootstrap");
    let named: Vec<(&str, &[Episode])> = runs.iter().map(|(name, run)| (*name, run.as_slice())).collect();
    let differences = compare(&named, task.spec(), bootstrap)?;
    let mut methods = Vec::new();
    for (learner, (_, run)) in learners.iter().zip(&runs) {
        let path = policy_path(args, learner.stem);
        let arrays = embedded.as_ref().map(|e| e.arrays.clone());
        let fingerprint = file::write_policy(&path, &learner.policy.clone().with_encoder(arrays))?;
        let envelope = learner.policy.envelope();
        methods.push(Method {
            name: learner.name.into(),
            file: path.display().to_string(),
            half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite() && *d > 0.0),
            summary: Summary::new(fingerprint, task.spec(), run, bootstrap),
        });
    }
    let mut report = DemoReport {
        task: name.clone(),
        encoder: embedded.as_ref().map(|e| e.file.clone()),
        demonstrations: data.n_episodes(),
        noise: args.noise,
        demonstrated_steps: data.n_steps(),
        memories: learners[0].policy.codebook().len(),
        episodes: settings.episodes,
        seeds: methods[0].summary.seeds,
        methods,
        differences,
        page: args.path.display().to_string(),
        seed: args.seed,
        seconds: start.elapsed().as_secs_f64(),
    };
    write_page(&args.path, &report, &learners, &runs, &views)?;
    report.seconds = start.elapsed().as_secs_f64();
    Ok(Done::new(&report, print::demo(&report)))
}

/// The policies' names in their files.
const STEMS: [&str; 5] = ["mcnn", "bc5", "bc", "1nn", "vinn"];

/// The file of a policy, beside the page.
fn policy_path(args: &DemoArgs, stem: &str) -> PathBuf {
    beside(&args.path, ".html", &format!(".{stem}.safetensors"))
}

/// All files that the demo writes.
fn outputs(args: &DemoArgs) -> Vec<PathBuf> {
    let mut all = vec![args.path.clone()];
    all.extend(STEMS.iter().map(|stem| policy_path(args, stem)));
    if args.pixels {
        all.extend(frame_outputs(args));
    }
    all
}

/// Trains an ensemble with the defaults of `mcnn train`. MCNN is that ensemble with its memories, behavior cloning the ensemble and
/// its first network without them. 1-NN and VINN have nothing to train.
fn learners(data: &Demonstrations, args: &DemoArgs) -> Result<Vec<Learner>> {
    let seed = Seed(args.seed);
    let memories = learn(data, &LearnSettings::for_policy(data, seed))?.codebook;
    let defaults = TrainSettings::default();
    let steps = args
        .steps
        .unwrap_or_else(|| TrainSettings::default_steps(&defaults.backbone, defaults.batch, data.n_steps()));
    let settings = TrainSettings { steps, validation_fraction: 0.0, seed, ..defaults };
    say(format!(
        "{} memories, every state; training {} networks for {steps} steps",
        memories.len(),
        settings.members
    ));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (mcnn, losses) = on_threads(cores.min(settings.members), || {
        let mut run = Run::new(data, memories.clone(), settings.clone())?;
        let (mut window, mut losses) = (SmoothedLoss::new(steps), Vec::new());
        while let Some(steps) = run.steps(u64::MAX) {
            for stepped in steps {
                losses.extend(window.add(&stepped)?.map(|mean| (stepped.step, mean)));
            }
        }
        Ok::<_, mcnn::Error>((run.policy(), losses))
    })??;
    let acting = mcnn.acting_settings();
    let envelope = Envelope { lambda: f32::INFINITY, ..acting.envelope };
    let cloning = mcnn.clone().with_acting_settings(ActingSettings { envelope, ..acting })?;
    let copying = |neighbors: usize| {
        let envelope = Envelope { lambda: 0.0, ..Envelope::default() };
        let acting = ActingSettings { envelope, neighbors, ..ActingSettings::default() };
        Policy::ensemble(memories.clone(), Vec::new(), acting)
    };
    let learner = |name, stem, policy| Learner { name, stem, policy, losses: Vec::new() };
    Ok(vec![
        Learner { losses, ..learner("MCNN", STEMS[0], mcnn) },
        learner("behavior cloning, ensemble", STEMS[1], cloning.clone()),
        learner("behavior cloning", STEMS[2], cloning.with_first_members(1)?),
        learner("1-NN", STEMS[3], copying(1)?),
        learner("VINN (k = 10)", STEMS[4], copying(10.min(memories.len()))?),
    ])
}

/// Most episodes that the page can show.
const SHOWN_EPISODES: usize = 8;
/// Steps between two frames on the page.
const FRAME_STEPS: usize = 10;

/// The camera frames of the episodes that the page shows. The episodes are run once more, with their frames recorded.
fn views_of(act: &dyn Act, task: &dyn Task, settings: &Rollout) -> Result<Vec<View>> {
    let run = Rollout { episodes: settings.episodes.min(SHOWN_EPISODES), trace: false, ..*settings };
    let (all, size) = (collect(act, task, &run, &|_| true)?, task.spec().frame.unwrap_or_default());
    let each = size[0] * size[1] * 3;
    let starts = std::iter::once(0).chain(all.ends.iter().copied());
    let view = |((start, &end), episode): ((usize, &usize), &Episode)| {
        let sheet = sprite_sheet(&all.frames[start * each..end * each], size, FRAME_STEPS)?;
        Ok((
            episode.seed,
            page::View { sheet, every: FRAME_STEPS, count: (end - start).div_ceil(FRAME_STEPS) },
        ))
    };
    starts.zip(&all.ends).zip(&all.episodes).map(view).collect()
}

/// An episode's seed, and its frames.
type View = (u64, page::View);

fn write_page(
    path: &Path,
    demonstrated: &DemoReport,
    learners: &[Learner],
    runs: &[(&str, Vec<Episode>)],
    views: &[Vec<View>],
) -> Result<()> {
    let episodes = (0..SHOWN_EPISODES.min(demonstrated.episodes))
        .map(|i| {
            let seed = runs[0].1[i].seed;
            let drawing = drive::road(seed);
            let view = |m: usize| {
                let found = views.get(m)?.iter().find(|(of, _)| *of == seed);
                found.map(|(_, view)| view.clone())
            };
            let drive = |(m, (_, run)): (usize, &(&str, Vec<Episode>))| page::Drive::of(&run[i], view(m));
            let drives = runs.iter().enumerate().map(drive).collect();
            page::Episode {
                seed,
                road: Road { center: drawing.center, left: drawing.left, right: drawing.right },
                drives,
            }
        })
        .collect();
    let losses = learners.iter().map(|l| l.losses.clone()).collect();
    atomic::write(path, page::html(&page::Page { demonstrated, losses, episodes }).as_bytes())
}
