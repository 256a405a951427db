//! Datasets of Minari in a folder: the input is the Arrow file of an episode.
#![no_main]

mod common;

use std::fs;

use mcnn::data::{Selection, inspect, read_parts};

const METADATA: &str = r#"{"total_episodes": 1, "total_steps": 2, "data_format": "arrow",
    "observation_space": "{\"type\": \"Box\", \"dtype\": \"float32\", \"shape\": [3]}",
    "action_space": "{\"type\": \"Box\", \"dtype\": \"float32\", \"shape\": [2]}",
    "dataset_id": "box/arrow-v0", "minari_version": "0.5.4"}"#;
const EPISODE: &str = r#"{"id": 0, "total_steps": 2, "seed": 100}"#;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = common::file(bytes);
    let folder =
        common::folder(&file, &[("data/metadata.json", METADATA), ("data/0/metadata.json", EPISODE)]);
    fs::copy(&file, folder.join("data/0/part-0.arrow")).expect("a copy");
    if let Ok((_, parts)) = read_parts(&folder, &Selection::default()) {
        parts.check().expect("what is read belongs together");
        let _ = inspect(&folder, &Selection::default());
    }
});
