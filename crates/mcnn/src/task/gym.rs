//! Any Gymnasium environment as a task, the Adroit tasks by D4RL's rules, kitchen, racing and Push-T.

use super::{
    Answer, Ask, Batch, Environment, Outcome, Picture, Recorded, Reply, Spec, Task,
    adroit::{Adroit, Rewards, Rules},
    check_action, kitchen, name_with_options, no_expert, pusht, racing,
    worker::{Limits, Plan, Response, Worker},
};
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The horizon of an environment that does not define one.
pub const HORIZON: usize = 1000;

/// A task whose environments run in Python worker processes.
#[derive(Debug)]
pub struct Gym {
    source: Arc<Source>,
    first: Mutex<Option<Worker>>, // the one that sent the handshake, used by the first start
}

/// The settings that all copies share.
#[derive(Debug, Clone)]
struct Source {
    spec: Spec,
    plan: Plan,
    adroit: Option<(Adroit, Rewards)>,
    expert: bool, // whether the environment has an expert
    python: PathBuf,
    limits: Option<Limits>, // otherwise those of the environment variables
}

impl Gym {
    /// The environment that `gymnasium.make(id)` makes, under a Python interpreter that has gymnasium. Where `id` is
    /// NAMESPACE/NAME-v0, the module NAMESPACE is imported first, since that is usually what registers the environment. Success
    /// is the `success` or `is_success` that its steps report, once it was true.
    ///
    /// A Dict observation becomes its values in the order of their sorted keys, nested ones in place. So those of
    /// Gymnasium-Robotics' Fetch tasks are `achieved_goal` (3), `desired_goal` (3), `observation` (10, or 25 where
    /// there is an object). One color frame among them comes first, and the others, the state, after it ([`Spec::frame`]).
    ///
    /// # Errors
    /// If the environment cannot be made, or its spaces are not real-valued.
    pub fn new(id: &str, python: &Path) -> Result<Self> {
        Self::with_options(id, &Map::new(), python)
    }

    /// The environment that `gymnasium.make(id, **options)` makes; see [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the environment does not take the options.
    pub fn with_options(id: &str, options: &Map<String, Value>, python: &Path) -> Result<Self> {
        let plan = Plan { id: id.to_owned(), options: options.clone(), ..Plan::default() };
        let worker = Worker::start(python, &plan, Limits::from_environment()?)?;
        let handshake = worker.handshake();
        let spec = Spec {
            name: name_with_options(&format!("gym:{id}"), options),
            n_obs: handshake.n_obs,
            frame: handshake.frame,
            n_act: handshake.n_act,
            horizon: handshake.horizon.unwrap_or(HORIZON),
            reference: None,
            parts: Vec::new(),
        };
        Ok(Self { first: Mutex::new(Some(worker)), ..Self::of(spec, plan, None, python) })
    }

    /// An Adroit task by D4RL's rules.
    pub fn adroit(task: Adroit, rewards: Rewards, python: &Path) -> Self {
        let plan = Plan { id: task.id().to_owned(), ..Plan::default() };
        Self::of(task.spec_for(rewards), plan, Some((task, rewards)), python)
    }

    /// FrankaKitchen with the four parts of [`kitchen`].
    pub fn kitchen(python: &Path) -> Self {
        Self::of(kitchen::spec(), kitchen::plan(), None, python)
    }

    /// CarRacing by the rules of [`racing`], under a Python interpreter that has Box2D and pygame too.
    pub fn racing(python: &Path) -> Self {
        let gym = Self::of(racing::spec(), racing::plan(), None, python);
        let source = Source { expert: true, ..Source::clone(&gym.source) };
        Self { source: Arc::new(source), ..gym }
    }

    /// Push-T by the rules of [`pusht`], under a Python interpreter that has gym-pusht.
    pub fn pusht(observation: pusht::Observation, python: &Path) -> Self {
        Self::of(pusht::spec(observation), pusht::plan(observation), None, python)
    }

    /// The same task with other time limits than [`Limits::from_environment`].
    pub fn within(self, limits: Limits) -> Self {
        let source = Source { limits: Some(limits), ..Source::clone(&self.source) };
        Self { source: Arc::new(source), first: Mutex::new(None) }
    }

    fn of(spec: Spec, plan: Plan, adroit: Option<(Adroit, Rewards)>, python: &Path) -> Self {
        let source = Source { spec, plan, adroit, expert: false, python: python.to_owned(), limits: None };
        Self { source: Arc::new(source), first: Mutex::new(None) }
    }

