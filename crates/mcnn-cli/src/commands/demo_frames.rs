//! The first part of `mcnn demo --pixels`: demonstrations as frames, an encoder trained on them, and their embeddings.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, ReadOptions},
    encoder::{EncoderSettings, RecordedFrames, Run as Training},
    seed::Seed,
    vision::{
        Arrays, Encoder, Encoding, Preset, Source, SourceOptions, Weights, embed, load, part_of, tensors_of,
    },
};

use super::make::{PixelLaps, pixel_laps};
use crate::{args::DemoArgs, beside::beside, progress::Progress, say::say};

/// Demonstrations as embeddings, and their encoder.
pub struct EmbeddedLaps {
    pub data: Demonstrations,
    pub encoder: Encoder,
    pub arrays: Arc<Arrays>,
    /// The encoder's file.
    pub file: String,
}

/// The files that are written: demonstrations, encoder and embeddings.
pub fn frame_outputs(args: &DemoArgs) -> [PathBuf; 3] {
    [".laps.hdf5", ".encoder.safetensors", ".laps.npz"].map(|suffix| beside(&args.path, ".html", suffix))
}

/// Generates the demonstrations (`.laps.hdf5` beside the page), trains the encoder (`.encoder.safetensors`) and embeds the
/// frames (`.laps.npz`).
pub fn embedded_laps(args: &DemoArgs) -> Result<EmbeddedLaps> {
    let [laps, weights, embedded] = frame_outputs(args);
    let PixelLaps { frames, recording, .. } =
        pixel_laps(args.demonstrations as usize, args.noise, args.seed)?;
    frames.write_hdf5(&laps, &recording)?;
    let size = frames.size();
    say(format!("training an encoder on {} frames, {} steps", frames.n_steps(), args.encoder_steps));
    train(args, &laps, &weights)?;
    let weights_from = Weights::File(weights.clone());
    let encoding = embedding(&laps, &weights_from, &embedded)?;
    let arrays = tensors_of(&weights_from, &encoding, &mut |_, _| ())?;
    Ok(EmbeddedLaps {
        data: mcnn::data::read(&embedded, &ReadOptions::default())?,
        encoder: Encoder::new(encoding, &arrays, size)?,
        arrays: Arc::new(arrays),
        file: weights.display().to_string(),
    })
}

/// The preprocessing: the default of `mcnn encoder`.
fn preset() -> Result<Preset> {
    "normalized".parse()
}

fn train(args: &DemoArgs, laps: &Path, weights: &Path) -> Result<()> {
    let mut source = Source::open(laps, &SourceOptions::default())?;
    let frames = RecordedFrames::read(&mut source, preset()?, ActionRange::Refuse, &mut |_| true)?
        .expect("reading is not interrupted");
    // No validation set: the demo shows closed-loop results, not the encoder's loss.
    let settings = EncoderSettings {
        steps: args.encoder_steps,
        validation_fraction: 0.0,
        seed: Seed(args.seed),
        ..EncoderSettings::default()
    };
    let mut run = Training::new(frames, settings)?;
    let mut progress = Progress::new("training the encoder", 0, args.encoder_steps);
    while let Some(stepped) = run.step() {
        progress.at(stepped.step, &format!("loss {:.5}", stepped.loss));
    }
    run.write(weights).map(drop)
}

fn embedding(laps: &Path, weights: &Weights, embedded: &Path) -> Result<Encoding> {
    let mut source = Source::open(laps, &SourceOptions::default())?;
    let (network, found) = load(weights, None, &mut |_, _| ())?;
    let encoding = Encoding::new(network.design(), found.weights, preset()?, &source);
    // A part left by an interrupted demo belongs to other frames.
    let part = part_of(embedded);
    if part.exists() {
        std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
    }
    embed(&mut source, &network, &encoding, ActionRange::Refuse, embedded, &mut |_| true)?;
    Ok(encoding)
}
