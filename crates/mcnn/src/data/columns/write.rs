//! Writing columns.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Write},
    path::Path,
};

use serde_json::json;

use super::About;
use crate::{
    atomic,
    data::{DimensionNames, column::Column, write::Columns},
    error::{Error, Result},
};

/// What is written: states, actions and rewards, and everything else.
pub struct Written<'a> {
    pub columns: Columns<'a>,
    pub names: &'a DimensionNames,
    /// The encoder of the states, as JSON, if they are embeddings.
    pub encoding: Option<&'a str>,
    /// The text of each episode's task, or none.
    pub tasks: &'a [String],
    /// Steps per second, if known.
    pub fps: Option<f64>,
}

/// Writes a file whole or not at all. Equal contents give equal bytes. Episodes are numbered from 0 when read back.
///
/// # Errors
/// Fewer rows than steps, and errors of the file system.
pub fn write(path: &Path, written: Written) -> Result<()> {
    atomic::write_through(path, |temporary| {
        let file = File::create(temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            fill(&mut file, written)?;
            file.flush()
        });
        file.map_err(|e| Error::io("writing", path, &e))
    })
}

fn fill(to: &mut impl Write, written: Written) -> io::Result<()> {
    let Written {
        columns: Columns { observations, actions, rewards, ends, .. },
        names,
        encoding,
        tasks,
        fps,
    } = written;
    let n = ends.last().copied().unwrap_or(0);
    let mut texts = tasks.to_vec();
    texts.sort_unstable();
    texts.dedup();
    let place = |task: &String| texts.binary_search(task).unwrap_or_default() as u32;
    let places: Vec<u8> = tasks.iter().flat_map(|task| place(task).to_le_bytes()).collect();
    let end_bytes: Vec<u8> = ends.iter().flat_map(|&end| (end as i64).to_le_bytes()).collect();
    let columns = [("states", Some(observations)), ("actions", Some(actions)), ("rewards", rewards)];
    let columns: Vec<(&str, Column)> =
        columns.into_iter().filter_map(|(name, column)| Some((name, column?))).collect();
    let numbers = [("episode_ends", "I64", &end_bytes), ("episode_tasks", "U32", &places)];
    let numbers = numbers.into_iter().filter(|(_, _, bytes)| !bytes.is_empty());

    let about = About::new(names, encoding, fps, texts.clone());
    let about = serde_json::to_string(&about).map_err(io::Error::other)?;
    let mut header = serde_json::Map::from_iter([("__metadata__".into(), json!({ "mcnn": about }))]);
    let mut at = 0;
    let mut add = |name: &str, dtype: &str, shape: Vec<usize>, bytes: usize| {
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, at + bytes] });
        header.insert(name.into(), entry);
        at += bytes;
    };
    for (name, column) in &columns {
        let shape = if *name == "rewards" { vec![n] } else { vec![n, column.width] };
        add(name, "F32", shape, n * column.row_bytes());
    }
    for (name, dtype, bytes) in numbers.clone() {
        add(name, dtype, vec![ends.len()], bytes.len());
    }
    let mut header = serde_json::to_vec(&header)?;
    // Arrays begin at multiples of 8, as the format asks for.
    header.resize(header.len().next_multiple_of(8), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    for (_, column) in columns {
        let bytes = (n * column.row_bytes()) as u64;
        if io::copy(&mut column.rows.take(bytes), to)? != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    numbers.map(|(_, _, bytes)| bytes).try_for_each(|bytes| to.write_all(bytes))
}
