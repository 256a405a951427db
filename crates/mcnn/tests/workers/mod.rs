//! The Python that the tests of workers run under.

#![allow(dead_code)] // every test file compiles this anew and uses a part of it

use mcnn::task::python;
use std::{io::Write as _, path::PathBuf};

/// Reports why a test is skipped on the standard error, since the test runner captures the output of passing tests.
pub fn skipped(name: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes());
}

/// A file of real demonstrations beside the checkout, or a printed reason why a test is skipped.
pub fn demonstrations(test: &str, file: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("MCNN_SHARED").map_or(beside, |s| PathBuf::from(s).join("data"));
    let path = folder.join(file);
    if !path.is_file() {
        skipped(test, &format!("no {}", path.display()));
        return None;
    }
    Some(path)
}

/// An interpreter with the packages, or why there is none.
pub fn interpreter() -> Option<PathBuf> {
    let wanted = std::env::var("MCNN_TEST_WORKER").is_ok_and(|v| v == "1");
    if !wanted && !python::ready() {
        skipped("(workers)", "no Python packages; MCNN_TEST_WORKER=1 installs them");
        return None;
    }
    Some(python::interpreter(&|line| println!("{line}")).unwrap())
}

/// An interpreter for the environments of Box2D, or why there is none.
pub fn interpreter_with_box2d() -> Option<PathBuf> {
    interpreter().map(|_| python::interpreter_with_box2d(&|line| println!("{line}")).unwrap())
}

/// An interpreter for Push-T, or why there is none.
pub fn interpreter_with_pusht() -> Option<PathBuf> {
    interpreter().map(|_| python::interpreter_with_pusht(&|line| println!("{line}")).unwrap())
}

/// A script that runs the interpreter with the misbehaving environments on its path. Its folder must be kept.
pub fn with_fakes() -> Option<(tempfile::TempDir, PathBuf)> {
    let python = interpreter()?;
    let fakes = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests");
    Some(script(&format!("PYTHONPATH='{fakes}' exec '{}' \"$@\"", python.display())))
}

/// A script of one line. Its folder must be kept.
pub fn script(line: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("python");
    // Written by another process: while a test at this one's side forks, a file written here would count as busy.
    let made = std::process::Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", line])
        .arg(&script)
        .status();
    assert!(made.unwrap().success());
    (folder, script)
}
