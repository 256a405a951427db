//! Training: supervised learning of demonstrated actions. By default a network is trained as ordinary behavior cloning,
//! `L sigma(g(x))`, and the envelope constrains it when acting ([`TrainThrough::Free`]). The paper trains the constrained action,
//! `c + r sigma(g(x))`; the memory of a training state never changes, so the box center `c` and the radius `r` are then computed
//! once, before the first step. Several networks are trained side by side as an ensemble. The caller owns the loop: it calls
//! [`Run::step`].

mod adopt;
mod buffers;
mod keep;
mod lambda;
mod learner;
mod loss;
mod settings;
mod training_set;
mod validation;
mod warnings;

pub use keep::{Keep, Lowest};
pub use lambda::Lambda;
pub use learner::LearnerState;
pub use settings::{Bagging, Distances, TrainSettings, TrainThrough};
pub use validation::{Bin, Validation};

use std::sync::Arc;

use crate::{
    backbone::Network,
    calibration::OodCalibration,
    data::Demonstrations,
    envelope::Envelope,
    error::{Error, Kind, Result},
    memory::{Codebook, kmeans_of_actions},
    policy::{ActingSettings, ConstrainAt, Policy, TrainingRecord},
    seed::Seed,
};
use buffers::StepBuffers;
use learner::{Learner, Shared, member_seed, step_all};
use training_set::{Samples, TrainingSet};

/// Parameters that a core's caches hold together with their moments and their gradient. Members of an ensemble take turns of so many
/// steps that a turn updates about this many parameters, but of no more than [`TURN`].
const CACHED_PARAMETERS: usize = 1 << 20;
/// The most steps in a turn, so that a caller that stops between turns need not wait.
const TURN: u64 = 16;

/// A training run.
pub struct Run {
    settings: TrainSettings,
    envelope: Envelope,
    codebook: Arc<Codebook>, // shared with every policy made of it
    data: String,            // content hash
    training_set: TrainingSet,
    validation_set: Option<Demonstrations>,
    calibration: Option<OodCalibration>, // of all episodes: distances do not depend on the network
    folds: Vec<Demonstrations>, // [members], the training episodes that each leaves out; empty without folds
    learners: Vec<Learner>,     // [members]; none if lambda is 0: then there is nothing to train
    buffers: StepBuffers,
    step: u64,
    lowest: Option<Lowest>,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps taken so far, with this one.
    pub step: u64,
    /// Mean squared error on the batch before the step, of the network's action or, if training goes through the envelope, of the
    /// constrained one. If diffusion predicts the noise: of the noise that the action implies. The network's own loss is added.
    /// The mean over the members of an ensemble.
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
    /// The networks with their optimizers: `[members]`.
    pub members: Vec<LearnerState>,
    /// The lowest validation loss so far. `None` if none was measured, and in checkpoints of earlier versions.
    pub lowest: Option<Lowest>,
}

impl Run {
    /// Prepares a run.
    ///
    /// # Errors
    /// If steps cannot be read from their file, the memories were learned on other data, a setting is out of range, every episode is shorter than the observation or the
    /// prediction horizon, or there are more buckets than distinct actions.
    pub fn new(data: &Demonstrations, codebook: Codebook, settings: TrainSettings) -> Result<Self> {
        let run = Self::prepare(data, codebook, settings);
        // What follows from steps that could not be read is wrong, an error included.
        data.check_readable().and(run)
    }

