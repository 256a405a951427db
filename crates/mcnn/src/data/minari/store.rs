//! Where Minari keeps episodes: groups of one HDF5 file, or a folder with a Parquet or an Arrow file for each.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::space::Space;
use crate::{
    data::{
        arrow::Arrow,
        hdf5::{Flat, floats_noting},
        number::{Beyond, beyond},
        parquet::{Budget, Column, Parquet, Values},
        regular,
    },
    error::{Error, Kind, Result},
};

/// The deepest nesting of groups.
const MAX_DEPTH: usize = 8;

/// The episodes of a dataset, by their numbers.
pub(super) enum Store {
    Hdf5 { file: Box<Flat>, names: BTreeMap<u32, String>, budget: Budget },
    Folders { folders: BTreeMap<u32, PathBuf>, part: Part, budget: Budget },
}

/// The format of an episode's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Parquet,
    Arrow,
}

impl Part {
    fn name(self, number: u32) -> String {
        let ending = if self == Self::Parquet { "parquet" } else { "arrow" };
        format!("part-{number}.{ending}")
    }
}

/// An array of an episode.
pub(super) struct Array {
    pub rows: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

impl Store {
    /// Opens the HDF5 file.
    pub fn hdf5(path: &Path) -> Result<Self> {
        let length = regular(path)?;
        let file = Flat::open(path, length)?;
        let number = |name: &String| Some((name.strip_prefix("episode_")?.parse().ok()?, name.clone()));
        let names = file.names().iter().filter_map(number).collect();
        Ok(Self::Hdf5 { file: Box::new(file), names, budget: Budget::new(length) })
    }

    /// Opens the folder of the episodes' folders.
    pub fn folders(folder: &Path, part: Part) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io("reading", folder, &e))?;
        let mut folders = BTreeMap::new();
        let mut length = 0_u64;
        for path in entries.flatten().map(|entry| entry.path()) {
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            if let (Some(number), true) = (number, path.is_dir()) {
                length += regular(&path.join(part.name(0))).unwrap_or(0);
                folders.insert(number, path);
            }
        }
        Ok(Self::Folders { folders, part, budget: Budget::new(length) })
    }

    /// Allows as much memory as at first, once the episodes before are no longer in memory.
    pub fn renew_budget(&self) {
        match self {
            Self::Hdf5 { budget, .. } | Self::Folders { budget, .. } => budget.renew(),
        }
    }

    /// The numbers of all episodes, in order.
    pub fn numbers(&self) -> Vec<u32> {
        match self {
            Self::Hdf5 { names, .. } => names.keys().copied().collect(),
            Self::Folders { folders, .. } => folders.keys().copied().collect(),
        }
    }

    /// The name of an episode, for error messages.
    pub fn name(&self, number: u32) -> String {
        match self {
            Self::Hdf5 { names, .. } => names.get(&number).cloned().unwrap_or_default(),
            Self::Folders { part, .. } => format!("{number}/{}", part.name(0)),
        }
    }

    /// Whether actions and rewards have a row of padding at the end, as observations have one for the last step's result.
    pub fn is_padded(&self) -> bool {
        matches!(self, Self::Folders { .. })
    }

    /// Reads arrays of an episode; `None` for one that is not there. Errors do not name the episode.
    pub fn arrays(&self, number: u32, paths: &[Vec<&str>], cell: &Beyond) -> Result<Vec<Option<Array>>> {
        match self {
            Self::Hdf5 { file, names, budget } => {
                let episode = names.get(&number).map(|name| file.inside(name)).transpose()?.flatten();
                let Some(episode) = episode else { return Ok(paths.iter().map(|_| None).collect()) };
                paths.iter().map(|path| of_group(&episode, path, budget, cell)).collect()
            }
            Self::Folders { folders, part, budget } => {
                let Some(folder) = folders.get(&number) else {
                    return Ok(paths.iter().map(|_| None).collect());
                };
                if folder.join(part.name(1)).exists() {
                    return Err(Error::new(Kind::File, "an episode in several files").next("write it in one"));
                }
                let path = folder.join(part.name(0));
                let length = regular(&path)?;
                match part {
                    Part::Parquet => of_columns(&Parquet::open(&path, length)?, paths, budget, cell),
                    Part::Arrow => of_arrow(&Arrow::open(&path, length, budget)?, paths, budget, cell),
                }
            }
        }
    }

    /// The spaces as the arrays of the first episode show them, where there is no description.
    pub fn spaces(&self) -> Result<Option<[Space; 2]>> {
        let Self::Hdf5 { file, names, .. } = self else { return Ok(None) };
        let first = names.values().next().map(|name| file.inside(name)).transpose()?.flatten();
        let Some(first) = first else { return Ok(None) };
        Ok(Some([space(&first, "observations", 0)?, space(&first, "actions", 0)?]))
    }
}

/// Key `key` of a Tuple in HDF5.
fn position(key: &str) -> String {
    format!("_index_{key}")
}

