//! The Adroit tasks (Rajeswaran et al., 2018) by D4RL's rules (Fu et al., 2020), over Gymnasium-Robotics' simulation.
//!
//! The simulations agree in observations and resets; three rules differ, and D4RL's reference scores only fit its own:
//! - Its dense reward of door, hammer and relocate subtracts 0.1 times the distance from palm to object;
//!   Gymnasium-Robotics (up to 1.4.2) adds it.
//! - Its pen ends after 100 steps (not 200), and when the pen is dropped.
//! - It calls an episode a success when the goal was reached in more than 25 of its steps (pen: 20), not at the end.

use super::{Answer, Outcome, Spec};

/// One of the four tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adroit {
    /// Open a door by its latch.
    Door,
    /// Drive a nail into a board.
    Hammer,
    /// Turn a pen in the hand.
    Pen,
    /// Carry a ball to a place in the air.
    Relocate,
}

impl Adroit {
    /// All tasks.
    pub const ALL: [Adroit; 4] = [Adroit::Door, Adroit::Hammer, Adroit::Pen, Adroit::Relocate];

    /// The task's name.
    pub fn name(self) -> &'static str {
        match self {
            Adroit::Door => "door",
            Adroit::Hammer => "hammer",
            Adroit::Pen => "pen",
            Adroit::Relocate => "relocate",
        }
    }

    /// The environment in Gymnasium-Robotics.
    pub fn id(self) -> &'static str {
        match self {
            Adroit::Door => "AdroitHandDoor-v1",
            Adroit::Hammer => "AdroitHandHammer-v1",
            Adroit::Pen => "AdroitHandPen-v1",
            Adroit::Relocate => "AdroitHandRelocate-v1",
        }
    }

    /// Dimensions, D4RL's horizon and D4RL's reference returns (`d4rl/infos.py`).
    pub fn spec(self) -> Spec {
        let (n_obs, n_act, horizon, reference) = match self {
            Adroit::Door => (39, 28, 200, [-56.512833, 2880.5693087298737]),
            Adroit::Hammer => (46, 26, 200, [-274.856578, 12794.134825156867]),
            Adroit::Pen => (45, 24, 100, [96.262799, 3076.8331017826877]),
            Adroit::Relocate => (39, 30, 200, [-6.425911, 4233.877797728884]),
        };
        Spec {
            name: self.name().into(),
            n_obs,
            frame: None,
            n_act,
            horizon,
            reference: Some(reference),
            parts: Vec::new(),
        }
    }

    /// The same for given rewards: D4RL's reference returns belong to D4RL's rewards only.
    pub fn spec_for(self, rewards: Rewards) -> Spec {
        let spec = self.spec();
        Spec { reference: spec.reference.filter(|_| rewards == Rewards::D4rl), ..spec }
    }

    /// Distance from the palm to the object (door: the handle), in meters, where the reward counts it.
    fn reach(self, o: &[f64]) -> Option<f64> {
        match self {
            Adroit::Door => Some(norm(&o[35..38])), // palm - handle
            Adroit::Hammer => Some(norm(&[o[33] - o[36], o[34] - o[37], o[35] - o[38]])), // palm, hammer
            Adroit::Relocate => Some(norm(&o[30..33])), // palm - ball
            Adroit::Pen => None,
        }
    }

    fn dropped(self, o: &[f64]) -> bool {
        self == Adroit::Pen && o[26] < 0.075 // height of the pen, m
    }

    /// The steps with the goal reached that are not yet a success.
    fn patience(self) -> usize {
        if self == Adroit::Pen { 20 } else { 25 }
    }
}

/// The dense rewards of an Adroit task. Horizon, success and termination are always D4RL's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rewards {
    /// D4RL's rewards, to which its reference scores belong.
    #[default]
    D4rl,
    /// The rewards of Gymnasium-Robotics (up to 1.4.2), which add the distance from palm to object.
    Gymnasium,
}

/// D4RL's rules, with the state of one episode.
#[derive(Debug)]
pub struct Rules {
    task: Adroit,
    rewards: Rewards,
    reached: usize, // steps so far with the goal reached
}

impl Rules {
    /// At the start of an episode.
    pub fn new(task: Adroit, rewards: Rewards) -> Self {
        Self { task, rewards, reached: 0 }
    }

    /// Starts another episode.
    pub fn reset(&mut self) {
        self.reached = 0;
    }

    /// D4RL's outcome of a step of Gymnasium-Robotics.
    pub fn apply(&mut self, answer: &Answer) -> Outcome {
        let goal = answer.success == Some(true);
        self.reached += usize::from(goal);
        let reach = match self.rewards {
            Rewards::D4rl => self.task.reach(&answer.observation).unwrap_or(0.0),
            Rewards::Gymnasium => 0.0,
        };
        Outcome {
            reward: answer.reward - 0.2 * reach,
            done: answer.done || self.task.dropped(&answer.observation),
            success: Some(self.reached > self.task.patience()),
            goal,
            parts: 0,
        }
    }
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(task: Adroit, success: bool) -> Answer {
        Answer {
            observation: (0..task.spec().n_obs).map(|i| i as f64).collect(),
            reward: 1.0,
            done: false,
            success: Some(success),
        }
    }

    #[test]
    fn success_is_the_goal_in_more_than_25_steps_of_the_episode_and_for_the_pen_20() {
        for task in Adroit::ALL {
            let needed = if task == Adroit::Pen { 21 } else { 26 };
            let mut rules = Rules::new(task, Rewards::D4rl);
            for _ in 0..2 {
                rules.reset();
                for reached in 1..=needed {
                    // Steps between without the goal neither count nor undo.
                    let off = rules.apply(&answer(task, false));
                    assert!(!off.goal && off.success == Some(false));
                    let on = rules.apply(&answer(task, true));
                    assert!(on.goal);
                    assert_eq!(on.success, Some(reached == needed), "{task:?} after {reached}");
                }
                assert_eq!(rules.apply(&answer(task, false)).success, Some(true));
            }
        }
    }

    #[test]
    fn the_pen_ends_when_dropped_and_the_reward_loses_the_palm_distance_twice() {
        let mut pen = answer(Adroit::Pen, false);
        assert!(!Rules::new(Adroit::Pen, Rewards::D4rl).apply(&pen).done);
        pen.observation[26] = 0.0749;
        assert!(Rules::new(Adroit::Pen, Rewards::D4rl).apply(&pen).done);
        let mut door = answer(Adroit::Door, false);
        door.observation[35..38].copy_from_slice(&[3.0, 0.0, -4.0]);
        assert_eq!(Rules::new(Adroit::Door, Rewards::D4rl).apply(&door).reward, 0.0);
        assert_eq!(Rules::new(Adroit::Door, Rewards::Gymnasium).apply(&door).reward, 1.0);
        assert!(Adroit::Door.spec_for(Rewards::D4rl).reference.is_some());
        assert_eq!(Adroit::Door.spec_for(Rewards::Gymnasium).reference, None, "they make no score of D4RL's");
    }
}
