"""Files of demonstrations as h5py and numpy write them, good and broken, for tests of the Rust readers.

    make_data_files.py FOLDER           writes the files and manifest.json: for a good file its contents, for a
                                        broken one what the error must say
    make_data_files.py --summary FILE   prints what h5py or numpy finds in a file
"""

import hashlib
import io
import json
import pathlib
import pickle
import sys
import zipfile

import h5py
import hdf5plugin
import numpy as np

N, OBS, ACT = 12, 3, 2
ENDS = [4, 5, 12]
rng = np.random.default_rng(7)
STATES = rng.normal(size=(N, OBS)).astype("f4")
ACTIONS = rng.uniform(-1, 1, size=(N, ACT)).astype("f4")
REWARDS = np.arange(N, dtype="f4") - 3
TIMEOUTS = np.zeros(N, bool)
TIMEOUTS[[4 - 1, 12 - 1]] = True
TERMINALS = np.zeros(N, bool)
TERMINALS[5 - 1] = True
MARKS = np.isin(np.arange(N), np.array(ENDS) - 1)
BASE = dict(observations=STATES, actions=ACTIONS, rewards=REWARDS, terminals=TERMINALS, timeouts=TIMEOUTS)
PACKED = dict(compression="gzip", shuffle=True, chunks=True)
NAMES = dict(state_names=["x", "y (m)", "Höhe 🙂"], action_names=["lift", "turn"])

good, broken = {}, {}


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def hdf5(folder, name, options=PACKED, file_options=None, then=None, remove=(), **data):
    """A file of BASE with `data` in its place; a value may be (array, options of its own)."""
    with h5py.File(folder / name, "w", **(file_options or {})) as f:
        for key, value in {**BASE, **data}.items():
            if key in remove:
                continue
            value, own = value if isinstance(value, tuple) else (value, options)
            f.create_dataset(key, data=value, **own)
        if then:
            then(f)
    return name


def expect(name, states=STATES, actions=ACTIONS, rewards=REWARDS, ends=ENDS, state_names=None, action_names=None):
    good[name] = dict(
        state_names=state_names,
        action_names=action_names,
        n_obs=states.shape[1],
        n_act=actions.shape[1],
        states=states.astype("f4").ravel().tolist(),
        actions=actions.astype("f4").ravel().tolist(),
        rewards=None if rewards is None else rewards.astype("f4").ravel().tolist(),
        ends=list(ends),
    )


