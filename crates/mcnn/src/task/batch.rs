//! Several environments of a task that are reset and stepped together, each in its own episode.

use super::{Environment, Outcome};
use crate::error::{Error, Kind, Result};

/// A request to one environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Reset: start the episode of this seed.
    Reset(u64),
    /// Step with this action (`[n_act]`, each in [-1, 1]).
    Step(&'a [f32]),
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The observation has been written. For a step, this is its outcome.
    Good(Option<Outcome>),
    /// The environment failed. It must be reset before its next step; the reset creates it again.
    Failed(Error),
    /// The environment lost its episode because another one ended the simulator's process. The episode must be run again from
    /// its start.
    Lost,
}

/// Several environments (copies) of a task that are stepped together.
pub trait Batch {
    /// Sends a request to some of the copies, each at most once. Returns a reply for each, in that order. `asks` has the number of
    /// the copy and the request; row k of `observations` (`[asks, n_obs]`) is written if reply k is good.
    fn ask(&mut self, asks: &[(usize, Ask)], observations: &mut [f32]) -> Vec<Reply>;

    /// The limits of the task's actions, `[n_act]` lower and upper bounds in the task's own units; `None` if they are -1 and 1. A step
    /// takes actions in [-1, 1] in any case, which stand for these.
    fn action_bounds(&self) -> Option<&[[f32; 2]]> {
        None
    }

    /// The position of the agent in a copy, for plots: a point in the plane, where the task has one.
    fn position(&self, _copy: usize) -> Option<[f32; 2]> {
        None
    }

    /// Writes the action of the task's own expert in the present state of a copy (`[n_act]`, each in [-1, 1]). Returns whether
    /// there is one: during an episode, if [`Task::start_with_expert`](super::Task::start_with_expert) started the copies.
    fn expert_action(&self, _copy: usize, _action: &mut [f32]) -> bool {
        false
    }

    /// The present joint positions and velocities of a copy, where the task has them.
    fn state(&self, _copy: usize) -> Option<(&[f64], &[f64])> {
        None
    }
}

type Start<'a> = Box<dyn Fn() -> Result<Box<dyn Environment>> + 'a>;

/// A batch of independent environments.
pub(super) struct Singles<'a> {
    start: Start<'a>,
    copies: Vec<Option<Box<dyn Environment>>>,
}

impl<'a> Singles<'a> {
    /// Creates `n` copies: the first one now, and the others at their first reset.
    pub fn new(n: usize, start: Start<'a>) -> Result<Self> {
        let mut copies: Vec<_> = (0..n.max(1)).map(|_| None).collect();
        copies[0] = Some(start()?);
        Ok(Self { start, copies })
    }

    fn one(&mut self, copy: usize, ask: Ask, observation: &mut [f32]) -> Result<Option<Outcome>> {
        let place = &mut self.copies[copy];
        let environment = match (place, ask) {
            (Some(environment), _) => environment,
            (place, Ask::Reset(_)) => place.insert((self.start)()?),
            (None, Ask::Step(_)) => return Err(Error::new(Kind::Task, "a step before the episode's reset")),
        };
        match ask {
            Ask::Reset(seed) => environment.reset(seed, observation).map(|()| None),
            Ask::Step(action) => environment.step(action, observation).map(Some),
        }
    }
}

impl Batch for Singles<'_> {
    fn ask(&mut self, asks: &[(usize, Ask)], observations: &mut [f32]) -> Vec<Reply> {
        let width = observations.len() / asks.len().max(1);
        let mut replies = Vec::with_capacity(asks.len());
        for (k, &(copy, ask)) in asks.iter().enumerate() {
            let reply = self.one(copy, ask, &mut observations[k * width..(k + 1) * width]);
            replies.push(reply.map_or_else(
                |error| {
                    self.copies[copy] = None;
                    Reply::Failed(error)
                },
                Reply::Good,
            ));
        }
        replies
    }

    fn action_bounds(&self) -> Option<&[[f32; 2]]> {
        self.copies.iter().flatten().next()?.action_bounds()
    }

    fn position(&self, copy: usize) -> Option<[f32; 2]> {
        self.copies[copy].as_ref()?.position()
    }

    fn expert_action(&self, copy: usize, action: &mut [f32]) -> bool {
        self.copies[copy].as_ref().is_some_and(|environment| environment.expert_action(action))
    }

    fn state(&self, copy: usize) -> Option<(&[f64], &[f64])> {
        self.copies[copy].as_ref()?.state()
    }
}
