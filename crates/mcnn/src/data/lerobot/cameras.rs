//! The cameras of a dataset: columns of pictures in the data files, and videos.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    Wanted, episodes,
    episodes::{Episode, VideoPlace, video_places},
    files::{Files, read_files},
    frames::{integers, leaf},
    info::{self, DataFile, Info},
};
use crate::{
    data::{
        Selection,
        cameras::{Block, Camera, CameraFrames, Clip, Episodes, Found, ReadBlocks, Request, Rows, select},
        number::Beyond,
        parquet::{Budget, Parquet, Values},
        regular,
    },
    error::{Error, Kind, Result},
};

const TIMESTAMP: &str = "timestamp";

/// The cameras of a dataset, and the files that they are in.
pub(in crate::data) fn cameras(request: &Request) -> Result<Found> {
    let &Request { path: folder, asked, episodes: chosen, .. } = request;
    let info = Info::read(folder)?;
    let is_camera = |key: &String| info.feature(key).is_some_and(|f| f.is_frames() && !f.is_depth());
    let (there, others): (Vec<String>, Vec<String>) = info.features().keys().cloned().partition(is_camera);
    let selected = select(asked, &there, &others).map_err(|e| e.within(info::INFO))?;
    let (all, _) = episodes::episodes(folder, &info, &only(&chosen.numbers))?;
    let by_number: HashMap<u32, &Episode> = all.iter().map(|episode| (episode.number, episode)).collect();
    let missing = |number: u32| {
        Error::new(Kind::Data, "an episode that is no longer listed").at(format!("episode {number}"))
    };
    let taken: Vec<&Episode> = (chosen.numbers.iter())
        .map(|&number| by_number.get(&number).copied().ok_or_else(|| missing(number)))
        .collect::<Result<_>>()?;
    let mut times = None; // of all steps, read for the first video
    let mut cameras = Vec::new();
    // They have the times of steps, and where the videos of episodes begin.
    let mut files = episodes::lists(folder, &info)?;
    files.extend(taken.iter().map(|episode| folder.join(&episode.file)));
    for key in selected.into_iter().map(|at| &there[at]) {
        let Some(feature) = info.feature(key) else { continue };
        let shape = feature.shape.iter().map(|&n| n as usize).collect();
        cameras.push(if feature.is_video() {
            if times.is_none() {
                times = Some(timestamps(folder, &info, &all, &taken)?);
            }
            let clips = clips(folder, &info, key, chosen, times.as_deref().unwrap_or_default())?;
            files.extend(clips.iter().map(|clip| clip.file.clone()));
            Camera { name: key.clone(), shape, frames: CameraFrames::Video(clips) }
        } else {
            let pictures = Pictures::open(folder, key, &taken, chosen)?;
            files.extend(pictures.files.iter().cloned());
            Camera::of_blocks(key.clone(), shape, pictures)
        });
    }
    files.sort();
    files.dedup();
    Ok((cameras, files))
}

/// The selection of these episodes.
fn only(numbers: &[u32]) -> Selection {
    Selection { episodes: numbers.iter().map(|&number| number..=number).collect(), ..Selection::default() }
}

/// The time of each step in its episode, in seconds.
fn timestamps(folder: &Path, info: &Info, all: &[Episode], taken: &[&Episode]) -> Result<Vec<f32>> {
    let wanted = [Wanted { key: TIMESTAMP.into(), width: 1 }];
    let mut times = Vec::new();
    let files = Files { folder, info, all, selected: taken, wanted: &wanted, in_memory: true };
    read_files(&files, &Beyond::new(), &mut |mut tables| {
        times.extend(tables.pop().unwrap_or_default());
        Ok(())
    })?;
    match times.iter().position(|time| !(0.0..1e9).contains(time)) {
        None => Ok(times),
        Some(step) => Err(Error::new(Kind::Data, "a time that is no time")
            .at(format!("{TIMESTAMP}, step {step}"))
            .expected("seconds since the start of the episode")
            .found(times[step].to_string())),
    }
}

/// Where the frames of each episode are in the videos of a camera.
fn clips(folder: &Path, info: &Info, key: &str, chosen: &Episodes, times: &[f32]) -> Result<Vec<Clip>> {
    let mut places = if info.is_v3() { video_places(folder, info, key)? } else { HashMap::new() };
    let mut clips = Vec::new();
    for (k, &number) in chosen.numbers.iter().enumerate() {
        let steps = chosen.steps(k);
        let VideoPlace { file, from } = match (places.remove(&number), info.is_v3()) {
            (Some(place), _) => place,
            (None, false) => VideoPlace {
                file: info.video_file(key, DataFile::Own { episode: number.into() })?,
                from: 0.0,
            },
            (None, true) => {
                return Err(Error::new(Kind::Data, "an episode without a video")
                    .at(format!("episode {number}, {key}")));
            }
        };
        let path = folder.join(&file);
        if !path.is_file() {
            return Err(Error::new(Kind::File, "a video that is missing")
                .at(&*file)
                .expected(format!("the frames of episode {number} of {key}"))
                .next(
                    "fetch the whole dataset (hf download --repo-type dataset OWNER/NAME --local-dir FOLDER), name other \
                     cameras (--camera) or other episodes",
                ));
        }
        let times = times.get(steps.clone()).unwrap_or_default();
        let times = times.iter().map(|&time| from + f64::from(time)).collect();
        clips.push(Clip { file: path, steps, episode: number, times });
    }
    Ok(clips)
}

