//! The coverage of the 95 % confidence intervals, by simulation. Cases with less coverage are tested too, so that
//! docs/book/src/statistics.md stays true. 4,000 trials have a standard error of 0.35 points.

use mcnn::{
    eval::stats::{crossed, improvement, interval, iqm, iqm_of, paired, sign_flip, wilson},
    seed::{Rng, Seed},
};

const TRIALS: usize = 4000;
/// The accepted coverage, in percent, of a 95 % interval.
const ACCEPTED: std::ops::RangeInclusive<f64> = 93.5..=96.5;

/// The coverage: the percentage of trials whose interval contains the true value.
fn coverage(truth: f64, trial: impl Fn(Seed) -> [f64; 2] + Sync) -> f64 {
    let part = |first: usize| {
        let seeds = (first..TRIALS).step_by(2).map(|i| Seed(11).nth(i as u64));
        seeds.map(&trial).filter(|[low, high]| *low <= truth && truth <= *high).count()
    };
    let covered = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        part(0) + other.join().unwrap()
    });
    100.0 * covered as f64 / TRIALS as f64
}

fn normal(rng: &mut Rng) -> f64 {
    rng.normal()
}

fn lognormal(rng: &mut Rng) -> f64 {
    (0.5 * rng.normal()).exp()
}

fn very_skewed(rng: &mut Rng) -> f64 {
    rng.normal().exp()
}

fn success_80(rng: &mut Rng) -> f64 {
    f64::from(u8::from(rng.uniform() < 0.8)) + 0.1 * rng.normal()
}

fn success_95(rng: &mut Rng) -> f64 {
    f64::from(u8::from(rng.uniform() < 0.95)) + 0.1 * rng.normal()
}

fn draw(n: usize, law: fn(&mut Rng) -> f64, rng: &mut Rng) -> Vec<f64> {
    (0..n).map(|_| law(rng)).collect()
}

fn mean_of(n: usize, law: fn(&mut Rng) -> f64, truth: f64) -> f64 {
    coverage(truth, |seed| {
        let found = interval(&draw(n, law, &mut seed.rng()));
        [found.low, found.high]
    })
}

#[test]
fn of_a_mean() {
    for n in [20, 100, 500] {
        let found = mean_of(n, normal, 0.0);
        assert!(ACCEPTED.contains(&found), "normal, {n}: {found}");
    }
    for n in [100, 500] {
        for (name, law, truth) in
            [("lognormal", lognormal as fn(&mut Rng) -> f64, 0.125_f64.exp()), ("80 %", success_80, 0.8)]
        {
            let found = mean_of(n, law, truth);
            assert!(ACCEPTED.contains(&found), "{name}, {n}: {found}");
        }
    }
    let found = mean_of(500, success_95, 0.95);
    assert!(ACCEPTED.contains(&found), "95 %, 500: {found}");
}

#[test]
fn of_a_mean_of_few_values_of_a_skewed_distribution_is_too_low() {
    for (name, law, truth, n, wanted) in [
        ("lognormal", lognormal as fn(&mut Rng) -> f64, 0.125_f64.exp(), 20, 93.0),
        ("very skewed", very_skewed, 0.5_f64.exp(), 20, 87.0),
        ("very skewed", very_skewed, 0.5_f64.exp(), 100, 92.0),
        ("80 %", success_80, 0.8, 20, 92.5),
        ("95 %", success_95, 0.95, 20, 79.0),
        ("95 %", success_95, 0.95, 100, 92.5),
    ] {
        let found = mean_of(n, law, truth);
        assert!((found - wanted).abs() < 1.5, "{name}, {n}: {found}, documented {wanted}");
    }
}