def good_hdf5(folder):
    def write(name, *, expected=None, **how):
        expect(hdf5(folder, f"good_{name}.hdf5", **how), **(expected or {}))

    column = lambda a: a.reshape(-1, 1)
    raw = dict(timeouts=(TIMEOUTS, {}), terminals=(TERMINALS, {}), rewards=(REWARDS, {}))
    infos = lambda f: f.create_dataset("infos", data=np.arange(N))
    write("packed")
    write("contiguous", options={})
    write("latest", file_options=dict(libver="latest"))
    write("single_chunk", options=dict(compression="gzip", chunks=None), file_options=dict(libver="latest"))
    write("growing", options=dict(chunks=True, maxshape=None), file_options=dict(libver="latest"),
          observations=(STATES, dict(maxshape=(None, OBS), chunks=(5, 2))),
          actions=(ACTIONS, dict(maxshape=(None, None), chunks=(5, 1))), **raw)
    write("edges", observations=(STATES, dict(chunks=(5, 2), compression="gzip", shuffle=True, fletcher32=True)),
          actions=(ACTIONS, dict(chunks=(7, 1))))
    write("user_block", file_options=dict(userblock_size=1024))
    write("doubles", observations=STATES.astype("f8"), actions=ACTIONS.astype("f8"), rewards=REWARDS.astype("f8"))
    write("big_endian", observations=STATES.astype(">f4"), actions=ACTIONS.astype(">f8"),
          timeouts=TIMEOUTS.astype(">i4"))
    write("columns", rewards=column(REWARDS), terminals=column(TERMINALS), timeouts=column(TIMEOUTS))
    write("float_marks", terminals=TERMINALS.astype("f4"), timeouts=TIMEOUTS.astype("f8"))
    write("byte_marks", terminals=TERMINALS.astype("u1"), timeouts=TIMEOUTS.astype("i8"))
    write("whole_rewards", rewards=REWARDS.astype("i2"))
    write("no_rewards", remove=["rewards"], expected=dict(rewards=None))
    write("timeouts_alone", remove=["terminals"], expected=dict(ends=[4, 12]))
    write("terminals_alone", remove=["timeouts"], expected=dict(ends=[5, 12]))
    write("unfinished_tail", timeouts=changed(TIMEOUTS, -1, False))
    write("one_unfinished", timeouts=TIMEOUTS & False, terminals=TERMINALS & False, expected=dict(ends=[N]))
    write("every_step", timeouts=TIMEOUTS | True, expected=dict(ends=range(1, N + 1)))
    write("other_keys", file_options=dict(track_order=True),
          then=lambda f: (f.create_group("infos/qpos"), f.attrs.update(env="door"),
                          f.create_dataset("metadata/algorithm", data=np.bytes_("DAPG"))))
    write("infos_a_dataset", then=infos)
    write("never_written", remove=["rewards"], expected=dict(rewards=REWARDS * 0),
          then=lambda f: f.create_dataset("rewards", (N,), "f4", chunks=(4,)))
    write("linked", remove=["actions"],
          then=lambda f: f.update({"kept/a": ACTIONS, "actions": h5py.SoftLink("/kept/a")}))

    text = {key: (np.array(names, object), dict(dtype=h5py.string_dtype())) for key, names in NAMES.items()}
    of_16 = lambda names: np.array([name.encode() for name in names], h5py.string_dtype(length=16))
    write("names", expected=NAMES, **text)
    write("names_of_one_length", expected=NAMES, **{key: (of_16(names), {}) for key, names in NAMES.items()})
    write("names_packed", expected=NAMES, **{key: (names, {**own, **PACKED}) for key, (names, own) in text.items()})
    ascii = np.array(["lift", "turn"], "S")
    write("names_of_actions", action_names=(ascii, {}), expected=dict(action_names=NAMES["action_names"]))

    # Longer than a block of any codec, and repetitive, so that all of them have something to do.
    long = np.tile(np.cumsum(rng.integers(-3, 4, size=(3000, OBS)), 0).astype("f4") / 8, (2, 1))
    wide = dict(observations=long, actions=np.resize(ACTIONS, (6000, ACT)), rewards=np.resize(REWARDS, 6000),
                timeouts=np.resize(TIMEOUTS, 6000), terminals=np.resize(TERMINALS, 6000))
    ends = (np.flatnonzero(wide["timeouts"] | wide["terminals"]) + 1).tolist()
    told = dict(states=wide["observations"], actions=wide["actions"], rewards=wide["rewards"], ends=ends)
    blosc = lambda codec, shuffle=hdf5plugin.Blosc.SHUFFLE, level=5: hdf5plugin.Blosc(codec, level, shuffle)
    for name, filters in dict(
        lzf=dict(compression="lzf"),
        lzf_shuffled=dict(compression="lzf", shuffle=True, fletcher32=True),
        lz4=hdf5plugin.LZ4(),
        zstd=hdf5plugin.Zstd(),
        zstd_shuffled=dict(hdf5plugin.Zstd(clevel=19), shuffle=True),
        blosc_lz4=blosc("lz4"),
        blosc_lz4hc=blosc("lz4hc"),
        blosc_zstd=blosc("zstd"),
        blosc_zlib=blosc("zlib"),
        blosc_blosclz=blosc("blosclz", level=9),
        blosc_bits=blosc("lz4", hdf5plugin.Blosc.BITSHUFFLE),
        blosc_plain=blosc("blosclz", hdf5plugin.Blosc.NOSHUFFLE, 9),
        blosc_stored=blosc("lz4", level=0),
    ).items():
        write(name, options=dict(filters, chunks=True), **wide, expected=told)
    write("blosc_chunks", options=dict(blosc("zstd"), chunks=(1000, 2)), expected=told, **{
        key: value if key == "observations" else (value, {}) for key, value in wide.items()})
    still = dict(states=np.zeros_like(long), actions=wide["actions"], rewards=wide["rewards"], ends=ends)
    write("zstd_zeros", options=dict(hdf5plugin.Zstd(), chunks=(6000, OBS)), expected=still, **{
        key: long * 0 if key == "observations" else (value, {}) for key, value in wide.items()})

    write("half_floats", observations=STATES.astype("f2"), actions=ACTIONS.astype("f2"), rewards=REWARDS.astype("f2"),
          expected=dict(states=STATES.astype("f2"), actions=ACTIONS.astype("f2")))
    write("big_endian_halves", observations=STATES.astype(">f2"), expected=dict(states=STATES.astype("f2")))
    for kind in ("i1", "i2", ">i4", "i8", "u1", "u2", "u8"):
        numbers = (np.arange(N * OBS).reshape(N, OBS) * 3).astype(kind)
        write(f"whole_{kind.strip('>')}", observations=numbers, actions=(ACTIONS > 0).astype(kind),
              expected=dict(states=numbers, actions=ACTIONS > 0))
    write("truths", actions=ACTIONS > 0, expected=dict(actions=ACTIONS > 0))
    ram = rng.integers(0, 256, size=(N, 128)).astype("u1")
    write("memory_of_a_console", observations=ram, expected=dict(states=ram))

    # What is not asked for may be anything.
    def beside(f):
        virtual_neighbor(f)
        f["raw"] = h5py.ExternalLink("nowhere.hdf5", "/raw")
        f["soft"] = h5py.SoftLink("/nowhere")
        f.create_dataset("images", data=np.zeros((9, 9)), **hdf5plugin.Blosc2())
    write("strange_neighbors", then=beside)
    write("strange_neighbors_of_many", file_options=dict(libver="latest"),
          then=lambda f: (beside(f), [f.create_dataset(f"other_{i}", data=i) for i in range(30)]))

    half = STATES.copy()
    half[5:, 2:] = 2.5  # one chunk of several is not in the file: HDF5 gives it the fill value
    def partly(f):
        d = f.create_dataset("observations", STATES.shape, "f4", chunks=(5, 2), compression="gzip", fillvalue=2.5)
        d[:, :2] = STATES[:, :2]
        d[:5, 2:] = STATES[:5, 2:]
    write("partly_written", remove=["observations"], then=partly, expected=dict(states=half))
    with h5py.File(folder / "good_partly_written.hdf5") as f:
        assert (f["observations"][()] == half).all()


