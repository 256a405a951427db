//! Against datasets that LeRobot wrote and read (tests/fixtures/lerobot/make.py).

use std::{ops::RangeInclusive, path::PathBuf};

use super::*;
use crate::data::{
    Demonstrations, ReadOptions,
    fixtures::{expected, unpacked},
    inspect, read as read_data, read_parts, read_with_notes,
};

/// A folder with both datasets in both versions, and a dataset in it.
fn datasets() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let folder = unpacked("lerobot/datasets.zip");
    let path = folder.path().to_owned();
    (folder, move |name| path.join(name))
}

fn with(path: &Path, selection: Selection) -> Result<Demonstrations> {
    read_data(path, &ReadOptions { selection, ..ReadOptions::default() })
}

fn episodes(range: RangeInclusive<u32>) -> Selection {
    Selection { episodes: vec![range], ..Selection::default() }
}

/// Replaces a text in `info.json`, or another file of the dataset.
fn edit(path: &Path, file: &str, from: &str, to: &str) {
    let path = path.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

/// All data files of a dataset, sorted.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for chunk in std::fs::read_dir(path.join("data")).unwrap().flatten() {
        found.extend(std::fs::read_dir(chunk.path()).unwrap().flatten().map(|file| file.path()));
    }
    found.sort();
    found
}

#[test]
fn what_lerobot_wrote_is_read_as_lerobot_reads_it() {
    let (_folder, path) = datasets();
    for (name, state, lengths, tasks) in [
        (
            "arm",
            &["observation.state"][..],
            &[4, 2, 1, 3, 2, 1][..],
            &["lift the cube", "push it", "lift the cube"][..],
        ),
        ("world", &["observation.state", "observation.environment_state"], &[3, 2], &["find \"it\""]),
    ] {
        let values = |key: &str| expected("lerobot/expected.npz", &format!("{name}/{key}"));
        let states: Vec<_> = state.iter().map(|key| values(key)).collect();
        let steps = lengths.iter().sum::<usize>();
        let rows = (0..steps).flat_map(|i| {
            states.iter().flat_map(move |(width, values)| values[i * width..][..*width].to_vec())
        });
        let rows: Vec<f32> = rows.collect();
        let (n_act, actions) = values("action");
        for (version, format) in [("v3.0", Format::LeRobotV3), ("v2.1", Format::LeRobotV2)] {
            let path = path(&format!("{name}-{version}"));
            let (found, parts) =
                read_parts(&path, &Selection::default()).unwrap_or_else(|e| panic!("{name} {version}: {e}"));
            assert_eq!((found, parts.n_obs), (format, states.iter().map(|(width, _)| width).sum()));
            assert_eq!((&parts.states, parts.n_act, &parts.actions), (&rows, n_act, &actions), "{name}");
            let rewards = (name == "arm").then(|| values("next.reward").1);
            assert_eq!(parts.rewards, rewards);
            let data = read_data(&path, &ReadOptions::default()).unwrap();
            let ends: Vec<usize> = (1..=lengths.len()).map(|k| lengths[..k].iter().sum()).collect();
            assert_eq!(data.ends(), ends);
            let texts: Vec<&str> = (0..lengths.len()).map(|k| tasks[k % tasks.len()]).collect();
            assert_eq!(data.tasks(), texts);
            assert_eq!(
                (data.origin().fps, &data.origin().state_keys[..]),
                (Some(30.0), &state.map_texts()[..])
            );
        }
        let [old, new] = ["v2.1", "v3.0"]
            .map(|version| read_data(&path(&format!("{name}-{version}")), &ReadOptions::default()).unwrap());
        assert_eq!(old, new);
    }
    assert!(files(&path("arm-v3.0")).len() > 1, "several episodes in several files");
}

trait Texts {
    fn map_texts(&self) -> Vec<String>;
}

