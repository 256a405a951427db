//! From a request to what a policy observes: the state under one key or several, camera frames, or both.

mod cameras;

pub use cameras::Camera;

use std::borrow::Cow;

use mcnn::{
    data::KeyRange,
    error::{Error, Kind, Result},
    policy::Policy,
    vision::Encoder,
};

use crate::codec::Value;

/// Keys of the whole state, the first that is there.
const STATE_KEYS: [&str; 3] = ["observation/state", "state", "observation.state"];
/// The most observations in one request.
const MOST_ROWS: usize = 256;

/// Which keys of a request a policy observes.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Dimensions of the state; 0 where frames are all.
    n_state: usize,
    /// Keys whose arrays make up the state, in order, if a user named them.
    chosen: Vec<KeyRange>,
    /// Those of the data that the memories come from.
    of_data: Vec<KeyRange>,
    /// The dimensions' names, if they have any.
    names: Vec<String>,
    /// The cameras whose frames the policy observes, before the state; none for most policies.
    cameras: Vec<Camera>,
    /// The keys of the frames, if a user named them, in the order of the cameras.
    image_keys: Vec<String>,
}

/// What a policy observes, in the data's units.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation<'a> {
    /// One state or more, the newest last: `[n, n_obs]`.
    States(Vec<f32>),
    /// The frame of each camera, `[height, width, 3]`, one after another, and the state, empty where frames are all.
    Frames(Cow<'a, [u8]>, Vec<f32>),
}

#[cfg(feature = "lerobot")]
impl Observation<'_> {
    /// The same, without the message.
    pub fn into_owned(self) -> Observation<'static> {
        match self {
            Observation::States(states) => Observation::States(states),
            Observation::Frames(frames, state) => Observation::Frames(Cow::Owned(frames.into_owned()), state),
        }
    }
}

/// Why a request has no observation.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// It has none of the keys.
    Keys(Error),
    /// A value is invalid.
    Value(Error),
}

impl Refused {
    /// The error. `are_keys_told`: whether the client has been told the keys, which is done once per connection.
    pub fn into_error(self, are_keys_told: &mut bool) -> Error {
        match self {
            Self::Value(error) => error,
            Self::Keys(error) if std::mem::replace(are_keys_told, true) => {
                Error::new(error.kind(), format!("{}, as before", error.what()))
            }
            Self::Keys(error) => error,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Value(error)
    }
}

impl Inputs {
    /// The inputs of a policy, and of its encoder if it acts on frames. `chosen` and `image_keys`: keys that a user named.
    ///
    /// # Errors
    /// If there are not as many image keys as cameras.
    pub fn new(
        policy: &Policy,
        encoder: Option<&Encoder>,
        chosen: Vec<KeyRange>,
        image_keys: Vec<String>,
    ) -> Result<Self> {
        let parts = policy.codebook().parts();
        let cameras = encoder.map_or(Vec::new(), Camera::of);
        if !image_keys.is_empty() && image_keys.len() != cameras.len() {
            let names =
                cameras.iter().filter_map(|camera| camera.name.clone()).collect::<Vec<_>>().join(", ");
            return Err(Error::new(Kind::Settings, "not as many keys as cameras")
                .at("--image-keys")
                .expected(match cameras.len() {
                    0 => "none: the policy observes no frames".into(),
                    1 => "one".into(),
                    n => format!("{n}, for {names}"),
                })
                .found(image_keys.join(", ")));
        }
        let joined = encoder.map(|encoder| encoder.encoding().state.as_ref());
        let keys = match joined {
            Some(state) => state.map_or(&[][..], |state| &state.keys),
            None => &parts.origin.state_keys,
        };
        let n_state = joined.map_or(policy.codebook().n_obs(), |state| state.map_or(0, |state| state.n));
        let names = parts.names.state_names.clone().unwrap_or_default();
        Ok(Self {
            n_state,
            chosen,
            of_data: keys.iter().filter_map(|key| key.parse().ok()).collect(),
            names: if names.len() == n_state { names } else { Vec::new() },
            cameras,
            image_keys,
        })
    }

    /// The keys that a request may have, in words: alternatives of the state, after the frames of all cameras.
    pub fn expected(&self) -> Vec<String> {
        let frames = self.expected_frames().join(" and ");
        match (frames.is_empty(), self.n_state) {
            (true, _) => self.expected_states(),
            (false, 0) => vec![frames],
            (false, _) => {
                self.expected_states().iter().map(|state| format!("{frames} and {state}")).collect()
            }
        }
    }

    fn expected_states(&self) -> Vec<String> {
        let listed = |keys: &[KeyRange]| {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            format!("{} ({} values in all)", keys.join(", "), self.n_state)
        };
        if !self.chosen.is_empty() {
            return vec![listed(&self.chosen)];
        }
        let mut all = vec![format!("{} ({} values)", STATE_KEYS[..2].join(" or "), self.n_state)];
        if !self.of_data.is_empty() && !self.is_of_data_known() {
            all.push(listed(&self.of_data));
        }
        if !self.names.is_empty() {
            all.push(format!("one number each for {}", self.names.join(", ")));
        }
        all
    }

    /// Whether the only key of the data is one of those that are always read.
    fn is_of_data_known(&self) -> bool {
        matches!(&self.of_data[..], [one] if STATE_KEYS.contains(&one.key.as_str()))
    }

    /// The cameras whose frames are observed.
    pub(crate) fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    /// Dimensions of the state, alone or after frames; 0 where frames are all.
    pub(crate) fn n_state(&self) -> usize {
        self.n_state
    }

