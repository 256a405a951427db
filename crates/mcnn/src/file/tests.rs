use super::*;
use crate::{
    backbone::{BetSettings, DiffusionSettings, Mlp, PredictionType, UnetSettings},
    data::{ActionRange, Demonstrations, DimensionNames, Parts},
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
    train::{Lambda, Run},
};

fn data() -> Demonstrations {
    let mut rng = Seed(1).rng();
    let states = (0..60 * 3).map(|_| rng.normal() as f32).collect();
    let actions = (0..60 * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![20, 60] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn codebook() -> Codebook {
    learn(
        &data(),
        &LearnSettings { amount: Amount::Count(15), selection: SelectionMethod::Gas, ..Default::default() },
    )
    .unwrap()
    .codebook
}

fn run(lambda: Lambda) -> Run {
    run_of(Architecture::default(), lambda)
}

/// A small U-Net for the dimensions of these tests.
fn unet() -> Architecture {
    Architecture::from(UnetSettings {
        groups: 2,
        horizon: 5,
        executed: 2,
        sample_steps: 2,
        ..Default::default()
    })
}

fn run_of(backbone: Architecture, lambda: Lambda) -> Run {
    let settings =
        TrainSettings { backbone, hidden: vec![6], lambda, batch: 8, steps: 5, ..Default::default() };
    let mut run = Run::new(&data(), codebook(), settings).unwrap();
    while run.step().is_some() {}
    run
}

#[test]
fn saved_codebooks_policies_and_checkpoints_load_as_equal_values() {
    let book = codebook();
    assert_eq!(codebook_from_bytes(&codebook_to_bytes(&book)).unwrap().parts(), book.parts());
    let plain = Lambda::Value(f32::INFINITY);
    let noise =
        DiffusionSettings { prediction: PredictionType::Epsilon, steps: 3, ema: 0.0, ..Default::default() };
    let bet = BetSettings { layers: 2, heads: 2, width: 8, window: 3, buckets: 5, ..Default::default() };
    for (backbone, lambda) in [
        (Architecture::default(), Lambda::Auto),
        (Architecture::default(), Lambda::Value(0.0)),
        (Architecture::default(), plain),
        (Architecture::from(DiffusionSettings::default()), Lambda::Auto),
        (Architecture::from(DiffusionSettings::default()), Lambda::Value(0.0)),
        (Architecture::from(noise), plain),
        (Architecture::from(bet), Lambda::Auto),
        (Architecture::from(bet), Lambda::Value(0.0)),
        (Architecture::from(bet), plain),
        (unet(), Lambda::Auto),
        (unet(), Lambda::Value(0.0)),
        (unet(), plain),
    ] {
        let run = run_of(backbone, lambda);
        let policy = run.policy();
        let loaded = policy_from_bytes(&policy_to_bytes(&policy)).unwrap();
        assert_eq!((loaded.envelope(), loaded.neighbors()), (policy.envelope(), policy.neighbors()));
        assert_eq!(
            (loaded.backbone(), loaded.training_record()),
            (policy.backbone(), policy.training_record())
        );
        let (mut original, mut session) = (policy.session(), loaded.session());
        let mut rng = Seed(9).rng();
        for _ in 0..200 {
            let state: Vec<f32> = (0..3).map(|_| 3.0 * rng.normal() as f32).collect();
            let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
            assert_eq!(original.act(&state, &mut a).unwrap(), session.act(&state, &mut b).unwrap());
            assert_eq!(a, b);
        }
        if let Some(checkpoint) = run.checkpoint() {
            assert_eq!(checkpoint_from_bytes(&checkpoint_to_bytes(&checkpoint)).unwrap(), checkpoint);
        }
    }
}

#[test]
fn one_seed_writes_the_same_bytes() {
    assert_eq!(codebook_to_bytes(&codebook()), codebook_to_bytes(&codebook()));
    assert_eq!(policy_to_bytes(&run(Lambda::Auto).policy()), policy_to_bytes(&run(Lambda::Auto).policy()));
}

#[test]
fn a_truncated_or_changed_file_is_refused_or_harmless_and_never_panics() {
    for backbone in [Architecture::default(), Architecture::from(DiffusionSettings::default()), unet()] {
        truncate_and_change(&policy_to_bytes(&run_of(backbone, Lambda::Auto).policy()));
    }
}

fn truncate_and_change(good: &[u8]) {
    for length in (0..good.len()).step_by(7) {
        assert!(policy_from_bytes(&good[..length]).is_err(), "{length} of {} bytes", good.len());
    }
    let mut rng = Seed(2).rng();
    for _ in 0..3000 {
        let mut bytes = good.to_vec();
        let at = if rng.below(2) == 0 { rng.below(bytes.len()) } else { rng.below(1500) };
        bytes[at] = rng.bits() as u8;
        if let Ok(policy) = policy_from_bytes(&bytes) {
            let mut action = [0.0; 2];
            policy.session().act(&[0.1, 0.2, 0.3], &mut action).unwrap();
        }
    }
}

#[test]
fn errors_on_files_of_another_kind_or_version_name_both() {
    let message = |bytes: &[u8]| policy_from_bytes(bytes).unwrap_err().to_string();
    assert!(message(&codebook_to_bytes(&codebook())).contains("found: memories"));
    let checkpoint = run(Lambda::Auto).checkpoint().unwrap();
    assert!(message(&checkpoint_to_bytes(&checkpoint)).contains("checkpoint"));
    assert!(message(b"PK\x03\x04 something else entirely").contains("safetensors"));
    let empty = safetensors::serialize(std::iter::empty::<(String, safetensors::tensor::TensorView)>(), None)
        .unwrap();
    assert!(message(&empty).contains("mcnn did not write"));
    let text = String::from_utf8_lossy(&policy_to_bytes(&run(Lambda::Auto).policy())).into_owned();
    assert!(text.contains(r#"\"version\":2"#));
    let newer = edited(&policy_to_bytes(&run(Lambda::Auto).policy()), r#"\"version\":2"#, r#"\"version\":3"#);
    let message = message(&newer);
    assert!(
        message.contains("expected: version 1 to 2") && message.contains("found: version 3"),
        "{message}"
    );
}

#[test]
fn weights_that_are_nan_are_refused() {
    let policy = run(Lambda::Auto).policy();
    let mut bytes = policy_to_bytes(&policy);
    let mlp = policy.backbone().unwrap().downcast::<Mlp>().expect("a network");
    let first = mlp.layers().next().unwrap().1[0].to_le_bytes();
    let at = bytes.windows(4).rposition(|w| w == first).unwrap();
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(policy_from_bytes(&bytes).unwrap_err().to_string().contains("NaN"));
}

/// A file with one text in its header replaced by another of the same length.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("the text is there");
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn an_unknown_backbone_is_refused_by_name() {
    let diffusion = run_of(Architecture::from(DiffusionSettings::default()), Lambda::Auto);
    let policy = policy_to_bytes(&diffusion.policy());
    let message = |bytes: &[u8]| policy_from_bytes(bytes).unwrap_err().to_string();
    let unknown = message(&edited(&policy, r#"\"diffusion\":{"#, r#"\"transform\":{"#));
    for part in ["unknown backbone", "mlp or diffusion or bet or unet", "transform", "version of mcnn"] {
        assert!(unknown.contains(part), "{part}: {unknown}");
    }
    let unknown = message(&edited(&policy_to_bytes(&run(Lambda::Auto).policy()), r#"\"mlp\""#, r#"\"gpt\""#));
    assert!(unknown.contains("gpt"), "{unknown}");
    let steps = message(&edited(&policy, r#"\"steps\":5"#, r#"\"steps\":0"#));
    assert!(steps.contains("--diffusion-steps") && steps.contains("damaged"), "{steps}");
    let checkpoint = checkpoint_to_bytes(&diffusion.checkpoint().unwrap());
    let unknown = edited(&checkpoint, r#"\"diffusion\":{"#, r#"\"transform\":{"#);
    assert!(checkpoint_from_bytes(&unknown).unwrap_err().to_string().contains("transform"));
}

#[test]
fn a_file_without_a_backbone_has_an_mlp() {
    let policy = run(Lambda::Auto).policy();
    let bytes = policy_to_bytes(&policy);
    // The same header with blanks instead of the key.
    let key = r#"\"backbone\":\"mlp\","#;
    let older = edited(&bytes, key, &" ".repeat(key.len()));
    assert_eq!(policy_from_bytes(&older).unwrap().backbone(), policy.backbone());
}

#[test]
fn a_constraint_set_is_read_without_the_network() {
    let policy = run(Lambda::Auto).policy();
    let bytes = policy_to_bytes(&policy);
    let set = constraint_set_from_bytes(&bytes).unwrap();
    assert_eq!(set.codebook.parts(), policy.codebook().parts());
    assert_eq!((set.envelope, set.neighbors), (Some(policy.envelope()), policy.neighbors()));
    assert_eq!(&set.training, policy.training_record());
    let book = constraint_set_from_bytes(&codebook_to_bytes(&codebook())).unwrap();
    assert_eq!((book.codebook.parts(), book.envelope), (codebook().parts(), None));
    // A network of NaN or of an unknown backbone is ignored; invalid memories are refused.
    let mlp = policy.backbone().unwrap().downcast::<Mlp>().expect("a network");
    let first = mlp.layers().next().unwrap().1[0].to_le_bytes();
    let at = bytes.windows(4).rposition(|w| w == first).unwrap();
    let mut damaged = edited(&bytes, r#"\"mlp\""#, r#"\"gpt\""#);
    damaged[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(policy_from_bytes(&damaged).is_err());
    assert_eq!(constraint_set_from_bytes(&damaged).unwrap().codebook.parts(), policy.codebook().parts());
    let memory = policy.codebook().state(0)[0].to_le_bytes();
    let at = bytes.windows(4).position(|w| w == memory).unwrap();
    let mut damaged = bytes.clone();
    damaged[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(constraint_set_from_bytes(&damaged).is_err());
    let checkpoint = checkpoint_to_bytes(&run(Lambda::Auto).checkpoint().unwrap());
    assert!(constraint_set_from_bytes(&checkpoint).unwrap_err().to_string().contains("checkpoint"));
}

#[test]
fn a_saved_calibration_loads_as_equal_and_is_optional() {
    let policy = run(Lambda::Auto).policy();
    let calibration = policy.calibration().expect("two episodes");
    assert_eq!(
        calibration.episodes().iter().map(|e| (e.number, e.distances.len())).collect::<Vec<_>>(),
        [(0, 20), (1, 40)]
    );
    let bytes = policy_to_bytes(&policy);
    assert_eq!(policy_from_bytes(&bytes).unwrap().calibration(), Some(calibration));
    let without = policy_to_bytes(&policy.clone().with_calibration(None));
    let loaded = policy_from_bytes(&without).unwrap();
    assert_eq!((loaded.calibration(), loaded.backbone()), (None, policy.backbone()));
    // One value changed: the order, a length, a NaN.
    let at = |value: [u8; 4]| bytes.windows(4).position(|w| w == value).unwrap();
    let pair = [1_u32.to_le_bytes(), 40_u32.to_le_bytes()].concat();
    let second = 4 + bytes.windows(8).position(|w| w == pair).unwrap();
    let last = calibration.episodes()[0].distances[19];
    for (at, to) in [
        (at(last.to_le_bytes()), 0.0_f32.to_le_bytes()),
        (at(last.to_le_bytes()), f32::NAN.to_le_bytes()),
        (at(20_u32.to_le_bytes()), 21_u32.to_le_bytes()),
        (at(20_u32.to_le_bytes()), 0_u32.to_le_bytes()),
        (at(20_u32.to_le_bytes()), u32::MAX.to_le_bytes()),
        (second, 39_u32.to_le_bytes()),
    ] {
        let mut damaged = bytes.clone();
        damaged[at..at + 4].copy_from_slice(&to);
        let message = policy_from_bytes(&damaged).unwrap_err().to_string();
        assert!(message.contains("calibration") && message.contains("damaged"), "{message}");
    }
}

#[test]
fn names_of_dimensions_are_kept_and_names_that_do_not_fit_are_refused() {
    let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let names =
        DimensionNames { state_names: list(&["x", "y", "Höhe"]), action_names: list(&["lift", "turn"]) };
    let named = codebook().with_names(names.clone()).unwrap();
    let bytes = codebook_to_bytes(&named);
    assert_eq!(codebook_from_bytes(&bytes).unwrap().parts().names, names);
    assert_eq!(
        codebook_from_bytes(&codebook_to_bytes(&codebook())).unwrap().parts().names,
        Default::default()
    );
    let backbone = run(Lambda::Auto).policy().backbone().cloned();
    let policy = Policy::new(named, run(Lambda::Auto).envelope(), backbone, 1).unwrap();
    assert_eq!(policy_from_bytes(&policy_to_bytes(&policy)).unwrap().codebook().parts().names, names);
    // In the header, the quotes of the JSON text are escaped.
    let text = |name: &str| format!(r#"\"{name}\""#).into_bytes();
    let place = bytes.windows(8).position(|w| w == text("lift")).unwrap();
    let mut damaged = bytes.clone();
    damaged[place..place + 8].copy_from_slice(&text("turn"));
    let error = codebook_from_bytes(&damaged).unwrap_err().to_string();
    assert!(error.contains("action_names") && error.contains("occurs twice"), "{error}");
}

/// Memories of so many values that arrays are written and read in several pieces, the last one shorter.
fn many_memories() -> Codebook {
    let n = 30_000;
    let mut rng = Seed(5).rng();
    let parts = codebook().parts().clone();
    Codebook::new(crate::memory::CodebookParts {
        states: (0..n * 3).map(|_| rng.normal() as f32).collect(),
        actions: (0..n * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect(),
        sources: (0..n as u32).map(|i| crate::data::Step { episode: i / 50, step: i % 50 }).collect(),
        edges: (1..n as u32).map(|i| [i - 1, i]).collect(),
        n_states: n,
        episodes: Vec::new(),
        ..parts
    })
    .unwrap()
}

#[test]
fn a_file_has_the_bytes_that_the_crate_safetensors_writes() {
    for bytes in [codebook_to_bytes(&many_memories()), policy_to_bytes(&run(Lambda::Auto).policy())] {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let found = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert!(found.len() > 5);
        let written = safetensors::serialize(found.tensors(), metadata.metadata().clone()).unwrap();
        assert!(written == bytes);
    }
}

#[test]
fn what_is_written_piece_by_piece_is_read_as_equal_and_has_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let (book, path) = (many_memories(), folder.path().join("memories"));
    let hash = write_codebook(&path, &book).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes == codebook_to_bytes(&book));
    assert_eq!(hash, fingerprint(&bytes));
    assert!(read_codebook(&path).unwrap().parts() == book.parts());
    let (set, of_set) = read_constraint_set(&path).unwrap();
    assert!(set.codebook.parts() == book.parts() && of_set == hash);
    let policy = run(Lambda::Auto).policy();
    let hash = write_policy(&path, &policy).unwrap();
    let (loaded, of_policy) = read_policy(&path).unwrap();
    assert!(of_policy == hash && policy_to_bytes(&loaded) == policy_to_bytes(&policy));
    // The network is not read, and still hashed.
    assert_eq!(read_constraint_set(&path).unwrap().1, hash);
}

#[test]
fn a_file_of_another_length_than_its_arrays_is_refused() {
    let bytes = codebook_to_bytes(&many_memories());
    let message = |bytes: &[u8], length: usize| {
        load_memories(&mut &*bytes, length as u64).expect_err("refused").to_string()
    };
    // Truncated by another process while it is read: an error, wherever it was cut.
    for length in (0..bytes.len()).step_by(bytes.len() / 40) {
        let refused = message(&bytes[..length], bytes.len());
        assert!(
            refused.contains("damaged") && refused.contains("truncated") || refused.contains("to its end"),
            "{refused}"
        );
        assert!(message(&bytes[..length], length).contains("truncated"));
    }
    let longer = [&bytes[..], &[0; 4]].concat();
    assert!(message(&longer, longer.len()).contains("arrays that end at byte"));
    // Metadata that would be longer than the file is refused before memory is taken for it.
    let huge = [&u64::MAX.to_le_bytes()[..], &bytes[8..]].concat();
    assert!(message(&huge, huge.len()).contains("would be metadata"));
}
