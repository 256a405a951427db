//! Adam's state of the first network in a checkpoint: the bytes are its values, one half means and one half squares; the rest is valid.
#![no_main]

use std::sync::LazyLock;

use mcnn::{
    data::{ActionRange, Demonstrations, Parts},
    file,
    memory::{Amount, Codebook, LearnSettings, learn},
    optimizer::Moments,
    train::{Checkpoint, Run, TrainSettings},
};

static WHOLE: LazyLock<(Demonstrations, Codebook, TrainSettings, Checkpoint)> = LazyLock::new(|| {
    let number = |i: usize| ((i * 37) % 100) as f32 / 100.0 - 0.5;
    let (states, actions) = ((0..60).map(number).collect(), (0..40).map(number).collect());
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![8, 20] };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let settings = LearnSettings { amount: Amount::Count(6), ..Default::default() };
    let book = learn(&data, &settings).unwrap().codebook;
    let settings = TrainSettings { hidden: vec![4], batch: 8, steps: 5, ..Default::default() };
    let mut run = Run::new(&data, book.clone(), settings.clone()).unwrap();
    run.step();
    let checkpoint = run.checkpoint().unwrap();
    if let Some(path) = std::env::var_os("MCNN_FUZZ_SEED") {
        let Moments { mean, square } = &checkpoint.members[0].moments;
        let bytes: Vec<u8> = mean.iter().chain(square).flat_map(|m| m.to_le_bytes()).collect();
        std::fs::write(path, bytes).unwrap();
    }
    (data, book, settings, checkpoint)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (data, book, settings, good) = &*WHOLE;
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let (mean, square) = numbers.split_at(numbers.len() / 2);
    let moments = Moments { mean: mean.to_vec(), square: square.to_vec() };
    let mut checkpoint = good.clone();
    checkpoint.members[0].moments = moments;
    let read = file::checkpoint_from_bytes(&file::checkpoint_to_bytes(&checkpoint)).unwrap();
    if let Ok(mut run) = Run::resume(data, book.clone(), settings.clone(), read) {
        run.step().expect("a run that goes on takes a step");
        let _ = run.policy();
    }
});
