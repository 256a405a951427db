//! An open HDF5 file: its datasets by name, each checked before anything of it is read.

use std::path::Path;

use hdf5_reader::{
    Dataset, Hdf5File, OpenOptions, dtype_element_size, error::Error as Hdf5Error, group::Group,
    local_heap::LocalHeap, messages::HdfMessage,
};

use super::{
    errors::{REWRITE, elsewhere, list, other_length, other_rank, type_name, unreadable},
    filters,
    links::{Link, Target, links},
};
use crate::{
    data::read::{FRAMES, MORE_MEMORY, TOO_LARGE, expanded, limit, limit_of_any_codec},
    error::{Error, Kind, Result},
};

/// An open file (or a group in it) and the links at its root.
pub(in crate::data) struct Flat {
    file: Hdf5File,
    root: Group,
    links: Vec<Link>,
    length: u64,
}

impl Flat {
    pub fn open(path: &Path, length: u64) -> Result<Self> {
        let most = usize::try_from(expanded(length).max(limit_of_any_codec(length))).unwrap_or(usize::MAX);
        let max_chunk_bytes = most.min(hdf5_reader::DEFAULT_MAX_CHUNK_BYTES);
        let options = OpenOptions {
            chunk_cache_bytes: 0, // every table is read once
            max_read_bytes: most,
            max_chunk_bytes,
            filter_registry: Some(filters::registry(max_chunk_bytes)),
            ..OpenOptions::default()
        };
        let damaged = |e| unreadable(e, "");
        let file = Hdf5File::open_with_options(path, options).map_err(damaged)?;
        let root = file.root_group().map_err(damaged)?;
        Self::of(file, root, length)
    }

    fn of(file: Hdf5File, root: Group, length: u64) -> Result<Self> {
        let links = links(&file, &root).map_err(|e| unreadable(e, ""))?;
        Ok(Self { file, root, links, length })
    }

    /// A group, if it exists.
    pub fn inside(&self, name: &str) -> Result<Option<Self>> {
        let Some(link) = self.link(name) else { return Ok(None) };
        if let Target::Elsewhere { file, path } = &link.target {
            return Err(in_another_file(name, file, path));
        }
        match self.root.group(name) {
            Ok(group) => Self::of(self.file.clone(), group, self.length).map(Some),
            Err(Hdf5Error::GroupNotFound(_)) => Ok(None), // a dataset
            Err(e) => Err(unreadable(e, name)),
        }
    }

    /// A table, rank 2.
    pub fn table(&self, key: &str) -> Result<Dataset> {
        let Some(dataset) = self.find(key)? else { return Err(self.missing(key)) };
        match dataset.shape() {
            [_, _] => Ok(dataset),
            shape @ [_, _, _, _] if key == "observations" => {
                Err(other_rank(key, "(steps, width)", shape).next(FRAMES))
            }
            shape => Err(other_rank(key, "(steps, width)", shape)),
        }
    }

    /// A column of `n_steps` values, if the file has it.
    pub fn column(&self, key: &str, n_steps: u64) -> Result<Option<Dataset>> {
        let Some(dataset) = self.find(key)? else {
            return Ok(None);
        };
        match *dataset.shape() {
            [n] | [n, 1] if n == n_steps => Ok(Some(dataset)),
            [n] | [n, 1] => Err(other_length(key, n, n_steps)),
            ref shape => Err(other_rank(key, "(steps,) or (steps, 1)", shape)),
        }
    }

    /// A dataset that fits the memory limit, if it exists.
    pub fn find(&self, key: &str) -> Result<Option<Dataset>> {
        self.within(key, limit(self.length), limit_of_any_codec(self.length))
    }

    /// A dataset that is read piece by piece, if it exists.
    pub fn find_large(&self, key: &str) -> Result<Option<Dataset>> {
        let any = expanded(self.length).max(limit_of_any_codec(self.length));
        self.within(key, expanded(self.length), any)
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.links.iter().map(|link| link.name.clone()).collect()
    }

    /// The datasets here and in the groups here, as NAME and GROUP/NAME, with their shapes and types. Of an object that cannot be
    /// opened, the name alone.
    pub fn listing(&self) -> Vec<(String, Vec<u64>, String)> {
        let mut found = Vec::new();
        for link in &self.links {
            match (&link.target, self.root.dataset(&link.name)) {
                (Target::Elsewhere { .. }, _) => found.push((link.name.clone(), vec![], "elsewhere".into())),
                (_, Ok(dataset)) => found.push(described(&link.name, &dataset)),
                (_, Err(_)) => match self.root.group(&link.name).and_then(|group| group.datasets()) {
                    Ok(datasets) => found.extend(
                        (datasets.iter().filter(|dataset| !dataset.name().is_empty()))
                            .map(|dataset| described(&format!("{}/{}", link.name, dataset.name()), dataset)),
                    ),
                    Err(_) => found.push((link.name.clone(), vec![], "unreadable".into())),
                },
            }
        }
        found
    }

    /// The shape and the type of a dataset; `None` for a group or where there is nothing.
    pub fn about(&self, key: &str) -> Result<Option<(Vec<u64>, String)>> {
        let dataset = self.find_large(key)?;
        Ok(dataset.map(|dataset| (dataset.shape().to_vec(), type_name(dataset.dtype()))))
    }

