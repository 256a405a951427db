//! Exact Euclidean nearest-neighbor search over a table of `f32` rows.
//!
//! All searches find the nearest rows, and find them exactly:
//!
//! * The squared distance between a query `q` and a row `c` is **defined** as the sum over the dimensions, in their
//!   order, of `(q - c) * (q - c)`, every operation rounded to `f32`, never fused. It is not computed as
//!   `|q|^2 + |c|^2 - 2 q.c`, which cancels catastrophically near a row.
//! * Of two rows at the same distance the one of lower index is nearer.
//! * A distance of NaN (a query or a row contains NaN, or infinities that cancel) is farther than every number. So with a
//!   NaN in the query all rows tie, and row 0 is the answer, at distance NaN.
//!
//! Module [`oracle`] defines every search by plain loops. The searches of [`Table`] equal it bit for bit, on every
//! [`Level`] of the processor and for any number of threads.
//!
//! ```
//! let table = nearest::Table::from_rows(&[0.0, 0.0, 3.0, 4.0, 1.0, 1.0], 2); // [3, 2]
//! let hit = table.nearest(&[2.9, 4.1]).unwrap();
//! assert_eq!(hit.index, 1);
//! assert!(hit.d2 < 0.03);
//! ```

mod batch;
mod bounding_boxes;
mod direction;
mod instructions;
mod level;
pub mod oracle;
mod quantized;
mod relax;
mod scan;
mod search;
mod table;
mod top_k;

pub use level::Level;
pub use table::Table;

/// A row found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index of the row in the table, counted from 0.
    pub index: usize,
    /// Its squared Euclidean distance to the query, 0 or more, or NaN; in the square of the table's unit.
    pub d2: f32,
}

impl Hit {
    /// The order of all searches: numbers before NaN, then the smaller distance, then the lower index.
    #[inline(always)]
    pub(crate) fn is_before(&self, other: &Hit) -> bool {
        match (self.d2.is_nan(), other.d2.is_nan()) {
            (false, true) => true,
            (true, false) => false,
            (false, false) if self.d2 != other.d2 => self.d2 < other.d2,
            _ => self.index < other.index,
        }
    }
}

/// Prefetches a row, such as the next of many queries in no order, while another is searched for. Does nothing on
/// processors without such an instruction.
#[inline]
pub fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint. It reads nothing and faults at no address; SSE is part of every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// The squared distance between two points, `[dim]` each: the sum, in order and unfused, of `(a - b) * (a - b)`.
///
/// # Panics
/// If the lengths differ.
pub fn distance2(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "distance2: one point has {} dimensions, the other {}", a.len(), b.len());
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let t = a - b;
        sum += t * t;
    }
    sum
}
