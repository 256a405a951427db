//! Acting on frames: an encoder embeds each frame, and an actor computes the action from the embedding.

use std::{collections::BTreeMap, ops::Deref, time::Instant};

use super::{
    encoding::Encoding,
    frames::{Frames, Preset},
    network::Network,
};
use crate::{
    act::{Act, Acting, Decision, EmbeddedObservation},
    error::{Error, Kind, Result},
    seed::Seed,
};

/// The tensors of a network as in a file of weights: from the name to the shape and the values.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A network that embeds observations one at a time, with bit-identical results to [`embed`](super::embed()) of a recording. An
/// observation is the frame of each camera, one after another, and then the state, if the encoding joins one.
#[derive(Debug)]
pub struct Encoder {
    network: Network,
    encoding: Encoding,
    sizes: Vec<[usize; 2]>,
}

impl Encoder {
    /// The encoder of an encoding, for frames of `size` (height, width) whose white is 255. Of several cameras, the encoding has the
    /// sizes; `size` is that of the first. `weights`: every tensor of
    /// [`Encoding::network`] ([`tensors_of`](super::tensors_of) reads them).
    ///
    /// # Errors
    /// Frames of another size than were embedded, where the encoding knows that; tensors that are missing, superfluous, of
    /// another shape or not finite, and variances below zero.
    pub fn new(encoding: Encoding, weights: &Arrays, size: [usize; 2]) -> Result<Self> {
        let first = encoding.cameras.first().map(|camera| camera.size).or(encoding.size);
        if let Some(recorded) = first
            && recorded != size
        {
            let text = |[height, width]: [usize; 2]| format!("frames of {height} x {width}");
            return Err(Error::new(Kind::Mismatch, "the encoder embedded frames of another size")
                .expected(text(recorded))
                .found(text(size))
                .next("embed a recording of the task's own frames, and learn from that"));
        }
        let wanted = encoding.network.tensors();
        let wrong = |what: &str, name: &str| {
            Error::new(Kind::File, what)
                .at(format!("{}: {name}", encoding.network))
                .next("name its weights again")
        };
        if let Some(name) = weights.keys().find(|name| wanted.iter().all(|(wanted, _)| wanted != *name)) {
            return Err(wrong("a tensor that the encoder does not have", name));
        }
        let network = Network::new(encoding.network, |name, shape| {
            let (found, values) =
                weights.get(name).ok_or_else(|| wrong("a tensor of the encoder is missing", name))?;
            if found != shape || values.len() != shape.iter().product::<usize>() {
                return Err(wrong("a tensor of another shape", name)
                    .expected(format!("{shape:?}"))
                    .found(format!("{found:?}, {} values", values.len())));
            }
            let low = if name.ends_with("running_var") { 0.0 } else { f32::NEG_INFINITY };
            if values.iter().any(|v| !v.is_finite() || *v < low) {
                return Err(wrong("invalid weights: not finite, or a variance below zero", name));
            }
            Ok(values.clone())
        })?;
        let sizes = match encoding.cameras.is_empty() {
            true => vec![size],
            false => encoding.cameras.iter().map(|camera| camera.size).collect(),
        };
        Ok(Self { network, encoding, sizes })
    }

    /// The network, weights and preprocessing.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The dimensions of an observation: height x width x 3 of each camera, and the state.
    pub fn n_obs(&self) -> usize {
        self.sizes.iter().map(|[height, width]| height * width * 3).sum::<usize>() + self.encoding.n_state()
    }

    /// The dimensions of an embedding, with the state.
    pub fn width(&self) -> usize {
        self.encoding.width()
    }

    /// An embedder with its own buffers, for one thread.
    pub fn embedder(&self) -> FrameEmbedder<&Self> {
        FrameEmbedder::new(self)
    }

    /// Height and width of the frame of each camera.
    pub fn sizes(&self) -> &[[usize; 2]] {
        &self.sizes
    }
}

/// An encoder (`E`: a reference, or a shared one) with its buffers, for one thread. From the second frame on it allocates nothing,
/// unless the preset resizes frames.
#[derive(Debug)]
pub struct FrameEmbedder<E> {
    encoder: E,
    frames: Vec<Frames>,
    input: Vec<f32>,     // the preprocessed frame
    embedding: Vec<f32>, // [width]
}

impl<E: Deref<Target = Encoder>> FrameEmbedder<E> {
    /// Buffers for an encoder.
    pub fn new(encoder: E) -> Self {
        let frame = |size: &[usize; 2]| Frames {
            size: *size,
            pixels: vec![0.0; size[0] * size[1] * 3],
            full: 255.0,
            bytes: true,
        };
        Self {
            frames: encoder.sizes.iter().map(frame).collect(),
            input: Vec::new(),
            embedding: vec![0.0; encoder.width()],
            encoder,
        }
    }

