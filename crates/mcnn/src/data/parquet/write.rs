//! Writing Parquet: columns without nulls, plainly and uncompressed, as LeRobot's readers (pyarrow, Hugging Face `datasets`) read them.

use std::io::{self, Write};

use super::thrift::Writer;

/// What is written of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum ColumnKind {
    F32,
    F64,
    I64,
    Text,
}

impl ColumnKind {
    /// As Parquet numbers its types.
    fn number(self) -> i64 {
        match self {
            Self::I64 => 2,
            Self::F32 => 4,
            Self::F64 => 5,
            Self::Text => 6,
        }
    }
}

/// A column of a file: its name, the type of its values, and whether a row is a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Field {
    pub name: String,
    pub kind: ColumnKind,
    pub is_list: bool,
}

impl Field {
    pub fn scalar(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, is_list: false }
    }

    pub fn list(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, is_list: true }
    }
}

/// Values of a column in a row group, as Parquet stores them plainly.
#[derive(Debug, Default)]
pub(in crate::data) struct WrittenValues {
    bytes: Vec<u8>,
    count: usize,
    lengths: Vec<usize>, // of the rows of a column of lists
}

impl WrittenValues {
    /// Rows of `width` little-endian numbers each; of a column that is no list, `width` is 1.
    pub fn rows(bytes: Vec<u8>, count: usize, width: usize) -> Self {
        Self { bytes, count: count * width, lengths: vec![width; count] }
    }

    pub fn integers(values: impl IntoIterator<Item = i64>) -> Self {
        let mut all = Self::default();
        for value in values {
            all.bytes.extend(value.to_le_bytes());
            all.end_row(1);
        }
        all
    }

    pub fn floats(values: impl IntoIterator<Item = f32>) -> Self {
        let mut all = Self::default();
        for value in values {
            all.bytes.extend(value.to_le_bytes());
            all.end_row(1);
        }
        all
    }

    /// Adds a row of floats.
    pub fn add_doubles(&mut self, row: &[f64]) {
        self.bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()));
        self.end_row(row.len());
    }

    /// Adds a row of integers.
    pub fn add_integers(&mut self, row: &[i64]) {
        self.bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()));
        self.end_row(row.len());
    }

    /// Adds a row of texts.
    pub fn add_texts(&mut self, row: &[&str]) {
        for text in row {
            self.bytes.extend((text.len() as u32).to_le_bytes());
            self.bytes.extend(text.as_bytes());
        }
        self.end_row(row.len());
    }

    fn end_row(&mut self, values: usize) {
        self.count += values;
        self.lengths.push(values);
    }

    /// The page: levels, if a row is a list, and values. Rows are not empty.
    fn page(&self, is_list: bool) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.bytes.len() + self.count / 4 + 64);
        if is_list {
            let starts = self.lengths.iter().flat_map(|&n| (0..n).map(|i| i > 0));
            page.extend(levels(starts, self.count));
            page.extend(levels(std::iter::repeat_n(true, self.count), self.count));
        }
        page.extend(&self.bytes);
        page
    }
}

/// Levels of one bit each, as one bit-packed run, with their length before them.
fn levels(bits: impl Iterator<Item = bool>, count: usize) -> Vec<u8> {
    let groups = count.div_ceil(8);
    let mut packed = vec![0_u8; groups];
    bits.enumerate().for_each(|(i, bit)| packed[i / 8] |= u8::from(bit) << (i % 8));
    let mut run = Vec::new();
    super::thrift::put_varint(&mut run, (groups as u64) << 1 | 1);
    run.extend(packed);
    let mut all = (run.len() as u32).to_le_bytes().to_vec();
    all.extend(run);
    all
}

/// A chunk of a column, for the footer.
struct Chunk {
    offset: u64,
    length: u64,
    count: usize,
}

/// A file that is written row group by row group.
pub(in crate::data) struct ParquetWriter<W> {
    to: W,
    at: u64,
    fields: Vec<Field>,
    groups: Vec<(usize, Vec<Chunk>)>, // rows and columns
}

const MAGIC: &[u8] = b"PAR1";

