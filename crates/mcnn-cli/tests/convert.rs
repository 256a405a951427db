//! `mcnn convert`, and demonstrations of several files.

use crate::common::Bench;

/// A file of states x = step / 10 and an action outside [-1, 1], with a pause of 4 steps at the start.
fn paused(bench: &Bench, name: &str, names: &str) {
    let script = format!(
        "import numpy as np\n\
         x = np.concatenate([np.zeros(4), np.arange(20) / 10.0]).astype('f4').reshape(-1, 1)\n\
         np.savez('{name}', states=x, actions=100 * x + 7, episode_ends=[24], rewards=np.ones(24, 'f4'), **{names})\n"
    );
    let python = std::env::var_os("MCNN_TEST_PYTHON").unwrap();
    let run =
        std::process::Command::new(python).args(["-c", &script]).current_dir(bench.folder.path()).output();
    assert!(run.unwrap().status.success());
}

#[test]
fn demonstrations_are_converted_cut_and_thinned_out_with_counts() {
    let Some(bench) = Bench::with_python("convert", "import numpy") else { return };
    paused(&bench, "a.npz", "dict(state_names=['x'])");
    let same = bench.json("convert a.npz -o a.hdf5");
    assert_eq!(
        (&same["steps"], &same["idle"]["steps"], &same["format"]),
        (&24.into(), &0.into(), &"D4RL HDF5".into())
    );
    let (before, after) = (bench.json("inspect a.npz"), bench.json("inspect a.hdf5"));
    for key in ["fingerprint", "episodes", "states", "actions", "state_names", "returns", "action_units"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    // Five steps are as the first; one of them is left.
    let cut = bench.json("convert a.hdf5 --drop-idle 0.3 --hz 10 --downsample 4 -o cut.npz");
    assert_eq!(
        (&cut["steps_read"], &cut["idle"]["steps"], &cut["idle"]["episodes"]),
        (&24.into(), &4.into(), &1.into())
    );
    assert_eq!((&cut["steps"], &cut["fps"]), (&5.into(), &2.5.into()));
    let found = bench.json("inspect cut.npz");
    assert_eq!((&found["returns"]["each"][0], &found["lengths"]["max"]), (&20.0.into(), &5.into()));
    let text = bench.ok("convert a.npz --drop-idle 0.3 --hz 10 -o cut.hdf5");
    assert!(text.contains("4 steps of 1 episodes dropped"), "{text}");
    for (line, says) in [
        ("convert a.npz -o a.csv", ".npz"),
        ("convert a.npz -o a.hdf5", "--force"),
        ("convert a.npz --drop-idle 1 -o b.npz", "--hz"),
        ("convert a.npz --drop-idle 0 --hz 10 -o b.npz", "above 0"),
        ("convert a.npz --episodes 3 -o b.npz", "no episode is selected"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(says), "mcnn {line}: {message}");
    }
}

#[test]
fn several_files_are_learned_and_trained_as_one_and_memories_are_told_by_their_content() {
    let Some(bench) = Bench::with_python("several", "import numpy") else { return };
    for seed in [0, 100] {
        bench.ok(&format!("make drive --episodes 2 --seed {seed} -o {seed}.npz"));
    }
    bench.ok("convert 100.npz -o 100.hdf5");
    bench.ok("convert 0.npz 100.npz -o both.npz");
    let (joined, both) = (bench.json("inspect 0.npz 100.hdf5"), bench.json("inspect both.npz"));
    assert_eq!((&joined["fingerprint"], &joined["episodes"]), (&both["fingerprint"], &4.into()));
    assert!(joined["format"].is_null());
    let memories = |data: &str| {
        bench.ok(&format!("learn {data} --count 20 -o m.safetensors --force"));
        std::fs::read(bench.path("m.safetensors")).unwrap()
    };
    // (The memories' files differ in the names of the keys alone.)
    assert_eq!(memories("0.npz 100.hdf5").len() > 1000, memories("both.npz").len() > 1000);
    let small = "--hidden 8 --steps 3 --members 1";
    let trained = |inputs: &str, name: &str| {
        bench.ok(&format!("train {inputs} {small} -o {name}"));
        bench.json(&format!("explain {name} --data both.npz --at 3:5"))["dimensions"].clone()
    };
    let a = trained("0.npz m.safetensors 100.hdf5", "a.safetensors");
    assert_eq!(a, trained("both.npz m.safetensors", "b.safetensors"));
    paused(&bench, "c.npz", "dict()");
    let other =
        "numpy.savez('d.npz', states=numpy.zeros((24, 1)), actions=numpy.zeros((24, 2)), episode_ends=[24])";
    let python = std::env::var_os("MCNN_TEST_PYTHON").unwrap();
    let run = std::process::Command::new(python)
        .args(["-c", &format!("import numpy; {other}")])
        .current_dir(bench.folder.path())
        .output();
    assert!(run.unwrap().status.success());
    for (line, says) in [
        ("learn c.npz 0.npz -o x.safetensors", ["c.npz", "0.npz", "the state has another width"]),
        ("inspect c.npz d.npz", ["c.npz", "d.npz", "the action has another width"]),
        (
            "train 0.npz m.safetensors a.safetensors -o x.safetensors",
            ["several files of memories", "a.safetensors", "at most"],
        ),
        (
            "train m.safetensors -o x.safetensors",
            ["no demonstrations", "m.safetensors", "the data come first"],
        ),
        ("learn 0.npz none.npz -o x.safetensors", ["none.npz", "reading failed", "check the path"]),
    ] {
        let message = bench.refused(line);
        for part in says {
            assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
        }
    }
}

#[test]
fn columns_are_learned_and_trained_piece_by_piece_into_the_files_of_an_npz() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 4 --noise 0.1 -o drive.npz");
    assert_eq!(bench.json("convert drive.npz -o drive.mcnn")["format"], "columns");
    bench.ok("convert drive.mcnn -o back.npz");
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("back.npz"), bytes("drive.npz"));
    let [mut npz, columns] = ["npz", "mcnn"].map(|form| bench.json(&format!("inspect drive.{form}")));
    assert_eq!((&npz["format"], &columns["format"]), (&"npz".into(), &"columns".into()));
    for key in ["format", "keys"] {
        npz[key] = columns[key].clone();
    }
    assert_eq!(columns, npz);
    for (line, file) in [
        ("learn drive.FORM --count 40 --smooth-neighbors 3 -o m-FORM.safetensors", "m-FORM.safetensors"),
        ("learn drive.FORM --count 30 --selection kcenter -o k-FORM.safetensors", "k-FORM.safetensors"),
        (
            "train drive.FORM m-FORM.safetensors --hidden 16 --steps 60 --batch 32 --members 2 -o p-FORM.safetensors",
            "p-FORM.safetensors",
        ),
        ("train drive.FORM --hidden 16 --steps 20 -o all-FORM.safetensors", "all-FORM.safetensors"),
    ] {
        let [npz, columns] = ["npz", "mcnn"].map(|form| {
            let report = bench.json(&line.replace("FORM", form));
            let of = |key: &str| report[key].clone();
            (
                ["fingerprint", "baselines", "validation", "coverage"].map(of),
                bytes(&file.replace("FORM", form)),
            )
        });
        assert_eq!(columns.0, npz.0, "{line}");
        assert!(columns.1 == npz.1, "mcnn {line}: the files differ");
    }
    let whole = bytes("drive.mcnn");
    std::fs::write(bench.path("cut.mcnn"), &whole[..whole.len() / 2]).unwrap();
    for line in ["learn cut.mcnn -o x.safetensors", "train cut.mcnn -o x.safetensors", "inspect cut.mcnn"] {
        let message = bench.refused(line);
        assert!(message.contains("cut.mcnn") && message.contains("cut short"), "mcnn {line}: {message}");
    }
}
