//! `mcnn embed`.

use std::{sync::atomic::Ordering, time::Instant};

use mcnn::{
    Error, Result,
    data::{Outside, ReadOptions},
    error::Kind,
    vision::{BatchEmbed, Encoding, Found, Preset, Source, SourceOptions, embed, load, part_of},
};
use serde::Serialize;

use super::{Done, claim, claim_output, range, say_clipped};
use crate::{
    args::{EmbedArgs, FrameArgs},
    device, interrupt, print,
    progress::Progress,
    say::say,
};

/// The embeddings written.
#[derive(Serialize)]
pub struct EmbedReport {
    /// The output; of an interrupted run, the partial output.
    pub file: String,
    pub frames: usize,
    pub episodes: usize,
    /// Dimension of the embeddings.
    pub n_obs: usize,
    /// The format of the frames, as recognized.
    pub source: Vec<String>,
    /// The cameras, in the order of their embeddings.
    pub cameras: Vec<String>,
    /// The keys of the states after the embeddings; empty without --with-state.
    pub state_keys: Vec<String>,
    /// Dimensions of those states.
    pub n_state: usize,
    pub encoding: Encoding,
    /// The name of the GPU that embedded, or cpu.
    pub device: String,
    /// The file of weights; null if they are random.
    pub weights_file: Option<String>,
    /// The prefix of its tensors' names, which was removed.
    pub name_prefix: String,
    /// Its tensors that the network does not use.
    pub unused_tensors: Vec<String>,
    /// Steps whose frame has the same embedding as the step before; null if interrupted.
    pub frozen_steps: Option<usize>,
    /// Length of the longest run of such steps.
    pub longest_frozen_run: Option<usize>,
    /// The frame at which that run starts.
    pub longest_frozen_run_at: Option<usize>,
    /// Frames embedded by an earlier, interrupted run.
    pub resumed_from: usize,
    pub interrupted: bool,
    pub seconds: f64,
    pub frames_per_second: f64,
    /// Fingerprint of the demonstrations; null if interrupted.
    pub fingerprint: Option<String>,
}

pub fn run(args: &EmbedArgs) -> Result<Done> {
    let _claim = claim_output(&args.output)?;
    let part = part_of(&args.output.path);
    drop(claim(&part)?); // its name is longer
    if args.output.force && part.exists() {
        std::fs::remove_file(&part).map_err(|e| Error::io("removing", &part, &e))?;
    }
    threads(args.frames.threads)?;
    let upload = device::embedding(args.device)?;
    let mut source = open(&args.frames, args.with_state)?;
    let mut download = None;
    let (network, found) = load(&args.weights, args.network, &mut |done, total| {
        download.get_or_insert_with(|| Progress::new("downloading weights", 0, total)).at(done, "bytes");
    })?;
    drop(download);
    let on_gpu = upload.map(|upload| upload(&network)).transpose()?;
    let embedder: &dyn BatchEmbed = on_gpu.as_deref().unwrap_or(&network);
    let encoding = Encoding::new(network.design(), found.weights.clone(), preset(args, &found)?, &source);
    let flag = interrupt::flag();
    let (start, mut progress) = (Instant::now(), None);
    let range = range(args.frames.clip_actions);
    let total = source.n as u64;
    let mut reached = 0;
    let embedded = embed(&mut source, embedder, &encoding, range, &args.output.path, &mut |done| {
        reached = done;
        let progress = progress.get_or_insert_with(|| Progress::new("embedding", done as u64, total));
        progress.at(done as u64, "frames");
        !flag.load(Ordering::Relaxed)
    })
    .map_err(|e| e.within(args.frames.data.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    drop(progress);
    let interrupted = embedded.is_none();
    let file = if interrupted { &part } else { &args.output.path };
    // The fingerprint of the file as `learn` and `train` read it.
    let fingerprint = match interrupted {
        true => None,
        false => Some(mcnn::data::read(&args.output.path, &ReadOptions::default())?.fingerprint()),
    };
    let resumed_from = embedded.as_ref().map_or(0, |e| e.resumed_from);
    let report = EmbedReport {
        file: file.display().to_string(),
        frames: reached,
        episodes: source.labels.ends.len(),
        n_obs: encoding.width(),
        source: source.notes.clone(),
        cameras: source.cameras.clone(),
        state_keys: source.state_keys.clone(),
        n_state: source.n_state(),
        encoding,
        device: embedder.device().unwrap_or_else(|| "cpu".into()),
        weights_file: found.file.map(|file| file.display().to_string()),
        name_prefix: found.prefix,
        unused_tensors: found.left_over,
        frozen_steps: embedded.as_ref().map(|e| e.still),
        longest_frozen_run: embedded.as_ref().map(|e| e.longest_still),
        longest_frozen_run_at: embedded.as_ref().map(|e| e.still_at),
        resumed_from,
        interrupted,
        seconds,
        frames_per_second: (reached - resumed_from.min(reached)) as f64 / seconds,
        fingerprint,
    };
    let exit_code = if interrupted { 130 } else { 0 };
    Ok(Done { exit_code, ..Done::new(&report, print::embed(&report)) })
}

/// Opens a recording of frames, perhaps with its states. Says on stderr what is skipped and how many actions are clipped.
pub fn open(args: &FrameArgs, with_state: bool) -> Result<Source> {
    if let Some(key) = args.keys.state_keys.first().filter(|_| !with_state) {
        return Err(Error::new(Kind::Settings, "states are read only where they are joined with embeddings")
            .at(format!("--state {key}"))
            .next("give --with-state to `mcnn embed`, or leave --state out"));
    }
    let source = Source::open(&args.data, &SourceOptions { with_state, ..args.source() })?;
    source.warnings.iter().for_each(say);
    if args.clip_actions {
        say_clipped(&args.data, &Outside::count(&source.labels.actions, source.labels.n_act));
    }
    Ok(source)
}

/// The preset: that of the encoder's file, else the option.
fn preset(args: &EmbedArgs, found: &Found) -> Result<Preset> {
    let Some(encoder) = &found.encoder else { return Ok(args.preset.unwrap_or_default()) };
    match args.preset {
        Some(preset) if preset != encoder.preset => {
            Err(Error::new(Kind::Mismatch, "the preset is not the one the encoder was trained with")
                .at("--preset")
                .expected(encoder.preset.to_string())
                .found(preset.to_string())
                .next("leave --preset out: the encoder's file says which it is"))
        }
        _ => Ok(encoder.preset),
    }
}

/// Sets the number of rayon's threads; `None` keeps the default.
pub fn threads(count: Option<usize>) -> Result<()> {
    let Some(count) = count else { return Ok(()) };
    let refused = |found: String| {
        Error::new(Kind::Settings, "threads out of range").at("--threads").expected("1 to 1024").found(found)
    };
    if !(1..=1024).contains(&count) {
        return Err(refused(count.to_string()));
    }
    rayon::ThreadPoolBuilder::new().num_threads(count).build_global().map_err(|e| refused(e.to_string()))
}
