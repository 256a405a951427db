//! Episodes that are stored as they end: the output is the one that is written from memory, and what was cut off is noticed.

use std::{fs, path::Path};

use mcnn::data::{
    ActionRange, Demonstrations, EpisodeResult, FrameDemonstrations, Parts, Recording, StoredEpisodes,
    StoredSteps, write_hdf5, write_npz,
};

const LENGTHS: [usize; 4] = [3000, 1, 2500, 40];

fn result(number: usize) -> EpisodeResult {
    let success = [Some(true), None, Some(false), Some(true)][number];
    EpisodeResult {
        number,
        seed: 7 + number as u64,
        success,
        terminal: number == 1,
        ret: number as f64 / 3.0,
    }
}

fn values(n: usize, number: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + number * 31) % 101) as f32 * scale).collect()
}

fn steps(number: usize) -> StoredSteps {
    let n = LENGTHS[number];
    StoredSteps {
        parts: Parts {
            n_obs: 5,
            n_act: 2,
            states: values(n * 5, number, 1.7),
            actions: values(n * 2, number, 0.009),
            rewards: Some(values(n, number, 0.3)),
            ends: vec![n],
        },
        frames: Vec::new(),
        qpos: (3, values(n * 3, number, 0.1)),
        qvel: (0, Vec::new()),
        intended: values(n * 2, number, 0.004),
    }
}

/// All episodes, as they are written from memory.
fn whole() -> (Parts, Recording) {
    let all: Vec<StoredSteps> = (0..LENGTHS.len()).map(steps).collect();
    let join = |of: fn(&StoredSteps) -> &[f32]| all.iter().flat_map(of).copied().collect::<Vec<f32>>();
    let parts = Parts {
        n_obs: 5,
        n_act: 2,
        states: join(|s| &s.parts.states),
        actions: join(|s| &s.parts.actions),
        rewards: Some(join(|s| s.parts.rewards.as_ref().unwrap())),
        ends: vec![3000, 3001, 5501, 5541],
    };
    let recording = Recording {
        terminals: vec![false, true, false, false],
        infos: vec![("qpos", 3, join(|s| &s.qpos.1)), ("action_mean", 2, join(|s| &s.intended))],
        episodes: (0..4).map(|k| (result(k).seed, result(k).success)).collect(),
        notes: vec![("task", "pen".into())],
        ..Recording::default()
    };
    (parts, recording)
}

fn written(folder: &Path, name: &str, write: impl FnOnce(&Path) -> mcnn::Result<()>) -> Vec<u8> {
    let path = folder.join(name);
    write(&path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn the_output_is_the_same_as_from_memory_in_whatever_order_episodes_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let part = folder.join("part");
    let mut stored = StoredEpisodes::open(&part, "pen", None).unwrap();
    for number in [1, 3] {
        stored.append(result(number), steps(number)).unwrap();
    }
    // A process that goes on has them.
    drop(stored);
    let mut stored = StoredEpisodes::open(&part, "pen", None).unwrap();
    assert!(stored.contains(1) && !stored.contains(0));
    for number in [2, 0] {
        stored.append(result(number), steps(number)).unwrap();
    }
    assert!(stored.episodes().map(|e| (e.number, e.steps, e.ret())).eq((0..4).map(|k| (
        k,
        LENGTHS[k],
        k as f64 / 3.0
    ))));
    let (parts, recording) = whole();
    let data = Demonstrations::new(parts.clone(), ActionRange::Refuse).unwrap();
    assert_eq!(stored.fingerprint().unwrap(), data.fingerprint());
    let notes = recording.notes.clone();
    assert!(
        written(folder, "a.hdf5", |path| stored.write_hdf5(path, notes))
            == written(folder, "b.hdf5", |path| write_hdf5(path, &parts, &recording)),
        "not a byte differs"
    );
    assert!(
        written(folder, "a.npz", |path| stored.write_npz(path))
            == written(folder, "b.npz", |path| write_npz(path, &data)),
        "not a byte differs"
    );
    stored.remove().unwrap();
    assert!(!part.exists());
}

#[test]
fn frames_are_stored_as_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut stored = StoredEpisodes::open(&folder.join("part"), "laps", Some([2, 3])).unwrap();
    let labels = |n: usize, ends: Vec<usize>| Parts {
        n_act: 1,
        actions: vec![0.5; n],
        rewards: Some(vec![1.0; n]),
        ends,
        ..Parts::default()
    };
    let frames: Vec<u8> = (0..9 * 18).map(|i| (i * 5 % 251) as u8).collect();
    for (number, range) in [(1, 4..9), (0, 0..4)] {
        let (n, frames) = (range.len(), frames[range.start * 18..range.end * 18].to_vec());
        let steps = StoredSteps { parts: labels(n, vec![n]), frames, ..StoredSteps::default() };
        stored.append(result(number), steps).unwrap();
    }
    let whole = FrameDemonstrations::new(labels(9, vec![4, 9]), [2, 3], frames).unwrap();
    assert_eq!(stored.fingerprint().unwrap(), whole.fingerprint());
    assert!(
        written(folder, "a.npz", |path| stored.write_npz(path))
            == written(folder, "b.npz", |path| whole.write_npz(path))
    );
    let recording = Recording {
        terminals: vec![false, true],
        episodes: (0..2).map(|k| (result(k).seed, result(k).success)).collect(),
        ..Recording::default()
    };
    assert!(
        written(folder, "a.hdf5", |path| stored.write_hdf5(path, Vec::new()))
            == written(folder, "b.hdf5", |path| whole.write_hdf5(path, &recording))
    );
}

