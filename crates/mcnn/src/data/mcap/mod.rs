//! Recordings of ROS 2 in MCAP: a file, or the folder of a bag. Topics are chosen by name, and become steps of one rate.
//!
//! A key is a topic and a field of its messages, such as `/joint_states.position` or `/cmd.twist.linear`: all numbers there, in the order
//! of the message. Positions of joints are sorted by their names, which may be in any order in a message. A step is a tick of the rate: its state is the last message at
//! or before the tick, its action the next one at or after it.

mod cdr;
mod records;
mod resample;
mod schema;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    DimensionNames, KeyRange, Origin, Parts, Selection,
    number::{Beyond, beyond},
    parquet::Budget,
    regular,
    selection::no_such_key,
    source::{Key, Source, Table, Usage, join, taken_as},
};
use crate::error::{Error, Kind, Result};
use resample::{Track, episodes};
use schema::{Number, Type};

/// The most fields of a topic that are listed; each decodes a message.
const MOST_LISTED: usize = 1000;

/// Whether the first bytes of a file are those of MCAP.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    bytes.starts_with(records::MAGIC)
}

/// Whether a folder is a bag: its description, and a file of messages.
pub(super) fn is_folder(folder: &Path) -> bool {
    folder.join("metadata.yaml").is_file() && !files(folder).is_empty()
}

/// The files of a bag, in order; or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "mcap")).collect();
    // Parts of a split bag are NAME_0.mcap, NAME_1.mcap, ...
    let number = |path: &PathBuf| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        stem.rsplit_once('_').and_then(|(_, n)| n.parse::<u64>().ok())
    };
    found.sort_by_key(|path| (number(path), path.clone()));
    found
}

/// A topic with messages that can be decoded, and what was seen of it.
#[derive(Debug, Default)]
struct Topic {
    of: Option<Type>,
    name: String, // of the type
    why_not: Option<String>,
    messages: usize,
    first: Option<Vec<u8>>, // the first message
}

/// The keys of a topic that are read.
struct Wanted {
    key: KeyRange,
    topic: String,
    path: Vec<String>,
    is_action: bool,
    track: Track,
    names: Option<Vec<String>>, // of joints, as in the first message
}

/// Reads a recording. Errors name the topic; the caller adds the path.
pub(super) fn read(path: &Path, selection: &Selection) -> Result<Source> {
    selection.refuse_filters(false, false)?;
    let files = files(path);
    let lengths = files.iter().map(|file| regular(file)).collect::<Result<Vec<u64>>>()?;
    let budget = Budget::new(lengths.iter().sum());
    let mut notes = Vec::new();
    let topics = topics(&files, &lengths, &budget, &mut notes)?;
    if selection.state.is_empty() || selection.action.is_empty() {
        return Err(unchosen(selection, &topics));
    }
    let mut wanted = wanted(selection, &topics)?;
    take(&files, &lengths, &budget, &topics, &mut wanted)?;
    let stamped = wanted.iter().all(|wanted| wanted.track.is_stamped());
    let clock = if stamped { "the stamps of their headers" } else { "the times at which they were logged" };
    notes.push(format!("messages are in the order of {clock}"));
    for wanted in &mut wanted {
        wanted.track.sort(stamped);
    }
    let hz = selection.hz.or(selection.usual_hz).ok_or_else(|| {
        let rate = |wanted: &Wanted| format!("{} {:.1}", wanted.key, wanted.track.rate());
        let rates: Vec<String> = wanted.iter().map(rate).collect();
        Error::new(Kind::Settings, "topics have rates of their own, and steps one")
            .expected("--hz RATE, in steps per second")
            .found(format!("messages per second: {}", rates.join(", ")))
    })?;
    let tracks: Vec<(&Track, bool)> = wanted.iter().map(|wanted| (&wanted.track, wanted.is_action)).collect();
    let (steps, ends) = episodes(&tracks, hz, selection.gap, &budget, &mut notes)?;
    let cell = Beyond::new();
    let mut tables = [Vec::new(), Vec::new()];
    for (k, wanted) in wanted.iter().enumerate() {
        let rows = steps.iter().skip(k).step_by(tracks.len());
        let values: Vec<f64> = rows.flat_map(|row| wanted.track.row(*row)).copied().collect();
        let width = wanted.track.width();
        if let Err(e) = beyond(&wanted.key.key, &values, width) {
            let _ = cell.set(e);
        }
        let values = values.into_iter().map(|v| v as f32).collect();
        let names = wanted.names.clone();
        tables[usize::from(wanted.is_action)].push(Table { key: wanted.key.clone(), width, values, names });
    }
    let [state, action] = tables;
    let (state, action) = (join(state)?, join(action)?);
    // Two keys of the same joints have the same names.
    let valid = |names: Option<Vec<String>>, width: usize| {
        let all = DimensionNames { state_names: names, action_names: None };
        if all.validate(width, 0).is_ok() { all.state_names } else { None }
    };
    Ok(Source {
        names: DimensionNames {
            state_names: valid(state.names, state.width),
            action_names: valid(action.names, action.width),
        },
        keys: listing(&topics, selection),
        origin: Origin { fps: Some(hz), ..Origin::of(&selection.state, &selection.action) },
        parts: Parts {
            n_obs: state.width,
            n_act: action.width,
            states: state.values,
            actions: action.values,
            rewards: None,
            ends,
        },
        beyond: cell.into_inner(),
        notes,
        ..Source::default()
    })
}

