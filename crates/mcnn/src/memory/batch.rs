//! Searches of many queries at once on a device that the program adds, such as a GPU. The results are those of the processor to the
//! bit: a device returns a few candidate rows for each query, and this module computes their distances again as the processor does, proves by
//! a bound on rounding that no other row is nearer, and searches the table where it cannot.
//!
//! With unit roundoff u, a sum of `dim` squares of differences in f32 has a relative error of at most g(dim + 4), g(n) = n u / (1 -
//! n u), in any order of the additions and with any of them fused (Higham, Accuracy and Stability of Numerical Algorithms, section
//! 3.1). On the processor u is 2^-24. WGSL leaves the direction of rounding open, so on a device u is 2^-23. It may also flush
//! subnormal numbers to 0, which changes the sum by at most `dim` 2^-122 where no value is above [`LARGEST`].

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use nearest::{Hit, Table};
use rayon::prelude::*;

use crate::error::{Error, Kind, Result};

/// The largest magnitude of a value that a device is asked about: sums of squares do not overflow.
const LARGEST: f32 = (1_u64 << 50) as f32;
/// The largest dimension for which the bounds on rounding are useful.
const MOST_DIMENSIONS: usize = 1 << 16;

/// Many queries to one table of rows. n: the number of rows, m: that of queries.
#[derive(Debug, Clone, Copy)]
pub struct BatchQuery<'a> {
    /// The rows, `[n, dim]`.
    pub rows: &'a [f32],
    /// The queries, `[m, dim]`.
    pub queries: &'a [f32],
    /// The number of dimensions, at least 1.
    pub dim: usize,
    /// The number of nearest rows wanted of each query, at least 1.
    pub k: usize,
    /// The group of each row, `[n]`, and of each query, `[m]`: rows of a query's own group are not found.
    pub groups: Option<[&'a [u32]; 2]>,
}

impl BatchQuery<'_> {
    fn query(&self, i: usize) -> &[f32] {
        &self.queries[i * self.dim..][..self.dim]
    }

    /// Whether row `j` may be found by query `i`.
    fn accepts(&self, i: usize, j: usize) -> bool {
        self.groups.is_none_or(|[rows, queries]| rows[j] != queries[i])
    }

    /// The result of query `i`, by the processor.
    fn search(&self, table: &Table, i: usize) -> Vec<Hit> {
        let mut hits = Vec::with_capacity(self.k.min(table.len()));
        table.k_nearest_where(self.query(i), self.k, |j| self.accepts(i, j), &mut hits);
        hits
    }
}

/// The candidate rows that a device returns for each of m queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortlist {
    /// Candidates of each query, more than the k wanted.
    pub width: usize,
    /// The nearest rows of each query by the device's distances, nearest first, `[m, width]`; [`Shortlist::NONE`] after the last where
    /// the query may find fewer.
    pub rows: Vec<u32>,
    /// The squared distances as the device computed them, `[m, width]`. No row that is missing was nearer than the last.
    pub d2: Vec<f32>,
}

impl Shortlist {
    /// In the place of a row: there is none.
    pub const NONE: u32 = u32::MAX;
}

/// A device that searches many queries at once.
pub trait BatchSearch: Send + Sync {
    /// The name of the device.
    fn name(&self) -> String;

    /// The rows nearest to each query by sums, in f32 and in any order, of the squares of the differences. `None` if the device is not
    /// meant for so small a query, or for so large a k.
    ///
    /// # Errors
    /// If the device fails.
    fn shortlist(&self, query: &BatchQuery) -> Result<Option<Shortlist>>;
}

/// What was searched on a device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BatchSearchStats {
    /// The name of the device.
    pub device: String,
    /// Queries that it searched.
    pub queries: u64,
    /// Those of them that were searched again on the processor, because rounding could not exclude that another row is as near.
    pub repeated_on_cpu: u64,
    /// Why the device is no longer used, if it failed: everything after that was searched on the processor.
    pub failure: Option<String>,
}

/// A device in use, with its statistics.
struct Device {
    search: Arc<dyn BatchSearch>,
    queries: AtomicU64,
    repeated: AtomicU64,
    failure: RwLock<Option<String>>,
}

