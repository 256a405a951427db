//! Predictions of a session: the memories retrieved for an observation, the networks' outputs, and the region that constrains them.

use super::{Combine, ConstrainAt, Constrained, Policy, Session};
use crate::{
    envelope::Envelope,
    memory::{Codebook, Retrieval},
};

impl Session<'_> {
    /// Predicts actions for the newest observation: fills [`network_action`](Self::network_action).
    pub(super) fn predict(&mut self) -> Constrained {
        let retrieved = self.policy.retrieved();
        let retrieval = self.retrieve(retrieved);
        let Policy { codebook, members, acting, .. } = &*self.policy;
        let envelope = acting.envelope;
        let region = envelope.region(retrieval.distance);
        let memory_action = &self.memory_action;
        let during_sampling = |k: usize, g: f32| match (acting.constrain_at, envelope.activation.apply(g)) {
            (ConstrainAt::Denoising, s) => envelope.constrain(region, memory_action[k], s),
            (_, s) => envelope.amplitude * s,
        };
        let alone = match acting.combine {
            Combine::Member if members.len() > 1 => Some(self.draw.below(members.len())),
            _ => None,
        };
        let acts = |k: usize| alone.is_none_or(|alone| alone == k);
        let is_first = self.constrained.is_none();
        let n_act = codebook.n_act();
        for (k, (episode, network)) in self.members.iter_mut().zip(members).enumerate() {
            if !acts(k) && !is_first {
                continue;
            }
            if retrieved > 0 {
                let codes = &self.policy.codes[k];
                let width = codes.len() / codebook.len();
                let near = self.near[..retrieved.min(self.near.len())].iter().map(|r| r.memory);
                match self.leave_out.filter(|_| codebook.knows_averaged_steps()) {
                    // The codes of the actions that the memories would have without the episode.
                    Some(left_out) => {
                        let near: Vec<usize> = near.collect();
                        let actions = codebook.actions_without(&near, left_out);
                        let states: Vec<f32> =
                            near.iter().flat_map(|&m| codebook.standardized_state(m)).collect();
                        let codes = network.encode_memories(&states, &actions);
                        episode.set_neighbors(codes.chunks_exact(width).zip(actions.chunks_exact(n_act)));
                    }
                    None => episode.set_neighbors(near.map(|m| {
                        (&codes[m * width..][..width], &codebook.parts().actions[m * n_act..][..n_act])
                    })),
                }
            }
            if acts(k) {
                episode.predict(&**network, &during_sampling);
            } else {
                episode.prepare(&**network, &during_sampling); // it may act later
            }
        }
        if members.is_empty() {
            self.network_action.fill(0.0); // lambda is 0: the memory acts alone
        }
        let share = if alone.is_some() { 1.0 } else { 1.0 / members.len() as f32 };
        for (k, to) in self.network_action.iter_mut().enumerate().filter(|_| !members.is_empty()) {
            let outputs = self.members.iter().enumerate().filter(|(m, _)| acts(*m));
            let outputs = outputs.map(|(_, episode)| envelope.activation.apply(episode.network_output()[k]));
            // The mean of values in [-1, 1] can exceed 1 by rounding.
            *to = (outputs.clone().sum::<f32>() * share).clamp(-1.0, 1.0);
            if let Some(variance) = self.variance.get_mut(k) {
                *variance = outputs.map(|s| (s - *to).powi(2)).sum::<f32>() * share;
            }
        }
        Constrained {
            retrieval,
            source: codebook.source(retrieval.memory),
            region,
            chunk_step: 0,
            member_std: self.member_std(0),
            quantile: None,
            ood: false,
            stop: false,
        }
    }

    /// The next step of the current chunk.
    pub(super) fn advance(&mut self, last: Constrained) -> Constrained {
        let chunk_step = last.chunk_step + 1;
        let next = Constrained { chunk_step, member_std: self.member_std(chunk_step), ..last };
        if self.policy.acting.constrain_at != ConstrainAt::Executed {
            return next;
        }
        let retrieval = self.retrieve(0);
        let source = self.policy.codebook.source(retrieval.memory);
        Constrained {
            retrieval,
            source,
            region: self.policy.acting.envelope.region(retrieval.distance),
            ..next
        }
    }

    /// The memory for the newest observation. Writes its action and, as far as whole chunks are constrained, its future ones.
    /// Leaves the `retrieved` nearest memories, or more of them, in [`near`](Self::near) if they are more than 0.
    fn retrieve(&mut self, retrieved: usize) -> Retrieval {
        let Policy { codebook, acting, .. } = &*self.policy;
        let averaged = if acting.neighbors > 1 { acting.neighbors } else { 0 };
        let wanted = averaged.max(retrieved);
        if wanted > 0 {
            match self.leave_out {
                Some(episode) => {
                    codebook.retrieve_many_from_other_episodes(&self.state, episode, wanted, &mut self.near);
                }
                None => codebook.retrieve_many_into(&self.state, wanted, &mut self.near),
            }
            if self.near.is_empty() {
                codebook.retrieve_many_into(&self.state, wanted, &mut self.near);
            }
        }
        if averaged > 0 {
            let near = &self.near[..averaged.min(self.near.len())];
            mean_of_neighbors(codebook, near, self.leave_out, &mut self.memory_action);
            return self.near[0];
        }
        let elsewhere =
            self.leave_out.and_then(|episode| codebook.retrieve_from_other_episode(&self.state, episode));
        let retrieval = elsewhere.unwrap_or_else(|| codebook.retrieve_from(&self.state, self.last_memory));
        self.last_memory = retrieval.memory;
        let known = if acting.constrain_at == ConstrainAt::Executed { 1 } else { codebook.horizon() };
        let actions = self.memory_action.chunks_exact_mut(codebook.n_act()).take(known);
        for (ahead, to) in actions.enumerate() {
            match self.leave_out {
                Some(episode) => codebook.action_without(retrieval.memory, ahead, episode, to),
                None => to.copy_from_slice(codebook.action_after(retrieval.memory, ahead)),
            }
        }
        retrieval
    }

    /// The disagreement of the members at a step of the chunk.
    fn member_std(&self, chunk_step: usize) -> Option<f32> {
        let n_act = self.policy.codebook.n_act();
        let variance = self.variance.get(chunk_step * n_act..)?.get(..n_act)?;
        Some((variance.iter().sum::<f32>() / n_act as f32).sqrt())
    }
}

