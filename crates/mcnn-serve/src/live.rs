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
    pub(crate) fn cameras(&self) -> Vec<Camera> {
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
    /// If the observations or the actions differ, or the policy predicts fewer actions than a reply has, because clients could not go on. The
    /// error names what differs.
    pub fn replace(&self, served: Served) -> Result<bool> {
        let current = self.current();
        let mut expected = interface(&current);
        let mut found = interface(&served);
        // What the policies could do is not what the server promises.
        if served.policy.chunk_len() < self.actions {
            expected.push(format!("{} actions at once", self.actions));
            found.push(format!("{} at once", served.policy.chunk_len()));
        }
        let differences = expected.iter().zip(&found).filter(|(expected, found)| expected != found);
        let (expected, found): (Vec<&str>, Vec<&str>) =
            differences.map(|(expected, found)| (expected.as_str(), found.as_str())).unzip();
        if !expected.is_empty() {
            return Err(Error::new(Kind::Mismatch, "the new policy does not fit clients of the old one")
                .expected(expected.join("; "))
                .found(found.join("; "))
                .next("start the server again"));
        }
        let continues = served.policy.members() == current.policy.members();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        Ok(continues)
    }
}

/// What a client has to send and gets, one thing each, in words.
fn interface(served: &Served) -> Vec<String> {
    let book = served.policy.codebook();
    let parts = book.parts();
    let frame = |camera: &Camera| {
        let [height, width] = camera.size;
        format!("{} {height} x {width}", camera.name.as_deref().unwrap_or_default()).trim().to_owned()
    };
    let cameras = served.cameras();
    let joined = served.encoder.as_deref().and_then(|encoder| encoder.encoding().state.clone());
    let listed = |what: &str, list: &[String]| match list {
        [] => format!("no {what}"),
        list => format!("{what} {}", list.join(", ")),
    };
    let named = |what: &str, names: &Option<Vec<String>>| listed(what, names.as_deref().unwrap_or_default());
    vec![
        format!("{} observed values", book.n_obs()),
        format!("actions of {}", book.n_act()),
        listed("cameras", &cameras.iter().map(frame).collect::<Vec<_>>()),
        joined.map_or("no state with the frames".into(), |state| {
            format!("a state of {} with the frames, {}", state.n, listed("keys", &state.keys))
        }),
        listed("state keys", &parts.origin.state_keys),
        named("names of the state's dimensions", &parts.names.state_names),
        named("names of the action's dimensions", &parts.names.action_names),
    ]
}
