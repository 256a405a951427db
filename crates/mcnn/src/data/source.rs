//! What every reader returns: the demonstrations as they are in the source, and what the source says about them.

use serde::{Deserialize, Serialize};

use super::{
    DimensionNames, KeyRange, Parts, Selection,
    selection::no_such_key,
    sink::{Sink, StepRows},
};
use crate::error::{Error, Kind, Result};

/// The result of a reader. Values are not checked yet.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The episodes, with actions in the source's units.
    pub parts: Parts,
    /// Names of the dimensions, where the source has them.
    pub names: DimensionNames,
    /// The encoder of the states, if they are embeddings.
    pub encoding: Option<String>,
    /// The keys and the frame rate.
    pub origin: Origin,
    /// The number of each episode in the source; empty if they are 0, 1, 2, ...
    pub episode_numbers: Vec<u32>,
    /// The task of each episode, where the source has texts of tasks; else empty.
    pub tasks: Vec<String>,
    /// All arrays of the source.
    pub keys: Vec<Key>,
    /// The error of finite 64-bit values that are infinite in `parts`, if there are any.
    pub beyond: Option<Error>,
    /// What a user should know of how the source was read, such as a damaged episode that was left out.
    pub notes: Vec<String>,
}

impl Source {
    /// Puts the steps of the episodes that are selected into `to`, and keeps everything else.
    ///
    /// # Errors
    /// As [`Parts::check`] and [`keep`](Self::keep), and of the sink.
    pub fn put(mut self, selection: &Selection, to: &mut dyn Sink) -> Result<Self> {
        if selection.no_state {
            self.parts.n_obs = 1;
            self.parts.states =
                vec![0.0; self.parts.actions.len().checked_div(self.parts.n_act).unwrap_or(0)];
        }
        self.parts.check()?;
        self.keep(selection)?;
        to.put(StepRows::of(&mut self.parts))?;
        Ok(self)
    }

    /// Drops the episodes that are not selected. A reader may have left them out already.
    ///
    /// # Errors
    /// If no episode is left.
    pub fn keep(&mut self, selection: &Selection) -> Result<()> {
        let n = self.parts.ends.len();
        if self.episode_numbers.is_empty() {
            self.episode_numbers = (0..n as u32).collect();
        }
        let task = |k: usize| selection.task.as_ref().is_none_or(|task| self.tasks.get(k) == Some(task));
        let taken: Vec<bool> = (0..n).map(|k| selection.takes(self.episode_numbers[k]) && task(k)).collect();
        if taken.iter().all(|&taken| taken) {
            return Ok(());
        }
        if !taken.contains(&true) {
            return Err(none_selected(selection, &self.episode_numbers, &self.tasks));
        }
        let Parts { n_obs, n_act, states, actions, rewards, ends } = std::mem::take(&mut self.parts);
        let steps: Vec<std::ops::Range<usize>> =
            std::iter::once(0).chain(ends.iter().copied()).zip(&ends).map(|(from, &to)| from..to).collect();
        let of = |values: &[f32], width: usize| -> Vec<f32> {
            let kept = steps.iter().zip(&taken).filter(|(_, taken)| **taken);
            kept.flat_map(|(steps, _)| &values[steps.start * width..steps.end * width]).copied().collect()
        };
        let lengths = steps.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(steps, _)| steps.len());
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        self.parts = Parts {
            n_obs,
            n_act,
            states: of(&states, n_obs),
            actions: of(&actions, n_act),
            rewards: rewards.map(|rewards| of(&rewards, 1)),
            ends: ends.collect(),
        };
        let mut is_taken = taken.iter();
        self.episode_numbers.retain(|_| *is_taken.next().unwrap_or(&false));
        let mut is_taken = taken.iter();
        self.tasks.retain(|_| *is_taken.next().unwrap_or(&false));
        Ok(())
    }
}

/// The error of a selection without episodes.
pub(super) fn none_selected(selection: &Selection, numbers: &[u32], tasks: &[String]) -> Error {
    let error = Error::new(Kind::Settings, "no episode is selected");
    if let Some(task) = selection.task.as_ref().filter(|task| !tasks.contains(task)) {
        let mut listed: Vec<String> = tasks.iter().map(|task| format!("{task:?}")).collect();
        listed.sort_unstable();
        listed.dedup();
        let more = listed.len().saturating_sub(10);
        listed.truncate(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return error.at(format!("--task {task:?}")).found(format!("the tasks {}{more}", listed.join(", ")));
    }
    let found = match (numbers.iter().min(), numbers.iter().max()) {
        (Some(first), Some(last)) => format!("{} episodes, from {first} to {last}", numbers.len()),
        _ => "no episodes".into(),
    };
    error.at("--episodes").found(found)
}

/// Which arrays of a source became states and actions, and how fast they were recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The keys of the state in order, as in [`KeyRange`]'s text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state_keys: Vec<String>,
    /// The keys of the action in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub action_keys: Vec<String>,
    /// Whether a user chose keys. Else they are the format's own, and other data may have others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_chosen: bool,
    /// Steps per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
}

