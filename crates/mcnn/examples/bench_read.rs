//! Reads demonstrations once and prints the seconds and the sums of states and actions, as JSON: `bench_read PATH`. Used by
//! bench/reading.py.

use std::{path::PathBuf, time::Instant};

use mcnn::data::{Selection, read_parts};

fn main() -> mcnn::Result<()> {
    let path: PathBuf = std::env::args_os().nth(1).expect("a path").into();
    let start = Instant::now();
    let (_, parts) = read_parts(&path, &Selection::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let sum = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>();
    let found = serde_json::json!({
        "seconds": seconds,
        "steps": parts.n_steps(),
        "episodes": parts.ends.len(),
        "states": sum(&parts.states),
        "actions": sum(&parts.actions),
    });
    println!("{found}");
    Ok(())
}
