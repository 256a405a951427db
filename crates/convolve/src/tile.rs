//! The loops: one output pixel of all images, a tile of some images by some channels at a time.

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
}

/// One output pixel's work on one or two panels of output channels.
pub(crate) struct Work<'a> {
    pub shape: &'a Shape,
    pub patch: Patch,
    pub from: &'a [f32],
    pub n: usize,
    pub panels: &'a [f32], // [panels, kernel height, kernel width, from, WIDE]
    pub panel_len: usize,
    pub bias: &'a [f32], // from the first panel's first on
    pub add: Option<&'a [f32]>,
    pub relu: bool,
    pub first: usize, // where the pixel's first image's first channel of the first panel lies in the output
}

impl Work<'_> {
    /// The runs of weights and inputs that are multiplied: for each pixel under the kernel, where the panel's weights
    /// for it begin, and where its first image's channels lie.
    #[inline(always)]
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let (patch, from) = (self.patch, self.shape.from);
        (0..patch.count[0]).flat_map(move |y| {
            (0..patch.count[1]).map(move |x| {
                let tap = (patch.first[0] + y) * self.shape.kernel[1] + patch.first[1] + x;
                (tap * from * WIDE, (patch.pixel + y * patch.row + x) * self.n * from)
            })
        })
    }
}

/// Defines how a level does a pixel's work: tiles of `$rows` images by [`WIDE`] channels in `$parts` parts of `$vectors`
/// vectors. Sums stay in registers from the bias to the last product: a check of bounds in that loop would put them into memory,
/// so there are pointers in it.
macro_rules! pixel {
    ($(#[$attribute:meta])* $name:ident, $lanes:literal, $vectors:literal, [$($rows:literal),+],
     $splat:expr, $load:expr, $read:expr, $fma:expr, $add:expr, $relu:expr, $store:expr) => {
        $(#[$attribute])*
        pub(crate) fn $name(work: &$crate::tile::Work, to: &mut [f32]) {
            const PART: usize = $lanes * $vectors; // output channels of a tile

            $(#[$attribute])*
            #[inline]
            fn tile<const R: usize, const P: usize>(
                work: &$crate::tile::Work,
                image: usize,
                part: usize,
                to: &mut [f32],
            ) {
                let from = work.shape.from;
                let at = |p: usize, v: usize| p * $crate::WIDE + part + v * $lanes; // in channels
                let bias: [[_; $vectors]; P] =
                    std::array::from_fn(|p| std::array::from_fn(|v| $load(&work.bias[at(p, v)..])));
                let mut sums = [bias; R];
                for (weights, inputs) in work.runs() {
                    let weights: [&[f32]; P] =
                        std::array::from_fn(|p| &work.panels[p * work.panel_len + weights..][..from * $crate::WIDE]);
                    let rows = &work.from[inputs + image * from..][..R * from];
                    for k in 0..from {
                        let weights: [[_; $vectors]; P] = std::array::from_fn(|p| {
                            // SAFETY: `k` is below `from`, so row `k` of the panel lies in the slice; `part` and `v` stay in it.
                            std::array::from_fn(|v| unsafe {
                                $read(weights[p].as_ptr().add(k * $crate::WIDE + part + v * $lanes))
                            })
                        });
                        for r in 0..R {
                            // SAFETY: `r` is below `R` and `k` below `from`: the slice has as many rows of as many numbers.
                            let x = $splat(unsafe { *rows.as_ptr().add(r * from + k) });
                            for p in 0..P {
                                for v in 0..$vectors {
                                    sums[r][p][v] = $fma(x, weights[p][v], sums[r][p][v]);
                                }
                            }
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate() {
                    for (p, sums) in sums.iter().enumerate() {
                        for (v, &sum) in sums.iter().enumerate() {
                            let at = work.first + (image + r) * work.shape.to + at(p, v);
                            let sum = match work.add {
                                Some(add) => $add(sum, $load(&add[at..])),
                                None => sum,
                            };
                            $store(&mut to[at..], if work.relu { $relu(sum) } else { sum });
                        }
                    }
                }
            }

            let mut image = 0;
            if work.panels.len() > work.panel_len {
                while image < work.n {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<1, 2>(work, image, part, to);
                    }
                    image += 1;
                }
            }
            $(
                while work.n - image >= $rows {
                    for part in (0..$crate::WIDE).step_by(PART) {
                        tile::<$rows, 1>(work, image, part, to);
                    }
                    image += $rows;
                }
            )+
        }
    };
}
pub(crate) use pixel;
