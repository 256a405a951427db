//! One run of a sweep: selects memories, trains, and evaluates the policy in closed loop, on one thread.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use mcnn::{
    Error, Result,
    act::{Act, Acting, Decision, EmbeddedObservation},
    data::Demonstrations,
    error::Kind,
    eval::{Run as Rollout, rollout},
    file,
    memory::{Codebook, learn},
    seed::Seed,
    task::Task,
    train::{Lambda, Run},
    vision::{EncodedPolicy, Encoder},
};

use super::{results::Line, settings::Settings};
use crate::{actor::Actor, commands::eval::evaluated, smoothed_loss::SmoothedLoss};

/// Shared by all runs.
pub struct Shared<'a> {
    pub task: &'a dyn Task,
    /// Set by an interruption.
    pub stop: &'a AtomicBool,
    /// Codebooks by the settings that determine them, because methods that differ only in training share one.
    memories: Mutex<HashMap<String, Arc<OnceLock<Result<Codebook>>>>>,
}

impl<'a> Shared<'a> {
    pub fn new(task: &'a dyn Task, stop: &'a AtomicBool) -> Self {
        Self { task, stop, memories: Mutex::default() }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn memories(&self, data: &Demonstrations, settings: &Settings) -> Result<Codebook> {
        let how = settings.learn();
        let key = format!("{} {how:?}", settings.data);
        let cell =
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        cell.get_or_init(|| learn(data, &how).map(|learned| learned.codebook)).clone()
    }
}

/// A training run that has ended. Runs that differ only in memories and settings of acting share it.
pub struct Trained {
    run: Run,
    loss: Option<f64>,
    seconds: f64,
}

/// Makes one run and gives its line of results, or none if the sweep was stopped before its end. Where the data are embeddings, the
/// policy acts through `encoder`. An error is part of the line.
///
/// The networks are those of `trained` where this run would train the same ones; if not, it becomes this run's. The seconds of a
/// line include the training in both cases.
pub fn run(
    shared: &Shared,
    (data, encoder): (&Demonstrations, Option<&Encoder>),
    settings: &Settings,
    trained: &mut Option<Trained>,
) -> Option<Line> {
    let start = Instant::now();
    let mut line = Line {
        settings: settings.clone(),
        data: data.fingerprint(),
        memories: None,
        policy: None,
        name: None,
        loss: None,
        validation_loss: None,
        lambda: None,
        half_distance: None,
        returns: Vec::new(),
        reference: shared.task.spec().reference,
        eval: None,
        demonstrations: Some(data.n_episodes()),
        training_seconds: None,
        seconds: 0.0,
        version: env!("CARGO_PKG_VERSION").into(),
        error: None,
    };
    if let Err(error) = fill(shared, (data, encoder), settings, trained, &mut line) {
        line.error = Some(error.to_string());
    }
    line.seconds += start.elapsed().as_secs_f64();
    (!shared.stopped()).then_some(line)
}

fn fill(
    shared: &Shared,
    (data, encoder): (&Demonstrations, Option<&Encoder>),
    settings: &Settings,
    trained: &mut Option<Trained>,
    line: &mut Line,
) -> Result<()> {
    let began = Instant::now();
    let codebook = shared.memories(data, settings)?;
    line.memories = Some(file::fingerprint(&file::codebook_to_bytes(&codebook)));
    let mut run = Run::new(data, codebook, settings.train(data.n_steps()))?;
    let envelope = run.envelope();
    line.lambda = Some(Lambda::Value(envelope.lambda));
    line.half_distance = Some(envelope.half_distance()).filter(|d| d.is_finite());
    let shared_training = trained.as_ref().filter(|trained| run.adopt(&trained.run));
    let is_shared = shared_training.is_some();
    let start = Instant::now();
    (line.loss, line.seconds) = match shared_training {
        Some(trained) => (trained.loss, trained.seconds),
        None => (train(&mut run, shared)?, 0.0),
    };
    let seconds = start.elapsed().as_secs_f64();
    line.training_seconds = Some(line.seconds + began.elapsed().as_secs_f64());
    line.validation_loss = run.validation().map(|validation| validation.loss);
    let policy = run.policy();
    // Without networks there is nothing to share.
    if !is_shared && policy.backbone().is_some() {
        *trained = Some(Trained { run, loss: line.loss, seconds });
    }
    let fingerprint = file::fingerprint(&file::policy_to_bytes(&policy));
    line.policy = Some(fingerprint.clone());
    line.name = Some(policy.name());
    let how = Rollout {
        episodes: settings.episodes,
        first_seed: settings.first_seed,
        threads: 1,
        environments_per_worker: 1,
        trace: false,
    };
    let episodes = {
        let encoded = encoder.map(|encoder| EncodedPolicy::new(encoder, &policy)).transpose()?;
        let act: &dyn Act = encoded.as_ref().map_or(&policy, |encoded| encoded);
        rollout(&Stoppable { act, stop: shared.stop }, shared.task, &how, &|_| ())?
    };
    let actor = Actor::Policy(Box::new(policy), fingerprint);
    let found = evaluated(&actor, shared.task, &episodes, settings.first_seed);
    line.returns.clone_from(&found.returns);
    line.eval = Some(serde_json::to_value(&found.summary).expect("a summary is plain values"));
    match found.first_failure {
        Some(failure) => Err(Error::new(Kind::Task, format!("{} episodes failed", found.summary.failed))
            .found(format!("the first: {failure}"))),
        None => Ok(()),
    }
}

/// Trains to the end, unless the sweep is stopped. Returns the training loss.
fn train(run: &mut Run, shared: &Shared) -> Result<Option<f64>> {
    let mut smoothed = SmoothedLoss::new(run.settings().steps);
    let mut loss = None;
    while !shared.stopped()
        && let Some(steps) = run.steps(u64::MAX)
    {
        for stepped in &steps {
            loss = smoothed.add(stepped)?.or(loss);
        }
    }
    Ok(loss)
}

/// A policy whose actions fail once the sweep is stopped, so that running episodes end at once.
struct Stoppable<'a> {
    act: &'a dyn Act,
    stop: &'a AtomicBool,
}

struct Session<'a> {
    inner: Box<dyn Acting + 'a>,
    stop: &'a AtomicBool,
}

impl Act for Stoppable<'_> {
    fn n_obs(&self) -> usize {
        self.act.n_obs()
    }

    fn n_act(&self) -> usize {
        self.act.n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        self.act.acts_in_data_units()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(Session { inner: self.act.start(seed), stop: self.stop })
    }
}

impl Acting for Session<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Task, "stopped"));
        }
        self.inner.act(observation, action)
    }

    fn embedded_observation(&self) -> Option<EmbeddedObservation<'_>> {
        self.inner.embedded_observation()
    }
}
