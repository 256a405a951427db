//! Learns and trains from a file of columns (`mcnn convert DATA -o FILE.mcnn`), and prints after each piece of work a line of JSON: seconds, and
//! the resident memory of this process and its peak in bytes (Linux; else 0). The last line has the policy's content hash.
//!
//! `bench_columns FILE file|memory random|gas|kmeans|kcenter MEMORIES STEPS`: the steps stay in the file, or are read into memory.

mod support;

use std::{error::Error, path::Path, time::Instant};

use mcnn::{
    data::{ReadOptions, read, stream},
    file,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    train::{Run, TrainSettings},
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, form, selection, memories, steps] = &args[..] else {
        return Err("usage: bench_columns FILE file|memory SELECTION MEMORIES STEPS".into());
    };
    let selection: SelectionMethod = serde_json::from_value(selection.as_str().into())?;
    let (path, options, start) = (Path::new(path), ReadOptions::default(), Instant::now());
    let data = match form.as_str() {
        "file" => stream(path, &options)?.ok_or("not a file of columns")?.data,
        _ => read(path, &options)?,
    };
    answer("open", start);

    let start = Instant::now();
    let amount = Amount::Count(memories.parse()?);
    let settings = LearnSettings { amount, selection, epochs: 1, ..LearnSettings::default() };
    let learned = learn(&data, &settings)?;
    answer("learn", start);

    let start = Instant::now();
    let settings = TrainSettings { steps: steps.parse()?, ..TrainSettings::default() };
    let mut run = Run::new(&data, learned.codebook, settings)?;
    answer("prepare", start);
    let start = Instant::now();
    while run.step().is_some() {}
    run.check_readable()?;
    answer("train", start);
    let policy = file::fingerprint(&file::policy_to_bytes(&run.policy()));
    println!("{}", serde_json::json!({ "policy": policy }));
    Ok(())
}

fn answer(work: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let [resident, peak] = support::memory();
    println!(
        "{}",
        serde_json::json!({ "work": work, "seconds": seconds, "resident": resident, "peak": peak })
    );
}
