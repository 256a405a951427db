//! The loops: products of matrices added up, a tile of some rows by some channels at a time.

use crate::{Shape, WIDE};

/// The part of the kernel that lies inside the input, for one output pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patch {
    /// Rows and columns of the kernel: the first, and how many.
    first: [usize; 2],
    count: [usize; 2],
    /// The pixel of the input under the first of them, counted row by row, and pixels in a row.
    pixel: usize,
    row: usize,
}

impl Patch {
    pub(crate) fn at(shape: &Shape, size: [usize; 2], out: [usize; 2]) -> Self {
        let start = |i: usize| out[i] * shape.stride[i]; // in the padded input
        let first = [0, 1].map(|i| shape.pad[i].saturating_sub(start(i)));
        let last = [0, 1].map(|i| shape.kernel[i].min((size[i] + shape.pad[i]).saturating_sub(start(i))));
        let count = [0, 1].map(|i| last[i].saturating_sub(first[i]));
        // Where `count` is 0 nothing is read, and the pixel does not matter.
        let at = [0, 1].map(|i| (start(i) + first[i]).saturating_sub(shape.pad[i]));
        Self { first, count, pixel: at[0] * size[1] + at[1], row: size[1] }
    }

    /// What is multiplied for a batch of `n`: each pixel under the kernel by the weights of its tap.
    pub(crate) fn grid(&self, shape: &Shape, n: usize) -> Grid {
        let [tap, pixel] = [shape.from * WIDE, n * shape.from];
        Grid {
            count: self.count,
            left: self.pixel * pixel,
            left_step: [self.row * pixel, pixel],
            right: (self.first[0] * shape.kernel[1] + self.first[1]) * tap,
            right_step: [shape.kernel[1] * tap, tap],
            backwards: false,
        }
    }
}

/// Pairs of a left and a right matrix, by where they begin: rows and columns of pairs at equal steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub count: [usize; 2],
    pub left: usize,
    pub left_step: [usize; 2],
    pub right: usize,
    pub right_step: [usize; 2],
    /// Whether the left ones lie one before the other.
    pub backwards: bool,
}

impl Grid {
    /// A single pair, whose left matrix begins there and whose right one at 0.
    pub(crate) fn one(left: usize) -> Self {
        Self { count: [1; 2], left, left_step: [0; 2], right: 0, right_step: [0; 2], backwards: false }
    }

    #[inline(always)]
    pub(crate) fn pair(&self, y: usize, x: usize) -> (usize, usize) {
        let along = y * self.left_step[0] + x * self.left_step[1];
        let left = if self.backwards { self.left - along } else { self.left + along };
        (left, self.right + y * self.right_step[0] + x * self.right_step[1])
    }
}

/// The sum of a grid's products, `[rows, deep] x [deep, WIDE]` each, for one or two panels of [`WIDE`] channels. The numbers of
/// a left matrix lie at `row * left_row + k * left_deep`, rows of a right one `right_deep` apart, those of the result `out_row`.
pub(crate) struct Work<'a> {
    pub grid: Grid,
    pub rows: usize,
    pub deep: usize, // 1 or more
    pub left: &'a [f32],
    pub left_row: usize,
    pub left_deep: usize,
    pub right: &'a [f32],
    pub right_deep: usize,
    /// The second panel, if there are two, lies so far behind the first.
    pub second: Option<usize>,
    pub bias: &'a [f32], // from the first panel's first on
    /// Whether the sums go on from what the output has, instead of from the bias.
    pub onto: bool,
    pub add: Option<&'a [f32]>,
    pub relu: bool,
    pub first: usize, // where the first row of the first panel lies in the output
    pub out_row: usize,
}