impl Origin {
    /// The origin of states and actions that were read from these keys.
    pub(super) fn of(state: &[KeyRange], action: &[KeyRange]) -> Self {
        let texts = |keys: &[KeyRange]| keys.iter().map(ToString::to_string).collect();
        Self { state_keys: texts(state), action_keys: texts(action), ..Self::default() }
    }
}

/// An array of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The shape of one step's value; empty for a scalar.
    pub shape: Vec<u64>,
    /// The type, in the format's own words.
    pub dtype: String,
    /// What it is used as.
    pub used_as: Usage,
}

/// What an array of a source is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Part of the state.
    State,
    /// Part of the action.
    Action,
    /// Rewards, ends of episodes, names and other labels of the format.
    Label,
    /// Camera frames, for `mcnn embed`.
    Frames,
    /// Nothing.
    Unused,
}

/// The values of one key: a row for each step.
#[derive(Debug)]
pub(super) struct Table {
    /// The key, and the dimensions of it that are wanted.
    pub key: KeyRange,
    /// Values in a row.
    pub width: usize,
    /// Row by row: `[n_steps, width]`.
    pub values: Vec<f32>,
    /// Names of the dimensions, where the source has them: `[width]`.
    pub names: Option<Vec<String>>,
}

/// Tables joined side by side.
pub(super) struct Joined {
    pub width: usize,
    pub values: Vec<f32>,
    /// Of the source if all tables have names; KEY:DIMENSION if several have none; else none.
    pub names: Option<Vec<String>>,
}

/// Joins the wanted dimensions of tables side by side. A single whole table is not copied.
///
/// # Errors
/// Tables without dimensions, of different lengths, and dimensions that a table does not have. Without tables the width is 0.
pub(super) fn join(mut tables: Vec<Table>) -> Result<Joined> {
    if tables.is_empty() {
        return Ok(Joined { width: 0, values: Vec::new(), names: None });
    }
    let rows = |table: &Table| table.values.len().checked_div(table.width).unwrap_or(0);
    let n = tables.first().map_or(0, rows);
    for table in &tables {
        if table.width == 0 {
            return Err(Error::new(Kind::Data, "states and actions must have at least one dimension each")
                .at(&*table.key.key));
        }
        if rows(table) != n {
            return Err(Error::new(Kind::Data, "arrays with different numbers of steps")
                .at(&*table.key.key)
                .expected(format!("{n} steps, as {} has", tables[0].key.key))
                .found(format!("{} steps", rows(table))));
        }
        if let Some(range) = table.key.dimensions.as_ref().filter(|range| *range.end() >= table.width) {
            return Err(Error::new(Kind::Settings, "a dimension that the data do not have")
                .at(table.key.to_string())
                .expected(format!("dimensions 0 to {}", table.width as i64 - 1))
                .found(range.end().to_string()));
        }
    }
    if let [Table { key: KeyRange { dimensions: None, .. }, .. }] = &tables[..] {
        let Table { width, values, names, .. } = tables.remove(0);
        return Ok(Joined { width, values, names });
    }
    let wanted = |table: &Table| table.key.dimensions.clone().unwrap_or(0..=table.width.wrapping_sub(1));
    let width = tables.iter().map(|table| wanted(table).count()).sum::<usize>();
    let mut values = Vec::with_capacity(n * width);
    for row in 0..n {
        for table in &tables {
            let range = wanted(table);
            values.extend_from_slice(&table.values[row * table.width..][range]);
        }
    }
    let all_named = tables.iter().all(|table| table.names.is_some());
    let named = tables.iter().flat_map(|table| {
        wanted(table).map(|i| match &table.names {
            Some(names) if all_named => names[i].clone(),
            _ => KeyRange { key: table.key.key.clone(), dimensions: Some(i..=i) }.to_string(),
        })
    });
    let names = (all_named || tables.len() > 1).then(|| named.collect());
    Ok(Joined { width, values, names })
}

