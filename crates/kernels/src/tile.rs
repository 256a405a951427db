//! The inner loops: sums of matrix products, computed in tiles of rows by channels.

use crate::{Shape, WIDE};

/// The part of a kernel that lies inside the input, for one output pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patch {
    /// First row and column of the kernel inside the input, and the numbers of rows and columns.
    first: [usize; 2],
    count: [usize; 2],
    /// Row-major index of the input pixel under the first tap.
    pixel: usize,
    /// Pixels of an input row.
    row: usize,
}

impl Patch {
    /// The patch of output pixel `out` (row, column), for an input of `size` (height, width).
    pub(crate) fn at(shape: &Shape, size: [usize; 2], out: [usize; 2]) -> Self {
        let start = |i: usize| out[i] * shape.stride[i]; // in the padded input
        let first = [0, 1].map(|i| shape.pad[i].saturating_sub(start(i)));
        let last = [0, 1].map(|i| shape.kernel[i].min((size[i] + shape.pad[i]).saturating_sub(start(i))));
        let count = [0, 1].map(|i| last[i].saturating_sub(first[i]));
        // If `count` is 0, nothing is read, and the pixel is arbitrary.
        let at = [0, 1].map(|i| (start(i) + first[i]).saturating_sub(shape.pad[i]));
        Self { first, count, pixel: at[0] * size[1] + at[1], row: size[1] }
    }

    /// The products for a batch of `n`: each pixel under the kernel by the weights of its tap.
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

/// Pairs of a left and a right matrix, by the offsets of their first elements: a grid of pairs at equal strides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub count: [usize; 2],
    pub left: usize,
    pub left_step: [usize; 2],
    pub right: usize,
    pub right_step: [usize; 2],
    /// Whether the offsets of left matrices decrease.
    pub backwards: bool,
}

impl Grid {
    /// A single pair, whose left matrix begins at `left` and whose right one at 0.
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

/// The sum of a grid's products, `[rows, depth] x [depth, WIDE]` each, for one or two panels of [`WIDE`] channels.
pub(crate) struct ProductSum<'a> {
    pub grid: Grid,
    pub rows: usize,
    pub depth: usize, // 1 or more
    /// Element `(row, k)` of a left matrix is at `row * left_row_stride + k * left_depth_stride`.
    pub left: &'a [f32],
    pub left_row_stride: usize,
    pub left_depth_stride: usize,
    /// Row `k` of a right matrix is at `k * right_row_stride`.
    pub right: &'a [f32],
    pub right_row_stride: usize,
    /// Offset of the second panel from the first, if there are two.
    pub second: Option<usize>,
    pub bias: &'a [f32], // from the first panel's first channel on
    /// Whether the sums start from the output's contents instead of the bias.
    pub accumulate: bool,
    pub add: Option<&'a [f32]>,
    pub relu: bool,
    pub first: usize,          // offset of the first panel's first row in the output
    pub out_row_stride: usize, // stride of the output's rows
}

