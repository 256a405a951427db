//! Times of embedding frames on the best adapter: `bench_embed NETWORK WEIGHTS FRAMES.f32 SIDE ROUNDS OUT.f32`. The frames are square,
//! `[n, SIDE, SIDE, 3]`, and preprocessed. The embeddings are written to OUT.f32 for bench/gpu_embed.py, and a line of JSON is printed: the
//! device and the seconds of each round, from frames in memory to embeddings in memory, after one round that is not counted.

use std::time::Instant;

use mcnn::vision::{BatchEmbed as _, Design, Weights, load};
use mcnn_gpu::Embedder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, weights, frames, side, rounds, out] = &arguments[..] else {
        return Err("bench_embed NETWORK WEIGHTS FRAMES.f32 SIDE ROUNDS OUT.f32".into());
    };
    let (design, weights): (Design, Weights) = (network.parse()?, weights.parse()?);
    let (side, rounds): (usize, usize) = (side.parse()?, rounds.parse()?);
    let bytes = std::fs::read(frames)?;
    let frames: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let (network, _) = load(&weights, Some(design), &mut |_, _| ())?;
    let on_gpu = Embedder::open()?.load(&network)?;
    let mut embeddings = vec![0.0; frames.len() / (3 * side * side) * network.width()];
    let mut seconds = Vec::new();
    for _ in 0..=rounds {
        let start = Instant::now();
        on_gpu.embed_batch(&frames, [side, side], &mut embeddings)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    std::fs::write(out, embeddings.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{{\"device\": {:?}, \"seconds\": {:?}}}", on_gpu.device().unwrap_or_default(), &seconds[1..]);
    Ok(())
}
