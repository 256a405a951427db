//! Every search equals the oracle, on every level, over many shapes, with rows that tie.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{Rng, assert_same, duplicate};
use nearest::{Level, Table, oracle};

const LENGTHS: [usize; 9] = [0, 1, 2, 31, 32, 33, 64, 65, 1000];

fn dims() -> impl Iterator<Item = usize> {
    (1..=70).chain([512])
}

/// Compares all searches of a table for one query with the oracle.
fn check(table: &Table, rows: &[f32], q: &[f32], rng: &mut Rng) {
    let (n, dim) = (table.len(), table.dim());
    let what = format!("{n} x {dim}, {:?}", table.level());
    let ranked = oracle::ranked(rows, q);
    let first = |k: usize| &ranked[..k.min(n)];

    assert_same(table.nearest(q).as_slice(), first(1), &format!("nearest, {what}"));
    let two = table.two_nearest(q);
    assert_same(&[two.0, two.1].into_iter().flatten().collect::<Vec<_>>(), first(2), &format!("two, {what}"));
    let mut hits = vec![nearest::Hit { index: 7, d2: -1.0 }];
    for k in [0, 1, 2, 3, 10, n, n + 1] {
        table.k_nearest(q, k, &mut hits);
        assert_same(&hits, first(k), &format!("{k} nearest, {what}"));
    }
    let (divisor, rest) = (2 + rng.below(5), rng.below(2));
    let accept = |i: usize| i % divisor == rest;
    let expected = ranked.iter().find(|hit| accept(hit.index));
    assert_same(
        table.nearest_where(q, accept).as_slice(),
        expected.copied().as_slice(),
        &format!("where, {what}"),
    );
    assert_eq!(table.nearest_where(q, |_| false), None);
    // Every few rows, and all but some that lie together, as those of an episode do.
    let (start, end) = (rng.below(n + 1), rng.below(n + 1));
    let outside = |i: usize| !(start..end).contains(&i);
    for k in [0, 1, 2, 10, n, n + 1] {
        for (accept, which) in [(&accept as &dyn Fn(usize) -> bool, "some"), (&outside, "those outside")] {
            let expected: Vec<_> = ranked.iter().filter(|hit| accept(hit.index)).take(k).copied().collect();
            table.k_nearest_where(q, k, accept, &mut hits);
            assert_same(&hits, &expected, &format!("{k} nearest of {which}, {what}"));
        }
    }
    table.k_nearest_where(q, 3, |_| false, &mut hits);
    assert!(hits.is_empty());
    // From infinite distances, and from distances so small that whole blocks are pruned.
    for some_infinite in [true, false] {
        let far = |i: usize| some_infinite && i.is_multiple_of(3);
        let start: Vec<f32> =
            (0..n).map(|i| if far(i) { f32::INFINITY } else { rng.below(40) as f32 }).collect();
        let mut relaxed = start.clone();
        table.relax_distances(q, &mut relaxed);
        for hit in &ranked {
            let (before, after) = (start[hit.index], relaxed[hit.index]);
            let expected = if hit.d2 < before { hit.d2 } else { before };
            assert!(
                after == expected,
                "relaxed distance of row {}, {what}: {after}, not {expected}",
                hit.index
            );
        }
    }
    for guess in (0..3).filter(|_| n > 0).map(|_| rng.below(n)).collect::<Vec<_>>() {
        let (hit, pruned) = table.nearest_from(q, guess);
        assert_same(&[hit], first(1), &format!("from {guess}, {what}"));
        assert!(pruned <= table.columns());
    }
}

#[test]
fn every_search_equals_the_oracle() {
    let mut rng = Rng(1);
    for dim in dims() {
        for n in LENGTHS {
            for tied in [true, false] {
                let mut draw = |n: usize| {
                    if tied { rng.tied(n) } else { rng.uniform(n) }
                };
                let (mut rows, q) = (draw(n * dim), draw(dim));
                duplicate(&mut rows, dim, &mut rng);
                for level in Level::available() {
                    let table = Table::from_rows(&rows, dim).at_level(level);
                    check(&table, &rows, &q, &mut rng);
                    if n > 0 {
                        let copied = table.row(rng.below(n)); // a query at distance 0 of a row and of its copies
                        check(&table, &rows, &copied, &mut rng);
                    }
                    // The padding is zero, so a query at zero would find it.
                    check(&table, &rows, &vec![0.0; dim], &mut rng);
                }
            }
        }
    }
}

/// Tables so large that the quantized copy is scanned in several chunks, the last one shorter; passes over the widest one
/// alternate in direction.
#[test]
fn large_tables_equal_the_oracle() {
    let mut rng = Rng(8);
    for (n, dim) in [(8192, 3), (8193, 6), (2 * 8192 + 33, 5), (8192 + 33, 150)] {
        for tied in [true, false] {
            let mut draw = |n: usize| if tied { rng.tied(n) } else { rng.uniform(n) };
            let (mut rows, queries) = (draw(n * dim), draw(4 * dim));
            rows[n / 2 * dim] = f32::NAN;
            rows[n / 3 * dim] = f32::INFINITY;
            let last = queries[..dim].to_vec();
            rows[(n - 1) * dim..].copy_from_slice(&last);
            for level in Level::available() {
                let table = Table::from_rows(&rows, dim).at_level(level);
                for q in queries.chunks(dim) {
                    check(&table, &rows, q, &mut rng);
                }
            }
        }
    }
}

