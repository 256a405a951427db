//! Folders of pictures: a donkeycar tub, a log of Udacity's simulator, or pictures with a CSV of what was done.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{ReadFrames, Source, SourceOptions, csv, picture, stamp, tub, udacity};
use crate::{
    data::{Parts, Selection, foreign},
    error::{Error, Kind, Result},
    vision::frames::Frames,
};

/// Pictures decoded together.
const TOGETHER: usize = 64;

/// A row: the picture, what was done, the reward if there is one, and the episode, by any name.
pub(super) struct Row {
    pub picture: PathBuf,
    pub action: Vec<f32>,
    pub reward: Option<f32>,
    pub episode: String,
}

/// What a list of pictures says.
pub(super) struct Recorded {
    /// What it is, as a short text.
    pub what: &'static str,
    pub rows: Vec<Row>,
    /// Names of pictures that are known and not used.
    pub other_pictures: HashSet<String>,
    /// What else was found, as short texts.
    pub notes: Vec<String>,
    /// What was skipped.
    pub warnings: Vec<String>,
}

impl Recorded {
    pub fn new(what: &'static str) -> Self {
        let (rows, other_pictures, notes, warnings) = Default::default();
        Self { what, rows, other_pictures, notes, warnings }
    }
}

struct Folder {
    pictures: Vec<PathBuf>,
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    if options.with_state || !options.cameras.is_empty() || options.selection != Selection::default() {
        return Err(Error::new(Kind::Settings, "a folder of pictures has no keys to choose from")
            .at(path.display().to_string())
            .expected("--with-state, --camera, --state, --action and --episodes with LeRobot, zarr, robomimic, or a file of frames")
            .next("leave the options out"));
    }
    let recorded = if path.join("manifest.json").is_file() {
        tub::read(path)?
    } else if path.join("driving_log.csv").is_file() {
        udacity::read(path)?
    } else {
        listed(path, options)?
    };
    let Recorded { what, rows, other_pictures, notes: others, warnings } = recorded;
    if rows.is_empty() {
        return Err(Error::new(Kind::Data, "a recording without frames").at(path.display().to_string()));
    }
    let missing: Vec<&Row> = rows.iter().filter(|row| !row.picture.is_file()).collect();
    if let Some(first) = missing.first() {
        return Err(Error::new(Kind::Data, "rows without a picture")
            .at(first.picture.display().to_string())
            .expected("a picture for every row")
            .found(format!("{} of {} rows without one", missing.len(), rows.len()))
            .next("drop those rows, or add the pictures"));
    }
    let mut notes = vec![what.to_owned()];
    notes.extend(others);
    let unused = pictures_in(rows[0].picture.parent().unwrap_or(path), &rows, &other_pictures);
    if unused > 0 {
        notes.push(format!("{unused} pictures beside them are in no row, and are not used"));
    }
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(format!("{} {}\n", row.picture.display(), stamp(&row.picture)?));
    }
    let labels = labels(&rows).map_err(|e| e.within(path.display()))?;
    let n = rows.len();
    let pictures = rows.into_iter().map(|row| row.picture).collect();
    let stamp = crate::vision::hex(&hash.finalize());
    let frames = Box::new(Folder { pictures });
    let (names, state_keys) = Default::default();
    Ok(Source {
        labels,
        names,
        n,
        cameras: vec!["frames".into()],
        sizes: vec![None],
        state_keys,
        notes,
        warnings,
        stamp,
        frames,
    })
}

/// How many pictures of a folder neither a row names nor `known`.
fn pictures_in(folder: &Path, rows: &[Row], known: &HashSet<String>) -> usize {
    let named: HashSet<&std::ffi::OsStr> = rows.iter().filter_map(|row| row.picture.file_name()).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let picture = |name: &Path| {
        name.extension()
            .is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|known| e.eq_ignore_ascii_case(known)))
    };
    let is_known =
        |name: &std::ffi::OsStr| named.contains(name) || name.to_str().is_some_and(|n| known.contains(n));
    entries.filter(|e| picture(Path::new(&e.file_name())) && !is_known(&e.file_name())).count()
}

fn labels(rows: &[Row]) -> Result<Parts> {
    let n_act = rows[0].action.len();
    let mut parts = Parts { n_obs: 1, n_act, ..Parts::default() };
    let mut rewards = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        parts.actions.extend_from_slice(&row.action);
        rewards.extend(row.reward);
        if rows.get(i + 1).is_none_or(|next| next.episode != row.episode) {
            parts.ends.push(i + 1);
        }
    }
    parts.rewards = (rewards.len() == rows.len()).then_some(rewards);
    Ok(parts)
}

