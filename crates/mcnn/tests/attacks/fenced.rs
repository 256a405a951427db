//! A test in a process of its own, of limited memory, that is watched.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::readers;

const INSIDE: &str = "MCNN_ATTACKS_INSIDE";

/// Address space of the process, in KiB: 1 GiB, of which the program itself takes about a fifth.
const MEMORY: &str = "1048576";

/// Longest that one attack may take. Each is done in milliseconds; this tells a hang from a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Attacks, one after the other, each noted before it is tried.
pub struct Attacks {
    folder: PathBuf,
    /// Rounds of random damage.
    pub rounds: usize,
    /// Attacks so far, and files that were read all the same.
    pub counts: [usize; 2],
}

impl Attacks {
    /// A place for a file that is not made with [`file`](Self::file).
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Tries some bytes on a reader; whether they were read.
    pub fn file(&mut self, reader: &str, what: &str, bytes: &[u8]) -> bool {
        let path = self.path("hostile");
        std::fs::write(&path, bytes).unwrap();
        self.at(reader, what, &path)
    }

    /// Tries a path on a reader; whether it was read.
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

    /// Tries bytes that no reader may take.
    pub fn refused(&mut self, reader: &str, what: &str, bytes: &[u8]) {
        assert!(!self.file(reader, what, bytes), "{reader}: {what}: it was read");
    }
}

/// Runs the attacks of the test of that name in the fence.
pub fn fenced(test: &str, attack: impl FnOnce(&mut Attacks)) {
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
    // (macOS has no limit of the address space.)
    let limit = if cfg!(target_os = "linux") { format!("ulimit -v {MEMORY} && ") } else { String::new() };
    let said = std::fs::File::create(folder.path().join("said")).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("{limit}exec \"$0\" --exact {test} --nocapture --test-threads=1")])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, folder.path())
        // Every thread, and every arena of the C library, takes address space for its own sake.
        .envs([("RAYON_NUM_THREADS", "2"), ("MALLOC_ARENA_MAX", "2")])
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap();
    let (mut last, mut since) = (String::new(), Instant::now());
    let fate = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break if status.success() { None } else { Some(format!("it ended with {status}")) };
        }
        let now = std::fs::read_to_string(folder.path().join("attack")).unwrap_or_default();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break Some("it hangs".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = std::fs::read_to_string(folder.path().join("said")).unwrap_or_default();
    if let Some(fate) = fate {
        let last = std::fs::read_to_string(folder.path().join("attack")).unwrap_or_default();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.bin"));
        let _ = std::fs::copy(folder.path().join("hostile"), &kept);
        panic!("{fate}\n  attack {last}\n  kept as {}\n{said}", kept.display());
    }
    println!("{said}");
}
