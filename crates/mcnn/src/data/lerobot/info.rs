//! `meta/info.json`: the version, the features and where the files are.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    data::{Format, json},
    error::{Error, Kind, Result},
};

/// The most bytes of `info.json`. Lists of features have a few KiB.
const MAX_BYTES: u64 = 4 << 20;
/// The most values of a feature in one step.
const MAX_WIDTH: u64 = 1 << 20;

pub(super) const INFO: &str = "meta/info.json";
/// Where versions before 2.0 had it.
pub(super) const OLD_INFO: &str = "meta_data/info.json";

/// What `info.json` says. Other keys are ignored; `splits` may be stale.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    codebase_version: Option<String>,
    fps: Option<f64>,
    #[serde(default)]
    features: BTreeMap<String, Feature>,
    /// Episodes, as it was counted while recording.
    pub total_episodes: Option<u64>,
    chunks_size: Option<u64>,
    data_path: Option<String>,
    video_path: Option<String>,
    /// The format by the version.
    #[serde(skip)]
    pub format: Option<Format>,
}

/// An array of every step.
#[derive(Debug, Deserialize)]
pub(super) struct Feature {
    pub dtype: String,
    #[serde(default)]
    pub shape: Vec<u64>,
    #[serde(default)]
    names: Value,
    #[serde(default)]
    info: Value,
    #[serde(default)]
    video_info: Value,
}

impl Info {
    /// Reads the file of a dataset's folder.
    ///
    /// # Errors
    /// JSON of another form, and versions that are not read.
    pub fn read(folder: &Path) -> Result<Self> {
        let name = if folder.join(INFO).exists() { INFO } else { OLD_INFO };
        let named = |e: Error| e.within(name);
        let mut info: Self = json::read(&folder.join(name), MAX_BYTES).map_err(named)?;
        let version = info.codebase_version.as_deref().unwrap_or("none");
        info.format = Some(match version {
            "v3.0" => Format::LeRobotV3,
            "v2.1" | "v2.0" => Format::LeRobotV2,
            other => {
                let next = match other.starts_with("v1") {
                    true => "convert it with LeRobot up to 0.3: convert_dataset_v1_to_v2.py",
                    false => "convert it with LeRobot, or update mcnn",
                };
                return Err(named(
                    Error::new(Kind::Data, "a version of LeRobot's format that is not read")
                        .at("codebase_version")
                        .expected("v2.0, v2.1 or v3.0")
                        .found(other.chars().take(20).collect::<String>())
                        .next(next),
                ));
            }
        });
        if let Some((key, feature)) = info.features.iter().find(|(_, feature)| feature.width().is_none()) {
            return Err(named(
                Error::new(Kind::Data, "a feature of an impossible shape")
                    .at(format!("features, {key}"))
                    .expected(format!("at most {MAX_WIDTH} values"))
                    .found(format!("{:?}", feature.shape).chars().take(100).collect::<String>()),
            ));
        }
        Ok(info)
    }

    pub fn is_v3(&self) -> bool {
        self.format == Some(Format::LeRobotV3)
    }

    /// The version as it is written.
    pub fn version(&self) -> &str {
        self.codebase_version.as_deref().unwrap_or("none")
    }

    pub fn fps(&self) -> Option<f64> {
        self.fps.filter(|fps| fps.is_finite() && *fps > 0.0)
    }

    /// The features by their names.
    pub fn features(&self) -> &BTreeMap<String, Feature> {
        &self.features
    }

    pub fn feature(&self, key: &str) -> Option<&Feature> {
        self.features.get(key)
    }

    /// The data file of an episode, relative to the folder. In version 3 it is numbered by a chunk and a file, before by the
    /// episode.
    pub fn data_file(&self, numbers: DataFile) -> Result<String> {
        let (template, numbers) = match numbers {
            DataFile::Shared { chunk, file } => (
                "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
                [("chunk_index", chunk), ("file_index", file)],
            ),
            DataFile::Own { episode } => {
                ("data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet", self.own(episode))
            }
        };
        path_of(self.data_path.as_deref().unwrap_or(template), "data_path", &numbers)
    }

    /// The video of an episode or of several, relative to the folder.
    pub fn video_file(&self, key: &str, numbers: DataFile) -> Result<String> {
        let (template, numbers) = match numbers {
            DataFile::Shared { chunk, file } => (
                "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
                [("chunk_index", chunk), ("file_index", file)],
            ),
            DataFile::Own { episode } => (
                "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
                self.own(episode),
            ),
        };
        let template = self.video_path.as_deref().unwrap_or(template).replace("{video_key}", key);
        path_of(&template, "video_path", &numbers)
    }

    /// The numbers of the file of an episode, before version 3.
    fn own(&self, episode: u64) -> [(&'static str, u64); 2] {
        let chunk = episode / self.chunks_size.filter(|&n| n > 0).unwrap_or(1000);
        [("episode_chunk", chunk), ("episode_index", episode)]
    }
}

/// The path that a template of `info.json` gives.
///
/// # Errors
/// Templates that are not understood, and paths outside the folder.
fn path_of(template: &str, key: &str, numbers: &[(&str, u64)]) -> Result<String> {
    let refuse = || {
        Error::new(Kind::Data, "a template of paths that is not understood")
            .at(format!("{INFO}, {key}"))
            .expected("a path inside the folder, with fields such as {file_index:03d}")
            .found(template.chars().take(100).collect::<String>())
    };
    let path = fill(template, numbers).ok_or_else(refuse)?;
    let inside = Path::new(&path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if inside && !path.is_empty() { Ok(path) } else { Err(refuse()) }
}

/// The numbers of a data file.
#[derive(Debug, Clone, Copy)]
pub(super) enum DataFile {
    Shared { chunk: u64, file: u64 },
    Own { episode: u64 },
}

/// A format string of Python with `{name}`, `{name:d}` or `{name:03d}`.
fn fill(template: &str, numbers: &[(&str, u64)]) -> Option<String> {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}')?;
        let (name, style) = field.split_once(':').unwrap_or((field, "d"));
        let (_, number) = numbers.iter().find(|(known, _)| *known == name)?;
        let width = style.strip_suffix('d')?;
        let width: usize = if width.is_empty() { 0 } else { width.strip_prefix('0')?.parse().ok()? };
        path += before;
        path += &format!("{number:0width$}", width = width.min(20));
        rest = after;
    }
    (!rest.contains('}')).then(|| path + rest)
}

