//! The pages of a column: their headers, and their bytes without compression.

use std::{borrow::Cow, io::Read as _};

use super::{
    Budget, damaged,
    footer::{Chunk, Leaf},
    hybrid::{Levels, take},
    thrift::Thrift,
};
use crate::error::{Error, Kind, Result};

/// A page of values or of the dictionary.
pub(super) enum Page<'a> {
    Dictionary { n: usize, values: Cow<'a, [u8]> },
    Data(Data<'a>),
}

/// A page of values.
pub(super) struct Data<'a> {
    /// Levels: values, nulls and empty lists.
    pub n: usize,
    pub encoding: i64,
    pub repetition: Levels,
    pub definition: Levels,
    body: Cow<'a, [u8]>,
    start: usize, // of the values in the body
}

impl Data<'_> {
    pub fn values(&self) -> &[u8] {
        &self.body[self.start..]
    }
}

/// What the header of a page says.
#[derive(Default)]
struct Header {
    of: i64,
    size: u64,
    compressed: u64,
    n: u64,
    encoding: i64,
    level_encodings: [i64; 2], // definition, repetition
    level_sizes: [u64; 2],     // the same, in pages of version 2
    plain: bool,               // of version 2 and not compressed
}

pub(super) const PLAIN: i64 = 0;
pub(super) const PLAIN_DICTIONARY: i64 = 2;
pub(super) const RLE: i64 = 3;
const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_2: i64 = 3;

impl Header {
    fn read(inner: &mut Thrift) -> Result<Self> {
        let mut header = Self { level_encodings: [RLE; 2], ..Self::default() };
        inner.root(|inner, id, of| {
            match id {
                1 => header.of = inner.integer(of)?,
                2 => header.size = inner.count(of)?,
                3 => header.compressed = inner.count(of)?,
                5 | 7 => inner.fields(of, |inner, field, of| {
                    match (id, field) {
                        (_, 1) => header.n = inner.count(of)?,
                        (_, 2) => header.encoding = inner.integer(of)?,
                        (5, 3) => header.level_encodings[0] = inner.integer(of)?,
                        (5, 4) => header.level_encodings[1] = inner.integer(of)?,
                        _ => inner.skip(of)?,
                    }
                    Ok(())
                })?,
                8 => inner.fields(of, |inner, field, of| {
                    match field {
                        1 => header.n = inner.count(of)?,
                        4 => header.encoding = inner.integer(of)?,
                        5 => header.level_sizes[0] = inner.count(of)?,
                        6 => header.level_sizes[1] = inner.count(of)?,
                        7 => header.plain = !Thrift::boolean(of)?,
                        _ => inner.skip(of)?,
                    }
                    Ok(())
                })?,
                _ => inner.skip(of)?,
            }
            Ok(())
        })?;
        Ok(header)
    }
}

/// The pages of a column in a row group, one after another.
pub(super) struct Pages<'a> {
    left: &'a [u8],
    codec: i64,
    leaf: &'a Leaf,
}

impl<'a> Pages<'a> {
    /// Of all bytes of the column.
    pub fn new(bytes: &'a [u8], chunk: &Chunk, leaf: &'a Leaf) -> Self {
        Self { left: bytes, codec: chunk.codec, leaf }
    }

