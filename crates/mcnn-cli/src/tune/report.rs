//! What `mcnn tune` reports, and the rule by which settings are chosen.

use mcnn::{
    Result,
    eval::{
        Comparison,
        race::{CHECK_EPISODES, Request, Stage, Standing},
        stats::Estimate,
    },
    task::Spec,
};
use serde::Serialize;

use super::{
    candidates::{Candidate, Settings},
    field::Field,
};

/// The results of `mcnn tune`.
#[derive(Serialize)]
pub struct TuneReport {
    /// Fingerprint of the policy's file.
    pub policy: String,
    pub task: Option<String>,
    /// The file of outcomes.
    pub results: Option<String>,
    pub budget: usize,
    /// Episodes with an outcome.
    pub used: usize,
    /// Those that the file of outcomes had before.
    pub already_done: usize,
    pub candidates: Vec<Listed>,
    /// The complete rounds.
    pub rounds: Vec<RoundReport>,
    /// The winner of the rounds.
    pub winner: Option<usize>,
    /// The winner minus the file's settings, on the episodes of the rounds: optimistic, because they selected the winner.
    pub against_file: Option<Comparison>,
    /// The winner minus the best of the others.
    pub against_runner_up: Option<Comparison>,
    pub check: Option<Check>,
    pub decision: Option<Decision>,
    /// The candidate whose settings are written.
    pub chosen: Option<usize>,
    /// Fresh episodes of each of the two at which the interval would exclude 0, were the difference as found.
    pub episodes_needed: Option<usize>,
    /// The budget that has as many.
    pub budget_needed: Option<usize>,
    /// Episodes to run next.
    pub next: Vec<Request>,
    /// Failed episodes.
    pub failed: usize,
    pub first_failure: Option<String>,
    /// The policy files of the candidates.
    pub written: Vec<String>,
    pub file: Option<String>,
    /// Fingerprint of that file.
    pub fingerprint: Option<String>,
    pub interrupted: bool,
    pub seconds: f64,
}

/// A candidate.
#[derive(Serialize)]
pub struct Listed {
    /// Its number; 0 for the file's settings.
    pub candidate: usize,
    #[serde(flatten)]
    pub settings: Settings,
    /// Memory weight at the median distance of the calibration.
    pub weight: Option<f32>,
}

/// A round that is complete.
#[derive(Serialize)]
pub struct RoundReport {
    /// Episodes of each candidate by its end.
    pub episodes: usize,
    /// The candidates, the best first.
    pub ranking: Vec<Ranked>,
}

/// A candidate in a round.
#[derive(Serialize)]
pub struct Ranked {
    pub candidate: usize,
    #[serde(rename = "return")]
    pub ret: Estimate,
    /// The same in score, where the task has references.
    pub score: Option<Estimate>,
    /// Whether it stays in the race.
    pub survives: bool,
}

/// The winner and the file's settings on episodes that did not select the winner.
#[derive(Serialize)]
pub struct Check {
    /// Episodes of each.
    pub episodes: usize,
    /// The first one's number.
    pub first: usize,
    /// The mean return of the winner.
    pub winner: Estimate,
    /// The mean return of the file's settings.
    pub file: Estimate,
    /// The winner minus the file's settings.
    pub difference: Comparison,
}

/// What a race has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The winner is better on fresh episodes: the 95 % interval of the paired difference is above 0.
    Better,
    /// The file's settings had the largest mean.
    Own,
    /// The interval on fresh episodes is not above 0.
    Uncertain,
    /// The budget left no fresh episodes.
    Unchecked,
}

impl TuneReport {
    /// A report before any episode.
    pub fn new(policy: &str, budget: usize, all: &[Candidate]) -> Self {
        let listed = |(candidate, c): (usize, &Candidate)| Listed {
            candidate,
            settings: c.settings,
            weight: c.weight,
        };
        Self {
            policy: policy.into(),
            task: None,
            results: None,
            budget,
            used: 0,
            already_done: 0,
            candidates: all.iter().enumerate().map(listed).collect(),
            rounds: Vec::new(),
            winner: None,
            against_file: None,
            against_runner_up: None,
            check: None,
            decision: None,
            chosen: None,
            episodes_needed: None,
            budget_needed: None,
            next: Vec::new(),
            failed: 0,
            first_failure: None,
            written: Vec::new(),
            file: None,
            fingerprint: None,
            interrupted: false,
            seconds: 0.0,
        }
    }

