//! Devices that are right within rounding, and devices that are not.

use std::sync::Arc;

use nearest::{Hit, Table, oracle};

use super::*;
use crate::{
    data::{Demonstrations, Parts, ReadOptions, Recorded, Target, read, stream},
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
};

/// Computes each distance in f64, then changes it by a relative error of `error` in turns.
struct Simulated {
    width: usize,
    error: f64,
    fault: fn(&mut Shortlist),
}

impl BatchSearch for Simulated {
    fn name(&self) -> String {
        "simulated".into()
    }

    fn shortlist(&self, query: &BatchQuery) -> Result<Option<Shortlist>> {
        let (n, m) = (query.rows.len() / query.dim, query.queries.len() / query.dim);
        let mut found = Shortlist { width: self.width, rows: Vec::new(), d2: Vec::new() };
        for i in 0..m {
            let mut all: Vec<(f32, u32)> = (0..n)
                .filter(|&j| query.accepts(i, j))
                .map(|j| {
                    let row = query.rows[j * query.dim..].iter();
                    let exact: f64 = (query.query(i).iter().zip(row))
                        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                        .sum();
                    ((exact * (1.0 + self.error * [1.0, -1.0, 0.3][(i + j) % 3])) as f32, j as u32)
                })
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            all.resize(n.max(self.width), (f32::MAX, Shortlist::NONE));
            found.rows.extend(all[..self.width].iter().map(|(_, j)| j));
            found.d2.extend(all[..self.width].iter().map(|(d2, _)| d2));
        }
        (self.fault)(&mut found);
        Ok(Some(found))
    }
}

fn device(width: usize, error: f64, fault: fn(&mut Shortlist)) -> Device {
    Device::new(Arc::new(Simulated { width, error, fault }))
}

/// Rows on a coarse grid, with many equal distances, or at random.
fn rows(n: usize, dim: usize, on_grid: bool, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..n * dim).map(|_| if on_grid { rng.below(3) as f32 } else { rng.uniform() as f32 - 0.5 }).collect()
}

fn by_definition(query: &BatchQuery) -> Vec<Vec<Hit>> {
    let search =
        |i: usize| oracle::k_nearest_where(query.rows, query.query(i), query.k, |j| query.accepts(i, j));
    (0..query.queries.len() / query.dim).map(search).collect()
}

#[test]
fn the_results_are_those_of_the_definition_and_repeated_searches_are_counted() {
    for (n, dim, on_grid) in [(1, 1, false), (5, 1, true), (300, 3, true), (300, 45, false), (64, 512, false)]
    {
        let (rows, queries) = (rows(n, dim, on_grid, 1), rows(40, dim, on_grid, 2));
        let table = Table::from_rows(&rows, dim);
        let of_rows: Vec<u32> = (0..n as u32).map(|j| j / 20).collect();
        let of_queries: Vec<u32> = (0..40).map(|i| i % 4).collect();
        for (k, groups) in [(1, None), (3, None), (1, Some([&of_rows[..], &of_queries])), (16, None)] {
            let query = BatchQuery { rows: &rows, queries: &queries, dim, k, groups };
            let bits = |hits: Vec<Vec<Hit>>| -> Vec<Vec<(usize, u32)>> {
                hits.into_iter()
                    .map(|hits| hits.iter().map(|h| (h.index, h.d2.to_bits())).collect())
                    .collect()
            };
            // The largest error of a device that rounds each operation in either direction.
            let device = device(k + 3, 0.9 * dim as f64 / 8_388_608.0, |_| ());
            let found = device.search(&table, &query).unwrap();
            assert_eq!(bits(found), bits(by_definition(&query)), "{n} x {dim}, k {k}");
            let stats = device.stats();
            assert_eq!((stats.queries, stats.failure), (40, None));
            assert!(
                stats.repeated_on_cpu <= 40 && (on_grid || stats.repeated_on_cpu == 0),
                "{n} x {dim}, k {k}"
            );
        }
    }
    // 300 rows on 27 points: a fourth row is always as near as the nearest.
    let (rows, queries) = (rows(300, 3, true, 1), rows(40, 3, true, 2));
    let query = BatchQuery { rows: &rows, queries: &queries, dim: 3, k: 1, groups: None };
    let device = device(4, 0.0, |_| ());
    device.search(&Table::from_rows(&rows, 3), &query).unwrap();
    assert!(device.stats().repeated_on_cpu > 30, "{:?}", device.stats());
}

