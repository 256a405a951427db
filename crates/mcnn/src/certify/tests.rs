use super::*;
use crate::{
    data::{ActionRange, Parts, Scale, Step},
    envelope::{Activation, Envelope},
    memory::Amount,
    memory::{CodebookParts, LearnSettings, SelectionMethod, learn},
    seed::Seed,
};

fn envelope(lambda: f32, amplitude: f32) -> Envelope {
    Envelope { lambda, amplitude, activation: Activation::Clamp, ..Envelope::default() }
}

/// Memories at given points, standardized with mean 0.25 and standard deviation `std`.
fn memories(points: &[f32], n_obs: usize, std: f32) -> Codebook {
    let n = points.len() / n_obs;
    Codebook::new(CodebookParts::new(
        Scale { mean: vec![0.25; n_obs], std: vec![std; n_obs], angles: vec![] },
        points.to_vec(),
        vec![0.5; n],
        (0..n as u32).map(|i| Step { episode: i, step: 0 }).collect(),
    ))
    .unwrap()
}

fn data(seed: u64, ends: &[usize]) -> Demonstrations {
    let (n, mut rng) = (*ends.last().unwrap(), Seed(seed).rng());
    let states = (0..n * 3).map(|_| rng.normal() as f32).collect();
    let actions = (0..n * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: ends.to_vec() };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

#[test]
fn the_bound_is_the_papers_formula() {
    for (lambda, l, h, a, d) in
        [(1.3, 1.0, 100, 2, 1e-4), (0.2, 0.5, 1, 1, 0.7), (4.0, 1.0, 50, 24, 2e-5), (0.01, 2.0, 10, 4, 0.1)]
    {
        let bound = Bound::new(envelope(lambda, l), h, a).unwrap();
        let (h, a, l) = (h as f64, a as f64, f64::from(l));
        let formula = h * h * a * l * (1.0 - (-f64::from(lambda) * f64::from(d)).exp());
        assert!((bound.at(d) / formula.min(h) - 1.0).abs() < 1e-5, "{} {formula}", bound.at(d));
        assert_eq!(bound.is_vacuous(d), formula >= h);
        assert!((f64::from(bound.width(d)) - 2.0 * formula / (h * h * a)).abs() < 1e-6);
    }
}

#[test]
fn just_below_the_informative_distance_the_bound_is_informative_and_just_above_it_is_not() {
    for (lambda, l, h, a) in [(1.3, 1.0, 100, 2), (0.2, 0.5, 7, 1), (40.0, 2.0, 280, 9)] {
        let bound = Bound::new(envelope(lambda, l), h, a).unwrap();
        let d = bound.informative_below();
        assert!(!bound.is_vacuous(d * 0.999) && bound.is_vacuous(d * 1.001), "{d}");
        assert!(bound.at(d * 0.999) < h as f64 && bound.at(d * 1.001) == h as f64);
    }
    // One step and one action with L below 1: informative however far.
    let always = Bound::new(envelope(1.0, 0.5), 1, 1).unwrap();
    assert_eq!(always.informative_below(), f32::INFINITY);
    assert!(!always.is_vacuous(f32::MAX));
}

#[test]
fn the_limits_of_lambda() {
    let nearest_neighbor = Bound::new(envelope(0.0, 1.0), 1000, 30).unwrap();
    assert_eq!((nearest_neighbor.at(1e9), nearest_neighbor.width(1e9)), (0.0, 0.0));
    assert_eq!(nearest_neighbor.informative_below(), f32::INFINITY);
    let behavior_cloning = Bound::new(envelope(f32::INFINITY, 1.0), 10, 1).unwrap();
    assert!(behavior_cloning.is_vacuous(0.0) && behavior_cloning.informative_below() == 0.0);
    assert_eq!((behavior_cloning.at(0.0), behavior_cloning.width(0.0)), (10.0, 2.0));
    for (lambda, h, a) in [(1.0, 0, 1), (1.0, 1, 0), (-1.0, 1, 1), (f32::NAN, 1, 1)] {
        assert!(Bound::new(envelope(lambda, 1.0), h, a).is_err());
    }
}

#[test]
fn nested_codebooks_have_decreasing_bounds_and_the_distances_of_a_naive_search() {
    let data = data(3, &[40, 90, 150]);
    let bound = Bound::new(envelope(0.01, 1.0), 3, 1).unwrap();
    for by in [SelectionMethod::Random, SelectionMethod::Kcenter] {
        let mut last: Option<(Codebook, f32)> = None;
        for count in [1, 2, 5, 20, 60, 150] {
            let settings =
                LearnSettings { selection: by, amount: Amount::Count(count), ..Default::default() };
            let book = learn(&data, &settings).unwrap().codebook;
            let found = isolation(&book, &data);
            let (scale, row) = (&book.parts().scale, |s: &[f32]| {
                let mut out = [0.0; 3];
                book.parts().scale.apply(s, &mut out);
                out
            });
            assert_eq!(scale.n_obs(), 3);
            let naive: Vec<f32> = (0..data.n_steps())
                .map(|i| {
                    let s = row(&data.state(i));
                    (0..book.len())
                        .map(|m| nearest::distance2(&s, &row(book.state(m))))
                        .fold(f32::INFINITY, f32::min)
                        .sqrt()
                })
                .collect();
            let most = naive.iter().copied().fold(0.0, f32::max);
            assert_eq!(found.max, most);
            assert_eq!(naive[data.find(found.isolated).unwrap()], most);
            if let Some((smaller, d)) = last {
                let sources = &book.parts().sources;
                assert!(smaller.parts().sources.iter().all(|s| sources.contains(s)), "{by} nests");
                assert!(most <= d && bound.at(most) <= bound.at(d));
            }
            last = Some((book, most));
        }
        assert_eq!(last.unwrap().1, 0.0, "all states as memories");
    }
}

#[test]
fn leave_one_episode_out_isolation_is_that_of_a_naive_search() {
    let data = data(4, &[30, 50, 80]);
    let book =
        learn(&data, &LearnSettings { amount: Amount::Count(25), ..Default::default() }).unwrap().codebook;
    let found = isolation_leave_one_episode_out(&book, &data).unwrap();
    let scaled = |s: &[f32]| {
        let mut out = [0.0; 3];
        book.parts().scale.apply(s, &mut out);
        out
    };
    let naive = |i: usize| {
        (0..book.len())
            .filter(|&m| book.source(m).episode != data.step(i).episode)
            .map(|m| nearest::distance2(&scaled(&data.state(i)), &scaled(book.state(m))).sqrt())
            .fold(f32::INFINITY, f32::min)
    };
    assert_eq!(found.max, (0..80).map(naive).fold(0.0, f32::max));
    assert!(found.max >= isolation(&book, &data).max);
    let one = learn(&data.select(&[0]), &LearnSettings::default()).unwrap().codebook;
    assert_eq!(isolation_leave_one_episode_out(&one, &data.select(&[0])), None);
}

#[test]
fn a_box_with_a_known_answer() {
    let exact = SearchBudget { tolerance: 1e-4, measurements: 3_000_000 };
    // (memories, low, high, the distance of the most isolated point)
    type Case<'a> = (&'a [f32], &'a [f32], &'a [f32], f32);
    let cases: [Case; 4] = [
        (&[0.0, 0.0], &[-1.0, -1.0], &[1.0, 1.0], 2.0_f32.sqrt()), // the corners
        (&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[0.0, 0.0], &[1.0, 1.0], 0.5_f32.sqrt()), // the middle
        (&[0.25, 0.5, 0.75, 0.5], &[0.0, 0.5], &[1.0, 0.5], 0.25), // a line
        (&[0.3, 0.3], &[0.3, 0.3], &[0.3, 0.3], 0.0),              // a point, which is the memory
    ];
    for (points, low, high, expected) in cases {
        for std in [1.0, 0.5] {
            let found = bound_isolation(&memories(points, 2, std), low, high, exact);
            assert!(found.tight, "{points:?}: {found:?}");
            let expected = expected / std;
            assert!(
                found.lower <= expected * 1.000_001 && expected <= found.upper * 1.000_001,
                "{found:?} {expected}"
            );
            assert!(found.upper - found.lower <= 1e-4 * found.upper);
        }
    }
}