    /// Fills in what the outcomes so far show, and which settings are chosen if the race is over.
    pub fn fill(&mut self, field: &Field, spec: &Spec, accept_uncertain: bool) -> Result<()> {
        let standing = field.standing();
        self.used = field.race.used();
        (self.failed, self.first_failure) = field.failures();
        self.rounds = rounds(field, &standing, spec);
        self.winner = standing.winner;
        self.next.clone_from(&standing.next);
        let Some(winner) = standing.winner else { return Ok(()) };
        if let Some(last) = standing.rounds.last() {
            let versus = |other: usize| {
                // The runner-up may have left before the last round.
                let common =
                    standing.rounds.iter().rev().find(|r| r.ranking.iter().any(|(c, _)| *c == other));
                common.map(|round| field.compare([winner, other], 0..round.episodes, spec)).transpose()
            };
            debug_assert!(last.ranking.iter().any(|(c, _)| *c == winner));
            self.against_file = if winner == 0 { None } else { versus(0)? };
            let second = if winner == 0 { best_challenger(&standing) } else { standing.runner_up };
            self.against_runner_up = second.map(versus).transpose()?.flatten();
        }
        if standing.stage != Stage::Over {
            return Ok(());
        }
        if let Some(episodes) = standing.check.clone() {
            self.check = Some(Check {
                episodes: episodes.len(),
                first: episodes.start,
                winner: field.mean(winner, episodes.clone()).0,
                file: field.mean(0, episodes.clone()).0,
                difference: field.compare([winner, 0], episodes, spec)?,
            });
        }
        self.decide(winner, accept_uncertain);
        self.budget_needed = self.episodes_needed.map(|n| field.race.budget_for(n));
        Ok(())
    }

    /// The rule: the winner's settings, if on fresh episodes the interval of the difference to the file's settings is above 0;
    /// else those of the file. With `accept_uncertain` also a winner that is not known to be better, but one whose mean is no
    /// larger on fresh episodes.
    fn decide(&mut self, winner: usize, accept_uncertain: bool) {
        let (decision, acceptable) = match &self.check {
            _ if winner == 0 => (Decision::Own, false),
            None => (Decision::Unchecked, true),
            Some(check) if check.difference.ret.low > 0.0 => (Decision::Better, true),
            Some(check) => (Decision::Uncertain, check.difference.ret.mean > 0.0),
        };
        self.decision = Some(decision);
        let takes = acceptable && (decision == Decision::Better || accept_uncertain);
        self.chosen = Some(if takes { winner } else { 0 });
        self.episodes_needed = match (decision, &self.check) {
            (Decision::Unchecked, _) => Some(CHECK_EPISODES),
            (Decision::Uncertain, Some(check)) => needed(&check.difference.ret),
            _ => None,
        };
    }
}

/// Values after which an interval, whose width falls with the square root of their number, no longer includes 0.
fn needed(difference: &Estimate) -> Option<usize> {
    let Estimate { mean, low, n, .. } = *difference;
    let ratio = (mean - low) / mean;
    (mean > 0.0 && ratio.is_finite()).then(|| (n as f64 * ratio * ratio).floor() as usize + 1)
}

/// The best of the challengers in the last round.
fn best_challenger(standing: &Standing) -> Option<usize> {
    standing.rounds.last()?.ranking.iter().map(|(c, _)| *c).find(|c| *c != 0)
}

fn rounds(field: &Field, standing: &Standing, spec: &Spec) -> Vec<RoundReport> {
    let score = |e: Estimate| {
        let [random, expert] = spec.reference?;
        let to = |x: f64| 100.0 * (x - random) / (expert - random);
        Some(Estimate { mean: to(e.mean), low: to(e.low), high: to(e.high), ..e })
    };
    let of = |round: &mcnn::eval::race::Round| RoundReport {
        episodes: round.episodes,
        ranking: round
            .ranking
            .iter()
            .map(|&(candidate, _)| {
                let ret = field.mean(candidate, 0..round.episodes).0;
                Ranked { candidate, ret, score: score(ret), survives: round.survivors.contains(&candidate) }
            })
            .collect(),
    };
    standing.rounds.iter().map(of).collect()
}