impl<W: Write> ParquetWriter<W> {
    pub fn new(mut to: W, fields: Vec<Field>) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to, at: MAGIC.len() as u64, fields, groups: Vec::new() })
    }

    /// Bytes written.
    pub fn length(&self) -> u64 {
        self.at
    }

    /// Writes `rows` rows, the values of each column in the order of the fields. A column of a row group takes less than 2 GiB.
    pub fn write(&mut self, rows: usize, columns: &[WrittenValues]) -> io::Result<()> {
        let mut chunks = Vec::new();
        for (field, values) in self.fields.iter().zip(columns) {
            let page = values.page(field.is_list);
            let length = i32::try_from(page.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let mut header = Writer::default();
            header.integer(1, 0); // a data page
            header.integer(2, length.into());
            header.integer(3, length.into());
            header.structure(5, |header| {
                header.integer(1, values.count as i64);
                header.integer(2, 0); // plain values
                header.integer(3, 3); // levels by runs
                header.integer(4, 3);
            });
            let header = header.finish();
            self.to.write_all(&header)?;
            self.to.write_all(&page)?;
            let length = (header.len() + page.len()) as u64;
            chunks.push(Chunk { offset: self.at, length, count: values.count });
            self.at += length;
        }
        self.groups.push((rows, chunks));
        Ok(())
    }

    /// Writes the footer. `pandas`: what pandas says of the index, as JSON.
    pub fn finish(mut self, pandas: Option<&str>) -> io::Result<()> {
        let footer = self.footer(pandas);
        self.to.write_all(&footer)?;
        self.to.write_all(&(footer.len() as u32).to_le_bytes())?;
        self.to.write_all(MAGIC)?;
        self.to.flush()
    }

    fn footer(&self, pandas: Option<&str>) -> Vec<u8> {
        let mut footer = Writer::default();
        footer.integer(1, 2); // the version
        let mut schema: Vec<Writer> = vec![Writer::default()];
        schema[0].text(4, "schema");
        schema[0].integer(5, self.fields.len() as i64);
        self.fields.iter().for_each(|field| schema.extend(field.schema()));
        footer.structures(2, schema);
        footer.long(3, self.groups.iter().map(|(rows, _)| *rows as i64).sum());
        footer.structures(4, self.groups.iter().map(|group| self.group(group)));
        if let Some(pandas) = pandas {
            let mut pair = Writer::default();
            pair.text(1, "pandas");
            pair.text(2, pandas);
            footer.structures(5, [pair]);
        }
        footer.text(6, concat!("mcnn version ", env!("CARGO_PKG_VERSION")));
        footer.finish()
    }

    fn group(&self, (rows, chunks): &(usize, Vec<Chunk>)) -> Writer {
        let column = |(field, chunk): (&Field, &Chunk)| {
            let mut column = Writer::default();
            column.long(2, 0);
            column.structure(3, |about| {
                about.integer(1, field.kind.number());
                about.integers(2, &[0, 3]);
                about.texts(3, &field.path());
                about.integer(4, 0); // uncompressed
                about.long(5, chunk.count as i64);
                about.long(6, chunk.length as i64);
                about.long(7, chunk.length as i64);
                about.long(9, chunk.offset as i64);
            });
            column
        };
        let mut group = Writer::default();
        group.structures(1, self.fields.iter().zip(chunks).map(column));
        group.long(2, chunks.iter().map(|chunk| chunk.length as i64).sum());
        group.long(3, *rows as i64);
        group
    }
}

impl Field {
    fn path(&self) -> Vec<&str> {
        if self.is_list { vec![&self.name, "list", "element"] } else { vec![&self.name] }
    }

    /// The elements of the schema: of a list its three levels.
    fn schema(&self) -> Vec<Writer> {
        let mut all = Vec::new();
        if self.is_list {
            let mut outer = Writer::default();
            outer.integer(3, 0);
            outer.text(4, &self.name);
            outer.integer(5, 1);
            outer.integer(6, 3); // LIST, for old readers
            outer.structure(10, |of| of.structure(3, |_| ()));
            let mut inner = Writer::default();
            inner.integer(3, 2);
            inner.text(4, "list");
            inner.integer(5, 1);
            all.extend([outer, inner]);
        }
        let mut leaf = Writer::default();
        leaf.integer(1, self.kind.number());
        leaf.integer(3, 0);
        leaf.text(4, if self.is_list { "element" } else { &self.name });
        if self.kind == ColumnKind::Text {
            leaf.integer(6, 0); // UTF-8, for old readers
            leaf.structure(10, |of| of.structure(1, |_| ()));
        }
        all.push(leaf);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::parquet::{self as read, Budget, Parquet};

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let fields = vec![
            Field::list("x", ColumnKind::F32),
            Field::scalar("i", ColumnKind::I64),
            Field::list("texts", ColumnKind::Text),
            Field::list("d", ColumnKind::F64),
            Field::scalar("t", ColumnKind::F32),
        ];
        let mut writer = ParquetWriter::new(std::fs::File::create(&path).unwrap(), fields).unwrap();
        for group in 0..2 {
            let rows = 5 + group;
            let x: Vec<u8> = (0..3 * rows).flat_map(|v| (v as f32).to_le_bytes()).collect();
            let (mut texts, mut doubles) = (WrittenValues::default(), WrittenValues::default());
            for i in 0..rows {
                texts.add_texts(&["ab", "c", "é"][..1 + i % 3]);
                doubles.add_doubles(&[i as f64, 0.5]);
            }
            let columns = [
                WrittenValues::rows(x, rows, 3),
                WrittenValues::integers((0..rows as i64).map(|i| i - 2)),
                texts,
                doubles,
                WrittenValues::floats((0..rows).map(|i| i as f32)),
            ];
            writer.write(rows, &columns).unwrap();
        }
        writer.finish(Some("{}")).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        let file = Parquet::open(&path, length).unwrap();
        assert_eq!((file.groups(), file.leaves().len()), (2, 5));
        let columns = file.read(1, &[0, 1, 2, 3, 4], &Budget::new(length)).unwrap();
        assert_eq!(columns.iter().map(|c| c.rows).collect::<Vec<_>>(), [6; 5]);
        assert_eq!(columns[0].width().unwrap(), 3);
        let read::Values::Integers(integers) = &columns[1].values else { panic!() };
        assert_eq!(integers[..], [-2, -1, 0, 1, 2, 3]);
        assert_eq!(columns[2].lengths, [1, 2, 3, 1, 2, 3]);
    }
}
