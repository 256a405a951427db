//! What looks unintended in demonstrations that can be used: marks of episode ends that are repeated or missing, copies, clocks, rest.

use super::{Demonstrations, EpisodeGroups, Scale, Step};

/// The share of the median length below which an episode is reported as short.
const SHORT: f64 = 0.1;

/// How many times as far as the median moving step a step goes that is reported as a jump.
const JUMP: f64 = 30.0;

/// The share of the steps beyond which jumps are no exceptions.
const MOST_JUMPS: f64 = 0.01;

/// The share of the steps at rest that is reported.
const MOSTLY_AT_REST: f64 = 0.5;

/// The size of the largest action below which actions are reported as small.
const SMALL_ACTION: f32 = 0.01;

impl Demonstrations {
    /// What looks unintended, each as a sentence with the number and what to do about it. Empty for most data.
    pub fn warnings(&self) -> Vec<String> {
        let lengths: Vec<usize> = (0..self.n_episodes()).map(|k| self.episode(k).len()).collect();
        let scale = Scale::fit(self);
        let moves = Moves::of(self, &scale);
        let mut found = of_lengths(&lengths);
        found.extend(self.repeated(&self.groups()));
        found.extend(self.jumps(&moves));
        found.extend(self.continued(&moves, &scale));
        found.extend(self.at_rest(&scale));
        found.extend(self.clocks());
        found.extend(self.copied_actions());
        found.extend(self.small_actions());
        found
    }

    /// Episodes that coincide with earlier ones.
    fn repeated(&self, groups: &EpisodeGroups) -> Option<String> {
        let repeated = groups.repeated();
        let copies: usize = repeated.iter().map(|group| group.len() - 1).sum();
        let [first, second, ..] = &repeated.first()?[..] else { return None };
        Some(format!(
            "{copies} of {} episodes repeat another, such as {} repeats {}: copies count as one wherever an episode is left out \
             (lambda, validation, folds, calibration); take them out of the file",
            self.n_episodes(),
            self.number(*second),
            self.number(*first)
        ))
    }

    /// Steps within an episode that go many times as far as others.
    fn jumps(&self, moves: &Moves) -> Option<String> {
        let limit = JUMP * moves.median?;
        let jumps: Vec<usize> =
            (0..self.n_steps()).filter(|&i| moves.to_next[i].is_some_and(|d| d > limit)).collect();
        let first = *jumps.first()?;
        let Step { episode, step } = self.step(first);
        (jumps.len() as f64 <= MOST_JUMPS * self.n_steps() as f64).then(|| {
            format!(
                "{} steps change the state by more than {JUMP} times the median change, the first from step {episode}:{step} to the \
                 next: an episode may end there without a mark, or a sensor failed; mark the ends or take the steps out",
                jumps.len()
            )
        })
    }

    /// Episodes that begin where the one before ends.
    fn continued(&self, moves: &Moves, scale: &Scale) -> Option<String> {
        let pairs = self.n_episodes() - 1;
        let near = 2.0 * moves.median?;
        let begins_there = |&k: &usize| {
            let (last, next) = (self.ends()[k] - 1, self.ends()[k]);
            self.margin(k) == 0 && distance(self, scale, last, next) <= near
        };
        let continued = (0..pairs).filter(begins_there).count();
        (pairs > 0 && 2 * continued > pairs).then(|| {
            format!(
                "{continued} of {} episodes begin where the episode before ends: if they are pieces of one recording, the states on \
                 both sides of a cut follow each other, and leaving out an episode leaves near copies; join the pieces and cut them \
                 with --episode-steps, which keeps a margin",
                self.n_episodes()
            )
        })
    }

    /// A share of the steps at rest above a half.
    fn at_rest(&self, scale: &Scale) -> Option<String> {
        let rests = self.resting(scale).into_iter().filter(|rests| *rests).count();
        let share = rests as f64 / self.n_steps() as f64;
        (share > MOSTLY_AT_REST).then(|| {
            format!(
                "{:.0} % of the steps are at rest: most of what is learned is to stay; lambda auto is set from the steps that move; cut \
                 off waiting times before and after the task",
                100.0 * share
            )
        })
    }

