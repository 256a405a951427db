//! The race on synthetic outcomes.

use super::*;
use crate::seed::Seed;
use std::collections::BTreeSet;

/// Outcomes with the mean of each candidate, noise that the candidates of an episode share, and noise of their own.
fn outcome(seed: u64, means: &[f64], own: f64, of: Request) -> f64 {
    let seed = Seed(seed).nth(of.episode as u64);
    let shared = 10.0 * seed.rng().normal();
    means[of.candidate] + shared + own * seed.fork("own").nth(of.candidate as u64).rng().normal()
}

/// Runs a race to its end; returns it with every episode that it asked for.
fn run(mut race: Race, outcome: impl Fn(Request) -> Option<f64>) -> (Race, Vec<Request>) {
    let mut asked = Vec::new();
    loop {
        let standing = race.standing();
        assert_eq!(standing.next.is_empty(), standing.stage == Stage::Over);
        if standing.next.is_empty() {
            return (race, asked);
        }
        for request in standing.next {
            race.record(request, outcome(request)).unwrap();
            asked.push(request);
        }
    }
}

fn means(best: usize) -> Vec<f64> {
    (0..12).map(|c| if c == best { 3.0 } else { 0.0 }).collect()
}

#[test]
fn a_clearly_best_candidate_wins_although_the_episodes_differ_by_more() {
    for best in 0..12 {
        let (race, _) =
            run(Race::new(12, 600).unwrap(), |r| Some(outcome(best as u64, &means(best), 0.5, r)));
        let standing = race.standing();
        assert_eq!(standing.winner, Some(best));
        // Where the settings of the file win, nothing is left to check.
        assert_eq!(standing.check.is_some(), best != 0);
        if let Some(fresh) = standing.check {
            let last = standing.rounds.last().unwrap();
            assert!(fresh.start >= last.episodes && fresh.len() >= 100, "{fresh:?}");
            for c in [0, best] {
                assert!(fresh.clone().all(|episode| race.outcomes[c].contains_key(&episode)));
            }
        }
    }
}

#[test]
fn the_budget_is_never_exceeded_and_mostly_used() {
    for candidates in [2, 3, 4, 7, 12, 20] {
        for budget in (candidates * FIRST_EPISODES..=candidates * 40).step_by(3) {
            let best = means(candidates - 1);
            let (race, asked) = run(Race::new(candidates, budget).unwrap(), |r| {
                Some(best.get(r.candidate).copied().unwrap_or(9.0))
            });
            assert_eq!(race.used(), asked.len());
            assert!(asked.len() <= budget, "{candidates} candidates: {} of {budget}", asked.len());
            if race.standing().check.is_some() {
                assert!(asked.len() + 1 >= budget, "{candidates} candidates: {} of {budget}", asked.len());
                assert!(2 * race.standing().rounds.last().map_or(0, |r| r.episodes) <= budget);
            }
        }
    }
}

#[test]
fn all_candidates_of_a_round_have_the_same_episodes_and_half_of_them_stay() {
    let (race, asked) = run(Race::new(12, 600).unwrap(), |r| Some(outcome(5, &means(4), 2.0, r)));
    let standing = race.standing();
    let sizes: Vec<_> = standing.rounds.iter().map(|r| (r.ranking.len(), r.survivors.len())).collect();
    // Candidate 0 and 11, 6, 3, 2 challengers; 1 at the end.
    assert_eq!(sizes, [(12, 7), (7, 4), (4, 3), (3, 2)]);
    let episodes: Vec<usize> = standing.rounds.iter().map(|r| r.episodes).collect();
    assert_eq!(episodes, [7, 14, 28, 56]); // (12 + 7 + 2 * 4 + 4 * 3) * 7 = 273 of half of 600
    assert_eq!(standing.check, Some(56..56 + 163));
    for round in &standing.rounds {
        assert!(round.survivors.contains(&0));
        let worst_kept = round.survivors.iter().filter(|c| **c != 0).map(|c| place(round, *c)).max().unwrap();
        let out = round.ranking.iter().filter(|(c, _)| !round.survivors.contains(c));
        assert!(out.map(|(c, _)| place(round, *c)).all(|place| place > worst_kept));
        for (candidate, mean) in &round.ranking {
            let of = asked.iter().filter(|r| r.candidate == *candidate && r.episode < round.episodes);
            let values: Vec<f64> = of.map(|r| outcome(5, &means(4), 2.0, *r)).collect();
            assert_eq!(values.len(), round.episodes);
            assert!((mean - values.iter().sum::<f64>() / values.len() as f64).abs() < 1e-9);
        }
    }
    let winner = standing.winner.unwrap();
    let last = standing.rounds.last().unwrap();
    assert_eq!(last.ranking.iter().map(|(c, _)| *c).find(|c| ![0, winner].contains(c)), standing.runner_up);
}

