//! Choosing the best of several candidates in a fixed number of episodes: successive halving on paired episodes (Karnin et al.,
//! Almost optimal exploration in multi-armed bandits, ICML 2013; Jamieson and Talwalkar, AISTATS 2016), and a check of the winner
//! on fresh episodes. What a candidate is and how episodes are run is the caller's.
//!
//! Candidate 0 is the one to beat, for example the present settings of a policy; the others challenge it. In every round
//! candidate 0 and the remaining challengers have outcomes of the same episodes, the better half of the challengers stays, and
//! the episodes per candidate double, until one challenger is left. Candidate 0 always stays, so that every difference to it is
//! of all episodes.
//!
//! The mean of a winner is optimistic, because chance was part of what made it the best. So half the budget, or what the race
//! leaves of it, is for episodes that no candidate has run: they compare the last challenger with candidate 0 without that bias.
//!
//! The next episodes are a function of the number of candidates, the budget and the outcomes so far. A race that was
//! interrupted therefore goes on where it stopped, in any order of its outcomes.

use std::{collections::BTreeMap, ops::Range};

use super::stats;
use crate::error::{Error, Kind, Result};

/// Episodes of every candidate in the first round, at least.
pub const FIRST_EPISODES: usize = 2;

/// Fresh episodes of each of the two candidates below which there is no check: with fewer, an interval says little.
pub const CHECK_EPISODES: usize = 5;

/// One episode to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Request {
    /// The episode's number, from 0. Equal numbers should be equal conditions: the same seed, the same start.
    pub episode: usize,
    /// The candidate's number, from 0.
    pub candidate: usize,
}

/// A race: candidates, a budget, and outcomes.
#[derive(Debug, Clone)]
pub struct Race {
    budget: usize,
    outcomes: Vec<BTreeMap<usize, Option<f64>>>, // [candidates], by episode
}

/// A round that is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Episodes of each candidate so far.
    pub episodes: usize,
    /// The candidates with their means, the best first. Where means are equal, the lower number is better. The mean of a
    /// candidate all of whose episodes failed is NaN, which is the worst.
    pub ranking: Vec<(usize, f64)>,
    /// The candidates that stay, in ascending order; candidate 0 among them.
    pub survivors: Vec<usize>,
}

/// What a race needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Outcomes of the round with this number, from 0.
    Round(usize),
    /// Outcomes of fresh episodes.
    Check,
    /// Nothing.
    Over,
}

/// How a race stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The complete rounds.
    pub rounds: Vec<Round>,
    /// The winner of the rounds, when they are complete. Candidate 0 if no challenger had a larger mean.
    pub winner: Option<usize>,
    /// The best of the other challengers, when the rounds are complete; `None` if there was one challenger only.
    pub runner_up: Option<usize>,
    /// The fresh episodes on which the winner is compared with candidate 0. `None` before the rounds are complete, if
    /// candidate 0 won, and if the budget leaves fewer than [`CHECK_EPISODES`] for each.
    pub check: Option<Range<usize>>,
    /// What is needed next.
    pub stage: Stage,
    /// The episodes to run next, by episode and candidate; none when the race is over.
    pub next: Vec<Request>,
}

/// A round as planned: how many challengers there are, and episodes of each by its end.
#[derive(Debug, Clone, Copy)]
struct Planned {
    challengers: usize,
    episodes: usize,
}

impl Race {
    /// A race of `candidates` candidates in at most `budget` episodes.
    ///
    /// # Errors
    /// If there are fewer than two candidates, or the budget is below [`FIRST_EPISODES`] of each.
    pub fn new(candidates: usize, budget: usize) -> Result<Self> {
        if candidates < 2 {
            return Err(Error::new(Kind::Settings, "there is nothing to choose from")
                .expected("two candidates or more")
                .found(candidates.to_string()));
        }
        let least = candidates * FIRST_EPISODES;
        if budget < least {
            return Err(Error::new(Kind::Settings, "the budget is too small")
                .at("--budget")
                .expected(format!(
                    "{least} or more, {FIRST_EPISODES} episodes of each of {candidates} candidates"
                ))
                .found(budget.to_string())
                .next("raise the budget, or give fewer candidates"));
        }
        Ok(Self { budget, outcomes: vec![BTreeMap::new(); candidates] })
    }

    /// Adds an outcome, of which more is better; `None` for an episode that failed, which does not count in means. Outcomes
    /// that the race did not ask for are kept until it does.
    ///
    /// # Errors
    /// If there is no such candidate, it has an outcome of this episode already, or the outcome is not finite.
    pub fn record(&mut self, of: Request, outcome: Option<f64>) -> Result<()> {
        let Request { candidate, episode } = of;
        let last = self.outcomes.len() - 1;
        let place = || format!("candidate {candidate}, episode {episode}");
        let outcomes = self.outcomes.get_mut(candidate).ok_or_else(|| {
            Error::new(Kind::Data, "there is no such candidate")
                .expected(format!("0 to {last}"))
                .found(candidate.to_string())
        })?;
        if let Some(value) = outcome.filter(|value| !value.is_finite()) {
            return Err(Error::new(Kind::Data, "an outcome is not a finite number")
                .at(place())
                .found(value.to_string()));
        }
        if outcomes.contains_key(&episode) {
            return Err(Error::new(Kind::Data, "an episode has two outcomes").at(place()));
        }
        outcomes.insert(episode, outcome);
        Ok(())
    }

    /// Outcomes so far, failed episodes included.
    pub fn used(&self) -> usize {
        self.outcomes.iter().map(BTreeMap::len).sum()
    }

