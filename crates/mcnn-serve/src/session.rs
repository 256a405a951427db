//! One client's episode.

use std::sync::Arc;

use mcnn::{
    error::{Error, Kind, Result},
    policy::{self, Constrained, Policy},
    seed::Seed,
    vision::{Encoder, FrameEmbedder},
};

use crate::{
    live::{Live, Served},
    observation::Observation,
};

/// A session: an episode of the policy, continued by the newest version of it.
#[derive(Debug)]
pub struct Session {
    served: Arc<Served>,
    episode: policy::Session<'static>,
    embedder: Option<FrameEmbedder<Arc<Encoder>>>,
    seed: Seed,
    chunk: Vec<f32>, // [chunk length, n_act], if replies have several actions
    actions: usize,
}

/// The actions for an observation, and how the first was constrained.
#[derive(Debug)]
pub struct Reply {
    /// `[actions, n_act]`, in the data's units.
    pub actions: Vec<f32>,
    /// Dimensions of an action.
    pub n_act: usize,
    /// The memory and the permissible region.
    pub constrained: Constrained,
    /// The version of the policy.
    pub served: Arc<Served>,
}

impl Session {
    /// A new session. `seed` decides everything random in acting.
    pub fn new(live: &Live, seed: Seed) -> Self {
        let served = live.current();
        Self {
            episode: start(&served, seed),
            embedder: served.encoder.clone().map(FrameEmbedder::new),
            seed,
            chunk: Vec::new(),
            actions: live.actions(),
            served,
        }
    }

    /// Acts, with the newest version of the policy.
    ///
    /// # Errors
    /// If the observation has values that are NaN or infinite, or its embedding does.
    ///
    /// # Panics
    /// If the observation is not of the kind and length that the policy observes.
    pub fn act(&mut self, live: &Live, observation: &Observation) -> Result<Reply> {
        self.update_policy(live.current());
        let Self { episode, embedder, chunk, actions, served, .. } = self;
        let (n_obs, n_act) = (served.policy.codebook().n_obs(), served.policy.codebook().n_act());
        let rows = match (observation, embedder) {
            (Observation::Frames(frames, state), Some(embedder)) => embedder.embed_bytes(frames, state)?,
            (Observation::States(rows), None) => rows,
            _ => panic!("the observation is not of the kind that the policy observes"),
        };
        let (before, newest) = rows.split_at(rows.len() - n_obs);
        if !before.is_empty() {
            // A row that is invalid must not leave half of them in the history.
            check_finite(rows, n_obs)?;
            before.chunks_exact(n_obs).try_for_each(|row| episode.observe(row))?;
        }
        let mut reply = vec![0.0; *actions * n_act];
        let constrained = match *actions {
            1 => episode.act(newest, &mut reply)?,
            _ => {
                chunk.resize(served.policy.chunk_len() * n_act, 0.0);
                let constrained = episode.act_chunk(newest, chunk)?;
                reply.copy_from_slice(&chunk[..*actions * n_act]);
                constrained
            }
        };
        Ok(Reply { actions: reply, n_act, constrained, served: served.clone() })
    }

    /// Continues with another version of the policy, from the beginning if its networks are others.
    fn update_policy(&mut self, served: Arc<Served>) {
        if Arc::ptr_eq(&served, &self.served) {
            return;
        }
        if self.episode.continue_with(served.policy.clone(), served.guard).is_err() {
            self.episode = start(&served, self.seed);
        }
        self.embedder = served.encoder.clone().map(FrameEmbedder::new);
        self.served = served;
    }
}

fn start(served: &Served, seed: Seed) -> policy::Session<'static> {
    let episode = policy::Session::shared(Arc::<Policy>::clone(&served.policy), seed);
    match served.guard {
        Some(guard) => episode.guarded(guard),
        None => episode,
    }
}

fn check_finite(rows: &[f32], n_obs: usize) -> Result<()> {
    match rows.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(k) => Err(Error::new(Kind::Data, "the observation is invalid")
            .at(format!("row {}, dimension {}", k / n_obs, k % n_obs))
            .expected("finite values")
            .found(rows[k].to_string())),
    }
}
