use super::*;
use crate::{
    data::{ActionRange, Parts},
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::{Rng, Seed},
};

fn calibration(episodes: &[&[f32]]) -> OodCalibration {
    let calibrated = |(k, d): (usize, &&[f32])| {
        let mut distances = d.to_vec();
        distances.sort_by(f32::total_cmp);
        CalibrationEpisode { number: k as u32, distances }
    };
    OodCalibration::new(episodes.iter().enumerate().map(calibrated).collect()).unwrap()
}

#[test]
fn a_quantile_gives_every_episode_the_same_weight() {
    let g = calibration(&[&[1.0, 2.0, 3.0, 4.0], &[2.5]]);
    for (d, share) in
        [(0.5, 0.0), (1.0, 0.0), (1.1, 0.125), (2.5, 0.25), (2.6, 0.75), (4.0, 0.875), (9.0, 1.0)]
    {
        assert!((g.quantile(d) - share).abs() < 1e-12, "{d}");
    }
    // A quarter of the calibration states are farther than 2.5; with the new episode the bound is (2 x 0.25 + 1) / 3.
    let t = g.threshold(OodQuantile::States(0.75)).unwrap();
    assert_eq!(t.distance, 2.5);
    assert!((t.probability - (2.0 * 0.25 + 1.0) / 3.0).abs() < 1e-12);
    let all = g.threshold(OodQuantile::States(1.0)).unwrap();
    assert!(all.distance == 4.0 && (all.probability - 1.0 / 3.0).abs() < 1e-9);
    let ever = g.threshold(OodQuantile::Episodes(0.5)).unwrap();
    assert!(ever.distance == 2.5 && (ever.probability - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(g.threshold(OodQuantile::Episodes(0.51)).unwrap().distance, 4.0);
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        assert!(
            g.threshold(OodQuantile::States(share)).is_err()
                && g.threshold(OodQuantile::Episodes(share)).is_err()
        );
    }
}

#[test]
fn a_threshold_is_the_smallest_distance_that_enough_states_do_not_exceed() {
    let mut rng = Seed(1).rng();
    for _ in 0..50 {
        let episodes: Vec<Vec<f32>> = (0..1 + rng.below(6))
            .map(|_| (0..1 + rng.below(9)).map(|_| rng.below(12) as f32).collect()) // with ties
            .collect();
        let g = calibration(&episodes.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let n = episodes.len() as f64;
        let farther = |t: f32| {
            let share = |e: &Vec<f32>| e.iter().filter(|&&d| d > t).count() as f64 / e.len() as f64;
            episodes.iter().map(share).sum::<f64>() / n
        };
        let ever = |t: f32| episodes.iter().filter(|e| e.iter().any(|&d| d > t)).count() as f64 / n;
        for share in [0.1, 0.5, 0.73, 0.9, 1.0] {
            let naive = |share_farther: &dyn Fn(f32) -> f64| {
                let mut all: Vec<f32> = episodes.concat();
                all.sort_by(f32::total_cmp);
                all.into_iter().find(|&t| share_farther(t) <= 1.0 - share + 1e-9).unwrap()
            };
            let t = g.threshold(OodQuantile::States(share)).unwrap();
            assert_eq!(t.distance, naive(&farther), "{share} of {episodes:?}");
            assert!((t.probability - (n * farther(t.distance) + 1.0) / (n + 1.0)).abs() < 1e-9);
            let t = g.threshold(OodQuantile::Episodes(share)).unwrap();
            assert_eq!(t.distance, naive(&ever), "{share} of {episodes:?}");
        }
    }
}

#[test]
fn invalid_distances_are_refused() {
    assert!(OodCalibration::new(Vec::new()).is_err());
    for distances in [vec![], vec![2.0, 1.0], vec![-1.0], vec![f32::NAN], vec![1.0, f32::INFINITY]] {
        assert!(OodCalibration::new(vec![CalibrationEpisode { number: 0, distances }]).is_err());
    }
}

/// The distances of an episode: correlated within the episode, larger in long episodes, of a scale of its own.
fn episode(rng: &mut Rng) -> Vec<f32> {
    let far = rng.normal().exp();
    let length = 5 + rng.below(30);
    let mut drift = rng.normal();
    (0..length)
        .map(|_| {
            drift = 0.9 * drift + 0.4 * rng.normal();
            (far * (1.0 + length as f64 / 50.0) * drift.exp()) as f32
        })
        .collect()
}

#[test]
fn new_episodes_are_ood_at_most_as_often_as_the_bound_says() {
    const TRIALS: usize = 4000;
    let mut rng = Seed(2).rng();
    for n in [4, 19, 60] {
        for share in [0.5, 0.9, 0.95, 1.0] {
            // [states, episodes]: how often they are OOD, and the mean of the bound.
            let (mut ood, mut bound) = ([0.0; 2], [0.0; 2]);
            for _ in 0..TRIALS {
                let episodes: Vec<Vec<f32>> = (0..n).map(|_| episode(&mut rng)).collect();
                let g = calibration(&episodes.iter().map(Vec::as_slice).collect::<Vec<_>>());
                let new = episode(&mut rng);
                let [states, ever] = [OodQuantile::States(share), OodQuantile::Episodes(share)]
                    .map(|b| g.threshold(b).unwrap());
                ood[0] += new.iter().filter(|&&d| d > states.distance).count() as f64 / new.len() as f64;
                ood[1] += f64::from(u8::from(new.iter().any(|&d| d > ever.distance)));
                bound[0] += states.probability;
                bound[1] += ever.probability;
            }
            for k in 0..2 {
                let (found, most) = (ood[k] / TRIALS as f64, bound[k] / TRIALS as f64);
                let three = 3.0 * (most * (1.0 - most) / TRIALS as f64).sqrt();
                assert!(found <= most + three, "{n} episodes, {share}, {k}: {found} > {most}");
                // The bound is tight: exact for episodes, within the weight of one episode for states.
                let slack = [1.0 / (n as f64 + 1.0), 0.0][k];
                assert!(found >= most - slack - three, "{n} episodes, {share}, {k}: {found} < {most}");
            }
        }
    }
}

/// Random walks, each episode around a point of its own.
fn random_walks(n: usize, rng: &mut Rng) -> Demonstrations {
    let (mut states, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut at = [rng.normal(), rng.normal()];
        for _ in 0..10 + rng.below(10) {
            at.iter_mut().for_each(|x| *x += 0.2 * rng.normal());
            states.extend(at.map(|x| x as f32));
        }
        ends.push(states.len() / 2);
    }
    let n_steps = states.len() / 2;
    let parts = Parts { n_obs: 2, n_act: 1, states, actions: vec![0.0; n_steps], rewards: None, ends };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

#[test]
fn leave_one_episode_out_calibration_keeps_the_bound_on_new_episodes() {
    const TRIALS: usize = 600;
    let mut rng = Seed(3).rng();
    for by in [SelectionMethod::All, SelectionMethod::Kcenter] {
        let (mut ood, mut bound) = ([0.0; 2], [0.0; 2]);
        for _ in 0..TRIALS {
            let data = random_walks(12, &mut rng);
            let settings =
                LearnSettings { selection: by, amount: Amount::Fraction(0.3), ..Default::default() };
            let book = learn(&data, &settings).unwrap().codebook;
            let g = OodCalibration::leave_one_episode_out(&book, &data).unwrap();
            assert_eq!(g.episodes().len(), 12);
            let new = book.distances(&random_walks(1, &mut rng));
            let [states, ever] =
                [OodQuantile::States(0.8), OodQuantile::Episodes(0.8)].map(|b| g.threshold(b).unwrap());
            ood[0] += new.iter().filter(|&&d| d > states.distance).count() as f64 / new.len() as f64;
            ood[1] += f64::from(u8::from(new.iter().any(|&d| d > ever.distance)));
            bound[0] += states.probability;
            bound[1] += ever.probability;
        }
        for k in 0..2 {
            let (found, most) = (ood[k] / TRIALS as f64, bound[k] / TRIALS as f64);
            let three = 3.0 * (most * (1.0 - most) / TRIALS as f64).sqrt();
            assert!(found <= most + three, "{by}, {k}: {found} > {most}");
        }
    }
}

#[test]
fn an_episode_is_calibrated_against_the_memories_of_other_episodes() {
    let data = random_walks(3, &mut Seed(4).rng());
    let book = learn(&data, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    let mut buffer = book.scaled_buffer();
    for e in OodCalibration::leave_one_episode_out(&book, &data).unwrap().episodes() {
        let k = e.number as usize;
        let mut naive: Vec<f32> = data
            .episode(k)
            .map(|i| {
                book.scale(&data.state(i), &mut buffer);
                let near = book.retrieve_many(&buffer, book.len());
                near.into_iter().find(|r| book.source(r.memory).episode != e.number).unwrap().distance
            })
            .collect();
        naive.sort_by(f32::total_cmp);
        assert_eq!(e.distances, naive);
    }
    // The memories' own episodes are not new.
    let refused = OodCalibration::from_new_episodes(&book, &data).unwrap_err().to_string();
    assert!(refused.contains("chosen from these data") && refused.contains("3 episodes"), "{refused}");
    // All memories are of one episode: the other episodes have distances, that one has none.
    let one = learn(&data.select(&[1]), &LearnSettings::default()).unwrap().codebook;
    let episode_numbers: Vec<u32> = OodCalibration::leave_one_episode_out(&one, &data)
        .unwrap()
        .episodes()
        .iter()
        .map(|e| e.number)
        .collect();
    assert_eq!(episode_numbers, [0, 2]);
    assert_eq!(OodCalibration::leave_one_episode_out(&one, &data.select(&[1])), None);
}
