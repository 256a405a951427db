//! Files of columns: what is written is what is read, by the crate safetensors too; streamed steps are those in memory; and refusals.

use std::path::Path;

use safetensors::SafeTensors;

use crate::{
    data::{
        ActionRange, ActionScale, ActionSettings, DimensionNames, Parts, ReadOptions, Recorded, RelativeTo,
        Selection, Target, Units, read, stream,
    },
    seed::Seed,
};

/// Walks of several lengths, more than a piece together, with actions near the state's first dimensions in other units.
fn recorded() -> Recorded {
    let mut rng = Seed(1).rng();
    let (mut states, mut actions, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for length in [40, 1, 75, 20, 64] {
        let mut at = [0.0; 3].map(|_: f64| 3.0 * rng.normal());
        for _ in 0..length {
            at.iter_mut().for_each(|x| *x += 0.1 * rng.normal());
            states.extend(at.map(|x| x as f32));
            actions.extend([at[0] + 0.05 * rng.normal(), at[1] - 0.02].map(|x| x as f32));
        }
        ends.push(states.len() / 3);
    }
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let rewards = (0..200).map(|i| i as f32).collect();
    Recorded {
        parts: Parts { n_obs: 3, n_act: 2, states, actions, rewards: Some(rewards), ends },
        names: DimensionNames { state_names: names(&["x", "y", "z"]), action_names: names(&["x", "y"]) },
        tasks: ["lift", "push", "lift", "lift", "push"].map(String::from).to_vec(),
        fps: Some(20.0),
        ..Recorded::default()
    }
}

fn written(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("a.mcnn");
    assert_eq!(recorded().write(&path, Target::of(&path).unwrap()).unwrap(), [""; 0]);
    path
}

fn scaled(scale: ActionScale, relative_to: RelativeTo) -> ReadOptions {
    let settings = ActionSettings { scale, relative_to, angles: vec!["2:rad".parse().unwrap()] };
    ReadOptions { units: Units::Fitted(settings), ..ReadOptions::default() }
}

#[test]
fn what_is_written_is_read_by_the_crate_safetensors_and_has_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let Parts { states, actions, rewards, ends, .. } = recorded().parts;
    let floats = |name: &str| -> Vec<f32> {
        tensors.tensor(name).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    assert_eq!(tensors.tensor("states").unwrap().shape(), [200, 3]);
    assert_eq!((floats("states"), floats("actions"), floats("rewards")), (states, actions, rewards.unwrap()));
    let found = tensors.tensor("episode_ends").unwrap();
    assert!(found.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as usize).eq(ends));
    let again = folder.path().join("b.mcnn");
    recorded().write(&again, Target::Columns).unwrap();
    assert_eq!(std::fs::read(again).unwrap(), bytes);
    // Files of this layout that others write need no metadata.
    let other = folder.path().join("c.safetensors");
    let plain = tensors.tensors().into_iter().filter(|(name, _)| name != "episode_tasks");
    safetensors::serialize_to_file(plain, None, &other).unwrap();
    let options = scaled(ActionScale::Range, RelativeTo::Absolute);
    let [ours, theirs] = [&path, &other].map(|path| read(path, &options).unwrap());
    assert_eq!((theirs.fingerprint(), theirs.tasks().len()), (ours.fingerprint(), 0));
    assert_eq!((ours.tasks(), ours.origin().fps), (&recorded().tasks[..], Some(20.0)));
}

#[test]
fn streamed_steps_are_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let npz = folder.path().join("a.npz");
    recorded().write(&npz, Target::Npz).unwrap();
    let of_task = Selection { task: Some("lift".into()), ..Selection::default() };
    let some = Selection { episodes: vec![1..=1, 3..=4], ..Selection::default() };
    let same_name = || scaled(ActionScale::Auto, RelativeTo::SameName);
    let all = [
        scaled(ActionScale::Auto, RelativeTo::Absolute),
        scaled(ActionScale::Quantile, RelativeTo::Absolute),
        scaled(ActionScale::Quantile, RelativeTo::SameName),
        scaled(ActionScale::Range, RelativeTo::Dimensions(vec![Some(2), None])),
        same_name(),
        ReadOptions { selection: of_task, ..same_name() },
        ReadOptions { selection: some, drop_last: true, ..same_name() },
    ];
    for options in all {
        let streamed = stream(&path, &options).unwrap().unwrap();
        let in_memory = crate::data::read_with_notes(&path, &options).unwrap();
        let (data, whole) = (streamed.data, in_memory.data);
        assert!(data.is_streamed() && !whole.is_streamed() && data.pieces().count() > 1);
        assert_eq!((data.states(), data.actions()), (whole.states(), whole.actions()));
        assert_eq!((data.fingerprint(), &streamed.outside), (whole.fingerprint(), &in_memory.outside));
        assert_eq!(
            (data.names(), data.origin(), data.units()),
            (whole.names(), whole.origin(), whole.units())
        );
        assert_eq!((data.ends(), data.tasks()), (whole.ends(), whole.tasks()));
        assert!((0..data.n_episodes()).all(|k| data.number(k) == whole.number(k)));
        if options.selection == Selection::default() {
            assert_eq!(data.fingerprint(), read(&npz, &options).unwrap().fingerprint());
        }
        // What is selected and cut stays in the file, in any order.
        let last = data.n_episodes() - 1;
        let which = [last, 0];
        assert!(data.select(&which).is_streamed());
        assert_eq!(data.select(&which).states(), whole.select(&which).states());
        assert_eq!(
            data.select(&which).cut(9).select(&[2, 1]).actions(),
            whole.select(&which).cut(9).select(&[2, 1]).actions()
        );
        assert_eq!(data.warnings(), whole.warnings());
        assert_eq!(data.groups(), whole.groups());
        data.check_readable().unwrap();
    }
    let error = |options: &ReadOptions| {
        [stream(&path, options).map(|_| ()), read(&path, options).map(|_| ())]
            .map(|r| r.unwrap_err().to_string())
    };
    let [streamed, whole] = error(&scaled(ActionScale::None, RelativeTo::Absolute));
    assert_eq!(streamed, whole);
    assert!(streamed.contains("a.mcnn") && streamed.contains("in other units than [-1, 1]"), "{streamed}");
    let clips = ReadOptions { range: ActionRange::Clip, ..ReadOptions::default() };
    let [streamed, whole] = error(&clips);
    assert_eq!(streamed, whole);
    let keys = Selection { state: vec!["states:0-1".parse().unwrap()], ..Selection::default() };
    let options = ReadOptions { selection: keys, ..scaled(ActionScale::Range, RelativeTo::Absolute) };
    let options = ReadOptions { units: Units::default(), ..options };
    assert!(stream(&path, &options).unwrap().is_none(), "read whole");
    assert_eq!(read(&path, &options).unwrap().n_obs(), 2);
}

