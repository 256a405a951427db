//! Outputs: where they are written, by whom, and what is left of a process that was killed.
#![cfg(unix)]

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use crate::common::{Bench, wait_until};
use serde_json::Value;

/// Names in the folder of a test.
fn names(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.folder.path()).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// One command of every verb that writes a file, with `OUT` for its name.
const WRITERS: [&str; 14] = [
    "make drive --episodes 1 -o OUT",
    "make drive-pixels --episodes 1 -o OUT",
    "learn drive.npz --count 9 -o OUT",
    "train drive.npz m.safetensors --hidden 8 --steps 3 -o OUT",
    "collect --task drive --episodes 1 -o OUT",
    "encoder frames.hdf5 --steps 2 --batch 4 --embedding-dim 4 -o OUT",
    "embed frames.hdf5 --weights random:0 --network conv:48x48:8 -o OUT",
    "report p.safetensors --data drive.npz -o OUT",
    "certify p.safetensors --horizon 100 --data drive.npz --curve --plot OUT.svg",
    "table results.jsonl --plot OUT.svg",
    "sweep plan.toml -o OUT",
    "replay drive.hdf5 --episode 0 --video-every 200 --video OUT.gif",
    "eval p.safetensors --task drive --episodes 1 --video-every 200 --video OUT.gif",
    "demo --demonstrations 2 --episodes 2 --steps 3 -o OUT",
];

/// A folder with what those commands read.
fn bench() -> Bench {
    let bench = Bench::with_policy();
    bench.ok("make drive-pixels --episodes 1 -o frames.hdf5");
    bench.ok("collect --task drive --episodes 1 -o drive.hdf5");
    let plan =
        "task = \"drive\"\ndata = [\"drive.npz\"]\ncount = [9]\nlambda = [0]\nseed = [0]\nepisodes = 1\n";
    fs::write(bench.path("plan.toml"), plan).unwrap();
    bench.ok("sweep plan.toml -o results.jsonl");
    bench
}

/// The file that a command with this output writes.
fn output(line: &str, name: &str) -> String {
    let word = line.split(' ').find(|word| word.contains("OUT")).unwrap();
    word.replace("OUT", name)
}

#[test]
fn every_output_is_checked_before_anything_is_read() {
    let bench = bench();
    let before = names(&bench);
    for line in WRITERS {
        // What they read is not there, so that an error about the output comes first.
        let line = line
            .replace("drive.npz", "nowhere.npz")
            .replace("frames.hdf5", "nowhere.hdf5")
            .replace("drive.hdf5", "nowhere.hdf5")
            .replace("p.safetensors", "nowhere.safetensors")
            .replace("results.jsonl", "nowhere.jsonl");
        let long = bench.refused(&line.replace("OUT", &"x".repeat(256)));
        assert!(long.contains("choose a shorter name") && !long.contains("nowhere"), "{line}: {long}");
        let missing = bench.refused(&line.replace("OUT", "no/such/folder/x"));
        assert!(missing.contains("mkdir -p") && !missing.contains("nowhere"), "{line}: {missing}");
        #[cfg(target_os = "linux")]
        {
            // A folder in which nobody may create a file.
            let forbidden = bench.refused(&line.replace("OUT", "/proc/x"));
            assert!(forbidden.contains("/proc/x") && !forbidden.contains("nowhere"), "{line}: {forbidden}");
        }
    }
    assert_eq!(names(&bench), before);
}

