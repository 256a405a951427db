//! Timings for bench/choose.py: `bench_choose ROWS START DIM`. ROWS and START are files of raw little-endian `f32`: the rows, and
//! the initial centers. Each line of standard input names a task, which is run once and answered with one line of JSON:
//!
//! - `kmeans`: one pass of k-means from START, and the nearest new center of each row: the seconds, the sum of the squared
//!   distances (inertia) and the label of each row.
//! - `kcenter`: farthest-point sampling from the first row of START, to as many rows: the seconds, the rows, and the squared
//!   distance of the farthest remaining row.

use std::{io::BufRead, num::NonZero, time::Instant};

use mcnn::memory::{FarthestPoints, lloyd};
use nearest::Table;
use serde_json::json;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rows, start, dim] = &args[..] else { panic!("bench_choose ROWS START DIM") };
    let (rows, start, dim) = (read(rows), read(start), dim.parse::<usize>().expect("a whole number"));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    for line in std::io::stdin().lock().lines() {
        let answer = match line.expect("a line").as_str() {
            "kmeans" => {
                let timer = Instant::now();
                let centers = lloyd(&rows, dim, start.clone(), 1);
                let hits = Table::from_rows(&centers, dim).nearest_many(&rows, threads);
                let inertia = hits.iter().map(|hit| f64::from(hit.d2)).sum::<f64>();
                let seconds = timer.elapsed().as_secs_f64();
                let labels: Vec<usize> = hits.iter().map(|hit| hit.index).collect();
                json!({ "seconds": seconds, "inertia": inertia, "labels": labels })
            }
            "kcenter" => {
                let timer = Instant::now();
                let table = Table::from_rows(&rows, dim);
                let mut sampling = FarthestPoints::new(&table, vec![f32::INFINITY; table.len()]);
                let mut chosen = Vec::new();
                sampling.add_center(&start[..dim]);
                while chosen.len() + 1 < start.len() / dim {
                    let (next, _) = sampling.farthest().expect("distinct rows");
                    chosen.push(next);
                    sampling.add_center(&rows[next * dim..][..dim]);
                }
                let seconds = timer.elapsed().as_secs_f64();
                json!({ "seconds": seconds, "chosen": chosen, "left": sampling.farthest().map_or(0.0, |(_, d2)| d2) })
            }
            other => panic!("kmeans or kcenter, not {other:?}"),
        };
        println!("{answer}");
    }
}

/// Reads raw little-endian `f32` values.
fn read(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("a readable file");
    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}
