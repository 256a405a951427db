//! Who acts, read from a file: a policy of `mcnn train`, or an expert's network.

use std::{io::Read as _, path::Path};

use mcnn::{
    Error, Result, act::Act, error::Kind, expert::GaussianPolicy, file, policy::Policy, task::Spec,
    vision::Encoder,
};

use crate::{
    args::{KnobArgs, TaskEncoderArgs},
    task_encoder,
};

/// A policy or an expert.
pub enum Actor {
    /// A policy from `mcnn train`, and the fingerprint of its file.
    Policy(Box<Policy>, String),
    /// The network of a Gaussian policy, from an `.npz`.
    Expert(Box<GaussianPolicy>),
}

impl Actor {
    /// Reads a file. Its first bytes decide which of the two it is.
    ///
    /// # Errors
    /// If the file cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        let mut start = [0; 2];
        // The policy's reader refuses short and missing files, and pipes. A pipe is not opened here, because that would
        // wait for its writer.
        let is_zip = path.is_file()
            && std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok()
            && start == *b"PK";
        if is_zip {
            let expert = GaussianPolicy::read(path);
            let next = "name a policy from `mcnn train` (.safetensors), or an expert's network (.npz)";
            return expert.map(|e| Self::Expert(Box::new(e))).map_err(|e| e.next(next));
        }
        let (policy, fingerprint) = file::read_policy(path)?;
        Ok(Self::Policy(Box::new(policy), fingerprint))
    }

    /// The same actor with other settings of acting.
    ///
    /// # Errors
    /// If it does not have one of them, or one is out of range.
    pub fn with_knobs(self, knobs: &KnobArgs) -> Result<Self> {
        match self {
            Self::Policy(policy, fingerprint) => {
                Ok(Self::Policy(Box::new(knobs.apply(*policy)?), fingerprint))
            }
            Self::Expert(_) if !knobs.is_empty() => {
                Err(Error::new(Kind::Settings, "an expert's network has no settings of acting")
                    .at("--lambda and the others")
                    .next("leave the options out"))
            }
            expert @ Self::Expert(_) => Ok(expert),
        }
    }

    pub fn act(&self) -> &dyn Act {
        match self {
            Self::Policy(policy, _) => policy.as_ref(),
            Self::Expert(expert) => expert.as_ref(),
        }
    }

    /// The policy, if it is one from `mcnn train`.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Policy(policy, _) => Some(policy),
            Self::Expert(_) => None,
        }
    }

    /// The encoder through which it observes the task's frames; `None` for plain states.
    pub fn encoder(&self, spec: &Spec, given: &TaskEncoderArgs) -> Result<Option<Encoder>> {
        match self {
            Self::Policy(policy, _) => task_encoder::for_policy(policy, spec, &given.weights),
            Self::Expert(_) => Ok(None),
        }
    }

    /// The standard deviations of the expert's own Gaussian, by action dimension.
    pub fn std(&self) -> Option<&[f64]> {
        match self {
            Self::Policy(..) => None,
            Self::Expert(expert) => Some(expert.std()),
        }
    }

    /// Its method, as the literature names it, and its main settings.
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
