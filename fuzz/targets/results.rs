//! A sweep's results, lines of JSON.
#![no_main]

mod common;

use mcnn_cli::embedded::results;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(lines) = results(&common::file(bytes)) {
        let written: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let again = results(&common::file(written.as_bytes())).expect("what is written is read");
        assert!(again.len() == lines.len());
    }
});
