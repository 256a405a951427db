//! Hostile plans and results: an error that names the file, or an answer; never a panic, a hang or memory beyond 1 GiB.
#![cfg(target_os = "linux")]

use std::{path::Path, process::Command};

use crate::common::Bench;
use mcnn::seed::Seed;
use serde_json::{Value, json};

/// Kibibytes of address space, of which the program itself takes a part.
const MEMORY: u32 = 1 << 20;

struct Attacks {
    bench: Bench,
    /// What is tried on a file: the verb, and the file's name.
    line: [&'static str; 2],
    counts: [usize; 2],
}

impl Attacks {
    fn on(bench: Bench, line: [&'static str; 2]) -> Self {
        Self { bench, line, counts: [0; 2] }
    }

    /// Tries some bytes; whether they were read.
    fn file(&mut self, what: &str, bytes: &[u8]) -> bool {
        std::fs::write(self.bench.path(self.line[1]), bytes).unwrap();
        let kept = |why: &str| {
            let file = std::env::temp_dir().join("mcnn-hostile");
            std::fs::write(&file, bytes).unwrap();
            panic!("{what}: {why}; the file is kept as {}", file.display());
        };
        self.counts[0] += 1;
        let limited = format!("ulimit -v {MEMORY} && exec timeout 60 \"$0\" $1");
        let output = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_mcnn"), self.line[0]])
            .current_dir(self.bench.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {
                self.counts[1] += 1;
                true
            }
            Some(2) if said.starts_with("error: ") && said.len() < 3000 && said.contains(self.line[1]) => {
                false
            }
            code => kept(&format!("exit code {code:?}: {said:.500}")),
        }
    }

    fn refused(&mut self, what: &str, bytes: &[u8]) {
        assert!(!self.file(what, bytes), "{what}: it was read");
    }

    /// Cut short, bytes replaced, pieces repeated.
    fn blind(&mut self, whole: &[u8], rounds: usize) {
        let mut rng = Seed(3).rng();
        for round in 0..rounds {
            self.file(&format!("cut, round {round}"), &whole[..rng.below(whole.len())]);
            let mut bytes = whole.to_vec();
            let (at, value) = (rng.below(bytes.len()), rng.below(256) as u8);
            bytes[at] = value;
            self.file(&format!("byte {value} at {at}"), &bytes);
            let (from, to) = (rng.below(whole.len()), rng.below(whole.len()));
            let twice = [&whole[..from.max(to)], &whole[from.min(to)..]].concat();
            self.file(&format!("{from} to {to} twice"), &twice);
        }
    }

    /// What is no file.
    fn special(&mut self) {
        let path = self.bench.path(self.line[1]);
        let gone = |path: &Path| std::fs::remove_file(path).unwrap();
        gone(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        self.bench.refused(self.line[0]);
        gone(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        self.bench.refused(self.line[0]);
        gone(&path);
        std::fs::create_dir(&path).unwrap();
        self.bench.refused(self.line[0]);
        std::fs::remove_dir(&path).unwrap();
    }
}

const PLAN: &str = r#"task = "drive"
data = ["drive.npz"]
count = [20, 30]
by = ["gas", "random"]
lambda = ["auto", 0, "inf"]
hidden = [8]
steps = 3
episodes = 2
seed = [0, 1]
ignore = "3"
optimizer = { betas = [0.9, 0.99], weight_decay = 0, clip = 1, warm_up = 0, cosine = false }
"#;

/// All values inside a JSON value, by JSON pointer.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, v)| pointers(v, format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().take(2).for_each(|(i, v)| pointers(v, format!("{at}/{i}"), all));
        }
        _ => {}
    }
    all.push(at);
}

#[test]
fn results() {
    let bench = Bench::with_policy();
    std::fs::write(bench.path("plan.toml"), PLAN.replace("ignore = \"3\"\n", "")).unwrap();
    bench.ok("sweep plan.toml -o results.jsonl");
    let whole = std::fs::read(bench.path("results.jsonl")).unwrap();
    let mut attacks = Attacks::on(bench, ["table results.jsonl --plot x.svg --force", "results.jsonl"]);
    assert!(attacks.file("good", &whole));
    attacks.blind(&whole, 40);
    let first = whole.split(|b| *b == b'\n').next().unwrap();
    let line: Value = serde_json::from_slice(first).unwrap();
    let mut all = Vec::new();
    pointers(&line, String::new(), &mut all);
    let strange =
        [json!(-1), json!(1e300), json!(u64::MAX), json!(null), json!([]), json!("inf"), json!({ "": 0 })];
    for (i, pointer) in all.iter().enumerate() {
        for k in [0, 3] {
            let mut line = line.clone();
            let value = &strange[(i + k) % strange.len()];
            *line.pointer_mut(pointer).unwrap() = value.clone();
            attacks.file(
                &format!("{pointer} = {value}"),
                &[line.to_string().as_bytes(), b"\n", &whole].concat(),
            );
        }
    }
    let with = |key: &str, value: &str| {
        let mut text = first.to_vec();
        text.pop();
        [&text[..], format!(",\"{key}\":{value}}}\n").as_bytes()].concat()
    };
    for key in ["eval", "anything"] {
        attacks.refused("deep", &with(key, &"[".repeat(100_000)));
        attacks.refused("many maps", &with(key, &format!("[{}0]", "{\"\":0},".repeat(3 << 20))));
        attacks.file("many numbers", &with(key, &format!("[{}0]", "0,".repeat(10 << 20))));
    }
    attacks.refused("a line without an end", &vec![b'['; 30 << 20]);
    assert!(attacks.file("many empty lines", &[&vec![b'\n'; 1 << 20], &whole[..]].concat()));
    attacks.special();
    eprintln!("results: {} attacks, {} read", attacks.counts[0], attacks.counts[1]);
}

#[test]
fn plans() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 2 -o drive.npz");
    let mut attacks = Attacks::on(bench, ["sweep plan.toml -o r.jsonl --dry-run", "plan.toml"]);
    assert!(attacks.file("good", PLAN.as_bytes()));
    attacks.blind(PLAN.as_bytes(), 60);
    let strange = [
        "-1",
        "1e300",
        "nan",
        "9223372036854775807",
        "\"\"",
        "[]",
        "[[]]",
        "{}",
        "true",
        "1979-05-27",
        "[-1, nan]",
    ];
    for (i, line) in PLAN.lines().enumerate() {
        let key = line.split(' ').next().unwrap();
        for value in strange {
            let mut lines: Vec<String> = PLAN.lines().map(String::from).collect();
            lines[i] = format!("{key} = {value}");
            attacks.file(&lines[i].clone(), lines.join("\n").as_bytes());
            lines.push(lines[i].clone());
            attacks.refused("a key twice", lines.join("\n").as_bytes());
        }
    }
    for open in ["[", "{a=", "a.", "[[a."] {
        attacks.refused("deep", format!("task = {}", open.repeat(200_000)).as_bytes());
        attacks.refused("deep keys", open.repeat(200_000).as_bytes());
    }
    // Lists that multiply, and long settings that every run has a copy of.
    let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let plan = |extra: &str| format!("task = \"drive\"\ndata = [\"drive.npz\"]\n{extra}");
    attacks
        .refused("too many runs", plan(&format!("seed = [{0}]\nsmooth = [{0}]\n", many(20_000))).as_bytes());
    attacks.refused(
        "long copies",
        format!("task = \"{}\"\ndata = [\"drive.npz\"]\nseed = [{}]\n", "x".repeat(500_000), many(50_000))
            .as_bytes(),
    );
    attacks.refused("no plan at all", &vec![b'#'; 2 << 20]);
    attacks.refused("not text", &[0xff; 100]);
    attacks.special();
    eprintln!("plans: {} attacks, {} read", attacks.counts[0], attacks.counts[1]);
}