/// Defines the function of a level: tiles of `$rows` rows by [`WIDE`] channels, in parts of `$vectors` vectors. Sums stay in registers
/// from the bias to the last product. Bounds checks in that loop would spill them, so it uses pointers.
macro_rules! define_product_sum {
    ($(#[$attribute:meta])* $name:ident, $lanes:literal, $vectors:literal, [$($rows:literal),+],
     $splat:expr, $load:expr, $read:expr, $fma:expr, $add:expr, $relu:expr, $store:expr, $fetch:expr) => {
        $(#[$attribute])*
        pub(crate) fn $name(product_sum: &$crate::tile::ProductSum, to: &mut [f32]) {
            const PART: usize = $lanes * $vectors; // output channels of a tile
            const AHEAD: usize = 16; // rows of weights

            $(#[$attribute])*
            #[inline]
            fn tile<const R: usize, const P: usize>(
                product_sum: &$crate::tile::ProductSum,
                row: usize,
                part: usize,
                to: &mut [f32],
            ) {
                let (depth, left_row_stride, left_depth_stride, right_row_stride) =
                    (product_sum.depth, product_sum.left_row_stride, product_sum.left_depth_stride, product_sum.right_row_stride);
                let at = |p: usize, v: usize| p * $crate::WIDE + part + v * $lanes; // in channels
                let bias: [[_; $vectors]; P] =
                    std::array::from_fn(|p| std::array::from_fn(|v| $load(&product_sum.bias[at(p, v)..])));
                let mut sums: [[[_; $vectors]; P]; R] = std::array::from_fn(|r| {
                    std::array::from_fn(|p| {
                        std::array::from_fn(|v| match product_sum.accumulate {
                            true => $load(&to[product_sum.first + (row + r) * product_sum.out_row_stride + at(p, v)..]),
                            false => bias[p][v],
                        })
                    })
                });
                // Plain loops around the innermost one: a call that is not inlined would spill the sums.
                for y in 0..product_sum.grid.count[0] {
                    for x in 0..product_sum.grid.count[1] {
                        let (left, right) = product_sum.grid.pair(y, x);
                        let mut panels = [product_sum.right; P];
                        for (p, panel) in panels.iter_mut().enumerate() {
                            let first = p * product_sum.second.unwrap_or(0) + right;
                            *panel = &panel[first..][..(depth - 1) * right_row_stride + $crate::WIDE];
                        }
                        let left = &product_sum.left[left + row * left_row_stride..][..(R - 1) * left_row_stride + (depth - 1) * left_depth_stride + 1];
                        // One pointer for every three of the at most twelve rows advances with `k`; the addressing mode of a load adds
                        // one or two row strides. Fewer address computations make 32 channels a tenth faster, 64 little. Pointers
                        // beyond the last row are never read.
                        let mut rows: [*const f32; 4] = std::array::from_fn(|r| left.as_ptr().wrapping_add(3 * r * left_row_stride));
                        for k in 0..depth {
                            let right: [[_; $vectors]; P] = std::array::from_fn(|p| {
                                // SAFETY: `panels[p]` has `(depth - 1) * right_row_stride + WIDE` values, `k < depth`, and
                                // `part + (v + 1) * lanes <= WIDE`, so the vector lies in the slice.
                                std::array::from_fn(|v| unsafe {
                                    $read(panels[p].as_ptr().add(k * right_row_stride + part + v * $lanes))
                                })
                            });
                            // Prefetches later weights from the second-level cache: 5 to 8 % faster for convolutions of 4 and 8 images.
                            for panel in panels {
                                for v in 0..$vectors {
                                    $fetch(panel.as_ptr().wrapping_add((k + AHEAD) * right_row_stride + part + v * $lanes));
                                }
                            }
                            for r in 0..R {
                                // SAFETY: this reads index `r * left_row_stride + k * left_depth_stride` with `r < R` and `k < depth`. The
                                // last index of the slice `left` is `(R - 1) * left_row_stride + (depth - 1) * left_depth_stride`.
                                let x = $splat(unsafe { *rows[r / 3].add(r % 3 * left_row_stride) });
                                for p in 0..P {
                                    for v in 0..$vectors {
                                        sums[r][p][v] = $fma(x, right[p][v], sums[r][p][v]);
                                    }
                                }
                            }
                            rows = rows.map(|row| row.wrapping_add(left_depth_stride));
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate() {
                    for (p, sums) in sums.iter().enumerate() {
                        for (v, &sum) in sums.iter().enumerate() {
                            let at = product_sum.first + (row + r) * product_sum.out_row_stride + at(p, v);
                            let sum = match product_sum.add {
                                Some(add) => $add(sum, $load(&add[at..])),
                                None => sum,
                            };
                            $store(&mut to[at..], if product_sum.relu { $relu(sum) } else { sum });
                        }
                    }
                }
            }

            let mut row = 0;
            if product_sum.second.is_some() {
                while row < product_sum.rows {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<1, 2>(product_sum, row, part, to);
                    }
                    row += 1;
                }
            }
            $(
                while product_sum.rows - row >= $rows {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<$rows, 1>(product_sum, row, part, to);
                    }
                    row += $rows;
                }
            )+
        }
    };
}
pub(crate) use define_product_sum;
