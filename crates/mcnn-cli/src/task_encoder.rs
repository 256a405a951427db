//! What a policy sees a task with: nothing where its states are the task's observations, an encoder where these are frames.

use mcnn::{
    Error, Result,
    error::Kind,
    policy::Policy,
    task::Spec,
    vision::{Arrays, Encoder, Encoding, Weights, tensors_of},
};

use crate::progress::Progress;

/// The encoder through which a policy sees a task's frames: of the weights `given` that are those of its encoding, or the
/// ones that the policy's file carries, or random ones by their seed. `None` in a task of states.
///
/// # Errors
/// A policy that is not of this kind of task, frames of another size than it was made from, and weights that are missing or
/// not those of its encoding.
pub fn of(policy: &Policy, spec: &Spec, given: &[Weights]) -> Result<Option<Encoder>> {
    let codebook = policy.codebook();
    let carried = policy.encoder().map(AsRef::as_ref);
    on(codebook.parts().encoding.as_deref(), codebook.n_obs(), carried, spec, given)
}

/// The same for policies on states of `n_obs` numbers, embedded as `encoding` says.
pub fn on(
    encoding: Option<&str>,
    n_obs: usize,
    carried: Option<&Arrays>,
    spec: &Spec,
    given: &[Weights],
) -> Result<Option<Encoder>> {
    let error = |what: &str| Error::new(Kind::Mismatch, what).at(format!("task {}", spec.name));
    let (size, encoding) = match (spec.frame, encoding) {
        (None, None) if given.is_empty() => return Ok(None),
        (None, None) => {
            return Err(error("neither the task nor the policy has frames").next("leave --encoder out"));
        }
        (Some([height, width]), None) => {
            return Err(error("a policy on plain states in a task of frames")
                .expected(format!("a policy on embeddings of frames of {height} x {width}"))
                .found(format!("one on states of {} numbers", n_obs))
                .next("record frames with `mcnn collect`, `mcnn embed` them, and learn from that"));
        }
        (None, Some(encoding)) => {
            return Err(error("a policy on frames in a task of states")
                .expected(format!("a policy on states of {} numbers", spec.n_obs))
                .found(format!("one on embeddings: {encoding}")));
        }
        (Some(size), Some(encoding)) => (size, Encoding::parse(encoding)?),
    };
    let weights = weights(carried, &encoding, given)?;
    Encoder::new(encoding, &weights, size).map(Some)
}

fn weights(carried: Option<&Arrays>, encoding: &Encoding, given: &[Weights]) -> Result<Arrays> {
    let mut refused = None;
    for weights in given {
        match read(weights, encoding) {
            Ok(arrays) => return Ok(arrays),
            Err(error) => refused = Some(error),
        }
    }
    if let Some(error) = refused {
        return Err(error.within("--encoder"));
    }
    if let Some(arrays) = carried {
        return Ok(arrays.clone());
    }
    match encoding.weights.parse() {
        Ok(random @ Weights::Random(_)) => read(&random, encoding),
        _ => Err(Error::new(Kind::Settings, "acting on frames takes the encoder that embedded them")
            .expected(format!("{} with weights {}", encoding.network, encoding.weights))
            .found("a policy that does not carry it")
            .next(
                "--encoder WEIGHTS gives it; `mcnn train --encoder WEIGHTS` puts it into the policy's file",
            )),
    }
}

/// The tensors of weights, which must be an encoding's; fetched where they are published ones.
pub fn read(weights: &Weights, encoding: &Encoding) -> Result<Arrays> {
    let mut fetching = None;
    tensors_of(weights, encoding, &mut |done, total| {
        fetching.get_or_insert_with(|| Progress::new("fetching weights", 0, total)).at(done, "bytes");
    })
}
