//! Actions outside [-1, 1]: refused, or clipped where clipping changes little.

use super::raw::Each;
use crate::error::{Error, Kind, Result};

/// What to do with actions outside [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActionRange {
    /// An error, with their number.
    #[default]
    Refuse,
    /// Clip them into [-1, 1], unless that would change more than a few: see [`MOST_CLIPPED`].
    Clip,
}

/// The largest share of the values of one action dimension that [`ActionRange::Clip`] clips (one value it always does). More are not
/// outliers: the actions are in other units.
pub const MOST_CLIPPED: f64 = 0.05;

/// Values up to this far beyond 1 are rounding errors, and do not count for [`MOST_CLIPPED`].
const ROUNDING: f32 = 1e-3;

/// How many action values are outside [-1, 1].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// In each dimension: `[n_act]`.
    pub by_dimension: Vec<usize>,
    /// Action values in all.
    pub of: usize,
}

impl Outside {
    /// Counts the values outside in a table of actions, `[n_steps, n_act]`.
    pub fn count(actions: &[f32], n_act: usize) -> Self {
        Self::of_each(&|f| f(actions), n_act)
    }

    /// The same of a table in pieces of whole steps.
    pub(super) fn of_each(each: &Each, n_act: usize) -> Self {
        let (by_dimension, of) = beyond(each, n_act, 1.0);
        Self { by_dimension, of }
    }

    /// Those of all dimensions together.
    pub fn all(&self) -> usize {
        self.by_dimension.iter().sum()
    }
}

impl std::fmt::Display for Outside {
    /// Such as "3 of 200 action values (1.500 %), in dimension 0".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.all();
        let which: Vec<String> = (self.by_dimension.iter().enumerate())
            .filter(|(_, n)| **n > 0)
            .map(|(dimension, _)| dimension.to_string())
            .collect();
        let (some, more) = which.split_at(which.len().min(10));
        let plural = if which.len() == 1 { "" } else { "s" };
        write!(
            f,
            "{all} of {} action values ({:.3} %)",
            self.of,
            100.0 * all as f64 / self.of.max(1) as f64
        )?;
        write!(f, ", in dimension{plural} {}", some.join(", "))?;
        if more.is_empty() { Ok(()) } else { write!(f, " and {} more", more.len()) }
    }
}

/// How many values of each dimension are beyond a limit, and the number of all values.
fn beyond(each: &Each, n_act: usize, limit: f32) -> (Vec<usize>, usize) {
    let (mut counts, mut of) = (vec![0; n_act], 0);
    each(&mut |actions| {
        of += actions.len();
        for row in actions.chunks_exact(n_act) {
            counts.iter_mut().zip(row).for_each(|(count, a)| *count += usize::from(a.abs() > limit));
        }
    });
    (counts, of)
}

/// Why clipping would destroy what was demonstrated, by dimension; empty where it would not.
fn destroyed(each: &Each, n_act: usize) -> Vec<String> {
    let mut limits = vec![[f32::INFINITY, f32::NEG_INFINITY]; n_act];
    each(&mut |actions| {
        for row in actions.chunks_exact(n_act) {
            for ([low, high], &a) in limits.iter_mut().zip(row) {
                *low = if a < *low { a } else { *low };
                *high = if a > *high { a } else { *high };
            }
        }
    });
    let (counts, of) = beyond(each, n_act, 1.0 + ROUNDING);
    let mut why = Vec::new();
    for (dimension, (count, [min, max])) in counts.into_iter().zip(limits).enumerate() {
        let share = count as f64 / (of / n_act) as f64;
        let constant = min < max && min.clamp(-1.0, 1.0) == max.clamp(-1.0, 1.0);
        if (share > MOST_CLIPPED && count > 1) || constant {
            let becomes = if constant { ", and would become constant" } else { "" };
            why.push(format!(
                "dimension {dimension}: from {min} to {max}, {:.1} % outside{becomes}",
                100.0 * share
            ));
        }
    }
    why
}

/// Applies the rule to finite actions, `[n_steps, n_act]`.
///
/// # Errors
/// As [`check`].
pub(super) fn apply(actions: &mut [f32], n_act: usize, range: ActionRange) -> Result<()> {
    if check(&|f| f(actions), n_act, range)? {
        actions.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0));
    }
    Ok(())
}

