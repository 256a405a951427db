//! Folders of LeRobot that `convert` and `collect` write, against pyarrow, pandas' rules, numpy and, where it is there, LeRobot itself.

use std::process::Command;

use crate::common::{Bench, skipped};

/// Runs Python in the folder; its output.
fn python(bench: &Bench, script: &str) -> String {
    let python = std::env::var_os("MCNN_TEST_PYTHON").unwrap();
    let run = Command::new(python).args(["-c", script]).current_dir(bench.folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// Compares `arm.npz` with the folder `arm`, column by column, as pyarrow reads it.
const COMPARE: &str = r#"
import json, numpy as np, pyarrow.parquet as pq
data = np.load('arm.npz')
table = pq.read_table('arm/data/chunk-000/file-000.parquet')
def column(name):
    return np.array(table[name].to_pylist())
assert np.array_equal(column('observation.state').astype('f4'), data['states'])
assert np.array_equal(column('action').astype('f4').reshape(-1, 1), data['actions'])
assert np.array_equal(column('next.reward').astype('f4'), data['rewards'])
assert str(table.schema.field('timestamp').type) == 'float' and str(table.schema.field('index').type) == 'int64'
ends = data['episode_ends']
lengths = np.diff(np.concatenate([[0], ends]))
assert np.array_equal(column('episode_index'), np.repeat(np.arange(len(ends)), lengths))
assert np.array_equal(column('frame_index'), np.concatenate([np.arange(n) for n in lengths]))
assert np.array_equal(column('index'), np.arange(ends[-1]))
assert np.array_equal(column('timestamp').astype('f4'), (column('frame_index') / 30).astype('f4'))
episodes = pq.read_table('arm/meta/episodes/chunk-000/file-000.parquet').to_pydict()
assert episodes['length'] == list(lengths) and episodes['dataset_to_index'] == list(ends)
assert episodes['tasks'] == [['']] * len(ends)
start = 0
for k, end in enumerate(ends):
    states = data['states'][start:end].astype('f8')
    for name, of in [('min', states.min(0)), ('max', states.max(0)), ('mean', states.mean(0)), ('std', states.std(0)), ('q10', np.quantile(states, 0.1, axis=0))]:
        assert np.allclose(episodes[f'stats/observation.state/{name}'][k], of, atol=1e-9), name
    assert episodes['stats/observation.state/count'][k] == [end - start]
    start = end
stats = json.load(open('arm/meta/stats.json'))
states = data['states'].astype('f8')
assert np.allclose(stats['observation.state']['std'], states.std(0)) and stats['observation.state']['count'] == [len(states)]
tasks = pq.read_table('arm/meta/tasks.parquet')
assert tasks['task'].to_pylist() == [''] and json.loads(tasks.schema.metadata[b'pandas'])['index_columns'] == ['task']
info = json.load(open('arm/meta/info.json'))
assert (info['codebase_version'], info['fps'], info['total_frames']) == ('v3.0', 30, int(ends[-1]))
assert info['features']['observation.state'] == {'dtype': 'float32', 'shape': [3], 'names': ['x', 'y', 'yaw']}
print('equal')
"#;

const ARM: &str = "import numpy as np\n\
    rng = np.random.default_rng(1)\n\
    np.savez('arm.npz', states=rng.normal(size=(60, 3)).astype('f4'), actions=rng.normal(size=(60, 1)).astype('f4') * 90,\n\
             episode_ends=[7, 31, 60], rewards=rng.normal(size=60).astype('f4'), state_names=['x', 'y', 'yaw'], action_names=['yaw'])";

#[test]
fn a_folder_of_lerobot_has_every_number_and_is_read_back_the_same() {
    let Some(bench) = Bench::with_python("writers", &format!("import pyarrow\n{ARM}")) else { return };
    let refused = bench.refused("convert arm.npz -o arm/");
    assert!(refused.contains("--hz"), "{refused}");
    let written = bench.json("convert arm.npz --hz 30 -o arm/");
    assert_eq!((&written["format"], &written["fps"]), (&"LeRobot v3.0".into(), &30.0.into()));
    assert_eq!(python(&bench, COMPARE).trim(), "equal");
    bench.ok("convert arm -o back.npz");
    bench.ok("convert arm -o back.hdf5");
    let all = ["arm.npz", "arm", "back.npz", "back.hdf5"].map(|name| bench.json(&format!("inspect {name}")));
    for found in &all[1..] {
        for key in ["fingerprint", "episodes", "states", "actions", "returns", "state_names", "action_names"]
        {
            assert_eq!(all[0][key], found[key], "{key}");
        }
    }
    assert_eq!(all[1]["tasks"], serde_json::json!([]));
    // What is there is replaced only if it is a dataset.
    assert!(bench.refused("convert arm.npz --hz 30 -o arm").contains("--force"));
    bench.ok("convert arm.npz --hz 15 --force -o arm");
    assert_eq!(bench.json("inspect arm")["fps"], 15.0);
    std::fs::create_dir(bench.path("notes")).unwrap();
    std::fs::write(bench.path("notes/a.txt"), "x").unwrap();
    assert!(bench.refused("convert arm.npz --hz 15 --force -o notes").contains("something else"));
    assert!(bench.path("notes/a.txt").exists());
    let left: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn lerobot_opens_what_is_written() {
    let name = "lerobot_opens_what_is_written";
    let Some(lerobot) = std::env::var_os("MCNN_TEST_LEROBOT") else {
        skipped(name, "MCNN_TEST_LEROBOT names no Python with lerobot 0.4.4");
        return;
    };
    let Some(bench) = Bench::with_python(name, ARM) else { return };
    bench.ok("convert arm.npz --hz 30 -o arm/");
    let script = "import numpy as np\n\
        from lerobot.datasets.lerobot_dataset import LeRobotDataset\n\
        data = np.load('arm.npz')\n\
        found = LeRobotDataset('local/arm', root='arm', delta_timestamps={'action': [0, 1 / 30]})\n\
        assert (found.num_episodes, found.num_frames, found.fps) == (3, 60, 30)\n\
        for i in range(60):\n\
        \x20   item = found[i]\n\
        \x20   assert np.array_equal(item['observation.state'].numpy(), data['states'][i]), i\n\
        \x20   assert np.array_equal(item['action'].numpy()[0].ravel(), data['actions'][i]), i\n\
        assert item['task'] == ''\n\
        assert np.allclose(found.meta.stats['action']['mean'], data['actions'].mean(0), atol=1e-4)\n\
        part = LeRobotDataset('local/arm', root='arm', episodes=[1])\n\
        assert part.num_frames == 24\n";
    let run = Command::new(lerobot).args(["-c", script]).current_dir(bench.folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn episodes_are_collected_into_any_format_with_the_same_numbers() {
    let bench = Bench::new();
    let line = "collect --task drive --episodes 3 --seed 5";
    bench.ok(&format!("{line} -o a.npz"));
    bench.ok(&format!("{line} -o a.hdf5"));
    assert!(bench.refused(&format!("{line} -o folder/")).contains("--hz"));
    assert!(bench.refused(&format!("{line} --hz 20 -o b.npz")).contains("no place for a frame rate"));
    bench.ok(&format!("{line} --hz 20 -o folder/"));
    assert!(!bench.path("folder.part").exists());
    let all = ["a.npz", "a.hdf5", "folder"].map(|name| bench.json(&format!("inspect {name}")));
    for found in &all[1..] {
        for key in ["fingerprint", "episodes", "returns"] {
            assert_eq!(all[0][key], found[key], "{key}");
        }
    }
    assert_eq!((&all[2]["fps"], &all[2]["tasks"][0][0]), (&20.0.into(), &"drive".into()));
    assert!(
        bench
            .refused("collect --task drive-pixels --episodes 1 --hz 20 -o pixels/")
            .contains("camera frames")
    );
}

#[test]
fn actions_are_converted_to_differences_by_name_or_number() {
    let Some(bench) = Bench::with_python("relative", ARM) else { return };
    let found = bench.json("convert arm.npz --relative -o by_name.npz");
    assert_eq!(found["relative_to"], serde_json::json!([2]));
    bench.ok("convert arm.npz --relative-to 2 --angle 2:deg -o turned.npz");
    let script = "import numpy as np\n\
        a, b, c = (np.load(n) for n in ('arm.npz', 'by_name.npz', 'turned.npz'))\n\
        d = a['actions'].astype('f8') - a['states'][:, 2:]\n\
        assert np.array_equal(b['actions'], d.astype('f4')) and np.array_equal(b['states'], a['states'])\n\
        assert np.allclose(c['actions'], (d + 180) % 360 - 180, atol=1e-4)\n";
    python(&bench, script);
    assert!(bench.refused("convert arm.npz --angle 2 -o x.npz").contains("--relative"));
    assert!(bench.refused("convert arm.npz --relative-to 0,1 -o x.npz").contains("--relative-to"));
}

#[test]
fn angles_are_named_reported_and_kept() {
    let bench = Bench::new();
    bench.ok("make drive --episodes 4 -o drive.npz");
    let learned = bench.json("learn drive.npz --angle 0-1:rad -o m.safetensors");
    assert_eq!(
        learned["angles"],
        serde_json::json!([{"dimension": 0, "unit": "rad"}, {"dimension": 1, "unit": "rad"}])
    );
    assert!(
        bench.ok("learn drive.npz --angle 0:deg -o n.safetensors").contains("state dimension 0, in degrees")
    );
    bench.ok("train drive.npz m.safetensors -o p.safetensors --hidden 8 --steps 20 --members 1");
    let at = bench.json("explain p.safetensors --data drive.npz --at 1:20");
    assert_eq!(at["contributions"].as_array().map_or(10, Vec::len), 10);
    bench.ok("certify p.safetensors --data drive.npz --horizon 10 --curve");
    bench.ok("report p.safetensors --data drive.npz -o r.html");
    bench.ok("test p.safetensors drive.npz");
    for (line, says) in [
        ("learn drive.npz --angle 99 -o x.safetensors", "dimensions 0 to 9"),
        ("learn drive.npz --angle yaw -o x.safetensors", "yaw"),
        ("learn drive.npz --angle 3-1 -o x.safetensors", "after the last"),
        ("train drive.npz m.safetensors --angle 3 -o x.safetensors", "--angle"),
    ] {
        let message = bench.refused(line);
        assert!(message.contains(says), "mcnn {line}: {message}");
    }
}
