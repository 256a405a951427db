//! The policy that is served, and its replacement while clients are connected.

use std::sync::{Arc, PoisonError, RwLock};

use mcnn::{
    error::{Error, Kind, Result},
    policy::{Guard, Policy},
    vision::Encoder,
};

use crate::observation::Camera;

/// A policy as it is served. It never changes.
#[derive(Debug)]
pub struct Served {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The content hash of its file.
    pub fingerprint: String,
    /// The guard on every session.
    pub guard: Option<Guard>,
    /// The encoder, of a policy that acts on camera frames.
    pub encoder: Option<Arc<Encoder>>,
}

impl Served {
    /// The cameras whose frames it observes; none for states alone.
    pub fn cameras(&self) -> Vec<Camera> {
        self.encoder.as_deref().map_or(Vec::new(), Camera::of)
    }
}

/// The current version of the policy.
#[derive(Debug)]
pub struct Live {
    current: RwLock<Arc<Served>>,
    actions: usize,
}

impl Live {
    /// Starts with a policy. `actions`: of each reply; by default [`Policy::chunk_len`].
    ///
    /// # Errors
    /// If `actions` is more than one observation determines.
    pub fn new(served: Served, actions: Option<usize>) -> Result<Self> {
        let most = served.policy.chunk_len();
        let actions = actions.unwrap_or(most);
        if actions == 0 || actions > most {
            return Err(Error::new(
                Kind::Settings,
                "the policy does not have so many actions for one observation",
            )
            .at("--actions-per-reply")
            .expected(match most {
                1 => "1: it predicts single actions, or actions relative to the state".into(),
                most => format!("1 to {most}, its execution horizon"),
            })
            .found(actions.to_string()));
        }
        Ok(Self { current: RwLock::new(Arc::new(served)), actions })
    }

    /// The current version.
    pub fn current(&self) -> Arc<Served> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Actions of each reply.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// Replaces the policy; sessions use the new one from their next action on. Returns whether they keep their observation history,
    /// which they do if the networks are the same.
    ///
    /// # Errors
    /// If the dimensions, the frames or the actions of a reply differ, because clients could not go on.
    pub fn replace(&self, served: Served) -> Result<bool> {
        let current = self.current();
        let what = |served: &Served| {
            let book = served.policy.codebook();
            (book.n_obs(), book.n_act(), served.cameras(), self.actions <= served.policy.chunk_len())
        };
        if what(&served) != what(&current) {
            let in_words = |served: &Served| {
                let (n_obs, n_act, cameras, _) = what(served);
                let sizes: Vec<String> = cameras
                    .iter()
                    .map(|Camera { size: [height, width], .. }| format!("{height} x {width}"))
                    .collect();
                let observed = match sizes.is_empty() {
                    true => format!("{n_obs} observed values"),
                    false => format!("frames of {} ({n_obs} values embedded)", sizes.join(" and ")),
                };
                format!("{observed}, actions of {n_act}, {} of them at once", served.policy.chunk_len())
            };
            return Err(Error::new(Kind::Mismatch, "the new policy does not fit clients of the old one")
                .expected(in_words(&current))
                .found(in_words(&served))
                .next("start the server again"));
        }
        let continues = served.policy.members() == current.policy.members();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        Ok(continues)
    }
}
