//! The encoder between a task with camera frames and a policy on embeddings. Tasks with plain states need none.

use mcnn::{
    Error, Result,
    error::Kind,
    policy::Policy,
    task::Spec,
    vision::{Arrays, Encoder, Encoding, Weights, tensors_of},
};

use crate::progress::Progress;

/// The encoder through which a policy observes a task's frames; `None` for a task with plain states. Its weights are those of
/// `given` that match the policy's encoding, else those in the policy's file, else random ones by their seed.
///
/// # Errors
/// If policy and task do not agree on frames or their size, or if the weights are missing or do not match the encoding.
pub fn for_policy(policy: &Policy, spec: &Spec, given: &[Weights]) -> Result<Option<Encoder>> {
    let codebook = policy.codebook();
    let carried = policy.encoder().map(AsRef::as_ref);
    for_states(codebook.parts().encoding.as_deref(), codebook.n_obs(), carried, spec, given)
}

/// The same for policies on `n_obs`-dimensional states with this encoding.
///
/// # Errors
/// As [`for_policy`].
pub fn for_states(
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
            return Err(
                error("neither the task nor the policy uses camera frames").next("leave --encoder out")
            );
        }
        (Some([height, width]), None) => {
            return Err(error("a policy on plain states in a task with camera frames")
                .expected(format!("a policy on embeddings of frames of {height} x {width}"))
                .found(format!("a policy on {n_obs}-dimensional states"))
                .next("record frames with `mcnn collect`, embed them with `mcnn embed`, and train on the embeddings"));
        }
        (None, Some(encoding)) => {
            return Err(error("a policy on camera frames in a task with plain states")
                .expected(format!("a policy on {}-dimensional states", spec.n_obs))
                .found(format!("a policy on embeddings: {encoding}")));
        }
        (Some(size), Some(encoding)) => (size, Encoding::parse(encoding)?),
    };
    let weights = weights(carried, &encoding, given)?;
    let encoder = Encoder::new(encoding, &weights, size)?;
    if encoder.n_obs() != spec.n_obs {
        return Err(error("a policy on other cameras or states than the task gives")
            .expected(format!("{} values an observation: the frames of {}", encoder.n_obs(), parts(encoder.encoding())))
            .found(format!("{} values: a frame of {} x {}{}", spec.n_obs, size[0], size[1], beside(spec, size)))
            .next("embed recordings of the task's own observations, with --with-state if it gives a state beside the frame"));
    }
    Ok(Some(encoder))
}

/// The cameras and the state of an encoding.
fn parts(encoding: &Encoding) -> String {
    let state = match &encoding.state {
        Some(state) => format!(" and a state of {} dimensions ({})", state.n, state.keys.join(", ")),
        None => String::new(),
    };
    let names: Vec<&str> = encoding.cameras.iter().map(|camera| &*camera.name).collect();
    format!("{}{state}", if names.is_empty() { "one camera".into() } else { names.join(", ") })
}

/// The state that a task gives beside its frame.
fn beside(spec: &Spec, [height, width]: [usize; 2]) -> String {
    match spec.n_obs.saturating_sub(height * width * 3) {
        0 => String::new(),
        n => format!(", and a state of {n} dimensions"),
    }
}

/// The encoder of a policy that acts on camera frames, for frames of `size` (height, width; by default as its file says); `None` for a
/// policy on plain states.
///
/// # Errors
/// If the size is not known or another than the encoder's, or if the weights are missing or do not match the encoding.
#[cfg(feature = "serve")]
pub fn for_frames(policy: &Policy, size: Option<[usize; 2]>, given: &[Weights]) -> Result<Option<Encoder>> {
    let Some(encoding) = &policy.codebook().parts().encoding else {
        return match (size, given) {
            (None, []) => Ok(None),
            _ => Err(Error::new(Kind::Mismatch, "the policy does not use camera frames")
                .next("leave --encoder and --frame-size out")),
        };
    };
    let encoding = Encoding::parse(encoding)?;
    let size = size.or(encoding.size).ok_or_else(|| {
        Error::new(Kind::Settings, "the policy's file does not say the size of camera frames")
            .next("give it with --frame-size HEIGHTxWIDTH")
    })?;
    let weights = weights(policy.encoder().map(AsRef::as_ref), &encoding, given)?;
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
        _ => Err(Error::new(Kind::Settings, "the policy acts on camera frames and needs its encoder")
            .expected(format!("{} with weights {}", encoding.network, encoding.weights))
            .found("no encoder in the policy's file")
            .next(
                "give it with --encoder WEIGHTS, or put it into the policy's file with `mcnn train --encoder WEIGHTS`",
            )),
    }
}

/// Reads the tensors of an encoding's weights; published weights are downloaded.
///
/// # Errors
/// If they cannot be read, or are not those of the encoding.
pub fn read(weights: &Weights, encoding: &Encoding) -> Result<Arrays> {
    let mut download = None;
    tensors_of(weights, encoding, &mut |done, total| {
        download.get_or_insert_with(|| Progress::new("downloading weights", 0, total)).at(done, "bytes");
    })
}