/// A column of pictures.
struct Pictures {
    key: String,
    files: Vec<PathBuf>,
    names: Vec<String>,
    /// The file, the row group and the row in it of each step.
    places: Vec<[u32; 3]>,
}

impl Pictures {
    fn open(folder: &Path, key: &str, taken: &[&Episode], chosen: &Episodes) -> Result<Self> {
        let steps = (0..taken.len()).map(|k| chosen.steps(k).len()).sum();
        let mut pictures = Self {
            key: key.into(),
            files: Vec::new(),
            names: Vec::new(),
            places: vec![[u32::MAX; 3]; steps],
        };
        let starts: HashMap<i64, usize> = taken
            .iter()
            .enumerate()
            .map(|(k, episode)| (episode.number.into(), chosen.steps(k).start))
            .collect();
        let mut seen = HashSet::new();
        for name in taken.iter().map(|episode| &episode.file) {
            if !seen.insert(name) {
                continue;
            }
            let path = folder.join(name);
            pictures.find(&path, &starts).map_err(|e| e.within(name))?;
            pictures.files.push(path);
            pictures.names.push(name.clone());
        }
        match pictures.places.iter().position(|place| place[0] == u32::MAX) {
            None => Ok(pictures),
            Some(step) => {
                Err(Error::new(Kind::Data, "a step without a picture").at(format!("{key}, step {step}")))
            }
        }
    }

    /// Finds the steps of the episodes in a file.
    fn find(&mut self, path: &Path, starts: &HashMap<i64, usize>) -> Result<()> {
        let length = regular(path)?;
        let (file, budget) = (Parquet::open(path, length)?, Budget::new(length));
        let leaves = [leaf(&file, "episode_index")?, leaf(&file, "frame_index")?];
        self.leaf(&file)?;
        for group in 0..file.groups() {
            let columns = file.read(group, &leaves, &budget)?;
            let (numbers, frames) =
                (integers(&columns[0], "episode_index")?, integers(&columns[1], "frame_index")?);
            for (row, (number, frame)) in numbers.iter().zip(frames).enumerate() {
                let Some(start) = starts.get(number) else { continue };
                let step = usize::try_from(*frame).ok().and_then(|frame| start.checked_add(frame));
                if let Some(place) = step.and_then(|step| self.places.get_mut(step)) {
                    *place = [self.files.len() as u32, group as u32, row as u32];
                }
            }
        }
        Ok(())
    }

    /// The column of the pictures' bytes.
    fn leaf(&self, file: &Parquet) -> Result<usize> {
        let is_bytes = |path: &[String]| matches!(path, [key, bytes] if *key == self.key && bytes == "bytes");
        let found = file.leaves().iter().position(|leaf| is_bytes(&leaf.path));
        found.ok_or_else(|| {
            Error::new(Kind::Data, "a data file without the pictures that info.json lists")
                .at(&*self.key)
                .expected("a column of structs with bytes and path")
                .next("the file is of another dataset or version: write it again with LeRobot")
        })
    }
}

impl ReadBlocks for Pictures {
    fn locate(&self, step: usize) -> (Block, usize) {
        let [file, group, row] = self.places[step].map(|n| n as usize);
        ([file, group], row)
    }

    fn load(&mut self, [file, group]: Block) -> Result<Rows> {
        let (path, name) = (&self.files[file], &self.names[file]);
        let read = || {
            let length = regular(path)?;
            let file = Parquet::open(path, length)?;
            let mut columns = file.read(group, &[self.leaf(&file)?], &Budget::new(length))?;
            let Some(column) = columns.pop() else { return Ok(Rows::Pictures(Vec::new())) };
            if let Some(row) = column.first_null {
                return Err(Error::new(Kind::Data, "a picture that is not in the data file")
                    .at(format!("{}, row {row} of row group {group}", self.key))
                    .next("write the dataset again with LeRobot, which puts pictures into the data files"));
            }
            match column.values {
                Values::Texts(texts) => {
                    Ok(Rows::Pictures((0..texts.len()).map(|i| texts.get(i).to_vec()).collect()))
                }
                _ => Err(Error::new(Kind::Data, "a column of another type")
                    .at(&*self.key)
                    .expected("bytes of pictures")),
            }
        };
        read().map_err(|e: Error| e.within(name))
    }

    fn width(&self) -> usize {
        1
    }
}