def good_npz(folder):
    def write(name, /, save=np.savez, expected=None, remove=(), **data):
        name = f"good_{name}.npz"
        arrays = {**dict(states=STATES, actions=ACTIONS, episode_ends=np.array(ENDS), rewards=REWARDS), **data}
        save(folder / name, **{k: v for k, v in arrays.items() if k not in remove})
        expect(name, **(expected or {}))

    write("plain")
    write("compressed", save=np.savez_compressed)
    write("doubles", states=STATES.astype("f8"), actions=ACTIONS.astype("f8"))
    write("fortran", states=np.asfortranarray(STATES), actions=np.asfortranarray(ACTIONS.astype("f8")))
    write("big_endian", states=STATES.astype(">f4"), actions=np.asfortranarray(ACTIONS.astype(">f8")),
          episode_ends=np.array(ENDS, ">i4"))
    write("observations", remove=["states"], observations=STATES)
    write("short_ends", episode_ends=np.array(ENDS, "u1"), rewards=REWARDS.reshape(-1, 1))
    write("unsigned_ends", episode_ends=np.array(ENDS, "u8"), rewards=REWARDS.astype("i8"))
    write("no_rewards", remove=["rewards"], expected=dict(rewards=None))
    write("half_floats", states=np.asfortranarray(STATES.astype("f2")), actions=ACTIONS.astype(">f2"),
          expected=dict(states=STATES.astype("f2"), actions=ACTIONS.astype("f2")))
    for kind in ("i1", "u1", "i2", ">i4", "u8"):
        numbers = (np.arange(N * OBS).reshape(N, OBS) * 3).astype(kind)
        write(f"whole_{kind.strip('>')}", states=numbers, actions=ACTIONS > 0,
              expected=dict(states=numbers, actions=ACTIONS > 0))
    write("other_arrays", name=np.array("door"), images=np.zeros((2, 2, 2, 3), "u1"))
    write("names", **NAMES, expected=NAMES)
    write("names_compressed", save=np.savez_compressed, **NAMES, expected=NAMES)
    write("names_big_endian", **{k: np.array(v).astype(">U16") for k, v in NAMES.items()}, expected=NAMES)
    write("names_in_bytes", **{k: np.array([n.encode() for n in v]) for k, v in NAMES.items()}, expected=NAMES)
    write("names_of_actions", action_names=NAMES["action_names"], expected=dict(action_names=NAMES["action_names"]))
    (folder / "good_without_extension").write_bytes((folder / "good_plain.npz").read_bytes())
    expect("good_without_extension")
    (folder / "good_hdf5_called.npz").write_bytes((folder / "good_packed.hdf5").read_bytes())
    expect("good_hdf5_called.npz")


