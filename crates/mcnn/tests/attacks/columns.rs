//! Attacks on columns: read whole, and piece by piece from the file.

use mcnn::data::{DimensionNames, Parts, Recorded, Target};

use super::{in_limited_process, random_damage};

fn recorded() -> Recorded {
    let number = |i: usize| ((i * 37) % 100) as f32 / 100.0 - 0.5;
    Recorded {
        parts: Parts {
            n_obs: 3,
            n_act: 2,
            states: (0..60).map(number).collect(),
            actions: (0..40).map(number).collect(),
            rewards: Some((0..20).map(number).collect()),
            ends: vec![8, 20],
        },
        names: DimensionNames {
            state_names: Some(["x", "y", "z"].map(str::to_owned).to_vec()),
            action_names: None,
        },
        tasks: ["lift", "push"].map(str::to_owned).to_vec(),
        fps: Some(10.0),
        ..Recorded::default()
    }
}

#[test]
fn columns() {
    in_limited_process("columns::columns", |attacks| {
        let path = attacks.path("good");
        recorded().write(&path, Target::Columns).unwrap();
        assert!(attacks.at("columns", "good", &path));
        let whole = std::fs::read(&path).unwrap();
        let size = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        random_damage(attacks, "columns", "columns", &whole, 8 + size);
        let header = std::str::from_utf8(&whole[8..8 + size]).unwrap();
        for (from, to) in [
            ("[20,3]", "[4611686018427387904,4]"), // the product is 0 in 64 bits
            ("[20,3]", "[0,3]"),
            ("[20,3]", "[1,60]"),
            ("[2]", "[1152921504606846977]"),
            ("[0,240]", "[240,0]"),
            ("[0,240]", "[0,18446744073709551615]"),
            ("\"episode_tasks\":", "\"episode_numbers\":"),
            ("\"version\\\":1", "\"version\\\":0"),
            ("\"fps\\\":10.0", "\"fps\\\":-1.0"),
        ] {
            let header = header.replace(from, to);
            let length = (header.len() as u64).to_le_bytes();
            let bytes = [&length[..], header.as_bytes(), &whole[8 + size..]].concat();
            attacks.file("columns", &format!("{to} for {from}"), &bytes);
        }
        for length in [u64::MAX, u64::MAX - 7, 1 << 40, whole.len() as u64] {
            let bytes = [&length.to_le_bytes()[..], &whole[8..]].concat();
            assert!(!attacks.file("columns", &format!("a header of {length} bytes"), &bytes));
        }
    });
}
