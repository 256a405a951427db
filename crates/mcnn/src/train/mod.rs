//! Training: supervised learning of `c + r sigma(g(x))` from demonstrated actions. The memory of a training state never changes,
//! so the box center `c` and the radius `r` are computed once, before the first step. The caller owns the loop: it calls
//! [`Run::step`].

mod loss;
mod settings;
mod training_set;
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
use loss::ConstrainedLoss;
use training_set::{BatchSampler, MiniBatch, TrainingSet};

/// A training run.
pub struct Run {
    settings: TrainSettings,
    envelope: Envelope,
    codebook: Codebook,
    data: String, // content hash
    training_set: TrainingSet,
    validation_set: Option<Demonstrations>,
    calibration: Option<OodCalibration>, // of all episodes: distances do not depend on the network
    sampler: BatchSampler,
    learner: Option<Learner>, // none if lambda is 0: then there is nothing to train
    step: u64,
}

/// The network and its optimizer.
struct Learner {
    net: Net,
    adam: Adam,
    ema: Option<Vec<f32>>, // of the parameters, if one is taken: it acts
    micro_batches: Vec<MicroBatch>,
}

/// Buffers of a micro-batch.
#[derive(Default)]
struct MicroBatch {
    rows: MiniBatch,
    workspace: Workspace,
    grad: Vec<f32>,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps taken so far, with this one.
    pub step: u64,
    /// Mean squared error of the constrained action on the batch, before the step. If diffusion predicts the noise: of the noise
    /// that the constrained action implies. The network's own loss is added.
    pub loss: f32,
}

/// The state of a run, from which it can be resumed with the same data and codebook.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Steps taken.
    pub step: u64,
    /// The settings of the run.
    pub settings: TrainSettings,
    /// Content hash of the data.
    pub data: String,
    /// Content hash of the codebook ([`Codebook::fingerprint`]); `None` in checkpoints of earlier versions.
    pub codebook: Option<String>,
    /// The network.
    pub network: Network,
    /// The EMA of its weights, if one is taken.
    pub ema: Option<Network>,
    /// The state of the optimizer.
    pub moments: Moments,
}