/// Names of the column that names the picture, the first that is there.
const PICTURE: [&str; 6] = ["frame", "image", "picture", "file", "filename", "path"];
/// Columns that are no actions.
const OTHERS: [&str; 5] = ["episode", "reward", "step", "time", "timestamp"];

/// A folder with one CSV.
fn listed(path: &Path, options: &SourceOptions) -> Result<Recorded> {
    let entries = std::fs::read_dir(path).map_err(|e| Error::io("reading", path, &e))?;
    let lists: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")))
        .collect();
    let [file] = &lists[..] else {
        return Err(Error::new(Kind::Data, "a folder without a list of what was done")
            .at(path.display().to_string())
            .expected("one .csv (frame, then a column for each action), a donkeycar tub, or Udacity's driving_log.csv")
            .found(match (foreign::folder(path), lists.len()) {
                (Some(found), 0) => format!("{}: {}", found.what, found.next),
                (_, 0) => "no .csv".into(),
                (_, n) => format!("{n} lists"),
            }));
    };
    let table = csv::read(file, None, None)?;
    let position = |name: &str| table.names.iter().position(|n| n == name);
    let Some(picture) = PICTURE.iter().find_map(|name| position(name)) else {
        return Err(Error::new(Kind::Data, "a list that names no pictures")
            .at(file.display().to_string())
            .expected(format!("a column {}", PICTURE.join(", or ")))
            .found(table.names.join(", ")));
    };
    let actions: Vec<usize> = if options.actions.is_empty() {
        let other = |k: &usize| *k != picture && !OTHERS.contains(&table.names[*k].as_str());
        (0..table.names.len()).filter(other).collect()
    } else {
        options
            .actions
            .iter()
            .map(|name| column(&table, &name.to_lowercase(), file))
            .collect::<Result<_>>()?
    };
    if actions.is_empty() {
        return Err(Error::new(Kind::Data, "a list without actions")
            .at(file.display().to_string())
            .expected("a column for each action")
            .found(table.names.join(", ")));
    }
    let (reward, episode) = (position("reward"), position("episode"));
    let mut found = Recorded::new("pictures with a list");
    found.warnings.extend(table.warnings.clone());
    for (i, row) in table.rows.iter().enumerate() {
        let number = |k: usize| number(&row[k], &table.names[k], i, file);
        found.rows.push(Row {
            picture: path.join(&row[picture]),
            action: actions.iter().map(|&k| number(k)).collect::<Result<_>>()?,
            reward: reward.map(number).transpose()?,
            episode: episode.map(|k| row[k].clone()).unwrap_or_default(),
        });
    }
    Ok(found)
}

pub(super) fn column(table: &csv::Table, name: &str, file: &Path) -> Result<usize> {
    table.names.iter().position(|n| n == name).ok_or_else(|| {
        Error::new(Kind::Data, "a column that is missing")
            .at(file.display().to_string())
            .expected(name)
            .found(table.names.join(", "))
    })
}

/// A number of a list, with a decimal point or a decimal comma.
pub(super) fn number(text: &str, column: &str, row: usize, file: &Path) -> Result<f32> {
    csv::number(text).filter(|v| v.is_finite()).ok_or_else(|| {
        Error::new(Kind::Data, "a value that is not a number")
            .at(format!("{}: row {}, {column}", file.display(), row + 1))
            .found(text)
            .next("--action-columns NAMES says which columns are the actions")
    })
}

impl ReadFrames for Folder {
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(&[Frames]) -> Result<bool>) -> Result<()> {
        for paths in self.pictures[from..].chunks(TOGETHER) {
            let pictures: Vec<_> = paths.par_iter().map(|path| picture::read(path)).collect();
            // Of one size together; most often all are.
            let mut run: Option<Frames> = None;
            for picture in pictures {
                let (size, pixels) = picture?;
                let pixels = pixels.into_iter().map(f32::from);
                match &mut run {
                    Some(run) if run.size == size => run.pixels.extend(pixels),
                    _ => {
                        let next = Frames { size, pixels: pixels.collect(), full: 255.0, bytes: true };
                        if let Some(run) = run.replace(next)
                            && !each(&[run])?
                        {
                            return Ok(());
                        }
                    }
                }
            }
            if let Some(run) = run
                && !each(&[run])?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    fn name(&self, frame: usize) -> String {
        self.pictures[frame].display().to_string()
    }
}
