//! What is written of steps in files has the bytes of the same steps in memory, for every format of sources that is written here or in the
//! fixtures; errors have the same texts; and no file is left behind.

use super::*;
use crate::data::{ActionScale, RelativeTo, fixtures::unpacked, read_parts};

/// Changes of the steps: pauses longer than so many dropped, one of so many kept, and relative actions.
#[derive(Clone, Copy, Debug)]
struct Changes {
    idle: Option<usize>,
    every: usize,
    relative: bool,
}

const NONE: Changes = Changes { idle: None, every: 1, relative: false };
const ALL: [Changes; 5] = [
    NONE,
    Changes { every: 3, ..NONE },
    Changes { idle: Some(1), ..NONE },
    Changes { relative: true, ..NONE },
    Changes { idle: Some(1), every: 2, relative: true },
];

fn settings(n_obs: usize, n_act: usize) -> ActionSettings {
    let relative_to = (0..n_act).map(|k| (k > 0 || n_act == 1).then_some((k + 1) % n_obs)).collect();
    ActionSettings {
        scale: ActionScale::Range,
        relative_to: RelativeTo::Dimensions(relative_to),
        angles: vec!["0".parse().unwrap()],
    }
}

/// A file, or the files in a folder, with their paths.
fn contents(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if path.is_file() {
        return vec![(path.into(), std::fs::read(path).unwrap())];
    }
    let entries = std::fs::read_dir(path).unwrap();
    let mut found: Vec<_> = entries.flat_map(|entry| contents(&entry.unwrap().path())).collect();
    found.sort();
    found
}

