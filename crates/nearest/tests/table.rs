//! A table that grows, changes and shrinks equals a plain list of rows.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{Rng, assert_same};
use nearest::{Level, Table, oracle};

#[test]
fn changes_equal_those_of_a_list_of_rows() {
    let mut rng = Rng(5);
    for (dim, level) in
        [1, 3, 8, 45].into_iter().flat_map(|dim| Level::available().into_iter().map(move |l| (dim, l)))
    {
        let mut table = Table::new(dim).at_level(level);
        let mut list: Vec<Vec<f32>> = Vec::new();
        for step in 0..2000 {
            // Grows to about 100 rows, then shrinks to none and grows again: every edge of a block is crossed.
            let growing = step % 500 < 300;
            // Later rows are elsewhere, so a box that was not extended would prune them.
            let far = (step / 100) as f32;
            let row: Vec<f32> = rng.tied(dim).iter().map(|x| x + far).collect();
            match rng.below(4) {
                0 if !list.is_empty() => {
                    let i = rng.below(list.len());
                    table.set(i, &row);
                    list[i] = row;
                }
                1 | 2 if !growing && !list.is_empty() => {
                    let i = rng.below(list.len());
                    table.swap_remove(i);
                    list.swap_remove(i);
                }
                _ if growing => {
                    table.push(&row);
                    list.push(row);
                }
                _ => {}
            }
            assert_eq!((table.len(), table.is_empty()), (list.len(), list.is_empty()));
            let rows = list.concat();
            let q: Vec<f32> = rng.tied(dim).iter().map(|x| x + rng.below(20) as f32).collect();
            assert_same(
                table.nearest(&q).as_slice(),
                oracle::nearest(&rows, &q).as_slice(),
                "after a change",
            );
            let two = table.two_nearest(&q);
            let expected = oracle::two_nearest(&rows, &q);
            assert_eq!(two, expected);
            if step % 20 == 0 {
                assert!((0..list.len()).all(|i| table.row(i) == list[i]));
            }
        }
    }
}

/// Scattered rows, each far from all others: a search that prunes the block of a changed row misses it.
#[test]
fn a_changed_row_is_found_where_it_is() {
    let mut rng = Rng(9);
    for (dim, level) in
        [7, 45].into_iter().flat_map(|dim| Level::available().into_iter().map(move |l| (dim, l)))
    {
        let mut list: Vec<Vec<f32>> = (0..900).map(|_| rng.uniform(dim)).collect();
        let mut table = Table::from_rows(&list.concat(), dim).at_level(level);
        for step in 0..1500 {
            let i = rng.below(list.len());
            let mut row = rng.uniform(dim);
            row[0] += (step % 3) as f32;
            match step % 3 {
                0 => {
                    table.set(i, &row);
                    list[i] = row;
                }
                1 => {
                    table.push(&row);
                    list.push(row);
                }
                _ => {
                    table.swap_remove(i);
                    list.swap_remove(i);
                }
            }
            for i in [i.min(list.len() - 1), list.len() - 1] {
                let hit = table.nearest(&list[i]).unwrap();
                assert_eq!((hit.index, hit.d2), (i, 0.0), "step {step}, dim {dim}, {level:?}");
            }
        }
    }
}

#[test]
fn a_table_of_computed_rows_is_that_of_the_rows() {
    let mut rng = Rng(15);
    for (n, dim) in [(0, 3), (1, 1), (33, 5), (700, 9)] {
        let mut rows = rng.tied(n * dim);
        // A column of NaN alone.
        rows.iter_mut().step_by(dim).skip(32).take(32).for_each(|x| *x = f32::NAN);
        let table = Table::from_fn(n, dim, |i, row| row.copy_from_slice(&rows[i * dim..][..dim]));
        let mut pushed = Table::new(dim);
        rows.chunks(dim).for_each(|row| pushed.push(row));
        assert_eq!(table.len(), n);
        for q in rng.uniform(20 * dim).chunks(dim).chain(rows.chunks(dim)) {
            assert_same(table.nearest(q).as_slice(), oracle::nearest(&rows, q).as_slice(), "computed");
            assert_same(pushed.nearest(q).as_slice(), oracle::nearest(&rows, q).as_slice(), "pushed");
        }
    }
}

#[test]
fn a_removed_row_is_never_found_again() {
    let mut table = Table::from_rows(&[5.0, 0.0, 9.0], 1);
    table.swap_remove(1);
    assert_eq!((table.row(0), table.row(1)), (vec![5.0], vec![9.0]));
    assert_eq!(table.nearest(&[0.0]).unwrap().index, 0);
    table.swap_remove(1);
    table.swap_remove(0);
    assert_eq!((table.nearest(&[0.0]), table.two_nearest(&[0.0])), (None, (None, None)));
    table.push(&[1.0]);
    assert_eq!(table.nearest(&[0.0]).unwrap().d2, 1.0);
}

/// The message that `work` panics with.
fn panic_of<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(work).err().expect("no panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(_) => "not a formatted message".into(),
    }
}

#[test]
fn mistakes_panic_with_the_numbers() {
    let table = || Table::from_rows(&[1.0, 2.0, 3.0, 4.0], 2);
    let wide = "the table's rows have dimension 2, this one 3";
    assert_eq!(panic_of(|| table().nearest(&[0.0; 3])), wide);
    assert_eq!(panic_of(|| table().two_nearest(&[0.0; 3])), wide);
    assert_eq!(panic_of(|| table().k_nearest(&[0.0; 3], 0, &mut Vec::new())), wide);
    assert_eq!(panic_of(|| table().k_nearest_where(&[0.0; 3], 0, |_| true, &mut Vec::new())), wide);
    assert_eq!(panic_of(|| table().nearest_where(&[0.0; 3], |_| true)), wide);
    assert_eq!(panic_of(|| table().nearest_from(&[0.0; 3], 0)), wide);
    assert_eq!(panic_of(|| table().push(&[0.0; 3])), wide);
    assert_eq!(panic_of(|| table().set(0, &[0.0; 3])), wide);
    assert_eq!(panic_of(|| table().row_into(0, &mut [0.0; 3])), wide);
    let beyond = "no row 2 in a table of 2 rows";
    assert_eq!(panic_of(|| table().nearest_from(&[0.0; 2], 2)), beyond);
    assert_eq!(panic_of(|| table().row(2)), beyond);
    assert_eq!(panic_of(|| table().set(2, &[0.0; 2])), beyond);
    assert_eq!(panic_of(|| table().swap_remove(2)), beyond);
    assert_eq!(panic_of(|| table().nearest_many(&[0.0; 3], 1)), "3 values are not queries of dimension 2");
    assert_eq!(panic_of(|| Table::from_rows(&[0.0; 3], 2)), "3 values are not rows of dimension 2");
    let widths = panic_of(|| nearest::distance2(&[0.0], &[0.0; 2]));
    assert!(widths.contains("one point has 1 dimensions, the other 2"), "{widths}");
}

/// In a table over which passes alternate in direction.
#[test]
fn pruned_columns_do_not_depend_on_earlier_searches() {
    let (mut rng, n, dim) = (Rng(12), 9000, 150);
    let table = Table::from_rows(&rng.uniform(n * dim), dim);
    for q in rng.uniform(8 * dim).chunks(dim) {
        let first = table.nearest_from(q, 4500);
        assert_eq!(table.nearest_from(q, 4500), first);
        table.nearest(q);
        assert_eq!(table.nearest_from(q, 4500), first);
    }
}
