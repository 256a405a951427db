//! The two messages of the client.

use std::borrow::Cow;

use mcnn::error::Result;

use super::{Global, Id, Object, Objects, broken, machine};
use crate::codec::{MOST_DEPTH, MOST_VALUES, Value};

/// `RemotePolicyConfig`: what the client wants of the policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instructions {
    /// The names of the state's dimensions on the robot, in order; empty if it has none.
    pub state_names: Vec<String>,
    /// The most actions of a reply.
    pub actions_per_chunk: Option<usize>,
}

/// `TimedObservation`: what the robot observes.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedObservation<'a> {
    /// Seconds, of the client's clock.
    pub timestamp: f64,
    /// The number of the step.
    pub timestep: i64,
    /// Whether it must be answered: the client has no action left.
    pub must_go: bool,
    /// A map: numbers by the names of motors, images by those of cameras, and text.
    pub observation: Value<'a>,
}

/// Reads a `RemotePolicyConfig`.
///
/// # Errors
/// A message that is broken or another.
pub fn instructions(message: &[u8]) -> Result<Instructions> {
    let (objects, id) = machine::run(message)?;
    let fields = fields(&objects, id, Global::RemotePolicyConfig)?;
    let features = fields.get("lerobot_features");
    let state = features.and_then(|features| features.get("observation.state"));
    let state_names = match state.and_then(|feature| feature.get("names")) {
        Some(Value::List(names)) => names.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    let actions_per_chunk = match fields.get("actions_per_chunk") {
        Some(Value::Number(n)) if *n >= 1.0 => Some(*n as usize),
        _ => None,
    };
    Ok(Instructions { state_names, actions_per_chunk })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Reads a `TimedObservation`.
///
/// # Errors
/// A message that is broken or another.
pub fn observation(message: &[u8]) -> Result<TimedObservation<'_>> {
    let (objects, id) = machine::run(message)?;
    let mut fields = fields(&objects, id, Global::TimedObservation)?;
    let number = |key: &str| match fields.get(key) {
        Some(Value::Number(number)) => Ok(*number),
        _ => Err(broken("an observation without timestamp or timestep")),
    };
    let (timestamp, timestep) = (number("timestamp")?, number("timestep")? as i64);
    let must_go = fields.get("must_go") == Some(&Value::Bool(true));
    let Value::Map(entries) = &mut fields else { return Err(broken("an observation without fields")) };
    match entries.iter().position(|(key, _)| key == "observation") {
        Some(at) => {
            Ok(TimedObservation { timestamp, timestep, must_go, observation: entries.swap_remove(at).1 })
        }
        None => Err(broken("an observation without values")),
    }
}

/// The fields of an instance of a class.
fn fields<'a>(objects: &Objects<'a>, id: Id, class: Global) -> Result<Value<'a>> {
    match objects.0[id] {
        Object::Instance(found, Some(fields)) if found == class => {
            Tree { objects, values: 0 }.value(fields, 0)
        }
        _ => Err(broken("another message than was expected").expected(format!("{class:?}"))),
    }
}

/// Objects as a tree of values. An object counts wherever it is.
struct Tree<'o, 'a> {
    objects: &'o Objects<'a>,
    values: usize,
}

impl<'a> Tree<'_, 'a> {
    fn value(&mut self, id: Id, depth: usize) -> Result<Value<'a>> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > MOST_DEPTH {
            return Err(broken("a message of too many values or levels"));
        }
        Ok(match &self.objects.0[id] {
            Object::None => Value::Nil,
            Object::Bool(truth) => Value::Bool(*truth),
            Object::Int(number) => Value::Number(*number as f64),
            Object::Float(number) | Object::Scalar(number) => Value::Number(*number),
            Object::Text(text) => Value::Text(Cow::Borrowed(text)),
            Object::Bytes(bytes) => Value::Bytes(bytes),
            Object::Array(Some(array)) => Value::Array(array.clone()),
            Object::List(items) | Object::Tuple(items) => {
                Value::List(items.iter().map(|item| self.value(*item, depth + 1)).collect::<Result<_>>()?)
            }
            Object::Dict(pairs) => {
                let mut entries = Vec::new();
                for (key, value) in pairs {
                    let Object::Text(key) = self.objects.0[*key] else {
                        return Err(broken("a key that is not text"));
                    };
                    entries.push((Cow::Borrowed(key), self.value(*value, depth + 1)?));
                }
                Value::Map(entries)
            }
            Object::Global(_) | Object::Instance(..) | Object::Dtype(..) | Object::Array(None) => {
                return Err(broken("an object where data were expected"));
            }
        })
    }
}
