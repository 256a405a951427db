//! The keys that are read, and their values, episode after episode.

use super::{
    ACTIONS, LABELS, OBSERVATIONS,
    space::{Leaf, LeafKind},
    store::{Array, Store},
};
use crate::{
    data::{
        KeyRange,
        number::Beyond,
        read::FRAMES,
        selection::no_such_key,
        source::{Joined, Table, join},
    },
    error::{Error, Kind, Result},
};

/// A key of the state or action: one leaf, or all leaves of a Dict.
pub(super) struct Piece {
    pub key: KeyRange,
    pub leaves: Vec<Leaf>,
}

/// The keys asked for, or all leaves of numbers.
pub(super) fn pieces(leaves: &[Leaf], root: &str, asked: &[KeyRange], option: &str) -> Result<Vec<Piece>> {
    let is_number = |leaf: &&Leaf| matches!(leaf.kind, LeafKind::Numbers | LeafKind::Choices(_));
    if asked.is_empty() {
        let whole = |leaf: &Leaf| Piece {
            key: KeyRange { key: leaf.name(root), dimensions: None },
            leaves: vec![leaf.clone()],
        };
        let all: Vec<Piece> = leaves.iter().filter(is_number).map(whole).collect();
        if all.is_empty() {
            let frames = leaves.iter().any(|leaf| leaf.kind == LeafKind::Frames);
            let error = Error::new(Kind::Data, format!("{root} without numbers"));
            let found: Vec<&str> = leaves.iter().map(|leaf| &*leaf.dtype).take(20).collect();
            return Err(error.found(found.join(", ")).next(if frames { FRAMES } else { "" }));
        }
        return Ok(all);
    }
    let one = |key: &KeyRange| {
        let wanted = key.key.strip_prefix(root).map_or(&*key.key, |rest| rest.trim_start_matches('/'));
        let inside = |leaf: &&Leaf| {
            let name = leaf.path.join("/");
            name == wanted
                || wanted.is_empty()
                || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
        };
        let found: Vec<Leaf> = leaves.iter().filter(inside).cloned().collect();
        if found.is_empty() {
            let mut there: Vec<String> = leaves.iter().map(|leaf| leaf.name(root)).collect();
            there.dedup();
            return Err(no_such_key(&key.key, &there));
        }
        if let Some(leaf) = found.iter().find(|leaf| !is_number(leaf)) {
            let error =
                Error::new(Kind::Data, "a key that is not numbers").at(format!("{option} {}", key.key));
            let error = error.found(format!("{} in {}", leaf.dtype, leaf.name(root)));
            return Err(error.next(if leaf.kind == LeafKind::Frames { FRAMES } else { "" }));
        }
        Ok(Piece { key: key.clone(), leaves: found })
    };
    asked.iter().map(one).collect()
}

/// The values of all leaves in an episode.
pub(super) struct Episode {
    /// Of each leaf of the state, and of the action.
    pub tables: [Vec<Vec<f32>>; 2],
    pub rewards: Option<Vec<f32>>,
    pub steps: usize,
}

impl Episode {
    /// Reads an episode. Errors do not name it.
    pub fn read(store: &Store, number: u32, pieces: [&[Piece]; 2], beyond: &Beyond) -> Result<Self> {
        let leaves = [0, 1].map(|k| pieces[k].iter().flat_map(|piece| &piece.leaves).collect::<Vec<_>>());
        let path = |root: &'static str, leaf: &&'_ Leaf| -> Vec<String> {
            std::iter::once(root.to_owned()).chain(leaf.path.iter().cloned()).collect()
        };
        let mut paths: Vec<Vec<String>> = leaves[0].iter().map(|leaf| path(OBSERVATIONS, leaf)).collect();
        paths.extend(leaves[1].iter().map(|leaf| path(ACTIONS, leaf)));
        paths.push(vec![LABELS[0].into()]);
        let asked: Vec<Vec<&str>> =
            paths.iter().map(|path| path.iter().map(|part| &**part).collect()).collect();
        let mut arrays = store.arrays(number, &asked, beyond)?.into_iter().zip(&paths);
        let mut tables = leaves.each_ref().map(|leaves| vec![Vec::new(); leaves.len()]);
        let mut steps = None;
        for (k, leaves) in leaves.iter().enumerate() {
            for (leaf, to) in leaves.iter().zip(&mut tables[k]) {
                let Some((array, path)) = arrays.next() else { continue };
                let name = path.join("/");
                let array = array.ok_or_else(|| Error::new(Kind::Data, "missing key").at(&*name))?;
                let rows =
                    if k == 0 || store.is_padded() { array.rows.checked_sub(1) } else { Some(array.rows) };
                let expected = *steps.get_or_insert(rows.unwrap_or(0));
                if rows != Some(expected) {
                    return Err(Error::new(Kind::Data, "arrays of different numbers of steps")
                        .at(name)
                        .expected(format!("{expected} steps, after one observation more"))
                        .found(format!("{} rows", array.rows)));
                }
                append(leaf, array, expected, to).map_err(|e| e.within(name))?;
            }
        }
        let steps = steps.unwrap_or(0);
        if steps == 0 {
            return Err(
                Error::new(Kind::Data, "an episode without steps").next("leave it out with --episodes")
            );
        }
        let rewards = arrays.next().and_then(|(array, _)| array);
        let rewards = match rewards {
            Some(array) if array.width != 1 || array.rows < steps => {
                return Err(Error::new(Kind::Data, "rewards of another number of steps")
                    .at(LABELS[0])
                    .expected(steps.to_string())
                    .found(array.rows.to_string()));
            }
            found => found.map(|array| array.values[..steps].to_vec()),
        };
        Ok(Self { tables, rewards, steps })
    }
}

/// Appends the first `rows` rows of an array; choices become a dimension for each value.
fn append(leaf: &Leaf, array: Array, rows: usize, to: &mut Vec<f32>) -> Result<()> {
    let width = leaf.stored_width();
    if array.width != width {
        return Err(Error::new(Kind::Data, "rows of another width than the space's")
            .expected(format!("{width} values, {}", leaf.dtype))
            .found(array.width.to_string()));
    }
    let values = &array.values[..rows * width];
    let LeafKind::Choices(choices) = &leaf.kind else {
        to.extend_from_slice(values);
        return Ok(());
    };
    if leaf.width() == 0 {
        to.extend_from_slice(values); // of an unknown number
        return Ok(());
    }
    for row in values.chunks_exact(choices.len()) {
        for (&value, &(n, start)) in row.iter().zip(choices) {
            let place = value as i64 - start;
            if place < 0 || place as u64 >= n {
                return Err(Error::new(Kind::Data, "a choice that the space does not have")
                    .expected(format!("{start} to {}", start + n as i64 - 1))
                    .found(value.to_string()));
            }
            to.extend((0..n as i64).map(|i| f32::from(i == place)));
        }
    }
    Ok(())
}

/// The pieces side by side.
pub(super) fn joined(pieces: &[Piece], leaves: Vec<Vec<f32>>) -> Result<Joined> {
    let mut leaves = leaves.into_iter();
    let mut tables = Vec::new();
    for piece in pieces {
        let parts = piece.leaves.iter().zip(leaves.by_ref()).map(|(leaf, values)| Table {
            key: KeyRange { key: leaf.name("array"), dimensions: None },
            width: leaf.width().max(leaf.stored_width()),
            values,
            names: None,
        });
        let Joined { width, values, .. } = join(parts.collect())?;
        tables.push(Table { key: piece.key.clone(), width, values, names: None });
    }
    join(tables)
}
