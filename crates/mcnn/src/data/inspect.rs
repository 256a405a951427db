//! Statistics of a file of demonstrations, also of data that cannot be used for training.

use std::{
    cmp::Ordering,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    ActionRange, Demonstrations, Dimension, DimensionNames, Format, Key, Parts, Selection, Step, Units,
    content_hash::ContentHash,
    dimension::dimensions,
    scale::{is_constant, near_constant},
    several::{Whole, load_all},
    source::Source,
    warnings::of_lengths,
};
use crate::error::Result;

/// The absolute value from which an action value counts as at its limit, up to 1. It is below 1, because squashed policies
/// approach their limit without reaching it.
pub const AT_LIMIT: f32 = 0.999;

/// The results of [`inspect`]. Shares are between 0 and 1. Undefined statistics (the mean of no finite values) are NaN, `null`
/// in JSON.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Inspection {
    /// The file's format; none for data from memory.
    pub format: Option<Format>,
    /// The number of episodes.
    pub episodes: usize,
    /// The number of steps of all episodes.
    pub steps: usize,
    /// Lengths of the episodes, in steps.
    pub lengths: Lengths,
    /// Dimension of a state.
    pub n_obs: usize,
    /// Dimension of an action.
    pub n_act: usize,
    /// Statistics of each dimension of the state: `[n_obs]`.
    pub states: Vec<Dimension>,
    /// Statistics of each dimension of the action: `[n_act]`.
    pub actions: Vec<Dimension>,
    /// Names of the dimensions (the keys `state_names` and `action_names`), each list where there is one.
    #[serde(flatten)]
    pub names: DimensionNames,
    /// Dimensions of the state that do not vary (the rule of [`Scale::fit`](super::Scale::fit)).
    pub constant_states: Vec<usize>,
    /// Dimensions of the action that do not vary.
    pub constant_actions: Vec<usize>,
    /// Dimensions of the state that vary so little that they may be noise (the rule of
    /// [`Scale::near_constant`](super::Scale::near_constant)).
    pub near_constant_states: Vec<usize>,
    /// Dimensions of the action that do, beside the other dimensions of the action.
    pub near_constant_actions: Vec<usize>,
    /// Share of the action values at the limit, with absolute values from [`AT_LIMIT`] to 1.
    pub actions_at_limit: f64,
    /// Share of the action values outside [-1, 1].
    pub actions_outside: f64,
    /// Values of states, actions and rewards that are NaN or infinite.
    pub not_finite: usize,
    /// Bit-identical episodes (states and actions), as groups of two or more episode numbers.
    pub duplicates: Vec<Vec<u32>>,
    /// Observations that do not change.
    pub frozen: Frozen,
    /// Sums of the rewards, if there are rewards.
    pub returns: Option<Returns>,
    /// The arrays of the source, and what each is used as.
    pub keys: Vec<Key>,
    /// Steps per second, if the source says it.
    pub fps: Option<f64>,
    /// Texts of tasks with the number of their episodes, in the order of their first episodes.
    pub tasks: Vec<(String, usize)>,
    /// What a user should know of how the source was read.
    pub notes: Vec<String>,
    /// The encoder of the states ([`Demonstrations::encoding`]), if they are embeddings.
    pub encoding: Option<String>,
    /// How actions are scaled to [-1, 1], a line for each dimension; empty if they are used as they are.
    pub action_units: Vec<String>,
    /// [`Demonstrations::fingerprint`], if the data can be used as it is.
    pub fingerprint: Option<String>,
    /// Why the data cannot be used as it is: the error of [`Demonstrations::new`].
    pub refused: Option<String>,
    /// What looks unintended ([`Demonstrations::warnings`]); of data that cannot be used as they are, in the lengths of episodes.
    pub warnings: Vec<String>,
}

/// Lengths of episodes, in steps.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Lengths {
    /// The shortest.
    pub min: usize,
    /// The median; the mean of the middle two if the number of episodes is even.
    pub median: f64,
    /// The longest.
    pub max: usize,
}

/// Bit-identical consecutive states of an episode.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Frozen {
    /// Share of the steps after an episode's first that repeat the state before them.
    pub share: f64,
    /// Steps in the longest run of one state; 1 where none repeats.
    pub longest: usize,
    /// Where that run starts; of equally long runs, the first.
    pub at: Step,
}

/// Returns of the episodes: undiscounted sums of their rewards.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Returns {
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
    /// Each episode's: `[n_episodes]`.
    pub each: Vec<f64>,
}

