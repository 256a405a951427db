//! `mcnn demo`: the whole method on the built-in task, against what it is compared with, and a page that shows it.

use std::{num::NonZero, path::Path, time::Instant};

use mcnn::{
    Result,
    act::Act,
    atomic,
    data::Demonstrations,
    eval::{Comparison, Episode, Run as Rollout, Summary, collect, compare, rollout},
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::Policy,
    seed::Seed,
    task::{Task, drive},
    train::{Lambda, Run, TrainSettings},
    vision::EncodedPolicy,
};
use serde::Serialize;

use super::{Done, check_folder, demo_frames::seen, make::laps, on_threads};
use crate::{
    args::DemoArgs,
    page::{self, Road},
    print,
    smoothed_loss::SmoothedLoss,
    video::sprite_sheet,
};

/// What the demo came to.
#[derive(Serialize)]
pub struct Demonstrated {
    pub task: String,
    /// With --pixels: the encoder's file.
    pub encoder: Option<String>,
    pub demonstrations: usize,
    /// Deviation of the noise on the expert's actions.
    pub noise: f64,
    /// Steps in the demonstrations.
    pub steps_shown: usize,
    pub memories: usize,
    pub episodes: usize,
    pub seeds: [u64; 2],
    /// MCNN first.
    pub methods: Vec<Method>,
    /// Each method less each later one, on the same episodes.
    pub differences: Vec<Comparison>,
    pub page: String,
    pub seed: u64,
    pub seconds: f64,
}

/// One method and how it did.
#[derive(Serialize)]
pub struct Method {
    pub name: String,
    pub file: String,
    /// Distance at which a memory counts half; null where memories count nothing or all.
    pub half_distance: Option<f32>,
    #[serde(flatten)]
    pub summary: Summary,
}

/// The first evaluation seed: far from those of the demonstrations.
const FIRST_SEED: u64 = 1_000_000;

/// A policy with the losses of its training: (step, loss).
struct Learner {
    name: &'static str,
    stem: &'static str,
    policy: Policy,
    losses: Vec<(u64, f64)>,
}

pub fn run(args: &DemoArgs) -> Result<Done> {
    let start = Instant::now();
    check_folder(&args.path)?;
    let tell = |line: &str| eprintln!("{line}");
    let task: &dyn Task = if args.pixels { &drive::DrivePixels::new() } else { &drive::Drive::new() };
    let name = &task.spec().name;
    tell(&format!("{name}: {} laps by the scripted expert, noise {}", args.demonstrations, args.noise));
    let seen = if args.pixels { Some(seen(args)?) } else { None };
    let data = match &seen {
        Some(seen) => &seen.data,
        None => &laps(args.demonstrations as usize, args.noise, args.seed)?.0,
    };
    tell(&format!(
        "learning memories from {} steps, training two networks for {} steps each",
        data.n_steps(),
        args.steps
    ));
    let learners = learners(data, args)?;

    let how = Rollout {
        episodes: args.episodes as usize,
        first_seed: FIRST_SEED + args.seed * 100_000,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        environments_per_worker: 1,
        trace: true,
    };
    let mut runs: Vec<(&str, Vec<Episode>)> = Vec::new();
    let mut views = Vec::new();
    for learner in &learners {
        tell(&format!("driving {} episodes: {}", how.episodes, learner.name));
        let sighted =
            seen.as_ref().map(|seen| EncodedPolicy::new(&seen.encoder, &learner.policy)).transpose()?;
        let act: &dyn Act = sighted.as_ref().map_or(&learner.policy, |sighted| sighted);
        runs.push((learner.name, rollout(act, task, &how, &|_| ())?));
        if sighted.is_some() {
            views.push(views_of(act, task, &how)?);
        }
    }
    let bootstrap = Seed(args.seed).fork("bootstrap");
    let named: Vec<(&str, &[Episode])> = runs.iter().map(|(name, run)| (*name, run.as_slice())).collect();
    let differences = compare(&named, task.spec(), bootstrap)?;
    let mut methods = Vec::new();
    for (learner, (_, run)) in learners.iter().zip(&runs) {
        let path = args.path.with_extension(format!("{}.safetensors", learner.stem));
        let arrays = seen.as_ref().map(|seen| seen.arrays.clone());
        let fingerprint = file::write_policy(&path, &learner.policy.clone().with_encoder(arrays))?;
        let envelope = learner.policy.envelope();
        methods.push(Method {
            name: learner.name.into(),
            file: path.display().to_string(),
            half_distance: Some(envelope.half_distance()).filter(|d| d.is_finite() && *d > 0.0),
            summary: Summary::new(fingerprint, task.spec(), run, bootstrap),
        });
    }
    let mut demonstrated = Demonstrated {
        task: name.clone(),
        encoder: seen.as_ref().map(|seen| seen.file.clone()),
        demonstrations: data.n_episodes(),
        noise: args.noise,
        steps_shown: data.n_steps(),
        memories: learners[0].policy.codebook().len(),
        episodes: how.episodes,
        seeds: methods[0].summary.seeds,
        methods,
        differences,
        page: args.path.display().to_string(),
        seed: args.seed,
        seconds: start.elapsed().as_secs_f64(),
    };
    write_page(&args.path, &demonstrated, &learners, &runs, &views)?;
    demonstrated.seconds = start.elapsed().as_secs_f64();
    Ok(Done::new(&demonstrated, print::demonstrated(&demonstrated)))
}

