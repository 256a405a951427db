//! The steps that are averaged into memory actions, for leave-one-episode-out use. A memory's action is the mean over the nearest
//! steps of all episodes, so it may contain the very action that is predicted from it. Code that measures or trains acting in an
//! episode as in a new one leaves out its steps.

use std::sync::Arc;

use super::{Codebook, rows::Rows};
use crate::{data::Demonstrations, error::Result};

/// The averaged steps of every memory, and the steps.
#[derive(Debug)]
pub(super) struct AveragedSteps {
    rows: Vec<Vec<u32>>, // [memories], each first the memory's own step
    groups: Vec<u32>,    // [steps], the group of the step's episode
    ends: Vec<u32>,      // [steps], the end of the step's episode
    actions: Actions,
}

/// The actions of all steps.
#[derive(Debug)]
enum Actions {
    Memory { values: Vec<f32>, width: usize },
    File(Box<Demonstrations>),
}

impl Actions {
    fn of(data: &Demonstrations) -> Self {
        match data.is_streamed() {
            true => Self::File(Box::new(data.clone())),
            false => Self::Memory { values: data.actions().into_owned(), width: data.n_act() },
        }
    }

    /// Writes the mean action over some steps, at least one.
    fn mean(&self, steps: impl Iterator<Item = usize> + Clone, to: &mut [f32]) {
        let count = steps.clone().count() as f64;
        // The mean of numbers in [-1, 1] can exceed 1 by rounding.
        let mean = |sum: f64| ((sum / count) as f32).clamp(-1.0, 1.0);
        match self {
            Self::Memory { values, width } => {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = mean(steps.clone().map(|step| f64::from(values[step * width + i])).sum());
                }
            }
            Self::File(data) => {
                let actions: Vec<_> = steps.map(|step| data.action(step)).collect();
                for (i, to) in to.iter_mut().enumerate() {
                    *to = mean(actions.iter().map(|action| f64::from(action[i])).sum());
                }
            }
        }
    }
}

impl Codebook {
    /// The same memories, which know the steps that their actions are averages of: then [`action_without`](Self::action_without)
    /// leaves out steps. It is not stored in files. Without smoothing nothing changes.
    ///
    /// # Errors
    /// If the memories were learned from other data.
    pub fn with_averaged_steps(mut self, data: &Demonstrations) -> Result<Self> {
        self.check_data(data)?;
        let k = self.parts.smooth_neighbors;
        if k == 1 {
            return Ok(self);
        }
        let own: Vec<Option<usize>> = (0..self.len()).map(|i| data.find(self.source(i))).collect();
        let known: Vec<usize> = own.iter().flatten().copied().collect();
        let states = Rows::of_states(data, &self.parts.scale);
        let mut near = states.k_nearest_to(&states.gather(&known), k).into_iter();
        drop(states);
        let averaged = |own: usize, near: Vec<usize>| {
            let others = near.into_iter().filter(|&row| row != own).take(k - 1);
            std::iter::once(own).chain(others).map(|row| row as u32).collect()
        };
        // A list for every step that was found, in their order.
        let rows = own.iter().map(|own| own.zip(own.and_then(|_| near.next())));
        let rows = rows.map(|found| found.map_or_else(Vec::new, |(own, near)| averaged(own, near))).collect();
        let of_episodes = |value: &dyn Fn(usize) -> u32| -> Vec<u32> {
            let episodes = 0..data.n_episodes();
            episodes.flat_map(|k| std::iter::repeat_n(value(k), data.episode(k).len())).collect()
        };
        self.averaged = Some(Arc::new(AveragedSteps {
            rows,
            groups: of_episodes(&|k| self.group(data.number(k))),
            ends: of_episodes(&|k| data.ends()[k] as u32),
            actions: Actions::of(data),
        }));
        Ok(self)
    }

    /// Whether the steps that actions are averages of are known.
    pub(crate) fn knows_averaged_steps(&self) -> bool {
        self.averaged.is_some()
    }

    /// The actions of some memories without the steps of an episode, as [`action_without`](Self::action_without): `[memories, n_act]`.
    pub(crate) fn actions_without(&self, memories: &[usize], episode: u32) -> Vec<f32> {
        let mut actions = vec![0.0; memories.len() * self.n_act()];
        for (to, &memory) in actions.chunks_exact_mut(self.n_act()).zip(memories) {
            self.action_without(memory, 0, episode, to);
        }
        actions
    }

