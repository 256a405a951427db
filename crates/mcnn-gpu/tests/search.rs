//! Searches on the best adapter of this machine, compared with their definition by plain loops (`nearest::oracle`) and with the
//! processor. Skipped, with the reason printed, where there is no adapter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcnn::{
    data::{ActionRange, Demonstrations, Parts},
    memory::{
        Amount, BatchQuery, BatchSearch, BatchSearchStats, LearnSettings, SelectionMethod, Shortlist,
        batch_search_stats, learn, search_batch, set_batch_search,
    },
    seed::Seed,
};
use mcnn_gpu::Gpu;
use nearest::{Hit, Table, oracle};

/// The device belongs to the process: one test uses it at a time.
static DEVICE: Mutex<()> = Mutex::new(());

/// An open GPU, or `None` with the reason printed.
fn gpu() -> Option<Gpu> {
    Gpu::open().inspect_err(|e| eprintln!("skipped: {e}")).ok()
}

/// Uses a GPU in this process, until the guard is dropped.
struct InUse(#[allow(dead_code)] MutexGuard<'static, ()>);

impl InUse {
    fn new(gpu: Gpu) -> Self {
        let guard = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
        set_batch_search(Some(Arc::new(gpu)));
        Self(guard)
    }

    fn stats(&self) -> BatchSearchStats {
        batch_search_stats().unwrap()
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        set_batch_search(None);
    }
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    (0..count).map(|_| 4.0 * rng.uniform() as f32 - 2.0).collect()
}

fn bits(hits: &[Vec<Hit>]) -> Vec<Vec<(usize, u32)>> {
    hits.iter().map(|hits| hits.iter().map(|hit| (hit.index, hit.d2.to_bits())).collect()).collect()
}

/// Searches on the device, and checks the result against the definition.
fn check(query: &BatchQuery) {
    let (q, dim) = (query.queries, query.dim);
    let found = search_batch(&Table::from_rows(query.rows, dim), query);
    let expected: Vec<Vec<Hit>> = (0..q.len() / dim)
        .map(|i| {
            let accept = |j: usize| query.groups.is_none_or(|[rows, queries]| rows[j] != queries[i]);
            oracle::k_nearest_where(query.rows, &q[i * dim..][..dim], query.k, accept)
        })
        .collect();
    assert_eq!(
        bits(&found),
        bits(&expected),
        "{} rows, {dim} dimensions, k {}",
        query.rows.len() / dim,
        query.k
    );
}

/// Numbers of rows and queries beside those of the tiles; one dimension and 512; k above the number of rows.
const SHAPES: [(usize, usize, usize, usize); 9] = [
    (1, 1, 1, 1),
    (3, 5, 1, 16),
    (64, 64, 16, 1),
    (65, 63, 17, 2),
    (1000, 130, 45, 1),
    (700, 66, 15, 16),
    (200, 70, 512, 4),
    (5000, 3, 2, 1),
    (40, 200, 3, 13),
];

#[test]
fn results_equal_the_definition_to_the_bit() {
    let Some(gpu) = gpu() else { return };
    let device = InUse::new(gpu);
    let mut queries = 0;
    for (n, m, dim, k) in SHAPES {
        let (rows, q) = (random(n * dim, 1), random(m * dim, 2));
        let of_rows: Vec<u32> = (0..n as u32).map(|j| j / 30).collect();
        let of_queries: Vec<u32> = (0..m as u32).map(|i| i % 7).collect();
        for groups in [None, Some([&of_rows[..], &of_queries])] {
            check(&BatchQuery { rows: &rows, queries: &q, dim, k, groups });
            queries += m as u64;
        }
    }
    let stats = device.stats();
    assert_eq!((stats.queries, stats.failure), (queries, None));
    assert!(stats.repeated_on_cpu * 100 < queries, "{} of {queries}", stats.repeated_on_cpu);
}

#[test]
fn tables_larger_than_a_buffer_are_searched_in_pieces() {
    // A piece of one row, of a few, and of about a third.
    for bytes in [1, 1000, 60_000] {
        let Some(gpu) = gpu() else { return };
        let device = InUse::new(gpu.with_piece_bytes(bytes));
        for (n, dim, k) in [(40, 45, 1), (300, 17, 5), (1000, 45, 2)] {
            if bytes == 1 && n > 40 {
                continue;
            }
            let (rows, queries) = (random(n * dim, 1), random(70 * dim, 2));
            let groups: Vec<u32> = (0..n as u32).map(|j| j % 3).collect();
            let groups = [&groups[..], &[1; 70]];
            check(&BatchQuery { rows: &rows, queries: &queries, dim, k, groups: Some(groups) });
        }
        assert_eq!(device.stats().failure, None);
    }
}

#[test]
fn equal_distances_are_searched_again_and_counted() {
    let Some(gpu) = gpu() else { return };
    let device = InUse::new(gpu);
    let rows: Vec<f32> = random(600, 1).iter().map(|v| v.round()).collect();
    let queries = &rows[..300];
    check(&BatchQuery { rows: &rows, queries, dim: 3, k: 1, groups: None });
    let stats = device.stats();
    assert!(stats.repeated_on_cpu > 10 && stats.queries == 100, "{stats:?}");
}

#[test]
fn empty_and_unusual_searches_are_those_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    let query = |rows, queries| BatchQuery { rows, queries, dim: 2, k: 1, groups: None };
    let rows = random(20, 1);
    let unusual = [f32::NAN, 0.0, f32::INFINITY, 1.0, 1e30, -1e30, 1e-40, -1e-44];
    // The GPU itself finds nothing, or something, and does not fail.
    let none = gpu.shortlist(&query(&[], &rows)).unwrap().unwrap();
    assert!(none.rows.iter().all(|&row| row == Shortlist::NONE) && none.rows.len() == 10 * none.width);
    assert!(gpu.shortlist(&query(&rows, &[])).unwrap().unwrap().rows.is_empty());
    assert!(gpu.shortlist(&query(&rows, &unusual)).unwrap().is_some());
    assert_eq!(gpu.shortlist(&BatchQuery { k: 17, ..query(&rows, &rows) }).unwrap(), None);

    let device = InUse::new(gpu);
    check(&query(&rows, &unusual));
    check(&query(&rows, &[]));
    check(&BatchQuery { k: 17, ..query(&rows, &rows) });
    assert_eq!(search_batch(&Table::new(2), &query(&[], &rows)), vec![Vec::new(); 10]);
    // Numbers whose squares are below the smallest of f32, and those at the largest that are searched on a GPU.
    let small: Vec<f32> = rows.iter().map(|v| v * 1e-25).collect();
    check(&query(&small, &small));
    let large: Vec<f32> = rows.iter().map(|v| v * 5e14).collect();
    check(&query(&large, &large));
    let too_large = vec![1e20; 20];
    check(&query(&too_large, &rows));
    assert_eq!(device.stats().failure, None);
}

