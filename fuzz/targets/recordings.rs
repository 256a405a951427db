//! Recordings of ROS 2 in MCAP.
#![no_main]

mod common;

use mcnn::data::{Selection, inspect, read_parts};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = common::file(bytes);
    let _ = inspect(&path, &Selection::default());
    let key = |key: &str| vec![key.parse().expect("a key")];
    let selection = Selection {
        state: key("/joint_states.position"),
        action: key("/odd.parts"),
        hz: Some(50.0),
        ..Selection::default()
    };
    if let Ok((_, parts)) = read_parts(&path, &selection) {
        parts.check().expect("what is read belongs together");
    }
});
