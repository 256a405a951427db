//! Timings for bench/encoder.py: `bench_encoder SIDE BATCH THREADS` trains the small encoder on random frames for two seconds
//! and prints one line of JSON with the milliseconds of a step, the best.

use std::time::Instant;

use mcnn::{
    encoder::{EncoderSettings, RecordedFrames, Run},
    seed::Seed,
};

fn main() -> mcnn::Result<()> {
    let args: Vec<usize> = std::env::args().skip(1).map(|arg| arg.parse().expect("a whole number")).collect();
    let (side, batch, threads, n) = (args[0], args[1], args[2], 1000);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let mut rng = Seed(0).rng();
    let data = RecordedFrames {
        cameras: 1,
        preset: "normalized".parse()?,
        size: [side; 2],
        frames: (0..n * side * side * 3).map(|_| rng.below(256) as u8).collect(),
        n_act: 2,
        actions: (0..2 * n).map(|_| rng.between(-1.0, 1.0) as f32).collect(),
        ends: vec![n],
        margins: vec![0],
    };
    let settings = EncoderSettings { batch, steps: 1 << 40, augment: 0, ..EncoderSettings::default() };
    let mut run = Run::new(data, settings)?;
    for _ in 0..3 {
        run.step(); // makes the buffers
    }
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_secs_f64() < 2.0 {
        let start = Instant::now();
        run.step();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{{\"milliseconds\":{}}}", 1e3 * best);
    Ok(())
}
