"""Recordings of robots with cameras, each written by the format's own library, and broken ones, with what they should give.

    python python/tests/make_camera_files.py FOLDER
LeRobot's layout is written with pyarrow and PyAV, as LeRobot itself does, with its settings of the encoders and its way to join the
videos of episodes. Writes FOLDER/manifest.json: for each good recording its options, actions, ends, states and the file of its frames,
camera by camera, as another decoder (PyAV, Pillow, numpy) gives them; for each broken one words of its error.
"""

import io
import json
import shutil
import sys
from pathlib import Path

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from PIL import Image

folder = Path(sys.argv[1]).resolve()
rng = np.random.default_rng(0)
LENGTHS = [7, 12, 5]
ENDS = np.cumsum(LENGTHS).tolist()
N, FPS = ENDS[-1], 30
STATES = rng.standard_normal((N, 3)).astype(np.float32)
ACTIONS = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
good, broken = {}, {}


def film(height, width, speed):
    """Frames in which soft colors move; each differs from the others."""
    y, x = np.mgrid[:height, :width]
    waves = lambda p: [np.sin(x / 9 + p), np.cos(y / 7 - p), np.sin((x + y) / 11 + 2 * p)]
    return np.stack([((np.stack(waves(speed * i), -1) + 1) * 110 + 17).astype(np.uint8) for i in range(N)])


TOP, WRIST = film(48, 64, 0.4), film(32, 32, 0.7)


def expect(name, cameras, near=0, state=None, episodes=None, kept=None, says=(), **options):
    """`kept`: the steps that are read. `cameras`: the frames by the names of the cameras in order."""
    kept = list(range(N)) if kept is None else kept
    ends = [k + 1 for k, i in enumerate(kept) if i + 1 in ENDS]
    file = f"{sum(map(len, good.values()))}.frames"
    frames = [images[kept] if len(images) == N else images for images in cameras.values()]
    (folder / file).write_bytes(b"".join(np.ascontiguousarray(f).tobytes() for f in frames))
    good.setdefault(name, []).append(
        {
            "cameras": list(cameras),
            "sizes": [list(f.shape[1:3]) for f in frames],
            "file": file,
            "near": near,
            "actions": ACTIONS[kept].flatten().tolist(),
            "ends": ends,
            "states": None if state is None else np.asarray(state)[kept].flatten().tolist(),
            "episodes": episodes,
            "says": list(says),
            "options": options,
        }
    )


# zarr, versions 2 and 3.
def replay(name, version, frames, chunks, store=None, more=(), **how):
    group = zarr.open_group(store or folder / name, mode="w", zarr_format=version)
    put = lambda key, values, **how: group.create_array(key, data=np.asarray(values), **how)
    for key, values in frames.items():
        put(f"data/{key}", values, chunks=(chunks, *values.shape[1:]), **how)
    put("data/state", STATES)
    put("data/action", ACTIONS)
    for key, values in more:
        put(key, values)
    put("meta/episode_ends", np.array(ENDS))


both = {"img": TOP, "wrist": WRIST}
for version in (2, 3):
    replay(f"v{version}.zarr", version, both, 5)
    expect(f"v{version}.zarr", both, state=STATES)
    expect(f"v{version}.zarr", {"wrist": WRIST}, asked=["wrist"])
    second = list(range(ENDS[0], ENDS[1]))
    expect(f"v{version}.zarr", {"wrist": WRIST, "img": TOP}, asked=["wrist", "img"], kept=second, episodes=[1, 1])
replay("floats.zarr", 2, {"img": TOP.astype(np.float32)}, 1)
expect("floats.zarr", {"img": TOP})
replay("unit.zarr", 3, {"img": (TOP / 255).astype(np.float64)}, 100)
expect("unit.zarr", {"img": TOP}, near=1)
replay("planes.zarr", 3, {"img": TOP.transpose(0, 3, 1, 2)}, 4)
expect("planes.zarr", {"img": TOP})
group = zarr.open_group(folder / "split.zarr", mode="w", zarr_format=2)
group.create_array("data/img", data=TOP, chunks=(3, 17, 20, 2))
group.create_array("data/action", data=ACTIONS)
group.create_array("meta/episode_ends", data=np.array(ENDS))
expect("split.zarr", {"img": TOP})
with zarr.storage.ZipStore(folder / "packed.zarr.zip", mode="w") as store:
    replay("packed.zarr.zip", 2, both, 5, store=store)