def virtual_neighbor(f):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("good_packed.hdf5", "rewards", (4,))
    f.create_virtual_dataset("depth", layout)


def broken_hdf5(folder):
    def write(name, says, **how):
        broken[hdf5(folder, f"broken_{name}.hdf5", **how)] = says

    grow = lambda a: np.concatenate([a, a[:1]])
    write("no_actions", ["missing key", "/actions", "observations, rewards, terminals, timeouts"], remove=["actions"])
    write("no_keys", ["missing key", "/observations", "a file without keys"], remove=BASE)
    write("raw_robomimic", ["without observations", "robomimic", "dataset_states_to_obs"], remove=BASE,
          then=lambda f: f.create_dataset("data/demo_0/actions", data=ACTIONS))
    write("group", ["missing key", "/observations", "observations/"], remove=["observations"],
          then=lambda f: f.create_dataset("observations/x", data=STATES))
    write("rank_1", ["another shape", "/observations", "(steps, width)", "(12)"], observations=STATES[:, 0])
    write("rank_3", ["another shape", "/actions", "(12, 2, 1)"], actions=ACTIONS[:, :, None])
    write("scalar", ["another shape", "/observations"], observations=(np.float32(1), {}))
    write("wide_marks", ["another shape", "/timeouts", "(12, 2)"], timeouts=np.stack([TIMEOUTS] * 2, 1))
    write("long_actions", ["different numbers of steps", "/actions", "12 steps", "13 steps"], actions=grow(ACTIONS))
    write("long_marks", ["different numbers of steps", "/terminals", "13 steps"], terminals=grow(TERMINALS))
    write("long_rewards", ["different numbers of steps", "/rewards", "13 steps"], rewards=grow(REWARDS))
    def brain_floats(f):
        kind = h5py.h5t.IEEE_F16LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_ebias(127)
        h5py.h5d.create(f.id, b"actions", kind, h5py.h5s.create_simple((N, ACT)))
    write("brain_floats", ["unsupported type", "/actions", "bfloat16"], remove=["actions"], then=brain_floats)
    write("long_doubles", ["unsupported type", "/actions", "128-bit floats"], actions=ACTIONS.astype("g"))
    write("frames", ["unsupported type", "/observations", "mcnn embed"], observations=np.zeros((N, 48), "u1"))
    write("frames_of_rank_4", ["another shape", "/observations", "mcnn embed"], observations=np.zeros((N, 4, 4, 3), "u1"))
    write("text", ["unsupported type", "/observations", "text"], observations=np.full((N, OBS), b"x"))
    write("ragged", ["/observations"], remove=["observations"], then=lambda f: f.create_dataset(
        "observations", (N,), dtype=h5py.vlen_dtype("f4")))
    write("records", ["unsupported type", "/actions", "records"], actions=np.zeros((N, 2), "f4,f4"))
    write("marks_of_2", ["must be 0 or 1", "/timeouts, step 3", "found: 2"], timeouts=TIMEOUTS * 2)
    write("marks_of_nan", ["must be 0 or 1", "/terminals, step 0", "NaN"],
          terminals=changed(TERMINALS.astype("f4"), 0, np.nan))
    write("no_marks", ["the ends of episodes are not marked", "neither key"], remove=["timeouts", "terminals"])
    write("no_end", ["the ends of episodes are not marked", "no mark in terminals, and no timeouts"],
          remove=["timeouts"], terminals=TERMINALS & False)
    write("nan", ["NaN or infinite", "states, step 2, dimension 1"], observations=changed(STATES, (2, 1), np.nan))
    write("overflow", ["beyond the range of 32-bit floats", "/actions, step 1, dimension 0", "found: 1e300; 1 such"],
          actions=changed(ACTIONS.astype("f8"), (1, 0), 1e300))
    write("infinite", ["NaN or infinite", "actions, step 1, dimension 0", "found: -inf; 1 such"],
          actions=changed(ACTIONS.astype("f8"), (1, 0), -np.inf))
    write("repaired", ["no measurements", "states, step 2, dimension 1", "3.4028235e38; 1 such", "nan_to_num"],
          observations=np.nan_to_num(changed(STATES, (2, 1), np.inf)))
    write("outside", ["outside [-1, 1]", "--clip-actions", "1.5"], actions=changed(ACTIONS, (1, 0), 1.5))
    write("no_steps", ["no steps"], options={}, **{k: v[:0] for k, v in BASE.items()})
    write("no_width", ["at least one dimension each"], options={}, observations=STATES[:, :0])
    for name, filters, says in [
        ("blosc2", hdf5plugin.Blosc2(), "Blosc2 (filter 32026)"),
        ("bitshuffle", hdf5plugin.Bitshuffle(), "Bitshuffle (filter 32008)"),
        ("bzip2", hdf5plugin.BZip2(), "bzip2 (filter 307)"),
        ("zfp", hdf5plugin.Zfp(), "ZFP (filter 32013)"),
    ]:
        write(name, ["a compression that is not read", "/actions", says, "hdf5plugin"], actions=(ACTIONS, dict(filters)))
    def virtual(f):
        layout = h5py.VirtualLayout(STATES.shape, "f4")
        layout[:] = h5py.VirtualSource("good_packed.hdf5", "observations", STATES.shape)
        f.create_virtual_dataset("observations", layout)
    write("virtual", ["not in this file", "/observations", "a virtual dataset", "create_dataset"],
          remove=["observations"], then=virtual)
    write("raw_elsewhere", ["not in this file", "/actions", "the file numbers.raw"], remove=["actions"],
          then=lambda f: f.create_dataset("actions", (N, ACT), "f4", external=[("numbers.raw", 0, 96)]))
    write("dangling", ["leads to no dataset", "/actions", "a link to /nowhere"], remove=["actions"],
          then=lambda f: f.update({"actions": h5py.SoftLink("/nowhere")}))
    write("no_actions_among_strange_keys", ["missing key", "raw (in the file nowhere.hdf5)", "depth"],
          remove=["actions"], then=lambda f: (virtual_neighbor(f), f.update({"raw": h5py.ExternalLink("nowhere.hdf5", "/r")})))
    write("enormous", ["more data than it can contain", "/observations"], remove=["observations"],
          then=lambda f: f.create_dataset("observations", (10**9, OBS), "f4", chunks=(10**8, OBS)))
    write("many_chunks", ["more data than it can contain", "/observations"], remove=["observations"],
          then=lambda f: f.create_dataset("observations", (10**6, OBS), "f4", chunks=(1, 1)))
    plain = lambda values: (np.array(values), {})
    write("few_names", ["state_names", "expected: 3 names", "found: 2 names"], state_names=plain([b"x", b"y"]))
    write("equal_names", ["action_names", "occurs twice", '"turn"'], action_names=plain([b"turn", b"turn"]))
    write("numbers_for_names", ["/state_names", "expected: strings", "64-bit integers"], state_names=plain([1, 2, 3]))
    write("one_name", ["/action_names", "(dimensions,)"], action_names=(b"turn", {}))
    write("long_names", ["/action_names, dimension 1", "too long", "9999 bytes"],
          action_names=(np.array(["a", "n" * 9999], object), dict(dtype=h5py.string_dtype())))
    write("elsewhere", ["not in this file", "/observations", "a link to /observations in the file good_packed.hdf5"],
          remove=["observations"],
          then=lambda f: f.update({"observations": h5py.ExternalLink("good_packed.hdf5", "/observations")}))


