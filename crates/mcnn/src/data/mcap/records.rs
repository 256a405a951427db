//! The records of an MCAP file, read forward: a recording that was stopped has no index, and is read as far as it goes.
//!
//! Format: <https://mcap.dev/spec>.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

use crate::{
    data::{compression, parquet::Budget},
    error::{Error, Kind, Result},
};

pub(super) const MAGIC: &[u8] = b"\x89MCAP0\r\n";

const SCHEMA: u8 = 3;
const CHANNEL: u8 = 4;
const MESSAGE: u8 = 5;
const CHUNK: u8 = 6;
const DATA_END: u8 = 0x0f;
const FOOTER: u8 = 2;

pub(super) fn damaged(found: impl Into<String>) -> Error {
    Error::new(Kind::File, "the MCAP file cannot be read")
        .found(found)
        .next("it may be damaged: record or fetch it again, or repair it with `mcap recover`")
}

/// The description of a type of messages.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub name: String,
    pub encoding: String,
    pub text: Vec<u8>,
}

impl Schema {
    /// Bytes of its texts.
    fn size(&self) -> u64 {
        (self.name.len() + self.encoding.len() + self.text.len()) as u64
    }
}

/// A topic.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub schema: u16,
    pub topic: String,
    pub encoding: String,
}

impl Channel {
    /// Bytes of its texts.
    fn size(&self) -> u64 {
        (self.topic.len() + self.encoding.len()) as u64
    }
}

/// Schemas and channels by their numbers.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub schemas: BTreeMap<u16, Schema>,
    pub channels: BTreeMap<u16, Channel>,
}

/// A message: the number of its channel, when it was logged in nanoseconds, and its bytes.
pub(super) struct Message<'a> {
    pub channel: u16,
    pub log_time: u64,
    pub data: &'a [u8],
}

/// Reads a file of `length` bytes; `each` is called with every message and what is known before it. Returns whether the file is whole.
///
/// # Errors
/// Of `each`; damaged records and chunks; more memory for a chunk than the budget.
pub(super) fn read(
    path: &Path,
    length: u64,
    budget: &Budget,
    each: &mut dyn FnMut(&Known, &Message) -> Result<()>,
) -> Result<bool> {
    let io = |e| Error::io("reading", path, &e);
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(io)?;
    if start != MAGIC {
        return Err(damaged("no signature at the start"));
    }
    let (mut left, mut known) = (length.saturating_sub(8), Known::default());
    let mut content = Vec::new();
    loop {
        let mut head = [0; 9];
        if left < 9 {
            return Ok(false);
        }
        file.read_exact(&mut head).map_err(io)?;
        left -= 9;
        let size = u64::from_le_bytes(head[1..].try_into().unwrap_or_default());
        if matches!(head[0], DATA_END | FOOTER) {
            return Ok(true); // what follows is an index
        }
        if size > left {
            return Ok(false);
        }
        budget.check(size)?;
        content.clear();
        file.by_ref().take(size).read_to_end(&mut content).map_err(io)?;
        left -= size;
        match head[0] {
            CHUNK => {
                let records = chunk(&content, budget)?;
                let mut rest = Bytes(&records);
                while !rest.0.is_empty() {
                    let of = rest.take(1)?[0];
                    let size = rest.u64()?;
                    let record = rest.take(usize::try_from(size).unwrap_or(usize::MAX))?;
                    one(of, record, &mut known, budget, each)?;
                }
            }
            of => one(of, &content, &mut known, budget, each)?,
        }
    }
}

/// A record that is no chunk.
fn one(
    of: u8,
    content: &[u8],
    known: &mut Known,
    budget: &Budget,
    each: &mut dyn FnMut(&Known, &Message) -> Result<()>,
) -> Result<()> {
    let mut bytes = Bytes(content);
    match of {
        SCHEMA => {
            let id = bytes.u16()?;
            let (name, encoding) = (bytes.text()?, bytes.text()?);
            let n = bytes.u32()? as usize;
            let text = bytes.take(n)?;
            let before = known.schemas.get(&id).map_or(0, Schema::size);
            budget.take(((name.len() + encoding.len() + n) as u64).saturating_sub(before))?;
            known.schemas.insert(id, Schema { name, encoding, text: text.to_vec() });
        }
        CHANNEL => {
            let (id, schema) = (bytes.u16()?, bytes.u16()?);
            let (topic, encoding) = (bytes.text()?, bytes.text()?);
            let before = known.channels.get(&id).map_or(0, Channel::size);
            budget.take(((topic.len() + encoding.len()) as u64).saturating_sub(before))?;
            known.channels.insert(id, Channel { schema, topic, encoding });
        }
        MESSAGE => {
            let channel = bytes.u16()?;
            bytes.u32()?; // its number
            let log_time = bytes.u64()?;
            bytes.u64()?; // when it was published
            each(known, &Message { channel, log_time, data: bytes.0 })?;
        }
        _ => {} // attachments, metadata and indexes
    }
    Ok(())
}

/// The records of a chunk.
fn chunk(content: &[u8], budget: &Budget) -> Result<Vec<u8>> {
    let mut bytes = Bytes(content);
    bytes.take(16)?; // the times of its first and last message
    let size = bytes.u64()?;
    bytes.u32()?; // a checksum, which may be 0
    let compression = bytes.text()?;
    let n = usize::try_from(bytes.u64()?).unwrap_or(usize::MAX);
    let records = bytes.take(n)?;
    budget.check(size)?;
    let most = usize::try_from(size).unwrap_or(usize::MAX);
    let found = match &*compression {
        "" => Ok(records.to_vec()),
        "zstd" => compression::zstd(records, most),
        "lz4" => compression::lz4_frame(records, most),
        other => {
            return Err(Error::new(Kind::File, "a chunk of an unknown compression")
                .expected("zstd, lz4 or none")
                .found(other.chars().take(20).collect::<String>()));
        }
    };
    match found {
        Ok(records) if records.len() as u64 == size => Ok(records),
        Ok(records) => Err(damaged(format!("a chunk of {} bytes in the place of {size}", records.len()))),
        Err(why) => Err(damaged(format!("a chunk: {why}"))),
    }
}

/// The bytes that are left of a record.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(n).ok_or_else(|| damaged("a record that is cut"))?;
        self.0 = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().unwrap_or([0; N]))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String> {
        let n = self.u32()? as usize;
        Ok(String::from_utf8_lossy(self.take(n)?).into_owned())
    }
}