expect("packed.zarr.zip", both)
replay("no_frames.zarr", 2, {}, 1)
broken["no_frames.zarr"] = ["without camera frames", "state"]
replay("more_frames.zarr", 2, {"img": np.concatenate([TOP, TOP[:1]])}, 5)
broken["more_frames.zarr"] = ["data/img", "different numbers of steps", "24 frames", "25"]
replay("jpegxl.zarr", 2, {"img": TOP}, 5)
about = folder / "jpegxl.zarr/data/img/.zarray"
text = json.loads(about.read_text())
about.write_text(json.dumps(text | {"compressor": {"id": "imagecodecs_jpegxl", "level": 99}}))
broken["jpegxl.zarr"] = ["data/img", "imagecodecs_jpegxl"]
replay("damaged.zarr", 2, {"img": TOP}, 5)
(folder / "damaged.zarr/data/img/2.0.0.0").write_bytes(b"\x02\x01\x01\x01no chunk")
broken["damaged.zarr"] = ["data/img/2.0.0.0", "cannot be read"]


# robomimic.
def robomimic(name, change=lambda demo, k: None):
    with h5py.File(folder / name, "w") as f:
        for k, (start, stop) in enumerate(zip([0, *ENDS], ENDS)):
            demo = f.create_group(f"data/demo_{2 * k}")
            demo["actions"] = ACTIONS[start:stop].astype(np.float64)
            demo["obs/object"] = STATES[start:stop].astype(np.float64)
            demo.create_dataset("obs/agentview_image", data=TOP[start:stop], chunks=(3, 20, 20, 2), compression="gzip")
            demo["obs/robot0_eye_in_hand_image"] = WRIST[start:stop]
            demo["obs/depth"] = np.zeros((stop - start, 48, 64, 1), np.float32)
            change(demo, k)


views = {"agentview_image": TOP, "robot0_eye_in_hand_image": WRIST}
robomimic("image.hdf5")
expect("image.hdf5", views, state=STATES)
expect("image.hdf5", {"agentview_image": TOP}, asked=["obs/agentview_image"], kept=list(range(7)) + list(range(19, 24)), episodes=[0, 0, 4, 4])


def lose(demo, k):
    if k == 1:
        del demo["obs/agentview_image"]


def cut(demo, k):
    if k == 2:
        del demo["obs/agentview_image"]
        demo["obs/agentview_image"] = TOP[:3]


robomimic("lost.hdf5", lose)
broken["lost.hdf5"] = ["demo_2/obs/agentview_image", "missing key"]
robomimic("cut.hdf5", cut)
broken["cut.hdf5"] = ["demo_4/obs/agentview_image", "[5, 48, 64, 3]", "[3, 48, 64, 3]"]


# LeRobot.
CODECS = {
    "av1": ("libsvtav1", {"g": "2", "crf": "30", "preset": "12"}),
    "h264": ("libx264", {"g": "2", "crf": "23"}),
    "h264b": ("libx264", {"g": "12", "crf": "18", "bf": "3"}),
    "hevc": ("libx265", {"g": "2", "crf": "23", "x265-params": "log-level=none"}),
}


def encode(path, frames, codec, fps=FPS):
    name, options = CODECS[codec]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream(name, fps, options=options)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", frames.shape[2], frames.shape[1]
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