/// Defines how a level does it: tiles of `$rows` rows by [`WIDE`] channels in parts of `$vectors` vectors. Sums stay in registers
/// from the bias to the last product: a check of bounds in that loop would put them into memory, so there are pointers in it.
macro_rules! pixel {
    ($(#[$attribute:meta])* $name:ident, $lanes:literal, $vectors:literal, [$($rows:literal),+],
     $splat:expr, $load:expr, $read:expr, $fma:expr, $add:expr, $relu:expr, $store:expr, $fetch:expr) => {
        $(#[$attribute])*
        pub(crate) fn $name(work: &$crate::tile::Work, to: &mut [f32]) {
            const PART: usize = $lanes * $vectors; // output channels of a tile
            const AHEAD: usize = 16; // rows of weights

            $(#[$attribute])*
            #[inline]
            fn tile<const R: usize, const P: usize>(
                work: &$crate::tile::Work,
                row: usize,
                part: usize,
                to: &mut [f32],
            ) {
                let (deep, left_row, left_deep, right_deep) =
                    (work.deep, work.left_row, work.left_deep, work.right_deep);
                let at = |p: usize, v: usize| p * $crate::WIDE + part + v * $lanes; // in channels
                let bias: [[_; $vectors]; P] =
                    std::array::from_fn(|p| std::array::from_fn(|v| $load(&work.bias[at(p, v)..])));
                let mut sums: [[[_; $vectors]; P]; R] = std::array::from_fn(|r| {
                    std::array::from_fn(|p| {
                        std::array::from_fn(|v| match work.onto {
                            true => $load(&to[work.first + (row + r) * work.out_row + at(p, v)..]),
                            false => bias[p][v],
                        })
                    })
                });
                // Plain loops around the innermost one: a call that is not inlined takes the sums out of their registers.
                for y in 0..work.grid.count[0] {
                    for x in 0..work.grid.count[1] {
                        let (left, right) = work.grid.pair(y, x);
                        let mut panels = [work.right; P];
                        for (p, panel) in panels.iter_mut().enumerate() {
                            let first = p * work.second.unwrap_or(0) + right;
                            *panel = &panel[first..][..(deep - 1) * right_deep + $crate::WIDE];
                        }
                        let left = &work.left[left + row * left_row..][..(R - 1) * left_row + (deep - 1) * left_deep + 1];
                        // Of every three rows (there are at most twelve) one pointer that goes on with `k`, and from it one and two
                        // distances of rows, which a load can add by itself: fewer sums of addresses between the multiply-adds. With 32
                        // channels a tenth faster, with 64 little. Pointers of rows that are not there are never read.
                        let mut rows: [*const f32; 4] = std::array::from_fn(|r| left.as_ptr().wrapping_add(3 * r * left_row));
                        for k in 0..deep {
                            let right: [[_; $vectors]; P] = std::array::from_fn(|p| {
                                // SAFETY: `k` is below `deep`, so row `k` of the panel lies in the slice; `part` and `v` stay in it.
                                std::array::from_fn(|v| unsafe {
                                    $read(panels[p].as_ptr().add(k * right_deep + part + v * $lanes))
                                })
                            });
                            // Weights that are wanted some rows later are asked for now: they lie in the second-level cache.
                            // With 4 and 8 images a convolution was 5 to 8 % faster so.
                            for panel in panels {
                                for v in 0..$vectors {
                                    $fetch(panel.as_ptr().wrapping_add((k + AHEAD) * right_deep + part + v * $lanes));
                                }
                            }
                            for r in 0..R {
                                // SAFETY: `r` is below `R` and `k` below `deep`: the slice ends after the last of these numbers.
                                let x = $splat(unsafe { *rows[r / 3].add(r % 3 * left_row) });
                                for p in 0..P {
                                    for v in 0..$vectors {
                                        sums[r][p][v] = $fma(x, right[p][v], sums[r][p][v]);
                                    }
                                }
                            }
                            rows = rows.map(|row| row.wrapping_add(left_deep));
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate() {
                    for (p, sums) in sums.iter().enumerate() {
                        for (v, &sum) in sums.iter().enumerate() {
                            let at = work.first + (row + r) * work.out_row + at(p, v);
                            let sum = match work.add {
                                Some(add) => $add(sum, $load(&add[at..])),
                                None => sum,
                            };
                            $store(&mut to[at..], if work.relu { $relu(sum) } else { sum });
                        }
                    }
                }
            }

            let mut row = 0;
            if work.second.is_some() {
                while row < work.rows {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<1, 2>(work, row, part, to);
                    }
                    row += 1;
                }
            }
            $(
                while work.rows - row >= $rows {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<$rows, 1>(work, row, part, to);
                    }
                    row += $rows;
                }
            )+
        }
    };
}
pub(crate) use pixel;
