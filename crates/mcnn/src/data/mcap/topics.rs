//! The topics of a recording, and the numbers in their messages.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    cdr, records,
    schema::{self, Number, Type},
};
use crate::{
    data::{
        KeyRange, Selection,
        parquet::Budget,
        source::{Key, Usage, taken_as},
    },
    error::{Error, Kind, Result},
};

/// The most fields of a topic that are listed; each decodes a message.
const MOST_LISTED: usize = 1000;

/// A topic with messages that can be decoded, and what was seen of it.
#[derive(Debug, Default)]
pub(super) struct Topic {
    pub of: Option<Type>,
    name: String, // of the type
    pub why_not: Option<String>,
    messages: usize,
    first: Option<Vec<u8>>, // the first message
}

/// All topics, with the types and times of their messages.
pub(super) fn topics(
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
            let schema = known.schemas.get(&channel.schema);
            topic.name = schema.map(|schema| schema.name.clone()).unwrap_or_default();
            budget.take((channel.topic.len() + topic.name.len() + message.data.len()) as u64)?;
            topic.first = Some(message.data.to_vec());
            match schema {
                Some(schema) if channel.encoding == "cdr" && schema.encoding == "ros2msg" => {
                    match schema::parse(&schema.name, &String::from_utf8_lossy(&schema.text), budget) {
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
pub(super) fn unchosen(selection: &Selection, topics: &BTreeMap<String, Topic>) -> Error {
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
pub(super) fn keys_of(name: &str, topic: &Topic) -> Vec<Key> {
    let (Some(of), Some(first)) = (&topic.of, &topic.first) else { return Vec::new() };
    let mut found = Vec::new();
    fields(of, &mut Vec::new(), &mut |path, number, is_list| {
        if found.len() >= MOST_LISTED {
            return;
        }
        let values = cdr::count(of, path, first).unwrap_or(0);
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
pub(super) fn listing(topics: &BTreeMap<String, Topic>, selection: &Selection) -> Vec<Key> {
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