/// So many queries, on rows in random order, that they are searched in several batches, the last one smaller.
#[test]
fn very_many_queries_equal_the_oracle() {
    let mut rng = Rng(10);
    for (n, dim, m) in [(16_417, 3, 300), (150, 9, 523), (1100, 45, 263)] {
        for tied in [true, false] {
            let mut draw = |n: usize| if tied { rng.tied(n) } else { rng.uniform(n) };
            let (mut rows, mut queries) = (draw(n * dim), draw(m * dim));
            duplicate(&mut rows, dim, &mut rng);
            rows[n / 2 * dim] = f32::NAN;
            rows[n / 3 * dim] = f32::INFINITY;
            queries[17 * dim] = f32::NAN;
            queries[40 * dim] = f32::NEG_INFINITY;
            rows[(n - 1) * dim..].copy_from_slice(&queries[(m - 1) * dim..]);
            let expected = oracle::nearest_many(&rows, &queries, dim);
            for level in Level::available() {
                let table = Table::from_rows(&rows, dim).at_level(level);
                for threads in [1, 2] {
                    let what = format!("{m} queries, {n} x {dim}, {level:?}");
                    assert_same(&table.nearest_many(&queries, threads), &expected, &what);
                }
            }
        }
    }
}

/// Rows along a closed path: bounding boxes are small and far from most queries, so whole groups of blocks are pruned; rows of
/// distant blocks tie.
#[test]
fn pruning_by_bounding_boxes_loses_no_answer() {
    let mut rng = Rng(6);
    for (n, dim) in [(1024, 1), (1025, 3), (2100, 8), (2100, 9), (3333, 20)] {
        for tied in [true, false] {
            let mut rows = Vec::new();
            for i in 0..n {
                let place = (i % 1500) as f32 / 16.0;
                let noise = if tied { rng.tied(dim) } else { rng.uniform(dim) };
                rows.extend(noise.iter().map(|x| place.floor() - 40.0 + x));
            }
            for level in Level::available() {
                let mut table = Table::from_rows(&rows, dim).at_level(level);
                for _ in 0..8 {
                    let mut q = table.row(rng.below(n));
                    check(&table, &rows, &q, &mut rng);
                    q.iter_mut().for_each(|x| *x += rng.below(9) as f32 - 4.0);
                    check(&table, &rows, &q, &mut rng);
                    check(&table, &rows, &rng.tied(dim), &mut rng);
                    // Writing a row extends the box of its block.
                    let (i, moved) = (rng.below(n), rng.tied(dim));
                    table.set(i, &moved);
                    rows[i * dim..(i + 1) * dim].copy_from_slice(&moved);
                    check(&table, &rows, &moved, &mut rng);
                }
                let queries = rows[..40 * dim].to_vec();
                let expected = oracle::nearest_many(&rows, &queries, dim);
                assert_same(&table.nearest_many(&queries, 2), &expected, "many along a path");
            }
        }
    }
}

#[test]
fn the_oracle_gives_known_answers() {
    let rows = [0.0, 2.0, 3.0, 4.0, 2.0, 0.0];
    let q = [0.0, 0.0];
    let hit = |index, d2| nearest::Hit { index, d2 };
    assert_eq!(oracle::ranked(&rows, &q), [hit(0, 4.0), hit(2, 4.0), hit(1, 25.0)]);
    assert_eq!(oracle::nearest(&rows, &q), Some(hit(0, 4.0)));
    assert_eq!(oracle::two_nearest(&rows, &q), (Some(hit(0, 4.0)), Some(hit(2, 4.0))));
    assert_eq!(oracle::k_nearest(&rows, &q, 2), [hit(0, 4.0), hit(2, 4.0)]);
    assert_eq!(oracle::nearest_where(&rows, &q, |i| i > 0), Some(hit(2, 4.0)));
    assert_eq!(oracle::k_nearest_where(&rows, &q, 2, |i| i > 0), [hit(2, 4.0), hit(1, 25.0)]);
    assert_eq!(oracle::k_nearest_where(&rows, &q, 1, |i| i > 0), [hit(2, 4.0)]);
    assert_eq!(oracle::nearest_many(&rows, &[0.0, 0.0, 3.0, 3.0], 2), [hit(0, 4.0), hit(1, 1.0)]);
    assert_eq!(nearest::distance2(&rows[2..4], &q), 25.0);
}

