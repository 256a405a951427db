//! Writing LeRobot's format, version 3.0, without videos: `meta/info.json`, `meta/stats.json`, `meta/tasks.parquet`, the list of episodes
//! and the data, a row group for each episode.
//!
//! Layout: LeRobot 0.4, `src/lerobot/datasets` (`lerobot_dataset.py`, `utils.py`, `compute_stats.py`).

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufWriter, Read as _},
    path::Path,
};

use serde_json::{Value, json};

use super::{REWARD, STATE, info::INFO, stats::Stats};
use crate::{
    atomic,
    data::{
        DimensionNames,
        column::Numbers,
        parquet::{ColumnKind, Field, ParquetWriter, WrittenValues},
        write::Columns,
    },
    error::{Error, Kind, Result},
};

const ACTION: &str = "action";
/// Files of a chunk, and bytes of a data file, as LeRobot's own writer has them.
const CHUNK_FILES: u64 = 1000;
const FILE_BYTES: u64 = 100 << 20;
/// Bytes of a column of a row group, at most: a page takes less than 2 GiB.
const GROUP_BYTES: usize = 256 << 20;
/// Episodes of a row group of the list of episodes.
const LISTED: usize = 1000;

/// What a dataset is written from.
pub(in crate::data) struct Written<'a> {
    pub columns: Columns<'a>,
    pub names: &'a DimensionNames,
    /// The text of each episode's task; empty if there are none.
    pub tasks: &'a [String],
    /// Steps per second.
    pub fps: f64,
}

/// The features of steps, each a column of the data, in LeRobot's order: those of the recording, then LeRobot's own.
struct Features {
    names: Vec<&'static str>,
    widths: Vec<usize>,
}

const OWN: [&str; 5] = ["timestamp", "frame_index", "episode_index", "index", "task_index"];

impl Features {
    fn new(recording: &Written) -> Self {
        let mut all =
            vec![(STATE, recording.columns.observations.width), (ACTION, recording.columns.actions.width)];
        all.extend(recording.columns.rewards.as_ref().map(|_| (REWARD, 1)));
        all.extend(OWN.map(|name| (name, 1)));
        let (names, widths) = all.into_iter().unzip();
        Self { names, widths }
    }

    fn fields(&self) -> Vec<Field> {
        let field = |(name, width): (&&str, &usize)| match *name {
            "frame_index" | "episode_index" | "index" | "task_index" => Field::scalar(name, ColumnKind::I64),
            _ if *width == 1 => Field::scalar(name, ColumnKind::F32),
            _ => Field::list(name, ColumnKind::F32),
        };
        self.names.iter().zip(&self.widths).map(field).collect()
    }

    /// Their description in `info.json`.
    fn describe(&self, names: &DimensionNames) -> Value {
        let one = |(name, width): (&&str, &usize)| {
            let dtype = match *name {
                "frame_index" | "episode_index" | "index" | "task_index" => "int64",
                _ => "float32",
            };
            let names = match *name {
                STATE => &names.state_names,
                ACTION => &names.action_names,
                _ => &None,
            };
            ((*name).to_owned(), json!({"dtype": dtype, "shape": [width], "names": names}))
        };
        self.names.iter().zip(&self.widths).map(one).collect::<serde_json::Map<_, _>>().into()
    }
}

/// A line of the list of episodes.
struct Listed {
    steps: usize,
    task: usize,
    chunk: u64,
    file: u64,
    start: usize,
    stats: Vec<Stats>, // of each feature
}

/// Writes a folder, whole or not at all. An existing dataset there is replaced.
///
/// # Errors
/// A frame rate that is not above 0, frames in place of states, fewer rows than there are steps, and errors of the file system.
pub(in crate::data) fn write(folder: &Path, recording: Written) -> Result<()> {
    let refuse = |what: &str| Error::new(Kind::Settings, what).at(folder.display().to_string());
    if !(recording.fps.is_finite() && recording.fps > 0.0) {
        return Err(refuse("LeRobot's format needs the frame rate")
            .expected("steps per second, above 0")
            .found(recording.fps.to_string()));
    }
    if recording.columns.observations.numbers != Numbers::F32 {
        return Err(
            refuse("camera frames are not written in LeRobot's format").next("write an .npz or .hdf5")
        );
    }
    atomic::write_folder(folder, &|there| there.join(INFO).is_file(), |temporary| {
        fill(temporary, recording).map_err(|e| Error::io("writing", folder, &e))
    })
}

