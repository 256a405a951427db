//! The demonstrated actions after a memory's own, which constrain a policy that predicts a chunk of actions.

use super::{Codebook, CodebookParts, choose::parallel_map, learn::mean_action, rows::Rows};
use crate::{data::Demonstrations, error::Result};

impl Codebook {
    /// Actions of each memory: its own and the future ones.
    pub fn horizon(&self) -> usize {
        1 + self.parts.future_actions.len() / self.parts.actions.len()
    }

    /// The action of memory `i` (`ahead` 0), or the one demonstrated `ahead` steps later; the last action of its episode after
    /// the end.
    ///
    /// # Panics
    /// If `ahead` is not below the [`horizon`](Self::horizon).
    pub fn action_after(&self, i: usize, ahead: usize) -> &[f32] {
        let (n_act, rest) = (self.n_act(), self.horizon() - 1);
        if ahead == 0 {
            self.action(i)
        } else {
            &self.parts.future_actions[(i * rest + ahead - 1) * n_act..][..n_act]
        }
    }

    /// The same memories with `horizon` actions each, their own included. Future actions are averaged over the same steps as
    /// the memory's own action, leaving out steps whose episode has ended.
    ///
    /// # Errors
    /// If the memories were learned from other data.
    pub fn with_future_actions(self, data: &Demonstrations, horizon: usize) -> Result<Self> {
        self.check_data(data)?;
        let row = |i: usize| data.find(self.source(i)).expect("check_data: a memory is a step of these data");
        let own: Vec<usize> = (0..self.len()).map(row).collect();
        let averaged: Vec<Vec<usize>> = match self.parts.smooth_neighbors {
            1 => own.into_iter().map(|row| vec![row]).collect(),
            k => {
                let rows = Rows::of_states(data, &self.parts.scale);
                rows.k_nearest_to(&rows.gather(&own), k)
            }
        };
        let future_actions = parallel_map(self.len(), |i| {
            let steps = &averaged[i];
            let ends: Vec<usize> = steps.iter().map(|&j| data.ends()[data.episode_of(j)]).collect();
            let mut actions = self.action(i).to_vec();
            for ahead in 1..horizon {
                let later = steps.iter().zip(&ends).map(|(j, end)| (j + ahead, end));
                let later: Vec<usize> = later.filter(|(j, end)| j < end).map(|(j, _)| j).collect();
                let before = actions.len() - self.n_act();
                match &later[..] {
                    [] => actions.extend_from_within(before..),
                    _ => actions.extend(mean_action(data, &later)),
                }
            }
            actions.split_off(self.n_act())
        });
        Codebook::new(CodebookParts { future_actions: future_actions.concat(), ..self.parts })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        data::{ActionRange, Demonstrations, Parts},
        memory::{Amount, LearnSettings, SelectionMethod, learn},
    };

    /// Two episodes, of 3 and 4 steps; an action encodes its step.
    fn data() -> Demonstrations {
        let parts = Parts {
            n_obs: 1,
            n_act: 2,
            states: [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 13.0].to_vec(),
            actions: (0..7).flat_map(|i| [i as f32 / 10.0, -i as f32 / 10.0]).collect(),
            rewards: None,
            ends: vec![3, 7],
        };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }

    fn future_actions(smooth_neighbors: usize, memory: usize) -> Vec<f32> {
        let settings = LearnSettings {
            amount: Amount::Fraction(1.0),
            selection: SelectionMethod::All,
            smooth_neighbors,
            ..Default::default()
        };
        let book = learn(&data(), &settings).unwrap().codebook;
        assert_eq!((book.horizon(), book.len()), (1, 7));
        let book = book.with_future_actions(&data(), 4).unwrap();
        assert_eq!(book.horizon(), 4);
        assert_eq!(book.action_after(memory, 0), book.action(memory));
        (0..4)
            .map(|k| {
                let action = book.action_after(memory, k);
                assert_eq!(action[1], -action[0]);
                (action[0] * 100.0).round() / 100.0
            })
            .collect()
    }

    #[test]
    fn a_memory_has_the_future_actions_up_to_the_end_of_its_episode() {
        assert_eq!(future_actions(1, 0), [0.0, 0.1, 0.2, 0.2]);
        assert_eq!(future_actions(1, 2), [0.2; 4]);
        assert_eq!(future_actions(1, 3), [0.3, 0.4, 0.5, 0.6]);
    }

    #[test]
    fn future_actions_are_averaged_like_the_memorys_own() {
        // The three steps nearest to 1 are 1, 0 and 2; two of them have a next step, one a step after that.
        assert_eq!(future_actions(3, 1), [0.1, 0.15, 0.2, 0.2]);
    }

    #[test]
    fn other_data_are_refused() {
        let book = learn(&data(), &LearnSettings { amount: Amount::Count(3), ..Default::default() })
            .unwrap()
            .codebook;
        assert!(book.with_future_actions(&data().select(&[0]), 4).is_err());
    }
}
