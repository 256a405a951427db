//! Files and folders that are no demonstrations: what they are, by their content, and what takes them.

use std::{fs::File, io::Read as _, path::Path};

use super::{Format, columns};
use crate::error::{Error, Kind};

/// What something is, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Such as "a Parquet file".
    pub what: String,
    /// A command or a way to convert it.
    pub next: String,
}

fn foreign(what: impl Into<String>, next: impl Into<String>) -> Foreign {
    Foreign { what: what.into(), next: next.into() }
}

/// How numbers of other formats become demonstrations.
const SAVE: &str = "save states, actions and episode_ends together with numpy.savez";
const MCAP: &str = "its numbers are read where demonstrations are: `mcnn train FILE --state TOPIC.FIELD --action TOPIC.FIELD --hz RATE`; its frames \
                    are not";
const OLD_BAG: &str = "convert a bag with the program mcap (`mcap convert in.db3 out.mcap`), and read that";
const VIDEO: &str = "take its frames, ffmpeg -i FILE frames/%06d.png, list them with the actions in a CSV in the same folder \
                     (frame, then a column for each action), and give the folder to `mcnn embed`";
const UNPACK: &str = "unpack it first";

/// The content of a file by its first bytes, if it is known.
pub(super) fn file(start: &[u8], length: u64) -> Option<Foreign> {
    let here = |at: usize, signature: &[u8]| start.get(at..).is_some_and(|s| s.starts_with(signature));
    let (what, next) = if here(0, b"\x93NUMPY") {
        ("one NumPy array (.npy)", SAVE)
    } else if here(0, b"version https://git-lfs") {
        ("a Git LFS pointer, not the file itself", "fetch it with `git lfs pull`")
    } else if here(0, b"PAR1") {
        (
            "a Parquet file",
            "of a LeRobot or Minari dataset, name the folder; else read its columns with pandas or pyarrow, and save states, actions and episode_ends with numpy.savez",
        )
    } else if here(0, b"ARROW1") {
        (
            "an Arrow file",
            "read its columns with pyarrow, and save states, actions and episode_ends with numpy.savez",
        )
    } else if here(4, b"ftyp") {
        ("an MP4 video", VIDEO)
    } else if here(0, b"\x1a\x45\xdf\xa3") {
        ("a Matroska or WebM video", VIDEO)
    } else if here(0, b"RIFF") && here(8, b"AVI ") {
        ("an AVI video", VIDEO)
    } else if here(0, b"GIF8") || here(0, b"\x89PNG") || here(0, b"\xff\xd8\xff") {
        ("one picture", "`mcnn embed` takes a folder of pictures with a CSV of the actions")
    } else if here(0, b"\x89MCAP") {
        ("a recording of ROS 2 (MCAP)", MCAP)
    } else if here(0, b"#ROSBAG") || here(0, b"SQLite format 3") {
        ("a ROS bag or another database of messages", OLD_BAG)
    } else if here(0, b"MATLAB 5.0") {
        (
            "a MATLAB file of version 5",
            "read it with scipy.io.loadmat, and save states, actions and episode_ends with numpy.savez",
        )
    } else if here(16, b"\xde\xc0\xef\xbe") {
        ("an LMDB store, perhaps of zarr", LMDB)
    } else if here(0, b"\x1f\x8b")
        || here(0, b"\x28\xb5\x2f\xfd")
        || here(0, b"BZh")
        || here(0, b"\xfd7zXZ")
        || here(257, b"ustar")
    {
        ("a compressed file or an archive", UNPACK)
    } else if here(8, b"{\"") && start.len() > 8 {
        (
            "a safetensors file, such as the memories or a policy of mcnn",
            "the data come first: mcnn train DATA MEMORIES -o POLICY",
        )
    } else if here(0, b"\x80") {
        ("perhaps a Python pickle; pickles run code when read, so none are", SAVE)
    } else if here(0, b"<") {
        ("a web page or XML, perhaps of a failed download", "fetch the file again")
    } else if is_tfrecord(start, length) {
        (
            "a TFRecord file, as of RLDS or Open X-Embodiment",
            "read it with tensorflow_datasets, and save states, actions and episode_ends with numpy.savez",
        )
    } else if is_text(start) {
        (
            "a text file, such as CSV or JSON",
            "read it with numpy.loadtxt or json, and save states, actions and episode_ends with numpy.savez",
        )
    } else {
        return None;
    };
    Some(foreign(what, next))
}

/// Whether a file is in the format safetensors, by its first bytes: the length of the header, and the header. Demonstrations in columns
/// do not count.
pub fn is_safetensors(path: &Path) -> bool {
    let mut start = [0; 10];
    let opened = std::fs::metadata(path).is_ok_and(|about| about.is_file()).then(|| File::open(path));
    let read = opened.and_then(|file| file.ok()?.read_exact(&mut start).ok());
    read.is_some() && start[8..] == *b"{\"" && !columns::is_file(path)
}

