//! Attacks on D4RL's HDF5, written by this library: chunked and compressed, with groups and attributes.

use mcnn::data::{DimensionNames, Parts, Recording, write_hdf5};

use super::{in_limited_process, random_damage};

#[test]
fn hdf5() {
    in_limited_process("demonstrations::hdf5", |attacks| {
        let number = |i: usize| ((i * 37) % 100) as f32 / 100.0 - 0.5;
        let parts = Parts {
            n_obs: 3,
            n_act: 2,
            states: (0..60).map(number).collect(),
            actions: (0..40).map(number).collect(),
            rewards: Some((0..20).map(number).collect()),
            ends: vec![8, 20],
        };
        let recording = Recording {
            terminals: vec![true, false],
            infos: vec![
                ("qpos", 4, (0..80).map(number).collect()),
                ("qvel", 4, (0..80).map(number).collect()),
            ],
            episodes: vec![(1, None), (2, Some(true))],
            names: DimensionNames {
                state_names: Some(["x", "y", "z"].map(str::to_owned).to_vec()),
                action_names: Some(["lift", "turn"].map(str::to_owned).to_vec()),
            },
            notes: vec![("policy", "none".into())],
        };
        let path = attacks.path("good");
        write_hdf5(&path, &parts, &recording).unwrap();
        assert!(attacks.at("demonstrations", "good", &path));
        let whole = std::fs::read(&path).unwrap();
        random_damage(attacks, "demonstrations", "HDF5", &whole, 2000);
        for i in [0, 59] {
            for value in [f32::NAN, f32::INFINITY] {
                let mut parts = parts.clone();
                parts.states[i] = value;
                write_hdf5(&path, &parts, &recording).unwrap();
                assert!(!attacks.at("demonstrations", &format!("{value} as number {i}"), &path));
            }
        }
    });
}
