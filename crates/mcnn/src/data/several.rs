//! Demonstrations of several sources as one: what must be equal, and what is only suspicious.

use std::path::{Path, PathBuf};

use super::{
    Demonstrations, DimensionNames, Format, Origin, Parts, ReadOptions, ReadResult, Selection,
    raw::{Each, RawSteps},
    read::{finish, load},
    source::Source,
};
use crate::error::{Error, Kind, Result};

/// Ranges of a dimension in two sources that differ by this factor are probably of different units.
const SUSPICIOUS: f32 = 100.0;

/// Reads demonstrations of several sources, of any formats, as one, in this order. Options apply to each source: `episodes` of a
/// selection are the numbers in each. The result numbers episodes on: the number of an episode is that in its source, plus one more than
/// the largest number before. Actions are scaled together. Rewards are dropped if a source has none.
///
/// # Errors
/// As [`read`](super::read()), and if states or actions have other widths or names, are other embeddings, or in a source of the same
/// format are of other keys; both sources and the first difference are named.
///
/// # Panics
/// If there is no path.
pub fn read_all(paths: &[PathBuf], options: &ReadOptions) -> Result<ReadResult> {
    let (_, source) = load_all(paths, &mut Whole { selection: &options.selection, check: check_values })?;
    finish(source, &named(paths), options)
}

/// The paths as text.
fn named(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Loads the sources that are joined.
pub(super) trait LoadOne {
    /// Loads one. Its values may be in its parts, or elsewhere.
    ///
    /// # Errors
    /// Of reading it, and of its values.
    fn load(&mut self, path: &Path) -> Result<(Format, Source)>;

    /// The range of each dimension of states and actions of the source that was loaded last ([`ranges`]).
    fn ranges(&self, last: &Source) -> [Vec<f32>; 2] {
        ranges(&last.parts)
    }
}

/// Loads sources into memory; `check` may refuse each.
pub(super) struct Whole<'a> {
    pub selection: &'a Selection,
    pub check: fn(&Path, &mut Source) -> Result<()>,
}

impl LoadOne for Whole<'_> {
    fn load(&mut self, path: &Path) -> Result<(Format, Source)> {
        let (format, mut source) = load(path, self.selection)?;
        (self.check)(path, &mut source)?;
        Ok((format, source))
    }
}

/// Refuses values that no one can use.
pub(super) fn check_values(path: &Path, source: &mut Source) -> Result<()> {
    match source.beyond.take() {
        Some(e) => Err(e),
        None => source.parts.check_values().map_err(|e| e.within(path.display())),
    }
}

/// Loads several sources as one. The format is that of all, if it is one.
pub(super) fn load_all(paths: &[PathBuf], loader: &mut dyn LoadOne) -> Result<(Option<Format>, Source)> {
    let (first, rest) = paths.split_first().expect("at least one source");
    let (format, mut all) = loader.load(first)?;
    if rest.is_empty() {
        return Ok((Some(format), all));
    }
    let mut formats = Some(format);
    let mut ranges = vec![(first, loader.ranges(&all))];
    all.notes = all.notes.into_iter().map(|note| format!("{}: {note}", first.display())).collect();
    for path in rest {
        let (other, source) = loader.load(path)?;
        formats = formats.filter(|format| *format == other);
        // Formats name the same things differently.
        let keys = (format == other).then_some(());
        check_equal(
            [&first.display().to_string(), &path.display().to_string()],
            [&Described::of_source(&all, keys), &Described::of_source(&source, keys)],
        )?;
        ranges.push((path, loader.ranges(&source)));
        let notes = source.notes.iter().map(|note| format!("{}: {note}", path.display()));
        all.notes.extend(notes);
        append(&mut all, source)?;
    }
    for (what, of) in [("state", 0), ("action", 1)] {
        all.notes.extend(suspicious(what, &ranges, of));
    }
    Ok((formats, all))
}

/// What must be equal in demonstrations that are joined.
struct Described {
    widths: [usize; 2],
    names: DimensionNames,
    encoding: Option<String>,
    keys: Option<[String; 2]>,
}