/// The device of this process.
static DEVICE: RwLock<Option<Arc<Device>>> = RwLock::new(None);

fn device() -> Option<Arc<Device>> {
    DEVICE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sets the device that searches of many queries use in this process, or none. Like the number of threads, it changes no result, so it
/// belongs to the process. If it fails, the processor searches in its place ([`batch_search_stats`]).
pub fn set_batch_search(search: Option<Arc<dyn BatchSearch>>) {
    let device = search.map(|search| Arc::new(Device::new(search)));
    *DEVICE.write().unwrap_or_else(PoisonError::into_inner) = device;
}

/// What the device has searched since it was set; `None` without a device.
pub fn batch_search_stats() -> Option<BatchSearchStats> {
    device().map(|device| device.stats())
}

/// Whether there is a device that has not failed: otherwise queries need not be gathered for it.
pub(super) fn has_device() -> bool {
    device().is_some_and(|device| device.failure().is_none())
}

/// The `k` nearest rows of each query, nearest first, as [`Table::k_nearest_where`] finds them; fewer where there are fewer. `table` has
/// the rows of `query`. `None` if there is no device for it.
pub(super) fn search_on_device(table: &Table, query: &BatchQuery) -> Option<Vec<Vec<Hit>>> {
    device()?.search(table, query)
}

/// The `k` nearest rows of each query, nearest first, on the device of this process or on the processor: the results are those of
/// [`Table::k_nearest_where`]. Fewer where there are fewer. `table` has the rows of `query`.
///
/// # Panics
/// If the table has other dimensions or another number of rows.
pub fn search_batch(table: &Table, query: &BatchQuery) -> Vec<Vec<Hit>> {
    assert_eq!(
        (table.dim(), table.len() * table.dim()),
        (query.dim, query.rows.len()),
        "rows of another table"
    );
    search_on_device(table, query).unwrap_or_else(|| {
        let search = |i: usize| query.search(table, i);
        (0..query.queries.len() / query.dim).into_par_iter().map(search).collect()
    })
}

/// The nearest row of each query, as [`Table::nearest_many`] finds it. `query.k` is 1, without groups.
pub(super) fn nearest_on_device(table: &Table, query: &BatchQuery) -> Option<Vec<Hit>> {
    search_on_device(table, query).map(|hits| hits.into_iter().flatten().collect())
}

impl Device {
    fn new(search: Arc<dyn BatchSearch>) -> Self {
        let (queries, repeated) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { search, queries, repeated, failure: RwLock::new(None) }
    }

    fn failure(&self) -> Option<String> {
        self.failure.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stats(&self) -> BatchSearchStats {
        BatchSearchStats {
            device: self.search.name(),
            queries: self.queries.load(Relaxed),
            repeated_on_cpu: self.repeated.load(Relaxed),
            failure: self.failure(),
        }
    }

    fn search(&self, table: &Table, query: &BatchQuery) -> Option<Vec<Vec<Hit>>> {
        let is_usual = |values: &[f32]| values.iter().all(|v| v.abs() <= LARGEST); // false for NaN
        let is_empty = query.rows.is_empty() || query.queries.is_empty() || query.k == 0;
        if is_empty || query.dim > MOST_DIMENSIONS || self.failure().is_some() || !is_usual(query.rows) {
            return None;
        }
        let found = self.search.shortlist(query).and_then(|found| match found {
            Some(found) => self.exact(table, query, &found, is_usual).map(Some),
            None => Ok(None),
        });
        found.unwrap_or_else(|error| {
            *self.failure.write().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            None
        })
    }

    /// The results of a shortlist: proven by its distances, or searched in the table.
    fn exact(
        &self,
        table: &Table,
        query: &BatchQuery,
        found: &Shortlist,
        is_usual: impl Fn(&[f32]) -> bool + Sync,
    ) -> Result<Vec<Vec<Hit>>> {
        let m = query.queries.len() / query.dim;
        let wrong = |what: String| {
            Error::new(Kind::Settings, "the device's search is wrong").at(self.search.name()).found(what)
        };
        if found.rows.len() != m * found.width || found.d2.len() != m * found.width || found.width < query.k {
            return Err(wrong(format!("{} rows for {m} queries", found.rows.len())));
        }
        let rounding = Rounding::of(query.dim);
        let results: Vec<Result<(Vec<Hit>, bool)>> = (0..m)
            .into_par_iter()
            .map(|i| {
                let rows = found.rows[i * found.width..][..found.width].iter().copied();
                let candidates = rows.zip(found.d2[i * found.width..][..found.width].iter().copied());
                let proven = match is_usual(query.query(i)) {
                    true => rounding.prove(table, query, i, candidates).map_err(wrong)?,
                    false => None,
                };
                Ok(match proven {
                    Some(hits) => (hits, false),
                    None => (query.search(table, i), true),
                })
            })
            .collect();
        let results: Vec<(Vec<Hit>, bool)> = results.into_iter().collect::<Result<_>>()?;
        self.queries.fetch_add(m as u64, Relaxed);
        self.repeated.fetch_add(results.iter().filter(|(_, repeated)| *repeated).count() as u64, Relaxed);
        Ok(results.into_iter().map(|(hits, _)| hits).collect())
    }
}

/// Bounds on the error of a squared distance: relative on the processor and on a device, and absolute on either.
struct Rounding {
    cpu: f64,
    device: f64,
    absolute: f64,
}

impl Rounding {
    fn of(dim: usize) -> Self {
        let relative = |unit: f64| (dim + 4) as f64 * unit / (1.0 - (dim + 4) as f64 * unit);
        Self {
            cpu: relative((-24.0_f64).exp2()),
            device: relative((-23.0_f64).exp2()),
            absolute: dim as f64 * (-122.0_f64).exp2(),
        }
    }

    /// The smallest value that the processor computes for a row that a device found at `d2` or farther. The exact sum s has d2 <= s (1 +
    /// device) + absolute, and the processor's value is at least s (1 - cpu) - absolute.
    fn least(&self, d2: f32) -> f64 {
        ((f64::from(d2) - self.absolute) / (1.0 + self.device) * (1.0 - self.cpu) - self.absolute).max(0.0)
    }

    /// The largest value that the processor computes for a row that a device found at `d2`.
    fn most(&self, d2: f32) -> f64 {
        (f64::from(d2) + self.absolute) / (1.0 - self.device) * (1.0 + self.cpu) + self.absolute
    }

    /// The result of query `i`, if the candidates prove it. As an error, what is wrong with them.
    fn prove(
        &self,
        table: &Table,
        query: &BatchQuery,
        i: usize,
        candidates: impl Iterator<Item = (u32, f32)>,
    ) -> std::result::Result<Option<Vec<Hit>>, String> {
        let (mut hits, mut last, mut is_full) = (Vec::new(), 0.0, true);
        for (row, d2) in candidates {
            let row = row as usize;
            if row == Shortlist::NONE as usize {
                is_full = false;
                continue;
            }
            if row >= table.len() || !query.accepts(i, row) || hits.iter().any(|hit: &Hit| hit.index == row) {
                return Err(format!("row {row} for query {i}"));
            }
            let hit = Hit {
                index: row,
                d2: nearest::distance2(query.query(i), &query.rows[row * query.dim..][..query.dim]),
            };
            let computed = f64::from(hit.d2);
            if !(self.least(d2) <= computed && computed <= self.most(d2) && d2 >= last && is_full) {
                return Err(format!(
                    "a squared distance of {d2:e} for {:e}, of row {row} to query {i}",
                    hit.d2
                ));
            }
            last = d2;
            hits.push(hit);
        }
        hits.sort_unstable_by(|a, b| a.d2.total_cmp(&b.d2).then(a.index.cmp(&b.index)));
        hits.truncate(query.k);
        // Rows that were not candidates are at `last` or farther by the device's distances. If the list is not full there are none.
        let is_proven = !is_full || hits.last().is_some_and(|hit| f64::from(hit.d2) < self.least(last));
        Ok(is_proven.then_some(hits))
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
