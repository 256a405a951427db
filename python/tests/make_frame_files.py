"""Recordings of frames in every form that is read, and broken ones, with what they should give.

    python python/tests/make_frame_files.py FOLDER
Writes FOLDER/manifest.json: for each good file, its frames (as bytes, row by row), actions, ends and rewards; for each broken
one, words of its error.
"""

import json
import shutil
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from PIL import Image

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
N, H, W = 30, 8, 8


def picture(height, width, phase):
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 3 + phase), np.cos(y / 2 - phase), np.sin((x + y) / 4 + 2 * phase)]
    return ((np.stack(waves, -1) + 1) * 110 + 17).astype(np.uint8)


frames = np.stack([picture(H, W, i / 3) for i in range(N)])
wide = np.stack([picture(6, 10, i / 3) for i in range(N)])
actions = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
rewards = rng.uniform(0, 1, N).astype(np.float32)
ends = [7, 20, N]
timeouts = np.zeros(N, bool)
timeouts[[6, 19]] = True
good, broken = {}, {}


def expect(name, images=frames, acts=actions, stops=ends, rews=rewards, **more):
    good[name] = {
        "size": list(images.shape[1:3]),
        "frames": images.reshape(-1).tolist(),
        "actions": np.asarray(acts, np.float32).flatten().tolist(),
        "ends": list(stops),
        "rewards": None if rews is None else np.asarray(rews, np.float32).tolist(),
        **more,
    }


def hdf5(name, observations, acts=actions, **how):
    with h5py.File(folder / name, "w") as f:
        f.create_dataset("observations", data=observations, **how)
        f["actions"], f["rewards"], f["timeouts"], f["terminals"] = acts, rewards, timeouts, np.zeros(N, bool)


def npz(name, save=np.savez, **arrays):
    save(folder / name, **{"actions": actions, "episode_ends": np.array(ends), "rewards": rewards, **arrays})


unit = frames.astype(np.float32) / np.float32(255)
# D4RL's CARLA: flat rows of floats from 0 to 1, compressed in chunks that divide rows and columns.
hdf5("carla.hdf5", unit.reshape(N, -1), chunks=(7, 50), compression="gzip")
expect("carla.hdf5")
hdf5("bytes.hdf5", frames)
expect("bytes.hdf5")
hdf5("doubles.hdf5", frames.astype(np.float64), chunks=(4, 8, 8, 3))
expect("doubles.hdf5")
for name, filters in [("lzf", dict(compression="lzf")), ("blosc", hdf5plugin.Blosc("zstd")), ("zstd", hdf5plugin.Zstd())]:
    hdf5(f"{name}.hdf5", frames, chunks=(7, 8, 8, 3), **filters)
    expect(f"{name}.hdf5")
