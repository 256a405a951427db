//! Training: ordinary supervised learning of `c + r sigma(g(x))` against the demonstrated action. The nearest memory of
//! a training state never changes, so `c` and `r` are computed once, before the first step. The caller owns the loop:
//! a [`Run`] is stepped, and each step returns what happened.

mod hold;
mod rows;
mod settings;
mod validation;

pub use settings::{Distances, Lambda, TrainSettings};
pub use validation::{Bin, Validation};

use rayon::prelude::*;

use crate::{
    backbone::{Net, Network, Workspace},
    calibration::OodCalibration,
    data::Demonstrations,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::{Codebook, kmeans},
    optimizer::{Adam, Moments, StepArrays},
    policy::{Policy, TrainingRecord},
    seed::Seed,
};
use hold::Holding;
use rows::{Gathered, Order, Rows};

/// A training run: stepped by its caller, and at any step a policy.
pub struct Run {
    settings: TrainSettings,
    envelope: Envelope,
    codebook: Codebook,
    data: String, // fingerprint
    rows: Rows,
    held_out: Option<Demonstrations>,
    calibration: Option<OodCalibration>, // of all episodes: no network has a part in a distance
    order: Order,
    learner: Option<Learner>, // none while lambda is 0: no proposal counts, so there is nothing to train
    step: u64,
}

/// The network, and what moves it.
struct Learner {
    net: Net,
    adam: Adam,
    average: Option<Vec<f32>>, // the running mean of its numbers, where one is kept: it acts
    parts: Vec<Part>,
}

/// What is computed for a part of a batch.
#[derive(Default)]
struct Part {
    rows: Gathered,
    room: Workspace,
    gradient: Vec<f32>,
}

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps taken so far, this one included.
    pub step: u64,
    /// Mean squared error of the held action on the batch, before the step; where diffusion predicts noise, of the noise
    /// that the held action implies. A loss of the network's own is added.
    pub loss: f32,
}

/// What a run needs to go on from where it was, besides its data, codebook and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Steps taken.
    pub step: u64,
    /// The settings of the run, as they were resolved.
    pub settings: TrainSettings,
    /// Fingerprint of the data.
    pub data: String,
    /// The network.
    pub network: Network,
    /// The running mean of its weights, where one is kept.
    pub average: Option<Network>,
    /// What the optimizer goes by.
    pub moments: Moments,
}

