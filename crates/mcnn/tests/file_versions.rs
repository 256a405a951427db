//! Files of version 1 load, act as they did, and are equal after saving them as version 2.
//!
//! The fixtures in `fixtures/v1` were written by the last program of version 1 from `data.npz` (3 episodes). Each
//! `explain-NAME.json` is what it printed for NAME.safetensors in step 9 of episode 2.

use std::path::PathBuf;

use mcnn::{
    data::{self, Demonstrations, Step},
    file,
    policy::{Dimension, Policy},
    train::Run,
};
use serde_json::Value;

const POLICIES: [&str; 5] = ["mlp", "diffusion", "bet", "unet", "vinn"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1")).join(name)
}

fn demonstrations() -> Demonstrations {
    data::read(&fixture("data.npz"), &Default::default()).unwrap()
}

fn policy(name: &str) -> Policy {
    file::read_policy(&fixture(&format!("{name}.safetensors"))).unwrap().0
}

/// The number at a key, as the f32 that was printed.
fn number(value: &Value, key: &str) -> Option<f32> {
    let number = value.get(key).unwrap_or_else(|| panic!("{key} in {value}"));
    number.as_f64().map(|number| number as f32)
}

#[test]
fn memories_of_version_1_load_and_are_equal_after_saving() {
    for name in ["memories", "embedded"] {
        let codebook = file::read_codebook(&fixture(&format!("{name}.safetensors"))).unwrap();
        let saved = file::codebook_to_bytes(&codebook);
        assert_eq!(file::codebook_from_bytes(&saved).unwrap().parts(), codebook.parts());
    }
    let codebook = file::read_codebook(&fixture("memories.safetensors")).unwrap();
    assert_eq!((codebook.len(), codebook.parts().smooth_neighbors), (10, 2));
    codebook.check_data(&demonstrations()).unwrap();
}

#[test]
fn an_encoding_of_version_1_has_the_present_spelling_of_its_preset() {
    let codebook = file::read_codebook(&fixture("embedded.safetensors")).unwrap();
    let encoding: Value = serde_json::from_str(codebook.parts().encoding.as_deref().unwrap()).unwrap();
    assert_eq!(encoding["preset"], "normalized:16x16");
    // Demonstrations that version 1 embedded match memories of either version.
    let data = data::read(&fixture("embedded.npz"), &Default::default()).unwrap();
    codebook.check_space(&data).unwrap();
}

#[test]
fn policies_of_version_1_act_as_version_1_did_to_the_bit() {
    let data = demonstrations();
    let row = data.find(Step { episode: 2, step: 9 }).unwrap();
    let observations = &data.states_of(row - 9..row + 1)[..];
    for name in POLICIES {
        let printed = std::fs::read_to_string(fixture(&format!("explain-{name}.json"))).unwrap();
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let policy = policy(name);
        assert_eq!(printed["name"], policy.name(), "{name}");
        let explained = policy.explain(observations).unwrap();
        assert_eq!(printed["memory"]["memory"], explained.memory.memory, "{name}");
        assert_eq!(number(&printed["memory"], "distance"), Some(explained.memory.distance), "{name}");
        assert_eq!(number(&printed, "pull"), Some(explained.weight), "{name}");
        assert_eq!(number(&printed, "radius"), Some(explained.radius), "{name}");
        assert_eq!(number(&printed, "quantile"), explained.quantile, "{name}");
        assert_eq!(printed["smooth"], explained.smooth_neighbors, "{name}");
        assert_eq!(printed["neighbours"], explained.neighbors, "{name}");
        let dimensions = printed["dimensions"].as_array().unwrap();
        assert_eq!(dimensions.len(), explained.dimensions.len(), "{name}");
        for (printed, d) in dimensions.iter().zip(&explained.dimensions) {
            let Dimension { memory_action, center, network_output, action, std, low, high, .. } = *d;
            for (key, value) in [
                ("remembered", Some(memory_action)),
                ("anchor", Some(center)),
                ("proposal", network_output),
                ("action", Some(action)),
                ("spread", std),
                ("low", Some(low)),
                ("high", Some(high)),
            ] {
                assert_eq!(number(printed, key), value, "{name}: {key}");
            }
        }
        let chunk = explained.chunk.map(|chunk| chunk.steps);
        assert_eq!(printed["chunk"].is_null(), chunk.is_none(), "{name}");
        for (k, step) in chunk.iter().flatten().enumerate() {
            for (d, dimension) in step.iter().enumerate() {
                let printed = &printed["chunk"]["steps"][k][d];
                assert_eq!(number(printed, "remembered"), dimension.memory_action, "{name}: step {k}");
                assert_eq!(number(printed, "action"), Some(dimension.action), "{name}: step {k}");
            }
        }
    }
}

