//! Datasets of LeRobot in a folder: the input is the Parquet file of an episode.
#![no_main]

mod common;

use std::fs;

use mcnn::data::{Selection, inspect, read_parts};

const INFO: &str = r#"{"codebase_version": "v2.1", "fps": 30, "data_path": "{episode_index}.parquet", "features": {
    "observation.state": {"dtype": "float32", "shape": [3]}, "action": {"dtype": "float32", "shape": [2]},
    "next.reward": {"dtype": "float32", "shape": [1]}}}"#;

const EPISODE: &str = r#"{"episode_index": 0, "tasks": ["lift"], "length": 4}"#;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = common::file(bytes);
    let folder = common::folder(&file, &[("meta/info.json", INFO), ("meta/episodes.jsonl", EPISODE)]);
    fs::copy(&file, folder.join("0.parquet")).expect("a copy");
    if let Ok((_, parts)) = read_parts(&folder, &Selection::default()) {
        parts.check().expect("what is read belongs together");
        let _ = inspect(&folder, &Selection::default());
    }
});