def broken_npz(folder):
    def write(name, says, remove=(), **data):
        name = f"broken_{name}.npz"
        arrays = {**dict(states=STATES, actions=ACTIONS, episode_ends=np.array(ENDS), rewards=REWARDS), **data}
        np.savez(folder / name, **{k: v for k, v in arrays.items() if k not in remove})
        broken[name] = says

    objects = np.empty(3, object)
    objects[:] = [STATES[:4], STATES[4:5], STATES[5:]]
    write("no_ends", ["missing array", "episode_ends", "states, actions, rewards"], remove=["episode_ends"])
    write("no_states", ["missing array", "states"], remove=["states"])
    write("both_names", ["both states and observations"], observations=STATES)
    write("objects", ["unsupported type", "states", "pickle"], states=objects)
    write("records", ["unsupported type", "states", "records"], states=np.zeros(N, "f4,f4"))
    write("complex", ["unsupported type", "states", "<c16"], states=STATES.astype("c16"))
    write("frames", ["another shape", "states", "mcnn embed"], states=np.zeros((N, 4, 4, 3), "u1"))
    write("flat_frames", ["another shape", "states", "mcnn embed"], states=np.zeros((N, 48), "u1"))
    write("overflow", ["beyond the range of 32-bit floats", "states, step 2, dimension 1", "-1e+200".replace("+", "")],
          states=np.asfortranarray(changed(STATES.astype("f8"), (2, 1), -1e200)))
    write("rank_1", ["another shape", "states", "[12]"], states=STATES[:, 0])
    write("rank_3", ["another shape", "actions", "[12, 2, 1]"], actions=ACTIONS[:, :, None])
    write("scalar_end", ["another shape", "episode_ends"], episode_ends=np.array(12))
    write("long_actions", ["different numbers of steps", "actions", "13 steps"], actions=np.zeros((13, 2), "f4"))
    write("short_rewards", ["different numbers of steps", "rewards", "11 steps"], rewards=REWARDS[1:])
    write("float_ends", ["unsupported type", "episode_ends", "integers"], episode_ends=np.array(ENDS, "f8"))
    write("open_ends", ["close at the last step", "11"], episode_ends=np.array([4, 11]))
    write("falling_ends", ["must increase"], episode_ends=np.array([5, 4, 12]))
    write("negative_ends", ["must increase"], episode_ends=np.array([-1, 12]))
    write("no_episodes", ["must increase"], episode_ends=np.array([], int))
    write("nan", ["NaN or infinite", "states, step 2, dimension 1"], states=changed(STATES, (2, 1), np.nan))
    write("outside", ["outside [-1, 1]", "--clip-actions"], actions=changed(ACTIONS, (1, 0), -1.5))
    write("no_steps", ["no steps"], states=STATES[:0], actions=ACTIONS[:0], rewards=REWARDS[:0])
    write("few_names", ["state_names", "expected: 3 names", "found: 2 names"], state_names=["x", "y"])
    write("equal_names", ["action_names", "occurs twice", '"turn"'], action_names=["turn", "turn"])
    write("empty_name", ["action_names, dimension 1", "an empty name"], action_names=["turn", ""])
    write("long_names", ["state_names, dimension 2", "too long", "99 characters"], state_names=["x", "y", "n" * 99])
    write("one_name", ["another shape", "state_names", "(dimensions,)"], state_names="x")
    write("numbers_for_names", ["state_names", "expected: strings"], state_names=[1, 2, 3])
    write("objects_for_names", ["state_names", "pickle", "dtype=str"], state_names=np.array(["x", "y", "z"], object))
    write("bytes_for_names", ["state_names, element 1", "not text", "UTF-8"], state_names=np.array([b"x", b"\xff", b"z"]))
    write("text_for_rewards", ["unsupported type", "rewards", "text"], rewards=np.full(N, "1"))
    write("no_arrays", ["missing array", "no arrays"], remove=["states", "actions", "episode_ends", "rewards"])

    def header(name, says, text, data=STATES.tobytes()):
        """An npz whose states have this header, true or not."""
        name, plain = f"broken_{name}.npz", io.BytesIO()
        np.savez(plain, actions=ACTIONS, episode_ends=np.array(ENDS))
        with zipfile.ZipFile(plain, "a", zipfile.ZIP_DEFLATED) as z:
            z.writestr("states.npy", b"\x93NUMPY\x02\0" + len(text).to_bytes(4, "little") + text.encode() + data)
        (folder / name).write_bytes(plain.getvalue())
        broken[name] = ["states", *says]

    of = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n"
    header("longer_than_told", ["more bytes"], of % "11, 3")
    header("shorter_than_told", ["fewer bytes"], of % "13, 3")
    header("enormous", ["more memory than it is given", "too large for a file of this size"], of % "1099511627776, 3")
    header("overflowing", ["too large for a file of this size"], of % "9999999999999999999, 9999999999999999999")
    header("odd_shape", ["the header"], of % "-1, 3")
    header("nested", ["the header"], of.replace("(%s)", "[" * 30_000 + "]" * 30_000))
    header("long_header", ["a header of"], of % "12, 3" + " " * 70_000)
    header("bomb", ["more bytes"], of % "12, 3", bytes(50_000_000))