/// MCNN, behavior cloning with the same network and activation, and the two methods without a network.
fn learners(data: &Demonstrations, args: &DemoArgs) -> Result<Vec<Learner>> {
    let seed = Seed(args.seed);
    let memories = |by, smooth_neighbors| {
        let settings = LearnSettings {
            amount: Amount::Fraction(0.1),
            selection: by,
            smooth_neighbors,
            seed,
            ..LearnSettings::default()
        };
        learn(data, &settings).map(|learned| learned.codebook)
    };
    // The expert's hand is unsteady: a memory's action is the mean over its ten nearest steps. Copying copies.
    let (some, all) = (memories(SelectionMethod::Gas, 10)?, memories(SelectionMethod::All, 1)?);
    let settings = |lambda| TrainSettings {
        lambda,
        steps: args.steps,
        validation_fraction: 0.0,
        seed,
        ..TrainSettings::default()
    };
    let train = |codebook: Codebook, settings: TrainSettings| {
        on_threads(1, || {
            let mut run = Run::new(data, codebook, settings)?;
            let (mut window, mut losses) = (SmoothedLoss::new(args.steps), Vec::new());
            while let Some(stepped) = run.step() {
                losses.extend(window.add(&stepped, run.done())?.map(|mean| (stepped.step, mean)));
            }
            Ok((run.policy(), losses))
        })?
    };
    // The two networks side by side, a thread each; the two that copy have nothing to train.
    let (mcnn, plain) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| train(some.clone(), settings(Lambda::Value(f32::INFINITY))));
        (train(some.clone(), settings(Lambda::Auto)), plain.join().expect("training does not panic"))
    });
    let learner = |name, stem, (policy, losses)| Learner { name, stem, policy, losses };
    let copying = settings(Lambda::Value(0.0));
    let vinn = TrainSettings { neighbors: 10.min(all.len()), ..copying.clone() };
    Ok(vec![
        learner("MCNN", "mcnn", mcnn?),
        learner("behavior cloning", "cloning", plain?),
        learner("1-NN", "1nn", train(all.clone(), copying)?),
        learner("VINN (k = 10)", "vinn", train(all, vinn)?),
    ])
}

/// Episodes that the page can show.
const SHOWN: usize = 8;
/// Steps from one frame on the page to the next.
const EVERY: usize = 10;

/// What the camera saw in the episodes that the page shows: they are driven once more, with their frames kept.
fn views_of(act: &dyn Act, task: &dyn Task, how: &Rollout) -> Result<Vec<View>> {
    let run = Rollout { episodes: how.episodes.min(SHOWN), trace: false, ..*how };
    let (all, size) = (collect(act, task, &run, &|_| true)?, task.spec().frame.unwrap_or_default());
    let each = size[0] * size[1] * 3;
    let starts = std::iter::once(0).chain(all.ends.iter().copied());
    let view = |((start, &end), episode): ((usize, &usize), &Episode)| {
        let sheet = sprite_sheet(&all.frames[start * each..end * each], size, EVERY)?;
        Ok((episode.seed, page::View { sheet, every: EVERY, count: (end - start).div_ceil(EVERY) }))
    };
    starts.zip(&all.ends).zip(&all.episodes).map(view).collect()
}

/// An episode's seed, and what was seen in it.
type View = (u64, page::View);

fn write_page(
    path: &Path,
    demonstrated: &Demonstrated,
    learners: &[Learner],
    runs: &[(&str, Vec<Episode>)],
    views: &[Vec<View>],
) -> Result<()> {
    let episodes = (0..SHOWN.min(demonstrated.episodes))
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
