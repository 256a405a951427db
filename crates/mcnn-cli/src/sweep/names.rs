//! Names of methods, as short as they can be without two methods having the same.

use serde_json::{Map, Value};

use super::grid::label;

/// The settings that a method distinguishes by, most telling first. The others follow in the order of their names.
const TELLING: [&str; 6] = ["lambda", "form", "by", "steps", "smooth_neighbors", "train_through"];

/// The settings with several values among those methods that have them.
pub fn varying(methods: &[Map<String, Value>]) -> Vec<String> {
    let mut keys: Vec<&String> = methods.iter().flat_map(Map::keys).collect();
    keys.sort();
    keys.dedup();
    let varies = |key: &&String| {
        let mut values = methods.iter().filter_map(|m| m.get(*key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.into_iter().filter(varies).cloned().collect()
}

/// A name for each method: its own, and in brackets, where several have the same, what distinguishes them.
pub fn distinct<'a>(
    methods: &'a [Map<String, Value>],
    name: impl Fn(&Map<String, Value>) -> &'a str,
) -> Vec<String> {
    let of_same_name = |own: &str| -> Vec<Map<String, Value>> {
        methods.iter().filter(|m| name(m) == own).cloned().collect()
    };
    let named = |method: &Map<String, Value>| {
        let alike = of_same_name(name(method));
        if alike.len() == 1 {
            return name(method).to_owned();
        }
        format!("{} ({})", name(method), label(method, &distinguishing(&alike)))
    };
    methods.iter().map(named).collect()
}

/// One setting in which all methods differ, or all that vary.
fn distinguishing(methods: &[Map<String, Value>]) -> Vec<String> {
    let mut keys = varying(methods);
    keys.sort_by_key(|key| TELLING.iter().position(|t| t == key).unwrap_or(TELLING.len()));
    let tells_apart = |key: &&String| {
        let labels: Vec<String> = methods.iter().map(|m| label(m, &[(*key).clone()])).collect();
        labels.iter().enumerate().all(|(i, l)| !labels[..i].contains(l))
    };
    match keys.iter().find(tells_apart) {
        Some(key) => vec![key.clone()],
        None => keys,
    }
}
