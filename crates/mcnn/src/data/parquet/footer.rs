//! The footer of a Parquet file: its columns and where their pieces are.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{
    damaged,
    thrift::{Thrift, Type},
};
use crate::error::{Error, Kind, Result};

/// The type of the values as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Boolean,
    Int32,
    Int64,
    Int96,
    Float,
    Double,
    Bytes,
    Fixed(usize),
}

/// A column: a leaf of the schema.
#[derive(Debug, Clone)]
pub(in crate::data) struct Leaf {
    /// Its names from the root on, such as `observation.state`, `list`, `element`.
    pub path: Vec<String>,
    pub(super) stored: Stored,
    /// Integers without a sign.
    pub(super) unsigned: bool,
    /// 16-bit floats.
    pub(super) half: bool,
    /// A decimal, time or another meaning that is not the number itself.
    pub(super) scaled: bool,
    /// The definition level of a value that is there.
    pub(super) max_def: u32,
    /// The repetition level of the innermost list; 0 outside lists.
    pub(super) max_rep: u32,
}

impl Leaf {
    /// The type, in Parquet's words.
    pub fn type_name(&self) -> String {
        match self.stored {
            _ if self.half => "FLOAT16".into(),
            Stored::Boolean => "BOOLEAN".into(),
            Stored::Int32 => "INT32".into(),
            Stored::Int64 => "INT64".into(),
            Stored::Int96 => "INT96".into(),
            Stored::Float => "FLOAT".into(),
            Stored::Double => "DOUBLE".into(),
            Stored::Bytes => "BYTE_ARRAY".into(),
            Stored::Fixed(n) => format!("FIXED_LEN_BYTE_ARRAY({n})"),
        }
    }
}

/// The values of a column in a row group: where they are in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    pub codec: i64,
    pub values: u64,
    pub start: u64,
    pub length: u64,
    /// Whether the values are in another file.
    pub elsewhere: bool,
}

/// Some rows of all columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub rows: u64,
    pub chunks: Vec<Chunk>,
}

pub(super) struct Footer {
    pub leaves: Vec<Leaf>,
    pub groups: Vec<Group>,
}

/// What a file without a footer is called in the errors; [`super::is_unfinished`] asks for it.
pub(super) const UNFINISHED: &str = "an unfinished Parquet file: it has no footer";

const MAGIC: &[u8] = b"PAR1";

impl Footer {
    /// Reads the footer of a file of `length` bytes.
    pub fn read(path: &Path, length: u64) -> Result<Self> {
        let io = |e| Error::io("reading", path, &e);
        let mut file = File::open(path).map_err(io)?;
        let mut start = [0; 4];
        if length < 12 || file.read_exact(&mut start).is_err() || start != *MAGIC {
            return Err(Error::new(Kind::File, "not a Parquet file")
                .expected("PAR1 at the start and the end")
                .found(format!("{length} bytes that start otherwise"))
                .next("fetch it again; a Git LFS pointer is fetched with `git lfs pull`"));
        }
        file.seek(SeekFrom::End(-8)).map_err(io)?;
        let mut end = [0; 8];
        file.read_exact(&mut end).map_err(io)?;
        if &end[4..] == b"PARE" {
            return Err(Error::new(Kind::File, "an encrypted Parquet file").next("decrypt it first"));
        }
        let footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
        if &end[4..] != MAGIC || footer > length - 12 {
            return Err(Error::new(Kind::File, UNFINISHED)
                .expected("PAR1 at its end")
                .found("the end of a file that was being written, or was cut")
                .next("record or fetch it again"));
        }
        file.seek(SeekFrom::Start(length - 8 - footer)).map_err(io)?;
        let mut bytes = vec![0; footer as usize];
        file.read_exact(&mut bytes).map_err(io)?;
        Self::parse(&bytes, length - 8 - footer)
    }

    /// Parses the footer of a file with `most` bytes before it.
    fn parse(bytes: &[u8], most: u64) -> Result<Self> {
        let (mut elements, mut groups) = (Vec::new(), Vec::new());
        Thrift::new(bytes).root(|inner, id, of| match id {
            2 => inner.list(of, |inner, of| {
                elements.push(Element::read(inner, of)?);
                crowded(elements.len(), ELEMENT, bytes.len())
            }),
            4 => inner.list(of, |inner, of| {
                groups.push(group(inner, of, bytes.len())?);
                crowded(groups.len(), GROUP, bytes.len())
            }),
            8 => Err(Error::new(Kind::File, "an encrypted Parquet file").next("decrypt it first")),
            _ => inner.skip(of),
        })?;
        let leaves = leaves(&elements)?;
        for Group { chunks, .. } in &groups {
            if chunks.len() != leaves.len() {
                return Err(damaged("a row group with another number of columns than the schema"));
            }
            if chunks.iter().any(|c| c.start.checked_add(c.length).is_none_or(|end| end > most)) {
                return Err(damaged("a column that ends beyond the file"));
            }
        }
        // Else a small file could have any number of pieces to read.
        let lengths = groups.iter().flat_map(|group| &group.chunks).map(|chunk| chunk.length);
        if lengths.fold(0, u64::saturating_add) > most {
            return Err(damaged("columns that overlap"));
        }
        Ok(Self { leaves, groups })
    }
}

/// The fewest bytes of a node of the schema, of a row group and of a column in it, less than any writer needs.
const ELEMENT: usize = 6;
const GROUP: usize = 8;
const CHUNK: usize = 20;

