//! Explanations: how a policy computes an action.

use serde::Serialize;

use super::{ConstrainAt, Constrained, Policy, Session};
use crate::{backbone::BucketChoice, data::Step, error::Result};

/// A memory near the explained state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NearbyMemory {
    /// The memory's number in the codebook.
    pub memory: usize,
    /// The demonstrated step of the memory.
    pub source: Step,
    /// The distance in standardized units.
    pub distance: f32,
}

/// One dimension of the explained action, in the data's units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dimension {
    /// a', the memory's action.
    pub memory_action: f32,
    /// c, the box center.
    pub center: f32,
    /// g, the network output; of an ensemble, the mean over the members that act; absent without a network.
    pub network_output: Option<f32>,
    /// L sigma(g), the network's action before it is brought into the box; of an ensemble, the mean over the members that act;
    /// absent without a network.
    pub network_action: Option<f32>,
    /// f, the action; of a stochastic policy the first sample with seed 0.
    pub action: f32,
    /// The standard deviation of the action over the samples; absent for a deterministic policy.
    pub std: Option<f32>,
    /// The standard deviation over the members of an ensemble of sigma(g); absent if one network acts alone.
    pub member_std: Option<f32>,
    /// The lower bound of the permissible region.
    pub low: f32,
    /// The upper bound of the permissible region.
    pub high: f32,
}

/// An action bucket of a behavior transformer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Its number.
    pub bucket: usize,
    /// Its probability.
    pub probability: f32,
    /// Its center: `[n_act]`.
    pub center: Vec<f32>,
}

/// The selected bucket of a behavior transformer, and the most probable ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Buckets {
    /// The selected bucket; if sampled, the first sample with seed 0.
    pub chosen: Bucket,
    /// The most probable buckets, at most [`LIKELIEST`], in descending order.
    pub likeliest: Vec<Bucket>,
    /// The number of buckets.
    pub of: usize,
}

/// One dimension of an action of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChunkDimension {
    /// The memory's future action at this step of the chunk. `None` if the step will be constrained by the memory of its own
    /// observation.
    pub memory_action: Option<f32>,
    /// The action, before it is constrained if that will be done when it is executed; of a stochastic policy the first sample
    /// with seed 0.
    pub action: f32,
    /// The lower bound of the permissible region, where it is known.
    pub low: Option<f32>,
    /// The upper bound of the permissible region, where it is known.
    pub high: Option<f32>,
}

/// The chunk of actions that a policy predicts for the explained state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chunk {
    /// The prediction horizon.
    pub horizon: usize,
    /// The actions within the execution horizon, by dimension; the explained action is the first.
    pub steps: Vec<Vec<ChunkDimension>>,
}

/// Everything that determines an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The nearest memory.
    pub memory: NearbyMemory,
    /// The second nearest memory, if there is one.
    pub runner_up: Option<NearbyMemory>,
    /// The memories that the network predicted from, the nearest first; empty for a network that does not see memories.
    pub retrieved: Vec<NearbyMemory>,
    /// w, the memory weight.
    pub weight: f32,
    /// r, the radius: half the width of the box, of actions in [-1, 1].
    pub radius: f32,
    /// Networks that act together: 0 without one.
    pub members: usize,
    /// The disagreement of the members ([`Constrained::member_std`]); absent if one network acts alone.
    pub member_std: Option<f32>,
    /// The share of calibration states that are nearer to their memories; absent without a calibration.
    pub quantile: Option<f32>,
    /// Training steps averaged into a memory's action.
    pub smooth_neighbors: usize,
    /// Memories averaged into the memory action.
    pub neighbors: usize,
    /// The samples behind the standard deviations; absent for a deterministic policy.
    pub samples: Option<usize>,
    /// The buckets of a behavior transformer; absent for other backbones.
    pub buckets: Option<Buckets>,
    /// The action by dimension.
    pub dimensions: Vec<Dimension>,
    /// The chunk that starts with the action; absent for a prediction horizon of 1.
    pub chunk: Option<Chunk>,
    /// The contribution of each dimension of the state to the squared distance: `[n_obs]`.
    pub contributions: Vec<f32>,
}

/// The samples of a stochastic policy behind a standard deviation.
pub const SAMPLES: usize = 16;

/// The maximum number of buckets listed.
pub const LIKELIEST: usize = 5;

