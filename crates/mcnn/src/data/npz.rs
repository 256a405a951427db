//! NumPy's `.npz`, a zip of arrays: `states` or `observations` (rank 2), `actions` (rank 2), `episode_ends` (where
//! each episode ends, exclusive: the running sum of the lengths) and, if there, `rewards` (a number a step),
//! `state_names` and `action_names` (a string for each dimension, `<U` or `|S`).
//!
//! Format: NumPy, `numpy/lib/format.py`. The header is parsed here, strictly: it is three fixed keys, and a general
//! parser of Python literals is a way to hang (the `npyz` crate's ran for over ten minutes on 10,000 nested lists).

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use zip::ZipArchive;

use super::{
    DimensionNames, Parts,
    read::{FRAMES, expanded, limit, too_large},
};
use crate::error::{Error, Kind, Result};

/// Reads the parts of a file of `length` bytes. Errors name the array; the caller adds the file.
pub(super) fn read(path: &Path, length: u64) -> Result<Parts> {
    let mut arrays = Arrays::open(path, length, "states (or observations), actions and episode_ends")?;
    let states = match (arrays.has("states"), arrays.has("observations")) {
        (true, true) => {
            return Err(Error::new(Kind::Data, "both states and observations")
                .expected("one of the two")
                .next("remove one: they are two names of one array"));
        }
        (false, true) => "observations",
        (false, false) if arrays.has("frames") => {
            return Err(Error::new(Kind::Data, "frames, and no states").next(FRAMES));
        }
        _ => "states",
    };
    let (n_steps, n_obs, states) = arrays.need(states)?.table()?;
    Ok(Parts { n_obs, states, ..labels(&mut arrays, n_steps)? })
}