/// The keys to read: those asked for, or else `default`. Checks that the source has them.
///
/// # Errors
/// A key that `there` does not list.
pub(super) fn chosen(asked: &[KeyRange], default: &[&str], there: &[String]) -> Result<Vec<KeyRange>> {
    if asked.is_empty() {
        let whole = |key: &&str| KeyRange { key: (*key).into(), dimensions: None };
        return Ok(default.iter().map(whole).collect());
    }
    match asked.iter().find(|range| !there.contains(&range.key)) {
        Some(missing) => Err(no_such_key(&missing.key, there)),
        None => Ok(asked.to_vec()),
    }
}

/// What the key of a name is used as, if it is of the state or the action.
pub(super) fn taken_as(name: &str, state: &[KeyRange], action: &[KeyRange]) -> Option<Usage> {
    let is_of = |keys: &[KeyRange]| keys.iter().any(|range| range.key == name);
    if is_of(state) { Some(Usage::State) } else { is_of(action).then_some(Usage::Action) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(key: &str, width: usize, values: &[f32], names: Option<&[&str]>) -> Table {
        let names = names.map(|names| names.iter().map(ToString::to_string).collect());
        Table { key: key.parse().unwrap(), width, values: values.to_vec(), names }
    }

    #[test]
    fn tables_are_joined_side_by_side_by_their_ranges() {
        let a = || table("a", 2, &[1.0, 2.0, 3.0, 4.0], None);
        let b = || table("b:1-2", 3, &[5.0, 6.0, 7.0, 8.0, 9.0, 10.0], None);
        let joined = join(vec![a(), b()]).unwrap();
        assert_eq!((joined.width, &joined.values[..]), (4, &[1.0, 2.0, 6.0, 7.0, 3.0, 4.0, 9.0, 10.0][..]));
        assert_eq!(joined.names.unwrap(), ["a:0", "a:1", "b:1", "b:2"]);
        let alone = join(vec![b()]).unwrap();
        assert_eq!((alone.values, alone.names), (vec![6.0, 7.0, 9.0, 10.0], None));
        assert_eq!(join(vec![a()]).unwrap().values, [1.0, 2.0, 3.0, 4.0]);
        let named = table("c:1", 2, &[0.0; 4], Some(&["x", "y"]));
        assert_eq!(join(vec![named]).unwrap().names.unwrap(), ["y"]);
        let refused = |tables| join(tables).err().unwrap().to_string();
        assert!(refused(vec![table("b:1-3", 3, &[0.0; 6], None)]).contains("dimensions 0 to 2"));
        assert!(refused(vec![a(), table("d", 1, &[0.0; 3], None)]).contains("3 steps"));
        let none = || table("e", 0, &[], None);
        assert!(refused(vec![none(), none()]).contains("at least one dimension"));
    }

    #[test]
    fn episodes_that_are_not_selected_are_dropped_and_the_others_keep_their_numbers() {
        let source = || Source {
            parts: Parts {
                n_obs: 1,
                n_act: 2,
                states: vec![0.0, 1.0, 2.0, 3.0],
                actions: (0..8).map(|v| v as f32).collect(),
                rewards: Some(vec![5.0, 6.0, 7.0, 8.0]),
                ends: vec![1, 3, 4],
            },
            tasks: ["lift", "push", "lift"].map(String::from).to_vec(),
            ..Source::default()
        };
        let keep = |selection: Selection| {
            let mut source = source();
            source.keep(&selection).map(|()| source)
        };
        let found = keep(Selection { episodes: vec![1..=2], ..Selection::default() }).unwrap();
        assert_eq!((&found.parts.states[..], &found.parts.ends[..]), (&[1.0, 2.0, 3.0][..], &[2, 3][..]));
        assert_eq!(found.parts.actions, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!((found.parts.rewards.unwrap(), found.episode_numbers), (vec![6.0, 7.0, 8.0], vec![1, 2]));
        assert_eq!(found.tasks, ["push", "lift"]);
        let of_task = |task: &str| keep(Selection { task: Some(task.into()), ..Selection::default() });
        assert_eq!(of_task("lift").unwrap().episode_numbers, [0, 2]);
        let error = of_task("open").err().unwrap().to_string();
        assert!(error.contains(r#"the tasks "lift", "push""#), "{error}");
        let error = keep(Selection { episodes: vec![7..=9], ..Selection::default() }).err().unwrap();
        assert!(error.to_string().contains("3 episodes, from 0 to 2"), "{error}");
    }

    #[test]
    fn a_key_that_is_not_there_is_refused() {
        let there = ["state", "action"].map(String::from);
        assert_eq!(chosen(&[], &["state"], &there).unwrap()[0].key, "state");
        let asked = ["stat:0".parse().unwrap()];
        assert!(
            chosen(&asked, &["state"], &there).unwrap_err().to_string().contains("the keys state, action")
        );
    }
}
