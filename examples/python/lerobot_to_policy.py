"""From a LeRobot dataset (format v3) to a policy. Needs mcnn, numpy and pyarrow; the dataset is written here, so nothing is downloaded.

A dataset of your own is `mcnn.read("~/.cache/huggingface/lerobot/USER/NAME")`, or `mcnn.from_lerobot(dataset)` of a LeRobotDataset object.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import mcnn

FPS, STATES, ACTIONS = 10, ["shoulder.pos", "elbow.pos", "gripper.pos"], ["shoulder.pos", "elbow.pos", "gripper.pos"]


def episodes(n=8, length=40):
    """An arm reaches a pose and closes its gripper. States and actions are in degrees: an action is the pose wanted next."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        pose, states, actions = np.array([*rng.uniform(-60, 60, 2), 0.0]), [], []
        for _ in range(length):
            step = np.clip(np.array([20.0, -35.0, 0.0]) - pose, -6, 6)
            if np.abs(step).max() < 3:
                step[2] = min(90 - pose[2], 10)  # there: close the gripper
            states.append(pose)
            actions.append(pose + step)
            pose = pose + step + rng.normal(0, 0.3, 3)
        yield np.float32(states), np.float32(actions)


def write_dataset(folder, episodes):
    """Writes the folder as LeRobot does: rows of all episodes in one Parquet file, and what describes them under meta/."""
    rows, table, start = [], [], 0
    for k, (states, actions) in enumerate(episodes):
        n = len(states)
        for i in range(n):
            rows.append(
                {"observation.state": states[i].tolist(), "action": actions[i].tolist(), "timestamp": i / FPS}
                | {"frame_index": i, "episode_index": k, "index": start + i, "task_index": 0}
            )
        place = {"data/chunk_index": 0, "data/file_index": 0, "dataset_from_index": start, "dataset_to_index": start + n}
        table.append({"episode_index": k, "tasks": ["reach"], "length": n} | place)
        start += n
    feature = lambda names: {"dtype": "float32", "shape": [len(names)], "names": names}
    info = {
        "codebase_version": "v3.0", "robot_type": "arm", "fps": FPS, "total_episodes": len(table), "total_frames": len(rows),
        "total_tasks": 1, "chunks_size": 1000, "splits": {"train": f"0:{len(table)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "video_path": None,
        "features": {"observation.state": feature(STATES), "action": feature(ACTIONS)},
    }  # fmt: skip
    for path in ("data/chunk-000", "meta/episodes/chunk-000"):
        (folder / path).mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    pq.write_table(pa.Table.from_pylist(rows), folder / "data/chunk-000/file-000.parquet")
    pq.write_table(pa.Table.from_pylist(table), folder / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": [0], "task": ["reach"]}), folder / "meta/tasks.parquet")


with tempfile.TemporaryDirectory() as name:
    folder = Path(name) / "arm"
    written = list(episodes())
    write_dataset(folder, written)
    # Actions are poses: relative to the state, they are small steps, which are learned better.
    demos = mcnn.read(folder, relative_to="state")
print(demos)
assert demos.names == (STATES, ACTIONS) and len(demos) == 8
np.testing.assert_allclose(demos.actions_in_data_units, np.concatenate([actions for _, actions in written]), atol=1e-3)

policy = mcnn.train(demos, steps=400, members=2, hidden=[64])
pose = np.array([-30.0, 30.0, 0.0])
session = policy.session()
for _ in range(40):
    pose = session.act(pose).action
print("the arm ends at", pose.round(1))
assert np.abs(pose[:2] - [20, -35]).max() < 5
