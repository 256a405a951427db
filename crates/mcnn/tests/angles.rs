//! Angles in the state: they wrap in every distance and in relative actions, and nothing changes where there are none.

use mcnn::{
    calibration::OodCalibration,
    certify::{SearchBudget, bound_isolation},
    data::{
        ActionRange, ActionSettings, AngleChoice, Demonstrations, DimensionNames, Parts, RelativeTo, Units,
    },
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::Policy,
    seed::Seed,
    train::{Lambda, Run, TrainSettings},
};

/// An angle in (-180, 180].
fn wrapped(degrees: f32) -> f32 {
    degrees - 360.0 * ((degrees - 180.0) / 360.0).ceil()
}

/// Six episodes of an arm whose heading (dimension 1) turns on and on through 180 degrees, with a position and a still angle in radians
/// (dimension 2). The actions are the heading 4 degrees ahead and a speed.
fn arm() -> Parts {
    let (mut states, mut actions) = (Vec::new(), Vec::new());
    for episode in 0..6 {
        for t in 0..60 {
            let heading = 100.0 + 3.0 * t as f32 + 11.0 * episode as f32;
            let x = (0.05 * t as f32).sin() + 0.1 * episode as f32;
            states.extend([x, wrapped(heading), 3.1 + 0.05 * (t % 3) as f32]);
            actions.extend([wrapped(heading + 4.0 + (t % 5) as f32), x.cos()]);
        }
    }
    Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: (1..=6).map(|k| 60 * k).collect() }
}

fn read(parts: Parts, angles: &[&str]) -> Demonstrations {
    let settings = ActionSettings {
        relative_to: RelativeTo::Dimensions(vec![Some(1), None]),
        angles: angles.iter().map(|text| text.parse::<AngleChoice>().unwrap()).collect(),
        ..ActionSettings::default()
    };
    let names = DimensionNames::default();
    Demonstrations::scaled(parts, &names, &Units::Fitted(settings), ActionRange::Refuse).unwrap().0
}

const ANGLES: [&str; 2] = ["1:deg", "2:rad"];

fn trained(data: &Demonstrations, selection: SelectionMethod) -> Policy {
    let settings = LearnSettings {
        selection,
        amount: Amount::Count(80),
        epochs: 2,
        smooth_neighbors: 2,
        seed: Seed(1),
        ..LearnSettings::default()
    };
    let codebook = learn(data, &settings).unwrap().codebook;
    let settings =
        TrainSettings { hidden: vec![8], steps: 60, lambda: Lambda::Value(0.7), ..TrainSettings::default() };
    let mut run = Run::new(data, codebook, settings).unwrap();
    while run.step().is_some() {}
    run.policy()
}

fn acts(policy: &Policy, state: &[f32]) -> ([f32; 2], Vec<[f32; 2]>, f32) {
    let (mut session, mut action) = (policy.session(), [0.0; 2]);
    let constrained = session.act(state, &mut action).unwrap();
    (action, session.permissible_region(), constrained.retrieval.distance)
}

/// The distance by its definition, with cosine and sine in 64 bits.
fn naive_distance(book: &Codebook, a: &[f32], b: &[f32]) -> f64 {
    let scale = &book.parts().scale;
    let turn = [0.0, 360.0, std::f64::consts::TAU];
    let squares = (0..3).map(|i| {
        let [x, y] = [a[i], b[i]].map(f64::from);
        let chord = match i {
            0 => x - y,
            _ => 2.0 * (std::f64::consts::PI * (x - y) / turn[i]).sin(),
        };
        (chord / f64::from(scale.std[i])).powi(2)
    });
    squares.sum::<f64>().sqrt()
}

