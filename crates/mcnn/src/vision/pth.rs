//! The format of `torch.save`: an uncompressed zip of one pickle (names and shapes of tensors) and a file of values for each
//! storage.

use std::{collections::BTreeMap, fs::File, io::BufReader, io::Read as _};

use zip::{CompressionMethod, ZipArchive};

use super::{
    pickle::{Pickle, Value},
    tensors::{HEADER, Place},
};
use crate::error::{Error, Kind, Result};

/// The usual keys of the weights in a checkpoint that has other entries as well.
const WEIGHT_KEYS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// The tensors of a file of `length` bytes. Errors do not name the file.
pub(super) fn places(file: &File, length: u64) -> Result<BTreeMap<String, Place>> {
    let copy = file.try_clone().map_err(|e| damaged(&e.to_string()))?;
    let mut zip = ZipArchive::new(BufReader::new(copy)).map_err(|e| damaged(&e.to_string()))?;
    let names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let folder = names.iter().find_map(|name| name.strip_suffix("data.pkl")).ok_or_else(|| {
        Error::new(Kind::File, "a zip without tensors of PyTorch")
            .expected("data.pkl, as torch.save writes it")
    })?;
    if names.iter().any(|name| name.starts_with(&format!("{folder}code/"))) {
        return Err(Error::new(Kind::File, "a program of TorchScript, not weights alone")
            .next("save them with torch.save(model.state_dict(), path)"));
    }
    if let Some(order) = contents(&mut zip, &format!("{folder}byteorder"))?
        && order != b"little"
    {
        return Err(damaged("values in big-endian byte order").next("save them on an x86 or ARM one"));
    }
    let pickle = contents(&mut zip, &format!("{folder}data.pkl"))?.ok_or_else(|| damaged("no data.pkl"))?;
    let pickle = Pickle::read(&pickle)?;

    let mut places = BTreeMap::new();
    let mut storages = BTreeMap::new();
    for (name, value) in weights(&pickle)? {
        let Value::Tensor(view) = value else { continue };
        let &Value::Storage(dtype, key, count) = pickle.get(view.storage) else {
            return Err(damaged("a tensor without a storage").at(name));
        };
        let (start, size) = match storages.get(&key) {
            Some(&found) => found,
            None => {
                let Value::Text(text) = pickle.get(key) else {
                    return Err(damaged("a storage without a key"));
                };
                let found = stored(&mut zip, &format!("{folder}data/{text}"), length)?;
                storages.insert(key, found);
                found
            }
        };
        if view.shape.len() != view.strides.len() {
            return Err(damaged("a tensor whose strides are not as many as its sizes").at(name));
        }
        let outside = || damaged("a tensor that reaches beyond its storage").at(name);
        let before = view.offset.checked_mul(dtype.size()).ok_or_else(outside)?;
        let offset = start.checked_add(before).ok_or_else(outside)?;
        let place = Place { dtype, shape: view.shape.clone(), strides: view.strides.clone(), offset };
        let end = place.byte_len().and_then(|bytes| before.checked_add(bytes)).ok_or_else(outside)?;
        if end > size || count.checked_mul(dtype.size()) != Some(size) {
            return Err(outside());
        }
        places.insert(name.to_owned(), place);
    }
    Ok(places)
}

/// The entries of a dictionary whose keys are names.
type Named<'a> = Vec<(&'a str, &'a Value)>;

fn named<'a>(pickle: &'a Pickle, value: &'a Value) -> Option<Named<'a>> {
    let Value::Dict(items) = value else { return None };
    let entry = |&(key, value): &(usize, usize)| match pickle.get(key) {
        Value::Text(name) => Some((name.as_str(), pickle.get(value))),
        _ => None,
    };
    Some(items.iter().filter_map(entry).collect())
}

/// The dictionary of weights: the root, or its entry under one of [`WEIGHT_KEYS`].
fn weights(pickle: &Pickle) -> Result<Named<'_>> {
    let no_tensors = || {
        Error::new(Kind::File, "a file without tensors by name")
            .expected("a dictionary of tensors, as torch.save(model.state_dict(), path) writes it")
    };
    let has = |entries: &Named| entries.iter().any(|(_, value)| matches!(value, Value::Tensor(_)));
    let whole = named(pickle, pickle.root()).ok_or_else(no_tensors)?;
    if has(&whole) {
        return Ok(whole);
    }
    let inside = WEIGHT_KEYS.iter().find_map(|key| {
        let (_, value) = whole.iter().find(|(name, _)| name == key)?;
        named(pickle, value).filter(has)
    });
    inside.ok_or_else(no_tensors)
}

/// The contents of a small file of the archive; `None` if there is no such file.
fn contents(zip: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(index) = zip.index_for_name(name) else { return Ok(None) };
    let mut file = zip.by_index(index).map_err(|e| damaged(&e.to_string()))?;
    if file.size() > HEADER {
        return Err(
            damaged(&format!("{name} of {} bytes", file.size())).expected(format!("at most {HEADER} bytes"))
        );
    }
    let mut bytes = Vec::new();
    file.by_ref().take(HEADER + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e.to_string()))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= HEADER))
}

/// The position and the size of an uncompressed file of the archive, in bytes.
fn stored(zip: &mut ZipArchive<BufReader<File>>, name: &str, length: u64) -> Result<(u64, u64)> {
    let index = zip.index_for_name(name).ok_or_else(|| damaged(&format!("no {name}")))?;
    let file = zip.by_index_raw(index).map_err(|e| damaged(&e.to_string()))?;
    if file.compression() != CompressionMethod::Stored || file.encrypted() {
        return Err(damaged(&format!("{name} is compressed or encrypted"))
            .expected("uncompressed values, as torch.save writes them"));
    }
    let start = file.data_start().ok_or_else(|| damaged(&format!("no place of {name}")))?;
    if start.checked_add(file.size()).is_none_or(|end| end > length) {
        return Err(damaged(&format!("{name} ends after the file")));
    }
    Ok((start, file.size()))
}

fn damaged(found: &str) -> Error {
    Error::new(Kind::File, "the .pth file cannot be read").found(found).next("fetch it or save it again")
}
