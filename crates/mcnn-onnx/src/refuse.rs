//! What has no graph.

use mcnn::{
    Error, Result,
    backbone::{Bet, BucketSelection},
    error::Kind,
    policy::Policy,
};

use crate::{
    network::{self, Computes},
    policy::Constrained,
};

/// Checks that every part of a policy has a graph.
pub fn check(policy: &Policy) -> Result<()> {
    let refuse = |part: &str, why: &str, next: &str| {
        Err(Error::new(Kind::Settings, "the policy cannot be exported").at(part).found(why).next(next))
    };
    let codebook = policy.codebook();
    if let Some(encoding) = &codebook.parts().encoding {
        return refuse(
            "the image encoder",
            &format!(
                "its states are embeddings of camera frames ({encoding}), and encoders are not exported"
            ),
            "act in Rust or Python, or by the server",
        );
    }
    if network::is_drawn(policy) && network::computes(policy) != Some(Computes::Denoising) {
        return refuse(
            "the ensemble",
            "one of its networks is drawn at random for every prediction, and a graph has no random numbers",
            "--members 1 exports the first network alone, --combine mean the mean of all",
        );
    }
    let samples = |bet: &Bet| bet.settings().bucket_selection == BucketSelection::Sample;
    if policy.members().iter().any(|network| network.downcast::<Bet>().is_some_and(samples)) {
        return refuse(
            "the behavior transformer",
            "it samples a bucket by its probability, and a graph has no random numbers",
            "--bucket-selection argmax exports the likeliest bucket",
        );
    }
    let is_relative = !codebook.units().relative_to().is_empty();
    if is_relative && Constrained::of(policy) == Constrained::WholeChunks && policy.horizons().execution > 1 {
        return refuse(
            "the units of actions",
            "each action of a chunk is relative to the observation at its own step, and chunks are constrained as a whole, \
             before those are known",
            "--constrain executed constrains each action by its own observation",
        );
    }
    if let Some(backbone) = policy.backbone().filter(|_| network::computes(policy).is_none()) {
        return refuse(
            "the network",
            &format!("no graph is known for the backbone {}", backbone.settings().name()),
            "act in Rust or Python, or by the server",
        );
    }
    Ok(())
}
