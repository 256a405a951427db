"""Replay buffers as zarr-python writes them, for tests of the Rust reader.

    make_zarr_files.py FOLDER           writes stores and manifest.json: of a good store what is in it, of a broken one
                                        what the error must say
    make_zarr_files.py --values STORE KEY...
                                        writes the values of data/KEY side by side to standard output, as 32-bit floats,
                                        behind the number of columns as a 64-bit integer
"""

import json
import pathlib
import shutil
import sys
import zipfile

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

N = 403
ENDS = [150, 151, N]
rng = np.random.default_rng(11)
# Repetitive, so that all codecs have something to do.
STATE = np.cumsum(rng.integers(-2, 3, size=(N, 5)), 0).astype("f4") / 8
ACTION = rng.integers(-8, 9, size=(N, 2)).astype("f4") / 8
KEYPOINT = np.cumsum(rng.integers(-2, 3, size=(N, 9, 2)), 0).astype("f4") / 4
REWARD = (np.arange(N) % 7).astype("f4")

good, broken = {}, {}


def buffer(path, arrays, zarr_format=2, names=("state", "action"), **options):
    """Writes the arrays KEY: values, or KEY: (values, options of its own), and where episodes end."""
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for key, value in arrays.items():
        value, own = value if isinstance(value, tuple) else (value, {})
        settings = {"chunks": (97, *value.shape[1:]), **options, **own}
        made = root.create_array(f"data/{key}", shape=value.shape, dtype=value.dtype, **settings)
        made[...] = value
    root.create_array("meta/episode_ends", data=np.array(ENDS))
    return root


def expect(name, states=STATE, actions=ACTION, rewards=None, state=(), ends=ENDS):
    flat = lambda a: np.asarray(a).reshape(len(a), -1).astype("f4")
    good[name] = dict(
        state=list(state),
        n_obs=flat(states).shape[1],
        n_act=flat(actions).shape[1],
        states=flat(states).ravel().tolist(),
        actions=flat(actions).ravel().tolist(),
        rewards=None if rewards is None else flat(rewards).ravel().tolist(),
        ends=list(ends),
    )


def write_good(folder):
    base = dict(state=STATE, action=ACTION)

    def write(name, arrays=base, expected=None, **options):
        buffer(folder / name, arrays, **options)
        expect(name, **(expected or {}))

    for cname in numcodecs.blosc.list_compressors():
        for shuffle in (0, 1, 2):
            write(f"blosc_{cname}_{shuffle}", compressors=numcodecs.Blosc(cname, 5, shuffle))
    for compressor in (numcodecs.Zlib(5), numcodecs.GZip(5), numcodecs.Zstd(3), numcodecs.LZ4(), numcodecs.BZ2(5)):
        write(f"v2_{compressor.codec_id}", compressors=compressor)
    write("v2_plain", compressors=None)
    write("v2_default")
    write("v2_fortran", order="F", chunks=(50, 2))
    write("v2_nested", chunk_key_encoding={"name": "v2", "separator": "/"}, chunks=(50, 2))
    write("v2_large_chunk", chunks=(1000, 9))
    write("v2_single", chunks=(20, 1), compressors=None)

    write("v3_default", zarr_format=3)
    write("v3_plain", zarr_format=3, compressors=None)
    write("v3_gzip", zarr_format=3, compressors=GzipCodec(level=5))
    write("v3_zstd", zarr_format=3, compressors=ZstdCodec(level=3, checksum=True))
    write("v3_checksum", zarr_format=3, compressors=(ZstdCodec(level=3), Crc32cCodec()))
    write("v3_checksum_inside", zarr_format=3, compressors=(Crc32cCodec(), GzipCodec()))
    write("v3_big_endian", zarr_format=3, serializer=BytesCodec(endian="big"))
    write("v3_transposed", zarr_format=3, filters=(TransposeCodec(order=(1, 0)),), chunks=(50, 2))
    write("v3_keys_of_v2", zarr_format=3, chunk_key_encoding={"name": "v2", "separator": "."})
    write("v3_keys_with_dots", zarr_format=3, chunk_key_encoding={"name": "default", "separator": "."})
    for cname in ("lz4", "zstd", "blosclz", "zlib"):
        for shuffle in ("noshuffle", "shuffle", "bitshuffle"):
            write(f"v3_blosc_{cname}_{shuffle}", zarr_format=3, compressors=BloscCodec(cname=cname, shuffle=shuffle))

    for kind in ("f2", "f8", "i1", "i2", "i4", "i8", "?", "u1", "u2", "u4", "u8", ">f4", ">f8", ">i2", ">u8"):
        values = (STATE * 8 % 50).astype(kind)
        for zarr_format in (2, 3):
            if zarr_format == 2 or kind[0] != ">":
                name = f"type_{kind.replace('>', 'big_').replace('?', 'bool')}_{zarr_format}"
                write(name, dict(obs=values, actions=ACTION), dict(states=values), zarr_format=zarr_format)

    more = dict(base, keypoint=KEYPOINT, reward=REWARD, n_contacts=STATE[:, :1],
                img=(rng.integers(0, 256, (N, 8, 8, 3)).astype("u1"), dict(chunks=(100, 8, 8, 3))))
    both = np.concatenate([KEYPOINT.reshape(N, 18), STATE[:, :2]], 1)
    for zarr_format in (2, 3):
        write(f"keys_{zarr_format}", more, dict(rewards=REWARD, states=both, state=["keypoint", "state:0-1"]),
              zarr_format=zarr_format)
        cube = dict(base, state=(KEYPOINT, dict(chunks=(100, 4, 2), **(dict(order="F") if zarr_format == 2 else dict(
            filters=(TransposeCodec(order=(1, 2, 0)),))))))
        write(f"cube_{zarr_format}", cube, dict(states=KEYPOINT), zarr_format=zarr_format)
        # Chunks of zeros are not stored.
        sparse = np.where(np.arange(N)[:, None] < 200, 0, STATE)
        write(f"sparse_{zarr_format}", dict(base, state=sparse), dict(states=sparse), zarr_format=zarr_format)
        holes = np.where(np.arange(N)[:, None] < 194, 2.5, STATE).astype("f4")
        write(f"fill_{zarr_format}", dict(base, state=(holes, dict(fill_value=2.5))), dict(states=holes),
              zarr_format=zarr_format)
        assert not [p for p in (folder / f"fill_{zarr_format}/data/state").rglob("*") if p.name.startswith("1.0")]

    # An array that is not read beside those that are.
    root = buffer(folder / "others", dict(base, odd=STATE))
    path = folder / "others/data/odd/.zarray"
    path.write_text(path.read_text().replace('"filters": null', '"filters": [{"id": "imagecodecs_jpegxl"}]'))
    root.create_array("data/words", data=np.array(["a", "b"] * N, dtype="U3"))
    expect("others")

    for zarr_format in (2, 3):
        for inside in ("", "replay/"):
            name = f"zip_{zarr_format}{inside.strip('/')}.zarr.zip"
            buffer(folder / "unpacked", base, zarr_format=zarr_format)
            method = zipfile.ZIP_DEFLATED if inside else zipfile.ZIP_STORED
            with zipfile.ZipFile(folder / name, "w", method) as z:
                for path in sorted((folder / "unpacked").rglob("*")):
                    if path.is_file():
                        z.write(path, inside + str(path.relative_to(folder / "unpacked")))
            shutil.rmtree(folder / "unpacked")
            expect(name)


