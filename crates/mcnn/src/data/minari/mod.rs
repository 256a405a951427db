//! Minari's datasets: a folder `data` with `metadata.json` and episodes, in HDF5 or Parquet.
//!
//! Layout: Minari, `minari/dataset/_storages` and `serialization.py`. An episode has one observation more than actions; the last is
//! not used. Observations that are a Dict or a Tuple are flattened in the order of `gymnasium.spaces.utils.flatten`: Dicts by their
//! sorted keys, a choice as one dimension for each of its values.

mod space;
mod store;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Format, KeyRange, Origin, Parts, Selection,
    hdf5::Flat,
    json,
    number::Beyond,
    read::FRAMES,
    selection::no_such_key,
    source::{Joined, Key, Source, Table, Usage, join, none_selected, texts},
};
use crate::error::{Error, Kind, Result};
use space::{Leaf, LeafKind, Space};
use store::{Array, Store};

/// The most bytes of `metadata.json`, in which the limits of a picture's pixels are written out.
const MAX_BYTES: u64 = 64 << 20;
const METADATA: &str = "metadata.json";
const MAIN: &str = "main_data.hdf5";
const OBSERVATIONS: &str = "observations";
const ACTIONS: &str = "actions";
const LABELS: [&str; 3] = ["rewards", "terminations", "truncations"];

/// What `metadata.json` says. Spaces are JSON in a text.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    data_format: Option<String>,
    observation_space: Option<String>,
    action_space: Option<String>,
}

/// Whether a path is a Minari dataset: its folder, the folder `data` in it, or the id of a dataset that lies where Minari keeps
/// them ($MINARI_DATASETS_PATH or ~/.minari/datasets).
pub(super) fn recognize(path: &Path) -> Option<Format> {
    data_folder(path).map(|_| Format::Minari)
}

/// Whether an HDF5 file is the one of a Minari dataset.
pub(super) fn is_file(path: &Path, length: u64) -> bool {
    let is_episode = |name: &String| name.strip_prefix("episode_").is_some_and(|n| n.parse::<u32>().is_ok());
    Flat::open(path, length).is_ok_and(|file| {
        let names = file.names();
        !names.is_empty() && names.iter().all(is_episode)
    })
}

/// The folder with the data.
fn data_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        let inside = path.join("data");
        if inside.join(MAIN).is_file() || inside.join(METADATA).is_file() {
            return Some(inside);
        }
        let is_data = || {
            let about: Result<Metadata> = json::read(&path.join(METADATA), MAX_BYTES);
            about.is_ok_and(|about| about.data_format.is_some() || about.observation_space.is_some())
        };
        return (path.join(MAIN).is_file() || path.join(METADATA).is_file() && is_data())
            .then(|| path.into());
    }
    if path.exists() || !path.is_relative() {
        return None;
    }
    let named = std::env::var_os("MINARI_DATASETS_PATH").map(PathBuf::from);
    let root = named.or_else(|| Some(std::env::home_dir()?.join(".minari/datasets")))?;
    kept(&root, path)
}

/// The folder with the data of a dataset that Minari keeps under `root`.
fn kept(root: &Path, id: &Path) -> Option<PathBuf> {
    let inside = root.join(id).join("data");
    inside.join(METADATA).is_file().then_some(inside)
}