#[test]
fn of_paired_differences_and_the_sign_flip_test() {
    let pair = |seed: Seed| {
        let rng = &mut seed.rng();
        let shared = draw(100, lognormal, rng); // the episodes' own difficulty
        let of = |rng: &mut Rng| -> Vec<f64> { shared.iter().map(|e| 3.0 * e + rng.normal()).collect() };
        (of(rng), of(rng))
    };
    let found = coverage(0.0, |seed| {
        let (a, b) = pair(seed);
        let found = paired(&a, &b);
        [found.low, found.high]
    });
    assert!(ACCEPTED.contains(&found), "{found}");
    // Without a difference, one test in twenty rejects.
    let tests = 400;
    let rejections = (0..tests).filter(|&i| {
        let (a, b) = pair(Seed(3).nth(i));
        sign_flip(&a[..20], &b[..20], Seed(i)) <= 0.05
    });
    let share = rejections.count() as f64 / tests as f64;
    assert!((0.02..=0.085).contains(&share), "{share}: three standard errors about 0.05");
}

#[test]
fn of_shares() {
    let mut all = 0.0;
    for k in 1..20 {
        let p = f64::from(k) / 20.0;
        let found = coverage(p, |seed| {
            let rng = &mut seed.rng();
            wilson((0..50).filter(|_| rng.uniform() < p).count(), 50)
        });
        assert!((91.5..=98.5).contains(&found), "{p}: {found}"); // shares of 50 are discrete
        all += found / 19.0;
    }
    assert!(ACCEPTED.contains(&all), "{all}");
}

/// Tasks half a unit apart.
fn tasks(tasks: usize, runs: usize, law: fn(&mut Rng) -> f64, rng: &mut Rng) -> Vec<Vec<f64>> {
    (0..tasks).map(|k| draw(runs, law, rng).iter().map(|x| x + 0.5 * k as f64).collect()).collect()
}

#[test]
fn of_an_interquartile_mean_over_seeds_and_tasks() {
    for (name, law) in [("normal", normal as fn(&mut Rng) -> f64), ("lognormal", lognormal)] {
        for (runs, n) in [(3, 1), (5, 1), (10, 1), (3, 4), (5, 4), (10, 4)] {
            let truth = iqm(&tasks(n, 100_000, law, &mut Seed(8).rng()).concat());
            let found = coverage(truth, |seed| {
                let found = iqm_of(&tasks(n, runs, law, &mut seed.rng()), 300, seed);
                [found.low, found.high]
            });
            // The interquartile mean of five runs uses three, and the interval is wider than necessary.
            let accepted = if (runs, n) == (5, 1) { 93.5..=98.0 } else { 92.5..=97.0 };
            assert!(accepted.contains(&found), "{name}, {runs} x {n}: {found}");
        }
    }
}

#[test]
fn of_the_probability_of_improvement() {
    for (runs, n) in [(5, 1), (10, 1), (100, 1), (5, 4)] {
        let found = coverage(0.5, |seed| {
            let rng = &mut seed.rng();
            let found = improvement(&tasks(n, runs, normal, rng), &tasks(n, runs, normal, rng));
            [found.low, found.high]
        });
        assert!((92.5..=97.5).contains(&found), "{runs} x {n}: {found}");
    }
}

#[test]
fn of_a_mean_over_seeds_and_episodes() {
    for runs in [3, 5, 10] {
        for by_run in [0.0, 0.2, 1.0] {
            let found = coverage(0.0, |seed| {
                let rng = &mut seed.rng();
                let shared = draw(40, normal, rng);
                let run = |rng: &mut Rng| {
                    let own = by_run * rng.normal();
                    shared.iter().map(|e| own + e + 0.5 * rng.normal()).collect()
                };
                let returns: Vec<Vec<f64>> = (0..runs).map(|_| run(rng)).collect();
                let found = crossed(&returns).mean;
                [found.low, found.high]
            });
            let accepted = if runs < 5 { 93.5..=97.5 } else { ACCEPTED };
            assert!(accepted.contains(&found), "{runs} runs, {by_run}: {found}");
        }
    }
}