def other(folder):
    def write(name, data, says):
        (folder / name).write_bytes(data)
        broken[name] = ["not a file of demonstrations", *says]

    array = io.BytesIO()
    np.save(array, STATES)
    write("other_array.npy", array.getvalue(), ["one NumPy array"])
    write("other_pickle.pkl", pickle.dumps([1]), ["pickle"])
    write("other_page.hdf5", b"<!DOCTYPE html><title>404</title>", ["web page"])
    write("other_pointer.hdf5", b"version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"])
    write("other_text.npz", b"1,2,3\n", ["HDF5 as of D4RL or robomimic", "text", "numpy.savez"])
    write("other_table.parquet", b"PAR1" + bytes(20) + b"PAR1", ["Parquet", "pandas"])
    write("other_video.mp4", bytes([0, 0, 0, 32]) + b"ftypisom" + bytes(20), ["MP4", "mcnn embed"])
    write("other_bytes.bin", bytes([1, 2, 3, 255]) * 9, ["neither", "numpy.savez"])
    with zipfile.ZipFile(folder / "other_store.zip", "w") as z:
        z.writestr("buffer/.zgroup", "{}")
    broken["other_store.zip"] = ["not a replay buffer", "data/KEY", "episode_ends"]
    (folder / "other_empty.hdf5").write_bytes(b"")
    broken["other_empty.hdf5"] = ["the file is empty"]
    with zipfile.ZipFile(folder / "other_zip.npz", "w") as z:
        z.writestr("readme.txt", "hello")
    broken["other_zip.npz"] = ["missing array"]


