//! Attacks on datasets that are folders, LeRobot's and Minari's: on each kind of file in them, and Parquet files that lie.

use super::{
    Attacks, in_limited_process, random_damage,
    readers::{IN_FOLDERS, ffmpeg, folder_of},
};

/// Damages the file of a reader's dataset.
fn damage(attacks: &mut Attacks, reader: &str) {
    let (_, zip, dataset, file) = IN_FOLDERS.iter().find(|(name, ..)| *name == reader).unwrap();
    let whole = folder_of(&attacks.path("hostile"), reader, zip, dataset).join(file);
    let whole = std::fs::read(whole).unwrap();
    assert!(attacks.file(reader, "good", &whole));
    random_damage(attacks, reader, reader, &whole, whole.len());
    assert!(attacks.file(reader, "good again", &whole));
}

#[test]
fn lerobot() {
    in_limited_process("folders::lerobot", |attacks| {
        ["lerobot", "lerobot_episodes"].into_iter().for_each(|reader| damage(attacks, reader));
    });
}

#[test]
fn lerobot_texts() {
    in_limited_process("folders::lerobot_texts", |attacks| {
        ["lerobot_info", "lerobot_lines"].into_iter().for_each(|reader| damage(attacks, reader));
        for info in [
            r#"{"codebase_version": "v2.1", "features": {"action": {"dtype": "float32", "shape": [4294967296, 4294967296]}}}"#,
            r#"{"codebase_version": "v2.1", "data_path": "../../{episode_index}", "features": {}}"#,
            r#"{"codebase_version": "v2.1", "chunks_size": 0}"#,
            "[]",
            "",
        ] {
            attacks.refused("lerobot_info", info, info.as_bytes());
        }
        let many = format!(
            r#"{{"codebase_version": "v2.1", "features": {{"a": {{"dtype": "b", "names": [{}0]}}}}}}"#,
            "{\"\":0},".repeat(((4 << 20) - 200) / 7)
        );
        attacks.refused("lerobot_info", "names of many maps", many.as_bytes());
        let huge = r#"{"episode_index": 4294967295, "length": 18446744073709551615}"#;
        for lines in [
            huge,
            "{\"episode_index\": 0, \"length\": 3}\n{\"episode_index\": 0, \"length\": 3}",
            "\n\n",
            "[1]",
        ] {
            attacks.refused("lerobot_lines", lines, lines.as_bytes());
        }
    });
}

