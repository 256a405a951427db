//! An expert's network, an `.npz`: what is read acts.
#![no_main]

mod common;

use mcnn::{act::Act, expert::GaussianPolicy, seed::Seed};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(expert) = GaussianPolicy::read(&common::file(bytes)) else { return };
    let mut action = vec![0.0; expert.n_act()];
    if expert.start(Seed(1)).act(&vec![0.5; expert.n_obs()], &mut action).is_ok() {
        assert!(action.iter().all(|a| a.abs() <= 1.0), "the action {action:?}");
    }
});
