//! The example of the README runs, and evaluates what it trained.

use std::process::Command;

#[test]
fn the_five_lines_go_from_demonstrations_to_an_evaluated_policy() {
    // Cargo builds examples with the tests, beside the folder of the test binaries.
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().parent().unwrap().join("examples/five_lines");
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere.npz");
    let refused = Command::new(&example).arg(&missing).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nowhere.npz"));

    let output = Command::new(&example).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["episodes"], 20);
    assert!(summary["return"]["mean"].as_f64().unwrap() > 100.0, "it drives: {summary}");
}
