//! One episode: its datasets, checked before they are read.

use hdf5_reader::Dataset;

use super::Listed;
use crate::{
    data::{
        KeyRange,
        hdf5::{Flat, floats_noting},
        number::Beyond,
        read::MORE_MEMORY,
        source::{Joined, Table, join},
    },
    error::{Error, Kind, Result},
};

/// The group of an episode.
pub(super) struct Demo {
    group: Flat,
    name: String,
}

impl Demo {
    pub fn open(data: &Flat, number: u32) -> Result<Self> {
        let name = format!("demo_{number}");
        match data.inside(&name) {
            Ok(Some(group)) => Ok(Self { group, name: format!("/data/{name}") }),
            Ok(None) => {
                Err(Error::new(Kind::Data, "an episode that is no group").at(format!("/data/{name}")))
            }
            Err(e) => Err(e.within("/data")),
        }
    }

    /// Its datasets and those of its groups.
    pub fn listing(&self) -> Vec<Listed> {
        self.group.listing()
    }

    /// Datasets of `group` (with a slash; empty for none) side by side: a row for each step, in which all other axes are flattened.
    /// `left` is the remaining memory in bytes.
    pub fn tables(&self, group: &str, keys: &[KeyRange], left: &mut u64, beyond: &Beyond) -> Result<Joined> {
        let table = |key: &KeyRange| {
            let path = format!("{group}{}", key.key);
            let Some(dataset) = self.group.nested(&path)? else {
                return Err(Error::new(Kind::Data, "missing key")
                    .at(path)
                    .expected("the same keys in all episodes"));
            };
            let [_, row @ ..] = dataset.shape() else {
                return Err(Error::new(Kind::Data, "an array of another shape")
                    .at(path)
                    .expected("(steps, ...)")
                    .found("one value"));
            };
            let width = row.iter().fold(1, |n: u64, &d| n.saturating_mul(d)) as usize;
            Ok(Table { key: key.clone(), width, values: values(&dataset, left, beyond)?, names: None })
        };
        let tables: Result<Vec<Table>> = keys.iter().map(table).collect();
        tables.and_then(join).map_err(|e| e.within(&self.name))
    }

    /// The frames of a camera, which are read piece by piece.
    pub fn frames(&self, key: &str) -> Result<Dataset> {
        let found = match self.group.inside("obs")? {
            Some(obs) => obs.find_large(key)?,
            None => None,
        };
        found.ok_or_else(|| {
            Error::new(Kind::Data, "missing key")
                .at(format!("{}/obs/{key}", self.name))
                .expected("the same cameras in all episodes")
        })
    }

    /// The rewards, if there are any.
    pub fn rewards(&self, steps: usize, left: &mut u64, beyond: &Beyond) -> Result<Option<Vec<f32>>> {
        let column = self.group.column("rewards", steps as u64);
        let rewards =
            column.and_then(|column| column.map(|column| values(&column, left, beyond)).transpose());
        rewards.map_err(|e| e.within(&self.name))
    }

    /// Checks the widths of states and actions against those of the episodes before, which are 0 if there are none.
    pub fn same_widths(&self, before: [&mut usize; 2], found: [usize; 2]) -> Result<()> {
        for ((before, found), what) in before.into_iter().zip(found).zip(["state", "action"]) {
            if *before != 0 && *before != found {
                return Err(Error::new(Kind::Data, format!("an episode whose {what} has another width"))
                    .at(&*self.name)
                    .expected(format!("{before} dimensions, as in the episodes before"))
                    .found(found.to_string()));
            }
            *before = found;
        }
        Ok(())
    }

    pub fn same_length(&self, actions: usize, states: usize) -> Result<()> {
        if actions == states {
            return Ok(());
        }
        Err(Error::new(Kind::Data, "an episode with different numbers of observations and actions")
            .at(&*self.name)
            .expected(format!("{states} steps, as there are observations"))
            .found(format!("{actions} steps")))
    }
}

/// The values of a dataset, within the memory that is left for all of them: many names may lead to one dataset.
fn values(dataset: &Dataset, left: &mut u64, beyond: &Beyond) -> Result<Vec<f32>> {
    let bytes = dataset.shape().iter().fold(4, |n: u64, &d| n.saturating_mul(d));
    match left.checked_sub(bytes) {
        Some(rest) => *left = rest,
        None => {
            return Err(Error::new(Kind::File, "the episodes expand to more memory than they are given")
                .at(dataset.name())
                .expected(format!("at most {left} bytes more"))
                .found(format!("{bytes} bytes"))
                .next(MORE_MEMORY));
        }
    }
    floats_noting(dataset, beyond)
}
