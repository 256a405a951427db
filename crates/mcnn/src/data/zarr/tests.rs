//! Stores written by hand, for what no library writes.

use std::path::Path;

use super::*;

/// Writes a file of a store.
fn put(store: &Path, key: &str, bytes: &[u8]) {
    let path = store.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn array(store: &Path, path: &str, shape: &[u64], chunks: &[u64], dtype: &str) {
    let text = format!(
        r#"{{"zarr_format": 2, "shape": {shape:?}, "chunks": {chunks:?}, "dtype": "{dtype}", "order": "C", "fill_value": 0.5,
            "compressor": null, "filters": null}}"#
    );
    put(store, &format!("{path}/.zarray"), text.as_bytes());
}

fn bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Five steps of two episodes: a state of 3, in chunks of (2, 2), and an action.
fn store(folder: &Path) {
    put(folder, ".zgroup", b"{\"zarr_format\": 2}");
    array(folder, "data/state", &[5, 3], &[2, 2], "<f4");
    for i in 0..3 {
        for j in 0..2 {
            let value = |k: usize| (10 * (2 * i + k / 2) + 2 * j + k % 2) as f32;
            put(folder, &format!("data/state/{i}.{j}"), &bytes((0..4).map(value)));
        }
    }
    array(folder, "data/action", &[5, 1], &[5, 1], "<f4");
    put(folder, "data/action/0.0", &bytes((0..5).map(|i| i as f32 / 10.0)));
    array(folder, "meta/episode_ends", &[2], &[1], "<i8");
    put(folder, "meta/episode_ends/0", &2_i64.to_le_bytes());
    put(folder, "meta/episode_ends/1", &5_i64.to_le_bytes());
}

fn refused(folder: &Path, selection: &Selection) -> String {
    read(folder, 0, selection).unwrap_err().to_string()
}

#[test]
fn chunks_are_put_in_their_places_and_cut_at_the_edges() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    let found = read(folder.path(), 0, &Selection::default()).unwrap();
    let expected: Vec<f32> = (0..5).flat_map(|i| (0..3).map(move |j| (10 * i + j) as f32)).collect();
    assert_eq!((found.parts.n_obs, found.parts.states), (3, expected));
    assert_eq!((found.parts.actions, found.parts.ends), (vec![0.0, 0.1, 0.2, 0.3, 0.4], vec![2, 5]));
    assert_eq!((found.parts.rewards, found.notes), (None, Vec::<String>::new()));
    assert_eq!(found.origin.state_keys, ["state"]);
}

#[test]
fn a_chunk_that_is_not_stored_is_the_fill_value_and_a_note_says_so() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    std::fs::remove_file(folder.path().join("data/state/1.0")).unwrap();
    put(folder.path(), "data/state/3.0", b"of a longer array");
    let found = read(folder.path(), 0, &Selection::default()).unwrap();
    assert_eq!(found.parts.states[5..9], [12.0, 0.5, 0.5, 22.0]);
    assert_eq!(
        found.notes,
        ["1 of the 6 chunks of data/state are not stored: their values are the fill value 0.5"]
    );
    std::fs::remove_file(folder.path().join("meta/episode_ends/1")).unwrap();
    assert!(refused(folder.path(), &Selection::default()).contains("no file of its values"));
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    put(path, ".zgroup", b"{\"zarr_format\": 2}");
    assert!(refused(path, &Selection::default()).contains("no meta/episode_ends"));
    store(path);
    let of = |state: &str| Selection { state: vec![state.parse().unwrap()], ..Selection::default() };
    assert!(refused(path, &of("stat")).contains("the keys state (5, 3), action (5, 1)"));
    assert!(refused(path, &of("state:3")).contains("dimensions 0 to 2"));
    put(path, "data/state/1.1", b"short");
    assert!(refused(path, &Selection::default()).contains("where: data/state/1.1"));
    std::fs::rename(path.join("data/state"), path.join("data/pose")).unwrap();
    let error = refused(path, &Selection::default());
    assert!(
        error.contains("state or obs") && error.contains("pose (5, 3)") && error.contains("--state KEY"),
        "{error}"
    );
    array(path, "data/pose", &[5, 3], &[1 << 40, 1 << 40], "<f4");
    assert!(refused(path, &of("pose")).contains("more memory"));
    array(path, "data/pose", &[5, 3], &[2, 2], "|O");
    let error = refused(path, &of("pose"));
    assert!(error.contains("the type \"|O\"") && error.contains("data/pose"), "{error}");
    // The others are read all the same.
    let found = read(path, 0, &of("action")).unwrap();
    assert_eq!(found.keys[1].dtype, "|O, stored in a way that is not read");
}