#[test]
fn no_state_of_a_box_is_above_the_upper_bound_and_random_states_come_near_the_lower_one() {
    let mut rng = Seed(8).rng();
    for (n_obs, n) in [(1, 5), (2, 12), (3, 30), (6, 40), (20, 60)] {
        let points: Vec<f32> = (0..n * n_obs).map(|_| rng.normal() as f32).collect();
        let book = memories(&points, n_obs, 0.7);
        let (low, high) = (vec![-1.1; n_obs], vec![0.9; n_obs]);
        for effort in [
            SearchBudget { tolerance: 0.0, measurements: 0 },
            SearchBudget { tolerance: 0.01, measurements: 400_000 },
        ] {
            let found = bound_isolation(&book, &low, &high, effort);
            assert!(found.lower <= found.upper);
            assert_eq!(
                found.tight,
                found.upper.powi(2) - found.lower.powi(2) <= effort.tolerance * found.upper.powi(2)
            );
            let (mut buffer, mut most) = (book.scaled_buffer(), 0.0_f32);
            for k in 0..20_000 {
                // Random states, and every third in a corner, where distances are largest.
                let state: Vec<f32> = (0..n_obs)
                    .map(|_| match (k % 3, rng.below(2)) {
                        (0, 0) => -1.1,
                        (0, _) => 0.9,
                        _ => rng.between(-1.1, 0.9) as f32,
                    })
                    .collect();
                book.scale(&state, &mut buffer);
                let d = book.retrieve(&buffer).distance;
                assert!(d <= found.upper, "{n_obs} dimensions: {d} above {found:?}");
                most = most.max(d);
            }
            if found.tight && n_obs <= 3 {
                assert!(most >= 0.93 * found.lower, "{n_obs} dimensions: {most}, {found:?}");
            }
        }
    }
}