#[test]
fn a_file_that_is_cut_short_or_lies_is_refused_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(written(folder.path())).unwrap();
    let size = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&whole[8..8 + size]).unwrap();
    let with = |from: &str, to: &str| {
        let header = header.replace(from, to);
        assert_ne!(header, std::str::from_utf8(&whole[8..8 + size]).unwrap(), "{from}");
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &whole[8 + size..]].concat()
    };
    let mut backwards = whole.clone();
    let ends = whole.len() - 4 * 5 - 8 * 5;
    backwards[ends..ends + 8].copy_from_slice(&(-1_i64).to_le_bytes());
    let mut nan = whole.clone();
    nan[8 + size + 12 * 117 + 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    for (bytes, expected) in [
        (whole[..whole.len() - 1].to_vec(), "cut short"),
        (whole[..8 + size + 40].to_vec(), "cut short"),
        (whole[..60].to_vec(), "not a file of demonstrations"),
        ([&whole[..], b"more"].concat(), "leave bytes of the file unused"),
        (with("[200,3]", "[200000000000,3]"), "bytes are not those of its shape"),
        (with("[200,3]", "[18446744073709551615,3]"), "bytes are not those of its shape"),
        (with("[200,2]", "[100,4]"), "different numbers of steps"),
        (
            with(r#""dtype":"F32","shape":[200,3]"#, r#""dtype":"U32","shape":[200,3]"#),
            "another type or shape",
        ),
        (with(r#"\"kind\":\"demonstrations\""#, r#"\"kind\":\"policy\""#), "another kind"),
        (with(r#"\"version\":1"#, r#"\"version\":9"#), "version 9"),
        (with(r#"\"x\",\"y\",\"z\""#, r#"\"x\",\"y\""#), "names"),
        (with("\"actions\":{", "\"action\":{"), "missing"),
        (backwards, "episode ends must increase"),
        (nan, "states, step 117, dimension 1 (EPISODE:STEP 3:1)"),
    ] {
        let path = folder.path().join("bad.mcnn");
        std::fs::write(&path, &bytes).unwrap();
        let options = scaled(ActionScale::Range, RelativeTo::Absolute);
        for found in [read(&path, &options).err(), stream(&path, &options).err()] {
            let message = found.unwrap_or_else(|| panic!("{expected}")).to_string();
            assert!(message.contains(expected) && message.matches("bad.mcnn").count() == 1, "{message}");
        }
    }
}

#[test]
fn a_file_that_shrinks_or_changes_while_it_is_read_is_an_error_of_everything_computed_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    let options = scaled(ActionScale::Range, RelativeTo::Absolute);
    let open = || stream(&path, &options).unwrap().unwrap().data;
    let data = open();
    let cut =
        |length: u64| std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    cut(bytes.len() as u64 / 2);
    let error = data.check_readable().unwrap_err().to_string();
    assert!(error.contains("a.mcnn") && error.contains("cut short while it was being read"), "{error}");
    assert_eq!(data.action(199)[..], [0.0; 2]);
    // Also where it is whole again.
    std::fs::write(&path, &bytes).unwrap();
    assert!(data.check_readable().is_err());

    let data = open();
    std::fs::write(&path, &bytes).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let error = data.check_readable().unwrap_err().to_string();
    assert!(error.contains("changed while it was being read"), "{error}");

    // A new file under the same name is another file: what was opened stays.
    let data = open();
    let before = data.states().into_owned();
    let mut other = recorded();
    other.parts.states.iter_mut().for_each(|v| *v += 1.0);
    other.write(&path, Target::Columns).unwrap();
    assert_eq!(data.states(), before);
    data.check_readable().unwrap();
}
