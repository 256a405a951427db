//! One episode as it runs: decisions in turn with the replies of its environment.

use std::time::Instant;

use super::{
    collect::Record,
    rollout::{Episode, Run, Trace, acting_seed},
};
use crate::{
    act::{Act, Acting, Decision},
    error::{Error, Kind, Result},
    task::{Ask, Batch, Outcome, Spec, scale_action},
};

/// A running episode.
pub(super) struct EpisodeRun<'a> {
    pub i: usize,
    spec: &'a Spec,
    acting: Box<dyn Acting + 'a>,
    begun: bool,                     // whether there is an observation to act on
    observation: Vec<f32>,           // [n_obs]
    expert_action: Option<Vec<f32>>, // [n_act], where it is the input of the actor
    action: Vec<f32>,                // [n_act]
    sent: Option<Vec<f32>>, // [n_act], the same for the task, where the actor acts in its data's units
    decision: Decision,     // of the last action
    episode: Episode,       // so far
    trace: Trace,
    record: Option<Record>,
}

impl<'a> EpisodeRun<'a> {
    pub fn new(act: &'a dyn Act, spec: &'a Spec, run: &Run, i: usize, record: Option<Record>) -> Self {
        Self {
            i,
            spec,
            acting: act.start(acting_seed(run.first_seed.wrapping_add(i as u64))),
            begun: false,
            observation: vec![0.0; spec.n_obs],
            expert_action: None,
            action: vec![0.0; spec.n_act],
            sent: act.acts_in_data_units().then(|| vec![0.0; spec.n_act]),
            decision: Decision::default(),
            episode: Episode { seed: run.first_seed.wrapping_add(i as u64), ..Episode::default() },
            trace: Trace::default(),
            record,
        }
    }

    /// The same episode of an actor on an expert's actions.
    pub fn on_expert_actions(self, acting: Box<dyn Acting + 'a>) -> Self {
        Self { expert_action: Some(vec![0.0; self.spec.n_act]), acting, ..self }
    }

    /// Computes the action, unless the episode has not begun. Returns whether a guard ends the episode here.
    pub fn decide(&mut self) -> Result<bool> {
        if !self.begun {
            return Ok(false);
        }
        let place = (self.spec, self.episode.seed, self.episode.length);
        let input = self.expert_action.as_ref().unwrap_or(&self.observation);
        let (decision, micros) = decide(self.acting.as_mut(), input, &mut self.action, place)?;
        self.decision = decision;
        let episode = &mut self.episode;
        episode.latencies.push(micros);
        episode.queued.push(decision.queued);
        episode.encoding.extend(self.acting.embedded_observation().map(|seen| seen.micros));
        if decision.ood {
            episode.first_ood.get_or_insert(episode.length);
        }
        episode.stopped = decision.stop;
        Ok(decision.stop)
    }

    /// The next request to a task with these bounds of actions.
    pub fn ask(&mut self, bounds: Option<&[[f32; 2]]>) -> Ask<'_> {
        if !self.begun {
            return Ask::Reset(self.episode.seed);
        }
        match &mut self.sent {
            None => Ask::Step(&self.action),
            Some(sent) => {
                scale_action(bounds, &self.action, sent);
                Ask::Step(sent)
            }
        }
    }

    /// Processes the reply to a reset or a step. Returns whether the episode is over.
    pub fn receive(
        &mut self,
        observation: &[f32],
        outcome: Option<Outcome>,
        batch: &dyn Batch,
        copy: usize,
    ) -> bool {
        self.begun = true;
        if let Some(record) = &mut self.record {
            if let Some(outcome) = &outcome {
                record.acted(&self.observation, &self.action, self.acting.as_ref(), outcome.reward);
            }
            record.arrived(batch.state(copy));
        }
        self.observation.copy_from_slice(observation);
        if let Some(expert_action) = &mut self.expert_action
            && !batch.expert_action(copy, expert_action)
        {
            expert_action.fill(f32::NAN); // an invalid action, which the actor refuses
        }
        self.trace.positions.extend(batch.position(copy));
        let Some(outcome) = outcome else {
            return self.spec.horizon == 0;
        };
        let episode = &mut self.episode;
        episode.ret += outcome.reward;
        episode.length += 1;
        episode.ood += usize::from(self.decision.ood);
        episode.success = outcome.success;
        episode.goal_steps += usize::from(outcome.goal);
        episode.goal_at_end = outcome.goal;
        episode.parts = outcome.parts;
        episode.terminal = outcome.done;
        self.trace.decisions.push(self.decision);
        outcome.done || episode.length >= self.spec.horizon
    }

    pub fn finish(self, error: Option<Error>, keep_trace: bool) -> (Episode, Option<Record>) {
        let decisions = &self.trace.decisions;
        let values = |part: fn(&Decision) -> Option<f32>| decisions.iter().filter_map(part).map(f64::from);
        let mut episode = self.episode;
        // Without the latency of an action that was not taken.
        episode.latencies.truncate(episode.length);
        episode.queued.truncate(episode.length);
        episode.encoding.truncate(episode.length);
        episode.error = error;
        episode.weight = average(values(|d| d.weight));
        episode.distance =
            average(values(|d| d.distance)).map(|mean| [mean, values(|d| d.distance).fold(0.0, f64::max)]);
        episode.trace = keep_trace.then_some(self.trace);
        (episode, self.record)
    }
}

/// Computes an action. Returns the decision and the latency in microseconds. `place`: the task, the seed of the episode and the
/// step, for error messages.
fn decide(
    acting: &mut dyn Acting,
    observation: &[f32],
    action: &mut [f32],
    place: (&Spec, u64, usize),
) -> Result<(Decision, f32)> {
    let place = || format!("task {}, episode seed {}, step {}", place.0.name, place.1, place.2);
    let start = Instant::now();
    let decision = acting.act(observation, action).map_err(|e| e.within(place()))?;
    let micros = start.elapsed().as_secs_f32() * 1e6;
    if action.iter().any(|a| a.is_nan()) {
        return Err(Error::new(Kind::Task, "the policy's action is NaN")
            .at(place())
            .expected("values in [-1, 1]")
            .found(format!("{action:?}")));
    }
    Ok((decision, micros))
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
