//! What `mcnn demo --pixels` does before the rest: laps in frames, an encoder trained on them, and their embeddings.

use std::{path::Path, sync::Arc};

use mcnn::{
    Error, Result,
    data::{ActionRange, Demonstrations, ReadOptions},
    encoder::{EncoderSettings, Footage, Run as Training},
    seed::Seed,
    vision::{
        Arrays, Encoder, Encoding, Preset, Source, SourceOptions, Weights, embed, load, part_of, tensors_of,
    },
};

use super::make::film;
use crate::{args::DemoArgs, progress::Progress};

/// Laps as an encoder sees them.
pub struct Seen {
    pub data: Demonstrations,
    pub encoder: Encoder,
    pub arrays: Arc<Arrays>,
    /// The encoder's file.
    pub file: String,
}

/// Makes the laps, `.laps.hdf5` beside the page, trains the encoder, `.encoder.safetensors`, and embeds, `.laps.npz`.
pub fn seen(args: &DemoArgs) -> Result<Seen> {
    let [laps, weights, embedded] =
        ["laps.hdf5", "encoder.safetensors", "laps.npz"].map(|ending| args.path.with_extension(ending));
    let film = film(args.demonstrations as usize, args.noise, args.seed)?;
    film.footage.write_hdf5(&laps, &film.recording)?;
    let size = film.footage.size();
    eprintln!("training an encoder on {} frames, {} steps", film.footage.n_steps(), args.encoder_steps);
    train(args, &laps, &weights)?;
    let weights_from = Weights::File(weights.clone());
    let encoding = embedding(&laps, &weights_from, &embedded)?;
    let arrays = tensors_of(&weights_from, &encoding, &mut |_, _| ())?;
    Ok(Seen {
        data: mcnn::data::read(&embedded, &ReadOptions::default())?,
        encoder: Encoder::new(encoding, &arrays, size)?,
        arrays: Arc::new(arrays),
        file: weights.display().to_string(),
    })
}

/// How frames are prepared: as `mcnn encoder` has it by default.
fn preset() -> Result<Preset> {
    "normalized".parse()
}

fn train(args: &DemoArgs, laps: &Path, weights: &Path) -> Result<()> {
    let mut source = Source::open(laps, &SourceOptions::default())?;
    let footage = Footage::read(&mut source, preset()?, ActionRange::Refuse, &mut |_| true)?
        .expect("nobody stops the reading");
    // All laps are trained on: how well it foretells others is not what the demo shows.
    let settings = EncoderSettings {
        steps: args.encoder_steps,
        validation_fraction: 0.0,
        seed: Seed(args.seed),
        ..EncoderSettings::default()
    };
    let mut run = Training::new(footage, settings)?;
    let mut progress = Progress::new("training the encoder", 0, args.encoder_steps);
    while let Some(stepped) = run.step() {
        progress.at(stepped.step, &format!("loss {:.5}", stepped.loss));
    }
    run.write(weights).map(drop)
}

fn embedding(laps: &Path, weights: &Weights, embedded: &Path) -> Result<Encoding> {
    let mut source = Source::open(laps, &SourceOptions::default())?;
    let (network, found) = load(weights, None, &mut |_, _| ())?;
    let encoding =
        Encoding { network: network.design(), weights: found.weights, preset: preset()?, size: source.size };
    // What an interrupted demo left is of other laps.
    let part = part_of(embedded);
    if part.exists() {
        std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
    }
    embed(&mut source, &network, &encoding, ActionRange::Refuse, embedded, &mut |_| true)?;
    Ok(encoding)
}