impl Texts for &[&str] {
    fn map_texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn names_of_dimensions_are_taken_where_they_can_be_used() {
    let (_folder, path) = datasets();
    let arm = path("arm-v3.0");
    let names = |path: &Path| read_with_notes(path, &ReadOptions::default()).unwrap();
    let found = names(&arm).data;
    assert_eq!(found.names().state_names.as_ref().unwrap(), &["shoulder", "elbow", "gripper"]);
    assert_eq!(found.names().action_names.as_ref().unwrap(), &["lift", "turn"]);
    assert_eq!(&crate::data::read_names(&arm).unwrap(), found.names());
    let text = std::fs::read_to_string(arm.join(info::INFO)).unwrap().replace(['\n', ' '], "");
    for (wrong, note) in [
        (r#""names":["a","b","a"]"#, "observation.state (a name that occurs twice)"),
        (r#""names":["a","b"]"#, "observation.state (2 for 3 dimensions)"),
    ] {
        let text = text.replace(r#""names":["shoulder","elbow","gripper"]"#, wrong);
        std::fs::write(arm.join(info::INFO), text).unwrap();
        let found = names(&arm);
        assert_eq!(found.data.names().state_names, None);
        assert!(found.notes.iter().any(|n| n.contains(note)), "{:?}", found.notes);
    }
    // Several keys: the name of the key and the dimension, where one has no names.
    let found = names(&path("world-v2.1")).data;
    let shown = found.names().state_names.clone().unwrap();
    assert_eq!(shown[1..3], ["observation.state:1", "observation.environment_state:0"]);
}

#[test]
fn keys_episodes_and_tasks_are_chosen() {
    let (_folder, path) = datasets();
    for version in ["v3.0", "v2.1"] {
        let arm = path(&format!("arm-{version}"));
        let all = read_data(&arm, &ReadOptions::default()).unwrap();
        let keys = |keys: &[&str]| keys.iter().map(|key| key.parse().unwrap()).collect::<Vec<_>>();
        let some = Selection {
            state: keys(&["timestamp", "observation.state:1-2", "observation.state:0"]),
            action: keys(&["action:1"]),
            ..episodes(3..=4)
        };
        let found = with(&arm, some).unwrap();
        assert_eq!((found.number(0), found.number(1), found.ends()), (3, 4, &[3, 5][..]));
        for i in 0..5 {
            let (state, action) = (&all.state(7 + i), &all.action(7 + i));
            let time = [0.0, 1.0, 2.0, 0.0, 1.0][i] / 30.0_f32;
            assert_eq!(found.state(i)[..], [time, state[1], state[2], state[0]]);
            assert_eq!(found.action(i)[..], [action[1]]);
        }
        let push = Selection { task: Some("push it".into()), ..Selection::default() };
        let found = with(&arm, push).unwrap();
        assert_eq!((0..found.n_episodes()).map(|k| found.number(k)).collect::<Vec<_>>(), [1, 4]);
        // Only the files of the selected episodes are opened.
        let last = files(&arm).pop().unwrap();
        std::fs::write(&last, b"PAR1 something else").unwrap();
        assert_eq!(with(&arm, episodes(0..=2)).unwrap().n_episodes(), 3);
        for (selection, part) in [
            (episodes(20..=30), "6 episodes, from 0 to 5"),
            (
                Selection { task: Some("fly".into()), ..Selection::default() },
                r#"the tasks "lift the cube", "push it""#,
            ),
            (
                Selection { state: keys(&["observation.stat"]), ..Selection::default() },
                "the keys observation.state, ",
            ),
            (Selection { filter: Some("train".into()), ..Selection::default() }, "--filter-key train"),
        ] {
            let error = with(&arm, selection).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let world = path(&format!("world-{version}"));
        let found = inspect(&world, &Selection::default()).unwrap();
        let used = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap().used_as;
        let first: Vec<&str> = found.keys.iter().take(3).map(|key| &*key.name).collect();
        assert_eq!(first, [STATE, ENVIRONMENT, "action"]);
        assert_eq!(used("observation.images.top"), Usage::Frames);
        assert_eq!((used("observation.contact"), used("frame_index")), (Usage::Unused, Usage::Label));
        assert_eq!((used("observation.environment_state"), used("action")), (Usage::State, Usage::Action));
        assert_eq!(found.tasks, [("find \"it\"".to_owned(), 2)]);
        let frames = Selection { state: keys(&["observation.images.top"]), ..Selection::default() };
        let error = with(&world, frames).unwrap_err().to_string();
        assert!(error.contains("mcnn embed"), "{error}");
    }
}

#[test]
fn a_recording_that_was_stopped_is_told_and_its_whole_episodes_are_read() {
    let (_folder, path) = datasets();
    let arm = path("arm-v3.0");
    let all = read_data(&arm, &ReadOptions::default()).unwrap();
    let last = files(&arm).pop().unwrap();
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, &whole[..whole.len() - 100]).unwrap();
    let error = with(&arm, Selection::default()).unwrap_err().to_string();
    let name = last.strip_prefix(&arm).unwrap().display().to_string();
    assert!(error.contains(&name) && error.contains("no footer"), "{error}");
    let before = error.split("--episodes 0-").nth(1).unwrap();
    let before: u32 = before.split(' ').next().unwrap().parse().unwrap();
    assert!(error.contains(&format!("{} whole episodes precede", before + 1)), "{error}");
    let found = with(&arm, episodes(0..=before)).unwrap();
    assert_eq!(found.actions(), &all.actions()[..found.actions().len()]);
    with(&arm, episodes(0..=before + 1)).unwrap_err();
    edit(&arm, info::INFO, "\"total_episodes\": 6", "\"total_episodes\": 14");
    let options = ReadOptions { selection: episodes(0..=before), ..ReadOptions::default() };
    let notes = read_with_notes(&arm, &options).unwrap().notes;
    assert!(notes[0].contains("counts 14 episodes, and 6 are listed"), "{notes:?}");
    // The list of episodes itself.
    let list = arm.join("meta/episodes/chunk-000/file-000.parquet");
    let whole = std::fs::read(&list).unwrap();
    std::fs::write(&list, &whole[..whole.len() - 9]).unwrap();
    let error = with(&arm, Selection::default()).unwrap_err().to_string();
    assert!(
        error.contains("meta/episodes/chunk-000/file-000.parquet") && error.contains("0 whole"),
        "{error}"
    );
    std::fs::remove_dir_all(arm.join("meta/episodes")).unwrap();
    let error = with(&arm, Selection::default()).unwrap_err().to_string();
    assert!(error.contains("without a list of its episodes"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let (_folder, path) = datasets();
    let refused = |path: &Path| with(path, Selection::default()).unwrap_err().to_string();
    let old = path("arm-v2.1");
    edit(&old, "meta/episodes.jsonl", "\"length\": 3", "\"length\": 7");
    let error = refused(&old);
    for part in
        ["episode_000003.parquet: episode 3", "7 frames, as in meta/episodes.jsonl", "found: 3 frames"]
    {
        assert!(error.contains(part), "{error}");
    }
    edit(&old, "meta/episodes.jsonl", "\"length\": 7", "\"length\": 3");
    std::fs::remove_file(old.join("data/chunk-000/episode_000004.parquet")).unwrap();
    let error = refused(&old);
    assert!(error.contains("missing") && error.contains("episode_000004.parquet"), "{error}");
    edit(&old, info::INFO, "\"v2.1\"", "\"v2.0\"");
    let options = ReadOptions { selection: episodes(0..=1), ..ReadOptions::default() };
    assert!(read_with_notes(&old, &options).unwrap().notes[0].contains("v2.0"));
    for (version, part) in [("v1.6", "convert_dataset_v1_to_v2"), ("v4.0", "update mcnn")] {
        edit(
            &old,
            info::INFO,
            if part.starts_with('c') { "\"v2.0\"" } else { "\"v1.6\"" },
            &format!("{version:?}"),
        );
        let error = refused(&old);
        assert!(error.contains(&format!("found: {version}")) && error.contains(part), "{error}");
    }
    let new = path("arm-v3.0");
    let text = std::fs::read_to_string(new.join(info::INFO)).unwrap();
    let other = text.replace("\"action\"", "\"torque\"");
    std::fs::write(new.join(info::INFO), &other).unwrap();
    let error = refused(&new);
    assert!(error.contains("no feature that is the action") && error.contains("torque"), "{error}");
    let torque = Selection { action: vec!["torque".parse().unwrap()], ..Selection::default() };
    let error = with(&new, torque).unwrap_err().to_string();
    assert!(error.contains("file-000.parquet: torque") && error.contains("the columns"), "{error}");
    let wide = text.replace(['\n', ' '], "").replace(r#""shape":[3]"#, r#""shape":[5]"#);
    std::fs::write(new.join(info::INFO), wide).unwrap();
    let error = refused(&new);
    assert!(error.contains("file-000.parquet: observation.state") && error.contains("5 values"), "{error}");
    std::fs::write(new.join(info::INFO), "{\"codebase_version\": ").unwrap();
    assert!(refused(&new).contains("meta/info.json"));
    let error = read_data(Path::new("lerobot/pusht"), &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("hf download --repo-type dataset lerobot/pusht"), "{error}");
}

#[test]
fn frames_that_are_missing_or_doubled_are_refused() {
    let info: Info = crate::data::json::parse("{}").unwrap();
    let of = |number: u32, length: u64| Episode { number, tasks: vec![], length, file: String::new() };
    let (a, b) = (of(7, 2), of(9, 3));
    let runs = |found: &[(usize, i64)]| frames::runs(&info, &[&a, &b], found);
    assert_eq!(
        runs(&[(0, 0), (1, 0), (1, 1), (0, 1), (1, 2)]).unwrap(),
        [vec![0..1, 3..4], vec![1..3, 4..5]]
    );
    for (found, part) in [
        (&[(0, 0), (0, 1), (1, 0), (1, 2)][..], "episode 9, frame_index\n  expected: 1\n  found: 2"),
        (&[(0, 0), (0, 0)], "episode 7, frame_index\n  expected: 1\n  found: 0"),
        (&[(0, 0), (0, 1), (1, 0), (1, 1)], "episode 9\n  expected: 3 frames"),
    ] {
        let error = runs(found).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
