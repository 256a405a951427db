//! Builds, saves, loads and searches many memories for `bench/memories.py`.
//!
//! `bench_memories make ROWS DIM OUTPUT` makes memories of a file of raw little-endian `f32`, `[n, DIM]`, with actions of 24
//! dimensions, and saves them. `bench_memories search MEMORIES PATH SCATTERED` loads them; each further line of standard input is
//! `path` or `scattered` and searches for the queries of that file, one by one. Both answer each piece of work by a line of JSON:
//! seconds, bytes of the file, resident memory and its peak in bytes; or the median time of a query in microseconds and what was
//! found.

mod support;

use std::{
    error::Error,
    fs::File,
    hint::black_box,
    io::{BufRead, Read, Write},
    path::Path,
    time::Instant,
};

use mcnn::{
    data::{Scale, Step},
    file,
    memory::{Codebook, CodebookParts, Retrieval},
};

const ACTIONS: usize = 24;
const STEPS: usize = 200; // of an episode

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", rows, dim, output] => make(rows, dim.parse()?, output),
        ["search", memories, path, scattered] => search(memories, path, scattered),
        _ => Err("usage: bench_memories make ROWS DIM OUTPUT, or search MEMORIES PATH SCATTERED".into()),
    }
}

fn make(rows: &str, dim: usize, output: &str) -> Result<(), Box<dyn Error>> {
    let states = read(rows)?;
    let n = states.len() / dim;
    let actions = (0..n * ACTIONS).map(|k| (k * 7919 % 2001) as f32 / 1000.0 - 1.0).collect();
    let step = |i: usize| Step { episode: (i / STEPS) as u32, step: (i % STEPS) as u32 };
    let parts = CodebookParts {
        selection: "all".into(),
        ..CodebookParts::new(
            Scale { mean: vec![0.0; dim], std: vec![1.0; dim], angles: Vec::new() },
            states,
            actions,
            (0..n).map(step).collect(),
        )
    };
    let start = Instant::now();
    let codebook = Codebook::new(parts)?;
    answer("build", start, None)?;
    let start = Instant::now();
    file::write_codebook(Path::new(output), &codebook)?;
    answer("save", start, Some(std::fs::metadata(output)?.len()))
}

fn search(memories: &str, path: &str, scattered: &str) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let codebook = file::read_codebook(Path::new(memories))?;
    answer("load", start, None)?;
    let (path, scattered) = (read(path)?, read(scattered)?);
    for line in std::io::stdin().lock().lines() {
        let work = line?;
        let (queries, follows) = match work.as_str() {
            "path" => (&path, true),
            "scattered" => (&scattered, false),
            other => return Err(format!("unknown work {other:?}: path or scattered").into()),
        };
        let mut state = codebook.scaled_buffer();
        let (mut times, mut found) = (Vec::new(), Vec::<Retrieval>::new());
        for q in queries.chunks_exact(codebook.n_obs()) {
            let start = Instant::now();
            codebook.scale(black_box(q), &mut state);
            let last = found.last().filter(|_| follows);
            found.push(match last {
                Some(last) => codebook.retrieve_from(&state, last.memory),
                None => codebook.retrieve(&state),
            });
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let index: Vec<usize> = found.iter().map(|r| r.memory).collect();
        let distance: Vec<f32> = found.iter().map(|r| r.distance).collect();
        let us = times[times.len() / 2];
        println!(r#"{{"work":"{work}","us":{us},"index":{index:?},"distance":{distance:?}}}"#);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// One line of JSON, with the resident memory of this process and the most it was, in bytes (Linux; else 0).
fn answer(work: &str, start: Instant, bytes: Option<u64>) -> Result<(), Box<dyn Error>> {
    let seconds = start.elapsed().as_secs_f64();
    let [resident, peak] = support::memory();
    let bytes = bytes.unwrap_or(0);
    println!(
        r#"{{"work":"{work}","seconds":{seconds},"bytes":{bytes},"resident":{resident},"peak":{peak}}}"#
    );
    std::io::stdout().flush()?;
    Ok(())
}

/// The values of a file, without a second copy of them.
fn read(path: &str) -> std::io::Result<Vec<f32>> {
    let mut file = File::open(path)?;
    let mut values = Vec::with_capacity(file.metadata()?.len() as usize / 4);
    let mut piece = vec![0; 1 << 20];
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match file.read(&mut piece[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        values.extend(piece[..filled].as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)));
        if filled < piece.len() {
            return Ok(values);
        }
    }
}