impl Run {
    /// Prepares a run.
    ///
    /// # Errors
    /// If the memories were learned on other data, a setting is out of range, every episode is shorter than the observation or the
    /// prediction horizon, or there are more buckets than distinct actions.
    pub fn new(data: &Demonstrations, codebook: Codebook, settings: TrainSettings) -> Result<Self> {
        settings.validate()?;
        codebook.check_data(data)?;
        let horizons = settings.backbone.horizons();
        let codebook = if horizons.prediction > 1 {
            codebook.with_future_actions(data, horizons.prediction)?
        } else {
            codebook
        };
        let (train, validation_set) =
            data.split(settings.validation_fraction, settings.seed.fork("held out"));
        let lambda = match settings.lambda {
            Lambda::Value(lambda) => lambda,
            Lambda::Auto => settings::auto_lambda(&codebook, &train)?,
        };
        let envelope = Envelope { lambda, amplitude: settings.amplitude, activation: settings.activation };
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("{lambda}, {}", settings.amplitude)));
        }
        let training_set = TrainingSet::new(&train, &codebook, envelope, settings.distances, horizons);
        if let [short, all] = training_set.short_episodes()
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
            let ema = settings.backbone.ema_decay(1).map(|_| net.parameters().to_vec());
            let moments = Moments::zeros(net.parameters().len());
            Some(Learner::new(net, moments, ema, settings.backbone.micro_batches()))
        };
        let sampler = BatchSampler::new(training_set.n, settings.seed.fork("order"));
        let calibration = OodCalibration::leave_one_episode_out(&codebook, data);
        let data = data.fingerprint();
        Ok(Self {
            settings,
            envelope,
            codebook,
            data,
            training_set,
            validation_set,
            calibration,
            sampler,
            learner,
            step: 0,
        })
    }

    /// Prepares a run that resumes from a checkpoint. It ends with the same bytes as an uninterrupted run.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the checkpoint is of other data, memories or settings (the number of steps may differ unless
    /// the learning rate depends on it), or has more steps than the settings.
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
        let memories = run.codebook.fingerprint();
        if let Some(was) = checkpoint.codebook.filter(|was| *was != memories) {
            return refuse("the interrupted run had other memories", was, memories);
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
            for found in [Some(&checkpoint.network), checkpoint.ema.as_ref()].into_iter().flatten() {
                if shapes(found) != mine {
                    return refuse(
                        "the interrupted run had another network",
                        format!("{mine:?}"),
                        format!("{:?}", shapes(found)),
                    );
                }
            }
            if checkpoint.ema.is_some() != learner.ema.is_some() {
                return refuse(
                    "the interrupted run is not whole",
                    "an EMA of the weights".into(),
                    "none".into(),
                );
            }
            let net = Net::new(&*checkpoint.network);
            if let Err(fault) = checkpoint.moments.validate(net.parameters().len(), checkpoint.step) {
                let expected = "the optimizer's state of this network".into();
                return refuse("the interrupted run is not whole", expected, fault.into());
            }
            let ema = checkpoint.ema.as_ref().map(parameters);
            *learner = Learner::new(net, checkpoint.moments, ema, run.settings.backbone.micro_batches());
        }
        run.step = checkpoint.step;
        Ok(run)
    }

    /// Takes one gradient step. Returns `None` once the run is [`done`](Self::done).
    ///
    /// Micro-batches run on rayon's pool of the calling thread, best called from within that pool. The result does not depend on
    /// the number of threads.
    pub fn step(&mut self) -> Option<Stepped> {
        if self.done() {
            return None;
        }
        let mut learner = self.learner.take()?;
        let which = self.sampler.batch(self.step, self.settings.batch);
        let loss = self.gradients(&mut learner, &which);
        let Learner { net, adam, ema, micro_batches } = &mut learner;
        let decay = self.settings.backbone.ema_decay(self.step + 1);
        let used = which.len().div_ceil(which.len().div_ceil(micro_batches.len()));
        let arrays = StepArrays {
            parameters: vec![net.parameters_mut()],
            gradients: micro_batches[..used].iter_mut().map(|micro| vec![&mut micro.grad[..]]).collect(),
            ema: ema.as_deref_mut().map(|ema| vec![ema]).zip(decay),
        };
        let TrainSettings { optimizer, lr, steps, .. } = &self.settings;
        adam.step(optimizer, optimizer.learning_rate(*lr, *steps, self.step), self.step, arrays);
        self.learner = Some(learner);
        self.step += 1;
        Some(Stepped { step: self.step, loss: loss as f32 })
    }

    /// The loss on some samples. Leaves its gradient with the micro-batches.
    fn gradients(&self, learner: &mut Learner, which: &[usize]) -> f64 {
        let (net, count) = (&learner.net, self.training_set.count(which));
        let seed = self.settings.seed.fork("proposals").nth(self.step);
        let chunks = which.chunks(which.len().div_ceil(learner.micro_batches.len()));
        let micro_batches = learner.micro_batches.iter_mut().zip(chunks).enumerate();
        let train = |(k, (micro, which)): (usize, (&mut MicroBatch, &[usize]))| {
            let MicroBatch { rows, workspace, grad } = micro;
            self.training_set.gather(&self.codebook, which, rows);
            let loss = self.loss(count);
            let mut loss_fn = |outputs: &[f32], weights: Option<&[f32]>, output_grad: &mut [f32]| {
                loss.loss_and_grad(rows, outputs, weights, output_grad)
            };
            net.loss_and_grad(&rows.batch(count), seed.nth(k as u64), &mut loss_fn, grad, workspace)
        };
        let losses: Vec<f64> = if rayon::current_num_threads() > 1 {
            micro_batches.collect::<Vec<_>>().into_par_iter().map(train).collect()
        } else {
            micro_batches.map(train).collect()
        };
        losses.into_iter().sum()
    }

    /// The loss of the next step. `count`: demonstrated target steps of the batch.
    fn loss(&self, count: usize) -> ConstrainedLoss {
        let activation = self.settings.activation;
        ConstrainedLoss {
            activation,
            outside_slope: outside_slope(self.step),
            n_act: self.codebook.n_act(),
            count,
        }
    }

    /// Whether all steps have been taken. True from the start if lambda is 0, because there is nothing to train.
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

    /// The envelope, with the value of lambda.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The share of training steps with zero gradient, because the radius of their box is 0.
    pub fn zero_gradient_share(&self) -> f64 {
        self.training_set.zero_gradient_share()
    }

    /// Training episodes that are shorter than the observation or the prediction horizon, and all training episodes. Short ones
    /// are used, with masked steps.
    pub fn short_episodes(&self) -> [usize; 2] {
        self.training_set.short_episodes()
    }

    /// The current policy.
    pub fn policy(&self) -> Policy {
        let backbone = match &self.learner {
            Some(Learner { net, ema: Some(ema), .. }) => Some(net.network_of(ema)),
            Some(Learner { net, .. }) => Some(net.network()),
            None => None,
        };
        let training = TrainingRecord {
            steps: self.step,
            settings: serde_json::to_value(&self.settings).expect("settings are plain values"),
            validation_episodes: self
                .validation_set
                .iter()
                .flat_map(|set| (0..set.n_episodes()).map(|k| set.number(k)))
                .collect(),
            edits: Vec::new(),
        };
        Policy::new(self.codebook.clone(), self.envelope, backbone, self.settings.neighbors)
            .expect("a run is checked when it is prepared")
            .with_calibration(self.calibration.clone())
            .with_training_record(training)
    }

    /// The error on the validation episodes, by distance to memory. `None` if there are none.
    pub fn validation(&self) -> Option<Validation> {
        let seed = self.settings.seed.fork("held out actions");
        self.validation_set.as_ref().map(|data| Validation::measure(&self.policy(), data, seed))
    }

    /// The distances of all episodes to memories of other ones. `None` if there is one episode only.
    pub fn calibration(&self) -> Option<&OodCalibration> {
        self.calibration.as_ref()
    }

    /// The state from which the run can be resumed. `None` if there is nothing to train.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let Learner { net, adam, ema, .. } = self.learner.as_ref()?;
        Some(Checkpoint {
            step: self.step,
            settings: self.settings.clone(),
            data: self.data.clone(),
            codebook: Some(self.codebook.fingerprint()),
            network: net.network(),
            ema: ema.as_ref().map(|ema| net.network_of(ema)),
            moments: adam.moments.clone(),
        })
    }
}

