//! The values of the keys that are read.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    cdr, records,
    resample::Track,
    schema::Type,
    topics::{Topic, keys_of},
};
use crate::{
    data::{KeyRange, Selection, parquet::Budget, selection::no_such_key},
    error::{Error, Kind, Result},
};

/// The keys of a topic that are read.
pub(super) struct Wanted {
    pub key: KeyRange,
    topic: String,
    path: Vec<String>,
    pub is_action: bool,
    pub track: Track,
    /// Of joints, as in the first message.
    pub names: Option<Vec<String>>,
}

/// The keys asked for.
pub(super) fn wanted(selection: &Selection, topics: &BTreeMap<String, Topic>) -> Result<Vec<Wanted>> {
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
pub(super) fn take(
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
                let mut values = cdr::take(of, &wanted.path, message.data, budget).map_err(named)?.numbers;
                budget.take(8 * values.len() as u64 + 16)?;
                let joints = joints(of, &wanted.path, message.data, budget).map_err(named)?;
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
                    true => cdr::take(of, &stamp, message.data, budget).map_err(named)?.numbers,
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
fn joints(of: &Type, path: &[String], data: &[u8], budget: &Budget) -> Result<Option<Vec<String>>> {
    let is_joint_state = matches!(of, Type::Message(name, _) if name == "sensor_msgs/JointState");
    let is_list = matches!(path, [field] if ["position", "velocity", "effort"].contains(&&**field));
    if !(is_joint_state && is_list) {
        return Ok(None);
    }
    let names = cdr::take(of, &["name".to_owned()], data, budget)?.texts;
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
