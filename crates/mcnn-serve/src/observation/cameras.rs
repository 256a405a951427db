//! The cameras of a policy that acts on frames, and their frames in a request.

use std::borrow::Cow;

use mcnn::{
    error::{Error, Kind, Result},
    vision::Encoder,
};

use super::{Inputs, Refused, find, wrong};
use crate::codec::{Array, Dtype, Value, key_text};

/// Keys of the frame of an only camera, the first that is there.
const IMAGE_KEYS: [&str; 3] = ["observation/image", "image", "observation.image"];

/// A camera that a policy observes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its key in the data; `None` for an only camera.
    pub name: Option<String>,
    /// Height and width of its frames.
    pub size: [usize; 2],
}

impl Camera {
    /// The cameras of an encoder, in its order.
    pub fn of(encoder: &Encoder) -> Vec<Self> {
        let named = &encoder.encoding().cameras;
        let name = |k: usize| named.get(k).map(|camera| camera.name.clone());
        encoder.sizes().iter().enumerate().map(|(k, &size)| Self { name: name(k), size }).collect()
    }

    /// The key that a request has its frame under, unless a user named it.
    fn key(&self) -> &str {
        self.name.as_deref().unwrap_or(IMAGE_KEYS[0])
    }
}

impl Inputs {
    /// The keys of the frames, in words.
    pub(super) fn expected_frames(&self) -> Vec<String> {
        let keys = self.cameras.iter().enumerate().map(|(k, camera)| (self.image_keys.get(k), camera));
        let text = |(key, camera): (Option<&String>, &Camera)| {
            let [height, width] = camera.size;
            let key = key.map_or(camera.key(), String::as_str);
            format!("{key} (uint8, {height} x {width} x 3 or 3 x {height} x {width})")
        };
        keys.map(text).collect()
    }

    /// The frames of all cameras, one after another: `[height, width, 3]` of each.
    pub(super) fn read_frames<'a>(&self, request: &Value<'a>) -> std::result::Result<Cow<'a, [u8]>, Refused> {
        if let [camera] = &self.cameras[..] {
            return self.read_frame(request, camera.size);
        }
        let mut all = Vec::new();
        for (k, camera) in self.cameras.iter().enumerate() {
            let (key, value) = match self.image_keys.get(k) {
                Some(key) => (key.as_str(), request.get(key)),
                None => (camera.key(), find(request, camera.key())),
            };
            let value = value.ok_or_else(|| self.no_keys(request))?;
            all.extend_from_slice(&frame(value, camera.size).map_err(|e| e.at(key))?);
        }
        Ok(Cow::Owned(all))
    }

    /// The frame of the only camera.
    fn read_frame<'a>(
        &self,
        request: &Value<'a>,
        size: [usize; 2],
    ) -> std::result::Result<Cow<'a, [u8]>, Refused> {
        if let Some(key) = self.image_keys.first() {
            let value = request.get(key).ok_or_else(|| self.no_keys(request))?;
            return Ok(frame(value, size).map_err(|e| e.at(key))?);
        }
        if let Some((key, value)) = IMAGE_KEYS.iter().find_map(|key| Some((key, request.get(key)?))) {
            return Ok(frame(value, size).map_err(|e| e.at(*key))?);
        }
        let mut images = request.leaves().into_iter().filter(|(_, value)| is_image(value));
        match (images.next(), images.next()) {
            (Some((path, value)), None) => Ok(frame(value, size).map_err(|e| e.at(key_text(&path)))?),
            (Some((one, _)), Some((other, _))) => Err(Refused::Keys(
                Error::new(Kind::Data, "several images, of which the policy observes one")
                    .found(format!("{}, {}", key_text(&one), key_text(&other)))
                    .next("name the key when the server is started: --image-keys"),
            )),
            (None, _) => Err(self.no_keys(request)),
        }
    }
}

fn is_image(value: &Value) -> bool {
    matches!(value, Value::Array(array) if array.dtype() == Dtype::U8 && array.shape().len() >= 3)
}

/// The pixels of an image of `size`, `[height, width, 3]`; color may come first, and further dimensions of length 1.
fn frame<'a>(value: &Value<'a>, size: [usize; 2]) -> Result<Cow<'a, [u8]>> {
    let [height, width] = size;
    let refused = || wrong(value, &format!("uint8, {height} x {width} x 3 or 3 x {height} x {width}"));
    let Value::Array(array) = value else { return Err(refused()) };
    if array.dtype() != Dtype::U8 {
        return Err(refused());
    }
    let ones = array.shape().len().saturating_sub(3);
    let (before, shape) = array.shape().split_at(ones);
    match shape {
        [a, b, 3] if [*a, *b] == size && before.iter().all(|side| *side == 1) => {
            Ok(Cow::Borrowed(array.data()))
        }
        [3, a, b] if [*a, *b] == size && before.iter().all(|side| *side == 1) => {
            Ok(Cow::Owned(color_last(array)))
        }
        _ => Err(refused()),
    }
}

/// `[3, height, width]` to `[height, width, 3]`.
fn color_last(array: &Array) -> Vec<u8> {
    let pixels = array.data().len() / 3;
    (0..pixels).flat_map(|k| [0, 1, 2].map(|color| array.data()[color * pixels + k])).collect()
}
