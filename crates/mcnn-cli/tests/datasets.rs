//! From a LeRobot dataset to a policy that acts in its units.

use std::path::Path;

use crate::common::Bench;

/// An arm's dataset in LeRobot's v3.0 layout, as pyarrow writes it: three joints in degrees whose targets are a few degrees ahead, and a
/// gripper in percent, 25 frames in each of four episodes of two tasks.
const WRITE: &str = r#"
import json, os, numpy, pyarrow, pyarrow.parquet as pq
os.makedirs("arm/meta/episodes/chunk-000"), os.makedirs("arm/data/chunk-000")
names = ["base.pos", "shoulder.pos", "elbow.pos", "gripper.pos"]
state, action, episode, frame = [], [], [], []
for k in range(4):
    for t in range(25):
        s = numpy.array([30 * numpy.sin(0.1 * t + k), -90 + 2 * t, 45 - k, 10.0], "f4")
        state.append(s)
        action.append(s + numpy.array([3 * numpy.cos(0.1 * t + k), 2, 0.5, 0], "f4"))
        episode.append(k), frame.append(t)
fixed = lambda rows: pyarrow.array([row.tolist() for row in rows], pyarrow.list_(pyarrow.float32()))
i64 = lambda values: pyarrow.array(values, pyarrow.int64())
pq.write_table(pyarrow.table({
    "observation.state": fixed(state), "action": fixed(action),
    "timestamp": pyarrow.array([t / 30 for t in frame], pyarrow.float32()), "frame_index": i64(frame),
    "episode_index": i64(episode), "index": i64(list(range(100))), "task_index": i64([k % 2 for k in episode]),
}), "arm/data/chunk-000/file-000.parquet")
pq.write_table(pyarrow.table({
    "episode_index": i64([0, 1, 2, 3]), "tasks": [["pick"], ["place"], ["pick"], ["place"]], "length": i64([25] * 4),
    "data/chunk_index": i64([0] * 4), "data/file_index": i64([0] * 4),
    "dataset_from_index": i64([0, 25, 50, 75]), "dataset_to_index": i64([25, 50, 75, 100]),
}), "arm/meta/episodes/chunk-000/file-000.parquet")
scalar = lambda dtype: {"dtype": dtype, "shape": [1], "names": None}
json.dump({
    "codebase_version": "v3.0", "fps": 30, "total_episodes": 4, "total_frames": 100, "total_tasks": 2, "chunks_size": 1000,
    "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "video_path": None, "robot_type": "arm",
    "features": {
        "observation.state": {"dtype": "float32", "shape": [4], "names": names},
        "action": {"dtype": "float32", "shape": [4], "names": names},
        "timestamp": scalar("float32"), "frame_index": scalar("int64"), "episode_index": scalar("int64"),
        "index": scalar("int64"), "task_index": scalar("int64"),
    },
}, open("arm/meta/info.json", "w"))
"#;

#[test]
fn a_policy_of_an_arms_dataset_acts_in_degrees() {
    let Some(bench) = Bench::with_python("a_policy_of_an_arms_dataset", WRITE) else { return };
    let found = bench.json("inspect arm");
    assert_eq!((&found["format"], &found["fps"]), (&"LeRobot v3.0".into(), &30.0.into()));
    assert_eq!(found["tasks"], serde_json::json!([["pick", 2], ["place", 2]]));
    let trained =
        bench.run("train arm --actions relative --hidden 16 --steps 200 --members 2 -o p.safetensors");
    let said = String::from_utf8_lossy(&trained.stderr).into_owned();
    assert!(trained.status.success(), "{said}");
    assert!(said.contains("action 1 shoulder.pos: always 2, relative to state 1 shoulder.pos"), "{said}");
    let at = bench.json("explain p.safetensors --data arm --at 2:7");
    let (state, dimensions) = (&at["state"], at["dimensions"].as_array().unwrap());
    for (k, dimension) in dimensions.iter().enumerate() {
        let [action, low, high] = ["action", "low", "high"].map(|key| dimension[key].as_f64().unwrap());
        let step = action - state[k].as_f64().unwrap();
        assert!((-3.1..=3.1).contains(&step), "a small step from the present position: {dimension}");
        assert!(low - 1e-4 <= action && action <= high + 1e-4, "{dimension}");
    }
    // The targets are a few degrees ahead: a learned policy is nearer than staying.
    let demonstrated = &at["demonstrated_action"];
    assert!((dimensions[1]["action"].as_f64().unwrap() - demonstrated[1].as_f64().unwrap()).abs() < 1e-3);
    let placed = bench.json("inspect arm --task place");
    assert_eq!(placed["episodes"], 2);
    let message = bench.refused("inspect arm --task lift");
    assert!(message.contains(r#""pick""#) && message.contains(r#""place""#), "{message}");
    let message = bench.refused("inspect lerobot/arm");
    assert!(message.contains("hf download"), "{message}");
    assert!(Path::new(&bench.path("p.safetensors")).is_file());
}