def write_broken(folder):
    base = dict(state=STATE, action=ACTION)

    def write(name, says, arrays=base, then=None, state=(), **options):
        root = buffer(folder / f"broken_{name}", arrays, **options)
        if then:
            then(folder / f"broken_{name}", root)
        broken[f"broken_{name}"] = dict(state=list(state), says=says)

    def replaced(file, old, new):
        def change(path, _):
            text = (path / file).read_text()
            assert old in text, text
            (path / file).write_text(text.replace(old, new))
        return change

    def delete(key):
        return lambda path, _: shutil.rmtree(path / key)

    write("no_ends", ["not a replay buffer", "state (403, 5)"], then=delete("meta"))
    write("no_state", ["the state by its name", "pose (403, 5)", "--state"], dict(pose=STATE, action=ACTION))
    write("no_action", ["the action by its name", "--action"], dict(state=STATE))
    write("missing_key", ["missing key", "action (403, 2)"], state=["action_"])
    write("filter", ["data/state", "the filters delta"],
          dict(base, state=(STATE, dict(filters=numcodecs.Delta("f4"), compressors=None))))
    write("codec", ["data/state", "imagecodecs_jpegxl"],
          then=replaced("data/state/.zarray", '"blosc"', '"imagecodecs_jpegxl"'))
    write("sharded", ["data/state", "sharding_indexed"], zarr_format=3, chunks=(10, 5), shards=(100, 5),
          arrays=dict(state=STATE, action=(ACTION, dict(chunks=(10, 2), shards=(100, 2)))))
    write("frames", ["another shape", "data/img", "not pixels", "mcnn embed"], state=["img"],
          arrays=dict(base, img=np.zeros((N, 8, 8, 3), "u1")))
    write("short_actions", ["actions and states have different numbers of steps"], dict(base, action=ACTION[:-1]))
    write("long", ["close at the last step"], dict(state=STATE.repeat(2, 0), action=ACTION.repeat(2, 0)))
    write("cut", ["data/state/1.0"], then=lambda path, _: (path / "data/state/1.0").write_bytes(
        (path / "data/state/1.0").read_bytes()[:-5]))
    write("checksum", ["data/state/c/0/0", "checksum"], zarr_format=3, compressors=Crc32cCodec(),
          then=lambda path, _: (path / "data/state/c/0/0").write_bytes(
              b"!" + (path / "data/state/c/0/0").read_bytes()[1:]))
    write("enormous", ["data/state", "more memory than it is given"],
          then=replaced("data/state/.zarray", "403", "1099511627776"))
    write("enormous_chunk", ["data/state", "more memory than it is given"],
          then=replaced("data/state/.zarray", "97", "1099511627776"))
    write("no_json", ["data/state", "cannot be read"], then=replaced("data/state/.zarray", "{", "["))
    write("nan_ends", ["integers", "meta/episode_ends"],
          then=replaced("meta/episode_ends/.zarray", "<i8", "<f8"))


if __name__ == "__main__":
    if sys.argv[1] == "--values":
        data = zarr.open_group(sys.argv[2], mode="r")["data"]
        columns = [np.asarray(data[key][...]) for key in sys.argv[3:]]
        table = np.concatenate([c.reshape(len(c), -1).astype("<f4") for c in columns], 1)
        sys.stdout.buffer.write(np.int64(table.shape[1]).tobytes() + np.ascontiguousarray(table).tobytes())
    else:
        folder = pathlib.Path(sys.argv[1])
        write_good(folder)
        write_broken(folder)
        (folder / "manifest.json").write_text(json.dumps(dict(good=good, broken=broken)))