    fn prepare(data: &Demonstrations, codebook: Codebook, settings: TrainSettings) -> Result<Self> {
        settings.validate()?;
        let codebook = codebook.with_records_of(data)?;
        let horizons = settings.backbone.horizons();
        let whole_chunks = settings.constrain_at != ConstrainAt::Executed || !settings.is_free();
        let codebook = if horizons.prediction > 1 && whole_chunks {
            codebook.with_future_actions(data, horizons.prediction)?
        } else {
            codebook
        };
        let codebook = codebook.with_averaged_steps(data)?;
        let (train, validation_set) =
            data.split(settings.validation_fraction, settings.seed.fork("held out"));
        let lambda = lambda::lambda_of(settings.lambda, &codebook, &train)?;
        let TrainSettings { amplitude, activation, form, .. } = settings;
        let envelope = Envelope { lambda, amplitude, activation, form };
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("{lambda}, {}", settings.amplitude)));
        }
        let through = (!settings.is_free()).then_some(settings.distances);
        let training_set = TrainingSet::new(&train, &codebook, envelope, through, horizons);
        let training_set = match settings.backbone.retrieval() {
            Some(counts) if lambda > 0.0 => training_set.with_pairs(&train, &codebook, counts.train)?,
            _ => training_set,
        };
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
        let fold_of = match settings.bagging {
            Bagging::None => Vec::new(),
            Bagging::Folds => folds(&train, settings.members)?,
        };
        let folds = match fold_of.is_empty() {
            true => Vec::new(),
            false => (0..settings.members).map(|fold| select_fold(&train, &fold_of, fold)).collect(),
        };
        let mut learners = Vec::new();
        if lambda > 0.0 {
            let (n_obs, n_act) = (codebook.n_features(), codebook.n_act());
            let centers = centers(&train, settings.backbone.buckets(), settings.seed.fork("buckets"))?;
            for member in 0..settings.members {
                let seed = member_seed(settings.seed, member);
                let network = seed.fork("network");
                let start = settings.backbone.random(n_obs, &settings.hidden, n_act, &centers, network);
                let samples = if fold_of.is_empty() {
                    Samples::All(training_set.n)
                } else {
                    Samples::Some(training_set.samples_without_fold(member, &fold_of))
                };
                learners.push(Learner::new(&start, &settings, samples, seed));
            }
        }
        let calibration = OodCalibration::leave_one_episode_out(&codebook, data);
        let data = data.fingerprint();
        let run = Self {
            settings,
            envelope,
            codebook: codebook.into(),
            data,
            training_set,
            validation_set,
            calibration,
            folds,
            learners,
            buffers: StepBuffers::default(),
            step: 0,
            lowest: None,
        };
        run.check_keep()?;
        Ok(run)
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
            return refuse(&format!("the interrupted run was started with another {name}"), was, is);
        }
        if checkpoint.step > run.settings.steps {
            return refuse(
                "the interrupted run is already further",
                format!("at most {} steps", run.settings.steps),
                format!("{} steps", checkpoint.step),
            );
        }
        if checkpoint.members.len() != run.learners.len() {
            let [expected, found] = [run.learners.len(), checkpoint.members.len()].map(|n| n.to_string());
            return refuse("the interrupted run had another number of networks", expected, found);
        }
        for (learner, network) in
            run.learners.iter().zip(checkpoint.lowest.iter().flat_map(|lowest| &lowest.networks))
        {
            if let Err([what, expected, found]) = learner.check_shapes(network) {
                return refuse(&what, expected, found);
            }
        }
        for (learner, state) in run.learners.iter_mut().zip(checkpoint.members) {
            if let Err([what, expected, found]) = learner.restore(state, checkpoint.step) {
                return refuse(&what, expected, found);
            }
        }
        run.step = checkpoint.step;
        run.lowest = checkpoint.lowest;
        Ok(run)
    }

    /// The error of the first step that could not be read, where demonstrations stay in their file, or of a file that was changed. While
    /// it is not `Ok`, no network, loss or checkpoint of this run may be used.
    ///
    /// # Errors
    /// As [`Demonstrations::check_readable`].
    pub fn check_readable(&self) -> Result<()> {
        self.training_set.check_readable()
    }

    /// Takes one gradient step of every member. Returns `None` once the run is [`done`](Self::done), and if demonstrations could not be
    /// read ([`check_readable`](Self::check_readable)).
    ///
    /// Members and micro-batches run on rayon's pool of the calling thread, best called from within that pool. The result does
    /// not depend on the number of threads.
    pub fn step(&mut self) -> Option<Stepped> {
        self.steps(1)?.pop()
    }

    /// Takes gradient steps of every member, at most `most`: what as many calls of [`step`](Self::step) return and do, in less time
    /// for an ensemble. Fewer at the end of the run, and of large networks one. Returns `None` where `step` does.
    pub fn steps(&mut self, most: u64) -> Option<Vec<Stepped>> {
        if self.done() || self.training_set.is_unreadable() {
            return None;
        }
        let turn = (CACHED_PARAMETERS / self.learners[0].net.parameters().len().max(1)) as u64;
        let count = most.min(turn.clamp(1, TURN)).min(self.settings.steps - self.step);
        let Self { training_set, codebook, settings, buffers, step, learners, .. } = self;
        let stepped =
            step_all(learners, &Shared { training_set, codebook, settings, buffers, step: *step }, count);
        self.step += count;
        (!self.training_set.is_unreadable()).then_some(stepped)
    }

    /// Whether all steps have been taken. True from the start if lambda is 0, because there is nothing to train.
    pub fn done(&self) -> bool {
        self.learners.is_empty() || self.step >= self.settings.steps
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

    /// The policy: of the current networks, or with [`Keep::Best`] of the best so far.
    pub fn policy(&self) -> Policy {
        let (steps, networks) = self.kept();
        let training = TrainingRecord {
            steps,
            settings: serde_json::to_value(&self.settings).expect("settings are plain values"),
            validation_episodes: self
                .validation_set
                .iter()
                .flat_map(|set| (0..set.n_episodes()).map(|k| set.number(k)))
                .collect(),
            edits: Vec::new(),
        };
        self.policy_of(networks).with_calibration(self.calibration.clone()).with_training_record(training)
    }

    /// A policy of some networks.
    fn policy_of(&self, networks: Vec<Network>) -> Policy {
        let TrainSettings { neighbors, constrain_at, combine, .. } = self.settings;
        let acting =
            ActingSettings { envelope: self.envelope, neighbors, constrain_at, combine, retrieved: None };
        Policy::ensemble(self.codebook.clone(), networks, acting)
            .expect("a run is checked when it is prepared")
    }

    /// The error of [`policy`](Self::policy) on the validation episodes, by distance to memory. Without validation episodes but with folds: of every member on
    /// the episodes that it left out. `None` if there is neither.
    pub fn validation(&self) -> Option<Validation> {
        self.validation_of(&self.kept().1)
    }

    fn validation_of(&self, networks: &[Network]) -> Option<Validation> {
        let seed = self.settings.seed.fork("held out actions");
        let parts: Vec<(Policy, &Demonstrations)> = match &self.validation_set {
            Some(data) => vec![(self.policy_of(networks.to_vec()), data)],
            None => networks
                .iter()
                .map(|network| self.policy_of(vec![network.clone()]))
                .zip(&self.folds)
                .collect(),
        };
        let acts_alone = self.settings.is_free() || self.envelope.lambda == f32::INFINITY;
        (!parts.is_empty()).then(|| Validation::measure(&parts, acts_alone, seed))
    }

    /// The distances of all episodes to memories of other ones. `None` if there is one episode only.
    pub fn calibration(&self) -> Option<&OodCalibration> {
        self.calibration.as_ref()
    }

    /// The state from which the run can be resumed. `None` if there is nothing to train.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        (!self.learners.is_empty()).then(|| Checkpoint {
            step: self.step,
            settings: self.settings.clone(),
            data: self.data.clone(),
            codebook: Some(self.codebook.fingerprint()),
            members: self.learners.iter().map(Learner::state).collect(),
            lowest: self.lowest.clone(),
        })
    }
}

