//! How early two signals rise before a policy fails: the distance to its memories, and the variance of an ensemble's
//! actions. `bench/early_warning.sh` makes the policies; docs/book/src/studies/calibration.md says what is measured and what came of it.
//!
//!     early_warning TASK EPISODES POLICY ENSEMBLE...

use mcnn::{
    Result,
    act::Act,
    eval::{Run, collect},
    file,
    policy::Policy,
    seed::{Rng, Seed},
    task::Task,
};

/// One episode: whether it failed, whether it ended by itself, and both signals step by step.
struct Seen {
    failed: bool,
    terminal: bool,
    signals: [Vec<f32>; 2], // distance, variance
}

const DRAWS: usize = 2000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [task, episodes, acting, ensemble @ ..] = &args[..] else {
        panic!("early_warning TASK EPISODES POLICY ENSEMBLE...");
    };
    let read = |path: &String| Ok::<Policy, mcnn::Error>(file::read_policy(path.as_ref())?.0);
    let (policy, ensemble) = (read(acting)?, ensemble.iter().map(read).collect::<Result<Vec<_>>>()?);
    let task = named(task)?;
    let run = Run {
        episodes: episodes.parse().expect("a number of episodes"),
        first_seed: 1000,
        threads: 2,
        lanes: 1,
        trace: true,
    };
    let seen = look(&policy, &ensemble, task.as_ref(), &run)?;
    report(&policy.name(), task.spec().horizon, &seen);
    Ok(())
}

fn named(name: &str) -> Result<Box<dyn Task>> {
    #[cfg(feature = "adroit")]
    if let Some(hand) = mcnn::task::adroit::Adroit::ALL.into_iter().find(|t| t.name() == name) {
        return Ok(Box::new(adroit::Hand::new(hand, mcnn::task::adroit::Rewards::D4rl)?));
    }
    mcnn::task::named(name, mcnn::task::adroit::Rewards::D4rl, &|line| eprintln!("{line}"))
}

/// Runs the policy and takes both signals in every state it visits.
fn look(policy: &Policy, ensemble: &[Policy], task: &dyn Task, run: &Run) -> Result<Vec<Seen>> {
    let visited = collect(policy, task, run, &|_| true)?;
    assert!(visited.failed.is_empty(), "{:?}", visited.failed[0].error);
    let n_obs = task.spec().n_obs;
    let mut sessions: Vec<_> = ensemble.iter().map(|member| member.start(Seed(0))).collect();
    let mut actions = vec![vec![0.0; task.spec().n_act]; ensemble.len()];
    let (mut first, mut seen) = (0, Vec::new());
    for (episode, &end) in visited.episodes.iter().zip(&visited.ends) {
        let decisions = &episode.trace.as_ref().expect("it was asked for").decisions;
        let distances = decisions.iter().map(|d| d.distance.expect("a policy with memories")).collect();
        let mut variances = Vec::new();
        for state in visited.states[first * n_obs..end * n_obs].chunks_exact(n_obs) {
            for (session, action) in sessions.iter_mut().zip(&mut actions) {
                session.act(state, action)?;
            }
            variances.push(variance(&actions));
        }
        let failed = episode.success != Some(true);
        seen.push(Seen { failed, terminal: episode.terminal, signals: [distances, variances] });
        first = end;
    }
    Ok(seen)
}

/// The variance over the ensemble, mean over the dimensions.
fn variance(actions: &[Vec<f32>]) -> f32 {
    let (n, width) = (actions.len() as f32, actions[0].len());
    let of = |k: usize| {
        let mean = actions.iter().map(|a| a[k]).sum::<f32>() / n;
        actions.iter().map(|a| (a[k] - mean).powi(2)).sum::<f32>() / n
    };
    (0..width).map(of).sum::<f32>() / width as f32
}