/// Reads a dataset. Errors name the key; the caller adds the path.
pub(super) fn read(path: &Path, selection: &Selection) -> Result<Source> {
    selection.refuse_of_others(false, false)?;
    let (store, [observations, actions]) = open(path)?;
    refuse_choices(&actions, selection)?;
    let states = pieces(&observations, OBSERVATIONS, &selection.state, "--state")?;
    let acts = pieces(&actions, ACTIONS, &selection.action, "--action")?;
    let numbers = store.numbers();
    let selected: Vec<u32> = numbers.iter().copied().filter(|&number| selection.takes(number)).collect();
    if selected.is_empty() {
        return Err(match numbers.is_empty() {
            true => Error::new(Kind::Data, "a Minari dataset without episodes")
                .next("fetch it again: minari download ID"),
            false => none_selected(selection, &numbers, &[]),
        });
    }
    let beyond = Beyond::new();
    let mut all = Episodes::new(&states, &acts);
    for &number in &selected {
        let episode = all.add(&store, number, [&states, &acts], &beyond);
        episode.map_err(|e| e.within(store.name(number)))?;
    }
    let [state, action] = all.tables;
    let (state, action) = (joined(&states, state)?, joined(&acts, action)?);
    let usage = |root: &str, used: &[Piece], used_as: Usage, leaves: &[Leaf]| -> Vec<Key> {
        let one = |leaf: &Leaf| Key {
            name: leaf.name(root),
            shape: leaf.shape.clone(),
            dtype: leaf.dtype.clone(),
            used_as: match leaf.kind {
                LeafKind::Frames => Usage::Frames,
                _ if used.iter().any(|piece| piece.leaves.contains(leaf)) => used_as,
                _ => Usage::Unused,
            },
        };
        leaves.iter().map(one).collect()
    };
    let label = |name: &str| Key {
        name: name.into(),
        shape: Vec::new(),
        dtype: if name == LABELS[0] { "float" } else { "bool" }.into(),
        used_as: Usage::Label,
    };
    let mut keys = usage(OBSERVATIONS, &states, Usage::State, &observations);
    keys.extend(usage(ACTIONS, &acts, Usage::Action, &actions));
    keys.extend(LABELS.map(label));
    let key_texts =
        |pieces: &[Piece]| texts(&pieces.iter().map(|piece| piece.key.clone()).collect::<Vec<_>>());
    Ok(Source {
        names: super::DimensionNames { state_names: state.names, action_names: action.names },
        origin: Origin { state_keys: key_texts(&states), action_keys: key_texts(&acts), ..Origin::default() },
        episode_numbers: selected,
        keys,
        parts: Parts {
            n_obs: state.width,
            n_act: action.width,
            states: state.values,
            actions: action.values,
            rewards: all.rewards,
            ends: all.ends,
        },
        beyond: beyond.into_inner(),
        ..Source::default()
    })
}

/// Opens a dataset: its episodes, and the leaves of observations and actions.
fn open(path: &Path) -> Result<(Store, [Vec<Leaf>; 2])> {
    let (folder, main) = match data_folder(path) {
        Some(folder) => (folder.clone(), folder.join(MAIN)),
        // The file itself; its description may lie beside it.
        None => (path.parent().map(Path::to_owned).unwrap_or_default(), path.to_owned()),
    };
    let about: Metadata = match folder.join(METADATA).is_file() {
        true => json::read(&folder.join(METADATA), MAX_BYTES).map_err(|e| e.within(METADATA))?,
        false => Metadata::default(),
    };
    let store = match about.data_format.as_deref() {
        None | Some("hdf5") => Store::hdf5(&main).map_err(|e| e.within(MAIN))?,
        Some("parquet") => Store::parquet(&folder)?,
        Some(other) => {
            return Err(Error::new(Kind::File, "a Minari dataset in a format that is not read")
                .at(format!("{METADATA}, data_format"))
                .expected("hdf5 or parquet")
                .found(other.chars().take(20).collect::<String>())
                .next("write it again with Minari and data_format=\"parquet\" (minari.create_dataset_from_buffers)"));
        }
    };
    let parse = |text: &Option<String>, key: &str| -> Result<Option<Space>> {
        let space = text.as_deref().map(json::parse::<Space>).transpose();
        space.map_err(|e| e.within(format!("{METADATA}, {key}")))
    };
    let spaces = match (
        parse(&about.observation_space, "observation_space")?,
        parse(&about.action_space, "action_space")?,
    ) {
        (Some(observations), Some(actions)) => Some([observations, actions]),
        _ => store.spaces()?,
    };
    let Some([observations, actions]) = spaces else {
        return Err(Error::new(Kind::Data, "a Minari dataset without a description of its spaces")
            .at(METADATA)
            .expected("observation_space and action_space")
            .next("fetch it again: minari download ID"));
    };
    Ok((store, [observations.leaves()?, actions.leaves()?]))
}

