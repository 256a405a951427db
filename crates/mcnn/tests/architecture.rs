//! Checks the sources against the module table and the invariants of ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The module table: the modules that each module may use.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows =
        text.lines().skip_while(|l| !l.starts_with("| module |")).skip(2).take_while(|l| l.starts_with('|'));
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

/// All source files below a folder, each with its code up to the unit tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().ends_with("tests.rs")
        {
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

/// The modules that code names: `crate::module` and the members of `use crate::{...}`.
fn named_modules(code: &str) -> BTreeSet<String> {
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

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("crates/mcnn/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn a_module_uses_only_the_modules_named_in_its_row() {
    let modules = modules();
    assert!(modules.len() >= 12, "the table was read: {modules:?}");
    let mut seen = BTreeSet::new();
    for (path, code) in sources(&root().join("crates/mcnn/src")) {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let allowed = modules
            .get(&module)
            .unwrap_or_else(|| panic!("{} is in no module of ARCHITECTURE.md", path.display()));
        let code = without_comments(&code);
        let mut uses = named_modules(&code);
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
        uses.remove(&module);
        let violations: Vec<_> = uses.difference(allowed).collect();
        assert!(
            violations.is_empty(),
            "{} uses {violations:?}; ARCHITECTURE.md allows {allowed:?}",
            path.display()
        );
        seen.insert(module);
    }
    let missing: Vec<_> = modules.keys().filter(|r| !seen.contains(*r)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md lists modules that do not exist: {missing:?}");
}

#[test]
fn the_exponential_of_the_method_is_in_one_file() {
    for (path, code) in sources(&root().join("crates/mcnn/src")) {
        let code = without_comments(&code);
        let has = [".exp()", "exp_m1(", "f32::exp", "f64::exp"].iter().any(|e| code.contains(e));
        // An expert stores logarithms of standard deviations, and a noise schedule is defined by an exponential. The polynomial
        // approximation of Mish is not found by this check.
        let others = ["expert/gaussian.rs", "backbone/schedule.rs"];
        let named = others.iter().any(|other| path.ends_with(other));
        assert_eq!(has, named || path.ends_with("envelope.rs"), "{}", path.display());
    }
}

#[test]
fn unsafe_is_only_in_the_kernels_and_the_calls_of_mujoco() {
    for krate in ["mcnn", "mcnn-cli", "mcnn-py", "adroit"] {
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
fn the_adroit_tasks_use_tasks_and_no_policies() {
    for (path, code) in sources(&root().join("crates/adroit/src")) {
        let used =
            named_modules(&without_comments(&code).replace("crate::", "").replace("mcnn::", "crate::"));
        let allowed = ["error", "task", "Error", "Result"].map(String::from);
        let violations: Vec<_> = used.difference(&BTreeSet::from(allowed)).cloned().collect();
        assert!(violations.is_empty(), "{} uses {violations:?}", path.display());
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
fn modules_are_found_in_every_form_of_use() {
    let code = "use crate::{\n    data::{A, B},\n    error::Result,\n};\nuse crate::seed::Seed; fn f() { crate::policy::x() }";
    let expected = ["data", "error", "policy", "seed"].map(String::from);
    assert_eq!(named_modules(code), BTreeSet::from(expected));
}

#[test]
fn every_file_of_tests_is_a_module_of_a_test_program() {
    for krate in ["mcnn", "mcnn-cli"] {
        let folder = root().join("crates").join(krate).join("tests");
        let roots: Vec<PathBuf> = ["main.rs", "adroit.rs", "data_files.rs"]
            .map(|name| folder.join(name))
            .into_iter()
            .filter(|p| p.exists())
            .collect();
        let named: String = roots.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let rust = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs") && !roots.contains(path);
        for path in files.filter(rust) {
            let line = format!("mod {};", path.file_stem().unwrap().display());
            assert!(named.lines().any(|l| l == line), "{} is in no test program", path.display());
        }
    }
}
