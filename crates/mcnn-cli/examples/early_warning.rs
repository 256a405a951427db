//! Early warning of failures by two signals: the distance to the nearest memory, and the variance of the actions of an ensemble: of
//! other policies or, if none are named, of the members of the policy that acts. `bench/early_warning.sh` trains the policies;
//! docs/book/src/studies/calibration.md has the method and the results.
//!
//!     early_warning TASK EPISODES POLICY [ENSEMBLE...]

use mcnn::{
    Result,
    act::Act,
    eval::{Run, collect},
    file,
    policy::Policy,
    seed::{Rng, Seed},
    task::Task,
};

/// One episode: whether it failed, whether it ended before the horizon, and both signals at every step.
struct Signals {
    failed: bool,
    terminal: bool,
    values: [Vec<f32>; 2], // distance, variance
}

/// Bootstrap samples.
const RESAMPLES: usize = 2000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [task, episodes, acting, ensemble @ ..] = &args[..] else {
        panic!("early_warning TASK EPISODES POLICY [ENSEMBLE...]");
    };
    let read = |path: &String| Ok::<Policy, mcnn::Error>(file::read_policy(path.as_ref())?.0);
    let (policy, ensemble) = (read(acting)?, ensemble.iter().map(read).collect::<Result<Vec<_>>>()?);
    let task = named(task)?;
    let run = Run {
        episodes: episodes.parse().expect("a number of episodes"),
        first_seed: 1000,
        threads: 2,
        environments_per_worker: 1,
        trace: true,
    };
    let episodes = measure(&policy, &ensemble, task.as_ref(), &run)?;
    report(&policy.name(), task.spec().horizon, &episodes);
    Ok(())
}

/// The task of a name.
fn named(name: &str) -> Result<Box<dyn Task>> {
    #[cfg(feature = "adroit")]
    if let Some(hand) = mcnn::task::adroit::Adroit::ALL.into_iter().find(|t| t.name() == name) {
        return Ok(Box::new(adroit::Hand::new(hand, mcnn::task::adroit::Rewards::D4rl)?));
    }
    mcnn::task::named(name, &mcnn::task::adroit::Rewards::D4rl.into(), &|line| eprintln!("{line}"))
}

/// Runs the policy and measures both signals in every visited state.
fn measure(policy: &Policy, ensemble: &[Policy], task: &dyn Task, run: &Run) -> Result<Vec<Signals>> {
    let visited = collect(policy, task, run, &|_| true)?;
    assert!(visited.failed.is_empty(), "{:?}", visited.failed[0].error);
    let n_obs = task.spec().n_obs;
    let mut sessions: Vec<_> = ensemble.iter().map(|member| member.start(Seed(0))).collect();
    let mut actions = vec![vec![0.0; task.spec().n_act]; ensemble.len().max(1)];
    let (mut first, mut all) = (0, Vec::new());
    for (episode, &end) in visited.episodes.iter().zip(&visited.ends) {
        let decisions = &episode.trace.as_ref().expect("the run records traces").decisions;
        let distances = decisions.iter().map(|d| d.distance.expect("a policy with memories")).collect();
        let mut variances = Vec::new();
        let mut own = policy.session();
        for state in visited.states[first * n_obs..end * n_obs].chunks_exact(n_obs) {
            for (session, action) in sessions.iter_mut().zip(&mut actions) {
                session.act(state, action)?;
            }
            variances.push(match ensemble {
                [] => {
                    own.act(state, &mut actions[0])?.member_std.expect("a policy of several members").powi(2)
                }
                _ => variance(&actions),
            });
        }
        let failed = episode.success != Some(true);
        all.push(Signals { failed, terminal: episode.terminal, values: [distances, variances] });
        first = end;
    }
    Ok(all)
}

/// The variance over the ensemble, as the mean over the action dimensions.
fn variance(actions: &[Vec<f32>]) -> f32 {
    let (n, width) = (actions.len() as f32, actions[0].len());
    let of = |k: usize| {
        let mean = actions.iter().map(|a| a[k]).sum::<f32>() / n;
        actions.iter().map(|a| (a[k] - mean).powi(2)).sum::<f32>() / n
    };
    (0..width).map(of).sum::<f32>() / width as f32
}

