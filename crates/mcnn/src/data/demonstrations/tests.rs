use super::*;
use crate::seed::Seed;

fn parts() -> Parts {
    Parts {
        n_obs: 2,
        n_act: 1,
        states: (0..12).map(|v| v as f32).collect(),
        actions: vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        rewards: Some(vec![1.0; 6]),
        ends: vec![1, 3, 6],
    }
}

fn data() -> Demonstrations {
    Demonstrations::new(parts(), ActionRange::Refuse).unwrap()
}

#[test]
fn steps_have_their_source_before_and_after_a_selection() {
    let all = data();
    assert_eq!(all.step(4), Step { episode: 2, step: 1 });
    let part = all.select(&[2, 0]);
    assert_eq!((part.n_steps(), part.n_episodes()), (4, 2));
    assert_eq!(part.state(1), all.state(4));
    assert_eq!(part.step(1), Step { episode: 2, step: 1 });
    assert_eq!(part.step(3), Step { episode: 0, step: 0 });
    assert_eq!(part.find(Step { episode: 0, step: 0 }), Some(3));
    assert_eq!(part.find(Step { episode: 0, step: 1 }), None);
    assert_eq!(part.find(Step { episode: 1, step: 0 }), None);
}

#[test]
fn names_stay_with_every_selection_and_do_not_change_the_fingerprint() {
    let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let names = DimensionNames { state_names: list(&["x", "y"]), action_names: list(&["turn"]) };
    let all = data().with_names(names.clone()).unwrap();
    assert_eq!(all.fingerprint(), data().fingerprint());
    assert_eq!(all.select(&[1]).names(), &names);
    assert_eq!(all.drop_last().unwrap().names(), &names);
    let (train, validation) = all.split(0.5, Seed(0));
    assert_eq!((train.names(), validation.unwrap().names()), (&names, &names));
    let wrong = DimensionNames { state_names: list(&["x"]), ..names };
    assert!(data().with_names(wrong).unwrap_err().to_string().contains("expected: 2 names"));
}

#[test]
fn dropping_last_steps_keeps_the_episodes_numbers() {
    let part = data().drop_last().unwrap(); // of 1, 2 and 3 steps
    assert_eq!((part.n_steps(), part.n_episodes()), (3, 2));
    assert_eq!(part.step(0), Step { episode: 1, step: 0 });
    assert_eq!(part.step(2), Step { episode: 2, step: 1 });
    assert_eq!(part.state(2)[..], data().state(4)[..]);
    assert!(data().select(&[0]).drop_last().is_none());
}

#[test]
fn a_split_consists_of_whole_episodes() {
    let (train, validation) = data().split(0.1, Seed(3));
    let validation = validation.unwrap();
    assert_eq!((train.n_episodes(), validation.n_episodes()), (2, 1));
    assert_eq!(train.n_steps() + validation.n_steps(), 6);
    assert!(data().split(0.0, Seed(3)).1.is_none());
    assert_eq!(data().split(1.0, Seed(3)).0.n_episodes(), 1);
}

#[test]
fn the_fingerprint_depends_on_states_actions_and_ends_but_not_on_rewards() {
    let original = data().fingerprint();
    let changed = |change: fn(&mut Parts)| {
        let mut p = parts();
        change(&mut p);
        Demonstrations::new(p, ActionRange::Refuse).unwrap().fingerprint()
    };
    assert_eq!(changed(|p| p.rewards = None), original);
    assert_ne!(changed(|p| p.states[11] = 0.0), original);
    assert_ne!(changed(|p| p.actions[5] = 0.0), original);
    assert_ne!(changed(|p| p.ends = vec![2, 3, 6]), original);
}

#[test]
fn unusable_parts_are_refused_with_the_place() {
    let refused = |change: fn(&mut Parts)| {
        let mut p = parts();
        change(&mut p);
        Demonstrations::new(p, ActionRange::Refuse).unwrap_err().to_string()
    };
    assert!(refused(|p| p.states[5] = f32::NAN).contains("states, step 2, dimension 1 (EPISODE:STEP 1:1)"));
    assert!(refused(|p| p.actions[5] = 1.5).contains("--clip-actions"));
    assert!(refused(|p| p.ends = vec![3, 3, 6]).contains("episode ends"));
    assert!(refused(|p| p.ends = vec![]).contains("episode ends"));
    assert!(refused(|p| p.ends = vec![0, 6]).contains("episode ends"));
    assert!(refused(|p| p.actions.truncate(5)).contains("6 values for 6 steps"));
    assert!(refused(|p| p.rewards = Some(vec![])).contains("rewards"));
    assert!(refused(|p| p.states.clear()).contains("no steps"));
    let mut p = parts();
    p.actions[5] = 1.5;
    assert_eq!(Demonstrations::new(p, ActionRange::Clip).unwrap().action(5)[..], [1.0]);
}
