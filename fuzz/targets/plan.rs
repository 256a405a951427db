//! A sweep's plan, TOML.
#![no_main]

mod common;

use std::sync::atomic::AtomicBool;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // No plan has a run without settings, so none is made. (A plan of a million runs is no fault, but it takes a second.)
    let made = mcnn_cli::embedded::run_of_plan(&common::file(bytes), "{}", &AtomicBool::new(true));
    assert!(made.is_err());
});