#[test]
fn a_device_that_is_wrong_is_not_used_again() {
    let (rows, queries) = (rows(50, 4, false, 1), rows(10, 4, false, 2));
    let (table, groups) = (Table::from_rows(&rows, 4), [[0; 50].as_slice(), &[1; 10]]);
    let query = BatchQuery { rows: &rows, queries: &queries, dim: 4, k: 1, groups: Some(groups) };
    let faults: [fn(&mut Shortlist); 6] = [
        |found| found.rows[4] = 50,
        |found| found.rows[5] = found.rows[4],
        |found| found.d2[6] *= 1.01,
        |found| found.d2[0] = f32::NAN,
        |found| found.rows.swap(0, 3),
        |found| found.rows.truncate(39),
    ];
    for (i, fault) in faults.into_iter().enumerate() {
        let device = device(4, 0.0, fault);
        assert_eq!(device.search(&table, &query), None, "{i}");
        let failure = device.stats().failure.unwrap();
        assert!(failure.contains("the device's search is wrong"), "{failure}");
        assert_eq!(device.search(&table, &query), None);
        assert_eq!(device.stats().queries, 0);
    }
    // A row of the query's own group.
    let device = device(4, 0.0, |_| ());
    let own = [1; 50];
    let found = Shortlist { width: 1, rows: vec![0; 10], d2: vec![0.0; 10] };
    let query = BatchQuery { groups: Some([&own, &[1; 10]]), ..query };
    assert!(device.exact(&table, &query, &found, |_| true).is_err());
    // Without a fault, of a group of its own, there is nothing to find.
    assert_eq!(device.search(&table, &query), Some(vec![Vec::new(); 10]));
}

#[test]
fn unusual_queries_are_searched_on_the_processor_and_unusual_tables_not_on_the_device() {
    let rows = rows(50, 2, false, 1);
    let queries = [0.1, 0.2, f32::NAN, 0.0, 1e30, 0.0, f32::INFINITY, 1.0];
    let device = device(4, 0.0, |_| ());
    let table = Table::from_rows(&rows, 2);
    let query = BatchQuery { rows: &rows, queries: &queries, dim: 2, k: 1, groups: None };
    let found = device.search(&table, &query).unwrap();
    for (found, q) in found.iter().zip(queries.chunks(2)) {
        let expected = table.nearest(q).unwrap();
        assert_eq!((found[0].index, found[0].d2.to_bits()), (expected.index, expected.d2.to_bits()));
    }
    assert_eq!(device.stats().repeated_on_cpu, 3);
    for (queries, k) in [(&queries[..0], 1), (&queries[..], 0)] {
        assert_eq!(device.search(&table, &BatchQuery { queries, k, ..query }), None);
    }
    assert_eq!(device.search(&Table::new(2), &BatchQuery { rows: &[], ..query }), None);
    let mut large = rows.clone();
    large[7] = 1e20;
    assert_eq!(device.search(&Table::from_rows(&large, 2), &BatchQuery { rows: &large, ..query }), None);
    assert_eq!(device.stats().failure, None);
}

/// A device for small queries alone: other tests of this process have it while this one runs.
struct Small;

impl BatchSearch for Small {
    fn name(&self) -> String {
        "small".into()
    }

    fn shortlist(&self, query: &BatchQuery) -> Result<Option<Shortlist>> {
        let is_small = query.k <= 8 && query.rows.len() * query.queries.len() <= 1 << 20;
        let device = Simulated { width: 12, error: 0.0, fault: |_| () };
        if is_small { device.shortlist(query) } else { Ok(None) }
    }
}

#[test]
fn a_device_finds_in_pieces_of_a_file_what_the_processor_finds_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcnn");
    let recorded = Recorded {
        parts: Parts {
            n_obs: 3,
            n_act: 2,
            states: rows(300, 3, false, 5),
            actions: rows(300, 2, false, 6),
            rewards: None,
            ends: vec![70, 150, 151, 300],
        },
        ..Recorded::default()
    };
    recorded.write(&path, Target::Columns).unwrap();
    let options = ReadOptions::default();
    let all = |data: &Demonstrations| {
        use SelectionMethod::*;
        [Gas, Random, Kmeans, Kcenter].map(|selection| {
            let amount = Amount::Count(40);
            let settings =
                LearnSettings { amount, selection, smooth_neighbors: 3, seed: Seed(1), ..Default::default() };
            let learned = learn(data, &settings).unwrap();
            let book = learned.codebook.with_future_actions(data, 2).unwrap();
            (
                learned.coverage,
                book.retrieve_each(data),
                book.retrieve_two_of_each(data),
                book.retrieve_many_leave_one_episode_out(data, 4),
                book.retrieve_leave_one_episode_out(data),
                crate::file::codebook_to_bytes(&book),
            )
        })
    };
    let expected = all(&read(&path, &options).unwrap());
    set_batch_search(Some(Arc::new(Small)));
    let found = all(&stream(&path, &options).unwrap().unwrap().data);
    let stats = batch_search_stats().unwrap();
    set_batch_search(None);
    assert_eq!(found, expected);
    assert!(stats.queries > 4 * 5 * 300 && stats.failure.is_none(), "{stats:?}");
}