/// Refuses actions that are not continuous.
fn refuse_choices(leaves: &[Leaf], selection: &Selection) -> Result<()> {
    let is_asked = |leaf: &Leaf| {
        selection.action.is_empty() || selection.action.iter().any(|key| key.key == leaf.name(ACTIONS))
    };
    let is_choice =
        |leaf: &&Leaf| matches!(leaf.kind, LeafKind::Choices(_)) || leaf.dtype.starts_with("MultiBinary");
    match leaves.iter().filter(|leaf| is_asked(leaf)).find(is_choice) {
        None => Ok(()),
        Some(leaf) => Err(Error::new(Kind::Data, "actions that are choices, not numbers")
            .at(leaf.name(ACTIONS))
            .expected("actions of a Box: the constraint is a box around the action of a memory, and choices have no distances")
            .found(leaf.dtype.clone())),
    }
}

/// A key of the state or action: one leaf, or all leaves of a Dict.
struct Piece {
    key: KeyRange,
    leaves: Vec<Leaf>,
}

/// The keys asked for, or all leaves of numbers.
fn pieces(leaves: &[Leaf], root: &str, asked: &[KeyRange], option: &str) -> Result<Vec<Piece>> {
    let is_number = |leaf: &&Leaf| matches!(leaf.kind, LeafKind::Numbers | LeafKind::Choices(_));
    if asked.is_empty() {
        let whole = |leaf: &Leaf| Piece {
            key: KeyRange { key: leaf.name(root), dimensions: None },
            leaves: vec![leaf.clone()],
        };
        let all: Vec<Piece> = leaves.iter().filter(is_number).map(whole).collect();
        if all.is_empty() {
            let frames = leaves.iter().any(|leaf| leaf.kind == LeafKind::Frames);
            let error = Error::new(Kind::Data, format!("{root} without numbers"));
            let found: Vec<&str> = leaves.iter().map(|leaf| &*leaf.dtype).take(20).collect();
            return Err(error.found(found.join(", ")).next(if frames { FRAMES } else { "" }));
        }
        return Ok(all);
    }
    let one = |key: &KeyRange| {
        let wanted = key.key.strip_prefix(root).map_or(&*key.key, |rest| rest.trim_start_matches('/'));
        let inside = |leaf: &&Leaf| {
            let name = leaf.path.join("/");
            name == wanted
                || wanted.is_empty()
                || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
        };
        let found: Vec<Leaf> = leaves.iter().filter(inside).cloned().collect();
        if found.is_empty() {
            let mut there: Vec<String> = leaves.iter().map(|leaf| leaf.name(root)).collect();
            there.dedup();
            return Err(no_such_key(&key.key, &there));
        }
        if let Some(leaf) = found.iter().find(|leaf| !is_number(leaf)) {
            let error =
                Error::new(Kind::Data, "a key that is not numbers").at(format!("{option} {}", key.key));
            let error = error.found(format!("{} in {}", leaf.dtype, leaf.name(root)));
            return Err(error.next(if leaf.kind == LeafKind::Frames { FRAMES } else { "" }));
        }
        Ok(Piece { key: key.clone(), leaves: found })
    };
    asked.iter().map(one).collect()
}

/// The values of all leaves, episode after episode.
struct Episodes {
    tables: [Vec<Vec<f32>>; 2], // of each leaf of the state and of the action
    rewards: Option<Vec<f32>>,
    ends: Vec<usize>,
}

impl Episodes {
    fn new(states: &[Piece], actions: &[Piece]) -> Self {
        let empty =
            |pieces: &[Piece]| pieces.iter().flat_map(|piece| &piece.leaves).map(|_| Vec::new()).collect();
        Self { tables: [empty(states), empty(actions)], rewards: Some(Vec::new()), ends: Vec::new() }
    }