hdf5("halves.hdf5", frames.astype(np.float16))
broken["halves.hdf5"] = ["unsupported type", "16-bit floats", "32 or 64 bits"]
hdf5("planes.hdf5", wide.transpose(0, 3, 1, 2))
expect("planes.hdf5", wide)
# Channels that go together, as those of cameras do.
tinted = (frames.mean(-1, keepdims=True) * [1, 0.9, 0.8]).astype(np.uint8)
hdf5("flat_planes.hdf5", tinted.transpose(0, 3, 1, 2).reshape(N, -1))
expect("flat_planes.hdf5", tinted, options={"layout": "chw"})
hdf5("flat_tinted.hdf5", tinted.reshape(N, -1))
expect("flat_tinted.hdf5", tinted)
broken["flat_planes.hdf5"] = ["channel-first", "--layout chw"]
# Gray rows, bright above and dark below: in either order some neighbors are alike.
sky = np.broadcast_to((200 - 20 * np.arange(H, dtype=np.uint8))[None, :, None, None], (N, H, W, 3))
hdf5("sky.hdf5", sky.reshape(N, -1))
expect("sky.hdf5", sky)
hdf5("flat_sky.hdf5", sky.transpose(0, 3, 1, 2).reshape(N, -1))
broken["flat_sky.hdf5"] = ["--layout chw"]
hdf5("wide.hdf5", wide.reshape(N, -1))
expect("wide.hdf5", wide, options={"size": "6x10"})
broken["wide.hdf5"] = ["180", "--frame-size"]
npz("stored.npz", frames=frames)
expect("stored.npz")
npz("packed.npz", np.savez_compressed, observations=unit)
expect("packed.npz")
dark = unit * (np.arange(N) >= 28)[:, None, None, None] * 255
dark[:28] += np.float32(0.5)
npz("dark.npz", states=dark.astype(np.float32))
hdf5("outside.hdf5", np.where(np.arange(N)[:, None] == 25, -0.1, unit.reshape(N, -1)).astype(np.float32))
broken["outside.hdf5"] = ["frame 25", "0 to 1", "-0.1"]
hdf5("nan.hdf5", np.where(np.arange(N)[:, None] == 3, np.nan, unit.reshape(N, -1)).astype(np.float32))
broken["nan.hdf5"] = ["frame 3", "NaN"]
npz("gray.npz", frames=frames[..., 0])
broken["gray.npz"] = ["not color frames", "[30, 8, 8]"]
npz("whole.npz", frames=frames.astype(np.int64))
broken["whole.npz"] = ["integers", "frames"]
npz("beside.npz", frames=frames, states=np.zeros((N, 3), "f4"), depth=np.zeros(N))
expect("beside.npz", options={"key": "frames"}, says=["not used: states, depth"])
broken["beside.npz"] = ["several arrays of observations", "found: frames, states", "--camera frames", "mcnn learn"]
hdf5("beside.hdf5", frames)
with h5py.File(folder / "beside.hdf5", "a") as f:
    f["states"] = np.zeros((N, 3), "f4")
    f["images"] = wide
expect("beside.hdf5", wide, options={"key": "images"}, says=["not used: observations, states"])
broken["beside.hdf5"] = ["several arrays of observations", "found: images, observations, states"]
outside = actions.copy()
outside[4, 1] = 1.5
with h5py.File(folder / "large_chunks.hdf5", "w") as f:
    f.create_dataset("observations", (N, 100, 100, 3), "u1", maxshape=(None, 100, 100, 3), chunks=(20_000, 100, 100, 3))
    f["actions"], f["timeouts"] = actions, timeouts
broken["large_chunks.hdf5"] = ["observations", "chunks of frames that need more memory", "600000000 bytes", "chunks of fewer steps"]
npz("outside_actions.npz", frames=frames, actions=outside)
npz("states.npz", states=np.zeros((N, 10), "f4"))
broken["states.npz"] = ["not color frames", "mcnn learn"]
npz("short.npz", frames=frames[:-1])
broken["short.npz"] = ["different numbers of steps"]
npz("turned.npz", frames=np.asfortranarray(frames))
broken["turned.npz"] = ["row by row"]


def listed(name, suffix, rows=lambda lines: lines, images=frames, **save):
    to = folder / name
    to.mkdir()
    lines = ["Frame,Steering,Throttle,Episode,Reward"]
    for i, image in enumerate(images):
        Image.fromarray(image).save(to / f"{i:03}.{suffix}", **save)
        episode = "abc"[sum(i >= e for e in ends)]
        lines.append(f'"{i:03}.{suffix}",{actions[i, 0]},{actions[i, 1]},{episode},{rewards[i]}')
    (to / "list.csv").write_text("\n".join(rows(lines)) + "\n")
    return to


