//! Against datasets that Minari wrote and read (tests/fixtures/minari/make.py).

use super::*;
use crate::data::{
    Inspection, ReadOptions,
    fixtures::{expected, unpacked},
    inspect, read as read_data, read_parts,
};

fn dataset(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// The dataset with keys of the user's.
fn chosen(path: &Path, state: &[&str], action: &[&str]) -> Result<Inspection> {
    let keys = |keys: &[&str]| keys.iter().map(|key| key.parse().unwrap()).collect();
    inspect(path, &Selection { state: keys(state), action: keys(action), ..Selection::default() })
}

#[test]
fn what_minari_wrote_is_read_as_minari_and_gymnasium_read_it() {
    let folder = unpacked("minari/datasets.zip");
    for name in ["box", "matrix", "mixed"] {
        for of in ["hdf5", "parquet", "arrow"] {
            let path = dataset(&folder, &format!("{name}/{of}-v0"));
            let values = |key: &str| expected("minari/expected.npz", &format!("{name}-{of}/{key}"));
            let (format, found) =
                read_parts(&path, &Selection::default()).unwrap_or_else(|e| panic!("{name} {of}: {e}"));
            assert_eq!(format, Format::Minari);
            assert_eq!((found.n_obs, found.states), values("states"), "{name} {of}");
            assert_eq!((found.n_act, found.actions), values("actions"), "{name} {of}");
            assert_eq!((1, found.rewards.unwrap()), values("rewards"), "{name} {of}");
            let ends: Vec<f32> = found.ends.iter().map(|&end| end as f32).collect();
            assert_eq!(ends, values("ends").1, "{name} {of}");
        }
    }
}

#[test]
fn the_folder_the_data_folder_and_the_file_are_the_same_dataset() {
    let folder = unpacked("minari/datasets.zip");
    let whole = read_data(&dataset(&folder, "box/hdf5-v0"), &ReadOptions::default()).unwrap();
    assert_eq!(whole.n_episodes(), 11); // of which 10 is after 9, not after 1
    assert_eq!(whole.origin().state_keys, ["observations"]);
    assert_eq!(whole.names(), &Default::default());
    for inside in ["data", "data/main_data.hdf5"] {
        let path = dataset(&folder, "box/hdf5-v0").join(inside);
        assert_eq!(read_data(&path, &ReadOptions::default()).unwrap(), whole, "{inside}");
    }
    let id = Path::new("box/hdf5-v0");
    assert_eq!(kept(folder.path(), id), Some(folder.path().join("box/hdf5-v0/data")));
    assert_eq!(kept(folder.path(), Path::new("box/hdf5-v1")), None);
    // The file without its description.
    for name in ["box", "matrix"] {
        let path = dataset(&folder, &format!("{name}/hdf5-v0"));
        let alone = folder.path().join("alone.h5");
        std::fs::copy(path.join("data/main_data.hdf5"), &alone).unwrap();
        let [a, b] = [&path, &alone].map(|path| read_data(path, &ReadOptions::default()).unwrap());
        assert_eq!(a, b, "{name}");
    }
    let some = Selection { episodes: vec![9..=10], ..Selection::default() };
    let options = ReadOptions { selection: some, ..ReadOptions::default() };
    let found = read_data(&dataset(&folder, "box/parquet-v0"), &options).unwrap();
    assert_eq!((found.number(0), found.number(1), found.ends()), (9, 10, &[1, 3][..]));
}

#[test]
fn keys_of_dicts_are_chosen_by_their_names() {
    let folder = unpacked("minari/datasets.zip");
    for of in ["hdf5", "parquet", "arrow"] {
        let path = dataset(&folder, &format!("mixed/{of}-v0"));
        let all = read_data(&path, &ReadOptions::default()).unwrap();
        let keys = [
            "achieved_goal/burner",
            "achieved_goal/kettle",
            "buttons",
            "desired_goal/burner",
            "desired_goal/kettle",
            "mode",
            "observation",
            "pair/0",
            "pair/1",
        ];
        assert_eq!(all.origin().state_keys, keys);
        assert_eq!(
            all.names().state_names.as_ref().unwrap()[..3],
            ["achieved_goal/burner:0", "achieved_goal/kettle:0", "achieved_goal/kettle:1"]
        );
        let goal = Selection {
            state: ["observation", "desired_goal", "mode:1"].map(|key| key.parse().unwrap()).to_vec(),
            ..Selection::default()
        };
        let options = ReadOptions { selection: goal, ..ReadOptions::default() };
        let found = read_data(&path, &options).unwrap();
        for i in 0..all.n_steps() {
            let state = all.state(i);
            // achieved_goal 0-2, buttons 3-4, desired_goal 5-7, mode 8-10, observation 11-14
            assert_eq!(found.state(i), [&state[11..15], &state[5..8], &state[9..10]].concat());
        }
        assert_eq!(found.origin().state_keys, ["observation", "desired_goal", "mode:1"]);
        let found = chosen(&path, &["observations/observation"], &[]).unwrap();
        let used = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap().used_as;
        assert_eq!(
            (used("observation"), used("camera"), used("words")),
            (Usage::State, Usage::Frames, Usage::Unused)
        );
        for (key, part) in [("camera", "mcnn embed"), ("words", "Text"), ("goal", "the keys mode, ")] {
            let error = chosen(&path, &[key], &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{key}: {error}");
        }
    }
    let path = dataset(&folder, "matrix/parquet-v0");
    assert_eq!(chosen(&path, &[], &["b"]).unwrap().n_act, 2);
}

#[test]
fn what_cannot_be_learned_from_is_refused_with_the_reason() {
    let folder = unpacked("minari/datasets.zip");
    let refused =
        |name: &str| read_parts(&dataset(&folder, name), &Selection::default()).unwrap_err().to_string();
    let error = refused("choices/parquet-v0");
    assert!(error.contains("Discrete") && error.contains("choices, not numbers"), "{error}");
    let about = dataset(&folder, "matrix/arrow-v0").join("data/metadata.json");
    let text = std::fs::read_to_string(&about).unwrap();
    std::fs::write(&about, text.replace(r#""arrow""#, r#""csv""#)).unwrap();
    let error = refused("matrix/arrow-v0");
    assert!(error.contains("found: csv") && error.contains("parquet"), "{error}");
    let path = dataset(&folder, "box/parquet-v0");
    std::fs::rename(path.join("data/10"), folder.path().join("10")).unwrap();
    let notes = inspect(&path, &Selection::default()).unwrap().notes;
    assert_eq!(notes, ["metadata.json counts 11 episodes, and 10 are there"]);
    std::fs::remove_file(path.join("data/4/part-0.parquet")).unwrap();
    let error = refused("box/parquet-v0");
    assert!(error.contains("4/part-0.parquet"), "{error}");
    let metadata = path.join("data/metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    std::fs::write(&metadata, text.replace(r#"\"shape\": [3]"#, r#"\"shape\": [4]"#)).unwrap();
    let error = refused("box/parquet-v0");
    assert!(error.contains("expected: 4 values, Box float32"), "{error}");
}
