//! A race with its episodes, from which statistics are computed.

use std::{collections::BTreeMap, ops::Range};

use mcnn::{
    Result,
    eval::{
        Comparison, Episode, compare,
        race::{Race, Request, Standing},
        stats::{self, Estimate},
    },
    seed::Seed,
    task::Spec,
};

/// The candidates' episodes, and the race that they are of.
pub struct Field {
    pub race: Race,
    episodes: Vec<BTreeMap<usize, Episode>>, // [candidates], by number
}

impl Field {
    pub fn new(candidates: usize, budget: usize) -> Result<Self> {
        Ok(Self { race: Race::new(candidates, budget)?, episodes: vec![BTreeMap::new(); candidates] })
    }

    /// Adds an episode.
    ///
    /// # Errors
    /// If there is no such candidate, or it has this episode already.
    pub fn add(&mut self, candidate: usize, number: usize, episode: Episode) -> Result<()> {
        let outcome = episode.error.is_none().then_some(episode.ret);
        self.race.record(Request { candidate, episode: number }, outcome)?;
        self.episodes[candidate].insert(number, episode);
        Ok(())
    }

    pub fn standing(&self) -> Standing {
        self.race.standing()
    }

    /// The mean return over some episodes, and how many of them failed.
    pub fn mean(&self, candidate: usize, episodes: Range<usize>) -> (Estimate, usize) {
        let of = || self.episodes[candidate].range(episodes.clone()).map(|(_, episode)| episode);
        let returns: Vec<f64> = of().filter(|e| e.error.is_none()).map(|e| e.ret).collect();
        let failed = of().count() - returns.len();
        let none = Estimate { mean: f64::NAN, low: f64::NAN, high: f64::NAN, n: 0, rough: None };
        (if returns.is_empty() { none } else { stats::interval(&returns) }, failed)
    }

    /// The paired comparison of two candidates on some episodes, which both must have.
    ///
    /// # Errors
    /// If one does not have them all.
    pub fn compare(&self, pair: [usize; 2], episodes: Range<usize>, spec: &Spec) -> Result<Comparison> {
        let of = |candidate: usize| {
            let range = self.episodes[candidate].range(episodes.clone());
            (format!("candidate {candidate}"), range.map(|(_, episode)| episode.clone()).collect::<Vec<_>>())
        };
        let [a, b] = pair.map(of);
        let mut all = compare(&[(&a.0, &a.1), (&b.0, &b.1)], spec, Seed(0).fork("tune"))?;
        Ok(all.remove(0))
    }

    /// How many episodes failed, and the first.
    pub fn failures(&self) -> (usize, Option<String>) {
        let failed = || {
            let of = |(candidate, episodes): (usize, &BTreeMap<usize, Episode>)| {
                let told = |e: &Episode| {
                    Some(format!("candidate {candidate}, seed {}: {}", e.seed, e.error.as_ref()?))
                };
                episodes.values().filter_map(told).collect::<Vec<_>>()
            };
            self.episodes.iter().enumerate().flat_map(of)
        };
        (failed().count(), failed().next())
    }
}