listed("pngs", "png")
expect("pngs")
large = np.stack([picture(40, 56, i / 3) for i in range(N)])
listed("jpegs", "jpg", images=large, quality=95, subsampling=0)
decoded = np.stack([np.asarray(Image.open(folder / "jpegs" / f"{i:03}.jpg")) for i in range(N)])
expect("jpegs", decoded, near=3)
# Decoders spread colors of half resolution differently.
listed("half_colors", "jpg", images=large)
decoded = np.stack([np.asarray(Image.open(folder / "half_colors" / f"{i:03}.jpg")) for i in range(N)])
expect("half_colors", decoded, near=12)
to = listed("gone", "png")
(to / "004.png").unlink()
broken["gone"] = ["004.png", "1 of 30 rows"]
to = listed("cut", "jpg", images=large)
whole = (to / "005.jpg").read_bytes()
(to / "005.jpg").write_bytes(whole[: len(whole) // 2])
broken["cut"] = ["005.jpg", "whole PNG or JPEG"]
to = listed("cut_png", "png")
whole = (to / "005.png").read_bytes()
(to / "005.png").write_bytes(whole[: len(whole) // 2])
broken["cut_png"] = ["005.png", "whole PNG or JPEG"]
to = listed("text", "png")
(to / "005.png").write_text("not a picture")
broken["text"] = ["005.png", "neither a PNG nor a JPEG"]
listed("unequal", "png", rows=lambda lines: lines[:3] + ["x,1"] + lines[3:])
broken["unequal"] = ["list.csv: row 3", "5: frame"]
listed("word", "png", rows=lambda lines: [line.replace(f"{actions[2, 0]}", "left") for line in lines])
broken["word"] = ["list.csv: row 3, steering", "left"]
listed("headless", "png", rows=lambda lines: lines[1:])
broken["headless"] = ["column names"]
listed("unnamed", "png", rows=lambda lines: [lines[0].replace("Frame", "Thing")] + lines[1:])
broken["unnamed"] = ["names no pictures", "frame"]
(folder / "empty").mkdir()
broken["empty"] = ["no .csv", "driving_log.csv"]
(folder / "store").mkdir()
(folder / "store" / ".zgroup").write_text("{}")
broken["store"] = ["not a replay buffer", "meta/episode_ends"]
listed("commas", "png", rows=lambda lines: [line.replace(",", ";").replace(".", ",").replace(",png", ".png") for line in lines])
expect("commas")
to = listed("cut_list", "png")
text = (to / "list.csv").read_text()
(to / "list.csv").write_text(text[: text.rindex(",", 0, text.rindex(","))])
cut = slice(0, N - 1)
expect("cut_list", frames[cut], actions[cut], [7, 20, N - 1], rewards[cut], says=["list.csv: the last row is incomplete"])
listed("many", "png", rows=lambda lines: lines[:3] + [lines[3].replace(".", ",").replace(",png", ".png")] + lines[4:])
broken["many"] = ["list.csv: row 3", "decimal commas", "semicolons"]
# Sizes change half way.
to = listed("mixed", "png")
Image.fromarray(wide[0]).save(to / "009.png")
# The forms of PNG that cameras do not write, but people do.
to = listed("forms", "png")
Image.fromarray(frames[0]).convert("RGBA").save(to / "000.png")
Image.fromarray(frames[1]).convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(to / "001.png")
Image.fromarray(frames[2][..., 0]).save(to / "002.png")
forms = frames.copy()
forms[1] = np.asarray(Image.open(to / "001.png").convert("RGB"))
forms[2] = frames[2][..., :1]
expect("forms", forms)

# donkeycar's tub, version 2: two catalogs, a deleted record, three sessions.
tub = folder / "tub"
(tub / "images").mkdir(parents=True)
records = []
for i in range(N):
    name = f"{i}_cam_image_array_.png"
    Image.fromarray(frames[i]).save(tub / "images" / name)
    session = "abc"[sum(i >= e for e in ends)]
    record = {"_index": i, "_session_id": session, "_timestamp_ms": i, "cam/image_array": name, "user/mode": "user"}
    records.append({**record, "user/angle": float(actions[i, 1]), "user/throttle": float(actions[i, 0])})
for k, part in enumerate((records[:12], records[12:])):
    (tub / f"catalog_{k}.catalog").write_text("".join(json.dumps(r) + "\n" for r in part))
about = {"paths": ["catalog_0.catalog", "catalog_1.catalog"], "current_index": N, "max_len": 12, "deleted_indexes": [3]}
lines = [["cam/image_array", "user/angle", "user/throttle"], ["image_array", "float", "float"], {}, {"created_at": 0}, about]
(tub / "manifest.json").write_text("\n".join(map(json.dumps, lines)) + "\n")
keep = np.arange(N) != 3
expect("tub", frames[keep], actions[keep], [6, 19, N - 1], None, says=["not used: user/mode"])


def tub_with(name, last, says):
    """The same with another end of the last catalog."""
    to = folder / name
    shutil.copytree(tub, to)
    catalog = to / "catalog_1.catalog"
    catalog.write_bytes(last(catalog.read_bytes()))
    expect(name, frames[keep][:-1], actions[keep][:-1], [6, 19, N - 2], None, says=says)


skipped = ["catalog_1.catalog: the last record is incomplete"]
tub_with("half_a_record", lambda text: text[:-40], skipped)
tub_with("zeros", lambda text: text[:-40] + bytes(64), skipped)
tub_with("half_a_letter", lambda text: text[:-40] + b"\xc3", skipped)
shutil.copytree(tub, folder / "cut_inside")
catalog = folder / "cut_inside" / "catalog_0.catalog"
catalog.write_text(catalog.read_text().replace('"user/angle"', '"user/an\n"', 1))
broken["cut_inside"] = ["catalog_0.catalog", "line 1", "repair that line, or remove it"]
bad = folder / "bad_tub"
bad.mkdir()
(bad / "manifest.json").write_text("[]\n")
broken["bad_tub"] = ["manifest.json", "fewer than five lines"]

# Udacity's log: no names, paths of a Windows machine.
udacity = folder / "udacity"
(udacity / "IMG").mkdir(parents=True)
lines = []
for i in range(N):
    Image.fromarray(frames[i]).save(udacity / "IMG" / f"center_{i}.png")
    paths = [f"C:\\Users\\x\\IMG\\{side}_{i}.png" for side in ("center", "left", "right")]
    throttle, brake = max(actions[i, 0], 0), max(-actions[i, 0], 0)
    lines.append(", ".join(paths + [str(v) for v in (actions[i, 1], throttle, brake, 9.0)]))
(udacity / "driving_log.csv").write_text("\n".join(lines))
expect("udacity", frames, actions, [N], None)


def udacity_with(name, separator, comma=".", side=False):
    """The same with another separator and decimal comma, and the side cameras' pictures."""
    to = folder / name
    shutil.copytree(udacity / "IMG", to / "IMG")
    lines = []
    for i in range(N):
        paths = [f"/home/x/IMG/{side}_{i}.png" for side in ("center", "left", "right")]
        throttle, brake = max(actions[i, 0], 0), max(-actions[i, 0], 0)
        values = [f"{v:.7G}".replace(".", comma) for v in (actions[i, 1], throttle, brake, 9.5 + i)]
        lines.append(separator.join(paths + values))
        if side:
            for which in ("left", "right"):
                Image.fromarray(frames[i]).save(to / "IMG" / f"{which}_{i}.png")
    (to / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return to


udacity_with("udacity_semicolons", ";", ",")
expect("udacity_semicolons", frames, actions, [N], None)
udacity_with("udacity_commas", ",", ",")
expect("udacity_commas", frames, actions, [N], None)
Image.fromarray(frames[0]).save(udacity_with("udacity_sides", ",", side=True) / "IMG" / "other.png")
expect("udacity_sides", frames, actions, [N], None, says=[f"left and the right camera, {2 * N} pictures", "1 pictures beside"])
to = udacity_with("udacity_doubt", ",", ",") / "driving_log.csv"
to.write_text("c.png,l.png,r.png,0,1,0,1,3,5\n" + to.read_text())
broken["udacity_doubt"] = ["driving_log.csv: row 1", "decimal commas", "semicolons"]
(folder / "manifest.json").write_text(json.dumps({"good": good, "broken": broken}))