    /// Dimensions of the state that increase by one number at every step.
    fn clocks(&self) -> Option<String> {
        let is_clock = |&i: &usize| {
            let value = |step: usize| f64::from(self.state(step)[i]);
            let mut rise = None;
            let mut steps = (0..self.n_episodes()).flat_map(|k| self.episode(k).skip(1));
            steps.all(|step| {
                let d = value(step) - value(step - 1);
                let rise = *rise.get_or_insert(d);
                // The difference of two 32-bit numbers is exact up to their rounding.
                rise > 0.0 && (d - rise).abs() <= 0.01 * rise + 1e-6 * value(step).abs()
            }) && rise.is_some()
        };
        let clocks: Vec<String> = (0..self.n_obs()).filter(is_clock).map(|i| i.to_string()).collect();
        (!clocks.is_empty()).then(|| {
            format!(
                "state dimension {} increases by the same amount at every step, as a clock or a counter does: it tells a network the \
                 time instead of the situation; learn with --ignore-dims {}",
                clocks.join(", "),
                clocks.join(",")
            )
        })
    }

    /// Velocities that repeat the previous action.
    fn copied_actions(&self) -> Option<String> {
        let found = self.repeating_velocities();
        let least = found.iter().map(|repeating| repeating.correlation).reduce(f64::min)?;
        let dimensions: Vec<String> = found.iter().map(|repeating| repeating.dimension.to_string()).collect();
        Some(format!(
            "velocities in the state repeat the previous action (dimensions {}, correlation {least:.2} or more): a network can learn to \
             repeat its last action, which lowers the validation loss but fails in closed loop; compare with --ignore-dims {}, or predict \
             chunks of actions: --backbone resmlp",
            dimensions.join(", "),
            dimensions.join(",")
        ))
    }

    /// Actions that are all the same, or all near 0.
    fn small_actions(&self) -> Option<String> {
        let first = self.action(0);
        let is_first = |row: &[f32]| row == &first[..];
        let are_equal = |actions: &[f32]| actions.chunks_exact(self.n_act()).all(is_first);
        if self.n_steps() > 1 && self.pieces().all(|steps| are_equal(&self.actions_of(steps))) {
            return Some(
                "all actions are equal: there is nothing to learn; check which array has the actions".into(),
            );
        }
        let size = |largest: f32, steps| self.actions_of(steps).iter().fold(largest, |m, a| m.max(a.abs()));
        let largest = self.pieces().fold(0.0_f32, size);
        (largest < SMALL_ACTION).then(|| {
            format!(
                "no action is larger than {largest:.1e} in size, where -1 to 1 is the range: the box and the loss are made for that range; \
                 divide each dimension by its limit before saving"
            )
        })
    }
}

/// What the lengths of episodes say.
pub(super) fn of_lengths(lengths: &[usize]) -> Vec<String> {
    let n = lengths.len();
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let single = lengths.iter().filter(|&&steps| steps == 1).count();
    if single > 0 && sorted[n - 1] > 1 {
        return vec![format!(
            "{single} of {n} episodes have one step: probably the mark of an episode end is repeated or held over several steps; mark the \
             last step of an episode alone (terminals, timeouts or episode_ends)"
        )];
    }
    let few = SHORT * sorted[n / 2] as f64;
    let short = lengths.iter().filter(|&&steps| (steps as f64) < few).count();
    if short == 0 {
        return Vec::new();
    }
    vec![format!(
        "{short} of {n} episodes have fewer than a tenth of the median's steps ({} to {}, median {}): recordings that were stopped at once, \
         or ends that are marked too early; take them out or repair the marks",
        sorted[0],
        sorted[short - 1],
        sorted[n / 2]
    )]
}

/// How far states move from one step to the next.
struct Moves {
    to_next: Vec<Option<f64>>, // [n_steps], none from the last step of an episode
    median: Option<f64>,       // of those above 0
}

impl Moves {
    fn of(data: &Demonstrations, scale: &Scale) -> Self {
        let mut to_next: Vec<Option<f64>> = Vec::with_capacity(data.n_steps());
        for k in 0..data.n_episodes() {
            data.each_pair(data.episode(k), |a, b| to_next.push(Some(between(scale, a, b))));
            to_next.push(None);
        }
        let mut moved: Vec<f64> = to_next.iter().flatten().copied().filter(|&d| d > 0.0).collect();
        moved.sort_unstable_by(f64::total_cmp);
        Self { median: moved.get(moved.len() / 2).copied(), to_next }
    }
}

