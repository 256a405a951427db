//! Running the binary as a user would.

#![allow(dead_code)] // the test programs use parts of it

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A folder of one test's own, and the binary run in it.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With `drive.npz`, `m.safetensors` and `p.safetensors` in it.
    pub fn with_policy() -> Self {
        let bench = Self::new();
        bench.ok("make drive --episodes 4 -o drive.npz");
        bench.ok("learn drive.npz --count 50 -o m.safetensors");
        bench.ok("train drive.npz m.safetensors -o p.safetensors --hidden 16 --steps 60 --batch 32 --members 1 --envelope mix");
        bench
    }

    /// With what a Python script writes in the folder; `None`, and a printed reason, without a Python.
    pub fn with_python(test: &str, script: &str) -> Option<Self> {
        let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
            skipped(test, "MCNN_TEST_PYTHON names no Python");
            return None;
        };
        let bench = Self::new();
        let output = Command::new(python).args(["-c", script]).current_dir(bench.folder.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{test}: {}", String::from_utf8_lossy(&output.stderr));
        Some(bench)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcnn"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs it, expects success, and gives stdout.
    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "mcnn {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with --json.
    pub fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --json"));
        assert_eq!(text.lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Runs it, expects exit code 2 and an error in its form, and gives the message.
    pub fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "mcnn {line}: {message}");
        assert!(message.contains("error: ") && !message.contains("panicked"), "mcnn {line}: {message}");
        assert!(output.stdout.is_empty(), "an error leaves stdout empty");
        message
    }
}

/// Waits until something is so, for a minute at most.
pub fn wait_until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "it never came to it");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The folder of real demonstrations beside the checkout, or a printed reason why a test is skipped.
pub fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("MCNN_SHARED").map_or(beside, |s| PathBuf::from(s).join("data"));
    if folder.join("door-human-v1.hdf5").is_file() {
        return Some(folder);
    }
    skipped(test, &format!("no real demonstrations in {}", folder.display()));
    None
}

/// Reports a skipped test on the standard error, since the test runner captures the output of passing tests.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}