/// The same with their paths in the folder.
fn written_to(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = |found: PathBuf| found.strip_prefix(path).unwrap().to_owned();
    contents(path).into_iter().map(|(found, bytes)| (inside(found), bytes)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Everything that is known of what is written: what was dropped, what actions are relative to, notes, and files.
type Found = (Idle, Vec<Option<usize>>, Vec<String>, Vec<(PathBuf, Vec<u8>)>);

fn in_memory(paths: &[PathBuf], selection: &Selection, changes: Changes, to: &Path) -> Result<Found> {
    let mut found = read_recorded(paths, selection)?;
    let (mut idle, mut relative) = (Idle::default(), Vec::new());
    if let Some(longest) = changes.idle {
        (found, idle) = found.drop_idle(longest);
    }
    found = found.downsample(changes.every);
    if changes.relative {
        let settings = settings(found.parts.n_obs, found.parts.n_act);
        (found, relative) = found.relative(&settings)?;
    }
    let left_out = found.write(to, Target::of(to)?)?;
    Ok((idle, relative, found.notes.into_iter().chain(left_out).collect(), written_to(to)))
}

fn in_file(paths: &[PathBuf], selection: &Selection, changes: Changes, to: &Path) -> Result<Found> {
    let mut found = read_recorded_in_file(paths, selection, to)?;
    let (mut idle, mut relative) = (Idle::default(), Vec::new());
    if let Some(longest) = changes.idle {
        (found, idle) = found.drop_idle(longest)?;
    }
    found = found.downsample(changes.every);
    if changes.relative {
        let [n_obs, n_act] = found.widths();
        (found, relative) = found.relative(&settings(n_obs, n_act))?;
    }
    let left_out = found.write(to, Target::of(to)?)?;
    Ok((idle, relative, found.notes.into_iter().chain(left_out).collect(), written_to(to)))
}

/// Compares both; the error of both, if there is one.
fn compare(paths: &[PathBuf], selection: &Selection, changes: Changes, target: &str) -> Option<String> {
    let both = [in_memory, in_file].map(|convert| {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join(target);
        let found = convert(paths, selection, changes, &to);
        let expected = if found.is_ok() { vec![target.trim_end_matches('/').to_owned()] } else { Vec::new() };
        assert_eq!(names(folder.path()), expected, "{paths:?}");
        let named = |e: Error| e.to_string().replace(&folder.path().display().to_string(), "");
        found.map_err(named)
    });
    let [memory, file] = both;
    let about = |found: &std::result::Result<Found, String>| {
        found.clone().map(|(idle, relative, notes, _)| (idle, relative, notes))
    };
    assert_eq!(about(&file), about(&memory), "{paths:?} {changes:?}");
    assert!(file == memory, "{paths:?} {selection:?} {changes:?} {target}: other bytes");
    memory.err()
}

/// Episodes of several lengths, longer than a piece together, with pauses, an angle that wraps and a reward of -0.
fn walks(seed: u64, lengths: &[usize]) -> Recorded {
    let mut rng = crate::seed::Seed(seed).rng();
    let mut parts = Parts { n_obs: 3, n_act: 2, rewards: Some(Vec::new()), ..Parts::default() };
    for &length in lengths {
        let mut at = [0.0; 3].map(|_: f64| 3.0 * rng.normal());
        for i in 0..length {
            if (3..length.saturating_sub(4)).contains(&i) {
                at.iter_mut().for_each(|x| *x += 0.2 * rng.normal());
            }
            parts.states.extend(at.map(|x| x as f32));
            parts.actions.extend([at[0] + 7.0, at[1] - 0.02].map(|x| x as f32));
            parts.rewards.as_mut().unwrap().push(if i == 1 { -0.0 } else { i as f32 / 3.0 });
        }
        parts.ends.push(parts.states.len() / 3);
    }
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let tasks = lengths.iter().map(|n| if n % 2 == 0 { "lift" } else { "push" }.to_owned()).collect();
    Recorded {
        parts,
        names: DimensionNames { state_names: names(&["x", "y", "z"]), action_names: names(&["x", "y"]) },
        tasks,
        fps: Some(20.0),
        ..Recorded::default()
    }
}

/// The same walks in every format that is written.
fn written(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for (seed, name) in ["a.npz", "b.hdf5", "c.mcnn", "d/", "e.mcnn", "f/"].into_iter().enumerate() {
        let path = folder.join(name);
        let lengths: &[usize] = if seed % 2 == 0 { &[40, 1, 75, 20, 64] } else { &[31, 12, 1] };
        walks(seed as u64, lengths).write(&path, Target::of(&path).unwrap()).unwrap();
        all.push(path);
    }
    all
}

fn episodes(range: std::ops::RangeInclusive<u32>) -> Selection {
    Selection { episodes: vec![range], ..Selection::default() }
}

#[test]
fn every_format_is_converted_to_the_same_bytes_from_files_as_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let all = written(folder.path());
    for path in &all {
        for changes in ALL {
            for target in ["x.mcnn", "x.npz", "x/", "x.hdf5"] {
                let selection = if changes.every == 3 { episodes(1..=2) } else { Selection::default() };
                let error = compare(std::slice::from_ref(path), &selection, changes, target);
                let no_rate = target == "x/" && path.is_file() && path.extension().unwrap() != "mcnn";
                assert_eq!(error.is_some(), no_rate, "{path:?} {target}: {error:?}");
            }
        }
    }
    // Several, of several formats, with and without rewards, tasks, names and a frame rate.
    let bare = folder.path().join("bare.npz");
    let mut recorded = walks(9, &[30, 5]);
    (recorded.parts.rewards, recorded.names) = (None, DimensionNames::default());
    recorded.parts.states.iter_mut().for_each(|x| *x *= 1000.0);
    recorded.write(&bare, Target::Npz).unwrap();
    for paths in [&all[..], &[&all[2..], std::slice::from_ref(&bare)].concat(), &[bare, all[3].clone()]] {
        for changes in ALL {
            for selection in [Selection::default(), episodes(1..=1)] {
                assert_eq!(compare(paths, &selection, changes, "x.mcnn"), None);
            }
        }
    }
    // A folder that is there is replaced.
    let to = folder.path().join("again/");
    for path in [&all[2], &all[3], &all[3]] {
        let found = in_file(std::slice::from_ref(path), &Selection::default(), NONE, &to)
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found.3.len(), contents(&all[3]).len());
    }
    let lift = Selection { task: Some("lift".into()), ..Selection::default() };
    assert_eq!(compare(&all[2..], &lift, NONE, "x.mcnn"), None);
    let keys = |state: &str, action: &str| Selection {
        state: state.split(',').map(|key| key.parse().unwrap()).collect(),
        action: vec![action.parse().unwrap()],
        ..episodes(0..=1)
    };
    assert_eq!(
        compare(
            &[all[2].clone(), all[4].clone()],
            &keys("actions:0,states:1-2", "states:0"),
            ALL[4],
            "x.mcnn"
        ),
        None
    );
    let lerobot = keys("action:0,observation.state:1-2", "observation.state:0");
    assert_eq!(compare(&[all[3].clone(), all[5].clone()], &lerobot, ALL[4], "x.mcnn"), None);
}