#[test]
fn an_output_is_written_by_one_process_at_a_time() {
    let bench = bench();
    let before = names(&bench);
    for line in WRITERS {
        let name = output(line, "x");
        let folder = bench.path("x.run");
        let lock = match line.starts_with("train") {
            true => {
                fs::create_dir(&folder).unwrap();
                folder.join(".checkpoint.safetensors.lock")
            }
            false => bench.path(&format!(".{name}.lock")),
        };
        let other = File::create(&lock).unwrap();
        other.lock().unwrap();
        let line = line.replace("OUT", "x");
        let refused = bench.refused(&line);
        assert!(refused.contains("another process") && refused.contains("wait for it"), "{line}: {refused}");
        assert!(!bench.path(&name).exists(), "{line}");
        // The lock of a process that was killed does not count.
        drop(other);
        bench.ok(&line);
        assert!(bench.path(&name).is_file() && !lock.exists(), "{line}");
        for entry in names(&bench).iter().filter(|name| name.starts_with('x')) {
            let path = bench.path(entry);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
    assert_eq!(names(&bench), before, "nothing else is left");
}

#[test]
fn the_target_of_a_dangling_link_is_created() {
    let bench = bench();
    fs::create_dir(bench.path("elsewhere")).unwrap();
    for (i, line) in WRITERS.iter().enumerate() {
        let name = output(line, &format!("link{i}"));
        let target = bench.path(&format!("elsewhere/{name}"));
        std::os::unix::fs::symlink(&target, bench.path(&name)).unwrap();
        bench.ok(&line.replace("OUT", &format!("link{i}")));
        assert!(fs::symlink_metadata(bench.path(&name)).unwrap().is_symlink(), "{line}: the link stays");
        assert!(fs::metadata(&target).is_ok_and(|m| m.len() > 0), "{line}: its target is created");
    }
}

#[test]
fn an_mp4_is_written_through_a_link() {
    if std::env::var_os("MCNN_TEST_FFMPEG").is_none() {
        return crate::common::skipped("an_mp4_is_written_through_a_link", "MCNN_TEST_FFMPEG is not set");
    }
    let bench = Bench::with_policy();
    std::os::unix::fs::symlink("target.mp4", bench.path("link.mp4")).unwrap();
    bench.ok("eval p.safetensors --task drive --episodes 1 --video-every 200 --video link.mp4");
    let bytes = fs::read(bench.path("target.mp4")).unwrap();
    assert_eq!(&bytes[4..8], b"ftyp");
    assert!(names(&bench).iter().all(|name| !name.starts_with('.')), "{:?}", names(&bench));
}

#[test]
fn the_temporary_files_of_a_killed_process_are_removed_by_the_next_run() {
    let bench = Bench::with_policy();
    let stale = [".x.safetensors.1-0.tmp", ".x.safetensors.99999-12.tmp", ".x.safetensors.lock"];
    stale.iter().for_each(|name| fs::write(bench.path(name), b"half").unwrap());
    let in_use = File::create(bench.path(".x.safetensors.7-7.tmp")).unwrap();
    in_use.lock().unwrap();
    fs::write(bench.path(".y.safetensors.1-0.tmp"), b"half").unwrap();
    bench.ok("learn drive.npz --count 9 -o x.safetensors");
    let hidden: Vec<String> = names(&bench).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [".x.safetensors.7-7.tmp", ".y.safetensors.1-0.tmp"], "one in use, and another's");
    drop(in_use);
    // Those in the folder of a run.
    fs::write(bench.path("p.run/.checkpoint.safetensors.1-0.tmp"), b"half").unwrap();
    fs::write(bench.path("p.run/.log.jsonl.1-0.tmp"), b"half").unwrap();
    let train = "train drive.npz m.safetensors -o p.safetensors --hidden 16 --steps 60 --batch 32";
    bench.ok(&format!("{train} --force"));
    let mut left = fs::read_dir(bench.path("p.run")).unwrap().flatten();
    assert!(left.all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
}

#[test]
fn edits_made_at_once_are_all_kept() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 6 --seed 40 -o more.npz");
    let add = |k: usize| {
        bench
            .command(&format!("memory add p.safetensors more.npz --episodes {k} --steps 0..10"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..6).map(add).collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let listed = bench.json("memory list p.safetensors");
    let versions = listed["versions"].as_array().unwrap();
    assert_eq!((versions.len(), listed["edits"].as_array().unwrap().len()), (7, 6), "{listed}");
    assert_eq!(listed["memories"], 50 + 60);
    assert_eq!(listed["current_version"], 6);
    let chain: Vec<Option<u64>> = versions.iter().map(|v| v["from"].as_u64()).collect();
    assert_eq!(chain, [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn one_process_trains_into_an_output() {
    let bench = Bench::with_policy();
    let line = "train drive.npz m.safetensors --hidden 8 --batch 16 --steps 100000000 -o q.safetensors";
    let mut first = bench.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let log = bench.path("q.run/log.jsonl");
    wait_until(|| log.exists());
    for options in ["", " --force", " --resume"] {
        let second = bench.refused(&format!("{line}{options}"));
        assert!(second.contains("another process"), "{options}: {second}");
    }
    // The policy that is trained beside it, and edits of an older one, are not affected.
    bench.ok("train drive.npz m.safetensors --hidden 8 --steps 3 -o r.safetensors");
    Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
    let headers = fs::read_to_string(&log).unwrap().matches("\"step\"").count();
    assert!(headers < 1000);
    // Refused before it wrote anything, a run leaves no folder.
    bench.refused("train nowhere.npz m.safetensors -o none.safetensors");
    assert!(!bench.path("none.run").exists());
}

#[test]
fn a_dot_in_a_name_does_not_mix_two_policies() {
    let bench = Bench::with_policy();
    bench.ok("make drive --episodes 2 --seed 40 -o more.npz");
    let train = |name: &str, seed: u32| {
        bench.ok(&format!("train drive.npz m.safetensors --hidden 8 --steps 20 --seed {seed} -o {name}"))
    };
    train("pol-0.1", 1);
    let log = fs::read(bench.path("pol-0.1.run/log.jsonl")).unwrap();
    train("pol-0.2", 2);
    assert_eq!(fs::read(bench.path("pol-0.1.run/log.jsonl")).unwrap(), log);
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    let trained = ["pol-0.1", "pol-0.2"].map(bytes);
    for name in ["pol-0.1", "pol-0.2"] {
        bench.ok(&format!("memory add {name} more.npz --steps 0..5"));
    }
    for name in ["pol-0.1", "pol-0.2"] {
        bench.ok(&format!("memory restore {name} --to 0"));
    }
    assert!(["pol-0.1", "pol-0.2"].map(bytes) == trained, "each goes back to itself");
    let compared = bench.json("compare pol-0.1 pol-0.2 --task drive --episodes 2");
    assert_eq!(compared["files"], serde_json::json!(["pol-0.1", "pol-0.2"]));
    bench.ok("demo --demonstrations 2 --episodes 2 --steps 3 -o v-0.1");
    assert!(bench.path("v-0.1.mcnn.safetensors").is_file() && !bench.path("v-0.mcnn.safetensors").exists());
    // The folder that two names would share says whose it is.
    let other = bench.refused("train drive.npz m.safetensors --hidden 8 --steps 20 -o p");
    assert!(other.contains("belongs to another policy") && other.contains("p.safetensors"), "{other}");
    fs::copy(bench.path("p.safetensors"), bench.path("p")).unwrap();
    let page = bench.json("report p --data drive.npz -o p.html");
    assert!(page["notes"].to_string().contains("belongs to another policy") && page["loss_points"] == 0);
    bench.ok("memory add p.safetensors more.npz --steps 0..5");
    assert!(bench.refused("memory restore p").contains("belongs to another policy"));
    assert_eq!(
        bench.json("memory list p")["versions"],
        serde_json::json!([]),
        "those of p.safetensors are not its own"
    );
}

#[test]
fn a_finished_run_is_not_called_interrupted() {
    let bench = Bench::with_policy();
    let path = bench.path("p.safetensors");
    let trained = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let line = "train drive.npz m.safetensors -o p.safetensors --hidden 16 --steps 60 --batch 32";
    let refused = bench.refused(line);
    assert!(refused.contains("a finished run") && !refused.contains("interrupted"), "{refused}");
    bench.ok(&format!("{line} --resume"));
    assert!(fs::read(&path).unwrap() == trained, "the same policy");
}

/// Runs a command with stderr at a full device, and in a pipe whose reader has gone; stdout is kept. Both exit codes.
fn without_stderr(bench: &Bench, line: &str, again: &str) -> [Option<i32>; 2] {
    let shell = |script: String| {
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(bench.folder.path());
        command.env("MCNN", env!("CARGO_BIN_EXE_mcnn")).output().unwrap()
    };
    let full = shell(format!("\"$MCNN\" {line} > out 2> /dev/full"));
    let piped = shell(format!("( \"$MCNN\" {again} ; echo $? > code ) 2>&1 | true"));
    assert!(piped.status.success());
    wait_until(|| fs::read_to_string(bench.path("code")).is_ok_and(|code| code.ends_with('\n')));
    let code = fs::read_to_string(bench.path("code")).unwrap();
    fs::remove_file(bench.path("code")).unwrap();
    [full.status.code(), code.trim().parse().ok()]
}

#[test]
fn work_goes_on_where_progress_cannot_be_written() {
    let bench = bench();
    let progress = [
        "collect --task drive --episodes 12 -o OUT",
        "eval p.safetensors --task drive --episodes 12",
        "compare p.safetensors p.safetensors --task drive --episodes 12",
        "memory list p.safetensors --task drive --episodes 12",
    ];
    for line in WRITERS.iter().chain(&progress) {
        let codes = without_stderr(&bench, &line.replace("OUT", "full"), &line.replace("OUT", "pipe"));
        assert_eq!(codes, [Some(0); 2], "{line}");
        if line.contains("OUT") {
            for name in ["full", "pipe"] {
                let name = output(line, name);
                assert!(bench.path(&name).is_file(), "{line}");
                fs::remove_file(bench.path(&name)).unwrap();
            }
        }
        for name in ["full.run", "pipe.run"] {
            let _ = fs::remove_dir_all(bench.path(name));
        }
    }
    let failed = without_stderr(&bench, "inspect nowhere.npz", "inspect nowhere.npz");
    assert_eq!(failed, [Some(2); 2], "an error that cannot be written is an error all the same");
    let refused = without_stderr(&bench, "inspect --nothing", "inspect --nothing");
    assert_eq!(refused, [Some(2); 2]);
    let bounded = "certify p.safetensors --horizon 100 --data drive.npz --max-bound 0";
    assert_eq!(without_stderr(&bench, bounded, bounded), [Some(1); 2]);
    let report: Value = bench.json("inspect drive.npz");
    assert_eq!(report["episodes"], 4);
}

/// A full device for the results: the message says where they were to go, and which files are there all the same.
#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_printed_name_the_files_that_were_written() {
    let bench = Bench::with_policy();
    for (line, written) in [
        ("learn drive.npz --count 9 -o n.safetensors", "n.safetensors"),
        ("train drive.npz m.safetensors -o q.safetensors --hidden 8 --steps 5 --members 1", "q.safetensors"),
        ("make drive --episodes 2 -o drive.npz --force", "drive.npz"),
        ("inspect drive.npz", "run the command again"),
    ] {
        for json in ["", " --json"] {
            let line = format!("{line}{}{json}", if line.contains("-o ") { " --force" } else { "" });
            let line = line.replace("--force --force", "--force");
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let output = bench.command(&line).stdout(full).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{line}: {message}");
            for part in ["error: the results cannot be printed", "standard output", "No space left", written]
            {
                assert!(message.contains(part), "{line}: {part}: {message}");
            }
        }
    }
}
