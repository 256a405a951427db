//! A policy whose memories can be replaced while episodes run.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Guard, Policy, Session, session::Version};
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// A policy that can be replaced by a version of itself with other memories while episodes run. Every action is computed by one
/// version; the first action that starts after a replacement uses the new version.
#[derive(Debug)]
pub struct LivePolicy {
    dimensions: [usize; 2], // of an observation and an action
    current: RwLock<Arc<Policy>>,
}

impl LivePolicy {
    /// Starts with a policy.
    pub fn new(policy: Policy) -> Self {
        let dimensions = [policy.codebook().n_obs(), policy.codebook().n_act()];
        Self { dimensions, current: RwLock::new(Arc::new(policy)) }
    }

    /// The current version.
    pub fn current(&self) -> Arc<Policy> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the policy by a version of it with other memories.
    ///
    /// # Errors
    /// If the network or the dimensions differ, because running episodes could not continue.
    pub fn replace(&self, policy: Policy) -> Result<()> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.check_version(&policy)?;
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
        self.dimensions[0]
    }

    fn n_act(&self) -> usize {
        self.dimensions[1]
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
            self.session.replace_policy(current.clone());
            self.version = current;
        }
        Acting::act(&mut self.session, observation, action)
    }
}

impl Policy {
    /// Checks that another policy is a version of this one with other memories.
    fn check_version(&self, other: &Policy) -> Result<()> {
        let widths = |policy: &Policy| [policy.codebook.n_obs(), policy.codebook.n_act()];
        if other.members == self.members && widths(other) == widths(self) {
            return Ok(());
        }
        Err(Error::new(Kind::Mismatch, "the new policy is not a version of the current one")
            .expected("the same network and dimensions, with other memories")
            .found(other.name()))
    }
}

impl Session<'static> {
    /// Continues with another version of the policy, as sessions of a [`LivePolicy`] do, and with another guard or without one. The
    /// observation history of the network stays; what is left of the current chunk is discarded.
    ///
    /// # Errors
    /// If the network or the dimensions differ. The session is unchanged then.
    pub fn continue_with(&mut self, policy: Arc<Policy>, guard: Option<Guard>) -> Result<()> {
        self.policy.check_version(&policy)?;
        self.replace_policy(policy);
        self.set_guard(guard);
        Ok(())
    }
}

impl Session<'_> {
    /// Continues with another version of the policy. The observation history of the network stays; the actions that are left of
    /// the current chunk are discarded, because they were constrained by the old memories.
    fn replace_policy(&mut self, policy: Arc<Policy>) {
        self.policy = Version::Shared(policy);
        (self.last_memory, self.constrained) = (0, None);
    }
}
