//! What acts, by its file: a policy of ours, or the network of an expert.

use std::{io::Read as _, path::Path};

use mcnn::{Result, act::Act, expert::GaussianPolicy, file, policy::Policy, task::Spec, vision::Encoder};

use crate::{args::TaskEncoderArgs, task_encoder};

/// What a file holds that can act.
pub enum Actor {
    /// From `mcnn train`.
    Policy(Box<Policy>, String),
    /// An `.npz` of a Gaussian policy.
    Expert(Box<GaussianPolicy>),
}

impl Actor {
    /// Reads a file; what it is, its first bytes say.
    pub fn read(path: &Path) -> Result<Self> {
        let mut start = [0; 2];
        // A file too short, or not there, is for the policy's reader to refuse.
        // So is a pipe, which is not opened: that would wait for its writer.
        let zip = path.is_file()
            && std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok()
            && start == *b"PK";
        if zip {
            let expert = GaussianPolicy::read(path);
            let next = "name a policy from `mcnn train` (.safetensors), or an expert's .npz";
            return expert.map(|e| Self::Expert(Box::new(e))).map_err(|e| e.next(next));
        }
        let (policy, fingerprint) = file::read_policy(path)?;
        Ok(Self::Policy(Box::new(policy), fingerprint))
    }

    pub fn act(&self) -> &dyn Act {
        match self {
            Self::Policy(policy, _) => policy.as_ref(),
            Self::Expert(expert) => expert.as_ref(),
        }
    }

    /// The policy, if it is one of ours.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Policy(policy, _) => Some(policy),
            Self::Expert(_) => None,
        }
    }

    /// What it sees a task with, if it needs anything for that.
    pub fn encoder(&self, spec: &Spec, given: &TaskEncoderArgs) -> Result<Option<Encoder>> {
        match self {
            Self::Policy(policy, _) => task_encoder::of(policy, spec, &given.weights),
            Self::Expert(_) => Ok(None),
        }
    }

    /// The deviations of its own Gaussian, if it has one.
    pub fn std(&self) -> Option<&[f64]> {
        match self {
            Self::Policy(..) => None,
            Self::Expert(expert) => Some(expert.std()),
        }
    }

    /// What it is called in the literature.
    pub fn name(&self) -> String {
        match self {
            Self::Policy(policy, _) => policy.name(),
            Self::Expert(_) => "expert (Gaussian policy's mean)".into(),
        }
    }

    pub fn fingerprint(&self) -> String {
        match self {
            Self::Policy(_, fingerprint) => fingerprint.clone(),
            Self::Expert(expert) => expert.fingerprint(),
        }
    }
}