    /// How the race stands, and the episodes to run next.
    pub fn standing(&self) -> Standing {
        let mut standing = Standing {
            rounds: Vec::new(),
            winner: None,
            runner_up: None,
            check: None,
            stage: Stage::Over,
            next: Vec::new(),
        };
        let mut challengers: Vec<usize> = (1..self.outcomes.len()).collect();
        let plan = self.plan();
        for (i, planned) in plan.iter().enumerate() {
            let next = self.missing(&challengers, 0..planned.episodes);
            if !next.is_empty() {
                return Standing { stage: Stage::Round(i), next, ..standing };
            }
            let ranking = self.ranking(&challengers, planned.episodes);
            let ranked: Vec<usize> = ranking.iter().map(|(c, _)| *c).filter(|c| *c != 0).collect();
            standing.runner_up = ranked.get(1).copied();
            // After the last round one challenger stays, also where the budget has cut the race short.
            let stay = if i + 1 == plan.len() { 1 } else { half(challengers.len()) };
            challengers = ranked[..stay].to_vec();
            let mut survivors = [&[0], challengers.as_slice()].concat();
            survivors.sort_unstable();
            standing.winner = ranking.iter().map(|(c, _)| *c).find(|c| survivors.contains(c));
            standing.rounds.push(Round { episodes: planned.episodes, ranking, survivors });
        }
        let winner = *standing.winner.get_or_insert(challengers[0]); // of one challenger there is no round
        standing.check = self.check(&plan).filter(|_| winner != 0);
        if let Some(episodes) = &standing.check {
            standing.next = self.missing(&[winner], episodes.clone());
        }
        if !standing.next.is_empty() {
            standing.stage = Stage::Check;
        }
        standing
    }

    /// A budget with which `fresh` episodes of each of the two candidates remain for the check.
    pub fn budget_for(&self, fresh: usize) -> usize {
        match self.cost(FIRST_EPISODES) {
            0 => fresh.saturating_mul(2),
            rounds => fresh.saturating_mul(4).max(fresh.saturating_mul(2).saturating_add(rounds)),
        }
    }

    /// Numbers of challengers, round by round.
    fn challengers(&self) -> Vec<usize> {
        let first = self.outcomes.len() - 1;
        std::iter::successors(Some(first), |n| Some(half(*n))).take_while(|n| *n > 1).collect()
    }

    /// Episodes that the rounds take if the first has `first` of each candidate.
    fn cost(&self, first: usize) -> usize {
        let new = |(i, n): (usize, usize)| (n + 1).saturating_mul(first << i.saturating_sub(1));
        self.challengers().into_iter().enumerate().map(new).fold(0, usize::saturating_add)
    }

    /// The rounds: as many episodes as half the budget has; at least [`FIRST_EPISODES`] in the first, even if that takes more
    /// than half. A round that the budget does not have is shorter or left out.
    fn plan(&self) -> Vec<Planned> {
        let unit = self.cost(1).max(1);
        let first = (self.budget / 2 / unit).max(FIRST_EPISODES);
        let (mut left, mut episodes, mut plan) = (self.budget, 0, Vec::new());
        for (i, challengers) in self.challengers().into_iter().enumerate() {
            let new = (first << i.saturating_sub(1)).min(left / (challengers + 1));
            if new == 0 {
                break;
            }
            left -= new * (challengers + 1);
            episodes += new;
            plan.push(Planned { challengers, episodes });
        }
        // One challenger needs no round, because the check compares it; without a check it does.
        if plan.is_empty() && self.budget / 2 < CHECK_EPISODES {
            plan.push(Planned { challengers: 1, episodes: self.budget / 2 });
        }
        plan
    }

    /// The fresh episodes, after those of the rounds.
    fn check(&self, plan: &[Planned]) -> Option<Range<usize>> {
        let mut before = 0;
        let mut taken = 0;
        for planned in plan {
            taken += (planned.episodes - before) * (planned.challengers + 1);
            before = planned.episodes;
        }
        let each = (self.budget - taken) / 2;
        (each >= CHECK_EPISODES).then(|| before..before + each)
    }

    /// The episodes of candidate 0 and of challengers that have no outcome.
    fn missing(&self, challengers: &[usize], episodes: Range<usize>) -> Vec<Request> {
        let mut candidates = [&[0], challengers].concat();
        candidates.sort_unstable();
        let of = |episode| candidates.iter().map(move |&candidate| Request { episode, candidate });
        episodes.flat_map(of).filter(|r| !self.outcomes[r.candidate].contains_key(&r.episode)).collect()
    }

    /// Candidate 0 and the challengers with their means over the first episodes, the best first.
    fn ranking(&self, challengers: &[usize], episodes: usize) -> Vec<(usize, f64)> {
        let mean = |candidate: usize| {
            let of = self.outcomes[candidate].range(..episodes).filter_map(|(_, outcome)| *outcome);
            (candidate, stats::mean(&of.collect::<Vec<_>>()))
        };
        let mut ranking: Vec<_> = [&[0], challengers].concat().into_iter().map(mean).collect();
        let value = |mean: f64| if mean.is_nan() { f64::NEG_INFINITY } else { mean };
        ranking.sort_by(|(a, x), (b, y)| value(*y).total_cmp(&value(*x)).then(a.cmp(b)));
        ranking
    }
}

/// How many of `n` challengers stay.
fn half(n: usize) -> usize {
    n.div_ceil(2)
}

#[cfg(test)]
#[path = "race_tests.rs"]
mod tests;
