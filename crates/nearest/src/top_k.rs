//! Top-k accumulators: the nearest, the two nearest, the k nearest, and the nearest accepted of the rows a scan offers.

use crate::Hit;

/// Keeps the best of the rows offered, by [`Hit::is_before`]. The result does not depend on the order of the offers.
pub(crate) trait TopK {
    /// The squared distance above which no row is kept. NaN, above which nothing is, while any row would be kept.
    fn threshold(&self) -> f32;
    /// Keeps a row if it is among the best.
    fn offer(&mut self, hit: Hit);
}

/// Placeholder for a row not found yet; every row is before it.
pub(crate) const NO_HIT: Hit = Hit { index: usize::MAX, d2: f32::NAN };

/// The row, or `None` for [`NO_HIT`].
pub(crate) fn found(hit: Hit) -> Option<Hit> {
    (hit.index != NO_HIT.index).then_some(hit)
}

/// The nearest row.
impl TopK for Hit {
    #[inline(always)]
    fn threshold(&self) -> f32 {
        self.d2
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        if hit.is_before(self) {
            *self = hit;
        }
    }
}

/// The two nearest rows, the nearest first.
impl TopK for [Hit; 2] {
    #[inline(always)]
    fn threshold(&self) -> f32 {
        self[1].d2
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        if hit.is_before(&self[0]) {
            *self = [hit, self[0]];
        } else if hit.is_before(&self[1]) {
            self[1] = hit;
        }
    }
}

/// The `k` nearest rows whose index `accept` accepts, sorted; `k` is 1 or more. `accept` is called only for rows that would be
/// kept. An offer costs O(k) in the worst case.
pub(crate) struct Sorted<'a, F> {
    pub hits: &'a mut Vec<Hit>,
    pub k: usize,
    pub accept: F,
}

impl<F: Fn(usize) -> bool> TopK for Sorted<'_, F> {
    #[inline(always)]
    fn threshold(&self) -> f32 {
        if self.hits.len() < self.k { f32::NAN } else { self.hits[self.k - 1].d2 }
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        let rank = self.hits.partition_point(|kept| kept.is_before(&hit));
        if rank < self.k && (self.accept)(hit.index) {
            self.hits.truncate(self.k - 1);
            self.hits.insert(rank, hit);
        }
    }
}

/// The nearest row whose index `accept` accepts. `accept` is called only for rows that would replace the best.
pub(crate) struct Filtered<F> {
    pub best: Hit,
    pub accept: F,
}

impl<F: Fn(usize) -> bool> TopK for Filtered<F> {
    #[inline(always)]
    fn threshold(&self) -> f32 {
        self.best.d2
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        if hit.is_before(&self.best) && (self.accept)(hit.index) {
            self.best = hit;
        }
    }
}