impl Learner {
    fn new(net: Net, moments: Moments, ema: Option<Vec<f32>>, micro_batches: usize) -> Self {
        let micro_batch = |_| MicroBatch { grad: vec![0.0; net.parameters().len()], ..MicroBatch::default() };
        let adam = Adam::new(&[net.parameters().len()], &net.decaying(), moments);
        Self { micro_batches: (0..micro_batches).map(micro_batch).collect(), adam, net, ema }
    }
}

/// The centers of the action buckets, by k-means: `[buckets, n_act]`.
fn centers(train: &Demonstrations, buckets: usize, seed: Seed) -> Result<Vec<f32>> {
    if buckets == 0 {
        return Ok(Vec::new());
    }
    kmeans(train.actions(), train.n_act(), buckets, seed).map_err(|distinct| {
        Error::new(Kind::Settings, "fewer distinct actions than buckets")
            .at("--buckets")
            .expected(format!("at most {distinct}, the number of distinct actions trained on"))
            .found(buckets.to_string())
            .next("ask for fewer buckets, or choose another backbone")
    })
}

/// The slope of the clamp outside [-1, 1] at a step. As in the code of Sridhar et al., it is annealed from 0.99 to 0 in ten
/// stages of ten steps, so that outputs that start outside have a gradient.
fn outside_slope(step: u64) -> f32 {
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
