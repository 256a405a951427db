//! The metadata of a graph: what a program needs to use it, and what a reader needs to know where it is from.

use mcnn::{
    calibration::OodQuantile,
    envelope::{Activation, Form},
    policy::{ConstrainAt, Policy},
};

use crate::{network, policy::Constrained, proto::StringStringEntryProto};

/// The calibration quantile whose distance is in the metadata, that of `--guard`.
const OOD_QUANTILE: f64 = 0.99;

/// The metadata of a policy's graphs, as strings by key. Lists are JSON. `denoising`: the steps of a prediction, if its networks denoise.
pub fn of(policy: &Policy, fingerprint: &str, denoising: Option<usize>) -> Vec<StringStringEntryProto> {
    let (codebook, envelope, horizons) = (policy.codebook(), policy.envelope(), policy.horizons());
    let parts = codebook.parts();
    let mut all = Vec::new();
    let mut put = |key: &str, value: String| {
        all.push(StringStringEntryProto { key: key.into(), value });
    };
    put("method", policy.name());
    put("policy_fingerprint", fingerprint.into());
    put("memories_fingerprint", codebook.fingerprint());
    put("data_fingerprint", parts.data.clone());
    put("memories", codebook.len().to_string());
    put("neighbors", policy.neighbors().to_string());
    put("smooth_neighbors", parts.smooth_neighbors.to_string());
    put("lambda", if envelope.lambda.is_finite() { envelope.lambda.to_string() } else { "inf".into() });
    put("amplitude", envelope.amplitude.to_string());
    let activation = match envelope.activation {
        Activation::Clamp => "clamp",
        Activation::Tanh => "tanh",
    };
    put("activation", activation.into());
    put("envelope", if envelope.form == Form::Mix { "mix" } else { "project" }.into());
    if let Some(network) = policy.backbone() {
        put("backbone", network.settings().name().into());
        put("members", policy.members().len().to_string());
        put("combine", if network::is_drawn(policy) { "member" } else { "mean" }.into());
        let constrain = match policy.acting_settings().constrain_at {
            ConstrainAt::Executed => "executed",
            ConstrainAt::Sampled => "sampled",
            ConstrainAt::Denoising => "denoising",
        };
        put("constrain", constrain.into());
    }
    put("observation_horizon", horizons.observation.to_string());
    put("prediction_horizon", horizons.prediction.to_string());
    put("execution_horizon", horizons.execution.to_string());
    if let Some(steps) = denoising {
        put("denoising_steps", steps.to_string());
        put("whole_chunks", (Constrained::of(policy) == Constrained::WholeChunks).to_string());
    }
    let list = |names: &[String]| serde_json::to_string(names).expect("names are text");
    if let Some(names) = &parts.names.state_names {
        put("state_names", list(names));
    }
    if let Some(names) = &parts.names.action_names {
        put("action_names", list(names));
    }
    let threshold = policy.calibration().map(|c| c.threshold(OodQuantile::States(OOD_QUANTILE)));
    if let Some(Ok(threshold)) = threshold {
        put("ood_quantile", OOD_QUANTILE.to_string());
        put("ood_distance", threshold.distance.to_string());
    }
    all
}
