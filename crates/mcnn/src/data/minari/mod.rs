//! Minari's datasets: a folder `data` with `metadata.json` and episodes, in HDF5, Parquet or Arrow.
//!
//! Layout: Minari, `minari/dataset/_storages` and `serialization.py`. An episode has one observation more than actions; the last is
//! not used. Observations that are a Dict or a Tuple are flattened in the order of `gymnasium.spaces.utils.flatten`: Dicts by their
//! sorted keys, a choice as one dimension for each of its values.

mod episodes;
mod space;
mod store;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Format, Origin, Parts, Selection,
    hdf5::Flat,
    json,
    number::Beyond,
    sink::{Sink, StepRows},
    source::{Key, Source, Usage, none_selected},
};
use crate::error::{Error, Kind, Result};
use episodes::{Episode, Piece, joined, pieces};
use space::{Leaf, LeafKind, Space};
use store::{Part, Store};

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
    total_episodes: Option<u64>,
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

/// Reads a dataset, episode after episode. Errors name the key; the caller adds the path.
pub(super) fn read(path: &Path, selection: &Selection, to: &mut dyn Sink) -> Result<Source> {
    selection.refuse_of_others(false, false)?;
    let (store, [observations, actions], total) = open(path)?;
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
    let counted = total.filter(|&total| total > numbers.len() as u64);
    let notes =
        counted.map(|total| format!("{METADATA} counts {total} episodes, and {} are there", numbers.len()));
    let beyond = Beyond::new();
    let (mut widths, mut ends) = ([0; 2], Vec::new());
    let mut names = super::DimensionNames::default();
    for &number in &selected {
        if !to.in_memory() {
            store.renew_budget();
        }
        let episode = Episode::read(&store, number, [&states, &acts], &beyond);
        let Episode { tables: [state, action], rewards, steps } =
            episode.map_err(|e| e.within(store.name(number)))?;
        let (state, action) = (joined(&states, state)?, joined(&acts, action)?);
        widths = [state.width, action.width];
        names = super::DimensionNames { state_names: state.names, action_names: action.names };
        ends.push(ends.last().unwrap_or(&0) + steps);
        to.put(StepRows { states: state.values, actions: action.values, rewards })?;
    }
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
    let ranges = |pieces: &[Piece]| pieces.iter().map(|piece| piece.key.clone()).collect::<Vec<_>>();
    Ok(Source {
        names,
        origin: Origin::of(&ranges(&states), &ranges(&acts)),
        episode_numbers: selected,
        keys,
        parts: Parts { n_obs: widths[0], n_act: widths[1], ends, ..Parts::default() },
        beyond: beyond.into_inner(),
        notes: notes.into_iter().collect(),
        ..Source::default()
    })
}

/// Opens a dataset: its episodes, the leaves of observations and actions, and how many episodes its description counts.
fn open(path: &Path) -> Result<(Store, [Vec<Leaf>; 2], Option<u64>)> {
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
        Some("parquet") => Store::folders(&folder, Part::Parquet)?,
        Some("arrow") => Store::folders(&folder, Part::Arrow)?,
        Some(other) => {
            return Err(Error::new(Kind::File, "a Minari dataset in a format that is not read")
                .at(format!("{METADATA}, data_format"))
                .expected("hdf5, parquet or arrow")
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
    Ok((store, [observations.leaves()?, actions.leaves()?], about.total_episodes))
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

#[cfg(test)]
mod tests;
