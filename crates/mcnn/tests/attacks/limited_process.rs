//! Runs a test in a process of its own with limited memory and a time limit per attack.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::readers;

const INSIDE: &str = "MCNN_ATTACKS_INSIDE";

/// The address space of the process in KiB: 1 GiB, of which the program takes about a fifth.
const MEMORY: &str = "1048576";

/// The time limit of one attack. An attack takes milliseconds; the limit is large because the machine may be busy.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs attacks one after the other and records each before it starts.
pub struct Attacks {
    folder: PathBuf,
    /// Rounds of random damage.
    pub rounds: usize,
    /// The attacks so far, and those whose file was read without an error.
    pub counts: [usize; 2],
}

impl Attacks {
    /// The path for a file of that name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lets a reader read some bytes. Returns whether it did so without an error.
    pub fn file(&mut self, reader: &str, what: &str, bytes: &[u8]) -> bool {
        let path = self.path("hostile");
        std::fs::write(&path, bytes).unwrap();
        self.at(reader, what, &path)
    }

    /// Lets a reader read a path. Returns whether it did so without an error.
    pub fn at(&mut self, reader: &str, what: &str, path: &Path) -> bool {
        self.counts[0] += 1;
        std::fs::write(self.path("attack"), format!("{}: {reader}: {what}", self.counts[0])).unwrap();
        match readers::read(reader, path) {
            Ok(()) => {
                self.counts[1] += 1;
                true
            }
            Err(e) => {
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(e.to_string().contains(name), "{what}: the error does not name the file: {e}");
                assert!(e.to_string().len() < 2000, "{what}: an error of {} letters", e.to_string().len());
                false
            }
        }
    }

    /// Lets a reader read some bytes that it must refuse.
    pub fn refused(&mut self, reader: &str, what: &str, bytes: &[u8]) {
        assert!(!self.file(reader, what, bytes), "{reader}: {what}: it was read");
    }
}

/// Runs the attacks of the test of that name in a process of its own.
pub fn in_limited_process(test: &str, attack: impl FnOnce(&mut Attacks)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let rounds =
            std::env::var("MCNN_ATTACKS").map_or(100, |n| n.parse().expect("MCNN_ATTACKS is a number"));
        let mut attacks = Attacks { folder: folder.into(), rounds, counts: [0; 2] };
        attack(&mut attacks);
        println!(
            "{} attacks, of which {} left a file that could be read",
            attacks.counts[0], attacks.counts[1]
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // macOS has no limit of the address space.
    let limit = if cfg!(target_os = "linux") { format!("ulimit -v {MEMORY} && ") } else { String::new() };
    let output = std::fs::File::create(folder.path().join("output")).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("{limit}exec \"$0\" --exact {test} --nocapture --test-threads=1")])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, folder.path())
        // Every thread and every arena of the C library reserves address space.
        .envs([("RAYON_NUM_THREADS", "2"), ("MALLOC_ARENA_MAX", "2")])
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let (mut last, mut since) = (String::new(), Instant::now());
    let failure = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break if status.success() { None } else { Some(format!("it ended with {status}")) };
        }
        let now = std::fs::read_to_string(folder.path().join("attack")).unwrap_or_default();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > TIME_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            break Some("it hangs".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = std::fs::read_to_string(folder.path().join("output")).unwrap_or_default();
    if let Some(failure) = failure {
        let last = std::fs::read_to_string(folder.path().join("attack")).unwrap_or_default();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.bin"));
        let _ = std::fs::copy(folder.path().join("hostile"), &kept);
        panic!("{failure}\n  attack {last}\n  kept as {}\n{output}", kept.display());
    }
    println!("{output}");
}
