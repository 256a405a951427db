//! robomimic's HDF5, as robomimic, MimicGen, LIBERO, RoboCasa and IsaacLab write it: a group `data/demo_K` for each episode, with
//! `actions`, `obs/KEY` and perhaps `rewards`; and filter keys `mask/NAME`, each the names of some episodes.
//!
//! Layout: robomimic, `docs/datasets/overview.md` and `utils/dataset.py`. Attributes are not read: the projects write different ones.

mod demo;
mod filter;
mod frames;

use std::{collections::HashSet, path::Path};

use super::{
    DimensionNames, KeyRange, Origin, Parts, Selection,
    hdf5::Flat,
    number::Beyond,
    read::{are_frames, limit_of_any_codec},
    selection::no_such_key,
    sink::{Sink, StepRows},
    source::{Key, Source, Usage, chosen, none_selected},
};
use crate::error::{Error, Kind, Result};
use demo::Demo;
pub(super) use frames::cameras;

/// The state where none is asked for and all of these are there, in diffusion_policy's order.
const STATE: [&str; 4] = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"];
/// The group of observations.
const OBS: &str = "obs/";

/// Whether a file has this layout. A file that cannot be opened has not.
pub(super) fn is_file(path: &Path, length: u64) -> bool {
    let has_demos = || {
        let file = Flat::open(path, length)?;
        let flat = file.names().iter().any(|name| name == "observations");
        let data = if flat { None } else { file.inside("data")? };
        Ok::<bool, Error>(data.is_some_and(|data| data.names().iter().any(|name| number(name).is_some())))
    };
    has_demos().unwrap_or(false)
}

/// Reads a file of `length` bytes, episode after episode. Errors name the key; the caller adds the file.
pub(super) fn read(path: &Path, length: u64, selection: &Selection, to: &mut dyn Sink) -> Result<Source> {
    selection.refuse_of_others(false, true)?;
    let file = Flat::open(path, length)?;
    let Some(data) = file.inside("data")? else {
        return Err(Error::new(Kind::Data, "missing key").at("/data").expected("the groups data/demo_K"));
    };
    let mut notes = Vec::new();
    let numbers = numbers(&data, &mut notes);
    let filter = selection.filter.as_deref().map(|name| filter::read(&file, name)).transpose()?;
    if let Some(filter) = &filter {
        let missing = filter.iter().filter(|k| numbers.binary_search(k).is_err()).count();
        if missing > 0 {
            notes.push(format!("episodes of the filter key that are not in the file: {missing}"));
        }
    }
    let filter: Option<HashSet<u32>> = filter.map(|filter| filter.into_iter().collect());
    let is_taken = |k: &u32| selection.takes(*k) && filter.as_ref().is_none_or(|filter| filter.contains(k));
    let taken: Vec<u32> = numbers.iter().copied().filter(is_taken).collect();
    let Some(&first) = taken.first() else { return Err(none_selected(selection, &numbers, &[])) };
    let layout = Demo::open(&data, first)?;
    let listing = layout.listing();
    let (state_keys, action_keys) = keys(&listing, selection)?;
    let beyond = Beyond::new();
    let mut left = limit_of_any_codec(length);
    let mut parts = Parts::default();
    let mut names = DimensionNames::default();
    let mut episode_numbers = Vec::new();
    for &k in &taken {
        if !to.in_memory() {
            left = limit_of_any_codec(length);
        }
        let demo = Demo::open(&data, k)?;
        let states = demo.tables(OBS, &state_keys, &mut left, &beyond)?;
        let actions = demo.tables("", &action_keys, &mut left, &beyond)?;
        let act_steps = actions.values.len() / actions.width.max(1);
        let steps = if selection.no_state { act_steps } else { states.values.len() / states.width.max(1) };
        demo.same_length(act_steps, steps)?;
        if steps == 0 {
            continue;
        }
        demo.same_widths([&mut parts.n_obs, &mut parts.n_act], [states.width, actions.width])?;
        let rewards = demo.rewards(steps, &mut left, &beyond)?;
        to.put(StepRows { states: states.values, actions: actions.values, rewards })?;
        parts.ends.push(parts.ends.last().unwrap_or(&0) + steps);
        episode_numbers.push(k);
        names = DimensionNames { state_names: states.names, action_names: actions.names };
    }
    if episode_numbers.len() < taken.len() {
        let empty = taken.len() - episode_numbers.len();
        notes.push(format!("episodes without steps, which are left out: {empty}"));
    }
    Ok(Source {
        parts,
        names,
        keys: listed(listing, &state_keys, &action_keys),
        origin: Origin::of(&state_keys, &action_keys),
        episode_numbers,
        beyond: beyond.into_inner(),
        notes,
        ..Source::default()
    })
}

