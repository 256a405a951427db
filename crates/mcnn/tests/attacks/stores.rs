//! Attacks on replay buffers in zarr, as folders and zips, and on robomimic's HDF5.

use std::{
    io::{Cursor, Write as _},
    path::Path,
};

use rust_hdf5::H5File;
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Attacks, in_limited_process, random_damage};

/// The files of a store: 20 steps of two episodes, in chunks of 8.
fn store(version: u64) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |path: &str, columns: usize, chunk: usize, values: Vec<Vec<u8>>| {
        let shape = if columns == 0 { vec![2] } else { vec![20, columns] };
        let chunks = if columns == 0 { vec![2] } else { vec![chunk, columns] };
        let (metadata, key) = if version == 2 {
            let dtype = if columns == 0 { "<i8" } else { "<f4" };
            let text = json!({ "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "order": "C",
                "fill_value": 0.0, "compressor": { "id": "zlib" }, "filters": null });
            (text, ".zarray")
        } else {
            let dtype = if columns == 0 { "int64" } else { "float32" };
            let text = json!({ "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype,
                "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": chunks } },
                "chunk_key_encoding": { "name": "default" }, "fill_value": 0.0,
                "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }, { "name": "gzip" }] });
            (text, "zarr.json")
        };
        files.push((format!("{path}/{key}"), metadata.to_string().into_bytes()));
        for (i, chunk) in values.into_iter().enumerate() {
            let rest = if columns == 0 { i.to_string() } else { format!("{i}.0") };
            let key = if version == 2 { rest } else { format!("c/{}", rest.replace('.', "/")) };
            files.push((format!("{path}/{key}"), packed(version, &chunk)));
        }
    };
    let chunk =
        |columns: usize| (0..8 * columns).flat_map(|i| (i as f32 / 100.0).to_le_bytes()).collect::<Vec<u8>>();
    add("data/state", 3, 8, vec![chunk(3); 3]);
    add("data/action", 2, 8, vec![chunk(2); 3]);
    add("meta/episode_ends", 0, 2, vec![[8_i64, 20].iter().flat_map(|v| v.to_le_bytes()).collect()]);
    files.push((if version == 2 { ".zgroup" } else { "zarr.json" }.into(), group(version)));
    files.extend(camera(version));
    files
}

/// The files of a camera's frames, `data/img`.
fn camera(version: u64) -> Vec<(String, Vec<u8>)> {
    let (shape, chunks) = ([20, 4, 4, 3], [8, 4, 4, 3]);
    let (about, name) = if version == 2 {
        let text = json!({ "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "order": "C",
            "fill_value": 0, "compressor": { "id": "zlib" }, "filters": null });
        (text, ".zarray")
    } else {
        let text = json!({ "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8",
            "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": chunks } },
            "chunk_key_encoding": { "name": "default" }, "fill_value": 0, "codecs": [{ "name": "bytes" }, { "name": "gzip" }] });
        (text, "zarr.json")
    };
    let chunk = packed(version, &(0..8 * 48).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
    let key =
        |i: usize| if version == 2 { format!("data/img/{i}.0.0.0") } else { format!("data/img/c/{i}/0/0/0") };
    let mut files: Vec<(String, Vec<u8>)> = (0..3).map(|i| (key(i), chunk.clone())).collect();
    files.push((format!("data/img/{name}"), about.to_string().into_bytes()));
    files
}

fn group(version: u64) -> Vec<u8> {
    json!({ "zarr_format": version, "node_type": "group" }).to_string().into_bytes()
}