/// All topics, with the types and times of their messages.
fn topics(
    files: &[PathBuf],
    lengths: &[u64],
    budget: &Budget,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Topic>> {
    let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
    for (file, &length) in files.iter().zip(lengths) {
        let is_whole = records::read(file, length, budget, &mut |known, message| {
            let Some(channel) = known.channels.get(&message.channel) else { return Ok(()) };
            let topic = topics.entry(channel.topic.clone()).or_default();
            topic.messages += 1;
            if topic.first.is_some() {
                return Ok(());
            }
            topic.first = Some(message.data.to_vec());
            let schema = known.schemas.get(&channel.schema);
            topic.name = schema.map(|schema| schema.name.clone()).unwrap_or_default();
            match schema {
                Some(schema) if channel.encoding == "cdr" && schema.encoding == "ros2msg" => {
                    match schema::parse(&schema.name, &String::from_utf8_lossy(&schema.text)) {
                        Ok(of) => topic.of = Some(of),
                        Err(e) => topic.why_not = Some(e.to_string()),
                    }
                }
                schema => {
                    let encoding = schema.map_or("no schema", |schema| &schema.encoding);
                    topic.why_not = Some(format!("messages in {}, {encoding}", channel.encoding));
                }
            }
            Ok(())
        })?;
        if !is_whole {
            notes.push(format!("{} was not closed; it is read as far as it goes", file.display()));
        }
    }
    match topics.is_empty() {
        true => Err(Error::new(Kind::Data, "a recording without messages")),
        false => Ok(topics),
    }
}

/// The error of a recording of which no topics are chosen: those that there are, with the numbers in them.
fn unchosen(selection: &Selection, topics: &BTreeMap<String, Topic>) -> Error {
    let lines = topics.iter().map(|(name, topic)| {
        let keys = keys_of(name, topic);
        let about = match &topic.why_not {
            Some(why) => why.clone(),
            None if keys.is_empty() => "no numbers".into(),
            None => keys.iter().map(|key| key.name[name.len()..].to_owned()).collect::<Vec<_>>().join(", "),
        };
        format!("{name} ({}, {} messages): {about}", topic.name, topic.messages)
    });
    let listed: Vec<String> = lines.take(100).map(|line| line.chars().take(300).collect()).collect();
    let missing = match (selection.state.is_empty(), selection.action.is_empty()) {
        (true, true) => "--state and --action",
        (true, false) => "--state",
        _ => "--action",
    };
    Error::new(Kind::Settings, "a recording of ROS has no topics that are state and action by their names")
        .expected(format!("{missing} with a topic and a field, such as /joint_states.position"))
        .found(format!("the topics\n    {}", listed.join("\n    ")))
}

/// The fields of numbers of a topic, in the order of its messages; of lists, with the elements of the first message.
fn keys_of(name: &str, topic: &Topic) -> Vec<Key> {
    let (Some(of), Some(first)) = (&topic.of, &topic.first) else { return Vec::new() };
    let mut found = Vec::new();
    fields(of, &mut Vec::new(), &mut |path, number, is_list| {
        if found.len() >= MOST_LISTED {
            return;
        }
        let values = cdr::take(of, path, first).map_or(0, |taken| taken.numbers.len());
        found.push(Key {
            name: format!("{name}.{}", path.join(".")),
            shape: if is_list { vec![values as u64] } else { Vec::new() },
            dtype: number.name().into(),
            used_as: Usage::Unused,
        });
    });
    found
}

/// Calls `each` with the path of every number, or list of numbers, that is no part of a header or a time; those of lists of messages with
/// the path of the list and the fields in it.
fn fields(of: &Type, path: &mut Vec<String>, each: &mut dyn FnMut(&[String], Number, bool)) {
    match of {
        Type::Number(number) => each(path, *number, false),
        Type::List(inner, _) => {
            if let Type::Number(number) = **inner {
                each(path, number, true);
            }
        }
        Type::Message(_, inner) if !cdr::is_time(of) => {
            for (name, of) in inner {
                path.push(name.clone());
                fields(of, path, each);
                path.pop();
            }
        }
        _ => {}
    }
}

/// All fields of numbers of all topics, and what they are used as.
fn listing(topics: &BTreeMap<String, Topic>, selection: &Selection) -> Vec<Key> {
    let mut all = Vec::new();
    for (name, topic) in topics {
        match &topic.why_not {
            Some(why) => all.push(Key {
                name: name.clone(),
                shape: Vec::new(),
                dtype: format!("{} ({why})", topic.name),
                used_as: Usage::Unused,
            }),
            None => all.extend(keys_of(name, topic)),
        }
    }
    for key in &mut all {
        let inside = |range: &&KeyRange| {
            key.name.strip_prefix(&range.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let within = |keys: &[KeyRange]| keys.iter().find(inside).cloned();
        let used = [within(&selection.state), within(&selection.action)].map(Vec::from_iter);
        let name = used.iter().flatten().next().map(|range| range.key.clone());
        if let Some(usage) = name.and_then(|name| taken_as(&name, &used[0], &used[1])) {
            key.used_as = usage;
        }
    }
    all
}

/// The keys asked for.
fn wanted(selection: &Selection, topics: &BTreeMap<String, Topic>) -> Result<Vec<Wanted>> {
    let one = |(key, is_action): (&KeyRange, bool)| {
        // The longest topic that the key begins with: names of topics may have dots.
        let fits = |name: &&String| {
            key.key.strip_prefix(&***name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let there = || {
            let keys = topics.iter().flat_map(|(name, topic)| keys_of(name, topic));
            keys.map(|key| key.name).collect::<Vec<String>>()
        };
        let name = topics.keys().filter(fits).max_by_key(|name| name.len());
        let Some((name, topic)) = name.and_then(|name| topics.get_key_value(name)) else {
            return Err(no_such_key(&key.key, &there()));
        };
        if let Some(why) = &topic.why_not {
            return Err(Error::new(Kind::Data, "a topic whose messages are not decoded")
                .at(&**name)
                .expected("messages of ROS 2 in CDR with their types as ros2msg")
                .found(why.clone()));
        }
        let rest = key.key[name.len()..].trim_start_matches('.');
        let path: Vec<String> = rest.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        match topic.of.as_ref().is_some_and(|of| has(of, &path)) {
            true => Ok(Wanted {
                key: key.clone(),
                topic: name.clone(),
                path,
                is_action,
                track: Track::default(),
                names: None,
            }),
            false => Err(no_such_key(&key.key, &there())),
        }
    };
    let states = selection.state.iter().map(|key| (key, false));
    states.chain(selection.action.iter().map(|key| (key, true))).map(one).collect()
}

/// Whether a type has the field at a path.
fn has(of: &Type, path: &[String]) -> bool {
    match (of, path) {
        (_, []) => true,
        (Type::Message(_, fields), [first, rest @ ..]) => {
            fields.iter().any(|(name, of)| name == first && has(of, rest))
        }
        (Type::List(of, _), [first, rest @ ..]) => first.parse::<usize>().is_ok() && has(of, rest),
        _ => false,
    }
}

/// Decodes the values of the keys.
fn take(
    files: &[PathBuf],
    lengths: &[u64],
    budget: &Budget,
    topics: &BTreeMap<String, Topic>,
    wanted: &mut [Wanted],
) -> Result<()> {
    let stamp = ["header", "stamp"].map(str::to_owned);
    for (file, &length) in files.iter().zip(lengths) {
        records::read(file, length, budget, &mut |known, message| {
            let Some(channel) = known.channels.get(&message.channel) else { return Ok(()) };
            let Some(of) = topics.get(&channel.topic).and_then(|topic| topic.of.as_ref()) else {
                return Ok(());
            };
            for wanted in wanted.iter_mut().filter(|wanted| wanted.topic == channel.topic) {
                let (key, n) = (&wanted.key, wanted.track.len());
                let named = |e: Error| e.within(format!("{key}, message {n}"));
                let mut values = cdr::take(of, &wanted.path, message.data).map_err(named)?.numbers;
                budget.take(8 * values.len() as u64 + 16)?;
                let joints = joints(of, &wanted.path, message.data).map_err(named)?;
                match (&wanted.names, joints) {
                    (None, joints) if wanted.track.len() == 0 => {
                        wanted.names = joints.filter(|joints| joints.len() == values.len());
                    }
                    (Some(names), Some(joints)) if *names != joints => {
                        values = sorted(&values, names, &joints).map_err(named)?;
                    }
                    _ => {}
                }
                let time = match has(of, &stamp) {
                    true => cdr::take(of, &stamp, message.data).map_err(named)?.numbers,
                    false => Vec::new(),
                };
                wanted.track.add(message.log_time, &time, values).map_err(named)?;
            }
            Ok(())
        })?;
    }
    match wanted.iter().find(|wanted| wanted.track.width() == 0) {
        None => Ok(()),
        Some(wanted) => Err(Error::new(Kind::Data, "a field without numbers").at(wanted.key.to_string())),
    }
}

/// The names of the joints of a JointState, if one of its lists is taken.
fn joints(of: &Type, path: &[String], data: &[u8]) -> Result<Option<Vec<String>>> {
    let is_joint_state = matches!(of, Type::Message(name, _) if name == "sensor_msgs/JointState");
    let is_list = matches!(path, [field] if ["position", "velocity", "effort"].contains(&&**field));
    if !(is_joint_state && is_list) {
        return Ok(None);
    }
    let names = cdr::take(of, &["name".to_owned()], data)?.texts;
    Ok(Some(names).filter(|names| !names.is_empty()))
}

/// Values of joints in the order of `names`.
fn sorted(values: &[f64], names: &[String], joints: &[String]) -> Result<Vec<f64>> {
    let of = |name: &String| {
        let place = joints.iter().position(|joint| joint == name);
        place.and_then(|place| values.get(place).copied()).ok_or_else(|| {
            Error::new(Kind::Data, "a message without a joint that the first one has")
                .expected(name.clone())
                .found(joints.join(", ").chars().take(300).collect::<String>())
                .next("record the joints of one robot in a topic of its own")
        })
    };
    names.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
