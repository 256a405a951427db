//! A network in training with its optimizer: the only one, or a member of an ensemble.

use rayon::prelude::*;

use super::{
    Stepped, TrainSettings,
    buffers::StepBuffers,
    loss::ConstrainedLoss,
    training_set::{BatchSampler, Samples, TrainingSet},
};
use crate::{
    backbone::{Net, Network},
    memory::Codebook,
    optimizer::{Adam, Moments, StepArrays},
    seed::Seed,
};

/// A network and its optimizer.
pub struct Learner {
    pub(super) net: Net,
    pub(super) adam: Adam,
    pub(super) ema: Option<Vec<f32>>, // of the parameters, if one is taken: it acts
    pub(super) micro_batches: usize,  // at most so many of a batch
    pub(super) sampler: BatchSampler,
    pub(super) seed: Seed, // of the random choices in its steps
}

/// The state of a learner, from which it can continue.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnerState {
    /// The network.
    pub network: Network,
    /// The EMA of its weights, if one is taken.
    pub ema: Option<Network>,
    /// The state of the optimizer.
    pub moments: Moments,
}

/// What the learners of a run have in common.
pub struct Shared<'a> {
    pub training_set: &'a TrainingSet,
    pub codebook: &'a Codebook,
    pub settings: &'a TrainSettings,
    pub buffers: &'a StepBuffers,
    pub step: u64, // steps taken
}

impl Shared<'_> {
    /// The loss of the next step. `count`: demonstrated target steps of the batch.
    pub fn loss(&self, count: usize) -> ConstrainedLoss {
        ConstrainedLoss {
            activation: self.settings.activation,
            outside_slope: if self.settings.backbone.saturates() { outside_slope(self.step) } else { 1.0 },
            n_act: self.codebook.n_act(),
            count,
        }
    }
}

/// The seed of a member. That of the first one is the run's, so a single network does not depend on whether it is a member.
pub fn member_seed(seed: Seed, member: usize) -> Seed {
    if member == 0 { seed } else { seed.fork("member").nth(member as u64) }
}

impl Learner {
    /// Starts with a random network. `seed`: the member's.
    pub fn new(start: &Network, settings: &TrainSettings, samples: Samples, seed: Seed) -> Self {
        let net = Net::new(&**start);
        let ema = settings.backbone.ema_decay(1).map(|_| net.parameters().to_vec());
        let moments = Moments::zeros(net.parameters().len());
        let adam = Adam::new(&[net.parameters().len()], &net.decaying(), moments);
        let micro_batches = settings.backbone.micro_batches(settings.batch);
        let sampler = BatchSampler::new(samples, seed.fork("order"));
        Self { micro_batches, adam, net, ema, sampler, seed: seed.fork("proposals") }
    }

    /// Continues from a state.
    ///
    /// # Errors
    /// If it is not one of this network after `steps` steps: what is wrong, what was expected, what was found.
    pub fn restore(&mut self, state: LearnerState, steps: u64) -> Result<(), [String; 3]> {
        for found in [Some(&state.network), state.ema.as_ref()].into_iter().flatten() {
            self.check_shapes(found)?;
        }
        let not_whole = |expected: &str, found: &str| {
            Err(["the interrupted run is not whole".into(), expected.into(), found.into()])
        };
        if state.ema.is_some() != self.ema.is_some() {
            return not_whole("an EMA of the weights", "none");
        }
        let net = Net::new(&*state.network);
        if let Err(fault) = state.moments.validate(net.parameters().len(), steps) {
            return not_whole("the optimizer's state of this network", fault);
        }
        self.ema = state.ema.as_ref().map(|ema| Net::new(&**ema).parameters().to_vec());
        self.adam = Adam::new(&[net.parameters().len()], &net.decaying(), state.moments);
        self.net = net;
        Ok(())
    }

    /// Refuses a network with other shapes than this one's: what is wrong, what was expected, what was found.
    pub fn check_shapes(&self, found: &Network) -> Result<(), [String; 3]> {
        let shapes = |network: &Network| -> Vec<(String, Vec<usize>)> {
            network.save_tensors().into_iter().map(|(name, (shape, _))| (name, shape)).collect()
        };
        let (mine, found) = (shapes(&self.net.network()), shapes(found));
        if found == mine {
            return Ok(());
        }
        Err(["the interrupted run had another network".into(), format!("{mine:?}"), format!("{found:?}")])
    }