/// Reads a file and computes its statistics.
///
/// # Errors
/// As [`read_parts`](super::read_parts): only what cannot be laid out as episodes of states and actions. NaN and actions outside
/// [-1, 1] are reported, not refused.
pub fn inspect(path: &Path, selection: &Selection) -> Result<Inspection> {
    inspect_all(&[path.to_owned()], selection)
}

/// The same of several sources, which are joined as [`read_all`](super::read_all) does.
///
/// # Errors
/// As [`inspect`], and if they cannot be joined.
///
/// # Panics
/// If there is no path.
pub fn inspect_all(paths: &[PathBuf], selection: &Selection) -> Result<Inspection> {
    let check = |path: &Path, source: &mut Source| {
        let Parts { n_obs, n_act, .. } = source.parts;
        source.names.validate(n_obs, n_act).map_err(|e| e.within(path.display()))
    };
    let (format, Source { parts, names, encoding, origin, tasks, keys, beyond, notes, .. }) =
        load_all(paths, &mut Whole { selection, check })?;
    let found = Inspection::of(format, parts)?;
    let refused = beyond.map(|e| e.to_string()).or(found.refused);
    let mut counted: Vec<(String, usize)> = Vec::new();
    for task in tasks {
        match counted.iter_mut().find(|(text, _)| *text == task) {
            Some((_, count)) => *count += 1,
            None => counted.push((task, 1)),
        }
    }
    Ok(Inspection { encoding, names, keys, fps: origin.fps, tasks: counted, notes, refused, ..found })
}

impl Inspection {
    /// Computes the statistics of data in memory (`Parts::from(demonstrations)`).
    ///
    /// # Errors
    /// Shapes that do not belong together ([`Parts::check`]).
    pub fn of(format: Option<Format>, parts: Parts) -> Result<Self> {
        parts.check()?;
        let Parts { n_obs, n_act, .. } = parts;
        let ((states, fingerprint), (actions, duplicates, frozen)) = rayon::join(
            || {
                rayon::join(
                    || dimensions(&parts.states, n_obs),
                    || {
                        let mut hash = ContentHash::new(&[n_obs, n_act], &parts.ends);
                        [&parts.states, &parts.actions].into_iter().for_each(|values| hash.add(values));
                        hash.finish()
                    },
                )
            },
            || (dimensions(&parts.actions, n_act), duplicates(&parts), frozen(&parts)),
        );
        let constant = |dimensions: &[Dimension]| {
            let still = |d: &Dimension| is_constant(d.mean, d.std);
            (0..dimensions.len()).filter(|&i| still(&dimensions[i])).collect()
        };
        let near_constant = |dimensions: &[Dimension]| {
            let std = |d: &Dimension| if is_constant(d.mean, d.std) { 0.0 } else { d.std };
            near_constant(&dimensions.iter().map(std).collect::<Vec<_>>())
        };
        let finite = parts.actions.iter().map(|a| a.abs()).filter(|a| a.is_finite());
        let (mut n, mut at_limit, mut outside) = (0_usize, 0_usize, 0_usize);
        for size in finite {
            n += 1;
            at_limit += usize::from((AT_LIMIT..=1.0).contains(&size));
            outside += usize::from(size > 1.0);
        }
        let share = |part: usize| part as f64 / n as f64;
        let rewards = parts.rewards.iter().flatten();
        let not_finite = states.iter().chain(&actions).map(|d| d.not_finite).sum::<usize>()
            + rewards.filter(|r| !r.is_finite()).count();
        let mut inspection = Self {
            format,
            episodes: parts.ends.len(),
            steps: parts.n_steps(),
            lengths: lengths(&parts),
            n_obs: parts.n_obs,
            n_act: parts.n_act,
            constant_states: constant(&states),
            constant_actions: constant(&actions),
            near_constant_states: near_constant(&states),
            near_constant_actions: near_constant(&actions),
            states,
            actions,
            names: DimensionNames::default(),
            actions_at_limit: share(at_limit),
            actions_outside: share(outside),
            not_finite,
            duplicates,
            frozen,
            returns: returns(&parts),
            keys: Vec::new(),
            fps: None,
            tasks: Vec::new(),
            notes: Vec::new(),
            encoding: None,
            action_units: Vec::new(),
            fingerprint: None,
            refused: None,
            warnings: Vec::new(),
        };
        let lengths: Vec<usize> = episodes(&parts).map(|e| e.len()).collect();
        match Demonstrations::scaled(parts, &inspection.names, &Units::default(), ActionRange::Refuse) {
            Ok((data, _)) => {
                inspection.action_units = data.units().describe(&inspection.names);
                let is_scaled = !data.units().is_identity();
                inspection.fingerprint = Some(if is_scaled { data.fingerprint() } else { fingerprint });
                inspection.warnings = data.warnings();
                if data.groups().len() == 1 {
                    inspection.warnings.push(
                        "one recording: there is no second one to validate or calibrate on; `mcnn learn` and `train` cut it into \
                         blocks, which are more alike than new recordings; record more"
                            .into(),
                    );
                }
            }
            Err(e) => {
                inspection.refused = Some(e.to_string());
                inspection.warnings = of_lengths(&lengths);
            }
        }
        Ok(inspection)
    }
}