/// The fold of every episode: distinct episodes are dealt in turn; those that coincide are in one fold.
fn folds(train: &Demonstrations, count: usize) -> Result<Vec<usize>> {
    let groups = train.groups();
    let episodes = groups.len();
    if count > episodes {
        return Err(Error::new(Kind::Settings, "more folds than distinct training episodes")
            .at("--members, --bagging folds")
            .expected(format!("at most {episodes} members, one for every training episode"))
            .found(count.to_string())
            .next("ask for fewer members, or leave --bagging out"));
    }
    Ok(groups.ordinals().into_iter().map(|group| group % count).collect())
}

/// The episodes of a fold.
fn select_fold(train: &Demonstrations, folds: &[usize], fold: usize) -> Demonstrations {
    train.select(&(0..folds.len()).filter(|&k| folds[k] == fold).collect::<Vec<_>>())
}

/// The centers of the action buckets, by k-means: `[buckets, n_act]`.
fn centers(train: &Demonstrations, buckets: usize, seed: Seed) -> Result<Vec<f32>> {
    if buckets == 0 {
        return Ok(Vec::new());
    }
    kmeans_of_actions(train, buckets, seed).map_err(|distinct| {
        Error::new(Kind::Settings, "fewer distinct actions than buckets")
            .at("--buckets")
            .expected(format!("at most {distinct}, the number of distinct actions trained on"))
            .found(buckets.to_string())
            .next("ask for fewer buckets, or choose another backbone")
    })
}

#[cfg(test)]
mod bet_tests;
#[cfg(test)]
mod diffusion_tests;
#[cfg(test)]
mod ensemble_tests;
#[cfg(test)]
mod linear_tests;
#[cfg(test)]
mod streaming_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unet_tests;