fn place(round: &Round, candidate: usize) -> usize {
    round.ranking.iter().position(|(c, _)| *c == candidate).unwrap()
}

#[test]
fn an_interrupted_race_goes_on_and_asks_for_nothing_twice() {
    let outcome = |r: Request| Some(outcome(9, &means(7), 1.0, r));
    let (whole, asked) = run(Race::new(12, 300).unwrap(), outcome);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
    for stop in [0, 1, 13, 40, 150, asked.len() - 1, asked.len()] {
        // The outcomes come back in another order, as those of several threads do.
        let mut race = Race::new(12, 300).unwrap();
        for request in asked[..stop].iter().rev() {
            race.record(*request, outcome(*request)).unwrap();
        }
        let (race, rest) = run(race, outcome);
        assert_eq!(race.standing(), whole.standing());
        assert_eq!(rest, asked[stop..]);
    }
    // A larger budget begins with what is there, and repeats nothing either.
    let mut larger = Race::new(12, 900).unwrap();
    for request in &asked {
        larger.record(*request, outcome(*request)).unwrap();
    }
    let (larger, more) = run(larger, outcome);
    assert_eq!(larger.standing(), run(Race::new(12, 900).unwrap(), outcome).0.standing());
    assert!(more.iter().all(|request| !asked.contains(request)));
}

#[test]
fn failed_episodes_count_in_no_mean_and_a_candidate_that_always_fails_is_the_worst() {
    let value = |r: Request| match (r.candidate, r.episode) {
        (3, _) => None,
        (2, 0) => None,
        (c, _) => Some([0.0, -50.0, 1.0, 0.0][c]),
    };
    let (race, _) = run(Race::new(4, 80).unwrap(), value);
    let standing = race.standing();
    assert_eq!(standing.winner, Some(2));
    let first: Vec<usize> = standing.rounds[0].ranking.iter().map(|(c, _)| *c).collect();
    assert_eq!(first, [2, 0, 1, 3]);
    assert!(standing.rounds[0].ranking[3].1.is_nan());
    assert_eq!(standing.rounds[0].ranking[0].1, 1.0);
}

#[test]
fn two_candidates_are_compared_at_once_and_small_budgets_have_no_check() {
    let standing = Race::new(2, 20).unwrap().standing();
    assert_eq!((standing.stage, standing.next.len(), standing.check), (Stage::Check, 20, Some(0..10)));
    let (race, asked) = run(Race::new(12, 24).unwrap(), |r| Some(r.candidate as f64));
    assert_eq!((asked.len(), race.standing().winner, race.standing().check), (24, Some(11), None));
    // Without a check, one challenger is compared in a round: no winner is named without an episode.
    let standing = Race::new(2, 4).unwrap().standing();
    assert_eq!((standing.stage, standing.next.len(), standing.winner), (Stage::Round(0), 4, None));
    for better in [0, 1] {
        let (race, _) = run(Race::new(2, 9).unwrap(), |r| Some(f64::from(u8::from(r.candidate == better))));
        assert_eq!((race.used(), race.standing().winner, race.standing().check), (8, Some(better), None));
    }
    // With the budget it names, that many fresh episodes remain.
    for (candidates, fresh) in [(2, 5), (3, 40), (12, 5), (12, 500)] {
        let race = Race::new(candidates, 1000).unwrap();
        let race = Race::new(candidates, race.budget_for(fresh)).unwrap();
        let (race, _) = run(race, |r| Some(r.candidate as f64));
        assert!(race.standing().check.unwrap().len() >= fresh, "{candidates} candidates, {fresh} episodes");
    }
}

#[test]
fn misuse_is_refused() {
    assert!(Race::new(1, 100).is_err());
    let message = Race::new(12, 23).unwrap_err().to_string();
    assert!(message.contains("24 or more") && message.contains("found: 23"), "{message}");
    let mut race = Race::new(2, 9).unwrap();
    let at = |candidate, episode| Request { episode, candidate };
    assert!(race.record(at(2, 0), Some(1.0)).unwrap_err().to_string().contains("0 to 1"));
    assert!(race.record(at(1, 0), Some(f64::NAN)).is_err());
    race.record(at(1, 0), Some(1.0)).unwrap();
    assert!(race.record(at(1, 0), None).is_err());
}