    fn copies(&self, n: usize) -> Result<Copies> {
        self.copies_of(n, self.source.plan.clone())
    }

    /// Copies for a plan that may differ from the source's in `pictures` and `expert_action`.
    fn copies_of(&self, n: usize, plan: Plan) -> Result<Copies> {
        let started = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = match started.filter(|_| plan == self.source.plan) {
            Some(worker) => worker,
            None => self.source.worker(&plan)?,
        };
        let copy = || Copy {
            rules: self.source.adroit.map(|(task, rewards)| Rules::new(task, rewards)),
            running: false,
            success: None,
            action: vec![0.0; self.source.spec.n_act],
            expert_action: Vec::new(),
        };
        Ok(Copies {
            source: Arc::clone(&self.source),
            plan,
            bounds: worker.handshake().bounds.clone(),
            worker: Some(worker),
            copies: (0..n).map(|_| copy()).collect(),
        })
    }
}

impl Source {
    fn worker(&self, plan: &Plan) -> Result<Worker> {
        let limits = self.limits.map_or_else(Limits::from_environment, Ok)?;
        let worker = Worker::start(&self.python, plan, limits)?;
        let handshake = worker.handshake();
        if (handshake.n_obs, handshake.n_act) != (self.spec.n_obs, self.spec.n_act) {
            let widths = |obs, act| format!("{obs}-dimensional observations, {act}-dimensional actions");
            return Err(Error::new(Kind::Task, "the environment has other dimensions than the task")
                .at(self.spec.name.clone())
                .expected(widths(self.spec.n_obs, self.spec.n_act))
                .found(widths(handshake.n_obs, handshake.n_act)));
        }
        Ok(worker)
    }
}

impl Task for Gym {
    fn spec(&self) -> &Spec {
        &self.source.spec
    }

    fn start(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(self.copies(1)?))
    }

    fn start_many(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        Ok(Box::new(self.copies(n.max(1))?))
    }

    fn start_with_expert(&self, n: usize) -> Result<Box<dyn Batch + '_>> {
        if !self.source.expert {
            return Err(no_expert(&self.source.spec));
        }
        Ok(Box::new(self.copies_of(n.max(1), Plan { expert_action: true, ..self.source.plan.clone() })?))
    }

    fn start_with_pictures(&self) -> Result<Box<dyn Environment>> {
        Ok(Box::new(self.copies_of(1, Plan { pictures: true, ..self.source.plan.clone() })?))
    }
}

/// The copies in one process. If the process died, the next reset starts it again.
struct Copies {
    source: Arc<Source>,
    plan: Plan,
    bounds: Option<Vec<[f32; 2]>>, // of actions, if they are not -1 and 1
    worker: Option<Worker>,
    copies: Vec<Copy>,
}

/// One copy and the state of its episode.
struct Copy {
    rules: Option<Rules>,
    running: bool,           // in an episode; false from a failure to the next reset
    success: Option<bool>,   // so far
    action: Vec<f32>,        // [n_act], the one sent
    expert_action: Vec<f32>, // [n_act] in the present state, if requested
}

impl Batch for Copies {
    fn action_bounds(&self) -> Option<&[[f32; 2]]> {
        self.bounds.as_deref()
    }

    fn ask(&mut self, asks: &[(usize, Ask)], observations: &mut [f32]) -> Vec<Reply> {
        let mut replies = vec![Reply::Lost; asks.len()];
        let Some(mut worker) = self.worker(asks, &mut replies) else {
            return replies;
        };
        let mut sent = Vec::with_capacity(asks.len()); // positions in `asks`
        for (k, &(copy, ask)) in asks.iter().enumerate() {
            let copy = &mut self.copies[copy];
            match ask {
                Ask::Reset(_) => copy.running = true,
                Ask::Step(_) if !copy.running => continue,
                Ask::Step(action) => {
                    if let Err(error) = check_action(action, &mut copy.action) {
                        copy.running = false;
                        replies[k] = Reply::Failed(error);
                        continue;
                    }
                }
            }
            sent.push(k);
        }
        let usable = |k: &usize| match asks[*k] {
            (copy, Ask::Step(_)) => (copy, Ask::Step(&self.copies[copy].action)),
            reset => reset,
        };
        let answers = worker.ask(&sent.iter().map(usable).collect::<Vec<_>>());
        for (&k, answer) in sent.iter().zip(answers) {
            let n_obs = self.source.spec.n_obs;
            let observation = &mut observations[k * n_obs..(k + 1) * n_obs];
            let (copy, ask) = asks[k];
            let copy = &mut self.copies[copy];
            replies[k] = match answer {
                None => Reply::Lost,
                Some(Ok(response)) => {
                    write(&response.answer, observation);
                    let outcome = copy.judge(matches!(ask, Ask::Step(_)), &response, &self.source.spec);
                    copy.expert_action = response.expert_action;
                    Reply::Good(outcome)
                }
                Some(Err(error)) => {
                    copy.running = false;
                    Reply::Failed(error)
                }
            };
        }
        if worker.alive() {
            self.worker = Some(worker);
        } else {
            self.copies.iter_mut().for_each(|copy| copy.running = false);
        }
        replies
    }