    /// Reads an observation. Keys that are not needed are ignored.
    ///
    /// # Errors
    /// If the keys are missing, or their values have another shape or type.
    pub(crate) fn read<'a>(&self, request: &Value<'a>) -> std::result::Result<Observation<'a>, Refused> {
        if self.cameras.is_empty() {
            return self.read_state(request).map(Observation::States);
        }
        let frames = self.read_frames(request)?;
        let state = if self.n_state > 0 { self.read_state(request)? } else { Vec::new() };
        if state.len() == self.n_state {
            return Ok(Observation::Frames(frames, state));
        }
        let several = Error::new(Kind::Mismatch, "several states with one frame of each camera");
        Err(several.expected("the state of the frames").found(format!("{} values", state.len())).into())
    }

    fn read_state(&self, request: &Value) -> std::result::Result<Vec<f32>, Refused> {
        if !self.chosen.is_empty() {
            return match parts_of(request, &self.chosen) {
                Some(values) => Ok(self.joined(&self.chosen, &values)?),
                None => Err(self.no_keys(request)),
            };
        }
        if let Some((key, value)) = STATE_KEYS.iter().find_map(|key| Some((key, request.get(key)?))) {
            return Ok(self.rows(value).map_err(|e| e.at(*key))?);
        }
        if let Some(values) = parts_of(request, &self.of_data).filter(|values| !values.is_empty()) {
            return Ok(self.joined(&self.of_data, &values)?);
        }
        let named: Option<Vec<&Value>> = self.names.iter().map(|name| find(request, name)).collect();
        match named.filter(|values| !values.is_empty()) {
            Some(values) => {
                let one = |(name, value): (&String, &&Value)| match &numbers(value)?[..] {
                    [number] => Ok(*number),
                    _ => Err(wrong(value, "one number").at(name)),
                };
                Ok(self.names.iter().zip(&values).map(one).collect::<Result<_>>()?)
            }
            None => Err(self.no_keys(request)),
        }
    }

    /// The observations under one key: `[n_state]` or `[n, n_state]`.
    fn rows(&self, value: &Value) -> Result<Vec<f32>> {
        let fits = match value {
            Value::Array(array) => match array.shape() {
                [width] => *width == self.n_state,
                [n, width] => *width == self.n_state && (1..=MOST_ROWS).contains(n),
                _ => false,
            },
            Value::List(list) => list.len() == self.n_state,
            _ => false,
        };
        if fits {
            return numbers(value);
        }
        Err(wrong(value, &format!("{} values, or rows of {0} with the newest last", self.n_state)))
    }

    /// The state of arrays in order.
    fn joined(&self, keys: &[KeyRange], values: &[&Value]) -> Result<Vec<f32>> {
        let mut state = Vec::with_capacity(self.n_state);
        for (key, value) in keys.iter().zip(values) {
            let all = numbers(value).map_err(|e| e.at(&key.key))?;
            match &key.dimensions {
                // A client may send the range alone.
                Some(range) if range.clone().count() != all.len() => {
                    state.extend(
                        all.get(range.clone()).ok_or_else(|| wrong(value, &key.to_string()).at(&key.key))?,
                    );
                }
                _ => state.extend(all),
            }
        }
        if state.len() == self.n_state {
            return Ok(state);
        }
        let sent = keys.iter().zip(values).map(|(key, value)| format!("{}: {}", key.key, value.describe()));
        Err(Error::new(Kind::Mismatch, "a state of another length than the policy's")
            .expected(format!("{} values", self.n_state))
            .found(format!("{} ({})", state.len(), sent.collect::<Vec<_>>().join(", "))))
    }

    fn no_keys(&self, request: &Value) -> Refused {
        let found = match (request, request.keys()) {
            (Value::Map(_), keys) if keys.is_empty() => "no keys".into(),
            (Value::Map(_), keys) => shortened(&keys),
            (other, _) => other.describe(),
        };
        Refused::Keys(
            Error::new(Kind::Data, "the observation does not have the keys that the policy needs")
                .expected(self.expected().join("; or "))
                .found(found),
        )
    }
}

/// Keys as text, at most 20 of them.
fn shortened(keys: &[String]) -> String {
    let shown = &keys[..keys.len().min(20)];
    match keys.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The value at a key of the data, which clients send as it is or below `observation`.
fn find<'v, 'a>(request: &'v Value<'a>, key: &str) -> Option<&'v Value<'a>> {
    request.get(key).or_else(|| request.get(&format!("observation/{key}")))
}

/// The values at all keys; `None` if one is missing.
fn parts_of<'v, 'a>(request: &'v Value<'a>, keys: &[KeyRange]) -> Option<Vec<&'v Value<'a>>> {
    keys.iter().map(|key| find(request, &key.key)).collect()
}

fn wrong(value: &Value, expected: &str) -> Error {
    Error::new(Kind::Mismatch, "a value of another shape or type").expected(expected).found(value.describe())
}

/// The numbers of an array, a list or a number.
fn numbers(value: &Value) -> Result<Vec<f32>> {
    let one = |value: &Value| match value {
        Value::Number(number) => Ok(*number as f32),
        Value::Bool(truth) => Ok(f32::from(u8::from(*truth))),
        other => Err(wrong(other, "numbers")),
    };
    match value {
        Value::Array(array) => Ok(array.values().map(|v| v as f32).collect()),
        Value::List(list) => list.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

#[cfg(test)]
mod tests;
