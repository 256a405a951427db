//! D4RL's flat HDF5: every step of every episode in one table per key.
//!
//! Layout: D4RL, `d4rl/offline_env.py` and `scripts/generation/hand_dapg_demos.py`. Keys read: `observations` and
//! `actions` (rank 2), `timeouts`, `terminals` and `rewards` (rank 1, or 2 with one column), `state_names` and
//! `action_names` (rank 1, strings); others are ignored, and so are attributes.

mod errors;
mod filters;
mod flat;
mod links;
mod numbers;

use std::path::Path;

use hdf5_reader::{Dataset, Datatype, StringSize};

use super::{
    DimensionNames, KeyRange, MAX_NAME_LENGTH, Origin, Parts, Selection,
    frame_file::FrameLabels,
    number::Beyond,
    read::{FRAMES, are_frames, is_label},
    source::{Joined, Key, Source, Table, Usage, chosen, join, taken_as},
};
use crate::error::{Error, Kind, Result};
use errors::{other_length, other_rank};
pub(super) use errors::{other_type, unreadable};
pub(super) use flat::Flat;
pub(super) use numbers::floats_noting;
use numbers::{flags, floats, whole_numbers};

/// Reads a file of `length` bytes. Errors name the key; the caller adds the file.
pub(super) fn read(path: &Path, length: u64, selection: &Selection) -> Result<Source> {
    selection.refuse_of_others(false, false)?;
    let file = Flat::open(path, length)?;
    let beyond = Beyond::new();
    let listing = file.listing();
    let there: Vec<String> = listing.iter().map(|(name, ..)| name.clone()).collect();
    let state_keys = chosen(&selection.state, &["observations"], &there)?;
    let action_keys = chosen(&selection.action, &["actions"], &there)?;
    let open = |asked: &[KeyRange], keys: &[KeyRange]| -> Result<Vec<Dataset>> {
        let one = |key: &KeyRange| match asked.is_empty() {
            true => file.table(&key.key), // with the format's own messages
            false => file.named_table(&key.key),
        };
        keys.iter().map(one).collect()
    };
    let states = open(&selection.state, &state_keys)?;
    for (dataset, key) in states.iter().zip(&state_keys) {
        let bytes = matches!(dataset.dtype(), Datatype::FixedPoint { size: 1, signed: false, .. });
        if bytes && are_frames(dataset.shape().get(1).copied().unwrap_or(1)) {
            return Err(other_type(&key.key, "numbers, not pixels", dataset.dtype()).next(FRAMES));
        }
    }
    let n_steps = states[0].shape()[0];
    let actions = open(&selection.action, &action_keys)?;
    if let Some(other) = actions.iter().find(|table| table.shape()[0] != n_steps) {
        return Err(other_length(other.name(), other.shape()[0], n_steps));
    }
    let (states, labels) = rayon::join(
        || tables(&states, &state_keys, &beyond),
        || Ok((tables(&actions, &action_keys, &beyond)?, labels(&file, n_steps, &beyond)?)),
    );
    let (states, (actions, labels)) = (states?, labels?);
    let own = names_in(&file)?;
    let names = selection.names(own, states.names, actions.names);
    let usage = |name: &str| match taken_as(name, &state_keys, &action_keys) {
        Some(usage) => usage,
        None if is_label(name.split('/').next().unwrap_or(name)) => Usage::Label,
        None => Usage::Unused,
    };
    let keys = listing.into_iter().map(|(name, shape, dtype)| {
        let used_as = usage(&name);
        Key { name, shape: shape.get(1..).unwrap_or_default().to_vec(), dtype, used_as }
    });
    Ok(Source {
        parts: Parts {
            n_obs: states.width,
            n_act: actions.width,
            states: states.values,
            actions: actions.values,
            ..labels
        },
        names,
        origin: Origin::of(&state_keys, &action_keys),
        keys: keys.collect(),
        beyond: beyond.into_inner(),
        ..Source::default()
    })
}