/// Prints the tables of a policy.
fn report(name: &str, horizon: usize, episodes: &[Signals]) {
    let failed: Vec<&Signals> = episodes.iter().filter(|s| s.failed).collect();
    let succeeded: Vec<&Signals> = episodes.iter().filter(|s| !s.failed).collect();
    println!("\n{name}: {} episodes, {} failed", episodes.len(), failed.len());
    let ended: Vec<&Signals> = failed.iter().copied().filter(|s| s.terminal).collect();
    println!(
        "| | failed | successful | AUC of distance | AUC of variance | difference |\n|---|---|---|---|---|---|"
    );
    for lead in [1, 5, 10, 20, 40, 80] {
        let long_enough: Vec<&Signals> =
            ended.iter().copied().filter(|s| s.values[0].len() >= lead).collect();
        row(&format!("{lead} steps before the end"), &long_enough, &succeeded, &|failed, succeeded| {
            let value = failed[failed.len() - lead];
            succeeded.iter().map(|&x| exceeds(value, x)).sum::<f64>() / succeeded.len() as f64
        });
    }
    for t in [5, 10, 20, 40, 80, 160, 320].into_iter().filter(|&t| t <= horizon) {
        let failed: Vec<&Signals> = failed.iter().copied().filter(|s| s.values[0].len() >= t).collect();
        let peak = |signal: &[f32]| signal[..t].iter().copied().fold(0.0, f32::max);
        let succeeded: Vec<&Signals> = succeeded.iter().copied().filter(|s| s.values[0].len() >= t).collect();
        row(&format!("the first {t} steps"), &failed, &succeeded, &|f, s| exceeds(peak(f), peak(s)));
    }
    for (k, signal) in ["distance", "variance"].into_iter().enumerate() {
        alarm(signal, &failed, &succeeded, k);
    }
}

/// 1 if the value of the failed episode is larger, 0.5 if both are equal, else 0 (the Mann-Whitney statistic of a pair).
fn exceeds(failed: f32, succeeded: f32) -> f64 {
    f64::from(u8::from(failed > succeeded)) + 0.5 * f64::from(u8::from(failed == succeeded))
}

/// Prints the AUC of each signal and their difference, with bootstrap intervals over episodes. `compare` gives the share of a
/// successful episode that a failed one exceeds.
fn row(what: &str, failed: &[&Signals], succeeded: &[&Signals], compare: &dyn Fn(&[f32], &[f32]) -> f64) {
    if failed.len() < 5 || succeeded.len() < 5 {
        return;
    }
    let comparisons: Vec<Vec<f64>> = (0..2)
        .map(|k| {
            failed
                .iter()
                .flat_map(|f| succeeded.iter().map(move |s| compare(&f.values[k], &s.values[k])))
                .collect()
        })
        .collect();
    let auc = |table: &[f64], rows: &[usize], columns: &[usize]| {
        let sum: f64 =
            rows.iter().map(|r| columns.iter().map(|c| table[r * succeeded.len() + c]).sum::<f64>()).sum();
        sum / (rows.len() * columns.len()) as f64
    };
    let both = |rows: &[usize], columns: &[usize]| {
        let [a, b] = [0, 1].map(|k: usize| auc(&comparisons[k], rows, columns));
        [a, b, a - b]
    };
    let all = |n: usize| (0..n).collect::<Vec<usize>>();
    let found = both(&all(failed.len()), &all(succeeded.len()));
    let mut rng = Seed(0).fork("episodes").rng();
    let resample = |rng: &mut Rng, n: usize| (0..n).map(|_| rng.below(n)).collect::<Vec<usize>>();
    let samples: Vec<[f64; 3]> = (0..RESAMPLES)
        .map(|_| {
            let rows = resample(&mut rng, failed.len());
            both(&rows, &resample(&mut rng, succeeded.len()))
        })
        .collect();
    let cell = |k: usize| {
        let values: Vec<f64> = samples.iter().map(|d| d[k]).collect();
        let [low, high] = [0.025, 0.975].map(|q| mcnn::eval::stats::quantile(&values, q));
        if k == 2 {
            format!("{:+.2} ({low:+.2} to {high:+.2})", found[k])
        } else {
            format!("{:.2} ({low:.2} to {high:.2})", found[k])
        }
    };
    println!("| {what} | {} | {} | {} | {} | {} |", failed.len(), succeeded.len(), cell(0), cell(1), cell(2));
}

/// Prints the share of failures detected at a false alarm rate of 5 %, and the steps left at detection.
fn alarm(signal: &str, failed: &[&Signals], succeeded: &[&Signals], index: usize) {
    let mut peaks: Vec<f32> =
        succeeded.iter().map(|s| s.values[index].iter().copied().fold(0.0, f32::max)).collect();
    peaks.sort_by(f32::total_cmp);
    let Some(&threshold) = peaks.get((peaks.len() as f64 * 0.95) as usize) else { return };
    let steps_left: Vec<f64> = failed
        .iter()
        .filter_map(|s| {
            let values = &s.values[index];
            Some((values.len() - values.iter().position(|&x| x > threshold)?) as f64)
        })
        .collect();
    let [low, high] = mcnn::eval::stats::wilson(steps_left.len(), failed.len());
    let q = |q| mcnn::eval::stats::quantile(&steps_left, q);
    println!(
        "alarm by {signal}: {} of {} failures ({:.0} %, {:.0} to {:.0}), steps left {:.0} (quartiles {:.0} to {:.0})",
        steps_left.len(),
        failed.len(),
        100.0 * steps_left.len() as f64 / failed.len() as f64,
        100.0 * low,
        100.0 * high,
        q(0.5),
        q(0.25),
        q(0.75)
    );
}