impl Policy {
    /// Explains the action for the last of consecutive observations of an episode (`[1 or more, n_obs]`, in the data's units). The
    /// earlier ones are the observation history of the policy. The action is the first of a newly predicted chunk.
    ///
    /// # Errors
    /// If an observation has values that are NaN or infinite.
    ///
    /// # Panics
    /// If there is no observation, or one has the wrong length.
    pub fn explain(&self, observations: &[f32]) -> Result<Explanation> {
        let n_obs = self.codebook.n_obs();
        assert!(!observations.is_empty(), "no observation to explain");
        let skipped = (observations.len() / n_obs).saturating_sub(self.horizons().observation) * n_obs;
        let mut session = self.session();
        for observation in observations[skipped..].chunks(n_obs) {
            session.observe(observation)?;
        }
        let n_act = self.codebook.n_act();
        let constrained = session.predict();
        let base = session.base.clone();
        let units = self.codebook.units();
        let in_data_units = |k: usize, action: f32| units.to_data(k, action, &base);
        let action_of = |session: &Session, at: &Constrained| {
            let mut action = vec![0.0; n_act];
            session.write_action(at, &mut action);
            action.iter().enumerate().map(|(k, a)| in_data_units(k, *a)).collect::<Vec<f32>>()
        };
        let action = action_of(&session, &constrained);
        // Angles are shown on the turn of the action.
        let turns: Vec<f32> = action.iter().enumerate().map(|(k, a)| units.turns(k, *a)).collect();
        let network_action = session.network_action.clone(); // later samples overwrite it
        let (_, runner_up) = self.codebook.retrieve_two(&session.state);
        let nearby = |r: crate::memory::Retrieval| NearbyMemory {
            memory: r.memory,
            source: self.codebook.source(r.memory),
            distance: r.distance,
        };
        let retrieved = session.near.iter().take(self.retrieved()).map(|r| nearby(*r)).collect();
        let members: Vec<Vec<f32>> =
            session.members.iter().map(|episode| episode.network_output().to_vec()).collect();
        let acting: Vec<&Vec<f32>> = members.iter().filter(|outputs| !outputs.is_empty()).collect();
        let first = session.members.iter().zip(&self.members).find(|(m, _)| !m.network_output().is_empty());
        let choice = first.and_then(|(episode, network)| episode.bucket_choice(&**network));
        let buckets = choice.map(|choice| self.buckets(choice, &base));
        let (memory_action, variances) = (session.memory_action.clone(), session.variance.clone());
        let whole_chunks = self.acting.constrain_at != ConstrainAt::Executed;
        let chunk = (self.horizons().prediction > 1).then(|| {
            let step = |chunk_step: usize| -> Vec<ChunkDimension> {
                // The memory of a later step is that of its own observation, which is not known yet.
                let known = whole_chunks || chunk_step == 0;
                let action = action_of(&session, &Constrained { chunk_step, ..constrained });
                let first = chunk_step * n_act;
                let dimension = |k: usize| {
                    let memory_action = known.then(|| memory_action[first + k]);
                    let bounds = memory_action.map(|a| constrained.region.bounds(a));
                    let free = self.acting.envelope.amplitude * session.network_action[first + k];
                    let chunk_action = if known { action[k] } else { in_data_units(k, free) };
                    let turns = units.turns(k, chunk_action);
                    let shown = |action: f32| in_data_units(k, action) + turns;
                    ChunkDimension {
                        memory_action: memory_action.map(shown),
                        action: chunk_action + turns,
                        low: bounds.map(|[low, _]| shown(low)),
                        high: bounds.map(|[_, high]| shown(high)),
                    }
                };
                (0..n_act).map(dimension).collect()
            };
            Chunk {
                horizon: self.horizons().prediction,
                steps: (0..self.horizons().execution).map(step).collect(),
            }
        });
        let mut samples = vec![action.clone()];
        if self.is_stochastic() {
            for _ in 1..SAMPLES {
                let constrained = session.predict();
                samples.push(action_of(&session, &constrained));
            }
        }
        let deviation = |k: usize| {
            let mean = samples.iter().map(|s| s[k]).sum::<f32>() / samples.len() as f32;
            (samples.iter().map(|s| (s[k] - mean).powi(2)).sum::<f32>() / samples.len() as f32).sqrt()
        };
        let dimensions = (0..action.len())
            .map(|k| {
                let memory_action = memory_action[k];
                let [low, high] = constrained.region.bounds(memory_action);
                let center = constrained.region.center(memory_action);
                let outputs = acting.iter().map(|outputs| outputs[k]);
                let network_output = (!acting.is_empty()).then(|| outputs.sum::<f32>() / acting.len() as f32);
                let std = self.is_stochastic().then(|| deviation(k));
                let member_std = variances.get(k).map(|variance| variance.sqrt());
                let member_std = member_std.map(|std| self.codebook.units().length_to_data(k, std));
                let shown = |action: f32| in_data_units(k, action) + turns[k];
                let [memory_action, center, low, high] = [memory_action, center, low, high].map(shown);
                let network_output = network_output.map(shown);
                Dimension {
                    memory_action,
                    center,
                    network_output,
                    network_action: network_output
                        .map(|_| shown(self.acting.envelope.amplitude * network_action[k])),
                    action: action[k] + turns[k],
                    std,
                    member_std,
                    low,
                    high,
                }
            })
            .collect();
        Ok(Explanation {
            memory: nearby(constrained.retrieval),
            runner_up: runner_up.map(nearby),
            retrieved,
            weight: constrained.region.weight,
            radius: constrained.region.radius,
            members: self.members.len(),
            member_std: constrained.member_std,
            quantile: self
                .calibration
                .as_ref()
                .map(|calibration| calibration.quantile(constrained.retrieval.distance) as f32),
            smooth_neighbors: self.codebook.parts().smooth_neighbors,
            neighbors: self.acting.neighbors,
            samples: self.is_stochastic().then_some(SAMPLES),
            buckets,
            dimensions,
            chunk,
            contributions: self.codebook.contributions(&session.state, constrained.retrieval.memory),
        })
    }

    fn buckets(
        &self,
        BucketChoice { bucket, probabilities, centers }: BucketChoice,
        base: &[f32],
    ) -> Buckets {
        let n_act = self.codebook.n_act();
        let units = self.codebook.units();
        let of = |k: usize| Bucket {
            bucket: k,
            probability: probabilities[k],
            center: (centers[k * n_act..][..n_act].iter().enumerate())
                .map(|(k, a)| units.action_value(k, *a, base))
                .collect(),
        };
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let likeliest = order.into_iter().take(LIKELIEST).map(of).collect();
        Buckets { chosen: of(bucket), likeliest, of: probabilities.len() }
    }
}
