//! Closed-loop evaluation of any actor on any task, and the statistics of the results.

mod collect;
mod episode_run;
pub mod race;
mod rollout;
pub mod stats;

pub use collect::{Collected, Demonstrator, collect, demonstrate, record_each};
pub use rollout::{Episode, Run, Trace, acting_seed, rollout, rollout_numbers};

use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
    task::Spec,
};
use serde::Serialize;
use stats::{Estimate, Rough};

/// The summary of a rollout. Failed episodes count only in `failed`. Values that do not exist (an interval of one episode) are
/// NaN, in JSON null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The name of the actor.
    pub policy: String,
    /// The task's name.
    pub task: String,
    /// Episodes, failed ones included.
    pub episodes: usize,
    /// First and last seed.
    pub seeds: [u64; 2],
    /// Sum of an episode's rewards.
    #[serde(rename = "return")]
    pub ret: Spread,
    /// The same as 100 (R - random) / (expert - random), where the task has both.
    pub score: Option<Spread>,
    /// Success rate by the task's own criterion, where it has one.
    pub success: Option<Share>,
    /// Share of the episodes in which the goal is reached after the last step, where the task has a success criterion.
    /// (Gymnasium-Robotics calls this success; D4RL's criterion requires more steps, at any time.)
    pub goal_at_end: Option<Share>,
    /// Share of the episodes that completed each part, where the task has parts.
    pub parts: Option<Vec<Part>>,
    /// Mean memory weight over the visited states (each episode counts the same).
    pub weight: Option<f64>,
    /// Latency of an action that is predicted, in microseconds: all of them, unless the actor predicts several at once.
    pub latency_us: Latency,
    /// Latency of an action that was predicted together with an earlier one. `None` if there is none.
    pub queued_latency_us: Option<Latency>,
    /// The latency of a predicted action without the encoder, for an actor that embeds frames.
    pub latency_without_encoder_us: Option<Latency>,
    /// Episodes that an error ended.
    pub failed: usize,
}

/// Mean and interquartile mean over episodes, with intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Interquartile mean.
    pub iqm: f64,
    /// Lower end of the mean's 95 % interval.
    pub low: f64,
    /// Upper end of the mean's 95 % interval.
    pub high: f64,
    /// Lower end of the interquartile mean's 95 % interval.
    pub iqm_low: f64,
    /// Upper end of the interquartile mean's 95 % interval.
    pub iqm_high: f64,
    /// Why the mean's interval is rough, if it is.
    pub rough: Option<Rough>,
}

/// A proportion with its 95 % Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The proportion.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// One part of a task, and how often it was completed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// The part's name.
    pub name: String,
    /// Share of the episodes that completed it.
    #[serde(flatten)]
    pub share: Share,
}

/// Quantiles over all actions of all episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Reached by one action in a hundred.
    pub p99: f64,
}

impl Summary {
    /// Summarizes a rollout on a task. `policy` is the name of the actor; `seed` is that of the bootstrap.
    pub fn new(policy: impl Into<String>, spec: &Spec, episodes: &[Episode], seed: Seed) -> Self {
        let whole: Vec<&Episode> = episodes.iter().filter(|e| e.error.is_none()).collect();
        let returns: Vec<f64> = whole.iter().map(|e| e.ret).collect();
        let encoded = whole.iter().any(|e| !e.encoding.is_empty());
        let [predicted, queued] = [false, true].map(|queued| latencies(&whole, queued));
        let weights: Vec<f64> = whole.iter().filter_map(|e| e.weight).collect();
        // An episode that was stopped before its first step has no outcome, and counts as a failure.
        let has_rule = whole.iter().any(|e| e.success.is_some());
        let ruled = || whole.iter().filter(|_| has_rule);
        let ret = Spread::new(&returns, seed);
        let score =
            spec.reference.map(|[random, expert]| ret.map(|r| 100.0 * (r - random) / (expert - random)));
        let end = |e: Option<&Episode>| e.map_or(0, |e| e.seed);
        Self {
            policy: policy.into(),
            task: spec.name.clone(),
            episodes: episodes.len(),
            seeds: [end(episodes.first()), end(episodes.last())],
            ret,
            score,
            success: Share::new(ruled().map(|e| e.success == Some(true))),
            goal_at_end: Share::new(ruled().map(|e| e.goal_at_end)),
            parts: (!spec.parts.is_empty()).then(|| Part::all(spec, &whole)),
            weight: (!weights.is_empty()).then(|| stats::mean(&weights)),
            latency_us: Latency::of(&predicted, |[all, _]| all),
            queued_latency_us: (!queued.is_empty()).then(|| Latency::of(&queued, |[all, _]| all)),
            latency_without_encoder_us: encoded
                .then(|| Latency::of(&predicted, |[all, encoding]| all - encoding)),
            failed: episodes.len() - whole.len(),
        }
    }
}

impl Spread {
    /// The distribution of one value per episode; `seed` is that of the bootstrap.
    pub fn new(values: &[f64], seed: Seed) -> Self {
        let mean = stats::interval(values);
        let iqm = stats::iqm_of(&[values.to_vec()], stats::RESAMPLES, seed);
        Self {
            mean: mean.mean,
            iqm: iqm.mean,
            low: mean.low,
            high: mean.high,
            iqm_low: iqm.low,
            iqm_high: iqm.high,
            rough: mean.rough,
        }
    }

