//! LeRobot's datasets, versions 2.0, 2.1 and 3.0: folders of Parquet files, with `meta/info.json`.
//!
//! Layout: LeRobot, `src/lerobot/datasets` (`utils.py`, `dataset_writer.py`, `feature_utils.py`). The state is `observation.state`
//! with `observation.environment_state` after it, where there is one; the action is `action`. Statistics in the dataset are not
//! used. Videos and pictures are opened for their frames alone ([`cameras()`]).

mod cameras;
mod episodes;
mod files;
mod frames;
mod info;
mod stats;
mod write;

use std::path::Path;

use super::{
    DimensionNames, Format, KeyRange, Origin, Parts, Selection,
    number::Beyond,
    parquet,
    read::FRAMES,
    regular,
    sink::{Sink, StepRows},
    source::{Joined, Key, Source, Table, Usage, chosen, join, none_selected, taken_as},
};
use crate::error::{Error, Kind, Result};
pub(super) use cameras::cameras;
use episodes::{Episode, episodes};
use files::{Files, read_files};
use frames::Wanted;
use info::Info;
pub(super) use write::{Written, write};

const STATE: &str = "observation.state";
const ENVIRONMENT: &str = "observation.environment_state";
const REWARD: &str = "next.reward";
/// Features of every dataset, and what LeRobot writes of the end of an episode.
const LABELS: [&str; 9] = [
    "timestamp",
    "frame_index",
    "episode_index",
    "index",
    "task_index",
    REWARD,
    "next.done",
    "next.success",
    "next.truncated",
];

/// The format of a folder, if it is a LeRobot dataset.
///
/// # Errors
/// A version that is not read.
pub(super) fn recognize(folder: &Path) -> Result<Option<Format>> {
    if ![info::INFO, info::OLD_INFO].iter().any(|name| folder.join(name).is_file()) {
        return Ok(None);
    }
    Ok(Info::read(folder)?.format)
}

/// Reads a folder, file after file. Errors name the file in it; the caller adds the folder.
pub(super) fn read(folder: &Path, selection: &Selection, to: &mut dyn Sink) -> Result<Source> {
    selection.refuse_of_others(true, false)?;
    let info = Info::read(folder)?;
    let (state_keys, action_keys) = keys(&info, selection)?;
    let (all, mut notes) = episodes(folder, &info, selection)?;
    if info.version() == "v2.0" {
        notes.push("the dataset has version v2.0 of LeRobot's format".into());
    }
    let mut selected = select(&all, selection, &mut notes)?;
    if selection.whole {
        keep_whole(folder, &mut selected, &mut notes)?;
    }
    let (wanted, has_rewards) = wanted(&info, state_keys.iter().chain(&action_keys))?;
    let beyond = Beyond::new();
    let mut refused = Vec::new();
    let mut names_of_keys = |keys: &[KeyRange]| -> Vec<Option<Vec<String>>> {
        keys.iter().map(|key| names_of(&info, key, &mut refused)).collect()
    };
    let key_names = [names_of_keys(&state_keys), names_of_keys(&action_keys)];
    if !refused.is_empty() {
        notes.push(format!("names of dimensions that are not used: {}", refused.join("; ")));
    }
    let (mut widths, mut names) = ([0; 2], [const { None }; 2]);
    let files = Files {
        folder,
        info: &info,
        all: &all,
        selected: &selected,
        wanted: &wanted,
        in_memory: to.in_memory(),
    };
    read_files(&files, &beyond, &mut |mut tables| {
        let rewards = if has_rewards { tables.pop() } else { None };
        let mut take = |keys: &[KeyRange], names: &[Option<Vec<String>>]| -> Result<Joined> {
            let table = |(key, names): (&KeyRange, &Option<Vec<String>>)| {
                let place = wanted.iter().position(|feature| feature.key == key.key).unwrap_or(0);
                // A key that is used twice is copied.
                let again =
                    state_keys.iter().chain(&action_keys).filter(|other| other.key == key.key).count() > 1;
                let values = if again { tables[place].clone() } else { std::mem::take(&mut tables[place]) };
                Table { key: key.clone(), width: wanted[place].width, values, names: names.clone() }
            };
            join(keys.iter().zip(names).map(table).collect())
        };
        let states = take(&state_keys, &key_names[0])?;
        let actions = take(&action_keys, &key_names[1])?;
        widths = [states.width, actions.width];
        names = [states.names, actions.names];
        to.put(StepRows { states: states.values, actions: actions.values, rewards })
    })?;
    // Names of several keys together may be too long, or occur twice.
    let valid = |names: DimensionNames| match names.validate(widths[0], widths[1]) {
        Ok(()) => names,
        Err(_) => DimensionNames::default(),
    };
    let [state_names, action_names] = names;
    let of_state = DimensionNames { state_names, action_names: None };
    let of_action = DimensionNames { state_names: None, action_names };
    let names = valid(of_state).or(&valid(of_action));
    let tasks = tasks(&selected, selection, &mut notes);
    let ends = selected.iter().scan(0, |end, episode| {
        *end += episode.length as usize;
        Some(*end)
    });
    Ok(Source {
        keys: listing(&info, &state_keys, &action_keys),
        origin: Origin { fps: info.fps(), ..Origin::of(&state_keys, &action_keys) },
        names,
        episode_numbers: selected.iter().map(|episode| episode.number).collect(),
        tasks,
        parts: Parts { n_obs: widths[0], n_act: widths[1], ends: ends.collect(), ..Parts::default() },
        beyond: beyond.into_inner(),
        notes,
        encoding: None,
    })
}