/// The values of tables, side by side.
fn tables(datasets: &[Dataset], keys: &[KeyRange], beyond: &Beyond) -> Result<Joined> {
    let table = |(dataset, key): (&Dataset, &KeyRange)| {
        let width = dataset.shape().get(1).copied().unwrap_or(1) as usize;
        Ok(Table { key: key.clone(), width, values: floats_noting(dataset, beyond)?, names: None })
    };
    join(datasets.iter().zip(keys).map(table).collect::<Result<_>>()?)
}

/// The same with the frames, of any rank from 2 on, left in the file.
pub(super) fn frames(
    path: &Path,
    length: u64,
    key: &str,
    selection: &Selection,
) -> Result<(FrameLabels, Dataset)> {
    let file = Flat::open(path, length)?;
    let frames = match file.find_large(key)? {
        Some(frames) if frames.shape().len() > 1 => frames,
        _ => file.table(key)?, // returns the error
    };
    let beyond = Beyond::new();
    let n_steps = frames.shape()[0];
    let there: Vec<String> = file.listing().into_iter().map(|(name, ..)| name).collect();
    let open = |keys: &[KeyRange]| {
        keys.iter().map(|key| file.named_table(&key.key)).collect::<Result<Vec<Dataset>>>()
    };
    let state_datasets = open(&chosen(&selection.state, &[], &there)?)?;
    let (action_keys, action_datasets) = match &selection.action[..] {
        [] => (vec![KeyRange { key: "actions".into(), dimensions: None }], vec![file.table("actions")?]),
        keys => (keys.to_vec(), open(keys)?),
    };
    for table in state_datasets.iter().chain(&action_datasets) {
        if table.shape()[0] != n_steps {
            return Err(other_length(table.name(), table.shape()[0], n_steps));
        }
    }
    let states = tables(&state_datasets, &selection.state, &beyond)?;
    let actions = tables(&action_datasets, &action_keys, &beyond)?;
    let parts = Parts {
        n_obs: states.width.max(1),
        n_act: actions.width,
        states: states.values,
        actions: actions.values,
        ..labels(&file, n_steps, &beyond)?
    };
    let names = selection.names(names_in(&file)?, states.names, actions.names);
    beyond.into_inner().map_or(Ok((FrameLabels { parts, names }, frames)), Err)
}

/// The names of all datasets and groups at the root.
pub(super) fn keys(path: &Path, length: u64) -> Result<Vec<String>> {
    Ok(Flat::open(path, length)?.names())
}

/// Rewards and episode ends of `n_steps` steps, without states and actions.
fn labels(file: &Flat, n_steps: u64, beyond: &Beyond) -> Result<Parts> {
    let column = |key| file.column(key, n_steps);
    let (timeouts, terminals) = (column("timeouts")?, column("terminals")?);
    let rewards = column("rewards")?;
    let ends = ends(
        timeouts.map(|c| flags(&c)).transpose()?,
        terminals.map(|c| flags(&c)).transpose()?,
        n_steps as usize,
    )?;
    let rewards = rewards.map(|column| floats_noting(&column, beyond)).transpose()?;
    Ok(Parts { rewards, ends, ..Parts::default() })
}

/// Reads the names of dimensions. Errors name the key; the caller adds the file.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    names_in(&Flat::open(path, length)?)
}

fn names_in(file: &Flat) -> Result<DimensionNames> {
    Ok(DimensionNames {
        state_names: strings(file, "state_names")?,
        action_names: strings(file, "action_names")?,
    })
}

