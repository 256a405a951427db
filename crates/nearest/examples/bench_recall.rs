//! Times the searches for `bench/recall.py`, which runs a peer in turn with this program.
//!
//! `bench_recall ROWS QUERIES DIM` reads two files of raw little-endian `f32`, row-major. Each line of standard input names a
//! search, which is run once over all queries, and is answered by one line of JSON: `us`, the median time of a query in
//! microseconds (for `many` the mean; for `stream` the best of ten times to read the table once), `read`, the mean share of the
//! columns that was read, and the rows found.

use nearest::{Hit, Table};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rows, queries, dim] = &args[..] else {
        return Err("usage: bench_recall ROWS QUERIES DIM".into());
    };
    let (rows, queries, dim) = (read(rows)?, read(queries)?, dim.parse::<usize>()?);
    let table = Table::from_rows(&rows, dim);
    for line in std::io::stdin().lock().lines() {
        let work = line?;
        let (us, read, hits) = match work.as_str() {
            "nearest" => one_by_one(&queries, dim, |q, _| (table.nearest(q).expect("rows"), None)),
            "from" => one_by_one(&queries, dim, |q, last| {
                let (hit, pruned) = table.nearest_from(q, last);
                (hit, Some(1.0 - pruned as f64 / table.columns() as f64))
            }),
            "many" => {
                let start = Instant::now();
                let hits = table.nearest_many(&queries, 1);
                (micros(start) / hits.len() as f64, None, hits)
            }
            "stream" => {
                let pass = |_| {
                    let start = Instant::now();
                    black_box(sum(black_box(&rows)));
                    micros(start)
                };
                ((0..10).map(pass).fold(f64::INFINITY, f64::min), None, Vec::new())
            }
            other => return Err(format!("unknown search {other:?}: nearest, from, many or stream").into()),
        };
        let index: Vec<usize> = hits.iter().map(|hit| hit.index).collect();
        let d2: Vec<f32> = hits.iter().map(|hit| hit.d2).collect();
        let read = read.map_or("null".into(), |share| share.to_string());
        println!(r#"{{"work":"{work}","us":{us},"read":{read},"index":{index:?},"d2":{d2:?}}}"#);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// The median time of a search in microseconds, the mean share of the columns read, and the rows found. `search` takes the query
/// and the row found last.
fn one_by_one(
    queries: &[f32],
    dim: usize,
    search: impl Fn(&[f32], usize) -> (Hit, Option<f64>),
) -> (f64, Option<f64>, Vec<Hit>) {
    let mut hits: Vec<Hit> = Vec::new();
    let mut times = Vec::new();
    let mut shares = Vec::new();
    for q in queries.chunks_exact(dim) {
        let last = hits.last().map_or(0, |hit| hit.index);
        let start = Instant::now();
        let (hit, share) = black_box(search(black_box(q), last));
        times.push(micros(start));
        hits.push(hit);
        shares.extend(share);
    }
    times.sort_by(f64::total_cmp);
    let share = (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64);
    (times[times.len() / 2], share, hits)
}

/// The sum of all values, in 32 independent sums, so that memory bandwidth and not addition latency is the limit.
fn sum(rows: &[f32]) -> f32 {
    let mut sums = [0.0; 32];
    for chunk in rows.chunks_exact(32) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().sum()
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

fn read(path: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