/// The standardized distance between two states.
fn distance(data: &Demonstrations, scale: &Scale, a: usize, b: usize) -> f64 {
    between(scale, &data.state(a), &data.state(b))
}

fn between(scale: &Scale, a: &[f32], b: &[f32]) -> f64 {
    let [a, b] = [a, b].map(|state| scale.features(state));
    let pairs = a.iter().zip(b.iter()).zip(&scale.std);
    let squares = pairs.filter(|(_, std)| **std > 0.0).map(|((x, y), std)| f64::from((x - y) / std).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{ActionRange, Parts},
        seed::Seed,
    };

    /// Smooth paths of 100 steps, each around a place of its own, with an action per step.
    fn parts() -> Parts {
        let mut rng = Seed(0).rng();
        let mut states = Vec::new();
        for _ in 0..6 {
            let [x, y, phase] = [0; 3].map(|_| rng.normal());
            let at = |t: f64| [x + (0.07 * t + phase).sin(), y + (0.05 * t).cos()].map(|v| v as f32);
            states.extend((0..100).flat_map(|t| at(f64::from(t))));
        }
        Parts {
            n_obs: 2,
            n_act: 1,
            actions: states.chunks(2).map(|s| 0.2 * s[0]).collect(),
            states,
            rewards: None,
            ends: (1..=6).map(|k| 100 * k).collect(),
        }
    }

    fn warnings(change: impl FnOnce(&mut Parts)) -> Vec<String> {
        let mut parts = parts();
        change(&mut parts);
        Demonstrations::new(parts, ActionRange::Clip).unwrap().warnings()
    }

    #[test]
    fn ordinary_data_have_no_warnings() {
        assert_eq!(warnings(|_| ()), [""; 0]);
    }

    #[test]
    fn marks_that_are_held_repeated_or_missing_are_reported_with_their_number() {
        let found = |change: fn(&mut Parts)| warnings(change).join("\n");
        // Held over the last 80 steps: 5 ordinary ends become 480 episodes, 474 of one step and 6 of 21.
        let held = found(|p| p.ends = (0..6).flat_map(|k| 100 * k + 21..=100 * k + 100).collect());
        assert!(held.contains("474 of 480 episodes have one step"), "{held}");
        assert!(held.contains("474 of 480 episodes begin where the episode before ends"), "{held}");
        let doubled = found(|p| p.ends = (1..=6).flat_map(|k| [100 * k - 1, 100 * k]).collect());
        assert!(doubled.contains("6 of 12 episodes have one step"), "{doubled}");
        let missing = found(|p| p.ends = vec![300, 600]);
        // Of the four missing ends, one leads to a place that is near.
        assert!(missing.contains("3 steps change the state by more than 30 times"), "{missing}");
        assert!(missing.contains("from step 0:99"), "{missing}");
        let early = found(|p| p.ends.insert(0, 5));
        assert!(early.contains("1 of 7 episodes have fewer than a tenth"), "{early}");
    }

    #[test]
    fn copies_rest_clocks_and_small_actions_are_reported() {
        let twice = warnings(|p| {
            p.states.extend_from_within(..);
            p.actions.extend_from_within(..);
            p.ends.extend_from_within(..);
            p.ends[6..].iter_mut().for_each(|end| *end += 600);
        });
        assert!(
            twice.len() == 1 && twice[0].contains("6 of 12 episodes repeat another, such as 6 repeats 0")
        );
        let resting = warnings(|p| {
            for episode in p.states.chunks_mut(200) {
                let at = [episode[80], episode[81]];
                episode[80..].chunks_mut(2).for_each(|state| state.copy_from_slice(&at));
            }
        });
        assert!(resting.len() == 1 && resting[0].contains("60 % of the steps are at rest"), "{resting:?}");
        let clock = warnings(|p| {
            p.states.chunks_mut(2).enumerate().for_each(|(i, s)| s[1] = 0.05 * (i % 100) as f32);
        });
        assert!(clock.len() == 1 && clock[0].contains("--ignore-dims 1"), "{clock:?}");
        let small = warnings(|p| p.actions.iter_mut().for_each(|a| *a *= 1e-3));
        assert!(small.len() == 1 && small[0].contains("no action is larger than"), "{small:?}");
        let equal = warnings(|p| p.actions.fill(0.5));
        assert!(equal.len() == 1 && equal[0].contains("all actions are equal"), "{equal:?}");
    }
}