#[test]
fn policies_of_version_1_are_equal_after_saving_and_loading() {
    for name in POLICIES {
        let policy = policy(name);
        assert!(policy.calibration().is_some(), "{name}");
        let record = policy.training_record();
        assert!(!record.validation_episodes.is_empty(), "{name}");
        let keys: Vec<&str> = record.settings.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["amplitude", "neighbors", "optimizer", "validation_fraction"] {
            assert!(keys.contains(&key), "{name}: {key} in {keys:?}");
        }
        let saved = file::policy_to_bytes(&policy);
        let loaded = file::policy_from_bytes(&saved).unwrap();
        assert_eq!(loaded.codebook().parts(), policy.codebook().parts(), "{name}");
        assert_eq!(
            (loaded.envelope(), loaded.neighbors()),
            (policy.envelope(), policy.neighbors()),
            "{name}"
        );
        assert_eq!(
            (loaded.backbone(), loaded.calibration(), loaded.training_record()),
            (policy.backbone(), policy.calibration(), record),
            "{name}"
        );
        assert_eq!(file::policy_to_bytes(&loaded), saved, "{name}: equal contents give equal bytes");
        let set = file::read_constraint_set(&fixture(&format!("{name}.safetensors"))).unwrap().0;
        assert_eq!(set.codebook.parts(), policy.codebook().parts(), "{name}");
        assert_eq!((set.envelope, &set.training), (Some(policy.envelope()), record), "{name}");
    }
}

#[test]
fn a_checkpoint_of_version_1_loads_and_its_run_resumes() {
    let checkpoint = file::read_checkpoint(&fixture("checkpoint.safetensors")).unwrap();
    assert_eq!(checkpoint.step, 10);
    let saved = file::checkpoint_to_bytes(&checkpoint);
    assert_eq!(file::checkpoint_from_bytes(&saved).unwrap(), checkpoint);

    // Version 1 trained diffusion.safetensors with the same settings, without an interruption, for 20 steps.
    let codebook = file::read_codebook(&fixture("memories.safetensors")).unwrap();
    let mut settings = checkpoint.settings.clone();
    settings.steps = 20;
    let mut run = Run::resume(&demonstrations(), codebook, settings, checkpoint).unwrap();
    while run.step().is_some() {}
    let (resumed, uninterrupted) = (run.policy(), policy("diffusion"));
    // The record of the resumed run has the settings that version 1 did not have.
    let (found, expected) = (resumed.training_record(), uninterrupted.training_record());
    assert_eq!(found.validation_episodes, expected.validation_episodes);
    assert_eq!((found.steps, &found.edits), (expected.steps, &expected.edits));
    for (key, value) in expected.settings.as_object().unwrap() {
        assert_eq!(&found.settings[key], value, "{key}");
    }
    let expected = uninterrupted.backbone().unwrap().save_tensors();
    for (name, (shape, values)) in resumed.backbone().unwrap().save_tensors() {
        let (expected_shape, expected) = &expected[&name];
        assert_eq!(&shape, expected_shape, "{name}");
        // Processors with and without fused multiply-add differ in the last digits of training.
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-4, "{name}: {value} {expected}");
        }
    }
}
