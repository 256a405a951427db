//! A sweep's plan, TOML. (Its reader is the program's, which is no library: the files are taken in by their paths.)
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../crates/mcnn-cli/src/args/mod.rs"]
mod args;
mod common;
#[path = "../../crates/mcnn-cli/src/sweep/plan.rs"]
mod plan;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // (A plan of a million runs is no fault, but it takes a second.)
    let _ = plan::read(&common::file(bytes));
});
