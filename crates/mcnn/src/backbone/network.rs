//! Backbones as they act.

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use super::{Architecture, Arrays, BackboneSettings, TrainableNet, Workspace};
use crate::seed::{Rng, Seed};

/// The constraint on predictions: from an index in the output (`[horizon, n_act]`) and a predicted value to the constrained
/// value. A backbone that continues from its own predictions continues from the constrained ones.
pub type Constrain<'a> = &'a dyn Fn(usize, f32) -> f32;

/// What a backbone changes when it predicts. Its buffers grow once.
#[derive(Debug)]
pub struct ActingState {
    /// Decides everything random.
    pub rng: Rng,
    /// The backbone's own buffers.
    pub workspace: Workspace,
    /// The memories retrieved for the newest observation, the nearest first. Empty for a backbone that does not see memories.
    pub neighbors: Neighbors,
    /// The last prediction before it is constrained: `[horizon, n_act]`.
    pub output: Vec<f32>,
}

impl ActingState {
    /// Before the first prediction. `seed` decides everything random.
    pub fn new(seed: Seed) -> Self {
        Self {
            rng: seed.rng(),
            workspace: Workspace::default(),
            neighbors: Neighbors::default(),
            output: Vec::new(),
        }
    }
}

/// Retrieved memories as a retrieval-conditioned backbone takes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbors {
    /// Their codes ([`Backbone::encode_memories`]): `[k, code width]`.
    pub codes: Vec<f32>,
    /// Their actions: `[k, n_act]`.
    pub actions: Vec<f32>,
}

/// A trained network that acts.
pub trait Backbone: Any + fmt::Debug + Send + Sync {
    /// Its settings.
    fn settings(&self) -> &dyn BackboneSettings;

    /// Widths of an observation and of an action.
    fn widths(&self) -> [usize; 2];

    /// Whether two predictions for the same observations can differ.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// The part of a prediction that depends on a memory alone, computed once for each memory: `[n, code width]`, from states
    /// (`[n, n_obs]`, standardized) and actions (`[n, n_act]`). The code of a memory has the same bits whichever memories are
    /// encoded with it. Asked only of a backbone that sees memories ([`BackboneSettings::retrieval`]).
    ///
    /// # Panics
    /// If the arrays do not fit the network.
    fn encode_memories(&self, _states: &[f32], _actions: &[f32]) -> Vec<f32> {
        Vec::new()
    }

    /// Predicts actions from a window of observations (`[1 to window, n_obs]`, standardized, oldest first) into the state's
    /// output, which is not constrained. A retrieval-conditioned backbone uses the state's neighbors.
    ///
    /// # Panics
    /// If there is no observation, or observations of another width; or if a retrieval-conditioned backbone has no neighbors.
    fn predict(&self, observations: &[f32], constrain: Constrain, state: &mut ActingState);

    /// The bucket behind the last prediction with a workspace; `None` for a backbone without buckets.
    fn bucket_choice<'a>(&'a self, _workspace: &'a Workspace) -> Option<BucketChoice<'a>> {
        None
    }

    /// Its arrays by name: what a file has of it.
    fn save_tensors(&self) -> Arrays;

    /// The same network for training, and its parameters as one flat array.
    fn to_trainable(&self) -> (Box<dyn TrainableNet>, Vec<f32>);
}

/// The bucket of actions that a prediction was made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketChoice<'a> {
    /// The bucket.
    pub bucket: usize,
    /// Probabilities of all buckets: `[buckets]`.
    pub probabilities: &'a [f32],
    /// Centers of all buckets: `[buckets, n_act]`.
    pub centers: &'a [f32],
}

/// A backbone of any kind, shared by its clones.
#[derive(Clone)]
pub struct Network(Arc<dyn Backbone>);

impl Network {
    /// Its settings, owned.
    pub fn architecture(&self) -> Architecture {
        self.0.settings().to_architecture()
    }

    /// The backbone as the type it has, if that is `B`.
    pub fn downcast<B: Backbone>(&self) -> Option<&B> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl<B: Backbone> From<B> for Network {
    fn from(backbone: B) -> Self {
        Self(Arc::new(backbone))
    }
}

impl Deref for Network {
    type Target = dyn Backbone;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Network {
    /// Equal settings and equal arrays.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.architecture() == other.architecture() && self.save_tensors() == other.save_tensors()
    }
}