/// The names of the dimensions, without the values.
pub(super) fn names(folder: &Path) -> Result<DimensionNames> {
    let info = Info::read(folder)?;
    let (state, action) = keys(&info, &Selection::default())?;
    let names = |keys: &[KeyRange]| match keys {
        [key] => names_of(&info, key, &mut Vec::new()),
        _ => None,
    };
    Ok(DimensionNames { state_names: names(&state), action_names: names(&action) })
}

/// The keys of the state and of the action.
fn keys(info: &Info, selection: &Selection) -> Result<(Vec<KeyRange>, Vec<KeyRange>)> {
    let there: Vec<String> = info.features().keys().cloned().collect();
    let has = |key: &&str| info.features().contains_key(*key);
    let state: Vec<&str> = [STATE, ENVIRONMENT].into_iter().filter(has).collect();
    let state = if state.is_empty() { vec!["state"] } else { state };
    let action = ["action", "actions"].into_iter().find(has).unwrap_or("action");
    let missing = |what: &str, option: &str, found: &[String]| {
        Error::new(Kind::Data, format!("no feature that is the {what}"))
            .at(info::INFO)
            .found(format!("the features {}", found.join(", ").chars().take(600).collect::<String>()))
            .next(format!("name the features of the {what}: {option} KEY,KEY"))
    };
    if selection.state.is_empty() && !selection.no_state && !has(&state[0]) {
        return Err(missing("state", "--state", &there));
    }
    if selection.action.is_empty() && !has(&action) {
        return Err(missing("action", "--action", &there));
    }
    let state = if selection.no_state { Vec::new() } else { chosen(&selection.state, &state, &there)? };
    Ok((state, chosen(&selection.action, &[action], &there)?))
}

/// The features to read, each once, and whether there are rewards: they are the last.
fn wanted<'a>(info: &Info, keys: impl Iterator<Item = &'a KeyRange>) -> Result<(Vec<Wanted>, bool)> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for key in keys {
        let Some(feature) = info.feature(&key.key) else { continue };
        if !feature.is_number() {
            let error = Error::new(Kind::Data, "a feature that is not numbers").at(&*key.key);
            return Err(match feature.is_frames() {
                true => error.expected("floats, integers or booleans").found("camera frames").next(FRAMES),
                false => error.expected("floats, integers or booleans").found(feature.dtype.clone()),
            });
        }
        let width = feature.width().unwrap_or(0);
        if width == 0 {
            return Err(Error::new(Kind::Data, "a feature without values").at(&*key.key));
        }
        if wanted.iter().all(|known| known.key != key.key) {
            wanted.push(Wanted { key: key.key.clone(), width });
        }
    }
    let is_reward = info.feature(REWARD).is_some_and(|f| f.is_number() && f.width() == Some(1));
    if is_reward {
        wanted.push(Wanted { key: REWARD.into(), width: 1 });
    }
    Ok((wanted, is_reward))
}