    /// Writes what [`action_after`](Self::action_after) returns, but of a smoothed memory the mean without the steps of an episode (a
    /// number of the source data) and of those that coincide with it. All steps are averaged if none would be left, or if the steps
    /// are not known ([`with_averaged_steps`](Self::with_averaged_steps)).
    ///
    /// # Panics
    /// If `ahead` is not below the [`horizon`](Self::horizon), or `action` is not as wide as an action.
    pub fn action_without(&self, memory: usize, ahead: usize, episode: u32, action: &mut [f32]) {
        action.copy_from_slice(self.action_after(memory, ahead));
        let Some(averaged) = &self.averaged else { return };
        let group = self.group(episode);
        let others = || {
            averaged.rows[memory].iter().map(|&row| row as usize).filter(|&row| averaged.groups[row] != group)
        };
        // Beyond the end of all episodes, the last step that one of them has.
        for ahead in (0..=ahead).rev() {
            let later =
                || others().map(|row| row + ahead).filter(|&row| row < averaged.ends[row - ahead] as usize);
            if later().next().is_none() {
                continue;
            }
            averaged.actions.mean(later(), action);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        data::{ActionRange, Demonstrations, Parts},
        memory::{LearnSettings, SelectionMethod, learn},
        seed::Seed,
    };

    /// Random walks near each other, the last episode a copy of the first.
    fn data() -> Demonstrations {
        let mut rng = Seed(0).rng();
        let mut states: Vec<f32> = Vec::new();
        for _ in 0..4 {
            let mut at = [0.0; 2];
            for _ in 0..25 {
                at.iter_mut().for_each(|x| *x += rng.normal());
                states.extend(at.map(|x| x as f32));
            }
        }
        states.extend_from_within(..50);
        let mut actions: Vec<f32> = (0..200).map(|_| rng.between(-1.0, 1.0) as f32).collect();
        actions.extend_from_within(..50);
        let parts = Parts {
            n_obs: 2,
            n_act: 2,
            states,
            actions,
            rewards: None,
            ends: (1..=5).map(|k| 25 * k).collect(),
        };
        Demonstrations::new(parts, ActionRange::Refuse).unwrap()
    }

    #[test]
    fn a_smoothed_action_without_an_episode_has_none_of_its_steps() {
        let data = data();
        let settings =
            LearnSettings { selection: SelectionMethod::All, smooth_neighbors: 8, ..Default::default() };
        let book = learn(&data, &settings).unwrap().codebook.with_future_actions(&data, 3).unwrap();
        let (all, group) = (book.clone(), |i: usize| book.group(data.step(i).episode));
        let book = book.clone().with_averaged_steps(&data).unwrap();
        let mut action = [0.0; 2];
        let (mut differ, mut compared) = (0, 0);
        for m in 0..book.len() {
            let own = data.find(book.source(m)).unwrap();
            // The 8 nearest steps by definition, the first of equal ones first.
            let d2 = |i: usize| {
                let scale = &book.parts().scale;
                let (a, b) = (data.state(own), data.state(i));
                let pairs = a.iter().zip(b.iter()).zip(&scale.std);
                pairs.map(|((a, b), s)| f64::from((a - b) / s).powi(2)).sum::<f64>()
            };
            let mut near: Vec<usize> = (0..data.n_steps()).collect();
            near.sort_by(|&a, &b| d2(a).total_cmp(&d2(b)).then(a.cmp(&b)));
            near.truncate(8);
            for episode in [1, 2, 4] {
                let left_out = book.group(episode);
                assert_eq!(left_out, [0, 1, 2, 3, 0][episode as usize], "episode 4 is a copy of 0");
                if group(own) == left_out {
                    continue;
                }
                for ahead in 0..3 {
                    let end = |i: usize| data.ends()[data.episode_of(i)];
                    let steps = near.iter().filter(|&&i| group(i) != left_out && i + ahead < end(i));
                    let later: Vec<usize> = steps.map(|i| i + ahead).collect();
                    if later.is_empty() {
                        continue;
                    }
                    book.action_without(m, ahead, episode, &mut action);
                    compared += 1;
                    for (k, found) in action.iter().enumerate() {
                        let sum: f64 = later.iter().map(|&i| f64::from(data.action(i)[k])).sum();
                        assert!((f64::from(*found) - sum / later.len() as f64).abs() < 1e-6, "{m} {episode}");
                    }
                    differ += usize::from(action != *book.action_after(m, ahead));
                    // Without the steps nothing can be left out.
                    all.action_without(m, ahead, episode, &mut action);
                    assert_eq!(action, *book.action_after(m, ahead));
                }
            }
        }
        assert!(differ > 200 && compared > 500, "{differ} of {compared}");
    }
}
