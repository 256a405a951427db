//! The statistics against values that scipy and numpy compute (python/tests/statistics_values.py), and the intervals
//! against what they promise: to hold the truth 95 times in 100.

use mcnn::{
    eval::stats::{bootstrap, iqm, mean, paired, quantile, wilson},
    seed::Seed,
};

fn values() -> Vec<f64> {
    (0..23).map(|i| f64::from((37 * i * i + 11 * i) % 101) / 10.0).collect()
}

fn near(found: f64, wanted: f64, gap: f64) {
    assert!((found - wanted).abs() <= gap, "{found} for {wanted}");
}

#[test]
fn means_and_quantiles_are_scipys() {
    let v = values();
    near(mean(&v), 5.182608695652173, 1e-12);
    near(iqm(&v), 5.615384615384615, 1e-12);
    near(iqm(&v[..7]), 5.62, 1e-12);
    let wanted = [(0.0, 0.0), (0.1, 1.08), (0.5, 6.3), (0.99, 8.5), (1.0, 8.5)];
    for (q, wanted) in wanted {
        near(quantile(&v, q), wanted, 1e-12);
    }
    assert!(mean(&[]).is_nan() && iqm(&[]).is_nan() && quantile(&[], 0.5).is_nan());
    assert_eq!((iqm(&[3.0]), quantile(&[3.0], 0.7)), (3.0, 3.0));
}

#[test]
fn wilsons_interval_is_scipys() {
    let wanted = [
        (0, 10, 0.0, 0.27753279986288926),
        (7, 10, 0.39677814746114526, 0.892208732593699),
        (20, 20, 0.8388748419471808, 1.0),
        (33, 50, 0.521538260502326, 0.7756305077749992),
    ];
    for (hits, n, low, high) in wanted {
        let found = wilson(hits, n);
        near(found[0], low, 1e-12);
        near(found[1], high, 1e-12);
        assert!(found[0] >= 0.0 && found[1] <= 1.0);
    }
    assert_eq!(wilson(0, 0), [0.0, 1.0]);
}

#[test]
fn bootstrap_intervals_agree_with_scipys_up_to_their_own_noise() {
    let v = values();
    let gap = 0.08; // about three standard errors of the end of an interval from 5,000 resamples
    let found = bootstrap(&[&v], mean, Seed(1));
    near(found[0], 4.1304, gap);
    near(found[1], 6.1652, gap);
    let found = bootstrap(&[&v], iqm, Seed(1));
    near(found[0], 4.2231, gap);
    near(found[1], 6.7385, gap);
    let far: Vec<f64> = v[8..].iter().map(|x| x + 50.0).collect();
    let found = bootstrap(&[&v[..8], &far], mean, Seed(1));
    near(found[0], 36.7435, gap);
    near(found[1], 38.7652, gap);

    let other: Vec<f64> = v.iter().rev().map(|x| 0.9 * x).collect();
    let difference = paired(&v, &other, Seed(1));
    near(difference.mean, 0.5182608695652173, 1e-12);
    near(difference.low, -1.0896, 2.0 * gap);
    near(difference.high, 2.1226, 2.0 * gap);
    assert_eq!(difference.n, 23);
}

#[test]
fn the_bootstrap_is_its_seeds_and_says_nothing_of_one_value() {
    let v = values();
    assert_eq!(bootstrap(&[&v], mean, Seed(1)), bootstrap(&[&v], mean, Seed(1)));
    assert_ne!(bootstrap(&[&v], mean, Seed(1)), bootstrap(&[&v], mean, Seed(2)));
    for few in [&v[..0], &v[..1]] {
        assert!(bootstrap(&[few], mean, Seed(1)).iter().all(|x| x.is_nan()));
    }
}

#[test]
fn intervals_of_95_percent_hold_the_truth_about_as_often() {
    let mut rng = Seed(3).rng();
    let (trials, n) = (1000, 50);
    let (mut means, mut shares) = (0, 0);
    for trial in 0..trials {
        let drawn: Vec<f64> = (0..n).map(|_| 2.0 + rng.normal()).collect();
        let [low, high] = bootstrap(&[&drawn], mean, Seed(trial));
        means += u32::from(low <= 2.0 && 2.0 <= high);
        let hits = (0..n).filter(|_| rng.uniform() < 0.8).count();
        let [low, high] = wilson(hits, n);
        shares += u32::from(low <= 0.8 && 0.8 <= high);
    }
    for covered in [means, shares] {
        let share = f64::from(covered) / trials as f64;
        assert!((0.92..=0.975).contains(&share), "{share}"); // 93 to 97, give or take two standard errors
    }
}