impl Described {
    /// Of a source, with its keys if they are to be compared.
    fn of_source(source: &Source, keys: Option<()>) -> Self {
        let of = |origin: &Origin| [origin.state_keys.join(", "), origin.action_keys.join(", ")];
        Self {
            widths: [source.parts.n_obs, source.parts.n_act],
            names: source.names.clone(),
            encoding: source.encoding.clone(),
            keys: keys.map(|()| of(&source.origin)),
        }
    }

    fn of_data(data: &Demonstrations) -> Self {
        Self {
            widths: [data.n_obs(), data.n_act()],
            names: data.names().clone(),
            encoding: data.encoding().map(str::to_owned),
            keys: None,
        }
    }
}

fn check_equal([first, other]: [&str; 2], [a, b]: [&Described; 2]) -> Result<()> {
    let refuse = |what: &str, expected: String, found: String| {
        Err(Error::new(Kind::Mismatch, format!("demonstrations that cannot be joined: {what}"))
            .at(other)
            .expected(format!("{expected}, as in {first}"))
            .found(found))
    };
    let of = |names: &DimensionNames| [names.state_names.clone(), names.action_names.clone()];
    let (names, others) = (of(&a.names), of(&b.names));
    for (k, what) in ["state", "action"].into_iter().enumerate() {
        if let (Some(keys), Some(others)) = (&a.keys, &b.keys)
            && keys[k] != others[k]
        {
            return refuse(&format!("the {what} is of other keys"), keys[k].clone(), others[k].clone());
        }
        if a.widths[k] != b.widths[k] {
            let width = |n: usize| format!("{n} dimensions");
            return refuse(&format!("the {what} has another width"), width(a.widths[k]), width(b.widths[k]));
        }
        if let (Some(names), Some(others)) = (&names[k], &others[k])
            && let Some((i, (name, other))) = names.iter().zip(others).enumerate().find(|(_, (a, b))| a != b)
        {
            let what = format!("{what} dimension {i} has another name");
            return refuse(&what, format!("{name:?}"), format!("{other:?}"));
        }
    }
    let words = |encoding: &Option<String>| {
        encoding
            .as_ref()
            .map_or("states that are no embeddings".into(), |text| text.chars().take(300).collect())
    };
    match a.encoding == b.encoding {
        true => Ok(()),
        false => refuse("other embeddings", words(&a.encoding), words(&b.encoding)),
    }
}

/// Appends a source that fits.
fn append(all: &mut Source, other: Source) -> Result<()> {
    let n = all.parts.ends.last().copied().unwrap_or(0);
    let Parts { states, actions, rewards, ends, .. } = other.parts;
    all.tasks = tasks([&all.tasks, &other.tasks], [all.parts.ends.len(), ends.len()]);
    all.parts.states.extend(states);
    all.parts.actions.extend(actions);
    all.parts.ends.extend(ends.iter().map(|end| n + end));
    if all.parts.rewards.is_some() != rewards.is_some() {
        let note = "rewards are left out: not all sources have them".to_owned();
        if !all.notes.contains(&note) {
            all.notes.push(note);
        }
    }
    all.parts.rewards = all.parts.rewards.take().zip(rewards).map(|(all, rewards)| [all, rewards].concat());
    all.episode_numbers = numbered_on(&all.episode_numbers, &other.episode_numbers)?;
    all.names = std::mem::take(&mut all.names).or(&other.names);
    if all.origin.fps != other.origin.fps {
        all.notes.push("the frame rate is left out: the sources have different ones, or none".into());
        all.origin.fps = None;
    }
    all.beyond = all.beyond.take().or(other.beyond);
    Ok(())
}

/// Texts of tasks of both, empty where a source has none; none if neither has.
fn tasks(texts: [&[String]; 2], episodes: [usize; 2]) -> Vec<String> {
    if texts.iter().all(|texts| texts.is_empty()) {
        return Vec::new();
    }
    let both = texts.into_iter().zip(episodes);
    both.flat_map(|(texts, n)| if texts.is_empty() { vec![String::new(); n] } else { texts.to_vec() })
        .collect()
}