/// Writes the mean action over the nearest memories, weighted by exp(-d) (VINN). `near`: at least one, the nearest first. `leave_out`:
/// an episode whose steps are left out of the memories' actions.
fn mean_of_neighbors(codebook: &Codebook, near: &[Retrieval], leave_out: Option<u32>, into: &mut [f32]) {
    let unit = Envelope { lambda: 1.0, ..Envelope::default() };
    // Distances are relative to the nearest memory's: the ratios of the weights stay, and no weight sum underflows to 0. The
    // difference of two infinite distances is 0.
    let excess = |d: f32| if d == near[0].distance { 0.0 } else { d - near[0].distance };
    let weight = |r: &Retrieval| unit.region(excess(r.distance)).weight;
    let total: f32 = near.iter().map(weight).sum();
    into.fill(0.0);
    let mut without = vec![0.0; if leave_out.is_some() { codebook.n_act() } else { 0 }];
    for r in near {
        let w = weight(r);
        let action = match leave_out {
            Some(episode) => {
                codebook.action_without(r.memory, 0, episode, &mut without);
                &without
            }
            None => codebook.action(r.memory),
        };
        into.iter_mut().zip(action).for_each(|(to, a)| *to += w / total * a);
    }
    into.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0)); // the mean can exceed 1 by rounding
}
