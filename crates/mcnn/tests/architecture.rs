//! ARCHITECTURE.md is the truth about the code: this reads both and fails where they part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The table of rooms: what each room may use.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows =
        text.lines().skip_while(|l| !l.starts_with("| room |")).skip(2).take_while(|l| l.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let uses = cells[3]
            .split(',')
            .map(|u| u.trim().trim_matches('`').to_string())
            .filter(|u| u != "-")
            .collect();
        (cells[0].to_string(), uses)
    })
    .collect()
}

/// All source files below a folder, with what is before their tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().to_string();
            files.push((path, code));
        }
    }
    files
}

fn without_comments(code: &str) -> String {
    code.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The rooms a piece of code names: `crate::room` on its own, and the members of `use crate::{...}`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(inside) = after.strip_prefix('{') else {
            found.insert(word(after));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    found.insert(word(inside[start..i].trim_start()));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(word(inside[start..i].trim_start()));
                    start = i + 1;
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("crates/mcnn/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn a_room_uses_only_the_rooms_named_in_its_row() {
    let rooms = rooms();
    assert!(rooms.len() >= 12, "the table was read: {rooms:?}");
    let mut seen = BTreeSet::new();
    for (path, code) in sources(&root().join("crates/mcnn/src")) {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        let allowed =
            rooms.get(&room).unwrap_or_else(|| panic!("{} is in no room of ARCHITECTURE.md", path.display()));
        let code = without_comments(&code);
        let mut uses = named(&code);
        for kernels in ["nearest", "kernels"] {
            if code.contains(&format!("{kernels}::")) {
                uses.insert(kernels.into());
            }
        }
        for (used, inner) in [("Error", "error"), ("Result", "error")] {
            if uses.remove(used) {
                uses.insert(inner.into());
            }
        }
        uses.remove(&room);
        let trespasses: Vec<_> = uses.difference(allowed).collect();
        assert!(
            trespasses.is_empty(),
            "{} uses {trespasses:?}; ARCHITECTURE.md allows {allowed:?}",
            path.display()
        );
        seen.insert(room);
    }
    let unbuilt: Vec<_> = rooms.keys().filter(|r| !seen.contains(*r)).collect();
    assert!(unbuilt.is_empty(), "ARCHITECTURE.md has rooms that are not there: {unbuilt:?}");
}

#[test]
fn the_exponential_of_the_method_stands_in_one_file() {
    for (path, code) in sources(&root().join("crates/mcnn/src")) {
        let code = without_comments(&code);
        let has = [".exp()", "exp_m1(", "f32::exp", "f64::exp"].iter().any(|e| code.contains(e));
        // An expert's deviations are kept as logarithms, and a schedule of noise is defined by an exponential. (Mish has
        // one of its own, a polynomial, which this does not see.)
        let others = ["expert/gaussian.rs", "backbone/schedule.rs"];
        let named = others.iter().any(|other| path.ends_with(other));
        assert_eq!(has, named || path.ends_with("envelope.rs"), "{}", path.display());
    }
}

#[test]
fn unsafe_stands_in_the_kernels_and_at_mujocos_door() {
    for krate in ["mcnn", "mcnn-cli", "adroit"] {
        for (path, code) in sources(&root().join("crates").join(krate).join("src")) {
            let has = without_comments(&code).contains("unsafe {");
            assert_eq!(has, path.ends_with("adroit/src/simulation.rs"), "{}", path.display());
        }
    }
    assert!(
        fs::read_to_string(root().join("crates/mcnn/src/lib.rs"))
            .unwrap()
            .contains("#![forbid(unsafe_code)]")
    );
}

#[test]
fn the_hand_tasks_know_tasks_and_no_policies() {
    for (path, code) in sources(&root().join("crates/adroit/src")) {
        let used = named(&without_comments(&code).replace("crate::", "").replace("mcnn::", "crate::"));
        let allowed = ["error", "task", "Error", "Result"].map(String::from);
        let trespasses: Vec<_> = used.difference(&BTreeSet::from(allowed)).cloned().collect();
        assert!(trespasses.is_empty(), "{} uses {trespasses:?}", path.display());
    }
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.split("```rust\n").nth(1).expect("a Rust block").split("```").next().unwrap();
    let example = fs::read_to_string(root().join("crates/mcnn/examples/five_lines.rs")).unwrap();
    for line in shown.lines().map(str::trim).filter(|l| !l.is_empty()) {
        assert!(
            example.lines().any(|l| l.trim() == line),
            "README.md has {line:?}, examples/five_lines.rs has not"
        );
    }
}

#[test]
fn names_are_found_in_every_form_of_use() {
    let code = "use crate::{\n    data::{A, B},\n    error::Result,\n};\nuse crate::seed::Seed; fn f() { crate::policy::x() }";
    let expected = ["data", "error", "policy", "seed"].map(String::from);
    assert_eq!(named(code), BTreeSet::from(expected));
}