#[test]
fn sums_are_taken_in_order_and_unfused() {
    // Added in order, each 1 is lost beside 2^24; paired or fused, they would not be.
    let row = [4096.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    // The square of 1 + 2^-12 rounds to 1 + 2^-11, and adding 2^-24 to that rounds back; fused, the two halves of a
    // unit in the last place would meet and count.
    let halves = [1.0 / 4096.0, 1.0 + 1.0f32 / 4096.0];
    for level in Level::available() {
        let d2 = |row: &[f32]| {
            let table = Table::from_rows(row, row.len()).at_level(level);
            table.nearest(&vec![0.0; row.len()]).unwrap().d2
        };
        assert_eq!(d2(&row), 16_777_216.0);
        assert_eq!(d2(&halves), 1.0 + 1.0 / 2048.0);
        assert_ne!(halves[1].mul_add(halves[1], halves[0] * halves[0]), 1.0 + 1.0 / 2048.0);
    }
    assert_eq!(nearest::distance2(&row, &[0.0; 10]), 16_777_216.0);
    assert_eq!(nearest::distance2(&halves, &[0.0; 2]), 1.0 + 1.0 / 2048.0);
}

#[test]
fn any_guess_gives_the_exact_answer() {
    let mut rng = Rng(2);
    for (n, dim) in [(1, 1), (31, 9), (33, 17), (64, 8), (65, 45), (200, 3), (1000, 2)] {
        let mut rows = rng.tied(n * dim);
        duplicate(&mut rows, dim, &mut rng);
        for level in Level::available() {
            let table = Table::from_rows(&rows, dim).at_level(level);
            for q in [rng.tied(dim), rng.uniform(dim), table.row(n - 1)] {
                let expected = oracle::nearest(&rows, &q).unwrap();
                for guess in 0..n {
                    assert_same(
                        &[table.nearest_from(&q, guess).0],
                        &[expected],
                        &format!("{n} x {dim} from {guess}"),
                    );
                }
            }
        }
    }
}

#[test]
fn pruned_columns_are_counted() {
    let dim = 20;
    let near = vec![0.0; 32 * dim];
    let far = vec![9.0; 32 * dim];
    // On both sides of the query: the box of this block contains it, but no row is near.
    let around: Vec<f32> = (0..32).flat_map(|i| vec![if i % 2 == 0 { 9.0 } else { -9.0 }; dim]).collect();
    for level in Level::available() {
        let table = |rows: &[&[f32]]| Table::from_rows(&rows.concat(), dim).at_level(level);
        let pruned = |table: &Table| table.nearest_from(&vec![0.0; dim], 0).1;
        assert_eq!(pruned(&table(&[&near])), 0);
        assert_eq!(pruned(&table(&[&near, &far])), dim, "pruned by its box");
        assert_eq!(pruned(&table(&[&near, &around])), dim - 8, "pruned after the first 8 dimensions");
        let groups = table(&[&near, &vec![9.0; 3000 * dim]]);
        assert_eq!(pruned(&groups), groups.columns() - dim);
        // The box of an emptied block is reset.
        let mut again = table(&[&near, &near[..dim]]);
        again.swap_remove(32);
        again.push(&far[..dim]);
        assert_eq!(pruned(&again), dim);
    }
}

#[test]
fn many_queries_equal_one_at_a_time_for_any_number_of_threads() {
    let mut rng = Rng(3);
    for (n, dim, m) in [(0, 3, 4), (1, 1, 1), (33, 5, 0), (65, 45, 7), (1000, 70, 23), (1000, 512, 5)] {
        let mut rows = rng.tied(n * dim);
        duplicate(&mut rows, dim, &mut rng);
        let queries = [rng.tied(m / 2 * dim), rng.uniform((m - m / 2) * dim)].concat();
        let expected = oracle::nearest_many(&rows, &queries, dim);
        for level in Level::available() {
            let table = Table::from_rows(&rows, dim).at_level(level);
            for threads in [0, 1, 2, 3, 8, 100] {
                let what = format!("{m} queries, {n} x {dim}, {threads} threads");
                assert_same(&table.nearest_many(&queries, threads), &expected, &what);
            }
        }
    }
}

#[test]
fn nan_is_farther_than_every_number() {
    let mut rng = Rng(4);
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, f32::MAX, 0.0, 1.0];
    for (n, dim) in [(1, 1), (2, 1), (33, 1), (65, 2), (65, 20), (200, 9)] {
        for _ in 0..20 {
            let mut draw = |n: usize| (0..n).map(|_| odd[rng.below(odd.len())]).collect::<Vec<f32>>();
            let (odd_rows, odd_q) = (draw(n * dim), draw(dim));
            let (rows, q) = (rng.tied(n * dim), rng.tied(dim));
            for level in Level::available() {
                for rows in [&rows, &odd_rows] {
                    let table = Table::from_rows(rows, dim).at_level(level);
                    check(&table, rows, &odd_q, &mut rng);
                    check(&table, rows, &q, &mut rng);
                    let expected = oracle::nearest_many(rows, &[&odd_q[..], &q].concat(), dim);
                    assert_same(&table.nearest_many(&[&odd_q[..], &q].concat(), 1), &expected, "many");
                }
            }
        }
    }
    let hit = Table::from_rows(&[1.0, 2.0], 1).nearest(&[f32::NAN]).unwrap();
    assert!(hit.index == 0 && hit.d2.is_nan());
}
