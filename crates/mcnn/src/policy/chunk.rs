//! Whole chunks of actions from one observation, for callers that give no observations in between.

use super::{ConstrainAt, Constrained, Guard, Policy, Response, Session};
use crate::error::Result;

impl Policy {
    /// The actions that one observation determines, for [`Session::act_chunk`]: the execution horizon, or 1 if actions are relative to the
    /// state, because later actions are relative to states that are not known yet.
    pub fn chunk_len(&self) -> usize {
        match self.codebook.units().relative_to() {
            [] => self.horizons().execution,
            _ => 1,
        }
    }
}

impl Session<'_> {
    /// Writes a newly predicted chunk of actions (`[chunk length, n_act]`, in the data's units) for an observation (`[n_obs]`), and
    /// returns how the first was constrained. What is left of an earlier chunk is discarded.
    ///
    /// All actions lie in regions of one radius, that of the observation's distance, around the actions of its memory: the future actions
    /// that the memory stores, or else those of the memories demonstrated after it; the last known one where there is none. A [`Guard`]
    /// responds to the observation, for all actions alike.
    ///
    /// # Errors
    /// If the observation has values that are NaN or infinite.
    ///
    /// # Panics
    /// If the observation has the wrong length, or `actions` is not [`Policy::chunk_len`] actions long.
    pub fn act_chunk(&mut self, observation: &[f32], actions: &mut [f32]) -> Result<Constrained> {
        let n_act = self.policy.codebook.n_act();
        let len = self.policy.chunk_len();
        assert_eq!(actions.len(), len * n_act, "the actions have another length than the policy's chunk");
        if len == 1 {
            let last_step = self.policy.horizons().execution - 1;
            if let Some(last) = &mut self.constrained {
                last.chunk_step = last_step; // the next action is predicted anew
            }
            return self.act(observation, actions);
        }
        self.observe(observation)?;
        let first = self.predict();
        if self.policy.acting.constrain_at == ConstrainAt::Executed {
            self.fill_future_actions(first.retrieval.memory, len);
        }
        let Policy { codebook, acting, .. } = &*self.policy;
        let centers = self.memory_action.iter().zip(&self.network_action);
        for (k, (to, (center, s))) in actions.iter_mut().zip(centers).enumerate() {
            let action = acting.envelope.constrain(first.region, *center, *s);
            *to = codebook.units().to_data(k % n_act, action, &self.base);
        }
        let distance = first.retrieval.distance;
        let quantile = self.policy.calibration.as_ref().map(|c| c.quantile(distance) as f32);
        let [ood, stop] = self.guard_chunk(distance, actions);
        self.constrained = Some(Constrained { chunk_step: len - 1, ..first }); // the next action is predicted anew
        Ok(Constrained { quantile, ood, stop, ..first })
    }

    /// Writes the actions of the memories demonstrated after a memory behind its own, up to `len` actions in all.
    fn fill_future_actions(&mut self, memory: usize, len: usize) {
        let codebook = &self.policy.codebook;
        let mut last = memory;
        for (ahead, to) in self.memory_action.chunks_exact_mut(codebook.n_act()).enumerate().take(len).skip(1)
        {
            last = codebook.later_memory(memory, ahead).unwrap_or(last);
            match self.leave_out {
                Some(episode) => codebook.action_without(last, 0, episode, to),
                None => to.copy_from_slice(codebook.action(last)),
            }
        }
    }

    /// [`apply_guard`](Self::apply_guard) for a chunk whose observation is at `distance`.
    fn guard_chunk(&mut self, distance: f32, actions: &mut [f32]) -> [bool; 2] {
        let n_act = self.policy.codebook.n_act();
        let Some(guard @ Guard { response, .. }) = self.guard else { return [false; 2] };
        if !guard.is_ood(distance) {
            let last = actions.len() - n_act;
            self.note_in_distribution(&actions[last..]);
            return [false; 2];
        }
        for (step, action) in actions.chunks_exact_mut(n_act).enumerate() {
            if response == Response::Warn || self.repeats_last(response, action) {
                continue;
            }
            let units = self.policy.codebook.units();
            for (k, (to, from)) in action.iter_mut().zip(&self.memory_action[step * n_act..]).enumerate() {
                *to = units.to_data(k, *from, &self.base);
            }
        }
        [true, response == Response::Stop]
    }
}