    /// Adds an episode.
    fn add(&mut self, store: &Store, number: u32, pieces: [&[Piece]; 2], beyond: &Beyond) -> Result<()> {
        let leaves = [0, 1].map(|k| pieces[k].iter().flat_map(|piece| &piece.leaves).collect::<Vec<_>>());
        let path = |root: &'static str, leaf: &&'_ Leaf| -> Vec<String> {
            std::iter::once(root.to_owned()).chain(leaf.path.iter().cloned()).collect()
        };
        let mut paths: Vec<Vec<String>> = leaves[0].iter().map(|leaf| path(OBSERVATIONS, leaf)).collect();
        paths.extend(leaves[1].iter().map(|leaf| path(ACTIONS, leaf)));
        paths.push(vec![LABELS[0].into()]);
        let asked: Vec<Vec<&str>> =
            paths.iter().map(|path| path.iter().map(|part| &**part).collect()).collect();
        let mut arrays = store.arrays(number, &asked, beyond)?.into_iter().zip(&paths);
        let mut steps = None;
        for (k, leaves) in leaves.iter().enumerate() {
            for (leaf, to) in leaves.iter().zip(&mut self.tables[k]) {
                let Some((array, path)) = arrays.next() else { continue };
                let name = path.join("/");
                let array = array.ok_or_else(|| Error::new(Kind::Data, "missing key").at(&*name))?;
                let rows =
                    if k == 0 || store.is_padded() { array.rows.checked_sub(1) } else { Some(array.rows) };
                let expected = *steps.get_or_insert(rows.unwrap_or(0));
                if rows != Some(expected) {
                    return Err(Error::new(Kind::Data, "arrays of different numbers of steps")
                        .at(name)
                        .expected(format!("{expected} steps, after one observation more"))
                        .found(format!("{} rows", array.rows)));
                }
                append(leaf, array, expected, to).map_err(|e| e.within(name))?;
            }
        }
        let steps = steps.unwrap_or(0);
        if steps == 0 {
            return Err(
                Error::new(Kind::Data, "an episode without steps").next("leave it out with --episodes")
            );
        }
        let rewards = arrays.next().and_then(|(array, _)| array);
        match (&mut self.rewards, rewards) {
            (Some(all), Some(array)) if array.width == 1 && array.rows >= steps => {
                all.extend_from_slice(&array.values[..steps]);
            }
            (_, Some(array)) if array.width != 1 || array.rows < steps => {
                return Err(Error::new(Kind::Data, "rewards of another number of steps")
                    .at(LABELS[0])
                    .expected(steps.to_string())
                    .found(array.rows.to_string()));
            }
            (all, _) => *all = None,
        }
        self.ends.push(self.ends.last().unwrap_or(&0) + steps);
        Ok(())
    }
}

/// Appends the first `rows` rows of an array; choices become a dimension for each value.
fn append(leaf: &Leaf, array: Array, rows: usize, to: &mut Vec<f32>) -> Result<()> {
    let width = leaf.stored_width();
    if array.width != width {
        return Err(Error::new(Kind::Data, "rows of another width than the space's")
            .expected(format!("{width} values, {}", leaf.dtype))
            .found(array.width.to_string()));
    }
    let values = &array.values[..rows * width];
    let LeafKind::Choices(choices) = &leaf.kind else {
        to.extend_from_slice(values);
        return Ok(());
    };
    if leaf.width() == 0 {
        to.extend_from_slice(values); // of an unknown number
        return Ok(());
    }
    for row in values.chunks_exact(choices.len()) {
        for (&value, &(n, start)) in row.iter().zip(choices) {
            let place = value as i64 - start;
            if place < 0 || place as u64 >= n {
                return Err(Error::new(Kind::Data, "a choice that the space does not have")
                    .expected(format!("{start} to {}", start + n as i64 - 1))
                    .found(value.to_string()));
            }
            to.extend((0..n as i64).map(|i| f32::from(i == place)));
        }
    }
    Ok(())
}

/// The pieces side by side.
fn joined(pieces: &[Piece], leaves: Vec<Vec<f32>>) -> Result<Joined> {
    let mut leaves = leaves.into_iter();
    let mut tables = Vec::new();
    for piece in pieces {
        let parts = piece.leaves.iter().zip(leaves.by_ref()).map(|(leaf, values)| Table {
            key: KeyRange { key: leaf.name("array"), dimensions: None },
            width: leaf.width().max(leaf.stored_width()),
            values,
            names: None,
        });
        let Joined { width, values, .. } = join(parts.collect())?;
        tables.push(Table { key: piece.key.clone(), width, values, names: None });
    }
    join(tables)
}

#[cfg(test)]
mod tests;