    /// The same in another unit; `to` must be linear and increasing.
    pub fn map(&self, to: impl Fn(f64) -> f64) -> Self {
        Self {
            mean: to(self.mean),
            iqm: to(self.iqm),
            low: to(self.low),
            high: to(self.high),
            iqm_low: to(self.iqm_low),
            iqm_high: to(self.iqm_high),
            rough: self.rough,
        }
    }
}

/// The latencies of the queued actions, or of those that were predicted, each with the part that embedding the frame took.
fn latencies(episodes: &[&Episode], queued: bool) -> Vec<[f64; 2]> {
    let of_episode = |e: &&Episode| -> Vec<[f64; 2]> {
        let is_queued = |k: usize| e.queued.get(k).copied().unwrap_or(false);
        let encoding = |k: usize| e.encoding.get(k).copied().unwrap_or(0.0);
        let both = |(k, &all): (usize, &f32)| [all, encoding(k)].map(f64::from);
        e.latencies.iter().enumerate().filter(|(k, _)| is_queued(*k) == queued).map(both).collect()
    };
    episodes.iter().flat_map(of_episode).collect()
}

impl Latency {
    fn of(all: &[[f64; 2]], part: impl Fn([f64; 2]) -> f64) -> Self {
        let micros: Vec<f64> = all.iter().map(|&both| part(both)).collect();
        Self { p50: stats::quantile(&micros, 0.5), p99: stats::quantile(&micros, 0.99) }
    }
}

impl Part {
    fn all(spec: &Spec, episodes: &[&Episode]) -> Vec<Self> {
        let part = |(k, name): (usize, &String)| {
            let completed = episodes.iter().map(|e| e.parts >> k & 1 == 1);
            let none = Share { share: f64::NAN, low: 0.0, high: 1.0 };
            Self { name: name.clone(), share: Share::new(completed).unwrap_or(none) }
        };
        spec.parts.iter().enumerate().map(part).collect()
    }
}

impl Share {
    /// The proportion of true outcomes; `None` if there are no outcomes.
    pub fn new(outcomes: impl Iterator<Item = bool>) -> Option<Self> {
        let (hits, n) = outcomes.fold((0, 0), |(hits, n), hit| (hits + usize::from(hit), n + 1));
        let [low, high] = stats::wilson(hits, n);
        (n > 0).then(|| Self { share: hits as f64 / n as f64, low, high })
    }
}

/// A paired comparison of two actors on the same episodes: the first minus the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first actor's name.
    pub a: String,
    /// The second actor's name.
    pub b: String,
    /// Difference of the returns.
    #[serde(rename = "return")]
    pub ret: Estimate,
    /// The same in score, where the task has references.
    pub score: Option<Estimate>,
    /// Difference of the successes (1 or 0), where the task has a rule: a difference of shares.
    pub success: Option<Estimate>,
    /// p-value of the returns' difference, by the sign-flip test on the pairs.
    pub p: f64,
    /// The same corrected for the number of comparisons made at once (Holm).
    pub p_holm: f64,
    /// Probability of improvement: that an episode of the first actor returns more than an episode of the second.
    pub improvement: Estimate,
}

/// Compares every actor with every later one, over the episodes that neither failed. `seed` is that of the bootstrap
/// and of the sign flips.
///
/// # Errors
/// If the actors did not run the same episodes.
pub fn compare(actors: &[(&str, &[Episode])], spec: &Spec, seed: Seed) -> Result<Vec<Comparison>> {
    let mut all = Vec::new();
    for (i, (a, ours)) in actors.iter().enumerate() {
        for (b, theirs) in &actors[i + 1..] {
            let seeds = |episodes: &[Episode]| episodes.iter().map(|e| e.seed).collect::<Vec<_>>();
            if seeds(ours) != seeds(theirs) {
                return Err(Error::new(Kind::Mismatch, "only the same episodes can be compared")
                    .expected(format!("the {} episodes of {a}", ours.len()))
                    .found(format!("{} episodes of {b}, or other seeds", theirs.len())));
            }
            let pairs = || ours.iter().zip(*theirs).filter(|(x, y)| x.error.is_none() && y.error.is_none());
            let (xs, ys): (Vec<f64>, Vec<f64>) = pairs().map(|(x, y)| (x.ret, y.ret)).unzip();
            let number = |success: bool| f64::from(u8::from(success));
            let (xs_won, ys_won): (Vec<f64>, Vec<f64>) =
                pairs().filter_map(|(x, y)| Some((number(x.success?), number(y.success?)))).unzip();
            let ret = stats::paired(&xs, &ys);
            let improvement = stats::improvement(std::slice::from_ref(&xs), std::slice::from_ref(&ys));
            all.push(Comparison {
                a: (*a).to_owned(),
                b: (*b).to_owned(),
                ret,
                score: spec.reference.map(|[random, expert]| {
                    let scale = 100.0 / (expert - random);
                    Estimate { mean: ret.mean * scale, low: ret.low * scale, high: ret.high * scale, ..ret }
                }),
                success: (!xs_won.is_empty()).then(|| stats::paired(&xs_won, &ys_won)),
                p: stats::sign_flip(&xs, &ys, seed),
                p_holm: f64::NAN,
                improvement,
            });
        }
    }
    let corrected = stats::holm(&all.iter().map(|c| c.p).collect::<Vec<_>>());
    for (comparison, p) in all.iter_mut().zip(corrected) {
        comparison.p_holm = p;
    }
    Ok(all)
}