/// The number of an episode by the name of its group.
fn number(name: &str) -> Option<u32> {
    let number: u32 = name.strip_prefix("demo_")?.parse().ok()?;
    (format!("demo_{number}") == name).then_some(number)
}

/// The numbers of the episodes, in order.
fn numbers(data: &Flat, notes: &mut Vec<String>) -> Vec<u32> {
    let names = data.names();
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number(name)).collect();
    if numbers.len() < names.len() {
        let others = names.len() - numbers.len();
        notes.push(format!("objects in /data that are not named demo_NUMBER and are left out: {others}"));
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A dataset of an episode: its name, its shape and its type in words.
type Listed = (String, Vec<u64>, String);

/// The keys of states and actions.
fn keys(listing: &[Listed], selection: &Selection) -> Result<(Vec<KeyRange>, Vec<KeyRange>)> {
    let observed = |(name, ..): &Listed| name.strip_prefix(OBS).map(str::to_owned);
    let there: Vec<String> = listing.iter().filter_map(observed).collect();
    if there.is_empty() {
        let simulated = listing.iter().any(|(name, ..)| name == "states");
        return Err(Error::new(Kind::Data, "episodes without observations")
            .at("/data/demo_K/obs")
            .found(if simulated { "a raw recording: states of the simulator and actions" } else { "no such group" })
            .next(
                "robomimic makes the observations: python -m robomimic.scripts.dataset_states_to_obs --dataset FILE \
                 --output_name low_dim.hdf5 --done_mode 2",
            ));
    }
    let whole = |key: &str| KeyRange { key: key.into(), dimensions: None };
    let mut state: Vec<KeyRange> = selection.state.clone();
    for range in &mut state {
        // The group may be named.
        if let Some(key) = range.key.strip_prefix(OBS) {
            range.key = key.into();
        }
        if !there.contains(&range.key) {
            return Err(no_such_key(&range.key, &there).within("/data/demo_K/obs"));
        }
    }
    if selection.no_state {
        state.clear();
    } else if state.is_empty() && STATE.iter().all(|key| there.iter().any(|name| name == key)) {
        state = STATE.iter().map(|key| whole(key)).collect();
    } else if state.is_empty() {
        let mut low: Vec<&str> = (listing.iter())
            .filter(|listed| is_low_dimensional(listed))
            .filter_map(|(name, ..)| name.strip_prefix(OBS))
            .collect();
        low.sort_unstable();
        state = low.into_iter().map(whole).collect();
    }
    if state.is_empty() && !selection.no_state {
        return Err(Error::new(Kind::Data, "no observations but frames")
            .at("/data/demo_K/obs")
            .found(there.join(", "))
            .next("make those of the state as well: robomimic's dataset_states_to_obs.py adds them"));
    }
    let others: Vec<String> =
        (listing.iter()).filter(|listed| observed(listed).is_none()).map(|(name, ..)| name.clone()).collect();
    let action = chosen(&selection.action, &["actions"], &others)?;
    if !others.contains(&action[0].key) {
        return Err(no_such_key(&action[0].key, &others).within("/data/demo_K"));
    }
    Ok((state, action))
}

/// Whether a dataset is a row of numbers, or a number, a step.
fn is_low_dimensional((_, shape, dtype): &Listed) -> bool {
    let is_number = dtype.ends_with("floats") || dtype.ends_with("integers") || dtype.starts_with("booleans");
    let width = shape.get(1).copied().unwrap_or(1);
    is_number && matches!(shape.len(), 1 | 2) && !(dtype.starts_with("8-bit") && are_frames(width))
}

/// All keys, as the first episode has them; those of the next observations are left out.
fn listed(listing: Vec<Listed>, state: &[KeyRange], action: &[KeyRange]) -> Vec<Key> {
    let is = |keys: &[KeyRange], name: &str| keys.iter().any(|range| range.key == name);
    let key = |(name, shape, dtype): Listed| {
        let observed = name.strip_prefix(OBS);
        let used_as = match observed {
            Some(name) if is(state, name) => Usage::State,
            Some(_) if shape.len() == 4 && dtype.starts_with("8-bit") => Usage::Frames,
            None if is(action, &name) => Usage::Action,
            None if name == "rewards" || name == "dones" => Usage::Label,
            _ => Usage::Unused,
        };
        let name = observed.map(str::to_owned).unwrap_or(name);
        Key { name, shape: shape.get(1..).unwrap_or_default().to_vec(), dtype, used_as }
    };
    listing.into_iter().filter(|(name, ..)| !name.starts_with("next_obs/")).map(key).collect()
}