fn report(name: &str, horizon: usize, seen: &[Seen]) {
    let failed: Vec<&Seen> = seen.iter().filter(|s| s.failed).collect();
    let won: Vec<&Seen> = seen.iter().filter(|s| !s.failed).collect();
    println!("\n{name}: {} episodes, {} failed", seen.len(), failed.len());
    let ended: Vec<&Seen> = failed.iter().copied().filter(|s| s.terminal).collect();
    println!(
        "| | failed | successful | AUC of distance | AUC of variance | difference |\n|---|---|---|---|---|---|"
    );
    for back in [1, 5, 10, 20, 40, 80] {
        let old: Vec<&Seen> = ended.iter().copied().filter(|s| s.signals[0].len() >= back).collect();
        let last = |signal: &[f32]| signal[signal.len() - back];
        row(&format!("{back} steps before the end"), &old, &won, &|f, s| {
            let value = last(f);
            s.iter().map(|&x| above(value, x)).sum::<f64>() / s.len() as f64
        });
    }
    for t in [5, 10, 20, 40, 80, 160, 320].into_iter().filter(|&t| t <= horizon) {
        let old: Vec<&Seen> = failed.iter().copied().filter(|s| s.signals[0].len() >= t).collect();
        let most = |signal: &[f32]| signal[..t].iter().copied().fold(0.0, f32::max);
        let lasting: Vec<&Seen> = won.iter().copied().filter(|s| s.signals[0].len() >= t).collect();
        row(&format!("the first {t} steps"), &old, &lasting, &|f, s| above(most(f), most(s)));
    }
    for (k, signal) in ["distance", "variance"].into_iter().enumerate() {
        alarm(signal, &failed, &won, k);
    }
}

/// One where a failed episode's value is above, a half where it is equal.
fn above(failed: f32, won: f32) -> f64 {
    f64::from(u8::from(failed > won)) + 0.5 * f64::from(u8::from(failed == won))
}

/// An AUC of each signal, and their difference. `compare` says how much of a successful episode a failed one is above.
fn row(what: &str, failed: &[&Seen], won: &[&Seen], compare: &dyn Fn(&[f32], &[f32]) -> f64) {
    if failed.len() < 5 || won.len() < 5 {
        return;
    }
    let tables: Vec<Vec<f64>> = (0..2)
        .map(|k| {
            failed
                .iter()
                .flat_map(|f| won.iter().map(move |s| compare(&f.signals[k], &s.signals[k])))
                .collect()
        })
        .collect();
    let auc = |table: &[f64], rows: &[usize], columns: &[usize]| {
        let sum: f64 =
            rows.iter().map(|r| columns.iter().map(|c| table[r * won.len() + c]).sum::<f64>()).sum();
        sum / (rows.len() * columns.len()) as f64
    };
    let both = |rows: &[usize], columns: &[usize]| {
        let [a, b] = [0, 1].map(|k: usize| auc(&tables[k], rows, columns));
        [a, b, a - b]
    };
    let all = |n: usize| (0..n).collect::<Vec<usize>>();
    let found = both(&all(failed.len()), &all(won.len()));
    let mut rng = Seed(0).fork("episodes").rng();
    let draw = |rng: &mut Rng, n: usize| (0..n).map(|_| rng.below(n)).collect::<Vec<usize>>();
    let draws: Vec<[f64; 3]> = (0..DRAWS)
        .map(|_| {
            let rows = draw(&mut rng, failed.len());
            both(&rows, &draw(&mut rng, won.len()))
        })
        .collect();
    let cell = |k: usize| {
        let values: Vec<f64> = draws.iter().map(|d| d[k]).collect();
        let [low, high] = [0.025, 0.975].map(|q| mcnn::eval::stats::quantile(&values, q));
        if k == 2 {
            format!("{:+.2} ({low:+.2} to {high:+.2})", found[k])
        } else {
            format!("{:.2} ({low:.2} to {high:.2})", found[k])
        }
    };
    println!("| {what} | {} | {} | {} | {} | {} |", failed.len(), won.len(), cell(0), cell(1), cell(2));
}

/// Failures found at one false alarm in twenty, and the steps left when they are.
fn alarm(signal: &str, failed: &[&Seen], won: &[&Seen], k: usize) {
    let mut most: Vec<f32> = won.iter().map(|s| s.signals[k].iter().copied().fold(0.0, f32::max)).collect();
    most.sort_by(f32::total_cmp);
    let Some(&bar) = most.get((most.len() as f64 * 0.95) as usize) else { return };
    let left: Vec<f64> = failed
        .iter()
        .filter_map(|s| Some((s.signals[k].len() - s.signals[k].iter().position(|&x| x > bar)?) as f64))
        .collect();
    let [low, high] = mcnn::eval::stats::wilson(left.len(), failed.len());
    let q = |q| mcnn::eval::stats::quantile(&left, q);
    println!(
        "alarm by {signal}: {} of {} failures ({:.0} %, {:.0} to {:.0}), steps left {:.0} (quartiles {:.0} to {:.0})",
        left.len(),
        failed.len(),
        100.0 * left.len() as f64 / failed.len() as f64,
        100.0 * low,
        100.0 * high,
        q(0.5),
        q(0.25),
        q(0.75)
    );
}
