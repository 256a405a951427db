//! A policy whose memories are exchanged while episodes run on it.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Policy, Session, Version};
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// A policy that can be exchanged for another version of itself. Every action, of every episode on it, is taken by one
/// version from beginning to end; the first one that begins after an exchange is the new version's. Episodes go on.
#[derive(Debug)]
pub struct LivePolicy {
    widths: [usize; 2],
    current: RwLock<Arc<Policy>>,
}

impl LivePolicy {
    /// Begins with a policy.
    pub fn new(policy: Policy) -> Self {
        let widths = [policy.codebook().n_obs(), policy.codebook().n_act()];
        Self { widths, current: RwLock::new(Arc::new(policy)) }
    }

    /// The version that acts now.
    pub fn current(&self) -> Arc<Policy> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges the policy for a version of it, with other memories.
    ///
    /// # Errors
    /// If it has another network, or other widths: an episode could not go on with it.
    pub fn replace(&self, policy: Policy) -> Result<()> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if policy.backbone() != current.backbone() || policy.codebook().n_act() != self.widths[1] {
            return Err(Error::new(Kind::Mismatch, "only versions of one policy can be exchanged")
                .expected("the same network and widths, with other memories")
                .found(policy.name()));
        }
        *current = Arc::new(policy);
        Ok(())
    }
}

struct LiveSession<'a> {
    live: &'a LivePolicy,
    session: Session<'static>,
    version: Arc<Policy>,
}

impl Act for LivePolicy {
    fn n_obs(&self) -> usize {
        self.widths[0]
    }

    fn n_act(&self) -> usize {
        self.widths[1]
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        let version = self.current();
        Box::new(LiveSession {
            live: self,
            session: Session::of(Version::Shared(version.clone()), seed),
            version,
        })
    }
}

impl Acting for LiveSession<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let current = self.live.current();
        if !Arc::ptr_eq(&current, &self.version) {
            self.session.exchange(current.clone());
            self.version = current;
        }
        Acting::act(&mut self.session, observation, action)
    }
}

impl Session<'_> {
    /// Goes on with another version of the policy: what the network remembers of the episode stays, what was proposed under
    /// the old memories does not.
    fn exchange(&mut self, policy: Arc<Policy>) {
        self.policy = Version::Shared(policy);
        (self.last, self.held) = (0, None);
    }
}