impl Feature {
    /// Values in a step.
    pub fn width(&self) -> Option<usize> {
        let width = self.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d))?;
        (width <= MAX_WIDTH || self.is_frames()).then_some(width as usize)
    }

    pub fn is_frames(&self) -> bool {
        matches!(&*self.dtype, "image" | "video")
    }

    pub fn is_video(&self) -> bool {
        self.dtype == "video"
    }

    /// Whether it is frames of distances, not of colors.
    pub fn is_depth(&self) -> bool {
        let says =
            |about: &Value| ["is_depth_map", "video.is_depth_map"].iter().any(|key| about[*key] == true);
        says(&self.info) || says(&self.video_info)
    }

    pub fn is_number(&self) -> bool {
        self.dtype == "bool"
            || self.dtype.starts_with("float")
            || self.dtype.trim_start_matches('u').starts_with("int")
    }

    /// Names of the dimensions: a list, a list of lists, or an object with one list or with a position for each name. `None` if
    /// there are none, an error if they are of another form or number.
    pub fn names(&self) -> Option<std::result::Result<Vec<String>, String>> {
        let width = self.width().unwrap_or(0);
        let mut names = Vec::new();
        let found = match &self.names {
            Value::Null => return None,
            Value::Array(list) if list.is_empty() => return None,
            Value::Object(named) if named.len() == 1 && named.values().all(Value::is_array) => {
                named.values().all(|list| flat(list, &mut names))
            }
            Value::Object(named) => {
                let mut places: Vec<(u64, &String)> =
                    named.iter().filter_map(|(name, place)| Some((place.as_u64()?, name))).collect();
                places.sort_unstable();
                let whole = places.iter().enumerate().all(|(i, (place, _))| *place == i as u64);
                names.extend(places.into_iter().map(|(_, name)| name.clone()));
                whole && names.len() == named.len()
            }
            other => flat(other, &mut names),
        };
        Some(if !found {
            Err("of another form".into())
        } else if names.len() != width {
            Err(format!("{} for {width} dimensions", names.len()))
        } else {
            Ok(names)
        })
    }
}

/// Appends the texts of a list, or of lists in it. Whether there is nothing else.
fn flat(value: &Value, to: &mut Vec<String>) -> bool {
    match value {
        Value::String(text) => {
            to.push(text.clone());
            true
        }
        Value::Array(list) => list.iter().all(|value| flat(value, to)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_as_python_fills_them() {
        let numbers = [("chunk_index", 7), ("file_index", 1234)];
        let found = |template: &str| fill(template, &numbers);
        assert_eq!(found("a/{chunk_index:03d}/f-{file_index:03d}.p").unwrap(), "a/007/f-1234.p");
        assert_eq!(found("{chunk_index}-{file_index:d}").unwrap(), "7-1234");
        assert_eq!(found("{file_index:06d}").unwrap(), "001234");
        for wrong in ["{episode}", "{chunk_index", "chunk_index}", "{chunk_index:3}", "{chunk_index:.3f}"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_data_file_lies_in_the_folder() {
        let info = |path: &str| -> Info { json::parse(&format!(r#"{{"data_path": "{path}"}}"#)).unwrap() };
        let at = DataFile::Shared { chunk: 0, file: 2 };
        assert_eq!(info("d/{file_index:02d}").data_file(at).unwrap(), "d/02");
        for outside in ["../{file_index}", "/etc/{file_index}", "a/../../{file_index}", ""] {
            let error = info(outside).data_file(at).unwrap_err().to_string();
            assert!(error.contains("data_path"), "{error}");
        }
        let info: Info = json::parse("{}").unwrap();
        assert_eq!(info.data_file(at).unwrap(), "data/chunk-000/file-002.parquet");
        let own = DataFile::Own { episode: 2345 };
        assert_eq!(info.data_file(own).unwrap(), "data/chunk-002/episode_002345.parquet");
    }

    #[test]
    fn names_have_many_forms() {
        let names = |json: &str| {
            let text = format!(r#"{{"dtype": "float32", "shape": [2], "names": {json}}}"#);
            json::parse::<Feature>(&text).unwrap().names()
        };
        for form in [r#"["a", "b"]"#, r#"[["a", "b"]]"#, r#"{"motors": ["a", "b"]}"#, r#"{"b": 1, "a": 0}"#] {
            assert_eq!(names(form).unwrap().unwrap(), ["a", "b"], "{form}");
        }
        assert_eq!((names("null"), names("[]")), (None, None));
        for form in [r#"["a"]"#, r#"{"x": ["a"], "y": ["b"]}"#, r#"{"a": 0, "b": 2}"#, "[1, 2]", "7"] {
            assert!(names(form).unwrap().is_err(), "{form}");
        }
    }
}
