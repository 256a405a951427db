"""Files in robomimic's layout as h5py writes them, for tests of the Rust reader.

    make_robomimic_files.py FOLDER      writes files and manifest.json: of a good file what is in it by these keys, of a
                                        broken one what the error must say
"""

import json
import pathlib
import sys

import h5py
import numpy as np

rng = np.random.default_rng(5)
# In the order in which they are made; 10 comes before 2 as text, and there are gaps.
NUMBERS = [10, 0, 2, 7]
LENGTHS = {0: 5, 2: 3, 7: 9, 10: 4}
KEYS = {"object": 10, "robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "robot0_joint_pos": 7}
LIBERO = {"ee_pos": 3, "ee_states": 6, "gripper_states": 2, "joint_states": 7}
DEFAULT = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]

good, broken = {}, {}


def episodes(keys=KEYS, numbers=NUMBERS, lengths=LENGTHS):
    """The arrays of each episode, by its number."""
    made = {}
    for k in numbers:
        n = lengths[k]
        made[k] = {f"obs/{key}": rng.normal(size=(n, width)) for key, width in keys.items()}
        made[k] |= {f"next_obs/{key}": rng.normal(size=(n, width)) for key, width in keys.items()}
        made[k]["obs/agentview_image"] = rng.integers(0, 256, size=(n, 8, 8, 3)).astype("u1")
        made[k]["actions"] = rng.uniform(-1, 1, size=(n, 7))
        made[k]["action_dict/rel_pos"] = rng.uniform(-1, 1, size=(n, 3)).astype("f4")
        made[k]["action_dict/gripper"] = rng.uniform(-1, 1, size=(n, 1)).astype("f4")
        made[k]["states"] = rng.normal(size=(n, 45))
        made[k]["rewards"] = (np.arange(n) == n - 1).astype("f8")
        made[k]["dones"] = (np.arange(n) == n - 1).astype("i8")
    return made


def write(path, made, masks=None, attributes=True, options=None, then=None):
    with h5py.File(path, "w") as f:
        data = f.create_group("data")
        for k, arrays in made.items():
            demo = data.create_group(f"demo_{k}")
            for key, value in arrays.items():
                demo.create_dataset(key, data=value, **(options or {}))
            if attributes:
                demo.attrs["num_samples"] = len(arrays["dones"])
                demo.attrs["model_file"] = "<mujoco/>"
        if attributes:
            data.attrs["total"] = sum(len(arrays["dones"]) for arrays in made.values())
            data.attrs["env_args"] = json.dumps(dict(env_name="Lift", type=1, env_kwargs=dict(control_freq=20)))
        for name, numbers in (masks or {}).items():
            f.create_dataset(f"mask/{name}", data=np.array([f"demo_{k}".encode() for k in numbers]))
        if then:
            then(f)


def expect(name, made, numbers=None, keys=DEFAULT, actions=("actions",), rewards=True, **selection):
    """`keys`: the state's, with ranges as the reader takes them."""
    numbers = sorted(made) if numbers is None else numbers

    def column(arrays, key, prefix):
        key, _, range_ = key.partition(":")
        value = arrays[prefix + key]
        value = value.reshape(len(value), -1)
        if range_:
            first, _, last = range_.partition("-")
            value = value[:, int(first):int(last or first) + 1]
        return value

    side_by_side = lambda wanted, prefix: np.concatenate([
        np.concatenate([column(made[k], key, prefix) for key in wanted], 1) for k in numbers]).astype("f4")
    states, acted = side_by_side([key.removeprefix("obs/") for key in keys], "obs/"), side_by_side(actions, "")
    good.setdefault(name, []).append(dict(
        selection,
        numbers=numbers,
        n_obs=states.shape[1],
        n_act=acted.shape[1],
        states=states.ravel().tolist(),
        actions=acted.ravel().tolist(),
        rewards=np.concatenate([made[k]["rewards"] for k in numbers]).astype("f4").tolist() if rewards else None,
        ends=np.cumsum([len(made[k]["actions"]) for k in numbers]).tolist(),
    ))


