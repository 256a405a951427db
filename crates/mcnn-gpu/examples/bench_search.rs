//! Times of nearest-neighbor searches on the best adapter: `bench_search QUERIES ROWS DIM ROUNDS FOLDER`. The rows and queries are random.
//! They and the nearest rows are written to FOLDER for bench/gpu.py, and the times printed as a line of JSON, in seconds: of the GPU's part,
//! with all copies to the GPU and back, and of the exact result, with the proof on the processor and what is searched there again.

use std::{path::Path, sync::Arc, time::Instant};

use mcnn::{
    memory::{BatchQuery, BatchSearch, batch_search_stats, search_batch, set_batch_search},
    seed::Seed,
};
use mcnn_gpu::Gpu;
use nearest::Table;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..count).map(|_| rng.uniform() as f32 - 0.5).collect()
}

/// The times of some rounds after one that is not counted.
fn times(rounds: usize, mut work: impl FnMut()) -> Vec<f64> {
    work();
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..rounds).map(time).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [queries, rows, dim, rounds, folder] = &arguments[..] else {
        return Err("bench_search QUERIES ROWS DIM ROUNDS FOLDER".into());
    };
    let (m, n, dim, rounds): (usize, usize, usize, usize) =
        (queries.parse()?, rows.parse()?, dim.parse()?, rounds.parse()?);
    let (rows, queries) = (random(n * dim, 1), random(m * dim, 2));
    let query = BatchQuery { rows: &rows, queries: &queries, dim, k: 1, groups: None };
    let table = Table::from_rows(&rows, dim);

    let gpu = Arc::new(Gpu::open()?);
    let proposed = times(rounds, || drop(gpu.shortlist(&query).expect("the GPU works")));
    set_batch_search(Some(gpu));
    let mut found = Vec::new();
    let exact = times(rounds, || found = search_batch(&table, &query));
    let stats = batch_search_stats().expect("it was set");
    if let Some(failure) = &stats.failure {
        return Err(failure.clone().into());
    }

    let write = |name: &str, bytes: Vec<u8>| std::fs::write(Path::new(folder).join(name), bytes);
    write("rows.f32", rows.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    write("queries.f32", queries.iter().flat_map(|v| v.to_le_bytes()).collect())?;
    write("found.i32", found.iter().flat_map(|hits| (hits[0].index as i32).to_le_bytes()).collect())?;
    println!(
        "{{\"device\": {:?}, \"gpu\": {proposed:?}, \"exact\": {exact:?}, \"queries\": {}, \"repeated_on_cpu\": {}}}",
        stats.device, stats.queries, stats.repeated_on_cpu
    );
    Ok(())
}
