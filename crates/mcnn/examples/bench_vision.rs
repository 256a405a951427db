//! Timings for bench/vision.py: `bench_vision WEIGHTS FRAMES.f32 N HEIGHT WIDTH THREADS OUT.f32` embeds frames (`[N, HEIGHT,
//! WIDTH, 3]`) again and again, prints one line of JSON with the images a second, and writes the embeddings.

use std::time::Instant;

use mcnn::vision::{Weights, load};

fn main() -> mcnn::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |k: usize| args[k].parse::<usize>().expect("a whole number");
    let weights: Weights = args[0].parse().expect("weights");
    let (network, _) = load(&weights, None, &mut |_, _| ())?;
    let bytes = std::fs::read(&args[1]).expect("the frames");
    let frames: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let (n, size) = (number(2), [number(3), number(4)]);
    rayon::ThreadPoolBuilder::new().num_threads(number(5)).build_global().expect("threads");
    let mut out = vec![0.0; n * network.width()];
    network.embed(&frames, size, &mut out); // makes the buffers
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_secs_f64() < 2.0 {
        let start = Instant::now();
        network.embed(&frames, size, &mut out);
        best = best.min(start.elapsed().as_secs_f64());
    }
    let bytes: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&args[6], bytes).expect("the output");
    println!("{{\"images_per_second\":{}}}", n as f64 / best);
    Ok(())
}