/// Checks that parts of a footer of `bytes` bytes are as large as such parts are: in memory they take more than a byte.
fn crowded(parts: usize, each: usize, bytes: usize) -> Result<()> {
    if parts.saturating_mul(each) > bytes { Err(damaged("a footer of empty parts")) } else { Ok(()) }
}

fn group(inner: &mut Thrift, of: Type, bytes: usize) -> Result<Group> {
    let mut group = Group::default();
    inner.fields(of, |inner, id, of| {
        match id {
            1 => inner.list(of, |inner, of| {
                group.chunks.push(chunk(inner, of)?);
                crowded(group.chunks.len(), CHUNK, bytes)
            })?,
            3 => group.rows = inner.count(of)?,
            _ => inner.skip(of)?,
        }
        Ok(())
    })?;
    Ok(group)
}

fn chunk(inner: &mut Thrift, of: Type) -> Result<Chunk> {
    let mut chunk = Chunk::default();
    let (mut data, mut dictionary) = (0, None);
    inner.fields(of, |inner, id, of| match id {
        1 => {
            chunk.elsewhere = true;
            inner.skip(of)
        }
        3 => inner.fields(of, |inner, id, of| {
            match id {
                4 => chunk.codec = inner.integer(of)?,
                5 => chunk.values = inner.count(of)?,
                7 => chunk.length = inner.count(of)?,
                9 => data = inner.count(of)?,
                11 => dictionary = Some(inner.count(of)?),
                _ => inner.skip(of)?,
            }
            Ok(())
        }),
        _ => inner.skip(of),
    })?;
    // Some writers say 0 where there is no dictionary.
    chunk.start = dictionary.filter(|at| (4..data).contains(at)).unwrap_or(data);
    Ok(chunk)
}

/// A node of the schema, as the footer lists them: depth first.
#[derive(Debug, Default)]
struct Element {
    name: String,
    stored: Option<i64>,
    width: u64,
    repetition: i64,
    children: u64,
    converted: Option<i64>,
    logical: Option<i64>,
}

impl Element {
    fn read(inner: &mut Thrift, of: Type) -> Result<Self> {
        let mut element = Self::default();
        inner.fields(of, |inner, id, of| {
            match id {
                1 => element.stored = Some(inner.integer(of)?),
                2 => element.width = inner.count(of)?,
                3 => element.repetition = inner.integer(of)?,
                4 => element.name = inner.text(of)?,
                5 => element.children = inner.count(of)?,
                6 => element.converted = Some(inner.integer(of)?),
                10 => inner.fields(of, |inner, id, of| {
                    element.logical = Some(id);
                    inner.skip(of)
                })?,
                _ => inner.skip(of)?,
            }
            Ok(())
        })?;
        Ok(element)
    }

    fn leaf(&self, path: Vec<String>, max_def: u32, max_rep: u32) -> Result<Leaf> {
        let stored = match self.stored {
            Some(0) => Stored::Boolean,
            Some(1) => Stored::Int32,
            Some(2) => Stored::Int64,
            Some(3) => Stored::Int96,
            Some(4) => Stored::Float,
            Some(5) => Stored::Double,
            Some(6) => Stored::Bytes,
            Some(7) => Stored::Fixed(usize::try_from(self.width).unwrap_or(usize::MAX)),
            _ => return Err(damaged("a column of an unknown type")),
        };
        Ok(Leaf {
            path,
            stored,
            unsigned: matches!(self.converted, Some(11..=14)),
            half: stored == Stored::Fixed(2) && self.logical == Some(15),
            scaled: matches!(self.converted, Some(5..=10)) || matches!(self.logical, Some(5..=8)),
            max_def,
            max_rep,
        })
    }
}

/// The most levels of a schema, and the most bytes of all names, each counted with those above it.
const MAX_LEVELS: usize = 64;
const MAX_NAMES: usize = 16 << 20;

/// The columns of a schema.
fn leaves(elements: &[Element]) -> Result<Vec<Leaf>> {
    struct Open<'a> {
        name: &'a str,
        left: u64,
        levels: [u32; 2],
    }
    let Some((root, rest)) = elements.split_first() else { return Err(damaged("no schema")) };
    let mut open = vec![Open { name: "", left: root.children, levels: [0, 0] }];
    let (mut leaves, mut named) = (Vec::new(), 0_usize);
    for element in rest {
        while open.last().is_some_and(|group| group.left == 0) {
            open.pop();
        }
        let Some(parent) = open.last_mut() else { return Err(damaged("a schema with columns of no group")) };
        parent.left -= 1;
        let [def, rep] = parent.levels;
        let levels = match element.repetition {
            0 => [def, rep],
            1 => [def + 1, rep],
            _ => [def + 1, rep + 1],
        };
        if element.stored.is_none() {
            if open.len() >= MAX_LEVELS {
                return Err(damaged("a schema that is nested too deeply"));
            }
            open.push(Open { name: &element.name, left: element.children, levels });
        } else {
            let outer = open.iter().skip(1).map(|group| group.name.to_owned());
            let path: Vec<String> = outer.chain([element.name.clone()]).collect();
            named += path.iter().map(String::len).sum::<usize>();
            if named > MAX_NAMES {
                return Err(damaged("a schema with names of more than 16 MiB"));
            }
            leaves.push(element.leaf(path, levels[0], levels[1])?);
        }
    }
    if open.iter().any(|group| group.left > 0) {
        return Err(damaged("a schema that is cut"));
    }
    Ok(leaves)
}
