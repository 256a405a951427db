//! Demonstrations: HDF5 of D4RL and robomimic, `.npz` and zips of zarr, told apart by their contents; and recordings of frames in either.
#![no_main]

mod common;

use mcnn::data::{FrameFile, ReadOptions, Selection, inspect, read, read_parts, read_simulator};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    if let Ok((_, parts)) = read_parts(&path, &Selection::default()) {
        parts.check().expect("what is read belongs together");
        let _ = inspect(&path, &Selection::default());
    }
    let _ = read_simulator(&path);
    if let Ok(data) = read(&path, &ReadOptions::default()) {
        assert!(data.states().iter().all(|v| v.is_finite()));
        assert!(data.actions().iter().all(|a| a.abs() <= 1.0));
    }
    let no_state = Selection { no_state: true, ..Selection::default() };
    if let Ok(mut file) = FrameFile::open(&path, None, &no_state) {
        let mut pieces = 0;
        let _ = file.read_frames(0, &mut |_, _| {
            pieces += 1;
            Ok(pieces < 4)
        });
    }
});