    /// A table that a user named, perhaps in a group: rank 2, or rank 1 as a table of one column.
    pub fn named_table(&self, key: &str) -> Result<Dataset> {
        if let Some((group, rest)) = key.split_once('/') {
            let inside = self.inside(group)?.ok_or_else(|| self.missing(group))?;
            return inside.named_table(rest).map_err(|e| e.within(group));
        }
        let Some(dataset) = self.find(key)? else { return Err(self.missing(key)) };
        match dataset.shape() {
            [_] | [_, _] => Ok(dataset),
            shape => Err(other_rank(key, "(steps, width) or (steps,)", shape)),
        }
    }

    /// A dataset that fits the memory limit, perhaps in groups (GROUP/NAME), if it exists.
    pub fn nested(&self, path: &str) -> Result<Option<Dataset>> {
        let Some((group, rest)) = path.split_once('/') else { return self.find(path) };
        match self.inside(group)? {
            Some(inside) => inside.nested(rest).map_err(|e| e.within(format!("/{group}"))),
            None => Ok(None),
        }
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// A dataset of at most `limit` bytes, or `of_any_codec` if it is compressed with another codec than deflate.
    fn within(&self, key: &str, limit: u64, of_any_codec: u64) -> Result<Option<Dataset>> {
        let Some(link) = self.link(key) else { return Ok(None) };
        let damaged = |e| unreadable(e, key);
        let dataset = match (&link.target, self.root.dataset(key)) {
            (Target::Elsewhere { file, path }, _) => return Err(in_another_file(key, file, path)),
            (_, Ok(dataset)) => dataset,
            (Target::Path(path), Err(Hdf5Error::DatasetNotFound(_))) => {
                return Err(Error::new(Kind::File, "a link that leads to no dataset of this file")
                    .at(format!("/{key}"))
                    .found(format!("a link to {path}"))
                    .next(REWRITE));
            }
            (Target::Here(_), Err(Hdf5Error::DatasetNotFound(_))) => return Ok(None), // a group
            (_, Err(e)) => return Err(damaged(e)),
        };
        let mut codec = false;
        for message in &self.file.get_or_parse_header(dataset.address()).map_err(damaged)?.messages {
            match message {
                HdfMessage::FilterPipeline(pipeline) => codec = filters::check(&pipeline.filters, key)?,
                HdfMessage::ExternalFiles(files) => {
                    let named = || {
                        let storage = self.root.storage();
                        let (offsets, lengths) = (self.root.offset_size(), self.root.length_size());
                        let heap = LocalHeap::parse_at_storage(storage, files.heap_address, offsets, lengths)
                            .ok()?;
                        heap.get_string_storage(files.slots.first()?.name_offset, storage).ok()
                    };
                    let name = named().map_or("another file".into(), |name| format!("the file {name}"));
                    return Err(elsewhere(key, format!("values stored in {name}")));
                }
                _ => {}
            }
        }
        let limit = if codec { of_any_codec } else { limit };
        // Sizes that the file cannot contain are refused before anything is allocated. A chunk takes at least one byte.
        let along = |(&n, &c): (&u64, &u32)| n.div_ceil(u64::from(c).max(1));
        let chunks = dataset.chunks().map_or(1, |chunk| {
            let counts = dataset.shape().iter().zip(&chunk).map(along);
            counts.fold(1, u64::saturating_mul)
        });
        let size = dtype_element_size(dataset.dtype()).unwrap_or(usize::MAX) as u64;
        let bytes = dataset.shape().iter().fold(size, |n, &d| n.saturating_mul(d));
        if chunks > self.length || bytes > limit {
            let impossible = chunks > self.length || bytes > expanded(self.length) && !codec;
            let what = match impossible {
                true => "the HDF5 file declares more data than it can contain",
                false => "the HDF5 file expands to more memory than it is given",
            };
            return Err(Error::new(Kind::File, what)
                .at(format!("/{key}"))
                .expected(format!("at most {limit} bytes, in at most {} chunks", self.length))
                .found(format!("{bytes} bytes in {chunks} chunks"))
                .next(if impossible { TOO_LARGE } else { MORE_MEMORY }));
        }
        Ok(Some(dataset))
    }

    /// The error of a key that is not there.
    fn missing(&self, key: &str) -> Error {
        let there: Vec<String> = self.links.iter().map(|link| self.listed(link)).collect();
        Error::new(Kind::Data, "missing key")
            .at(format!("/{key}"))
            .expected("a table of observations and one of actions, a row a step")
            .found(if there.is_empty() {
                "a file without keys".into()
            } else {
                format!("the keys {}", list(&there))
            })
    }

    /// A name as it is listed: groups end with a slash.
    fn listed(&self, link: &Link) -> String {
        let is_group = |message: &HdfMessage| {
            use HdfMessage::{GroupInfo, Link, LinkInfo, SymbolTable};
            matches!(message, SymbolTable(_) | Link(_) | LinkInfo(_) | GroupInfo(_))
        };
        match &link.target {
            Target::Here(address) => match self.file.get_or_parse_header(*address) {
                Ok(header) if header.messages.iter().any(is_group) => format!("{}/", link.name),
                _ => link.name.clone(),
            },
            Target::Path(path) => format!("{} (a link to {path})", link.name),
            Target::Elsewhere { file, .. } => format!("{} (in the file {file})", link.name),
        }
    }
}

fn described(name: &str, dataset: &Dataset) -> (String, Vec<u64>, String) {
    (name.to_owned(), dataset.shape().to_vec(), type_name(dataset.dtype()))
}

fn in_another_file(key: &str, file: &str, path: &str) -> Error {
    elsewhere(key, format!("a link to {path} in the file {file}"))
}
