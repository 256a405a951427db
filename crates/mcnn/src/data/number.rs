//! Values of other types as 32-bit floats.

use std::sync::OnceLock;

use super::{Step, raw::Each};
use crate::error::{Error, Kind, Result};

/// The first error of finite 64-bit floats that became infinite as 32-bit ones, if there is any: such a file can be inspected, but
/// not used.
pub(super) type Beyond = OnceLock<Error>;

/// The number of IEEE 754's 16-bit floats.
pub(super) fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * mantissa * 2.0_f32.powi(-24),
        0x1f if mantissa == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        _ => sign * (1024.0 + mantissa) * 2.0_f32.powi(exponent - 25),
    }
}

/// Checks that 64-bit floats fit into 32-bit ones; `width` of them are a step.
///
/// # Errors
/// A finite value beyond the largest 32-bit float: where it is, and what it is.
pub(super) fn beyond(name: &str, values: &[f64], width: usize) -> Result<()> {
    let too_large = |v: &f64| v.is_finite() && (*v as f32).is_infinite();
    let Some(first) = values.iter().position(too_large) else { return Ok(()) };
    let width = width.max(1);
    Err(Error::new(Kind::Data, "values beyond the range of 32-bit floats")
        .at(format!("{name}, step {}, dimension {}", first / width, first % width))
        .expected(format!("at most {:e} in size", f32::MAX))
        .found(format!(
            "{:e}; {} such values of {}",
            values[first],
            values.iter().filter(|v| too_large(v)).count(),
            values.len()
        ))
        .next("they are no measurements: repair or drop those episodes, or leave the dimension out"))
}

/// No quantity that a robot measures is as large; the squares of differences up to here still are floats of 64 bits, and sums of a
/// million of them of 32.
const LARGEST: f32 = 1e30;

/// Whether all values are what [`check`] accepts.
pub(super) fn is_usable(values: &[f32]) -> bool {
    values.iter().fold(true, |all, v| all & (v.abs() <= LARGEST)) // a loop without branches
}

/// Checks that the values of a table are measurements; `width` of them are a step, and `ends` says where each episode ends. `each` calls
/// a function with the table, in pieces of whole steps.
///
/// # Errors
/// NaN and infinite values, and those beyond 1e30: where the first is, what it is, and in which dimensions there are others.
pub(super) fn check(name: &str, each: &Each, width: usize, ends: &[usize]) -> Result<()> {
    // Nearly all tables are.
    let mut all = true;
    each(&mut |values| all &= is_usable(values));
    if all {
        return Ok(());
    }
    let is_bad = |v: &f32| !v.is_finite();
    let is_large = |v: &f32| v.abs() > LARGEST;
    let of = |bad: &dyn Fn(&f32) -> bool| {
        let (mut first, mut which, mut count, mut n) = (None, vec![false; width], 0, 0);
        each(&mut |values| {
            for (i, v) in values.iter().enumerate().filter(|(_, v)| bad(v)) {
                first = first.or(Some((n + i, *v)));
                which[i % width] = true;
                count += 1;
            }
            n += values.len();
        });
        let (first, value) = first?;
        let which: Vec<usize> = (0..width).filter(|&k| which[k]).collect();
        let (one, mut listed) =
            (which.len() == 1, which.iter().take(10).map(usize::to_string).collect::<Vec<_>>());
        if which.len() > listed.len() {
            listed.push(format!("{} more", which.len() - listed.len()));
        }
        Some((
            format!(
                "{name}, step {}, dimension {} (EPISODE:STEP {})",
                first / width,
                first % width,
                Step::within(ends, first / width)
            ),
            format!(
                "{}; {count} such of {n} values, in dimension{} {}",
                shown(value),
                if one { "" } else { "s" },
                listed.join(", ")
            ),
        ))
    };
    if let Some((place, found)) = of(&is_bad) {
        return Err(Error::new(Kind::Data, "values that are NaN or infinite")
            .at(place)
            .expected("finite values")
            .found(found)
            .next("repair or drop those episodes; `mcnn inspect` lists the contents of the file"));
    }
    if let Some((place, found)) = of(&is_large) {
        return Err(Error::new(Kind::Data, "values that are no measurements")
            .at(place)
            .expected(format!("at most {LARGEST:e} in size: one such value makes all others of its dimension equal"))
            .found(found)
            .next(
                "probably an infinity that was replaced, as numpy.nan_to_num does: repair or drop those episodes, or leave the dimension out",
            ));
    }
    Ok(())
}

/// A value, of many digits with an exponent.
fn shown(v: f32) -> String {
    if v.is_finite() && v.abs() >= 1e7 { format!("{v:e}") } else { v.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the tables of IEEE 754-2008's binary16.
    #[test]
    fn halves_are_those_of_the_standard() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0x3c01, 1.000_976_6),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x8000).is_sign_negative() && half(0x7e00).is_nan());
    }

    #[test]
    fn what_is_no_measurement_is_named_with_its_dimensions() {
        assert_eq!(check("states", &|f| f(&[1.0, -1e30, 0.0]), 3, &[1]), Ok(()));
        for (values, parts) in [
            (
                [0.0, 1.0, 2.0, f32::MAX],
                [
                    "states, step 1, dimension 1 (EPISODE:STEP 1:0)",
                    "found: 3.4028235e38; 1 such of 4 values, in dimension 1",
                ],
            ),
            (
                [0.0, -f32::MAX, f32::MAX, 0.0],
                ["states, step 0, dimension 1", "2 such of 4 values, in dimensions 0, 1"],
            ),
            (
                [0.0, f32::NAN, f32::MAX, f32::NAN],
                ["NaN or infinite", "found: NaN; 2 such of 4 values, in dimension 1"],
            ),
            ([f32::NEG_INFINITY, 0.0, 0.0, 0.0], ["states, step 0, dimension 0", "found: -inf; 1 such"]),
        ] {
            let error =
                check("states", &|f| values.chunks(2).for_each(&mut *f), 2, &[1, 2]).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn what_exceeds_32_bits_is_named() {
        assert_eq!(beyond("states", &[f64::INFINITY, f64::NAN, 3.4e38], 3), Ok(()));
        let error = beyond("states", &[0.0, 1.0, 2.0, -1e300], 2).unwrap_err().to_string();
        assert!(error.contains("states, step 1, dimension 1") && error.contains("-1e300; 1 such"), "{error}");
    }
}