#[test]
fn an_episode_that_was_cut_off_is_left_out_at_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let mut stored = StoredEpisodes::open(&part, "pen", None).unwrap();
    let empty = fs::metadata(&part).unwrap().len();
    stored.append(result(1), steps(1)).unwrap();
    let one = fs::metadata(&part).unwrap().len();
    stored.append(result(3), steps(3)).unwrap();
    drop(stored);
    let whole = fs::read(&part).unwrap();
    for length in (0..whole.len() as u64).step_by(13).chain([empty, one, one - 1, whole.len() as u64]) {
        fs::write(&part, &whole[..length as usize]).unwrap();
        let mut stored = StoredEpisodes::open(&part, "pen", None).unwrap();
        let expected = usize::from(length >= one) + usize::from(length == whole.len() as u64);
        assert_eq!(stored.episodes().count(), expected, "{length} bytes");
        stored.append(result(0), steps(0)).unwrap();
        let stored = StoredEpisodes::open(&part, "pen", None).unwrap();
        assert!(stored.contains(0) && stored.contains(1) == (length >= one), "{length} bytes");
    }
}

#[test]
fn another_recording_and_damage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let mut stored = StoredEpisodes::open(&part, "pen", None).unwrap();
    stored.append(result(1), steps(1)).unwrap();
    let narrow = StoredSteps { qpos: (0, Vec::new()), ..steps(3) };
    assert!(stored.append(result(3), narrow).unwrap_err().to_string().contains("other columns"));
    let mut invalid = steps(3);
    invalid.parts.actions[0] = f32::NAN;
    assert!(stored.append(result(3), invalid).unwrap_err().to_string().contains("actions, step 0"));
    let refused = |identity: &str| StoredEpisodes::open(&part, identity, None).unwrap_err().to_string();
    let other = refused("door");
    assert!(other.contains("something else") && other.contains("expected: door"), "{other}");
    let whole = fs::read(&part).unwrap();
    let line = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    let end = line + whole[line..].iter().position(|b| *b == b'\n').unwrap();
    for (from, to) in [("\"steps\":1", "\"steps\":-1"), ("[5,2", "[5,18446744073709551615"), ("{", "[")] {
        let text = std::str::from_utf8(&whole[line..end]).unwrap().replacen(from, to, 1);
        fs::write(&part, [&whole[..line], text.as_bytes(), &whole[end..]].concat()).unwrap();
        assert!(refused("pen").contains("is damaged"), "{to}");
    }
}
