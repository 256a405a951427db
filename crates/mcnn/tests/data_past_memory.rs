//! The peak memory of learning and training from columns that stay in their file, and of converting several files, against the same data in
//! memory. Each is measured in a process of its own.

use std::{path::Path, process::Command};

use mcnn::{
    data::{
        Parts, ReadOptions, Recorded, Selection, Target, read, read_recorded, read_recorded_in_file, stream,
    },
    file,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};

const TEST: &str = "data_past_memory::columns_in_their_file_take_less_memory_and_give_the_same_policy";
const CONVERTED: &str = "data_past_memory::several_files_are_converted_in_the_memory_of_one";
const INSIDE: &str = "MCNN_DATA_PAST_MEMORY_INSIDE";
const STEPS: usize = 120_000;
const WIDTHS: [usize; 2] = [45, 24];

/// Waves of so many steps in episodes of 200.
fn recorded(steps: usize) -> Recorded {
    let [n_obs, n_act] = WIDTHS;
    let wave = |i: usize, k: usize| (0.01 * i as f32 * (1.0 + 0.37 * k as f32) + (i / 200) as f32).sin();
    let rows = |width: usize| (0..steps * width).map(move |j| wave(j / width, j % width)).collect();
    Recorded {
        parts: Parts {
            n_obs,
            n_act,
            states: rows(n_obs),
            actions: rows(n_act),
            rewards: None,
            ends: (1..=steps / 200).map(|k| 200 * k).collect(),
        },
        ..Recorded::default()
    }
}

/// Learns and trains, and prints the policy's content hash and the peak memory of this process.
fn inside(form: &str, path: &Path) {
    let options = ReadOptions::default();
    let data = match form {
        "file" => stream(path, &options).unwrap().unwrap().data,
        _ => read(path, &options).unwrap(),
    };
    let (amount, selection) = (Amount::Count(4), SelectionMethod::Random);
    let settings = LearnSettings { amount, selection, seed: Seed(1), ..LearnSettings::default() };
    let memories = learn(&data, &settings).unwrap().codebook;
    let settings = TrainSettings {
        lambda: Lambda::Value(1.0),
        hidden: vec![8],
        steps: 20,
        batch: 32,
        validation_fraction: 0.001,
        ..TrainSettings::default()
    };
    let mut run = Run::new(&data, memories, settings).unwrap();
    while run.step().is_some() {}
    run.check_readable().unwrap();
    answer(&file::fingerprint(&file::policy_to_bytes(&run.policy())));
}

/// Prints a result and the peak memory of this process in KiB.
fn answer(result: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("PEAK {result} {}", peak.trim().trim_end_matches(" kB"));
}

/// Runs a test of this file in a process of its own: its result and its peak memory in bytes.
fn in_process(test: &str, inside: &Path) -> (String, usize) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs([("RAYON_NUM_THREADS", "2"), ("MALLOC_ARENA_MAX", "2")])
        .env(INSIDE, inside)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("PEAK ")).unwrap_or_else(|| {
        panic!("{}: {text}{}", inside.display(), String::from_utf8_lossy(&output.stderr));
    });
    let (result, peak) = line.1.split_once(' ').unwrap();
    (result.to_owned(), peak.parse::<usize>().unwrap() << 10)
}

#[test]
fn columns_in_their_file_take_less_memory_and_give_the_same_policy() {
    if let Some(path) = std::env::var_os(INSIDE) {
        let path = Path::new(&path);
        return inside(path.extension().unwrap().to_str().unwrap(), &path.with_extension(""));
    }
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: the peak memory of a process is read from Linux");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("columns");
    recorded(STEPS).write(&path, Target::Columns).unwrap();
    let [streamed, whole] = ["file", "memory"].map(|form| in_process(TEST, &path.with_extension(form)));
    let bytes = 4 * STEPS * WIDTHS.iter().sum::<usize>();
    println!("{bytes} bytes: a peak of {} streamed, of {} in memory", streamed.1, whole.1);
    assert_eq!(streamed.0, whole.0);
    assert!(whole.1 > 2 * bytes, "in memory: the data, and their standardized states");
    assert!(3 * streamed.1 < whole.1, "{} streamed, {} in memory", streamed.1, whole.1);
}

/// The number of files that are converted.
const FILES: usize = 8;

#[test]
fn several_files_are_converted_in_the_memory_of_one() {
    let paths = |folder: &Path| (0..FILES).map(|k| folder.join(format!("{k}.npz"))).collect::<Vec<_>>();
    if let Some(to) = std::env::var_os(INSIDE) {
        let to = Path::new(&to);
        let (from, selection) = (paths(to.parent().unwrap()), Selection::default());
        let written = match to.file_stem().is_some_and(|form| form == "file") {
            true => read_recorded_in_file(&from, &selection, to)
                .and_then(|found| found.write(to, Target::Columns)),
            false => read_recorded(&from, &selection).and_then(|found| found.write(to, Target::Columns)),
        };
        written.unwrap();
        return answer("written");
    }
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: the peak memory of a process is read from Linux");
    }
    let folder = tempfile::tempdir().unwrap();
    for path in paths(folder.path()) {
        recorded(STEPS / FILES).write(&path, Target::Npz).unwrap();
    }
    let [file, memory] = ["file.mcnn", "memory.mcnn"].map(|name| folder.path().join(name));
    let [piecewise, whole] = [&file, &memory].map(|to| in_process(CONVERTED, to).1);
    assert!(std::fs::read(file).unwrap() == std::fs::read(memory).unwrap());
    let bytes = 4 * STEPS * WIDTHS.iter().sum::<usize>();
    println!("{bytes} bytes: a peak of {piecewise} piece by piece, of {whole} in memory");
    assert!(whole > bytes, "in memory: all data");
    assert!(2 * piecewise < whole, "{piecewise} piece by piece, {whole} in memory");
}