/// The episodes that are selected and have frames.
fn select<'a>(
    all: &'a [Episode],
    selection: &Selection,
    notes: &mut Vec<String>,
) -> Result<Vec<&'a Episode>> {
    let of_task = |episode: &Episode| selection.task.as_ref().is_none_or(|task| episode.tasks.contains(task));
    let mut selected: Vec<&Episode> =
        all.iter().filter(|episode| selection.takes(episode.number) && of_task(episode)).collect();
    if selected.is_empty() && !all.is_empty() {
        let numbers: Vec<u32> = all.iter().map(|episode| episode.number).collect();
        let tasks: Vec<String> = all.iter().flat_map(|episode| episode.tasks.iter().cloned()).collect();
        return Err(none_selected(selection, &numbers, &tasks));
    }
    let empty: Vec<String> = selected
        .iter()
        .filter(|episode| episode.length == 0)
        .map(|episode| episode.number.to_string())
        .collect();
    if !empty.is_empty() {
        let listed = empty.join(", ").chars().take(200).collect::<String>();
        notes.push(format!("episodes without frames are left out: {listed}"));
        selected.retain(|episode| episode.length > 0);
    }
    if selected.is_empty() {
        return Err(Error::new(Kind::Data, "there are no episodes with frames"));
    }
    Ok(selected)
}

/// Drops the episodes whose data files are unfinished.
fn keep_whole(folder: &Path, selected: &mut Vec<&Episode>, notes: &mut Vec<String>) -> Result<()> {
    let mut unfinished: Vec<(String, usize)> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for episode in selected.iter() {
        let path = folder.join(&episode.file);
        let is_unfinished = *known.entry(episode.file.clone()).or_insert_with(|| {
            let opened = regular(&path).and_then(|length| parquet::Parquet::open(&path, length));
            opened.err().is_some_and(|e| parquet::is_unfinished(&e))
        });
        match unfinished.last_mut() {
            _ if !is_unfinished => {}
            Some((file, n)) if *file == episode.file => *n += 1,
            _ => unfinished.push((episode.file.clone(), 1)),
        }
    }
    selected.retain(|episode| !known[&episode.file]);
    notes.extend(
        unfinished.iter().map(|(file, n)| format!("{file} is unfinished, and its {n} episodes are left out")),
    );
    match (selected.is_empty(), unfinished.first()) {
        (true, Some((file, _))) => Err(episodes::unfinished_file(file, 0)),
        _ => Ok(()),
    }
}

/// The text of each episode's task; empty if there are none.
fn tasks(selected: &[&Episode], selection: &Selection, notes: &mut Vec<String>) -> Vec<String> {
    // A dataset has a task, if only one without text.
    if selected.iter().all(|episode| episode.tasks.iter().all(String::is_empty)) {
        return Vec::new();
    }
    let several = selected.iter().filter(|episode| episode.tasks.len() > 1).count();
    if several > 0 && selection.task.is_none() {
        notes.push(format!("{several} episodes have several tasks, of which the first is taken"));
    }
    let text = |episode: &&Episode| match &selection.task {
        Some(task) => task.clone(),
        None => episode.tasks.first().cloned().unwrap_or_default(),
    };
    selected.iter().map(text).collect()
}

/// The names of a key's dimensions. Those that cannot be used are added to `refused`, with the reason.
fn names_of(info: &Info, key: &KeyRange, refused: &mut Vec<String>) -> Option<Vec<String>> {
    let found = info.feature(&key.key)?.names()?;
    let valid = found.and_then(|names| {
        let checked = DimensionNames { state_names: Some(names.clone()), action_names: None };
        checked.validate(names.len(), 0).map(|()| names).map_err(|e| e.what().to_owned())
    });
    valid.map_err(|why| refused.push(format!("{} ({why})", key.key))).ok()
}

/// All features: those of the state and the action in their order, then the others.
fn listing(info: &Info, state: &[KeyRange], action: &[KeyRange]) -> Vec<Key> {
    let one = |(name, feature): (&String, &info::Feature)| Key {
        name: name.clone(),
        shape: if feature.width() == Some(1) { Vec::new() } else { feature.shape.clone() },
        dtype: feature.dtype.clone(),
        used_as: match taken_as(name, state, action) {
            Some(usage) => usage,
            None if LABELS.contains(&&**name) => Usage::Label,
            None if feature.is_frames() => Usage::Frames,
            None => Usage::Unused,
        },
    };
    let mut keys: Vec<Key> = info.features().iter().map(one).collect();
    let place = |name: &str| state.iter().chain(action).position(|key| key.key == name);
    keys.sort_by_key(|key| place(&key.name).unwrap_or(usize::MAX));
    keys
}

#[cfg(test)]
mod tests;