#[test]
fn whole_turns_of_a_state_change_no_action_beyond_rounding() {
    let data = read(arm(), &ANGLES);
    let mut rng = Seed(5).rng();
    for selection in [SelectionMethod::Gas, SelectionMethod::Kmeans, SelectionMethod::All] {
        let policy = trained(&data, selection);
        for _ in 0..200 {
            let state = [rng.between(-1.0, 2.0), rng.between(-180.0, 180.0), rng.between(2.8, 3.5)];
            let state = state.map(|v| v as f32);
            let (action, region, distance) = acts(&policy, &state);
            let turns = rng.below(7) as f32 - 3.0;
            for (dimension, period) in [(1, 360.0), (2, std::f32::consts::TAU)] {
                let mut turned = state;
                turned[dimension] += turns * period;
                let (other, other_region, other_distance) = acts(&policy, &turned);
                assert!((distance - other_distance).abs() < 1e-3, "{distance} {other_distance}");
                // Equal up to a turn at the very edge of it.
                let off = wrapped(action[0] - other[0]).abs();
                assert!(off < 0.05 && (action[1] - other[1]).abs() < 1e-3, "{state:?}: {action:?} {other:?}");
                for ((action, [low, high]), _) in other.iter().zip(&other_region).zip(&region) {
                    assert!(low <= action && action <= high, "{action} in {low} to {high}");
                }
            }
            assert!((-180.0..=180.0).contains(&action[0]), "{action:?}");
        }
    }
}

#[test]
fn a_path_through_half_a_turn_has_no_jump() {
    let policy = trained(&read(arm(), &ANGLES), SelectionMethod::All);
    let (mut before, mut without) = (None, 0.0_f32);
    let plain = trained(&read(arm(), &[]), SelectionMethod::All);
    for i in 0..400 {
        let state = [0.5, wrapped(178.0 + 0.01 * i as f32), 3.12];
        let (action, _, distance) = acts(&policy, &state);
        let (_, _, of_plain) = acts(&plain, &state);
        if let Some((last, far, of_plain_before)) = before {
            let jump: f32 = wrapped(action[0] - last);
            assert!(jump.abs() < 3.0 && f32::abs(distance - far) < 0.1, "{i}: {jump} {distance} {far}");
            without = without.max(f32::abs(of_plain - of_plain_before));
        }
        before = Some((action[0], distance, of_plain));
    }
    assert!(without > 0.05, "without angles the distance jumps: {without}");
}

#[test]
fn the_search_is_exact_and_its_distance_that_of_the_circle() {
    let data = read(arm(), &ANGLES);
    let book = learn(&data, &LearnSettings { seed: Seed(2), ..LearnSettings::default() }).unwrap().codebook;
    let mut state = book.scaled_buffer();
    let mut rng = Seed(6).rng();
    assert_eq!((book.n_obs(), book.n_features(), state.values().len()), (3, 5, 5));
    for _ in 0..300 {
        let at =
            [rng.between(-1.0, 2.0), rng.between(-400.0, 400.0), rng.between(-7.0, 7.0)].map(|v| v as f32);
        book.scale(&at, &mut state);
        let found = book.retrieve(&state);
        let naive = (0..book.len()).map(|m| naive_distance(&book, &at, book.state(m)));
        let least = naive.fold(f64::INFINITY, f64::min);
        assert!((f64::from(found.distance) - least).abs() < 1e-4 * (1.0 + least), "{found:?} {least}");
        let parts = book.contributions(&state, found.memory);
        assert_eq!(parts.len(), 3);
        assert!((parts.iter().sum::<f32>().sqrt() - found.distance).abs() < 1e-5);
    }
}

#[test]
fn the_bounds_of_a_box_with_angles_contain_the_distances_of_its_states() {
    let data = read(arm(), &ANGLES);
    let settings = LearnSettings { amount: Amount::Count(12), seed: Seed(3), ..LearnSettings::default() };
    let book = learn(&data, &settings).unwrap().codebook;
    let mut state = book.scaled_buffer();
    let mut rng = Seed(7).rng();
    for (low, high) in [([0.0, 150.0, 3.0], [0.4, 200.0, 3.2]), ([-0.5, -180.0, 3.1], [1.0, 180.0, 3.1])] {
        let bounds =
            bound_isolation(&book, &low, &high, SearchBudget { tolerance: 0.02, measurements: 400_000 });
        let mut most = 0.0_f32;
        for _ in 0..4000 {
            let at: Vec<f32> = (0..3).map(|i| rng.between(low[i].into(), high[i].into()) as f32).collect();
            book.scale(&at, &mut state);
            most = most.max(book.retrieve(&state).distance);
        }
        assert!(most <= bounds.upper, "{most} {bounds:?}");
        assert!(bounds.lower <= bounds.upper && bounds.lower >= 0.8 * most, "{most} {bounds:?}");
        assert!(bounds.tight, "{bounds:?}");
    }
}

