use super::*;
use crate::data::Scale;

/// Episodes 0 and 3 are the same; in 1, states stand still twice; every episode has two or three steps.
fn parts() -> Parts {
    Parts {
        n_obs: 1,
        n_act: 2,
        states: vec![1.0, 2.0, 5.0, 5.0, 5.0, 5.0, 1.0, 1.0, 2.0],
        actions: vec![
            0.0, 0.5, 0.0, 0.999, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.2, 0.0, 0.5, 0.0, 0.999,
        ],
        rewards: Some(vec![1.0, 2.0, 0.0, 0.0, 0.0, 1.0, 1.0, -1.0, 0.5]),
        ends: vec![2, 5, 7, 9],
    }
}

#[test]
fn an_inspection_has_the_statistics_of_the_data() {
    let found = Inspection::of(None, parts()).unwrap();
    assert_eq!((found.episodes, found.steps), (4, 9));
    let lengths = Lengths { min: 2, median: 2.0, max: 3 };
    assert_eq!(found.lengths, lengths);
    let d = found.states[0];
    assert_eq!((d.min, d.max, d.mean, d.not_finite), (1.0, 5.0, 3.0, 0));
    assert!((d.std - (30.0_f64 / 9.0).sqrt()).abs() < 1e-12);
    assert_eq!((&found.constant_states[..], &found.constant_actions[..]), (&[][..], &[0][..]));
    assert_eq!((found.actions_at_limit, found.actions_outside), (3.0 / 18.0, 0.0));
    assert_eq!(found.duplicates, [[0, 3]]);
    assert_eq!(
        found.frozen,
        // The state also repeats from episode 1 to 2: other episodes, no repetition.
        Frozen { share: 2.0 / 5.0, longest: 3, at: Step { episode: 1, step: 0 } }
    );
    let returns = found.returns.unwrap();
    assert_eq!(returns.each, [3.0, 0.0, 2.0, -0.5]);
    assert_eq!((returns.min, returns.mean, returns.max), (-0.5, 1.125, 3.0));
    let data = Demonstrations::new(parts(), ActionRange::Refuse).unwrap();
    assert_eq!(found.fingerprint, Some(data.fingerprint()));
    assert_eq!(found.refused, None);
}

#[test]
fn data_that_cannot_be_used_is_reported_with_the_reason() {
    let mut p = parts();
    p.states[0] = f32::NAN;
    p.states[7] = f32::NAN;
    p.actions[0] = 2.0;
    let found = Inspection::of(None, p).unwrap();
    assert_eq!(found.not_finite, 2);
    assert_eq!((found.states[0].not_finite, found.states[0].min), (2, 1.0));
    assert_eq!((found.actions_at_limit, found.actions_outside), (3.0 / 18.0, 1.0 / 18.0));
    assert_eq!(found.fingerprint, None);
    assert!(found.refused.unwrap().contains("states, step 0"));
    let mut p = parts();
    p.actions[14] = -0.0; // equal as a number, another episode as bits
    assert_eq!(Inspection::of(None, p).unwrap().duplicates, [[0; 2]; 0]);
    let mut p = parts();
    p.ends.pop();
    assert!(Inspection::of(None, p).is_err());
}

#[test]
fn medians_lie_between_and_the_first_of_equal_runs_is_reported() {
    let mut p = parts();
    p.states = vec![0.0, 7.0, 7.0, 1.0, 1.0, 2.0, 3.0, 3.0, 4.0];
    p.ends = vec![1, 3, 6, 9];
    let found = Inspection::of(None, p).unwrap();
    assert_eq!(found.lengths.median, 2.5);
    let at = Step { episode: 1, step: 0 };
    assert_eq!((found.frozen.longest, found.frozen.at), (2, at));
}

#[test]
fn dimensions_of_noise_are_told_from_constant_ones_and_from_signals() {
    let n = 400;
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    let parts = Parts {
        n_obs: 5,
        n_act: 2,
        // The factors of `sign` are the standard deviations.
        states: (0..n)
            .flat_map(|i| [4e-7 * sign(i), 5.0, 2.0 + 9e-3 * sign(i), 1.1e-2 * sign(i), 3.0 * sign(i)])
            .collect(),
        actions: (0..n).flat_map(|i| [1e-4 * sign(i), 0.5 * sign(i)]).collect(),
        rewards: None,
        ends: vec![n],
    };
    let found = Inspection::of(None, parts.clone()).unwrap();
    assert_eq!((found.constant_states, &found.near_constant_states), (vec![1], &vec![0, 2]));
    let of_the_scale = Scale::near_constant(&Demonstrations::new(parts, ActionRange::Refuse).unwrap());
    assert_eq!(found.near_constant_states, of_the_scale.into_iter().map(|(i, _)| i).collect::<Vec<_>>());
    assert_eq!((found.constant_actions, found.near_constant_actions), (vec![], vec![0]));
}

#[test]
fn nothing_finite_has_no_mean() {
    let mut p = parts();
    p.states.fill(f32::INFINITY);
    let found = Inspection::of(None, p).unwrap();
    assert!(found.states[0].mean.is_nan() && found.states[0].min.is_nan());
    assert_eq!(found.constant_states, [0; 0]);
    assert!(serde_json::to_string(&found).unwrap().contains("\"mean\":null"));
}