    /// Embeds an observation: the frame of each camera, `[height, width, 3]` with values from 0 to 255, and the state.
    ///
    /// # Errors
    /// A frame with values outside that range, an observation of another length or with a state that is not finite; an embedding that
    /// is not finite.
    pub fn embed(&mut self, observation: &[f32]) -> Result<&[f32]> {
        self.check(observation.len())?;
        let (frames, state) = observation.split_at(observation.len() - self.encoder.encoding.n_state());
        if let Some(bad) = frames.iter().find(|v| !(0.0..=255.0).contains(*v)) {
            return Err(Error::new(Kind::Data, "a pixel outside its range")
                .expected("0 to 255")
                .found(bad.to_string()));
        }
        self.set_state(state)?;
        let mut left = frames;
        for frame in &mut self.frames {
            let (own, rest) = left.split_at(frame.pixels.len());
            frame.pixels.copy_from_slice(own);
            left = rest;
        }
        self.embed_frames()
    }

    /// Embeds the frame of each camera, of bytes, and the state, which is empty unless the encoding joins one.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_bytes(&mut self, frames: &[u8], state: &[f32]) -> Result<&[f32]> {
        if state.len() != self.encoder.encoding.n_state() {
            return Err(Error::new(Kind::Mismatch, "a state of another length than the encoder's")
                .expected(self.encoder.encoding.n_state().to_string())
                .found(state.len().to_string()));
        }
        self.check(frames.len() + state.len())?;
        let pixels = self.frames.iter_mut().flat_map(|frame| &mut frame.pixels);
        pixels.zip(frames).for_each(|(to, &v)| *to = f32::from(v));
        self.set_state(state)?;
        self.embed_frames()
    }

    fn set_state(&mut self, state: &[f32]) -> Result<()> {
        if let Some(bad) = state.iter().find(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Data, "a state that is not finite").found(bad.to_string()));
        }
        let from = self.embedding.len() - state.len();
        self.embedding[from..].copy_from_slice(state);
        Ok(())
    }

    fn check(&self, length: usize) -> Result<()> {
        if length == self.encoder.n_obs() {
            return Ok(());
        }
        let frames = self.encoder.sizes.iter().map(|[height, width]| format!("{height} x {width} x 3"));
        let frames = frames.collect::<Vec<_>>().join(" + ");
        let state = match self.encoder.encoding.n_state() {
            0 => String::new(),
            n => format!(" and {n} of the state"),
        };
        Err(Error::new(Kind::Mismatch, "a frame of another size than the encoder's")
            .expected(format!("{frames} values{state}"))
            .found(length.to_string()))
    }

    fn embed_frames(&mut self) -> Result<&[f32]> {
        let Encoder { network, encoding, .. } = &*self.encoder;
        let preset: Preset = encoding.preset;
        let n = self.embedding.len() - encoding.n_state();
        for (frame, to) in self.frames.iter().zip(self.embedding[..n].chunks_exact_mut(network.width())) {
            self.input.clear();
            let size = preset.apply(frame, 0..1, &mut self.input);
            network.embed_with_hook(&self.input, size, to, &mut |_, _, _, _| ());
        }
        if self.embedding.iter().any(|v| !v.is_finite()) {
            return Err(Error::new(Kind::Data, "an embedding that is NaN or infinite")
                .next("these weights do not suit these frames"));
        }
        Ok(&self.embedding)
    }
}

/// An actor for frames, made of an encoder and an actor for embeddings.
#[derive(Debug, Clone, Copy)]
pub struct EncodedPolicy<'a, A> {
    encoder: &'a Encoder,
    act: A,
}

impl<'a, A: Act> EncodedPolicy<'a, A> {
    /// # Errors
    /// If the embeddings of the encoder and the observations of the actor have different dimensions.
    pub fn new(encoder: &'a Encoder, act: A) -> Result<Self> {
        if act.n_obs() != encoder.width() {
            return Err(Error::new(Kind::Mismatch, "the encoder is not the actor's")
                .expected(format!("embeddings of dimension {}", act.n_obs()))
                .found(format!("{} of {}", encoder.width(), encoder.encoding.network)));
        }
        Ok(Self { encoder, act })
    }
}

impl<A: Act> Act for EncodedPolicy<'_, A> {
    fn n_obs(&self) -> usize {
        self.encoder.n_obs()
    }

    fn n_act(&self) -> usize {
        self.act.n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        self.act.acts_in_data_units()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        Box::new(EncodedActing {
            embedder: self.encoder.embedder(),
            micros: 0.0,
            inner: self.act.start(seed),
        })
    }
}

struct EncodedActing<'a> {
    embedder: FrameEmbedder<&'a Encoder>,
    micros: f32, // latency of the last embedding
    inner: Box<dyn Acting + 'a>,
}

impl Acting for EncodedActing<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let start = Instant::now();
        let embedding = self.embedder.embed(observation)?;
        self.micros = start.elapsed().as_secs_f32() * 1e6;
        self.inner.act(embedding, action)
    }

    fn intended(&self) -> Option<&[f32]> {
        self.inner.intended()
    }

    fn embedded_observation(&self) -> Option<EmbeddedObservation<'_>> {
        Some(EmbeddedObservation { embedding: &self.embedder.embedding, micros: self.micros })
    }
}