    fn expert_action(&self, copy: usize, action: &mut [f32]) -> bool {
        let copy = &self.copies[copy];
        if !copy.running || copy.expert_action.is_empty() {
            return false;
        }
        action.copy_from_slice(&copy.expert_action);
        true
    }
}

impl Copies {
    /// The process. It is started again if it died and one of the requests is a reset.
    fn worker(&mut self, asks: &[(usize, Ask)], replies: &mut [Reply]) -> Option<Worker> {
        if let Some(worker) = self.worker.take().filter(Worker::alive) {
            return Some(worker);
        }
        let resets = || asks.iter().zip(0..).filter(|((_, ask), _)| matches!(ask, Ask::Reset(_)));
        resets().next()?;
        match self.source.worker(&self.plan) {
            Ok(worker) => Some(worker),
            Err(error) => {
                resets().for_each(|(_, k): (_, usize)| replies[k] = Reply::Failed(error.clone()));
                None
            }
        }
    }

    fn one(&mut self, ask: Ask, observation: &mut [f32]) -> Result<Option<Outcome>> {
        match self.ask(&[(0, ask)], observation).remove(0) {
            Reply::Good(outcome) => Ok(outcome),
            Reply::Failed(error) => Err(error),
            Reply::Lost => Err(Error::new(Kind::Task, "the environment is in no episode")
                .at(self.source.spec.name.clone())
                .next("reset it first")),
        }
    }

    fn running_worker(&mut self) -> Result<&mut Worker> {
        let name = &self.source.spec.name;
        self.worker
            .as_mut()
            .filter(|w| w.alive())
            .ok_or_else(|| Error::new(Kind::Task, "the environment's process has ended").at(name.clone()))
    }
}

impl Environment for Copies {
    fn action_bounds(&self) -> Option<&[[f32; 2]]> {
        self.bounds.as_deref()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.one(Ask::Reset(seed), observation).map(drop)
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Result<Outcome> {
        let outcome = self.one(Ask::Step(action), observation)?;
        outcome.ok_or_else(|| Error::new(Kind::Task, "a step without an outcome"))
    }

    fn picture(&mut self) -> Result<Picture> {
        self.running_worker()?.picture(0)
    }

    fn restore_state(&mut self, recorded: &Recorded, observation: &mut [f32]) -> Result<()> {
        let response = self.running_worker()?.restore_state(0, recorded)?;
        write(&response.answer, observation);
        self.copies[0].running = true;
        self.copies[0].judge(false, &response, &self.source.spec);
        Ok(())
    }
}

impl Copy {
    /// The outcome of a step by the task's own rules; a reset resets them.
    fn judge(&mut self, step: bool, response: &Response, spec: &Spec) -> Option<Outcome> {
        let answer = &response.answer;
        if !step {
            self.success = answer.success;
            if let Some(rules) = &mut self.rules {
                rules.reset();
            }
            return None;
        }
        if let Some(rules) = &mut self.rules {
            return Some(rules.apply(answer));
        }
        let now = match spec.parts.len() {
            0 => answer.success,
            n => Some(response.parts.count_ones() as usize == n),
        };
        if let Some(now) = now {
            self.success = Some(self.success.unwrap_or(false) || now);
        }
        Some(Outcome {
            reward: answer.reward,
            done: answer.done,
            success: self.success,
            goal: now.unwrap_or(false),
            parts: response.parts,
        })
    }
}

fn write(from: &Answer, to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(&from.observation) {
        *to = *from as f32;
    }
}
