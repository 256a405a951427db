//! The keys of `--json` are those of docs/json.md, at every depth and in both directions.

use crate::common::Bench;

use std::collections::{BTreeMap, BTreeSet};

use mcnn::data::{ActionRange, Demonstrations, Parts, write_npz};
use serde_json::Value;

/// Documented keys, each with those inside its value.
#[derive(Debug, Clone, Default)]
struct Keys {
    inner: BTreeMap<String, Keys>,
    /// Whether any keys are allowed.
    any: bool,
}

/// The tables of docs/json.md.
struct Documented {
    rows: BTreeMap<String, String>,
}

impl Documented {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md");
        let text = std::fs::read_to_string(path).unwrap();
        let row = |line: &str| {
            let (name, keys) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            Some((name.trim_matches(['`', '*']).to_owned(), without_comments(keys)))
        };
        Self { rows: text.lines().filter_map(row).collect() }
    }

    /// The keys of a verb or an object.
    fn keys(&self, name: &str) -> Keys {
        if name == "Settings" {
            return Keys { any: true, ..Keys::default() };
        }
        let row = self.rows.get(name).unwrap_or_else(|| panic!("docs/json.md has no row for {name}"));
        self.parse(&mut row.chars().collect::<Vec<_>>().into_iter().peekable())
    }

    /// Reads keys up to the end or a closing brace. A key is followed by its inner keys, if it has any: `key` {...} or
    /// `key` *Object*; an object by itself stands for its keys.
    fn parse(&self, chars: &mut std::iter::Peekable<std::vec::IntoIter<char>>) -> Keys {
        let mut keys = Keys::default();
        let mut last: Option<String> = None;
        while let Some(c) = chars.next() {
            match c {
                '`' => {
                    let key: String = chars.by_ref().take_while(|c| *c != '`').collect();
                    keys.inner.entry(key.clone()).or_default();
                    last = Some(key);
                }
                '*' | '{' => {
                    let inner = if c == '{' {
                        self.parse(chars)
                    } else {
                        self.keys(&chars.by_ref().take_while(|c| *c != '*').collect::<String>())
                    };
                    match last.take() {
                        Some(key) => drop(keys.inner.insert(key, inner)),
                        None => {
                            keys.any |= inner.any;
                            keys.inner.extend(inner.inner);
                        }
                    }
                }
                '}' => break,
                ',' => last = None,
                _ => {}
            }
        }
        keys
    }
}

/// Leaves out what stands in parentheses.
fn without_comments(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let outside = depth == 0;
            depth -= i32::from(*c == ')');
            outside
        })
        .collect()
}

/// Compares a value with the documented keys, and notes which of them it has.
fn compare(value: &Value, keys: &Keys, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| compare(value, keys, path, found)),
        Value::Object(map) if !keys.any => {
            let have: Vec<&String> = map.keys().collect();
            let mut sorted = have.clone();
            sorted.sort();
            assert_eq!(sorted, keys.inner.keys().collect::<Vec<_>>(), "{path} and docs/json.md");
            for (key, value) in map {
                let path = format!("{path}.{key}");
                compare(value, &keys.inner[key], &path, found);
                found.insert(path);
            }
        }
        _ => {}
    }
}

fn all_paths(keys: &Keys, path: &str, all: &mut BTreeSet<String>) {
    for (key, inner) in &keys.inner {
        let path = format!("{path}.{key}");
        all_paths(inner, &path, all);
        all.insert(path);
    }
}