    /// Takes some gradient steps. Returns the loss before each.
    fn steps(&mut self, shared: &Shared, count: u64) -> Vec<f64> {
        let mut step = |step: u64| {
            let shared = &Shared { step, ..*shared };
            shared.buffers.gradients.with(|gradients| {
                let which = self.sampler.batch(step, shared.settings.batch);
                let loss = self.gradients(shared, &which, gradients);
                self.update(shared, gradients);
                loss
            })
        };
        (shared.step..shared.step + count).map(&mut step).collect()
    }

    /// The loss on some samples, and its gradient: the sum of those of the micro-batches, `[micro-batches][parameters]`.
    pub(super) fn gradients(&self, shared: &Shared, which: &[usize], gradients: &mut Vec<Vec<f32>>) -> f64 {
        let Shared { training_set, codebook, buffers, step, .. } = *shared;
        let (net, count) = (&self.net, training_set.count(which));
        let seed = self.seed.nth(step);
        let loss = shared.loss(count);
        let chunks = which.chunks(which.len().div_ceil(self.micro_batches));
        gradients.resize_with(chunks.len(), Vec::new);
        let micro_batches = gradients.iter_mut().zip(chunks).enumerate();
        let train = |(k, (grad, which)): (usize, (&mut Vec<f32>, &[usize]))| {
            buffers.micro_batches.with(|(rows, workspace)| {
                let seed = seed.nth(k as u64);
                training_set.gather(codebook, which, seed.fork("pairs"), rows);
                let mut loss_fn = |outputs: &[f32], weights: Option<&[f32]>, output_grad: &mut [f32]| {
                    loss.loss_and_grad(rows, outputs, weights, output_grad)
                };
                grad.resize(net.parameters().len(), 0.0);
                net.loss_and_grad(&rows.batch(count), seed, &mut loss_fn, grad, workspace)
            })
        };
        let losses: Vec<f64> = if rayon::current_num_threads() > 1 {
            micro_batches.collect::<Vec<_>>().into_par_iter().map(train).collect()
        } else {
            micro_batches.map(train).collect()
        };
        losses.into_iter().sum()
    }

    /// Updates the parameters by the gradients of the micro-batches.
    fn update(&mut self, Shared { settings, step, .. }: &Shared, gradients: &mut [Vec<f32>]) {
        let decay = settings.backbone.ema_decay(step + 1);
        let arrays = StepArrays {
            parameters: vec![self.net.parameters_mut()],
            gradients: gradients.iter_mut().map(|gradient| vec![&mut gradient[..]]).collect(),
            ema: self.ema.as_deref_mut().map(|ema| vec![ema]).zip(decay),
        };
        let rate = settings.optimizer.learning_rate(settings.lr, settings.steps, *step);
        self.adam.step(&settings.optimizer, rate, *step, arrays);
    }

    /// The network that acts: with the EMA of the weights, if one is taken.
    pub fn network(&self) -> Network {
        self.ema.as_ref().map_or_else(|| self.net.network(), |ema| self.net.network_of(ema))
    }

    /// The state from which it can continue.
    pub fn state(&self) -> LearnerState {
        LearnerState {
            network: self.net.network(),
            ema: self.ema.as_ref().map(|ema| self.net.network_of(ema)),
            moments: self.adam.moments.clone(),
        }
    }
}

/// Steps of all learners, `count` of them; the mean of their losses in each. Learners and their micro-batches share the threads of rayon's pool.
/// A learner takes all its steps in one turn, so that its parameters and the optimizer's moments stay in a core's cache.
pub fn step_all(learners: &mut [Learner], shared: &Shared, count: u64) -> Vec<Stepped> {
    let losses: Vec<Vec<f64>> = if learners.len() > 1 && rayon::current_num_threads() > 1 {
        learners.par_iter_mut().map(|learner| learner.steps(shared, count)).collect()
    } else {
        learners.iter_mut().map(|learner| learner.steps(shared, count)).collect()
    };
    let mean = |k: usize| losses.iter().map(|of| of[k]).sum::<f64>() / losses.len() as f64;
    (0..count).map(|k| Stepped { step: shared.step + k + 1, loss: mean(k as usize) as f32 }).collect()
}

/// The slope of the clamp outside [-1, 1] at a step. As in the code of Sridhar et al., it is annealed from 0.99 to 0 in ten
/// stages of ten steps, so that outputs that start outside have a gradient.
pub(super) fn outside_slope(step: u64) -> f32 {
    0.99 * (1.0 - (step / 10).min(10) as f32 / 10.0)
}
