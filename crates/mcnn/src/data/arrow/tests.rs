//! Of what Minari wrote in Arrow; `minari/tests.rs` compares all values.

use std::path::PathBuf;

use super::*;
use crate::data::fixtures::unpacked;

fn part(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("mixed/arrow-v0/data/0/part-0.arrow")
}

fn open(bytes: &[u8]) -> Result<Arrow> {
    Arrow::parse(bytes.to_vec())
}

#[test]
fn columns_of_structures_and_lists_have_the_paths_and_widths_of_their_spaces() {
    let folder = unpacked("minari/datasets.zip");
    let bytes = std::fs::read(part(&folder)).unwrap();
    let file = open(&bytes).unwrap();
    let about: Vec<(String, usize, bool)> =
        file.leaves().iter().map(|leaf| (leaf.path.join("/"), leaf.width, leaf.of.is_some())).collect();
    for expected in [
        ("observations/observation", 4, true),
        ("observations/desired_goal/kettle", 2, true),
        ("observations/pair/1", 2, true),
        ("observations/mode", 1, true),
        ("observations/words", 1, false),
        ("actions", 2, true),
        ("rewards", 1, true),
        ("terminations", 1, true),
    ] {
        let expected = (expected.0.to_owned(), expected.1, expected.2);
        assert!(about.contains(&expected), "{expected:?} in {about:?}");
    }
}

#[test]
fn a_cut_or_changed_file_is_refused_or_read_and_never_panics() {
    let folder = unpacked("minari/datasets.zip");
    let bytes = std::fs::read(part(&folder)).unwrap();
    let read = |bytes: &[u8]| {
        let file = open(bytes)?;
        let budget = Budget::new(bytes.len() as u64);
        file.leaves().iter().try_for_each(|leaf| file.read(leaf, &budget).map(drop))
    };
    for n in (0..bytes.len()).step_by(61) {
        assert!(open(&bytes[..n]).is_err(), "{n}");
    }
    let mut changed = bytes.clone();
    // The descriptions are at the end and before the values.
    for at in (0..bytes.len()).step_by(11).chain(bytes.len().saturating_sub(1000)..bytes.len()) {
        for value in [0, 0xff, bytes[at] ^ 1] {
            changed[at] = value;
            let _ = read(&changed);
        }
        changed[at] = bytes[at];
    }
}

#[test]
fn lists_without_elements_are_refused() {
    let folder = unpacked("minari/datasets.zip");
    let file = open(&std::fs::read(part(&folder)).unwrap()).unwrap();
    let leaf =
        Leaf { path: Vec::new(), width: 0, of: Some(Number::Float(1)), parents: Vec::new(), buffer: 0 };
    let error = file.read(&leaf, &Budget::new(0)).unwrap_err().to_string();
    assert!(error.contains("without elements"), "{error}");
}