    /// The next page, if there is one. Its bytes and levels fit into what is left of the budget.
    pub fn next(&mut self, budget: &Budget) -> Result<Option<Page<'a>>> {
        loop {
            if self.left.is_empty() {
                return Ok(None);
            }
            let mut reader = Thrift::new(self.left);
            let header = Header::read(&mut reader)?;
            self.left = &self.left[self.left.len() - reader.len()..];
            let stored = take(&mut self.left, usize::try_from(header.compressed).unwrap_or(usize::MAX))?;
            let n = usize::try_from(header.n).unwrap_or(usize::MAX);
            match header.of {
                DICTIONARY => {
                    if header.encoding != PLAIN && header.encoding != PLAIN_DICTIONARY {
                        return Err(damaged("a dictionary in another encoding than PLAIN"));
                    }
                    let values = self.decompressed(stored, header.size, budget)?;
                    return Ok(Some(Page::Dictionary { n, values }));
                }
                DATA => return self.data(&header, n, stored, budget).map(Some),
                DATA_2 => return self.data_2(&header, n, stored, budget).map(Some),
                _ => {} // an index, which is not needed
            }
        }
    }

    fn data(&self, header: &Header, n: usize, stored: &'a [u8], budget: &Budget) -> Result<Page<'a>> {
        let body = self.decompressed(stored, header.size, budget)?;
        let mut left = &body[..];
        let mut levels = |most: u32, encoding: i64| {
            if most == 0 {
                return Ok(Levels::Same(0));
            }
            if encoding != RLE {
                return Err(damaged("levels in an encoding of before 2013"));
            }
            let length = take(&mut left, 4)?;
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
            budget.check(n as u64)?;
            Levels::read(take(&mut left, length as usize)?, most, n)
        };
        let repetition = levels(self.leaf.max_rep, header.level_encodings[1])?;
        let definition = levels(self.leaf.max_def, header.level_encodings[0])?;
        let start = body.len() - left.len();
        Ok(Page::Data(Data { n, encoding: header.encoding, repetition, definition, body, start }))
    }

    fn data_2(&self, header: &Header, n: usize, mut stored: &'a [u8], budget: &Budget) -> Result<Page<'a>> {
        let [definition, repetition] = header.level_sizes;
        let mut levels = |most: u32, size: u64| {
            let bytes = take(&mut stored, usize::try_from(size).unwrap_or(usize::MAX))?;
            if most == 0 {
                return Ok(Levels::Same(0));
            }
            budget.check(n as u64)?;
            Levels::read(bytes, most, n)
        };
        let repetition_levels = levels(self.leaf.max_rep, repetition)?;
        let definition_levels = levels(self.leaf.max_def, definition)?;
        let size = header.size.saturating_sub(definition.saturating_add(repetition));
        let body = match header.plain {
            true => Cow::Borrowed(stored),
            false => self.decompressed(stored, size, budget)?,
        };
        let (repetition, definition) = (repetition_levels, definition_levels);
        Ok(Page::Data(Data { n, encoding: header.encoding, repetition, definition, body, start: 0 }))
    }

    /// Bytes without compression. `size` is what the header claims.
    fn decompressed(&self, stored: &'a [u8], size: u64, budget: &Budget) -> Result<Cow<'a, [u8]>> {
        if self.codec == 0 || size == 0 {
            return Ok(Cow::Borrowed(if self.codec == 0 { stored } else { &[] }));
        }
        budget.check(size)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let decoded = match self.codec {
            1 => {
                if snap::raw::decompress_len(stored).ok() != Some(size) {
                    return Err(damaged("a page of another size than its header says"));
                }
                snap::raw::Decoder::new().decompress_vec(stored).map_err(|e| e.to_string())
            }
            2 => exactly(flate2::read::MultiGzDecoder::new(stored), size),
            6 => match ruzstd::decoding::StreamingDecoder::new(stored) {
                Ok(decoder) => exactly(decoder, size),
                Err(e) => Err(e.to_string()),
            },
            7 => lz4_flex::block::decompress(stored, size).map_err(|e| e.to_string()),
            other => {
                let known = [(3, "LZO"), (4, "Brotli"), (5, "LZ4 in Hadoop's frames")];
                let name = known.iter().find(|(codec, _)| *codec == other);
                return Err(Error::new(Kind::File, "a compression that is not read")
                    .expected("none, Snappy, gzip, Zstandard or LZ4")
                    .found(name.map_or_else(|| format!("codec {other}"), |(_, name)| (*name).into()))
                    .next("write it again with pyarrow.parquet.write_table"));
            }
        };
        match decoded {
            Ok(bytes) if bytes.len() == size => Ok(Cow::Owned(bytes)),
            Ok(_) => Err(damaged("a page of another size than its header says")),
            Err(e) => Err(damaged(&format!("a page that cannot be decompressed: {e}"))),
        }
    }
}

/// All bytes, which should be `size`.
fn exactly(decoder: impl std::io::Read, size: usize) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    decoder.take(size as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}
