//! Settings of acting that can be changed without training.

use clap::Args;
use mcnn::{
    Error, Result,
    envelope::{Envelope, Form},
    error::Kind,
    policy::{ActingSettings, Combine, ConstrainAt, Policy},
    train::{Lambda, TrainThrough},
};

use super::word;
use crate::say::say;

/// Settings of acting, where they differ from those in the policy's file.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Constraint (instead of what the policy's file says)")]
pub struct KnobArgs {
    /// Decay rate of the memory weight exp(-LAMBDA x distance): a number of 0 or more; inf (the network alone); weight:W (a weight
    /// of W, above 0 and below 1, at the median distance of the calibration's moving steps); auto (weight:0.25).
    #[arg(long, value_parser = clap::value_parser!(Lambda), value_name = "LAMBDA")]
    pub lambda: Option<Lambda>,
    /// Largest magnitude of the network's share of an action, above 0.
    #[arg(long, value_name = "L")]
    pub amplitude: Option<f32>,
    /// Memories that a retrieval-conditioned network predicts from (all if there are fewer), or that VINN averages.
    #[arg(long, value_name = "K")]
    pub k: Option<usize>,
    /// How the network's action is brought into the box: project or mix; see `mcnn train`.
    #[arg(long, value_parser = form, value_name = "FORM")]
    pub envelope: Option<Form>,
    /// When actions are constrained: executed, sampled or denoising; see `mcnn train`.
    #[arg(long, value_parser = constrain_at, value_name = "WHEN")]
    pub constrain: Option<ConstrainAt>,
    /// How the networks of an ensemble act together: mean or member; see `mcnn train`.
    #[arg(long, value_parser = combine, value_name = "RULE")]
    pub combine: Option<Combine>,
    /// Act with the first COUNT networks of an ensemble alone.
    #[arg(long, value_name = "COUNT")]
    pub members: Option<usize>,
}

impl KnobArgs {
    /// Whether any was given.
    pub fn is_empty(&self) -> bool {
        let Self { lambda, amplitude, k, envelope, constrain, combine, members } = self;
        lambda.is_none()
            && amplitude.is_none()
            && envelope.is_none()
            && constrain.is_none()
            && combine.is_none()
            && (k, members) == (&None, &None)
    }

    /// The policy with the given settings.
    ///
    /// # Errors
    /// If a setting is out of range, or one that this policy does not have.
    pub fn apply(&self, policy: Policy) -> Result<Policy> {
        let before = policy.acting_settings();
        let through = trained_through(&policy);
        let memories = policy.codebook().len();
        let policy = self.set(policy)?;
        if let Some(k) = self.k.filter(|k| *k > memories) {
            say(format!("note: --k {k}: the policy has {memories} memories, and all are used"));
        }
        let after = policy.acting_settings();
        let constraint_changes =
            after.envelope != before.envelope || after.constrain_at != before.constrain_at;
        if constraint_changes && through == TrainThrough::Envelope {
            warn_of_training_through_the_envelope();
        }
        Ok(policy)
    }

    /// As [`apply`](Self::apply), without notes on stderr.
    ///
    /// # Errors
    /// The same.
    pub fn set(&self, policy: Policy) -> Result<Policy> {
        if self.is_empty() {
            return Ok(policy);
        }
        let absent = |option: &str, expected: &str| {
            Err(Error::new(Kind::Settings, "the policy does not have this setting")
                .at(option)
                .expected(expected)
                .found(policy.name())
                .next("leave the option out"))
        };
        let of_network = [
            ("--lambda", self.lambda.is_some()),
            ("--amplitude", self.amplitude.is_some()),
            ("--envelope", self.envelope.is_some()),
            ("--constrain", self.constrain.is_some()),
        ];
        if policy.members().is_empty()
            && let Some((option, _)) = of_network.iter().find(|(_, given)| *given)
        {
            return absent(option, "a policy with a network");
        }
        let count = policy.members().len();
        if count < 2 && (self.combine.is_some() || self.members.is_some_and(|n| n != count)) {
            let option = if self.combine.is_some() { "--combine" } else { "--members" };
            return absent(option, "an ensemble of two networks or more");
        }
        let ActingSettings { envelope, neighbors, constrain_at, combine, retrieved } =
            policy.acting_settings();
        let mut acting = ActingSettings {
            envelope: Envelope {
                lambda: self
                    .lambda
                    .map_or(Ok(envelope.lambda), |lambda| lambda.for_calibration(policy.calibration()))?,
                amplitude: self.amplitude.unwrap_or(envelope.amplitude),
                form: self.envelope.unwrap_or(envelope.form),
                ..envelope
            },
            neighbors,
            constrain_at: self.constrain.unwrap_or(constrain_at),
            combine: self.combine.unwrap_or(combine),
            retrieved,
        };
        match self.k {
            None => {}
            Some(k) if policy.retrieved() > 0 => acting.retrieved = Some(k),
            Some(k) if policy.members().is_empty() => acting.neighbors = k,
            Some(_) => return absent("--k", "a retrieval-conditioned network, or VINN"),
        }
        let policy = match self.members {
            Some(members) => policy.with_first_members(members)?,
            None => policy,
        };
        policy.with_acting_settings(acting)
    }
}

/// Says that a network which corrects its memory actions acts worse with another envelope.
pub fn warn_of_training_through_the_envelope() {
    say(
        "warning: the network was trained through the envelope of its file and corrects its memory actions; with another \
         one it acts worse. Train with --train-through free to change it afterwards.",
    );
}

/// How the networks of a policy were trained; through the envelope where its file does not say.
pub fn trained_through(policy: &Policy) -> TrainThrough {
    let settings = &policy.training_record().settings;
    let through = settings.get("train_through").cloned();
    match policy.envelope().lambda {
        f32::INFINITY if through.is_none() => TrainThrough::Free,
        _ => through.and_then(|text| serde_json::from_value(text).ok()).unwrap_or_default(),
    }
}

pub(super) fn form(text: &str) -> std::result::Result<Form, String> {
    word(text, "mix or project")
}

pub(super) fn constrain_at(text: &str) -> std::result::Result<ConstrainAt, String> {
    word(text, "executed, sampled or denoising")
}

pub(super) fn combine(text: &str) -> std::result::Result<Combine, String> {
    word(text, "mean or member")
}
