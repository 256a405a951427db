//! The coverage of 95 % confidence intervals, by simulation: the tables of
//! docs/book/src/statistics.md, with the methods in use and alternatives. Run it: `cargo run --release -p mcnn --example coverage`.

use mcnn::{
    eval::stats::{crossed, estimate, improvement, interval, iqm, iqm_of, mean, quantile, student, wilson},
    seed::{Rng, Seed},
};

const TRIALS: usize = 4000;
const RESAMPLES: usize = 1000;

type Law = (&'static str, fn(&mut Rng) -> f64);

const LAWS: [Law; 6] = [
    ("normal", |rng| rng.normal()),
    ("lognormal, sigma 0.5", |rng| (0.5 * rng.normal()).exp()),
    ("lognormal, sigma 1", |rng| rng.normal().exp()),
    ("success 80 %", |rng| modes(rng, 0.8)),
    ("success 95 %", |rng| modes(rng, 0.95)),
    ("differences, 70 % of 0", |rng| if rng.uniform() < 0.7 { 0.0 } else { 0.3 + rng.normal() }),
];
const MEANS: [f64; 6] = [0.0, 1.1331484530668263, 1.6487212707001282, 0.8, 0.95, 0.09];

/// Returns around 1 with a probability, else around 0, as on Adroit.
fn modes(rng: &mut Rng, success: f64) -> f64 {
    f64::from(u8::from(rng.uniform() < success)) + 0.1 * rng.normal()
}

/// The percentage of trials whose interval contains the true value, and the median width of the intervals, for each method.
fn cover<const K: usize>(truth: f64, trial: impl Fn(Seed) -> [[f64; 2]; K] + Sync) -> [(f64, f64); K] {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let trial = &trial;
    let found: Vec<[[f64; 2]; K]> = std::thread::scope(|scope| {
        let work = |first| {
            move || (first..TRIALS).step_by(threads).map(|i| trial(Seed(7).nth(i as u64))).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(work(first))).collect();
        running.into_iter().flat_map(|r| r.join().unwrap()).collect::<Vec<_>>()
    });
    std::array::from_fn(|k| {
        let covered = found.iter().filter(|f| f[k][0] <= truth && truth <= f[k][1]).count();
        let widths: Vec<f64> = found.iter().map(|f| f[k][1] - f[k][0]).collect();
        (100.0 * covered as f64 / TRIALS as f64, quantile(&widths, 0.5))
    })
}

fn row<const K: usize>(label: &str, found: [(f64, f64); K]) {
    let cells: Vec<String> =
        found.iter().map(|(percent, width)| format!("{percent:.1} ({width:.3})")).collect();
    println!("| {label} | {} |", cells.join(" | "));
}

fn head(first: &str, methods: &[&str]) {
    println!("\n| {first} | {} |\n|---|{}", methods.join(" | "), "---|".repeat(methods.len()));
}

/// Percentile, expanded percentile (Hesterberg, 2015) and studentized bootstrap of a mean.
fn bootstraps(values: &[f64], expanded: f64, rng: &mut Rng) -> [[f64; 2]; 3] {
    let (n, middle) = (values.len() as f64, mean(values));
    let error = |sum: f64, squares: f64| ((squares / n - (sum / n).powi(2)).max(0.0) / (n - 1.0)).sqrt();
    let (mut means, mut ts) = (Vec::new(), Vec::new());
    for _ in 0..RESAMPLES {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in values {
            let x = values[rng.below(values.len())] - middle;
            (sum, squares) = (sum + x, squares + x * x);
        }
        means.push(middle + sum / n);
        ts.push(sum / n / error(sum, squares).max(1e-9)); // a resample of one repeated value has no deviation
    }
    let own = error(0.0, values.iter().map(|x| (x - middle).powi(2)).sum());
    let ends = |q: f64| [quantile(&means, q), quantile(&means, 1.0 - q)];
    [ends(0.025), ends(expanded), [0.975, 0.025].map(|q| middle - own * quantile(&ts, q))]
}

/// The cumulative distribution function of the standard normal, by numerical integration.
fn normal_cdf(z: f64) -> f64 {
    let (pieces, width) = (20_000, 12.0 / 20_000.0);
    let at = |i: usize| (z - (i as f64 + 0.5) * width).powi(2);
    (0..pieces).map(|i| (-at(i) / 2.0).exp() * width).sum::<f64>() / std::f64::consts::TAU.sqrt()
}

/// The percentile that the expanded interval takes for 2.5 %.
fn expanded(n: usize) -> f64 {
    normal_cdf(-(n as f64 / (n - 1) as f64).sqrt() * student((n - 1) as f64))
}

fn means() {
    head("mean of n values", &["Student's (in use)", "percentile", "expanded percentile", "studentized"]);
    for n in [10, 20, 100, 500] {
        for ((name, law), truth) in LAWS.into_iter().zip(MEANS) {
            let q = expanded(n);
            let found = cover(truth, |seed| {
                let rng = &mut seed.rng();
                let values: Vec<f64> = (0..n).map(|_| law(rng)).collect();
                let ours = interval(&values);
                let [a, b, c] = bootstraps(&values, q, rng);
                [[ours.low, ours.high], a, b, c]
            });
            row(&format!("{n}, {name}"), found);
        }
    }
    head(
        "the same, by whether the interval is reported as rough",
        &["rough, % of trials", "coverage if rough", "coverage if not"],
    );
    for n in [20, 100, 500] {
        for ((name, law), truth) in LAWS.into_iter().zip(MEANS) {
            let outcome = |seed: Seed| {
                let rng = &mut seed.rng();
                let m = interval(&(0..n).map(|_| law(rng)).collect::<Vec<_>>());
                (m.rough.is_some(), m.low <= truth && truth <= m.high)
            };
            let all: Vec<(bool, bool)> = (0..TRIALS).map(|i| outcome(Seed(9).nth(i as u64))).collect();
            let coverage = |rough| {
                let these: Vec<_> = all.iter().filter(|o| o.0 == rough).collect();
                let covered = these.iter().filter(|o| o.1).count();
                if these.len() < 40 {
                    "-".into()
                } else {
                    format!("{:.1}", 100.0 * covered as f64 / these.len() as f64)
                }
            };
            let rough = all.iter().filter(|o| o.0).count();
            println!(
                "| {n}, {name} | {:.1} | {} | {} |",
                100.0 * rough as f64 / TRIALS as f64,
                coverage(true),
                coverage(false)
            );
        }
    }
}

/// Tasks differ by half a unit each, so that runs of one task must not be drawn for another.
fn drawn(law: fn(&mut Rng) -> f64, tasks: usize, runs: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
    (0..tasks).map(|k| (0..runs).map(|_| 0.5 * k as f64 + law(rng)).collect()).collect()
}

fn iqms() {
    head(
        "IQM of runs x tasks",
        &["Student's with the bootknife's error (in use)", "percentile (rliable)", "expanded percentile"],
    );
    for tasks in [1, 4] {
        for runs in [3, 5, 10] {
            for (name, law) in LAWS.into_iter().take(5) {
                let truth = iqm(&drawn(law, tasks, 200_000, &mut Seed(8).rng()).concat());
                let freedom = (tasks * (runs - 1)) as f64;
                let q = normal_cdf(-(runs as f64 / (runs - 1) as f64).sqrt() * student(freedom));
                let found = cover(truth, |seed| {
                    let rng = &mut seed.rng();
                    let scores = drawn(law, tasks, runs, rng);
                    let ours = iqm_of(&scores, RESAMPLES / 2, seed);
                    let found: Vec<f64> =
                        (0..RESAMPLES / 2).map(|_| iqm(&again(&scores, rng).concat())).collect();
                    let ends = |q: f64| [quantile(&found, q), quantile(&found, 1.0 - q)];
                    [[ours.low, ours.high], ends(0.025), ends(q)]
                });
                row(&format!("{runs} x {tasks}, {name}"), found);
            }
        }
    }
}

fn improvements() {
    let cases = [("no difference", 0.0), ("one deviation better", 1.0), ("three", 3.0)];
    head(
        "probability of improvement, runs x tasks",
        &["Newcombe's (in use)", "bootknife", "percentile (rliable)"],
    );
    for (runs, tasks) in [(3, 1), (5, 1), (10, 1), (100, 1), (3, 4), (5, 4), (10, 4)] {
        for (name, shift) in cases {
            let truth = normal_cdf(shift / 2.0_f64.sqrt());
            let found = cover(truth, |seed| {
                let rng = &mut seed.rng();
                let b = drawn(|rng| rng.normal(), tasks, runs, rng);
                let mut a = drawn(|rng| rng.normal(), tasks, runs, rng);
                a.iter_mut().flatten().for_each(|x| *x += shift);
                let ours = improvement(&a, &b);
                let both = [a.as_slice(), &b].concat();
                let share = |both: &[Vec<f64>]| improvement(&both[..tasks], &both[tasks..]).mean;
                let knife = estimate(&both, share, RESAMPLES / 10, seed);
                let found: Vec<f64> = (0..RESAMPLES / 10).map(|_| share(&again(&both, rng))).collect();
                [
                    [ours.low, ours.high],
                    [knife.low.max(0.0), knife.high.min(1.0)],
                    [quantile(&found, 0.025), quantile(&found, 0.975)],
                ]
            });
            row(&format!("{runs} x {tasks}, {name}"), found);
        }
    }
}

/// A plain draw of runs within their tasks.
fn again(tasks: &[Vec<f64>], rng: &mut Rng) -> Vec<Vec<f64>> {
    tasks.iter().map(|runs| runs.iter().map(|_| runs[rng.below(runs.len())]).collect()).collect()
}

fn nested() {
    head(
        "mean of runs on the same episodes",
        &["runs and episodes (in use)", "runs alone", "all values as independent"],
    );
    for (runs, episodes) in [(3, 20), (3, 100), (5, 20), (5, 100), (10, 100)] {
        for (name, by_run, by_episode) in [
            ("runs alike", 0.0, 1.0),
            ("runs vary a little", 0.2, 1.0),
            ("runs vary as episodes do", 1.0, 1.0),
            ("rest alone", 0.0, 0.0),
        ] {
            let found = cover(0.0, |seed| {
                let rng = &mut seed.rng();
                let shared: Vec<f64> = (0..episodes).map(|_| by_episode * rng.normal()).collect();
                let returns: Vec<Vec<f64>> = (0..runs)
                    .map(|_| {
                        let own = by_run * rng.normal();
                        shared.iter().map(|e| own + e + 0.5 * rng.normal()).collect()
                    })
                    .collect();
                let (both, all) = (crossed(&returns).mean, interval(&returns.concat()));
                let alone = interval(&returns.iter().map(|r| mean(r)).collect::<Vec<_>>());
                [both, alone, all].map(|m| [m.low, m.high])
            });
            row(&format!("{runs} runs, {episodes} episodes, {name}"), found);
        }
    }
}

fn shares() {
    head("Wilson's, share of n", &["p = 0.02", "0.1", "0.3", "0.5", "0.8", "0.95", "mean over p in (0, 1)"]);
    for n in [10, 20, 100, 500] {
        let at = |p: Option<f64>| {
            let covered = (0..10 * TRIALS).filter(|&i| {
                let rng = &mut Seed(5).nth(i as u64).rng();
                let p = p.unwrap_or_else(|| rng.uniform());
                let [low, high] = wilson((0..n).filter(|_| rng.uniform() < p).count(), n);
                low <= p && p <= high
            });
            format!("{:.1}", 100.0 * covered.count() as f64 / (10 * TRIALS) as f64)
        };
        let cells = [Some(0.02), Some(0.1), Some(0.3), Some(0.5), Some(0.8), Some(0.95), None].map(at);
        println!("| {n} | {} |", cells.join(" | "));
    }
}

fn main() {
    println!(
        "Percentage of {TRIALS} trials whose 95 % interval contains the true value (and the median width)."
    );
    shares();
    nested();
    improvements();
    iqms();
    means();
}