#[test]
fn a_lost_device_is_an_error_and_the_processor_goes_on() {
    let Some(gpu) = gpu() else { return };
    let rows = random(200, 1);
    let query = BatchQuery { rows: &rows, queries: &rows, dim: 4, k: 1, groups: None };
    assert!(gpu.shortlist(&query).unwrap().is_some());
    gpu.lose();
    for _ in 0..2 {
        let error = gpu.shortlist(&query).unwrap_err().to_string();
        assert!(error.contains("the GPU failed") && error.contains(&gpu.name()), "{error}");
    }
    let device = InUse::new(gpu);
    check(&query);
    let stats = device.stats();
    assert!(stats.failure.unwrap().contains("the GPU failed") && stats.queries == 0);
}

/// Random walks in six dimensions, two of them copies of each other.
fn walks() -> Demonstrations {
    let mut rng = Seed(5).rng();
    let (mut states, mut actions) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let mut x = [0.0_f32; 6];
        for _ in 0..60 {
            x.iter_mut().for_each(|x| *x += rng.uniform() as f32 - 0.5);
            states.extend(x);
            actions.push((rng.uniform() as f32).mul_add(2.0, -1.0));
        }
    }
    states.extend_from_within(..360);
    actions.extend_from_within(..60);
    let ends = (1..=8).map(|k| 60 * k).collect();
    let parts = Parts { n_obs: 6, n_act: 1, states, actions, rewards: None, ends };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

#[test]
fn memories_and_distances_are_the_same_with_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let data = walks();
    let results = |selection| {
        let (amount, smooth_neighbors) = (Amount::Count(50), 5);
        let settings = LearnSettings { amount, selection, epochs: 2, smooth_neighbors, ..Default::default() };
        let learned = learn(&data, &settings).unwrap();
        let book = learned.codebook;
        let book = book.with_averaged_steps(&data).unwrap().with_future_actions(&data, 3).unwrap();
        let others = book.retrieve_leave_one_episode_out(&data);
        (
            book.parts().clone(),
            learned.coverage,
            book.retrieve_each(&data),
            others,
            book.baseline_errors(&data),
        )
    };
    let methods =
        [SelectionMethod::Gas, SelectionMethod::Kmeans, SelectionMethod::Kcenter, SelectionMethod::All];
    let expected = {
        let _nobody = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
        methods.map(results)
    };
    let device = InUse::new(gpu);
    for (method, expected) in methods.into_iter().zip(expected) {
        assert!(results(method) == expected, "{method}");
    }
    let stats = device.stats();
    assert!(
        stats.queries > 5000 && stats.repeated_on_cpu < stats.queries && stats.failure.is_none(),
        "{stats:?}"
    );
}