#[test]
fn the_premise_counts_the_actions_that_no_constrained_policy_takes() {
    let data = data(5, &[50, 100]);
    let book =
        learn(&data, &LearnSettings { amount: Amount::Count(20), ..Default::default() }).unwrap().codebook;
    let envelope = envelope(0.4, 0.8);
    let found = premise(&book, envelope, &data);
    let (mut outside, mut farthest) = (0, (0.0_f64, 0));
    for i in 0..data.n_steps() {
        let mut buffer = book.scaled_buffer();
        book.scale(&data.state(i), &mut buffer);
        let near = book.retrieve(&buffer);
        let w = (-0.4 * f64::from(near.distance)).exp();
        let excess = (0..2)
            .map(|k| {
                let center = w * f64::from(book.action(near.memory)[k]);
                (f64::from(data.action(i)[k]) - center).abs() - 0.8 * (1.0 - w)
            })
            .fold(0.0, f64::max);
        outside += usize::from(excess > 1e-6);
        if excess > farthest.0 {
            farthest = (excess, i);
        }
    }
    assert!(outside > 10 && outside < 80, "{outside}: neither none nor all");
    assert_eq!((found.steps, found.outside, found.at), (100, outside, data.step(farthest.1)));
    assert!((f64::from(found.max_excess) - farthest.0).abs() < 1e-5);
    // With all states as memories the expert of the data is in the function class.
    let all = learn(&data, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    let found = premise(&all, envelope, &data);
    assert_eq!((found.outside, found.max_excess), (0, 0.0));
}

#[test]
fn suggestions_are_those_of_a_naive_greedy_search() {
    let pool = data(6, &[30, 70, 71, 110, 150, 190]);
    let own = data(7, &[25]);
    let book =
        learn(&own, &LearnSettings { amount: Amount::Count(10), ..Default::default() }).unwrap().codebook;
    let scaled = |s: &[f32]| {
        let mut out = [0.0; 3];
        book.parts().scale.apply(s, &mut out);
        out
    };
    for scope in [DemonstrationScope::Episode, DemonstrationScope::State] {
        let found = suggest(&book, &pool, scope, 100);
        // The memories, the followed suggestions included, and the excluded episodes.
        let mut states: Vec<[f32; 3]> = (0..book.len()).map(|m| scaled(book.state(m))).collect();
        let mut excluded = Vec::new();
        let far = |states: &[[f32; 3]], i: usize| {
            let row = scaled(&pool.state(i));
            states.iter().map(|s| nearest::distance2(&row, s)).fold(f32::INFINITY, f32::min).sqrt()
        };
        let first: Vec<f32> = (0..pool.n_steps()).map(|i| far(&states, i)).collect();
        let mut sorted = first.clone();
        sorted.sort_by(f32::total_cmp);
        let median = sorted[(0.5 * (sorted.len() - 1) as f64).round() as usize];
        let d_i = |states: &[[f32; 3]], excluded: &[usize]| {
            let open = (0..pool.n_steps()).filter(|&i| !excluded.contains(&pool.episode_of(i)));
            open.map(|i| (far(states, i), i))
                .fold((0.0, usize::MAX), |best, x| if x.0 > best.0 { x } else { best })
        };
        assert_eq!(found.len(), 6, "each episode once");
        for s in &found {
            let (most, row) = d_i(&states, &excluded);
            assert_eq!((s.distance, s.row, s.at), (most, row, pool.step(row)));
            assert_eq!(s.nearest.distance, first[row]);
            let episode = pool.episode(pool.episode_of(row));
            let from = pool.find(s.start).unwrap();
            assert!(episode.contains(&from) && from <= row);
            assert!(first[from] <= median || from == episode.start);
            assert!((from + 1..=row).all(|j| first[j] > median));
            match scope {
                DemonstrationScope::Episode => states.extend(episode.map(|i| scaled(&pool.state(i)))),
                DemonstrationScope::State => states.push(scaled(&pool.state(row))),
            }
            excluded.push(pool.episode_of(row));
            assert_eq!(s.remaining, d_i(&states, &excluded).0);
        }
        assert_eq!(suggest(&book, &pool, scope, 2), found[..2], "fewer suggestions are the first of more");
    }
    // States that are memories are not suggested.
    let all = learn(&own, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    assert_eq!(suggest(&all, &own, DemonstrationScope::Episode, 3), []);
}

#[test]
fn following_a_suggestion_lowers_d_i_to_that_of_the_extended_codebook() {
    let pool = data(8, &[30, 70, 110]);
    let own = data(9, &[25]);
    let book = learn(&own, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    let found = suggest(&book, &pool, DemonstrationScope::Episode, 3);
    let mut steps = Vec::new();
    for s in found {
        steps.extend(pool.episode(pool.episode_of(s.row)));
        let (more, _) = book.with_steps(&pool, &steps).unwrap();
        assert_eq!(isolation(&more, &pool).max, s.remaining);
        assert!(s.remaining <= s.distance, "corollary 4.8");
    }
}
