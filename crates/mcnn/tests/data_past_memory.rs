//! The peak memory of learning and training from columns that stay in their file, against the same data in memory. Each is measured in a
//! process of its own.

use std::{path::Path, process::Command};

use mcnn::{
    data::{Parts, ReadOptions, Recorded, Target, read, stream},
    file,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};

const TEST: &str = "data_past_memory::columns_in_their_file_take_less_memory_and_give_the_same_policy";
const INSIDE: &str = "MCNN_DATA_PAST_MEMORY_INSIDE";
const STEPS: usize = 120_000;
const WIDTHS: [usize; 2] = [45, 24];

/// Waves in episodes of 200 steps.
fn recorded() -> Recorded {
    let [n_obs, n_act] = WIDTHS;
    let wave = |i: usize, k: usize| (0.01 * i as f32 * (1.0 + 0.37 * k as f32) + (i / 200) as f32).sin();
    let rows = |width: usize| (0..STEPS * width).map(move |j| wave(j / width, j % width)).collect();
    Recorded {
        parts: Parts {
            n_obs,
            n_act,
            states: rows(n_obs),
            actions: rows(n_act),
            rewards: None,
            ends: (1..=STEPS / 200).map(|k| 200 * k).collect(),
        },
        ..Recorded::default()
    }
}

/// Learns and trains, and prints the policy's content hash and the peak memory of this process in KiB.
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let policy = file::fingerprint(&file::policy_to_bytes(&run.policy()));
    println!("PEAK {policy} {}", peak.trim().trim_end_matches(" kB"));
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
    recorded().write(&path, Target::Columns).unwrap();
    let [streamed, whole] = ["file", "memory"].map(|form| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .envs([("RAYON_NUM_THREADS", "2"), ("MALLOC_ARENA_MAX", "2")])
            .env(INSIDE, path.with_extension(form))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.split_once("PEAK ")).unwrap_or_else(|| {
            panic!("{form}: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        let (policy, peak) = line.1.split_once(' ').unwrap();
        (policy.to_owned(), peak.parse::<usize>().unwrap() << 10)
    });
    let bytes = 4 * STEPS * WIDTHS.iter().sum::<usize>();
    println!("{bytes} bytes: a peak of {} streamed, of {} in memory", streamed.1, whole.1);
    assert_eq!(streamed.0, whole.0);
    assert!(whole.1 > 2 * bytes, "in memory: the data, and their standardized states");
    assert!(3 * streamed.1 < whole.1, "{} streamed, {} in memory", streamed.1, whole.1);
}