#[test]
fn states_that_are_left_out_are_zeros_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let selection = Selection { no_state: true, ..episodes(1..=2) };
    for path in written(folder.path()) {
        let (_, parts) = read_parts(&path, &selection).unwrap();
        let n = parts.actions.len() / parts.n_act;
        assert_eq!((parts.n_obs, parts.states, parts.ends.last()), (1, vec![0.0; n], Some(&n)), "{path:?}");
        compare(&[path], &selection, NONE, "x.mcnn"); // both refuse names of states that are left out
    }
}

#[test]
fn what_other_libraries_wrote_is_converted_to_the_same_bytes() {
    let folder = unpacked("lerobot/datasets.zip");
    let mut n = 0;
    let all = names(folder.path()).into_iter().map(|name| folder.path().join(name));
    for path in all.filter(|path| path.join("meta").is_dir()) {
        n += 1;
        for changes in ALL {
            assert_eq!(compare(std::slice::from_ref(&path), &Selection::default(), changes, "x.mcnn"), None);
        }
        assert_eq!(compare(&[path.clone(), path.clone()], &episodes(1..=1), NONE, "x.mcnn"), None);
    }
    assert!(n > 2, "{n}");
    let folder = unpacked("minari/datasets.zip");
    for name in ["box", "matrix", "mixed"] {
        for of in ["hdf5", "parquet", "arrow"] {
            let path = folder.path().join(format!("{name}/{of}-v0"));
            for changes in ALL {
                assert_eq!(compare(&[path.clone(), path.clone()], &episodes(0..=1), changes, "x.mcnn"), None);
                assert_eq!(
                    compare(std::slice::from_ref(&path), &Selection::default(), changes, "x.npz"),
                    None
                );
            }
        }
    }
}

#[test]
fn errors_are_those_of_the_same_data_in_memory_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let all = written(folder.path());
    let changed = |name: &str, change: &dyn Fn(&mut Recorded)| {
        let path = folder.path().join(name);
        let mut recorded = walks(1, &[40, 1, 75]);
        change(&mut recorded);
        recorded.write(&path, Target::of(&path).unwrap()).unwrap();
        path
    };
    let nan = |recorded: &mut Recorded| recorded.parts.states[3 * 115 + 1] = f32::NAN;
    let large = |recorded: &mut Recorded| recorded.parts.actions[2 * 40] = 1e31;
    let narrow = |recorded: &mut Recorded| {
        recorded.parts.n_obs = 1;
        recorded.parts.states.truncate(116);
        recorded.names = DimensionNames::default();
    };
    let other = |recorded: &mut Recorded| {
        recorded.names.state_names = Some(["x", "z", "y"].map(String::from).to_vec());
    };
    for (k, ending) in ["npz", "hdf5", "mcnn", "d"].into_iter().enumerate() {
        let name = |what: &str| if ending == "d" { format!("{what}/") } else { format!("{what}.{ending}") };
        for (path, says) in [
            (changed(&name("nan"), &nan), "states, step 115, dimension 1 (EPISODE:STEP 2:74)"),
            (changed(&name("large"), &large), "actions, step 40, dimension 0 (EPISODE:STEP 1:0)"),
            (changed(&name("narrow"), &narrow), "the state has another width"),
            (changed(&name("other"), &other), "state dimension 1 has another name"),
            (folder.path().join("none"), "none"),
        ] {
            let error = compare(&[all[k].clone(), path.clone()], &Selection::default(), NONE, "x.mcnn");
            let error = error.unwrap_or_else(|| panic!("{path:?}"));
            assert!(error.contains(says), "{error}");
            if says.contains("step") {
                let alone = compare(std::slice::from_ref(&path), &Selection::default(), NONE, "x.mcnn");
                assert!(alone.unwrap().contains(says));
            }
        }
        let none = compare(&all[k..=k], &episodes(77..=78), NONE, "x.mcnn").unwrap();
        assert!(none.contains("no episode is selected"), "{none}");
    }
    // A data file that ends in the middle, after others that are whole.
    let dataset = &all[3];
    let files = contents(dataset);
    let (data, _) = files.iter().find(|(path, _)| path.to_string_lossy().contains("data/chunk")).unwrap();
    let bytes = std::fs::read(data).unwrap();
    std::fs::write(data, &bytes[..bytes.len() / 2]).unwrap();
    let error = compare(&[all[2].clone(), dataset.clone()], &Selection::default(), NONE, "x.mcnn").unwrap();
    assert!(error.contains("unfinished"), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_named_as_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).remove(0);
    let error = read_recorded_in_file(&[path], &Selection::default(), &folder.path().join("none/x.mcnn"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("writing") && error.contains("none/x.mcnn"), "{error}");
}