fn fill(folder: &Path, mut recording: Written) -> std::io::Result<()> {
    let features = Features::new(&recording);
    let (tasks, positions) = distinct(recording.tasks);
    let mut all: Vec<Listed> = Vec::new();
    let (mut data, mut place) = (None, [0, 0]);
    let mut start = 0;
    for (k, &end) in recording.columns.ends.iter().enumerate() {
        let text = recording.tasks.get(k).map_or("", String::as_str);
        let task = positions.get(text).copied().unwrap_or(0);
        let file = match &mut data {
            Some(file) => file,
            None => data.insert(create(folder, "data", place, features.fields())?),
        };
        let mut stats: Vec<Stats> = features.widths.iter().map(|&width| Stats::new(width)).collect();
        let row_bytes = 4 * features.widths.iter().max().copied().unwrap_or(1);
        for first in (start..end).step_by((GROUP_BYTES / row_bytes).max(1)) {
            let steps = first..end.min(first + (GROUP_BYTES / row_bytes).max(1));
            let columns = columns(&mut recording, steps.clone(), (k, start, task), &mut stats)?;
            file.write(steps.len(), &columns)?;
        }
        let [chunk, number] = place;
        let stats = stats.into_iter().map(Stats::finished).collect();
        all.push(Listed { steps: end - start, task, chunk, file: number, start, stats });
        if file.length() >= FILE_BYTES {
            data.take().map_or(Ok(()), |file| file.finish(None))?;
            place = if number + 1 < CHUNK_FILES { [chunk, number + 1] } else { [chunk + 1, 0] };
        }
        start = end;
    }
    data.map_or(Ok(()), |file| file.finish(None))?;
    write_tasks(folder, &tasks)?;
    write_episodes(folder, &features, &tasks, &all)?;
    let total = |i: usize| Stats::joined(all.iter().map(|episode| &episode.stats[i])).to_json();
    let stats: serde_json::Map<String, Value> =
        features.names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), total(i))).collect();
    write_json(&folder.join("meta/stats.json"), &stats.into())?;
    let fps = match recording.fps.fract() == 0.0 {
        true => json!(recording.fps as u64),
        false => json!(recording.fps),
    };
    let info = json!({
        "codebase_version": "v3.0",
        "robot_type": null,
        "total_episodes": all.len(),
        "total_frames": start,
        "total_tasks": tasks.len(),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": FILE_BYTES >> 20,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": format!("0:{}", all.len())},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": null,
        "features": features.describe(recording.names),
    });
    write_json(&folder.join(INFO), &info)
}

/// The distinct texts of tasks, in the order in which they occur, and the position of each; one without text if there are none.
fn distinct(tasks: &[String]) -> (Vec<&str>, HashMap<&str, usize>) {
    let (mut all, mut positions) = (Vec::new(), HashMap::new());
    for task in tasks {
        positions.entry(task.as_str()).or_insert_with(|| {
            all.push(task.as_str());
            all.len() - 1
        });
    }
    (if all.is_empty() { vec![""] } else { all }, positions)
}

/// The columns of some steps of episode `k`, which begins with step `start`; their values are added to the statistics.
fn columns(
    recording: &mut Written,
    steps: std::ops::Range<usize>,
    (k, start, task): (usize, usize, usize),
    stats: &mut [Stats],
) -> std::io::Result<Vec<WrittenValues>> {
    let n = steps.len();
    let mut stats = stats.iter_mut();
    let mut add = |values: &mut dyn Iterator<Item = f64>| {
        if let Some(stats) = stats.next() {
            stats.add(values);
        }
    };
    let mut all = Vec::new();
    let recorded = [&mut recording.columns.observations, &mut recording.columns.actions].into_iter();
    for column in recorded.chain(&mut recording.columns.rewards) {
        let mut bytes = vec![0; n * column.row_bytes()];
        column.rows.read_exact(&mut bytes)?;
        add(&mut bytes.as_chunks().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))));
        all.push(WrittenValues::rows(bytes, n, column.width));
    }
    let fps = recording.fps;
    let times: Vec<f32> = steps.clone().map(|i| ((i - start) as f64 / fps) as f32).collect();
    add(&mut times.iter().map(|t| f64::from(*t)));
    all.push(WrittenValues::floats(times));
    let whole = [
        steps.clone().map(|i| (i - start) as i64).collect::<Vec<_>>(),
        vec![k as i64; n],
        steps.map(|i| i as i64).collect(),
        vec![task as i64; n],
    ];
    for values in whole {
        add(&mut values.iter().map(|v| *v as f64));
        all.push(WrittenValues::integers(values));
    }
    Ok(all)
}