/// The steps of each episode.
fn episodes(parts: &Parts) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(parts.ends.iter().copied());
    starts.zip(&parts.ends).map(|(start, &end)| start..end)
}

fn lengths(parts: &Parts) -> Lengths {
    let mut lengths: Vec<usize> = episodes(parts).map(|e| e.len()).collect();
    lengths.sort_unstable();
    let n = lengths.len();
    Lengths {
        min: lengths[0],
        median: (lengths[(n - 1) / 2] + lengths[n / 2]) as f64 / 2.0,
        max: lengths[n - 1],
    }
}

/// The order of two rows by their bits, so that NaN equals itself.
fn by_bits(a: &[f32], b: &[f32]) -> Ordering {
    let bits = |values: &[f32], i: usize| values[i].to_bits();
    (a.len().cmp(&b.len())).then_with(|| {
        let first = (0..a.len()).find(|&i| bits(a, i) != bits(b, i));
        first.map_or(Ordering::Equal, |i| bits(a, i).cmp(&bits(b, i)))
    })
}

fn duplicates(parts: &Parts) -> Vec<Vec<u32>> {
    let episodes: Vec<Range<usize>> = episodes(parts).collect();
    let rows = |values: &'_ [f32], width: usize, k: usize| {
        let Range { start, end } = episodes[k];
        start * width..(end * width).min(values.len())
    };
    let compare = |&a: &usize, &b: &usize| {
        let of =
            |values: &[f32], width| by_bits(&values[rows(values, width, a)], &values[rows(values, width, b)]);
        of(&parts.states, parts.n_obs).then_with(|| of(&parts.actions, parts.n_act))
    };
    let mut order: Vec<usize> = (0..episodes.len()).collect();
    order.sort_by(compare); // stable: equal episodes stay in the order of the file
    let groups = order.chunk_by(|a, b| compare(a, b).is_eq());
    let mut groups: Vec<Vec<u32>> = groups
        .filter(|group| group.len() > 1)
        .map(|group| group.iter().map(|&k| k as u32).collect())
        .collect();
    groups.sort_unstable();
    groups
}

fn frozen(parts: &Parts) -> Frozen {
    let state = |i: usize| &parts.states[i * parts.n_obs..][..parts.n_obs];
    let (mut pairs, mut equal) = (0_usize, 0_usize);
    let mut longest = 1;
    let mut at = Step { episode: 0, step: 0 };
    for (k, steps) in episodes(parts).enumerate() {
        let mut run = 1;
        for i in steps.start + 1..steps.end {
            pairs += 1;
            if by_bits(state(i - 1), state(i)).is_ne() {
                run = 1;
                continue;
            }
            equal += 1;
            run += 1;
            if run > longest {
                longest = run;
                at = Step { episode: k as u32, step: (i + 1 - run - steps.start) as u32 };
            }
        }
    }
    Frozen { share: if pairs == 0 { 0.0 } else { equal as f64 / pairs as f64 }, longest, at }
}

fn returns(parts: &Parts) -> Option<Returns> {
    let rewards = parts.rewards.as_ref()?;
    let sum = |steps: Range<usize>| rewards[steps].iter().map(|&r| f64::from(r)).sum::<f64>();
    let each: Vec<f64> = episodes(parts).map(sum).collect();
    Some(Returns {
        min: each.iter().copied().fold(f64::NAN, f64::min),
        mean: each.iter().sum::<f64>() / each.len() as f64,
        max: each.iter().copied().fold(f64::NAN, f64::max),
        each,
    })
}

#[cfg(test)]
mod tests;