/// The numbers of episodes, those of the second source after those of the first.
fn numbered_on(first: &[u32], second: &[u32]) -> Result<Vec<u32>> {
    let from = first.iter().max().map_or(Some(0), |last| last.checked_add(1));
    let on = second.iter().map(|k| from?.checked_add(*k));
    let on: Option<Vec<u32>> = on.collect();
    let on =
        on.ok_or_else(|| Error::new(Kind::Data, "episodes with numbers that are too large to be joined"))?;
    Ok([first, &on].concat())
}

/// The range of each dimension of states and actions, largest less smallest finite value.
pub(super) fn ranges(steps: &dyn RawSteps) -> [Vec<f32>; 2] {
    let [n_obs, n_act] = steps.widths();
    let of = |width: usize, each: &Each| -> Vec<f32> {
        let mut limits = vec![[f32::INFINITY, f32::NEG_INFINITY]; width];
        each(&mut |values| {
            for row in values.chunks_exact(width) {
                for (limit, v) in limits.iter_mut().zip(row).filter(|(_, v)| v.is_finite()) {
                    *limit = [limit[0].min(*v), limit[1].max(*v)];
                }
            }
        });
        limits.into_iter().map(|[low, high]| if high > low { high - low } else { 0.0 }).collect()
    };
    [of(n_obs, &|f| steps.each_states(f)), of(n_act, &|f| steps.each_actions(f))]
}

/// What to say about dimensions whose ranges differ by far between sources.
fn suspicious(what: &str, ranges: &[(&PathBuf, [Vec<f32>; 2])], of: usize) -> Option<String> {
    let extremes = |k: usize| {
        let varying =
            || ranges.iter().map(|(path, all)| (*path, all[of][k])).filter(|(_, range)| *range > 0.0);
        let smallest = varying().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let largest = varying().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (largest.1 >= SUSPICIOUS * smallest.1).then_some((k, smallest, largest))
    };
    let found: Vec<_> = (0..ranges[0].1[of].len()).filter_map(extremes).collect();
    let (k, (small, a), (large, b)) = *found.first()?;
    let more = match found.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more dimensions likewise)"),
    };
    Some(format!(
        "{what} dimension {k} ranges over {a:.3e} in {} and over {b:.3e} in {}{more}: are they of the same units?",
        small.display(),
        large.display()
    ))
}

impl Demonstrations {
    /// The episodes of several demonstrations, in this order, numbered on as [`read_all`] does. Rewards are dropped if one has none.
    ///
    /// # Errors
    /// None at all; other widths, names or embeddings; actions in other units.
    pub fn concat(all: &[Self]) -> Result<Self> {
        let Some((first, rest)) = all.split_first() else {
            return Err(Error::new(Kind::Data, "there are no demonstrations to join"));
        };
        let mut joined = first.clone();
        for (i, other) in rest.iter().enumerate() {
            let place = |i: usize| format!("demonstrations {i}");
            check_equal(
                [&place(0), &place(i + 1)],
                [&Described::of_data(first), &Described::of_data(other)],
            )?;
            if first.units() != other.units() {
                return Err(Error::new(
                    Kind::Mismatch,
                    "demonstrations that cannot be joined: actions in other units",
                )
                .at(place(i + 1))
                .next("read them together (read_all), which scales their actions together"));
            }
            let of = |data: &Self| (0..data.n_episodes()).map(|k| data.number(k)).collect::<Vec<_>>();
            let numbers = numbered_on(&of(&joined), &of(other))?;
            let tasks = tasks([joined.tasks(), other.tasks()], [joined.n_episodes(), other.n_episodes()]);
            let names = joined.names().clone().or(other.names());
            joined.extend(other);
            joined = joined.with_episodes(numbers, tasks).with_names(names)?;
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests;