def summary(path):
    """Widths, ends and checksums of a file, by h5py or numpy and a loop over the steps."""
    if zipfile.is_zipfile(path):
        with np.load(path) as f:
            data = {k: f[k] for k in f}
        ends = data["episode_ends"].tolist()
    else:
        with h5py.File(path) as f:
            data = dict(states=f["observations"][()], actions=f["actions"][()], rewards=f["rewards"][()])
            data.update({k: f[k][()] for k in NAMES if k in f})
            timeouts, terminals = f["timeouts"][()], f["terminals"][()]
        ends = []
        for i in range(len(timeouts)):
            if timeouts[i] or terminals[i] or i + 1 == len(timeouts):
                ends.append(i + 1)
    digest = lambda a: hashlib.sha256(np.ascontiguousarray(a, "<f4").tobytes()).hexdigest()
    text = lambda names: [n.decode() if isinstance(n, bytes) else str(n) for n in names]
    return dict(
        **{k: text(data[k]) for k in NAMES if k in data},
        n_obs=data["states"].shape[1],
        n_act=data["actions"].shape[1],
        ends=ends,
        mean=data["states"].mean(0, dtype="f8").tolist(),
        std=data["states"].std(0, dtype="f8").tolist(),
        **{k: digest(data[k]) for k in ("states", "actions", "rewards") if k in data},
    )


if __name__ == "__main__":
    if sys.argv[1] == "--summary":
        print(json.dumps(summary(sys.argv[2])))
    else:
        folder = pathlib.Path(sys.argv[1])
        for make in (good_hdf5, good_npz, broken_hdf5, broken_npz, other):
            make(folder)
        (folder / "manifest.json").write_text(json.dumps(dict(good=good, broken=broken)))