/// Bytes compressed by zlib, or for version 3 by gzip.
fn packed(version: u64, bytes: &[u8]) -> Vec<u8> {
    use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
    if version == 2 {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        return encoder.finish().unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(files: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Writes a store as a folder and lets the reader read it.
fn folder(attacks: &mut Attacks, what: &str, files: &[(String, Vec<u8>)]) -> bool {
    let path = attacks.path("hostile.zarr");
    let _ = std::fs::remove_dir_all(&path);
    for (name, bytes) in files {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    attacks.at("demonstrations", what, &path)
}

#[test]
fn zarr_in_a_zip() {
    in_limited_process("stores::zarr_in_a_zip", |attacks| {
        for version in [2, 3] {
            for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
                let whole = zipped(&store(version), method);
                assert!(attacks.file("demonstrations", "good", &whole), "version {version}");
                random_damage(
                    attacks,
                    "demonstrations",
                    &format!("zarr {version} {method}"),
                    &whole,
                    whole.len(),
                );
            }
        }
        // An entry that expands further than a chunk may be, and one of metadata.
        let mut files = store(2);
        files[1].1 = vec![0; 1 << 27];
        attacks.refused("demonstrations", "a chunk of 128 MiB", &zipped(&files, CompressionMethod::Deflated));
        let mut files = store(2);
        files[0].1 = b" ".repeat(1 << 27);
        attacks.refused(
            "demonstrations",
            "metadata of 128 MiB",
            &zipped(&files, CompressionMethod::Deflated),
        );
        for before in ["../", "/", "a/../", "..\\"] {
            let files: Vec<_> =
                store(2).into_iter().map(|(name, bytes)| (format!("{before}{name}"), bytes)).collect();
            attacks.file(
                "demonstrations",
                &format!("names after {before:?}"),
                &zipped(&files, CompressionMethod::Stored),
            );
        }
    });
}

#[test]
fn zarr_in_a_folder() {
    in_limited_process("stores::zarr_in_a_folder", |attacks| {
        let giants = [
            json!(0),
            json!(1),
            json!(1_u64 << 32),
            json!(1_u64 << 61),
            json!(u64::MAX),
            json!(-1),
            json!(1.5),
        ];
        for version in [2_u64, 3] {
            let good = store(version);
            assert!(folder(attacks, "good", &good), "version {version}");
            for i in (0..good.len())
                .filter(|&i| good[i].0.ends_with(".zarray") || good[i].0.ends_with("zarr.json"))
            {
                let text: Value = serde_json::from_slice(&good[i].1).unwrap();
                let mut changes: Vec<Value> = Vec::new();
                for a in &giants {
                    for b in &giants {
                        for place in ["shape", "chunks"] {
                            let mut changed = text.clone();
                            let list = if version == 3 && place == "chunks" {
                                &mut changed["chunk_grid"]["configuration"]["chunk_shape"]
                            } else {
                                &mut changed[place]
                            };
                            let rank = list.as_array().map_or(2, Vec::len);
                            *list = if rank == 1 { json!([a]) } else { json!([a, b]) };
                            changes.push(changed);
                        }
                    }
                }
                for key in text.as_object().unwrap().keys() {
                    for other in [Value::Null, json!([]), json!({}), json!("x"), json!(1e300), json!([[[]]])]
                    {
                        let mut changed = text.clone();
                        changed[key] = other;
                        changes.push(changed);
                    }
                }
                for changed in changes {
                    let mut files = good.clone();
                    files[i].1 = changed.to_string().into_bytes();
                    folder(
                        attacks,
                        &format!("{}: {changed}", files[i].0).chars().take(300).collect::<String>(),
                        &files,
                    );
                }
                let mut files = good.clone();
                files[i].1 = "[".repeat(500_000).into_bytes();
                folder(attacks, &format!("{}: deep", files[i].0), &files);
                files[i].1 = format!("{{\"a\":[{}0]}}", "{\"\":0},".repeat(140_000)).into_bytes();
                folder(attacks, &format!("{}: many maps", files[i].0), &files);
            }
            // Chunks that expand to 128 MiB, and to nothing.
            let mut files = good.clone();
            files[1].1 = packed(version, &vec![0; 1 << 27]);
            assert!(!folder(attacks, "a chunk of 128 MiB", &files));
            files[1].1 = Vec::new();
            assert!(!folder(attacks, "an empty chunk", &files));
        }
        links(attacks);
    });
}

/// Links out of the store are followed; links that form circles end; devices are refused.
fn links(attacks: &mut Attacks) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let path = attacks.path("hostile.zarr");
        assert!(folder(attacks, "good", &store(2)));
        symlink(&path, path.join("data/circle")).unwrap();
        symlink(Path::new("/"), path.join("meta/circle")).ok();
        std::fs::remove_file(path.join("meta/circle")).unwrap();
        assert!(attacks.at("demonstrations", "a circle", &path));
        std::fs::remove_file(path.join("data/state/0.0")).unwrap();
        symlink("/dev/zero", path.join("data/state/0.0")).unwrap();
        assert!(!attacks.at("demonstrations", "a device", &path));
    }
}

#[test]
fn robomimic() {
    in_limited_process("stores::robomimic", |attacks| {
        let path = attacks.path("good.hdf5");
        let file = H5File::options().no_locking().create(&path).unwrap();
        let data = file.create_group("data").unwrap();
        for k in [0, 3] {
            let demo = data.create_group(&format!("demo_{k}")).unwrap();
            let obs = demo.create_group("obs").unwrap();
            for (group, name, width) in [(&obs, "object", 3), (&demo, "actions", 2)] {
                let values: Vec<f64> = (0..9 * width).map(|i| i as f64 / 100.0).collect();
                let made = group
                    .new_dataset::<f64>()
                    .shape([9, width])
                    .chunk(&[9, width])
                    .shuffle_deflate(4)
                    .create(name);
                made.unwrap().write_raw(&values).unwrap();
            }
        }
        file.close().unwrap();
        assert!(attacks.at("demonstrations", "good", &path));
        let whole = std::fs::read(&path).unwrap();
        random_damage(attacks, "demonstrations", "robomimic", &whole, whole.len());
    });
}