#[test]
fn the_json_has_exactly_the_keys_that_are_documented() {
    let bench = Bench::with_policy();
    bench.ok("train drive.npz m.safetensors -o bc.safetensors --lambda inf --hidden 8 --steps 5");
    bench.ok("train drive.npz -o retrieval.safetensors --backbone retrieval --hidden 8 --steps 5");
    let small = "train drive.npz m.safetensors --batch 8 --steps 2 --validation-fraction 0";
    bench.ok(&format!("{small} --backbone unet --hidden 8 --horizon 4 --sample-steps 2 -o unet.safetensors"));
    bench
        .ok(&format!("{small} --backbone bet --layers 1 --heads 1 --width 8 --buckets 4 -o bet.safetensors"));
    let plan = "task = \"drive\"\ndata = [\"drive.npz\"]\nseed = [0, 1]\nlambda = [0, \"inf\"]\nepisodes = 2\nsteps = 2\n";
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    let failing = plan.replace("episodes", "count = [100000]\nepisodes");
    std::fs::write(
        bench.path("failing.toml"),
        failing.replace("lambda = [0, \"inf\"]", "lambda = [\"auto\"]"),
    )
    .unwrap();
    let frames = Parts {
        n_obs: 12, // 2 x 2 pixels
        n_act: 1,
        states: (0..48).map(|i| i as f32 / 48.0).collect(), // episodes that coincide would be one recording
        actions: vec![0.0; 4],
        rewards: None,
        ends: vec![2, 4],
    };
    let frames = Demonstrations::new(frames, ActionRange::Refuse).unwrap();
    write_npz(&bench.path("frames.npz"), &frames).unwrap();
    std::fs::write(bench.path("robot.csv"), "candidate,episode,outcome\n0,0,success\n").unwrap();
    let documented = Documented::read();
    let (mut all, mut found) = (BTreeSet::new(), BTreeSet::new());
    for line in [
        "inspect drive.npz",
        "convert drive.npz --drop-idle 1 --hz 10 --downsample 2 -o converted.hdf5",
        "make drive --episodes 2 -o made.npz",
        "embed frames.npz --weights random:0 --network resnet18 -o e.npz",
        "encoder frames.npz --preset raw:8x8 --steps 2 --validation-fraction 0.5 -o encoder.safetensors",
        "learn drive.npz --count 9 --angle 0 -o n.safetensors",
        "train drive.npz m.safetensors -o r.safetensors --hidden 8 --steps 5",
        "eval p.safetensors --task drive --episodes 2 --guard warn --video v.gif --video-every 100",
        "compare p.safetensors bc.safetensors --task drive --episodes 2 --video w.gif --video-every 100",
        "test p.safetensors drive.npz",
        "explain unet.safetensors --data drive.npz --at 0:5",
        "explain bet.safetensors --data drive.npz --at 0:5",
        "explain retrieval.safetensors --data drive.npz --at 0:5",
        "report p.safetensors --data drive.npz -o s.html",
        "certify p.safetensors --data drive.npz --horizon 9 --curve",
        "export p.safetensors -o p.onnx",
        "export unet.safetensors -o unet.onnx",
        "suggest made.npz m.safetensors",
        "tune bc.safetensors --task drive --lambda weight:0.9,weight:0.95 --budget 40 -o tuned.safetensors",
        "tune p.safetensors --lambda inf,1 --results robot.csv --budget 40",
        "memory add p.safetensors drive.npz --steps 3..9",
        "memory drop p.safetensors --memories 0",
        "memory list p.safetensors --data drive.npz",
        "memory restore p.safetensors",
        "collect --task drive --episodes 2 -o c.hdf5",
        "replay c.hdf5 --task drive --episode 0 --video c.gif --video-every 100",
        "demo --demonstrations 2 --steps 5 --episodes 2 -o d.html",
        "sweep plan.toml -o r.jsonl",
        "sweep failing.toml -o r.jsonl",
        "sweep plan.toml --shard 1/2 -o half.jsonl",
        "results merge plan.toml half.jsonl -o merged.jsonl",
        "table r.jsonl",
    ] {
        let words = if line.starts_with("memory") || line.starts_with("results") { 2 } else { 1 };
        let verb = line.split(' ').take(words).collect::<Vec<_>>().join(" ");
        let keys = documented.keys(&verb);
        all_paths(&keys, &verb, &mut all);
        let fails = line.contains("failing"); // exits with code 2, and reports all the same
        let value = if fails {
            let output = bench.run(&format!("{line} --json"));
            serde_json::from_slice(&output.stdout).unwrap()
        } else {
            bench.json(line)
        };
        compare(&value, &keys, &verb, &mut found);
    }
    #[cfg(all(unix, feature = "serve"))]
    {
        let keys = documented.keys("serve");
        all_paths(&keys, "serve", &mut all);
        compare(&crate::serve::report(&bench), &keys, "serve", &mut found);
    }
    let verbs: BTreeSet<&str> = all.iter().map(|path| path.split('.').next().unwrap()).collect();
    let rows = documented.rows.keys().filter(|name| name.starts_with(char::is_lowercase));
    let rows: Vec<&String> = rows.filter(|name| !["verb", "object"].contains(&name.as_str())).collect();
    assert_eq!(rows, verbs.into_iter().collect::<Vec<_>>(), "verbs in docs/json.md");
    // In these runs null or empty: goals and subtasks of other tasks, latencies with an encoder, guards and
    // videos of each policy compared, what needs onnxruntime, and GPUs.
    let absent = [
        "policies.guard.",
        "policies.video.",
        "goal_at_end.",
        "parts.",
        "latency_without_encoder_us.",
        "queued_latency_us.",
        ".all.",
        "improvement.",
        "planned.",
        "export.check.",
        ".gpu.",
    ];
    let missing = all.difference(&found).filter(|path| !absent.iter().any(|part| path.contains(part)));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "documented, but not there");
}
