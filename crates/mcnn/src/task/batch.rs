//! Several copies of a task that are asked together, each in an episode of its own.

use super::{Environment, Outcome};
use crate::error::{Error, Kind, Result};

/// What one copy is asked to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Start the episode that belongs to a seed.
    Reset(u64),
    /// Act (`[n_act]`, each in [-1, 1]).
    Step(&'a [f32]),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The observation is written, and for a step here is what it brought.
    Good(Option<Outcome>),
    /// This copy failed. It must be reset before its next step, which makes it anew.
    Failed(Error),
    /// This copy is in no episode, by no fault of its own (another one took the simulator down): its episode is to be
    /// run again from the start.
    Lost,
}

/// Copies of a task that are asked together.
pub trait Batch {
    /// Asks some of the copies, each at most once, and gives a reply for each, in that order. `asks` holds the
    /// copy's number with what is asked of it; row k of `observations` (`[asks, n_obs]`) is written where reply k is
    /// good.
    fn ask(&mut self, asks: &[(usize, Ask)], observations: &mut [f32]) -> Vec<Reply>;

    /// The position of whatever moves in a copy, for pictures: a point in the plane, where the task has one.
    fn position(&self, _copy: usize) -> Option<[f32; 2]> {
        None
    }

    /// Writes what the task's own expert would do in the state that a copy is in (`[n_act]`, each in [-1, 1]), and says
    /// whether it could: in an episode, of copies that [`Task::start_advised`](super::Task::start_advised) started.
    fn advice(&self, _copy: usize, _action: &mut [f32]) -> bool {
        false
    }

    /// Joint positions and velocities of a copy as its simulator has them now, where the task has them.
    fn state(&self, _copy: usize) -> Option<(&[f64], &[f64])> {
        None
    }
}

type Start<'a> = Box<dyn Fn() -> Result<Box<dyn Environment>> + 'a>;

/// A batch of environments that know nothing of each other.
pub(super) struct Singles<'a> {
    start: Start<'a>,
    copies: Vec<Option<Box<dyn Environment>>>,
}

impl<'a> Singles<'a> {
    /// `n` copies, the first of them started now and the others when they are first reset.
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

    fn position(&self, copy: usize) -> Option<[f32; 2]> {
        self.copies[copy].as_ref()?.position()
    }

    fn advice(&self, copy: usize, action: &mut [f32]) -> bool {
        self.copies[copy].as_ref().is_some_and(|environment| environment.advice(action))
    }

    fn state(&self, copy: usize) -> Option<(&[f64], &[f64])> {
        self.copies[copy].as_ref()?.state()
    }
}