impl Run {
    /// Prepares a run.
    ///
    /// # Errors
    /// If the memories were learned on other data, a setting is out of range, no episode is as long as what the network looks
    /// back on or proposes ahead, or the network sorts actions into more buckets than there are distinct ones.
    pub fn new(data: &Demonstrations, codebook: Codebook, settings: TrainSettings) -> Result<Self> {
        settings.check()?;
        codebook.check_data(data)?;
        let horizons = settings.backbone.horizons();
        let codebook = if horizons.prediction > 1 {
            codebook.with_future_actions(data, horizons.prediction)?
        } else {
            codebook
        };
        let (train, held_out) = data.split(settings.validation_fraction, settings.seed.fork("held out"));
        let lambda = match settings.lambda {
            Lambda::Value(lambda) => lambda,
            Lambda::Auto => settings::auto(&codebook, &train)?,
        };
        let envelope = Envelope { lambda, amplitude: settings.amplitude, activation: settings.activation };
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("{lambda}, {}", settings.amplitude)));
        }
        let rows = Rows::new(&train, &codebook, envelope, settings.distances, horizons);
        if let [short, all] = rows.short()
            && short == all
        {
            return Err(Error::new(Kind::Data, "no episode is long enough for this network")
                .expected(format!(
                    "an episode of {} steps or more",
                    horizons.observation.max(horizons.prediction)
                ))
                .found(format!("{all} shorter ones"))
                .next("choose a shorter window or horizon, or another backbone"));
        }
        let learner = if lambda == 0.0 {
            None
        } else {
            let (n_obs, n_act) = (codebook.n_obs(), codebook.n_act());
            let centers = centers(&train, settings.backbone.buckets(), settings.seed.fork("buckets"))?;
            let seed = settings.seed.fork("network");
            let start = settings.backbone.random(n_obs, &settings.hidden, n_act, &centers, seed);
            let net = Net::new(&*start);
            let average = settings.backbone.ema_decay(1).map(|_| net.parameters().to_vec());
            let moments = Moments::zeros(net.parameters().len());
            Some(Learner::new(net, moments, average, settings.backbone.micro_batches()))
        };
        let order = Order::new(rows.n, settings.seed.fork("order"));
        let calibration = OodCalibration::leave_one_episode_out(&codebook, data);
        let data = data.fingerprint();
        Ok(Self { settings, envelope, codebook, data, rows, held_out, calibration, order, learner, step: 0 })
    }

    /// Prepares a run that goes on from a checkpoint, to the very bytes it would have reached unbroken.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the checkpoint belongs to other data or other settings (the number of steps may
    /// differ: nothing that a step does depends on it), or is past the steps asked for.
    pub fn resume(
        data: &Demonstrations,
        codebook: Codebook,
        settings: TrainSettings,
        checkpoint: Checkpoint,
    ) -> Result<Self> {
        let mut run = Self::new(data, codebook, settings)?;
        let refuse = |what: &str, expected: String, found: String| {
            Err(Error::new(Kind::Mismatch, what)
                .at("--resume")
                .expected(expected)
                .found(found)
                .next("start anew with --force, or resume with what the run was started with"))
        };
        if checkpoint.data != run.data {
            return refuse("the interrupted run had other data", checkpoint.data, run.data);
        }
        if let Some((name, was, is)) = checkpoint.settings.difference(&run.settings) {
            return refuse(&format!("the interrupted run had another {name}"), was, is);
        }
        if checkpoint.step > run.settings.steps {
            return refuse(
                "the interrupted run is already further",
                format!("at most {} steps", run.settings.steps),
                format!("{} steps", checkpoint.step),
            );
        }
        if let Some(learner) = &mut run.learner {
            let shapes = |network: &Network| -> Vec<(String, Vec<usize>)> {
                network.save_tensors().into_iter().map(|(name, (shape, _))| (name, shape)).collect()
            };
            let mine = shapes(&learner.net.network());
            let parameters = |network: &Network| Net::new(&**network).parameters().to_vec();
            for found in [Some(&checkpoint.network), checkpoint.average.as_ref()].into_iter().flatten() {
                if shapes(found) != mine {
                    return refuse(
                        "the interrupted run had another network",
                        format!("{mine:?}"),
                        format!("{:?}", shapes(found)),
                    );
                }
            }
            if checkpoint.average.is_some() != learner.average.is_some() {
                return refuse("the interrupted run is not whole", "a running mean".into(), "none".into());
            }
            let net = Net::new(&*checkpoint.network);
            if let Err(fault) = checkpoint.moments.validate(net.parameters().len(), checkpoint.step) {
                let expected = "the optimizer's state of this network".into();
                return refuse("the interrupted run is not whole", expected, fault.into());
            }
            let average = checkpoint.average.as_ref().map(parameters);
            *learner = Learner::new(net, checkpoint.moments, average, run.settings.backbone.micro_batches());
        }
        run.step = checkpoint.step;
        Ok(run)
    }

    /// Takes one gradient step. Once [`done`](Self::done) it takes no more and answers `None`.
    ///
    /// The step is taken on rayon's pool of the calling thread, which is best one of the pool's own. Its numbers do not
    /// depend on the threads there: a batch is cut into the same parts on any number of them.
    pub fn step(&mut self) -> Option<Stepped> {
        if self.done() {
            return None;
        }
        let mut learner = self.learner.take()?;
        let which = self.order.batch(self.step, self.settings.batch);
        let loss = self.gradients(&mut learner, &which);
        let Learner { net, adam, average, parts } = &mut learner;
        let decay = self.settings.backbone.ema_decay(self.step + 1);
        let used = which.len().div_ceil(which.len().div_ceil(parts.len()));
        let arrays = StepArrays {
            parameters: vec![net.parameters_mut()],
            gradients: parts[..used].iter_mut().map(|part| vec![&mut part.gradient[..]]).collect(),
            ema: average.as_deref_mut().map(|ema| vec![ema]).zip(decay),
        };
        let TrainSettings { optimizer, lr, steps, .. } = &self.settings;
        adam.step(optimizer, optimizer.learning_rate(*lr, *steps, self.step), self.step, arrays);
        self.learner = Some(learner);
        self.step += 1;
        Some(Stepped { step: self.step, loss: loss as f32 })
    }

    /// The loss on some samples, and its gradients by parts, left with the learner.
    fn gradients(&self, learner: &mut Learner, which: &[usize]) -> f64 {
        let (net, count) = (&learner.net, self.rows.count(which));
        let seed = self.settings.seed.fork("proposals").nth(self.step);
        let cut = which.chunks(which.len().div_ceil(learner.parts.len()));
        let parts = learner.parts.iter_mut().zip(cut).enumerate();
        let train = |(k, (part, which)): (usize, (&mut Part, &[usize]))| {
            let Part { rows, room, gradient } = part;
            self.rows.gather(&self.codebook, which, rows);
            let holding = self.holding(count);
            let mut hold = |proposals: &[f32], weights: Option<&[f32]>, slopes: &mut [f32]| {
                holding.loss(rows, proposals, weights, slopes)
            };
            net.loss_and_grad(&rows.batch(count), seed.nth(k as u64), &mut hold, gradient, room)
        };
        let losses: Vec<f64> = if rayon::current_num_threads() > 1 {
            parts.collect::<Vec<_>>().into_par_iter().map(train).collect()
        } else {
            parts.map(train).collect()
        };
        losses.into_iter().sum()
    }

    /// How proposals are held in the step to come, of a batch with `count` demonstrated places.
    fn holding(&self, count: usize) -> Holding {
        let activation = self.settings.activation;
        Holding { activation, outside: slope(self.step), n_act: self.codebook.n_act(), count }
    }

    /// Whether all steps have been taken (at once, where lambda is 0 and there is nothing to train).
    pub fn done(&self) -> bool {
        self.learner.is_none() || self.step >= self.settings.steps
    }

    /// Steps taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// The settings.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// The envelope, lambda resolved.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The share of training steps that train nothing, because their memory decides alone (radius 0).
    pub fn zero_gradient_share(&self) -> f64 {
        self.rows.zero_gradient_share()
    }

    /// Episodes trained on that are shorter than what the network looks back on or proposes ahead (they are used as far as
    /// they go), and all episodes trained on.
    pub fn short_episodes(&self) -> [usize; 2] {
        self.rows.short()
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Policy {
        let backbone = match &self.learner {
            Some(Learner { net, average: Some(average), .. }) => Some(net.network_of(average)),
            Some(Learner { net, .. }) => Some(net.network()),
            None => None,
        };
        let training = TrainingRecord {
            steps: self.step,
            settings: serde_json::to_value(&self.settings).expect("settings are plain values"),
            validation_episodes: self
                .held_out
                .iter()
                .flat_map(|h| (0..h.n_episodes()).map(|k| h.number(k)))
                .collect(),
            edits: Vec::new(),
        };
        Policy::new(self.codebook.clone(), self.envelope, backbone, self.settings.neighbors)
            .expect("a run is checked when it is prepared")
            .with_calibration(self.calibration.clone())
            .with_training_record(training)
    }

    /// The error on the episodes held out, by distance to memory; `None` where none were.
    pub fn validation(&self) -> Option<Validation> {
        let seed = self.settings.seed.fork("held out actions");
        self.held_out.as_ref().map(|data| Validation::measure(&self.policy(), data, seed))
    }

    /// How far is far: the distances of all episodes to memories of other ones; `None` where there is no other one.
    pub fn calibration(&self) -> Option<&OodCalibration> {
        self.calibration.as_ref()
    }

    /// What is needed to go on later; `None` where there is nothing to train.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let Learner { net, adam, average, .. } = self.learner.as_ref()?;
        Some(Checkpoint {
            step: self.step,
            settings: self.settings.clone(),
            data: self.data.clone(),
            network: net.network(),
            average: average.as_ref().map(|average| net.network_of(average)),
            moments: adam.moments.clone(),
        })
    }
}