/// MP4 files that are damaged, and lists of episodes that say where they are. Damaged frames are left to ffmpeg, a process of its own.
#[test]
fn videos() {
    in_limited_process("folders::videos", |attacks| {
        if ffmpeg().is_err() {
            println!("SKIPPED (videos): no ffmpeg on the PATH or in MCNN_TEST_PYTHON");
            return;
        }
        attacks.rounds = attacks.rounds.div_ceil(4); // ffmpeg takes a tenth of a second to start
        ["lerobot_video", "lerobot_places"].into_iter().for_each(|reader| damage(attacks, reader));
        let (_, zip, dataset, file) = IN_FOLDERS.iter().find(|(name, ..)| *name == "lerobot_video").unwrap();
        let whole = folder_of(&attacks.path("hostile"), "lerobot_video", zip, dataset).join(file);
        let whole = std::fs::read(whole).unwrap();
        let at = |name: &[u8]| whole.windows(4).position(|four| four == name).unwrap() + 4;
        for (name, place) in
            [(&b"stsz"[..], 8), (b"stsd", 40), (b"stts", 4), (b"mdhd", 12), (b"moov", 0), (b"trak", 0)]
        {
            // A number of the box, and its size, which stands before its name.
            for (what, from) in [("number", at(name) + place), ("size", at(name) - 8)] {
                for number in [0, 7, 1 << 16, u32::MAX >> 1, u32::MAX] {
                    let mut bytes = whole.clone();
                    bytes[from..from + 4].copy_from_slice(&number.to_be_bytes());
                    let name = String::from_utf8_lossy(name);
                    attacks.file("lerobot_video", &format!("{what} {number} of {name}"), &bytes);
                }
            }
        }
        attacks.refused("lerobot_video", "nothing", b"");
        attacks.refused("lerobot_video", "a playlist", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n");
    });
}

#[test]
fn minari() {
    in_limited_process("folders::minari", |attacks| {
        ["minari", "minari_hdf5", "minari_arrow"].into_iter().for_each(|reader| damage(attacks, reader));
    });
}

#[test]
fn minari_texts() {
    in_limited_process("folders::minari_texts", |attacks| {
        damage(attacks, "minari_metadata");
        let with = |space: &str| {
            let space = serde_json::to_string(space).unwrap();
            format!(r#"{{"data_format": "parquet", "observation_space": {space}, "action_space": {space}}}"#)
        };
        let deep = format!("{}{}", r#"{"type": "Tuple", "subspaces": ["#.repeat(1000), "]}".repeat(1000));
        let wide = r#"{"type": "Box", "dtype": "float32", "shape": [9223372036854775807, 9]}"#;
        let lists = format!("{{\"type\": \"Discrete\", \"n\": {}1{}}}", "[".repeat(120), "]".repeat(120));
        for (what, space) in [
            ("deep", &*deep),
            ("wide", wide),
            ("lists", &*lists),
            ("choices", r#"{"type": "MultiDiscrete", "nvec": [4000000000, 4000000000]}"#),
            ("negative", r#"{"type": "Discrete", "n": -9223372036854775808, "start": -9223372036854775808}"#),
            ("binary", r#"{"type": "MultiBinary", "n": [-9223372036854775808, 3]}"#),
            ("none", r#"{"type": "Dict"}"#),
        ] {
            attacks.refused("minari_metadata", what, with(space).as_bytes());
        }
    });
}

/// Thrift's compact protocol, written: fields of a structure.
#[derive(Clone, Default)]
struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

impl Fields {
    fn field(mut self, id: u8, of: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | of);
        self.bytes.extend(value);
        self.last = id;
        self
    }

    fn number(self, id: u8, value: i64) -> Self {
        self.field(id, 6, &varint(((value << 1) ^ (value >> 63)) as u64))
    }

    fn text(self, id: u8, text: &str) -> Self {
        let bytes = [&varint(text.len() as u64), text.as_bytes()].concat();
        self.field(id, 8, &bytes)
    }

    fn inner(self, id: u8, inner: &Self) -> Self {
        self.field(id, 12, &inner.end())
    }

    /// A list of structures that claims to have `n`.
    fn list(self, id: u8, n: u64, items: &[Self]) -> Self {
        let items: Vec<u8> = items.iter().flat_map(Self::end).collect();
        self.field(id, 9, &[&[0xfc], &varint(n)[..], &items].concat())
    }

    fn end(&self) -> Vec<u8> {
        [&self.bytes[..], &[0]].concat()
    }
}

/// A list of episodes of version 3, with the same page for each column.
fn parquet(page: &[u8], values: i64, codec: i64, lists: u64) -> Vec<u8> {
    let mut file = b"PAR1".to_vec();
    let mut chunks = Vec::new();
    const COLUMNS: [&str; 4] = ["episode_index", "length", "data/chunk_index", "data/file_index"];
    for _ in COLUMNS {
        let about = Fields::default().number(1, 2).number(4, codec).number(5, values);
        let about = about.number(6, values).number(7, page.len() as i64).number(9, file.len() as i64);
        chunks.push(Fields::default().number(2, 0).inner(3, &about));
        file.extend(page);
    }
    let leaf = |name: &str| Fields::default().number(1, 2).number(3, 0).text(4, name);
    let root = Fields::default().text(4, "schema").number(5, 4);
    let schema: Vec<Fields> = std::iter::once(root).chain(COLUMNS.map(leaf)).collect();
    let group = Fields::default().list(1, 4, &chunks).number(2, 0).number(3, values);
    let footer =
        Fields::default().number(1, 1).list(2, lists, &schema).number(3, values).list(4, 1, &[group]).end();
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
    file
}

/// The header of a page of data, and its bytes.
fn page(n: i64, encoding: i64, size: i64, body: &[u8]) -> Vec<u8> {
    let about = Fields::default().number(1, n).number(2, encoding).number(3, 3).number(4, 3);
    let header = Fields::default().number(1, 0).number(2, size).number(3, body.len() as i64).inner(5, &about);
    [&header.end()[..], body].concat()
}

fn dictionary() -> Vec<u8> {
    let about = Fields::default().number(1, 1).number(2, 0);
    let header = Fields::default().number(1, 2).number(2, 8).number(3, 8).inner(7, &about);
    [&header.end()[..], &[0; 8]].concat()
}

#[test]
fn parquet_files_that_lie() {
    in_limited_process("folders::parquet_files_that_lie", |attacks| {
        let plain: Vec<u8> = (0..4_i64).flat_map(i64::to_le_bytes).collect();
        let good = parquet(&page(4, 0, 32, &plain), 4, 0, 5);
        let error = |attacks: &mut Attacks, what: &str, bytes: &[u8], part: &str| {
            std::fs::write(attacks.path("hostile"), bytes).unwrap();
            attacks.refused("lerobot_episodes", what, bytes);
            let folder = attacks.path("hostile-lerobot_episodes");
            let error = mcnn::data::read_parts(&folder, &Default::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{what}: {error}");
        };
        // The file is read; there are no data files for the episodes in it.
        error(attacks, "good", &good, "a data file that is missing");
        let many: i64 = 1 << 30;
        // 2^30 indices, all 0, in five bytes.
        let run = [&[1][..], &varint((many as u64) << 1), &[0]].concat();
        let bomb = [dictionary(), page(many, 8, run.len() as i64, &run)].concat();
        error(attacks, "a run", &parquet(&bomb, many, 0, 5), "more memory");
        error(attacks, "values", &parquet(&page(many, 0, 32, &plain), many, 0, 5), "more memory");
        for codec in [1, 2, 6, 7] {
            let lie = parquet(&page(4, 0, i64::from(i32::MAX), &plain), 4, codec, 5);
            attacks.refused("lerobot_episodes", &format!("codec {codec} of 2 GiB"), &lie);
        }
        // Snappy's own length.
        let snappy = [&varint(1 << 31)[..], &plain].concat();
        attacks.refused("lerobot_episodes", "snappy", &parquet(&page(4, 0, 32, &snappy), 4, 1, 5));
        for lists in [0, 2, 4, 6, 1 << 20, 1 << 40, u64::MAX] {
            attacks.refused(
                "lerobot_episodes",
                &format!("a schema of {lists}"),
                &parquet(&page(4, 0, 32, &plain), 4, 0, lists),
            );
        }
        for values in [-1, 0, 3, 5, i64::MAX, i64::MIN] {
            attacks.refused(
                "lerobot_episodes",
                &format!("{values} values"),
                &parquet(&page(4, 0, 32, &plain), values, 0, 5),
            );
            attacks.refused(
                "lerobot_episodes",
                &format!("{values} in a page"),
                &parquet(&page(values, 0, 32, &plain), 4, 0, 5),
            );
        }
        // Differences in blocks of any size.
        for [block, parts, total] in
            [[128, 4, 4], [1 << 62, 1, 4], [128, 0, 4], [0, 0, 4], [128, 1 << 40, 4], [128, 4, 1 << 62]]
        {
            let body = [varint(block), varint(parts), varint(total), vec![0; 20]].concat();
            let lie = parquet(&page(4, 5, body.len() as i64, &body), 4, 0, 5);
            attacks.refused("lerobot_episodes", &format!("differences {block} {parts} {total}"), &lie);
        }
        random_damage(attacks, "lerobot_episodes", "Parquet by hand", &good, good.len());
        random_damage(attacks, "lerobot_episodes", "Parquet with a run", &parquet(&bomb, many, 0, 5), 200);
    });
}