/// The strings of a dataset of rank 1, if the file has it.
pub(super) fn strings(file: &Flat, key: &str) -> Result<Option<Vec<String>>> {
    let Some(dataset) = file.find(key)? else {
        return Ok(None);
    };
    let [_] = dataset.shape() else {
        return Err(other_rank(key, "(dimensions,)", dataset.shape()));
    };
    match dataset.dtype() {
        Datatype::String { size: StringSize::Fixed(_), .. } => {}
        Datatype::String { size: StringSize::Variable, .. } | Datatype::VarLen { .. } => {
            // An element is a reference to a text elsewhere in the file, which many elements may share. The length of the text, the
            // first 4 bytes of the reference, is checked before the text is read.
            let references = dataset.read_raw_bytes().map_err(|e| unreadable(e, key))?;
            let size = dataset.vlen_reference_size().max(4);
            let longest = 4 * MAX_NAME_LENGTH as u32; // bytes in UTF-8
            for (i, reference) in references.chunks_exact(size).enumerate() {
                let bytes = u32::from_le_bytes([reference[0], reference[1], reference[2], reference[3]]);
                if bytes > longest {
                    return Err(Error::new(Kind::Data, "a name that is too long")
                        .at(format!("/{key}, dimension {i}"))
                        .expected(format!("at most {MAX_NAME_LENGTH} characters"))
                        .found(format!("{bytes} bytes")));
                }
            }
        }
        other => return Err(other_type(key, "strings", other)),
    }
    dataset.read_strings().map(Some).map_err(|e| unreadable(e, key))
}

/// The simulator's state in a recording in D4RL's layout, beside its demonstrations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Simulator {
    /// Positions of the joints at every step (`infos/qpos`): the width of a row, and the rows.
    pub qpos: Option<(usize, Vec<f32>)>,
    /// Velocities of the joints at every step (`infos/qvel`).
    pub qvel: Option<(usize, Vec<f32>)>,
    /// The seed that each episode's reset was given (`metadata/episode_seeds`).
    pub seeds: Option<Vec<u64>>,
}

/// Reads the simulator's state. Errors name the key; the caller adds the file.
pub(super) fn simulator(path: &Path, length: u64) -> Result<Simulator> {
    let file = Flat::open(path, length)?;
    let mut found = Simulator::default();
    if let Some(infos) = file.inside("infos")? {
        let table = |key| match infos.find(key)? {
            Some(table) if table.shape().len() == 2 => Ok(Some((table.shape()[1] as usize, floats(&table)?))),
            Some(other) => Err(other_rank(key, "(steps, width)", other.shape())),
            None => Ok(None),
        };
        (found.qpos, found.qvel) = (table("qpos")?, table("qvel")?);
    }
    if let Some(metadata) = file.inside("metadata")?
        && let Some(seeds) = metadata.find("episode_seeds")?
    {
        found.seeds = Some(whole_numbers(&seeds)?.into_iter().map(|seed| seed as u64).collect());
    }
    Ok(found)
}

/// Where episodes end (exclusive): after each step that `timeouts` or `terminals` marks, and after the last step.
fn ends(timeouts: Option<Vec<bool>>, terminals: Option<Vec<bool>>, n_steps: usize) -> Result<Vec<usize>> {
    let both = timeouts.is_some() && terminals.is_some();
    let marked = |marks: &Option<Vec<bool>>, i: usize| marks.as_ref().is_some_and(|m| m[i]);
    let mut ends: Vec<usize> =
        (0..n_steps).filter(|&i| marked(&timeouts, i) || marked(&terminals, i)).map(|i| i + 1).collect();
    if ends.is_empty() && n_steps > 0 && !both {
        // Cutting at a number of steps would be a guess: human demonstrations are longer than the task's horizon.
        return Err(Error::new(Kind::Data, "the ends of episodes are not marked")
            .at("/timeouts and /terminals")
            .expected("a mark at the last step of each episode")
            .found(match (timeouts, terminals) {
                (None, None) => "neither key",
                (Some(_), _) => "no mark in timeouts, and no terminals",
                (_, Some(_)) => "no mark in terminals, and no timeouts",
            })
            .next("write timeouts, or save states, actions and episode_ends with numpy.savez"));
    }
    if ends.last().is_none_or(|&end| end < n_steps) {
        ends.push(n_steps);
    }
    Ok(ends)
}
