//! A sweep's results, lines of JSON.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../crates/mcnn-cli/src/args/mod.rs"]
mod args;
mod common;
#[path = "../../crates/mcnn-cli/src/sweep/plan.rs"]
mod plan;
#[path = "../../crates/mcnn-cli/src/sweep/results.rs"]
mod results;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let file = std::fs::File::open(&path).unwrap();
    if let Ok((lines, whole)) = results::read(&path, &file) {
        assert!(whole <= bytes.len() as u64);
        for line in &lines {
            let text = serde_json::to_string(line).expect("a result is plain values");
            assert!(serde_json::from_str::<results::Line>(&text).is_ok(), "what is written is read: {text}");
        }
    }
});
