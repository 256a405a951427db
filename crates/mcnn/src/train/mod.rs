//! Training: ordinary supervised learning of `c + r sigma(g(x))` against the demonstrated action. The nearest memory of
//! a training state never changes, so `c` and `r` are computed once, before the first step. The caller owns the loop:
//! a [`Run`] is stepped, and each step returns what happened.

mod held_out;
mod optimiser;
mod rows;
mod settings;

pub use held_out::{Bin, HeldOut};
pub use settings::{Distances, Lambda, TrainSettings};

use burn::{
    optim::ModuleOptimizer,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    backbone::{Batch, Net, Proposed, Tape},
    data::Demonstrations,
    envelope::{Activation, Envelope},
    error::{Error, Kind, Result},
    gauge::Gauge,
    memory::{Codebook, kmeans},
    policy::{Backbone, Origin, Policy},
    seed::Seed,
};
use rows::{Gathered, Order, Rows};

/// A training run: stepped by its caller, and at any step a policy.
pub struct Run {
    settings: TrainSettings,
    envelope: Envelope,
    codebook: Codebook,
    data: String, // fingerprint
    rows: Rows,
    held_out: Option<Demonstrations>,
    gauge: Option<Gauge>, // of all episodes: no network has a part in a distance
    order: Order,
    net: Option<Net>, // none while lambda is 0: no proposal counts, so there is nothing to train
    average: Option<Backbone>, // the running mean of the network's weights, where one is kept: it acts
    optimiser: ModuleOptimizer,
    device: Device,
    step: u64,
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
    pub network: Backbone,
    /// The running mean of its weights, where one is kept.
    pub average: Option<Backbone>,
    /// The optimiser's state, in Burn's record format.
    pub optimiser: Vec<u8>,
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
        let span = settings.backbone.span();
        let codebook = if span.horizon > 1 { codebook.with_following(data, span.horizon)? } else { codebook };
        let (train, held_out) = data.split(settings.check_on, settings.seed.fork("held out"));
        let lambda = match settings.lambda {
            Lambda::Value(lambda) => lambda,
            Lambda::Auto => settings::auto(&codebook, &train)?,
        };
        let envelope = Envelope { lambda, l: settings.l, activation: settings.activation };
        if let Some(fault) = envelope.fault() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --l")
                .found(format!("{lambda}, {}", settings.l)));
        }
        let rows = Rows::new(&train, &codebook, envelope, settings.distances, span);
        if let [short, all] = rows.short()
            && short == all
        {
            return Err(Error::new(Kind::Data, "no episode is long enough for this network")
                .expected(format!("an episode of {} steps or more", span.window.max(span.horizon)))
                .found(format!("{all} shorter ones"))
                .next("choose a shorter window or horizon, or another backbone"));
        }
        let device = Device::flex().autodiff();
        let start = if lambda == 0.0 {
            Backbone::Nothing
        } else {
            let (n_obs, n_act) = (codebook.n_obs(), codebook.n_act());
            let centres = centres(&train, settings.backbone.buckets(), settings.seed.fork("buckets"))?;
            settings.backbone.random(n_obs, &settings.hidden, n_act, &centres, settings.seed.fork("network"))
        };
        let net = Net::new(&start, &device);
        let average = (net.is_some() && settings.backbone.kept(1).is_some()).then_some(start);
        let order = Order::new(rows.n, settings.seed.fork("order"));
        let optimiser = optimiser::of(&settings.optimiser, net.as_ref());
        let gauge = Gauge::leave_one_out(&codebook, data);
        let data = data.fingerprint();
        Ok(Self {
            settings,
            envelope,
            codebook,
            data,
            rows,
            held_out,
            gauge,
            order,
            net,
            average,
            optimiser,
            device,
            step: 0,
        })
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
        if let Some(net) = &mut run.net {
            let shapes = |backbone: &Backbone| -> Vec<(String, Vec<usize>)> {
                backbone.arrays().into_iter().map(|(name, (shape, _))| (name, shape)).collect()
            };
            let mine = shapes(&net.numbers());
            for found in [Some(&checkpoint.network), checkpoint.average.as_ref()].into_iter().flatten() {
                if shapes(found) != mine {
                    return refuse(
                        "the interrupted run had another network",
                        format!("{mine:?}"),
                        format!("{:?}", shapes(found)),
                    );
                }
            }
            if checkpoint.average.is_some() != run.average.is_some() {
                return refuse("the interrupted run is not whole", "a running mean".into(), "none".into());
            }
            *net = Net::new(&checkpoint.network, &run.device).expect("a network of those shapes");
            run.average = checkpoint.average;
            let settings = &run.settings.optimiser;
            run.optimiser = optimiser::restored(settings, net, checkpoint.step, checkpoint.optimiser)?;
        }
        run.step = checkpoint.step;
        Ok(run)
    }

    /// Takes one gradient step. Once [`done`](Self::done) it takes no more and answers `None`.
    ///
    /// The step is taken on rayon's pool of the calling thread. Its numbers do not depend on the threads there; at the
    /// sizes of the method one is fastest (256 x 256: 1.5 ms a step on one thread, 2.0 on two).
    pub fn step(&mut self) -> Option<Stepped> {
        if self.done() {
            return None;
        }
        let net = self.net.take()?;
        let which = self.order.batch(self.step, self.settings.batch);
        let (loss, tape) = self.loss(&net, &which);
        let net = self.descend(net, &loss, tape);
        if let (Some(average), Some(kept)) = (&mut self.average, self.settings.backbone.kept(self.step)) {
            average.blend(&net.numbers(), kept as f32);
        }
        self.net = Some(net);
        Some(Stepped { step: self.step, loss: loss.into_scalar::<f32>() })
    }

    /// Takes the step downhill from a loss.
    fn descend(&mut self, net: Net, loss: &Tensor<1>, tape: Option<Tape>) -> Net {
        let gradients = net.gradients(loss, tape);
        let gradients = optimiser::clipped(gradients, &net, self.settings.optimiser.clip);
        let net = self.optimiser.step(optimiser::rate(&self.settings, self.step), net, gradients);
        self.step += 1;
        net
    }

    /// The loss on some samples, and the way back from their proposals where the network has one of its own.
    fn loss(&self, net: &Net, which: &[usize]) -> (Tensor<1>, Option<Tape>) {
        let rows = self.rows.gather(&self.codebook, which);
        let seed = self.settings.seed.fork("proposals").nth(self.step);
        self.held_loss(net.propose(self.batch(&rows), seed), &rows)
    }

    /// What a network is asked of some samples.
    fn batch<'a>(&self, rows: &'a Gathered) -> Batch<'a> {
        let observations = self.tensor(&rows.observations, self.codebook.n_obs());
        Batch { observations, actions: &rows.targets, real: &rows.real }
    }

    /// The loss of given proposals: the mean squared error of what is held of them, over the places that were demonstrated,
    /// and the network's own.
    fn held_loss(&self, proposed: Proposed, rows: &Gathered) -> (Tensor<1>, Option<Tape>) {
        let Proposed { proposal, weights, own, tape } = proposed;
        let n_act = self.codebook.n_act();
        let activated = activate(proposal, self.settings.activation, slope(self.step));
        let action = self.tensor(&rows.anchors, n_act) + self.tensor(&rows.radii, 1) * activated;
        let mut squares = (action - self.tensor(&rows.targets, n_act)).square();
        if let Some(weights) = weights {
            squares = squares * weights;
        }
        let real = rows.real.iter().filter(|real| **real).count();
        let held = if real == rows.real.len() {
            squares.mean()
        } else {
            let counts: Vec<f32> = rows.real.iter().map(|real| f32::from(u8::from(*real))).collect();
            (squares * self.tensor(&counts, 1)).sum() / (real * n_act) as f32
        };
        let loss = match own {
            Some(own) => held + own,
            None => held,
        };
        (loss, tape)
    }

    /// Rows of numbers as a tensor.
    fn tensor(&self, values: &[f32], width: usize) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / width, width]), &self.device)
    }

    /// Whether all steps have been taken (at once, where lambda is 0 and there is nothing to train).
    pub fn done(&self) -> bool {
        self.net.is_none() || self.step >= self.settings.steps
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
    pub fn idle_share(&self) -> f64 {
        self.rows.idle_share()
    }

    /// Episodes trained on that are shorter than what the network looks back on or proposes ahead (they are used as far as
    /// they go), and all episodes trained on.
    pub fn short_episodes(&self) -> [usize; 2] {
        self.rows.short()
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Policy {
        let backbone = match (&self.average, &self.net) {
            (Some(average), _) => average.clone(),
            (None, Some(net)) => net.numbers(),
            (None, None) => Backbone::Nothing,
        };
        let origin = Origin {
            steps: self.step,
            settings: serde_json::to_value(&self.settings).expect("settings are plain values"),
            held_out: self.held_out.iter().flat_map(|h| (0..h.n_episodes()).map(|k| h.number(k))).collect(),
            edits: Vec::new(),
        };
        Policy::new(self.codebook.clone(), self.envelope, backbone, self.settings.neighbours)
            .expect("a run is checked when it is prepared")
            .with_gauge(self.gauge.clone())
            .with_origin(origin)
    }

    /// The error on the episodes held out, by distance to memory; `None` where none were.
    pub fn held_out(&self) -> Option<HeldOut> {
        let seed = self.settings.seed.fork("held out actions");
        self.held_out.as_ref().map(|data| HeldOut::measure(&self.policy(), data, seed))
    }

    /// How far is far: the distances of all episodes to memories of other ones; `None` where there is no other one.
    pub fn gauge(&self) -> Option<&Gauge> {
        self.gauge.as_ref()
    }

    /// What is needed to go on later; `None` where there is nothing to train.
    ///
    /// # Errors
    /// If the optimiser's state cannot be written down.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Some(net) = &self.net else { return Ok(None) };
        let optimiser = self.optimiser.into_bytes().map_err(|e| {
            Error::new(Kind::File, "the optimiser's state cannot be written down").found(e.to_string())
        })?;
        Ok(Some(Checkpoint {
            step: self.step,
            settings: self.settings.clone(),
            data: self.data.clone(),
            network: net.numbers(),
            average: self.average.clone(),
            optimiser: optimiser.to_vec(),
        }))
    }
}

/// The centres of buckets that actions are sorted into, by k-means: `[buckets, n_act]`.
fn centres(train: &Demonstrations, buckets: usize, seed: Seed) -> Result<Vec<f32>> {
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

/// sigma on a batch. The clamp has slope `slope` outside [-1, 1]: clamp(u) + slope (u - clamp(u)).
fn activate(u: Tensor<2>, activation: Activation, slope: f32) -> Tensor<2> {
    match activation {
        Activation::Tanh => u.tanh(),
        Activation::Clamp => {
            let inside = u.clone().clamp(-1.0, 1.0);
            if slope == 0.0 { inside } else { inside.clone() + (u - inside) * slope }
        }
    }
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
mod tests;
#[cfg(test)]
mod unet_tests;