/// A new Parquet file in a folder of the dataset.
fn create(
    folder: &Path,
    inside: &str,
    [chunk, file]: [u64; 2],
    fields: Vec<Field>,
) -> std::io::Result<ParquetWriter<BufWriter<File>>> {
    let inside = folder.join(inside).join(format!("chunk-{chunk:03}"));
    fs::create_dir_all(&inside)?;
    ParquetWriter::new(BufWriter::new(File::create(inside.join(format!("file-{file:03}.parquet")))?), fields)
}

/// What pandas needs to read the texts of tasks as the index of the table.
const TASK_INDEX: &str = r#"{"index_columns": ["task"], "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}], "columns": [{"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null}, {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null}], "creator": {"library": "mcnn", "version": "1"}, "pandas_version": "2.0.0"}"#;

fn write_tasks(folder: &Path, tasks: &[&str]) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("meta"))?;
    let fields = vec![Field::scalar("task_index", ColumnKind::I64), Field::scalar("task", ColumnKind::Text)];
    let file = BufWriter::new(File::create(folder.join("meta/tasks.parquet"))?);
    let mut file = ParquetWriter::new(file, fields)?;
    let mut texts = WrittenValues::default();
    tasks.iter().for_each(|task| texts.add_texts(&[task]));
    file.write(tasks.len(), &[WrittenValues::integers(0..tasks.len() as i64), texts])?;
    file.finish(Some(TASK_INDEX))
}

fn write_episodes(folder: &Path, features: &Features, tasks: &[&str], all: &[Listed]) -> std::io::Result<()> {
    let integer = |name: &str| Field::scalar(name, ColumnKind::I64);
    let mut fields = vec![integer("episode_index"), Field::list("tasks", ColumnKind::Text)];
    fields.extend(
        ["length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index"]
            .map(integer),
    );
    for name in &features.names {
        let of = |statistic: &&str| match *statistic {
            "count" => Field::list(&format!("stats/{name}/count"), ColumnKind::I64),
            statistic => Field::list(&format!("stats/{name}/{statistic}"), ColumnKind::F64),
        };
        fields.extend(Stats::NAMES.iter().map(of));
    }
    fields.extend(["meta/episodes/chunk_index", "meta/episodes/file_index"].map(integer));
    let mut file = create(folder, "meta/episodes", [0, 0], fields)?;
    for (i, some) in all.chunks(LISTED).enumerate() {
        let column = |of: &dyn Fn(&Listed) -> u64| WrittenValues::integers(some.iter().map(|e| of(e) as i64));
        let mut texts = WrittenValues::default();
        some.iter().for_each(|episode| texts.add_texts(&[tasks[episode.task]]));
        let first = (i * LISTED) as i64;
        let mut columns = vec![
            WrittenValues::integers(first..first + some.len() as i64),
            texts,
            column(&|e| e.steps as u64),
            column(&|e| e.chunk),
            column(&|e| e.file),
            column(&|e| e.start as u64),
            column(&|e| (e.start + e.steps) as u64),
        ];
        for feature in 0..features.names.len() {
            for statistic in Stats::NAMES {
                let mut values = WrittenValues::default();
                for episode in some {
                    let stats = &episode.stats[feature];
                    match stats.get(statistic) {
                        Some(row) => values.add_doubles(&row),
                        None => values.add_integers(&[stats.count() as i64]),
                    }
                }
                columns.push(values);
            }
        }
        columns.extend([column(&|_| 0), column(&|_| 0)]);
        file.write(some.len(), &columns)?;
    }
    file.finish(None)
}

fn write_json(path: &Path, value: &Value) -> std::io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(std::io::Error::other)?;
    text.push(b'\n');
    fs::write(path, text)
}
