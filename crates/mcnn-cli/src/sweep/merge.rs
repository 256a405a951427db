//! Results of several files as one: those of one plan, each run once.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, data::regular, error::Kind};
use serde_json::{Map, Value};

use super::{
    results::{self, Line},
    settings::Settings,
};

/// The results of several files.
pub struct Merged {
    /// In the order of the plan, each with its text as it was in its file.
    pub lines: Vec<(Line, String)>,
    /// Runs of the plan without a result.
    pub missing: Vec<Settings>,
    /// Runs in each file.
    pub counts: Vec<usize>,
    /// Results that were in several files.
    pub repeated: usize,
}

/// Merges files of results. Of a run in several files, a result is preferred to a failure.
///
/// # Errors
/// A file that cannot be read or that a sweep is writing, a run that the plan does not have, other data under the same name, and two
/// results of a run that differ.
pub fn merge(plan: &[Settings], files: &[PathBuf], tell: &dyn Fn(&str)) -> Result<Merged> {
    let places: HashMap<String, usize> = plan.iter().enumerate().map(|(i, run)| (run.key(), i)).collect();
    let mut found: HashMap<usize, ((Line, String), &Path)> = HashMap::new();
    let mut data: HashMap<String, (String, &Path)> = HashMap::new();
    let (mut counts, mut repeated) = (Vec::new(), 0);
    for path in files {
        let lines = read(path, tell)?;
        counts.push(lines.len());
        for (line, text) in lines {
            let place = places.get(&line.settings.key());
            let place = *place.ok_or_else(|| of_another_plan(&line.settings, plan, path))?;
            let (hash, first) =
                data.entry(line.settings.data.clone()).or_insert_with(|| (line.data.clone(), path));
            if *hash != line.data {
                return Err(Error::new(Kind::Mismatch, "the results are of different data of the same name")
                    .at(format!("{}: data {:?}", path.display(), line.settings.data))
                    .expected(format!("fingerprint {hash:.12}, as in {}", first.display()))
                    .found(format!("{:.12}", line.data)));
            }
            match found.entry(place) {
                Entry::Vacant(entry) => drop(entry.insert(((line, text), path))),
                Entry::Occupied(mut entry) => {
                    repeated += 1;
                    let ((old, _), first) = entry.get();
                    check_equal(old, &line, [first, path])?;
                    if old.error.is_some() {
                        entry.insert(((line, text), path));
                    }
                }
            }
        }
    }
    let missing = (0..plan.len()).filter(|i| !found.contains_key(i)).map(|i| plan[i].clone()).collect();
    let lines = (0..plan.len()).filter_map(|i| Some(found.remove(&i)?.0)).collect();
    Ok(Merged { lines, missing, counts, repeated })
}

/// Reads the results of one file, which no sweep may be writing.
fn read(path: &Path, tell: &dyn Fn(&str)) -> Result<Vec<(Line, String)>> {
    let length = regular(path)?;
    let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        return Err(Error::new(Kind::File, "a sweep is writing its results there")
            .at(path.display().to_string())
            .next("wait for it"));
    }
    let (lines, complete) = results::read_texts(path, &file)?;
    if length > complete {
        tell(&format!("{}: the last line is half-written; its run counts as not made", path.display()));
    }
    Ok(lines)
}

/// The error of a run that the plan does not have. It names the first setting in which it differs from the plan's most similar run.
fn of_another_plan(run: &Settings, plan: &[Settings], path: &Path) -> Error {
    let map = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("settings are plain values"),
    };
    let found = map(run);
    let all: Vec<Map<String, Value>> = plan.iter().map(map).collect();
    let differing = |other: &Map<String, Value>| -> Vec<String> {
        let keys = found.keys().chain(other.keys().filter(|key| !found.contains_key(*key)));
        keys.filter(|key| found.get(*key) != other.get(*key)).cloned().collect()
    };
    let nearest = all.iter().map(differing).min_by_key(Vec::len).unwrap_or_default();
    let error = Error::new(Kind::Mismatch, "these results are of another plan");
    let Some(key) = nearest.first() else { return error.at(path.display().to_string()) };
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    let mut values: Vec<String> = Vec::new();
    for value in all.iter().map(|other| text(other.get(key))) {
        if !values.contains(&value) && values.len() < 8 {
            values.push(value);
        }
    }
    error
        .at(format!("{}: {key}, seed {}", path.display(), run.seed))
        .expected(format!("{}, as in the plan", values.join(" or ")))
        .found(text(found.get(key)))
}

/// Checks that two results of a run are the same, but for what time decides.
fn check_equal(a: &Line, b: &Line, [first, second]: [&Path; 2]) -> Result<()> {
    if a.error.is_some() || b.error.is_some() {
        return Ok(());
    }
    let differing = [
        ("memories", a.memories != b.memories),
        ("policy", a.policy != b.policy),
        ("returns", a.returns != b.returns),
    ];
    let Some((key, _)) = differing.into_iter().find(|(_, differs)| *differs) else { return Ok(()) };
    Err(Error::new(Kind::Mismatch, "two results of the same run differ")
        .at(format!("{key}, seed {}", a.settings.seed))
        .expected(format!("the same in {} and {}", first.display(), second.display()))
        .found(format!("made by mcnn {} and {}", a.version, b.version))
        .next("take one of the files out"))
}