#[test]
fn differences_of_angles_are_the_shorter_way_and_turned_back() {
    let parts = arm();
    let data = read(parts.clone(), &ANGLES);
    // Every heading is 4 to 8 degrees ahead: the whole range of the differences.
    let [center, half] = data.units().scales();
    assert!((center[0] - 6.0).abs() < 1e-3 && (half[0] - 2.0).abs() < 1e-3, "{center:?} {half:?}");
    for i in 0..data.n_steps() {
        let back = data.action_in_data_units(i);
        for (k, found) in back.iter().enumerate() {
            let recorded = parts.actions[2 * i + k];
            assert!((found - recorded).abs() < 1e-4, "{i}: {found} {recorded}");
        }
    }
    let plain = read(parts, &[]);
    assert!(plain.units().scales()[1][0] > 150.0, "without angles the difference jumps by a turn");
    // Recorded from 0 to 360 degrees, actions stay there.
    let mut positive = arm();
    for i in 0..positive.n_steps() {
        let [state, action] = [&mut positive.states[3 * i + 1], &mut positive.actions[2 * i]];
        *state = state.rem_euclid(360.0);
        *action = action.rem_euclid(360.0);
    }
    let data = read(positive.clone(), &ANGLES);
    assert_eq!(data.units().turn_centers(), [180.0, 0.0]);
    let back: Vec<f32> = (0..data.n_steps()).map(|i| data.action_in_data_units(i)[0]).collect();
    assert!(back.iter().zip(positive.actions.iter().step_by(2)).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn files_keep_angles_and_are_what_they_were_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    let data = read(arm(), &ANGLES);
    let policy = trained(&data, SelectionMethod::Gas);
    file::write_policy(&path, &policy).unwrap();
    let (back, _) = file::read_policy(&path).unwrap();
    assert_eq!(back.codebook().parts(), policy.codebook().parts());
    assert_eq!(back.codebook().units().angles().len(), 2);
    for i in (0..data.n_steps()).step_by(17) {
        assert_eq!(acts(&back, &data.state(i)), acts(&policy, &data.state(i)));
    }
    // Data of other angles are of another space.
    let error = back.codebook().check_space(&read(arm(), &["1:deg"])).unwrap_err().to_string();
    assert!(error.contains("state 2: an angle in radians"), "{error}");
    let plain = trained(&read(arm(), &[]), SelectionMethod::Gas);
    file::write_policy(&path, &plain).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(8).any(|w| w == b"\"angles\"") && !bytes.windows(4).any(|w| w == b"turn"));
    assert_eq!(plain.codebook().n_features(), 3);
}

#[test]
fn calibration_and_validation_use_the_distance_of_the_circle() {
    let data = read(arm(), &ANGLES);
    let book = learn(&data, &LearnSettings { selection: SelectionMethod::All, ..LearnSettings::default() });
    let book = book.unwrap().codebook;
    let calibration = OodCalibration::leave_one_episode_out(&book, &data).unwrap();
    let loo = book.retrieve_leave_one_episode_out(&data);
    for (i, retrieval) in loo.iter().enumerate() {
        let others = (0..book.len()).filter(|&m| book.source(m).episode != data.step(i).episode);
        let naive = others.map(|m| naive_distance(&book, &data.state(i), book.state(m)));
        let least = naive.fold(f64::INFINITY, f64::min);
        assert!((f64::from(retrieval.unwrap().distance) - least).abs() < 1e-4, "{i}");
    }
    let far = [0.5, 20.0, 0.0];
    let mut state = book.scaled_buffer();
    book.scale(&far, &mut state);
    assert!(calibration.quantile(book.retrieve(&state).distance) > 0.99);
}