/// The same with the frames, under the first of these names that is there, left in the file: their name and shape.
pub(super) fn film(
    path: &Path,
    length: u64,
    names: &[&'static str],
) -> Result<(Parts, &'static str, Vec<u64>)> {
    let mut arrays = Arrays::open(path, length, "frames, actions and episode_ends")?;
    let name = *names.iter().find(|name| arrays.has(name)).unwrap_or(&names[0]);
    let head = arrays.head(name)?;
    if head.shape.len() < 2 || head.fortran {
        return Err(head.other_shape("(frames, height, width, 3), row by row"));
    }
    if !head.is_bytes() && head.kind != 'f' {
        return Err(other_type("integers").expected("bytes (uint8) or floats").within(name));
    }
    let bytes = head.shape.iter().try_fold(head.size as u64, |n, &d| n.checked_mul(d));
    if bytes.is_none_or(|bytes| bytes > expanded(length)) {
        return Err(
            damaged(&format!("a shape {:?} that no file of this size holds", head.shape)).within(name)
        );
    }
    Ok((labels(&mut arrays, head.shape[0] as usize)?, name, head.shape))
}

/// What the states of a file are embeddings by; none where it does not say.
pub(super) fn encoding(path: &Path, length: u64) -> Result<Option<String>> {
    let mut arrays = Arrays::open(path, length, "encoding")?;
    if !arrays.has("encoding") {
        return Ok(None);
    }
    let array = arrays.need("encoding")?;
    match String::from_utf8(array.bytes) {
        Ok(text) if array.kind == 'u' && array.size == 1 => Ok(Some(text)),
        _ => Err(other_type("bytes that are not text").expected("JSON in UTF-8").within("encoding")),
    }
}

/// The names of dimensions.
pub(super) fn names(path: &Path, length: u64) -> Result<DimensionNames> {
    let mut arrays = Arrays::open(path, length, "state_names and action_names")?;
    Ok(DimensionNames {
        state_names: arrays.strings("state_names")?,
        action_names: arrays.strings("action_names")?,
    })
}

/// All but the states of `n_steps` steps: their width is given as 1.
fn labels(arrays: &mut Arrays, n_steps: usize) -> Result<Parts> {
    let (actions_steps, n_act, actions) = arrays.need("actions")?.table()?;
    same_length("actions", actions_steps, n_steps)?;
    let ends = arrays.need("episode_ends")?.ends()?;
    let rewards = match arrays.has("rewards") {
        true => Some(arrays.need("rewards")?.column()?),
        false => None,
    };
    if let Some(rewards) = &rewards {
        same_length("rewards", rewards.len(), n_steps)?;
    }
    Ok(Parts { n_obs: 1, n_act, states: Vec::new(), actions, rewards, ends })
}

/// The arrays of a file, read one by one as they are asked for.
pub(crate) struct Arrays {
    zip: ZipArchive<BufReader<File>>,
    names: Vec<String>,
    wanted: &'static str,
    length: u64,
    left: u64, // bytes that may still be held in memory
}

impl Arrays {
    /// Of a file of `length` bytes; `wanted` says what arrays a file of this kind has. Errors, here and below, name
    /// the array; the caller adds the file.
    pub(crate) fn open(path: &Path, length: u64, wanted: &'static str) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("reading", path, &e))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(&e.to_string()))?;
        let names = (zip.file_names_raw())
            .filter_map(|name| Some(std::str::from_utf8(name).ok()?.strip_suffix(".npy")?.to_string()))
            .collect();
        Ok(Self { names, wanted, zip, length, left: limit(length) })
    }

    /// Rows, columns, and the floats row by row of an array of rank 2.
    pub(crate) fn table(&mut self, name: &str) -> Result<(usize, usize, Vec<f32>)> {
        self.need(name)?.table()
    }

    /// The floats of an array of rank 1.
    pub(crate) fn vector(&mut self, name: &str) -> Result<Vec<f32>> {
        self.need(name)?.column()
    }

    /// The strings of an array of rank 1, if it is there.
    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        if !self.has(name) {
            return Ok(None);
        }
        let (length, left) = (self.length, self.left);
        let array =
            self.within(name, |file| Array::read(Array::any_head(name, file)?, file, length, left))?;
        self.left -= array.bytes.len() as u64;
        array.strings().map(Some)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    fn need(&mut self, name: &str) -> Result<Array> {
        let (length, left) = (self.length, self.left);
        let array = self.within(name, |file| Array::read(Array::head(name, file)?, file, length, left))?;
        self.left -= array.bytes.len() as u64;
        Ok(array)
    }

    /// An array without its numbers.
    fn head(&mut self, name: &str) -> Result<Array> {
        self.within(name, |file| Array::head(name, file))
    }

    fn within(&mut self, name: &str, read: impl FnOnce(&mut dyn Read) -> Result<Array>) -> Result<Array> {
        if !self.has(name) {
            return Err(Error::new(Kind::Data, "missing array").at(name).expected(self.wanted).found(
                match &self.names[..] {
                    [] => "no arrays".into(),
                    names => format!("the arrays {}", names.join(", ").chars().take(300).collect::<String>()),
                },
            ));
        }
        let array = match self.zip.by_name(&format!("{name}.npy")) {
            Ok(mut file) => read(&mut file),
            Err(e) => Err(damaged(&e.to_string())),
        };
        array.map_err(|e| e.within(name))
    }
}

/// An array as stored: its bytes, and what the header says they are.
pub(super) struct Array {
    name: String,
    big_endian: bool,
    kind: char,
    size: usize,
    fortran: bool,
    shape: Vec<u64>,
    pub(super) bytes: Vec<u8>,
}

impl Array {
    /// The header of an array of numbers, after which `from` is at the first number.
    pub(super) fn head(name: &str, from: &mut (impl Read + ?Sized)) -> Result<Self> {
        let array = Self::any_head(name, from)?;
        match array.kind {
            'U' | 'S' => Err(other_type("text")),
            'O' => Err(python_objects(
                "make it an array of numbers: episodes one after the other, and episode_ends",
            )),
            _ => Ok(array),
        }
    }

    /// The header of an array of numbers, strings or Python objects, after which `from` is at the first element.
    fn any_head(name: &str, from: &mut (impl Read + ?Sized)) -> Result<Self> {
        let mut start = [0; 8];
        let mut take = |buffer: &mut [u8]| from.read_exact(buffer).map_err(|e| damaged(&e.to_string()));
        take(&mut start)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(damaged("an entry that is not a NumPy array"));
        }
        let header = match start[6] {
            1 => {
                let mut n = [0; 2];
                take(&mut n)?;
                u32::from(u16::from_le_bytes(n))
            }
            2 | 3 => {
                let mut n = [0; 4];
                take(&mut n)?;
                u32::from_le_bytes(n)
            }
            version => return Err(damaged(&format!("version {version} of the array format"))),
        };
        if header > 1 << 16 {
            return Err(damaged(&format!("a header of {header} bytes")));
        }
        let mut text = vec![0; header as usize];
        take(&mut text)?;
        Self::parse(name, &String::from_utf8_lossy(&text))
    }

    /// The whole array with this header, of a file of `length` bytes, if it takes at most `left` bytes.
    fn read(mut array: Self, from: &mut dyn Read, length: u64, left: u64) -> Result<Self> {
        let count = array.shape.iter().try_fold(array.size as u64, |n, &d| n.checked_mul(d));
        let Some(count) = count.filter(|&n| n <= left) else {
            return Err(Error::new(Kind::File, "the .npz expands to more memory than it is given")
                .expected(format!("at most {left} bytes more in a file of {length}"))
                .found(format!("a shape {:?}", array.shape))
                .next(too_large(count.unwrap_or(u64::MAX), length)));
        };
        // One byte more than is due: to notice data that goes on, and to reach the end, where the checksum is tested.
        let expected = count as usize; // at most `left`, which is far below 2^63
        from.take(count + 1).read_to_end(&mut array.bytes).map_err(|e| damaged(&e.to_string()))?;
        if array.bytes.len() != expected {
            let found = if array.bytes.len() > expected { "more" } else { "fewer" };
            return Err(damaged(&format!(
                "{found} bytes than the {expected} of its shape {:?}",
                array.shape
            )));
        }
        Ok(array)
    }

    /// The header, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(name: &str, text: &str) -> Result<Self> {
        let strange = || damaged(&format!("the header {:?}", text.chars().take(120).collect::<String>()));
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':")).ok_or_else(strange)?;
            Ok::<_, Error>(rest.trim_start())
        };
        let fortran = after("fortran_order")?.starts_with("True");
        let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let shape = shape.ok_or_else(strange)?.0.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape: std::result::Result<Vec<u64>, _> = shape.map(str::parse).collect();
        let shape = shape.map_err(|_| strange())?;
        if shape.len() > 64 {
            return Err(strange()); // NumPy's own limit of dimensions
        }

        let descr = after("descr")?;
        let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let Some((descr, _)) = descr else {
            return Err(other_type("records"));
        };
        let mut characters = descr.chars();
        let (order, kind) = (characters.next(), characters.next());
        let (Some(order @ ('<' | '>' | '|' | '=')), Some(kind)) = (order, kind) else {
            return Err(strange());
        };
        let size = characters.as_str().parse().unwrap_or(0_usize);
        let size = match (kind, size) {
            ('f', 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1) | ('S', 1..) | ('O', _) => size,
            ('U', 1..) => size.saturating_mul(4), // UTF-32
            _ => return Err(other_type(&format!("NumPy's {descr}"))),
        };
        Ok(Self {
            name: name.into(),
            big_endian: order == '>' || (order == '=' && cfg!(target_endian = "big")),
            kind,
            size,
            fortran,
            shape,
            bytes: Vec::new(),
        })
    }

    /// The elements, each through `number`, in the order they are stored.
    fn decode<const N: usize, T>(&self, number: impl Fn([u8; N]) -> T) -> Vec<T> {
        let little = |bytes: &[u8; N]| {
            let mut bytes = *bytes;
            if self.big_endian {
                bytes.reverse();
            }
            number(bytes)
        };
        self.bytes.as_chunks().0.iter().map(little).collect()
    }

    /// Bytes of a number.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the numbers are unsigned bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.kind == 'u' && self.size == 1
    }

    pub(super) fn floats(&self) -> Result<Vec<f32>> {
        match (self.kind, self.size) {
            ('f', 4) => Ok(self.decode(f32::from_le_bytes)),
            ('f', 8) => Ok(self.decode(|b| f64::from_le_bytes(b) as f32)),
            _ => Err(other_type("integers").expected("float32 or float64").within(&self.name)),
        }
    }

    /// Steps, width, and the floats row by row.
    fn table(&self) -> Result<(usize, usize, Vec<f32>)> {
        let [rows, columns] = self.shape[..] else {
            return Err(self.other_shape("(steps, width)"));
        };
        let (rows, columns) = (rows as usize, columns as usize);
        let values = self.floats()?;
        // (Of an empty array, any number of rows may be claimed.)
        if !self.fortran || values.is_empty() {
            return Ok((rows, columns, values));
        }
        let mut transposed = Vec::with_capacity(values.len());
        for row in 0..rows {
            transposed.extend((0..columns).map(|column| values[column * rows + row]));
        }
        Ok((rows, columns, transposed))
    }

    /// A number a step.
    fn column(&self) -> Result<Vec<f32>> {
        match self.shape[..] {
            [_] | [_, 1] if self.kind == 'f' => self.floats(),
            [_] | [_, 1] => Ok(self.integers().into_iter().map(|v| v as f32).collect()),
            _ => Err(self.other_shape("(steps,) or (steps, 1)")),
        }
    }

    fn integers(&self) -> Vec<i64> {
        match (self.kind, self.size) {
            ('i', 1) => self.decode(|b| i8::from_le_bytes(b).into()),
            ('i', 2) => self.decode(|b| i16::from_le_bytes(b).into()),
            ('i', 4) => self.decode(|b| i32::from_le_bytes(b).into()),
            ('i', 8) => self.decode(i64::from_le_bytes),
            ('u' | 'b', 1) => self.decode(|b| u8::from_le_bytes(b).into()),
            ('u', 2) => self.decode(|b| u16::from_le_bytes(b).into()),
            ('u', 4) => self.decode(|b| u32::from_le_bytes(b).into()),
            _ => self.decode(|b| u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)),
        }
    }

    /// The strings of an array of rank 1, without the NULs that fill each up to the length of the longest.
    fn strings(&self) -> Result<Vec<String>> {
        let at = |e: Error| e.within(&self.name);
        let not_text = |i: usize, what: &str| {
            at(other_type(&format!("{what} as element {i}"))
                .expected("text: characters of Unicode, or UTF-8"))
        };
        match self.kind {
            'U' | 'S' => {}
            'O' => {
                return Err(at(python_objects("make it an array of strings: numpy.array(names, dtype=str)")));
            }
            _ => return Err(at(other_type("numbers").expected("strings"))),
        }
        let [_] = self.shape[..] else {
            return Err(self.other_shape("(dimensions,)"));
        };
        let mut strings = Vec::new();
        for (i, bytes) in self.bytes.chunks_exact(self.size).enumerate() {
            let text: Option<String> = if self.kind == 'U' {
                let code = |c: &[u8; 4]| {
                    if self.big_endian { u32::from_be_bytes(*c) } else { u32::from_le_bytes(*c) }
                };
                bytes.as_chunks().0.iter().map(|c| char::from_u32(code(c))).collect()
            } else {
                String::from_utf8(bytes.to_vec()).ok()
            };
            let text = text.ok_or_else(|| not_text(i, "bytes that are no text"))?;
            strings.push(text.trim_end_matches('\0').to_owned());
        }
        Ok(strings)
    }

    fn ends(&self) -> Result<Vec<usize>> {
        let [_] = self.shape[..] else {
            return Err(self.other_shape("(episodes,)"));
        };
        if !matches!(self.kind, 'i' | 'u') {
            return Err(other_type("floats or booleans").expected("integers").within(&self.name));
        }
        // A negative end becomes 0, which is refused as every end that does not increase is.
        Ok((self.integers().into_iter()).map(|v| usize::try_from(v).unwrap_or(0)).collect())
    }

    fn other_shape(&self, expected: &str) -> Error {
        Error::new(Kind::Data, "an array of another shape")
            .at(&self.name)
            .expected(expected)
            .found(format!("{:?}", self.shape))
    }
}

pub(super) fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the .npz cannot be read")
        .found(found)
        .next("it may be damaged or cut short: write it again with numpy.savez")
}

fn other_type(found: &str) -> Error {
    Error::new(Kind::Data, "numbers of an unsupported type")
        .expected("float32, float64 or integers")
        .found(found)
}

fn python_objects(next: &str) -> Error {
    other_type("Python objects, stored as a pickle, and pickles run code when read").next(next)
}

fn same_length(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(Kind::Data, "arrays with different numbers of steps")
        .at(name)
        .expected(format!("{expected} steps, as there are states"))
        .found(format!("{found} steps")))
}
