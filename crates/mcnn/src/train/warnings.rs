//! What a run cannot do with its data, or does otherwise than its defaults suggest.

use super::{Lambda, Run};

/// The mean memory weights below and above which one part of a policy hardly acts.
const HARDLY_ANY: f64 = 0.02;
const HARDLY_ALL: f64 = 0.95;

/// The number of validation states below which their loss is reported as chance.
const FEW_STATES: usize = 20;

impl Run {
    /// The mean memory weight on the demonstrated states, each against the memories of other episodes. `None` if all memories are of one
    /// episode.
    pub fn memory_weight(&self) -> Option<f64> {
        let distances = || self.calibration.iter().flat_map(|c| c.episodes()).flat_map(|e| &e.distances);
        let sum: f64 = distances().map(|&d| f64::from(self.envelope.region(d).weight)).sum();
        self.calibration.as_ref().map(|_| sum / distances().count() as f64)
    }

    /// What is unusual about this run, each as a sentence with the number and what to do about it: validation on next to nothing, a
    /// memory weight near 0 or 1, no other episode to measure against. Empty for most runs.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let lambda = self.envelope.lambda;
        if self.calibration.is_none() {
            let set = match self.settings.lambda {
                Lambda::Value(_) => String::new(),
                other => format!(
                    ", and lambda ({other}) is set from distances to other steps of the same episode, which are too small"
                ),
            };
            found.push(format!(
                "all memories are of one episode: there is no calibration and no guard{set}; add demonstrations, or cut the recording \
                 into episodes (--episode-steps)"
            ));
        }
        match self.validation_set.as_ref().map(|set| (0..set.n_episodes()).map(|k| set.interior(k).len()).sum::<usize>()) {
            Some(states) if states < FEW_STATES => found.push(format!(
                "the validation loss is measured on {states} state(s) only: it is chance; look at the lengths of the episodes (mcnn \
                 inspect), or ask for a larger --validation-fraction"
            )),
            None if self.settings.validation_fraction > 0.0 => found.push(
                "there is one distinct episode, so no validation; add demonstrations, or cut the recording into episodes \
                 (--episode-steps)"
                    .into(),
            ),
            _ => {}
        }
        let weight = self.memory_weight().filter(|_| lambda > 0.0 && lambda.is_finite());
        let mean = |weight: f64| {
            format!(
                "at lambda {lambda} the mean memory weight on the demonstrated states is {weight:.3}, against memories of other episodes"
            )
        };
        match weight {
            Some(weight) if weight < HARDLY_ANY => found.push(format!(
                "{}: memories hardly act, and the policy is its network; for a policy that stays near its memories give a smaller \
                 --lambda, or auto",
                mean(weight)
            )),
            Some(weight) if weight > HARDLY_ALL => found.push(format!(
                "{}: the network hardly acts, and the policy repeats its memories; give a larger --lambda if that is not wanted",
                mean(weight)
            )),
            _ => {}
        }
        found
    }
}