/// A record begins with its length, a checksum, and a message of protocol buffers whose first field is a message.
fn is_tfrecord(start: &[u8], length: u64) -> bool {
    let record = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    record.is_some_and(|record| record > 0 && record.saturating_add(16) <= length)
        && start.get(12) == Some(&0x0a)
}

fn is_text(start: &[u8]) -> bool {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut.
        Err(e) if e.error_len().is_none() => {
            std::str::from_utf8(&start[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

/// The content of a zip without arrays of NumPy, by the names in it.
pub(super) fn zip(names: &[&str]) -> Option<Foreign> {
    let any = |wanted: &[&str]| names.iter().any(|name| wanted.iter().any(|end| name.ends_with(end)));
    if any(&["data.pkl"]) {
        Some(foreign(
            "a PyTorch file",
            "load it with torch.load, and save states, actions and episode_ends with numpy.savez",
        ))
    } else {
        None
    }
}

const ZARR: &str =
    "name the store itself: mcnn train STORE for states and actions, mcnn embed STORE for frames";
/// The error of frames in a format of which only states are read.
pub(super) fn frames_of(format: Format) -> Error {
    Error::new(Kind::File, "a format of which no frames are read")
        .expected("frames of LeRobot, zarr, robomimic or D4RL, an .npz or a folder of pictures")
        .found(format.to_string())
        .next("save them with numpy.savez: frames, actions and episode_ends")
}

const LMDB: &str = "copy it to a folder with zarr, zarr.copy_store(zarr.LMDBStore(FOLDER), zarr.DirectoryStore(\"data.zarr\")), \
                    and give that";
const EMBED: &str = "`mcnn embed FOLDER` makes demonstrations of its frames";

/// The content of a folder, or of the first folder in it, if it is known.
pub fn folder(path: &Path) -> Option<Foreign> {
    itself(path).or_else(|| {
        let mut inside: Vec<_> = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        let known = |path: &std::path::PathBuf| path.is_dir().then(|| itself(path)).flatten();
        let (inner, found) = inside.iter().find_map(|path| Some((path, known(path)?)))?;
        Some(foreign(format!("a folder with {}: {}", inner.file_name()?.display(), found.what), found.next))
    })
}

fn itself(path: &Path) -> Option<Foreign> {
    let has = |name: &str| path.join(name).exists();
    let entries: Vec<String> = std::fs::read_dir(path)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let ending = |endings: &[&str]| {
        let lower = |name: &String| name.to_lowercase();
        let mut some: Vec<&String> = (entries.iter())
            .filter(|name| endings.iter().any(|ending| lower(name).ends_with(ending)))
            .collect();
        some.sort();
        some
    };
    let files = ending(&[".npz", ".hdf5", ".h5"]);
    let pictures = ending(&[".png", ".jpg", ".jpeg"]);
    let lists = ending(&[".csv"]);
    Some(if has("manifest.json") && !ending(&[".catalog"]).is_empty() {
        foreign("a donkeycar tub", EMBED)
    } else if has("driving_log.csv") {
        foreign("a log of Udacity's simulator", EMBED)
    } else if has("meta/info.json") {
        foreign(
            "a LeRobot dataset",
            "name the folder with meta/info.json: mcnn train FOLDER for states and actions, mcnn embed FOLDER for frames",
        )
    } else if has(".zgroup") || has(".zarray") || has("zarr.json") {
        foreign("a zarr store", ZARR)
    } else if has("data.mdb") {
        foreign("an LMDB store, perhaps of zarr", LMDB)
    } else if has("data/main_data.hdf5") || has("main_data.hdf5") || has("data/metadata.json") {
        foreign(
            "a Minari dataset",
            "its states and actions are read where demonstrations are: mcnn train FOLDER, the folder with data/metadata.json; its frames are not",
        )
    } else if has("dataset_info.json") || has("features.json") {
        foreign(
            "a dataset of tensorflow_datasets, as of RLDS or Open X-Embodiment",
            "read it with tensorflow_datasets, and save states, actions and episode_ends with numpy.savez",
        )
    } else if has("metadata.yaml") {
        foreign("a ROS 2 bag", if !ending(&[".mcap"]).is_empty() { MCAP } else { OLD_BAG })
    } else if let [first, rest @ ..] = &files[..] {
        let more =
            if rest.is_empty() { String::new() } else { format!(" and {} more such files", rest.len()) };
        foreign(
            format!("a folder with {first}{more}"),
            format!("name a file, not a folder, such as {}", path.join(first).display()),
        )
    } else if !lists.is_empty() && (!pictures.is_empty() || has("images") || has("frames") || has("IMG")) {
        foreign("a folder of pictures with a list", EMBED)
    } else if !pictures.is_empty() {
        foreign(
            "a folder of pictures",
            "list them with the actions in a CSV in the same folder (frame, then a column for each action), and give it to `mcnn embed`",
        )
    } else if !ending(&[".parquet"]).is_empty() {
        foreign(
            "a folder of Parquet files",
            "read them with pandas or pyarrow, and save states, actions and episode_ends with numpy.savez",
        )
    } else if !ending(&[".mp4", ".avi", ".mkv", ".webm"]).is_empty() {
        foreign("a folder of videos", VIDEO)
    } else {
        return None;
    })
}

/// How to fetch what a path that does not exist may name: a dataset of the Hugging Face Hub (OWNER/NAME) or of Minari
/// (NAMESPACE/NAME-v0).
pub(super) fn remote(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let is_name = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(known)
    };
    let parts: Vec<&str> = text.split('/').collect();
    let (_, version) = text.rsplit_once("-v").unwrap_or_default();
    if !parts.iter().all(|part| is_name(part)) {
        None
    } else if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) {
        Some(format!("check the path; a dataset of Minari is fetched by `minari download {text}`"))
    } else if let [_, name] = parts[..]
        && path.extension().is_none()
    {
        Some(format!(
            "check the path; a dataset of the Hugging Face Hub is fetched by `hf download --repo-type dataset {text} --local-dir {name}`"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_datasets_elsewhere_are_known() {
        let found = |path: &str| remote(Path::new(path)).unwrap_or_default();
        assert!(
            found("lerobot/pusht")
                .contains("hf download --repo-type dataset lerobot/pusht --local-dir pusht`")
        );
        for id in ["D4RL/door/human-v2", "door-v0", "D4RL/door-v12"] {
            assert!(found(id).contains(&format!("minari download {id}`")), "{id}");
        }
        for path in ["data/x.npz", "./a/b", "../b", "/a/b", "a/b/c", "a", "a b/c", "~/x", "a/"] {
            assert_eq!(found(path), "", "{path}");
        }
    }

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (start, what) in [
            (&b"PAR1\x15\x04"[..], "Parquet"),
            (b"\0\0\0\x20ftypisom", "MP4"),
            (b"\x1a\x45\xdf\xa3\x01", "WebM"),
            (b"\x89PNG\r\n", "picture"),
            (b"\x89MCAP0\r\n", "ROS"),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}", "safetensors"),
            (b"steering,throttle\n0.1,0.2\n", "text"),
            (b"\x05\0\0\0\0\0\0\0crc!\x0a\x03abcrc!!", "TFRecord"),
            ("Zeit;Höhe".as_bytes(), "text"),
            (b"\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\xde\xc0\xef\xbe\x01", "LMDB"),
        ] {
            let found = file(start, 100).unwrap_or_else(|| panic!("{what}"));
            assert!(found.what.contains(what) && !found.next.is_empty(), "{what}: {found:?}");
        }
        assert_eq!(file(b"\x01\x02\x03\xff", 4), None);
        assert_eq!(zip(&["archive/data.pkl"]).unwrap().what, "a PyTorch file");
    }

    #[test]
    fn folders_are_known_by_what_is_in_them() {
        for (files, what, next) in [
            (&["manifest.json", "catalog_0.catalog"][..], "a donkeycar tub", "mcnn embed"),
            (&["driving_log.csv"], "a log of Udacity's simulator", "mcnn embed"),
            (&["meta/info.json"], "a LeRobot dataset", "mcnn train FOLDER"),
            (&[".zgroup"], "a zarr store", "mcnn embed STORE"),
            (&["data/main_data.hdf5"], "a Minari dataset", "mcnn train FOLDER"),
            (
                &["features.json"],
                "a dataset of tensorflow_datasets, as of RLDS or Open X-Embodiment",
                "tensorflow_datasets",
            ),
            (&["metadata.yaml", "bag_0.mcap"], "a ROS 2 bag", "--state TOPIC.FIELD"),
            (&["metadata.yaml", "bag_0.db3"], "a ROS 2 bag", "mcap convert"),
            (&["b.npz", "a.hdf5"], "a folder with a.hdf5 and 1 more such files", "a.hdf5"),
            (&["a.png", "list.csv"], "a folder of pictures with a list", "mcnn embed"),
            (&["a.JPG"], "a folder of pictures", "CSV"),
            (&["a.parquet"], "a folder of Parquet files", "pandas"),
            (&["data.mdb", "lock.mdb"], "an LMDB store, perhaps of zarr", "zarr.copy_store"),
            (&["a.mp4"], "a folder of videos", "ffmpeg"),
            (&["notes.md", "b.zarr/.zgroup"], "a folder with b.zarr: a zarr store", "mcnn train STORE"),
        ] {
            let path = tempfile::tempdir().unwrap();
            for file in files {
                let file = path.path().join(file);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, b"").unwrap();
            }
            let found = folder(path.path()).unwrap();
            assert_eq!(found.what, what);
            assert!(found.next.contains(next), "{found:?}");
        }
        assert_eq!(folder(tempfile::tempdir().unwrap().path()), None);
    }
}