impl Learner {
    fn new(net: Net, moments: Moments, average: Option<Vec<f32>>, parts: usize) -> Self {
        let part = |_| Part { gradient: vec![0.0; net.parameters().len()], ..Part::default() };
        let adam = Adam::new(&[net.parameters().len()], &net.decaying(), moments);
        Self { parts: (0..parts).map(part).collect(), adam, net, average }
    }
}

/// The centers of buckets that actions are sorted into, by k-means: `[buckets, n_act]`.
fn centers(train: &Demonstrations, buckets: usize, seed: Seed) -> Result<Vec<f32>> {
    if buckets == 0 {
        return Ok(Vec::new());
    }
    kmeans(train.actions(), train.n_act(), buckets, seed).map_err(|distinct| {
        Error::new(Kind::Settings, "fewer distinct actions than buckets to sort them into")
            .at("--buckets")
            .expected(format!("at most {distinct}, the number of distinct actions trained on"))
            .found(buckets.to_string())
            .next("ask for fewer buckets, or choose another backbone")
    })
}

/// The slope of the clamp outside [-1, 1] at a step: the authors anneal it from 0.99 to 0 in ten stages of ten steps,
/// so that no output is stuck without a gradient at the start.
fn slope(step: u64) -> f32 {
    0.99 * (1.0 - (step / 10).min(10) as f32 / 10.0)
}

#[cfg(test)]
mod bet_tests;
#[cfg(test)]
mod diffusion_tests;
#[cfg(test)]
mod linear_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unet_tests;