fn of_group(group: &Flat, path: &[&str], budget: &Budget, cell: &Beyond) -> Result<Option<Array>> {
    let named = |e: Error| e.within(path.join("/"));
    let [first, rest @ ..] = path else { return Ok(None) };
    let there = group.names();
    let key = match there.iter().any(|name| name == first) {
        true => (*first).to_owned(),
        false => position(first),
    };
    if !rest.is_empty() {
        let Some(inner) = group.inside(&key).map_err(named)? else { return Ok(None) };
        return of_group(&inner, rest, budget, cell);
    }
    let Some(dataset) = group.find(&key).map_err(named)? else { return Ok(None) };
    let shape = dataset.shape();
    let (rows, width) = match shape {
        [] => (1, 1),
        [rows, rest @ ..] => (*rows as usize, rest.iter().product::<u64>() as usize),
    };
    budget.take((rows as u64).saturating_mul(width as u64).saturating_mul(4)).map_err(named)?;
    let values = floats_noting(&dataset, cell).map_err(named)?;
    Ok(Some(Array { rows, width, values }))
}

fn of_columns(
    file: &Parquet,
    paths: &[Vec<&str>],
    budget: &Budget,
    cell: &Beyond,
) -> Result<Vec<Option<Array>>> {
    // A leaf is the path itself, or the elements of the list there.
    let is_at = |leaf: &[String], path: &[&str]| {
        let rest = leaf.len().checked_sub(path.len());
        matches!(rest, Some(0 | 2)) && leaf.iter().zip(path).all(|(a, b)| a == b)
    };
    let leaves: Vec<Option<usize>> =
        paths.iter().map(|path| file.leaves().iter().position(|leaf| is_at(&leaf.path, path))).collect();
    let mut arrays: Vec<Option<Array>> = leaves.iter().map(|leaf| leaf.map(|_| Array::empty())).collect();
    for group in 0..file.groups() {
        let there: Vec<usize> = leaves.iter().flatten().copied().collect();
        let columns = file.read(group, &there, budget)?;
        for ((array, path), column) in arrays.iter_mut().zip(paths).filter(|(a, _)| a.is_some()).zip(columns)
        {
            let Some(array) = array else { continue };
            array.append(column, cell, &path.join("/")).map_err(|e| e.within(path.join("/")))?;
        }
    }
    Ok(arrays)
}

fn of_arrow(file: &Arrow, paths: &[Vec<&str>], budget: &Budget, cell: &Beyond) -> Result<Vec<Option<Array>>> {
    let one = |path: &Vec<&str>| {
        let Some(leaf) = file.leaves().iter().find(|leaf| leaf.path == *path) else { return Ok(None) };
        let named = |e: Error| e.within(path.join("/"));
        let (rows, width, values) = file.read(leaf, budget).map_err(named)?;
        let mut array = Array { rows, width, values: Vec::new() };
        array.extend(values, cell, &path.join("/")).map_err(named)?;
        Ok(Some(array))
    };
    paths.iter().map(one).collect()
}

impl Array {
    fn empty() -> Self {
        Self { rows: 0, width: 0, values: Vec::new() }
    }

    /// Appends the rows of a row group.
    fn append(&mut self, column: Column, cell: &Beyond, name: &str) -> Result<()> {
        let width = column.width()?;
        if self.rows > 0 && width != self.width {
            return Err(Error::new(Kind::Data, "rows of different lengths")
                .expected(format!("{} values", self.width))
                .found(width.to_string()));
        }
        (self.width, self.rows) = (width, self.rows + column.rows);
        self.extend(column.values, cell, name)
    }

    /// Appends values.
    fn extend(&mut self, values: Values, cell: &Beyond, name: &str) -> Result<()> {
        match values {
            Values::F32(values) if self.values.is_empty() => self.values = values,
            Values::F32(values) => self.values.extend(values),
            Values::F64(values) => {
                if let Err(e) = beyond(name, &values, self.width) {
                    let _ = cell.set(e);
                }
                self.values.extend(values.into_iter().map(|v| v as f32));
            }
            Values::Integers(values) => self.values.extend(values.into_iter().map(|v| v as f32)),
            Values::Texts(_) => {
                return Err(Error::new(
                    Kind::Data,
                    "a column of pictures or texts where numbers were expected",
                ));
            }
        }
        Ok(())
    }
}

/// The space of an array or a group of an episode.
fn space(group: &Flat, key: &str, depth: usize) -> Result<Space> {
    let Some((shape, dtype)) = group.about(key)? else {
        let Some(inner) = group.inside(key)?.filter(|_| depth < MAX_DEPTH) else {
            return Err(Error::new(Kind::Data, "missing key")
                .at(key)
                .expected("an array or a group of arrays"));
        };
        let mut parts = Vec::new();
        for name in inner.names() {
            let shown = name.strip_prefix("_index_").unwrap_or(&name).to_owned();
            parts.push((shown, space(&inner, &name, depth + 1)?));
        }
        match parts.iter().map(|(name, _)| name.parse::<usize>().ok()).collect::<Option<Vec<_>>>() {
            Some(_) => parts.sort_by_key(|(name, _)| name.parse::<usize>().unwrap_or(0)),
            None => parts.sort_by(|a, b| a.0.cmp(&b.0)),
        }
        return Ok(Space::of_parts(parts));
    };
    Ok(match (&*dtype, &shape[..]) {
        ("text or rows of varying length", _) => Space::of_bytes(),
        (dtype, [_]) if dtype.ends_with("integers") => Space::of_choice(),
        ("8-bit integers", [_, rest @ ..]) if rest.len() > 1 => Space::of_array("uint8", rest),
        (dtype, [_, rest @ ..]) => Space::of_array(dtype, rest),
        (dtype, []) => Space::of_array(dtype, &[]),
    })
}
