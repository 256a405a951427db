//! What a scan keeps of the rows it meets: the nearest, the two nearest, the k nearest, the nearest that may count.

use crate::Hit;

/// Keeps the best of the rows offered, in the order of [`Hit::is_before`], whatever order they come in.
pub(crate) trait Keep {
    /// A row farther than this cannot be kept. NaN, above which nothing is, while there is room for any row.
    fn bar(&self) -> f32;
    /// Considers one row.
    fn offer(&mut self, hit: Hit);
}

/// Stands where no row has been kept yet; every row is before it.
pub(crate) const NONE: Hit = Hit { index: usize::MAX, d2: f32::NAN };

/// `NONE` as an option.
pub(crate) fn found(hit: Hit) -> Option<Hit> {
    (hit.index != NONE.index).then_some(hit)
}

/// The nearest row.
impl Keep for Hit {
    #[inline(always)]
    fn bar(&self) -> f32 {
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
impl Keep for [Hit; 2] {
    #[inline(always)]
    fn bar(&self) -> f32 {
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

/// The `k` nearest rows, sorted; `k` at least 1.
pub(crate) struct Sorted<'a> {
    pub hits: &'a mut Vec<Hit>,
    pub k: usize,
}

impl Keep for Sorted<'_> {
    #[inline(always)]
    fn bar(&self) -> f32 {
        if self.hits.len() < self.k { f32::NAN } else { self.hits[self.k - 1].d2 }
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        let place = self.hits.partition_point(|kept| kept.is_before(&hit));
        if place < self.k {
            self.hits.truncate(self.k - 1);
            self.hits.insert(place, hit);
        }
    }
}

/// The nearest row whose index is accepted. The question is asked only of rows that would win.
pub(crate) struct Where<F> {
    pub best: Hit,
    pub keep: F,
}

impl<F: Fn(usize) -> bool> Keep for Where<F> {
    #[inline(always)]
    fn bar(&self) -> f32 {
        self.best.d2
    }
    #[inline(always)]
    fn offer(&mut self, hit: Hit) {
        if hit.is_before(&self.best) && (self.keep)(hit.index) {
            self.best = hit;
        }
    }
}