def join(parts, to):
    """As LeRobot's concatenate_video_files: packets are copied, and nothing is encoded again."""
    listed = to.with_suffix(".ffconcat")
    listed.write_text("ffconcat version 1.0\n" + "".join(f"file '{part}'\n" for part in parts))
    with av.open(str(listed), "r", format="concat", options={"safe": "0"}) as source, av.open(str(to), "w", format="mp4", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.time_base = source.streams.video[0].time_base
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    listed.unlink()


def decode(path):
    with av.open(str(path)) as file:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


def png(image):
    to = io.BytesIO()
    Image.fromarray(image).save(to, "png")
    return to.getvalue()


def lerobot(name, version, videos={}, pictures={}, files=([0, 1], [2]), fps=FPS, encode_pictures=png):
    """`videos`: codec and frames by key. `pictures`: frames by key. `files`: the episodes in each file. Gives the decoded frames."""
    root = folder / name
    (root / "meta").mkdir(parents=True)
    feature = lambda dtype, shape, names=None: {"dtype": dtype, "shape": shape, "names": names}
    features = {
        "observation.state": feature("float32", [3], ["x", "y", "z"]),
        "action": feature("float32", [2], ["x", "y"]),
        "timestamp": feature("float32", [1]),
        **{key: feature("int64", [1]) for key in ("frame_index", "episode_index", "index", "task_index")},
    }
    for key, (codec, frames) in videos.items():
        features[key] = feature("video", list(frames.shape[1:]), ["height", "width", "channels"]) | {"info": {"video.codec": codec}}
    for key, frames in pictures.items():
        features[key] = feature("image", list(frames.shape[1:]), ["height", "width", "channels"])
    features["observation.images.depth"] = feature("video", [48, 64, 1]) | {"info": {"video.is_depth_map": True}}
    info = {"codebase_version": version, "fps": FPS, "features": features, "total_episodes": 3, "total_frames": N, "chunks_size": 1000}
    (root / "meta/info.json").write_text(json.dumps(info))
    bounds = list(zip([0, *ENDS], ENDS))

    def write(path, episodes):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        for k in episodes:
            steps = np.arange(*bounds[k])
            columns = {
                "observation.state": pa.array(STATES[steps].tolist(), pa.list_(pa.float32(), 3)),
                "action": pa.array(ACTIONS[steps].tolist(), pa.list_(pa.float32(), 2)),
                "timestamp": pa.array(((steps - steps[0]) / FPS).astype(np.float32)),
                "frame_index": pa.array(steps - steps[0]),
                "episode_index": pa.array(np.full(len(steps), k)),
                "index": pa.array(steps),
                "task_index": pa.array(np.zeros(len(steps), np.int64)),
            }
            for key, frames in pictures.items():
                values = [{"bytes": encode_pictures(frames[i]), "path": f"{i}.png"} for i in steps]
                columns[key] = pa.array(values, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        writer.close()

    decoded = {key: [None] * N for key in videos}
    rows = [{"episode_index": k, "tasks": ["move"], "length": LENGTHS[k]} for k in range(3)]

    def pick(key, path, k, start):
        there = decode(path)
        for i in range(*bounds[k]):
            time = start + (i - bounds[k][0]) / FPS
            decoded[key][i] = min(there, key=lambda frame: abs(frame[0] - time))[1]

    if version == "v2.1":
        for k in range(3):
            write(root / f"data/chunk-000/episode_{k:06d}.parquet", [k])
            for key, (codec, frames) in videos.items():
                path = root / f"videos/chunk-000/{key}/episode_{k:06d}.mp4"
                encode(path, frames[slice(*bounds[k])], codec, fps)
                pick(key, path, k, 0)
        (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {key: np.stack(frames) for key, frames in decoded.items()}
    for number, episodes in enumerate(files):
        write(root / f"data/chunk-000/file-{number:03d}.parquet", episodes)
        for k in episodes:
            rows[k] |= {"data/chunk_index": 0, "data/file_index": number}
        for key, (codec, frames) in videos.items():
            path = root / f"videos/{key}/chunk-000/file-{number:03d}.mp4"
            parts = [path.with_name(f"part-{k}.mp4") for k in episodes]
            for k, part in zip(episodes, parts):
                encode(part, frames[slice(*bounds[k])], codec, fps)
            join(parts, path)
            start = 0.0
            for k, part in zip(episodes, parts):
                part.unlink()
                at = {"chunk_index": 0, "file_index": number, "from_timestamp": start, "to_timestamp": start + LENGTHS[k] / FPS}
                rows[k] |= {f"videos/{key}/{name}": value for name, value in at.items()}
                pick(key, path, k, start)
                start += LENGTHS[k] / FPS
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return {key: np.stack(frames) for key, frames in decoded.items()}


TOP_KEY, WRIST_KEY = "observation.images.top", "observation.images.wrist"
# Pictures: PNG without loss, and JPEG.
for version in ("v3.0", "v2.1"):
    lerobot(f"pictures-{version}", version, pictures={TOP_KEY: TOP, WRIST_KEY: WRIST})
    expect(f"pictures-{version}", {TOP_KEY: TOP, WRIST_KEY: WRIST}, state=STATES)
    expect(f"pictures-{version}", {WRIST_KEY: WRIST}, asked=[WRIST_KEY], kept=list(range(*ENDS[:2])), episodes=[1, 1])


def jpeg(image):
    to = io.BytesIO()
    Image.fromarray(image).save(to, "jpeg", quality=95)
    return to.getvalue()


lerobot("jpegs", "v3.0", pictures={TOP_KEY: TOP}, encode_pictures=jpeg)
expect("jpegs", {TOP_KEY: np.stack([np.asarray(Image.open(io.BytesIO(jpeg(f)))) for f in TOP])}, near=12)
lerobot("cut_picture", "v3.0", pictures={TOP_KEY: TOP}, encode_pictures=lambda f: png(f)[:-60])
broken["cut_picture"] = [TOP_KEY, "step 0", "whole PNG or JPEG"]
sizes = iter(range(N))
lerobot("sizes", "v2.1", pictures={TOP_KEY: TOP}, encode_pictures=lambda f: png(f[: 40 if next(sizes) == 9 else 48]))
broken["sizes"] = [TOP_KEY, "step 9", "40 x 64", "48 x 64"]
# Videos: one camera of each codec, then two together.
for codec in CODECS:
    name = f"video-{codec}"
    frames = lerobot(name, "v3.0", {TOP_KEY: (codec, TOP)})
    expect(name, frames, near=2, state=STATES)
frames = lerobot("two", "v3.0", {TOP_KEY: ("av1", TOP), WRIST_KEY: ("h264b", WRIST)}, files=([0], [2, 1]))
expect("two", frames, near=2)
expect("two", {WRIST_KEY: frames[WRIST_KEY]}, near=2, asked=[WRIST_KEY], kept=list(range(*ENDS[:2])), episodes=[1, 1])
frames = lerobot("old", "v2.1", {TOP_KEY: ("h264b", TOP), WRIST_KEY: ("av1", WRIST)})
expect("old", frames, near=2, state=STATES)
# A video may have more frames than there are steps.
frames = lerobot("mixed", "v3.0", {TOP_KEY: ("h264", TOP)}, pictures={WRIST_KEY: WRIST})
expect("mixed", {**frames, WRIST_KEY: WRIST}, near=2)

FILE = "videos/observation.images.top/chunk-000/file-000.mp4"
VIDEO = f"two/{FILE}"


def damaged(name, change):
    shutil.copytree(folder / "two", folder / name)
    change(folder / name / FILE)


damaged("missing_video", Path.unlink)
broken["missing_video"] = ["a video that is missing", FILE, "episode 0"]
damaged("text_video", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))
broken["text_video"] = [FILE, "cannot be read", "episode 0"]
damaged("empty_video", lambda path: path.write_bytes(b""))
broken["empty_video"] = [FILE, "the file was cut"]
damaged("half_video", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]))
broken["half_video"] = [FILE, "cut"]
# The first half of the frames alone, in a whole file.
damaged("short_video", lambda path: encode(path, TOP[:4], "h264"))
broken["short_video"] = [FILE, "shorter than its episode", "7 steps", "4 frames"]
damaged("slow_video", lambda path: encode(path, TOP, "h264", 10))
broken["slow_video"] = [FILE, "different rates", "30.000", "10.000"]
damaged("other_size", lambda path: encode(path, TOP[:, :32], "h264"))
broken["other_size"] = ["different sizes", "[32, 64]"]


def noise(path):
    """Tables that are whole, and frames that are not."""
    bytes = bytearray(path.read_bytes())
    at = bytes.index(b"mdat")
    bytes[at + 4 :] = rng.integers(256, size=len(bytes) - at - 4, dtype=np.uint8).tobytes()
    path.write_bytes(bytes)


damaged("noise", noise)
broken["noise"] = [FILE, "step 0", "ffmpeg"]
shutil.copytree(folder / "two", folder / "unfinished_video")
path = folder / "unfinished_video/meta/episodes/chunk-000/file-000.parquet"
rows = pq.read_table(path).to_pylist()
rows[2] |= {f"videos/{TOP_KEY}/{key}": None for key in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")}
pq.write_table(pa.Table.from_pylist(rows), path)
broken["unfinished_video"] = ["meta/episodes/chunk-000/file-000.parquet", TOP_KEY, "missing", "not encoded"]
(folder / "manifest.json").write_text(json.dumps({"good": good, "broken": broken}))
