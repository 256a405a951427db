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
    DimensionNames, MAX_NAME_LENGTH, Parts,
    number::Beyond,
    read::{FRAMES, are_frames},
};
use crate::error::{Error, Kind, Result};
use errors::{other_length, other_rank};
pub(super) use errors::{other_type, unreadable};
use flat::Flat;
use numbers::{flags, floats, floats_noting, whole_numbers};

/// Reads the parts of a file of `length` bytes. Errors, also that in `beyond`, name the key; the caller adds the file.
pub(super) fn read(path: &Path, length: u64, beyond: &Beyond) -> Result<Parts> {
    let file = Flat::open(path, length)?;
    let observations = file.table("observations")?;
    let bytes = matches!(observations.dtype(), Datatype::FixedPoint { size: 1, signed: false, .. });
    if bytes && are_frames(observations.shape()[1]) {
        return Err(other_type("observations", "numbers, not pixels", observations.dtype()).next(FRAMES));
    }
    let n_steps = observations.shape()[0];
    let (states, labels) =
        rayon::join(|| floats_noting(&observations, beyond), || labels(&file, n_steps, beyond));
    Ok(Parts { n_obs: observations.shape()[1] as usize, states: states?, ..labels? })
}

/// The same with the frames, of any rank from 2 on, left in the file.
pub(super) fn frames(path: &Path, length: u64, key: &str) -> Result<(Parts, Dataset)> {
    let file = Flat::open(path, length)?;
    let frames = match file.find_large(key)? {
        Some(frames) if frames.shape().len() > 1 => frames,
        _ => file.table(key)?, // returns the error
    };
    let beyond = Beyond::new();
    let labels = labels(&file, frames.shape()[0], &beyond)?;
    beyond.into_inner().map_or(Ok((labels, frames)), Err)
}

/// The names of all datasets and groups at the root.
pub(super) fn keys(path: &Path, length: u64) -> Result<Vec<String>> {
    Ok(Flat::open(path, length)?.names())
}

/// Actions, rewards and episode ends of `n_steps` steps; `states` is empty and `n_obs` is 1.
fn labels(file: &Flat, n_steps: u64, beyond: &Beyond) -> Result<Parts> {
    let actions = file.table("actions")?;
    let actions_steps = actions.shape()[0];
    if actions_steps != n_steps {
        return Err(other_length("actions", actions_steps, n_steps));
    }
    let column = |key| file.column(key, n_steps);
    let (timeouts, terminals) = (column("timeouts")?, column("terminals")?);
    let rewards = column("rewards")?;
    let ends = ends(
        timeouts.map(|c| flags(&c)).transpose()?,
        terminals.map(|c| flags(&c)).transpose()?,
        n_steps as usize,
    )?;
    Ok(Parts {
        n_obs: 1,
        n_act: actions.shape()[1] as usize,
        states: Vec::new(),
        actions: floats_noting(&actions, beyond)?,
        rewards: rewards.map(|column| floats_noting(&column, beyond)).transpose()?,
        ends,
    })
}

/// Reads the names of dimensions. Errors name the key; the caller adds the file.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    let file = Flat::open(path, length)?;
    Ok(DimensionNames {
        state_names: strings(&file, "state_names")?,
        action_names: strings(&file, "action_names")?,
    })
}

/// The strings of a dataset of rank 1, if the file has it.
fn strings(file: &Flat, key: &str) -> Result<Option<Vec<String>>> {
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