/// Whether finite actions are to be clipped.
///
/// # Errors
/// Actions outside [-1, 1] that are not to be clipped, or too many of them.
pub(super) fn check(each: &Each, n_act: usize, range: ActionRange) -> Result<bool> {
    let outside = Outside::of_each(each, n_act);
    if outside.all() == 0 {
        return Ok(false);
    }
    let destroyed = destroyed(each, n_act);
    if range == ActionRange::Clip && destroyed.is_empty() {
        return Ok(true);
    }
    let error = |what: &str| Error::new(Kind::Data, what).at("actions");
    if destroyed.is_empty() {
        let mut largest = 0.0_f32;
        each(&mut |actions| largest = actions.iter().fold(largest, |m, a| m.max(a.abs())));
        return Err(error("actions outside [-1, 1]")
            .expected("every action in [-1, 1]")
            .found(format!("{outside}, up to {largest} in size"))
            .next("--clip-actions clips them"));
    }
    const SHOWN: usize = 5;
    let mut found = destroyed.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if destroyed.len() > SHOWN {
        found += &format!("; and {} dimensions more", destroyed.len() - SHOWN);
    }
    let most = format!(
        "every action in [-1, 1], or at most {} % of a dimension outside to be clipped",
        100.0 * MOST_CLIPPED
    );
    Err(error("actions in other units than [-1, 1]").expected(most).found(found).next(
        "scale them by their range (--action-scale range); memories or a policy of other data keep the range of those data. \
         Clipping would destroy them",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 steps of two dimensions: `count` values of the second are `value`, the others vary within.
    fn actions(count: usize, value: f32) -> Vec<f32> {
        let of = |i: usize| if i < count { value } else { 0.01 * i as f32 - 0.5 };
        (0..100).flat_map(|i| [0.5 - 0.01 * i as f32, of(i)]).collect()
    }

    fn clip(mut actions: Vec<f32>) -> std::result::Result<Vec<f32>, String> {
        apply(&mut actions, 2, ActionRange::Clip).map(|()| actions).map_err(|e| e.to_string())
    }

    #[test]
    fn a_few_outliers_are_clipped_and_counted() {
        let clipped = clip(actions(5, -3.0)).unwrap();
        assert_eq!(clipped[9], -1.0);
        assert!(clipped.iter().all(|a| a.abs() <= 1.0));
        let outside = Outside::count(&actions(5, -3.0), 2);
        assert_eq!(outside, Outside { by_dimension: vec![0, 5], of: 200 });
        assert_eq!(outside.to_string(), "5 of 200 action values (2.500 %), in dimension 1");
        // However many, where it is rounding.
        assert_eq!(clip(actions(90, 1.000_001)).unwrap()[1], 1.0);
        let error = apply(&mut actions(5, -3.0), 2, ActionRange::Refuse).unwrap_err().to_string();
        assert!(
            error.contains("5 of 200") && error.contains("up to 3") && error.contains("--clip-actions"),
            "{error}"
        );
    }

    #[test]
    fn clipping_that_would_destroy_the_actions_is_refused_and_not_suggested() {
        let pixels: Vec<f32> = (0..100).flat_map(|i| [100.0 + i as f32, 300.0 - i as f32]).collect();
        let half: Vec<f32> = (0..100).flat_map(|i| [0.01 * i as f32, 0.04 * i as f32 - 2.0]).collect();
        for (actions, parts) in [
            (
                pixels,
                &[
                    "dimension 0: from 100 to 199, 100.0 % outside, and would become constant",
                    "dimension 1: from 201",
                ][..],
            ),
            (half, &["dimension 1: from -2 to 1.95", "49.0 % outside"]),
            (actions(6, 1.5), &["dimension 1", "6.0 % outside"]),
        ] {
            for range in [ActionRange::Clip, ActionRange::Refuse] {
                let error = apply(&mut actions.clone(), 2, range).unwrap_err().to_string();
                assert!(
                    !error.contains("--clip-actions") && error.contains("--action-scale range"),
                    "{error}"
                );
                for part in parts {
                    assert!(error.contains(part), "{part:?} is not in\n{error}");
                }
            }
        }
    }
}
