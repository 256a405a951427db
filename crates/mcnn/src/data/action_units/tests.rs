use super::*;
use crate::data::Parts;

/// Joint positions of two joints and a gripper command, as an arm records them; the state is the positions.
fn arm() -> (Parts, DimensionNames) {
    let n = 50;
    let states: Vec<f32> = (0..n).flat_map(|i| [i as f32, 90.0 - 2.0 * i as f32]).collect();
    let next = |i: usize| (i + 1).min(n - 1) as f32;
    let actions = (0..n).flat_map(|i| [90.0 - 2.0 * next(i), next(i) + 0.5, 100.0, (i % 2) as f32]).collect();
    let parts = Parts { n_obs: 2, n_act: 4, states, actions, rewards: None, ends: vec![n] };
    let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let names = DimensionNames {
        state_names: list(&["shoulder", "elbow"]),
        action_names: list(&["elbow", "shoulder", "lamp", "gripper"]),
    };
    (parts, names)
}

fn fit(scale: ActionScale, relative_to: RelativeTo) -> Result<ActionUnits> {
    let (parts, names) = arm();
    ActionUnits::fit(&parts, &names, &ActionSettings { scale, relative_to, angles: Vec::new() })
}

#[test]
fn scaled_actions_span_the_range_and_come_back() {
    let (parts, names) = arm();
    for relative_to in
        [RelativeTo::Absolute, RelativeTo::SameName, RelativeTo::Dimensions(vec![Some(1), None, None, None])]
    {
        let units = fit(ActionScale::Auto, relative_to.clone()).unwrap();
        let mut scaled = parts.actions.clone();
        units.to_scaled(&parts.states, 2, &mut scaled);
        for k in 0..4 {
            let column = || scaled.iter().skip(k).step_by(4).copied();
            let (low, high) = column().fold((9.0_f32, -9.0_f32), |(l, h), a| (l.min(a), h.max(a)));
            assert_eq!((low, high), if k == 2 { (0.0, 0.0) } else { (-1.0, 1.0) }, "{relative_to:?}, {k}");
        }
        for (i, action) in scaled.chunks(4).enumerate() {
            let back = units.action_to_data(action, &parts.states[2 * i..][..2]);
            for (back, recorded) in back.iter().zip(&parts.actions[4 * i..]) {
                assert!((back - recorded).abs() < 1e-4, "{back} {recorded}");
            }
        }
    }
    // Every difference but the last is -2, or 1.5 for the shoulder.
    let relative = fit(ActionScale::Range, RelativeTo::SameName).unwrap();
    assert_eq!(relative.relative_to(), [Some(1), Some(0), None, None]);
    assert_eq!(relative.scales()[0], [-1.0, 1.0, 100.0, 0.5]);
    assert_eq!(relative.scales()[1], [1.0, 0.5, 0.0, 0.5]);
    let described = relative.describe(&names);
    assert_eq!(described[0], "action 0 elbow: -2 to 0, relative to state 1 elbow");
    assert_eq!(described[2], "action 2 lamp: always 100");
}

#[test]
fn actions_in_range_are_left_alone_by_default() {
    let (mut parts, names) = arm();
    parts.actions.iter_mut().for_each(|a| *a /= 1000.0);
    let units = ActionUnits::fit(&parts, &names, &ActionSettings::default()).unwrap();
    assert!(units.is_identity() && units.describe(&names).is_empty());
    assert_eq!(units.action_to_data(&[0.5; 4], &[7.0; 2]), [0.5; 4]);
}

#[test]
fn quantiles_leave_out_the_tails_and_other_data_may_be_outside() {
    let (mut parts, names) = arm();
    parts.actions = (0..200).map(|i| if i < 4 { 1e6 } else { (i / 4) as f32 }).collect();
    let settings = ActionSettings { scale: ActionScale::Quantile, ..ActionSettings::default() };
    parts.states = vec![0.0; 100];
    let quantile = ActionUnits::fit(&Parts { ..parts.clone() }, &names, &settings).unwrap();
    assert_eq!(quantile.scales()[1][0], (1e6 - 1.0) / 2.0); // of 50 values, less than one is in a tail
    let many = Parts { actions: parts.actions.repeat(4), states: vec![0.0; 400], ends: vec![200], ..parts };
    let quantile = ActionUnits::fit(&many, &names, &settings).unwrap();
    // Of 200 values four are 1e6; the 99 % quantile cuts one.
    assert_eq!(quantile.scales()[0][0], (1e6 + 1.0) / 2.0);
    let mut other = vec![3e6, 25.0, 25.0, 25.0];
    quantile.to_scaled(&[0.0; 2], 2, &mut other);
    assert!(other[0] > 1.0);
}

#[test]
fn settings_that_cannot_be_followed_are_refused() {
    let refused = |scale, relative_to| fit(scale, relative_to).unwrap_err().to_string();
    let dimensions = |d: &[Option<usize>]| RelativeTo::Dimensions(d.to_vec());
    assert!(refused(ActionScale::None, RelativeTo::SameName).contains("range or quantile"));
    assert!(refused(ActionScale::Auto, dimensions(&[Some(0)])).contains("4 dimensions"));
    assert!(refused(ActionScale::Auto, dimensions(&[Some(0), None, Some(2), None])).contains("0 to 1"));
    let (parts, _) = arm();
    let settings = ActionSettings { relative_to: RelativeTo::SameName, ..ActionSettings::default() };
    let error = ActionUnits::fit(&parts, &DimensionNames::default(), &settings).unwrap_err().to_string();
    assert!(error.contains("--relative-to 0-6"), "{error}");
}