def write_good(folder):
    made = episodes()
    masks = dict(train=[10, 0], valid=[2], some=[7, 10], gone=[2, 99])
    write(folder / "lift.hdf5", made, masks)
    expect("lift.hdf5", made)
    expect("lift.hdf5", made, numbers=[0, 10], filter="train")
    expect("lift.hdf5", made, numbers=[2], filter="gone")
    expect("lift.hdf5", made, numbers=[7], filter="some", episodes=[0, 8])
    expect("lift.hdf5", made, numbers=[2, 7], episodes=[1, 8])
    chosen = ["robot0_joint_pos:2-4", "obs/object"]
    expect("lift.hdf5", made, keys=chosen, state=chosen)
    acted = ["action_dict/rel_pos", "action_dict/gripper"]
    expect("lift.hdf5", made, actions=acted, action=acted)
    write(folder / "compressed.hdf5", made, options=dict(compression="gzip"))
    expect("compressed.hdf5", made)

    libero = episodes(LIBERO, range(3), {0: 4, 1: 2, 2: 6})
    write(folder / "libero.hdf5", libero, attributes=False)
    expect("libero.hdf5", libero, keys=sorted(LIBERO))
    sparse = {k: {key: value for key, value in arrays.items() if key != "rewards" or k} for k, arrays in libero.items()}
    write(folder / "some_rewards.hdf5", sparse)
    expect("some_rewards.hdf5", sparse, keys=sorted(LIBERO), rewards=False)
    cubes = {k: {**arrays, "obs/corners": rng.normal(size=(len(arrays["actions"]), 4, 3)).astype("f4")}
             for k, arrays in libero.items()}
    write(folder / "cubes.hdf5", cubes, then=lambda f: f.create_group("data/notes"))
    expect("cubes.hdf5", cubes, keys=["corners"], state=["corners"])


def write_broken(folder):
    def broke(name, says, made=None, masks=None, then=None, **selection):
        write(folder / f"broken_{name}.hdf5", made or episodes(), masks, then=then)
        broken[f"broken_{name}.hdf5"] = dict(selection, says=says)

    def without(prefix, of=NUMBERS):
        return {k: {key: value for key, value in arrays.items() if k not in of or not key.startswith(prefix)}
                for k, arrays in episodes().items()}

    def replaced(key, value, k=7):
        made = episodes()
        made[k][key] = value
        return made

    broke("raw", ["without observations", "raw recording", "dataset_states_to_obs"], without("obs/"))
    broke("filter", ["--filter-key trian", "the filter keys train, valid"], masks=dict(train=[0], valid=[2]), filter="trian")
    broke("no_filters", ["--filter-key train", "without filter keys"], filter="train")
    broke("strange_filter", ["/mask/odd", "demo_7"], filter="odd",
          then=lambda f: f.create_dataset("mask/odd", data=np.array([b"episode_1"])))
    broke("key", ["missing key", "obs", "robot0_eef_pos, "], state=["robot0_eef_poss"])
    broke("frames_only", ["no observations but frames", "agentview_image"], then=lambda f: [
        f[f"data/demo_{k}/obs"].pop(key) for k in NUMBERS for key in KEYS])
    broke("missing_later", ["demo_7", "object", "same keys in all"], without("obs/object", [7]))
    broke("width", ["demo_7", "another width", "19 dimensions"], replaced("obs/object", rng.normal(size=(9, 11))))
    broke("length", ["demo_7", "8 steps"], replaced("actions", rng.uniform(-1, 1, size=(8, 7))))
    broke("steps", ["demo_7", "different numbers of steps", "robot0_eef_pos"],
          replaced("obs/robot0_eef_pos", rng.normal(size=(8, 3))))
    broke("text", ["demo_7", "/object", "text"], replaced("obs/object", np.array([b"x"] * 9)))
    broke("rewards", ["demo_7", "rewards", "8 steps"], replaced("rewards", np.zeros(8)))
    broke("no_action", ["missing key", "actions"], without("actions"))
    broke("episodes", ["no episode is selected", "4 episodes, from 0 to 10"], episodes=[3, 6])


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    write_good(folder)
    write_broken(folder)
    (folder / "manifest.json").write_text(json.dumps(dict(good=good, broken=broken)))
