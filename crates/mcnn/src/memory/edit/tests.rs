use super::*;
use crate::{
    data::{ActionRange, Parts},
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
};

fn data(seed: u64, ends: &[usize]) -> Demonstrations {
    let (n, mut rng) = (*ends.last().unwrap(), Seed(seed).rng());
    let states = (0..n * 3).map(|_| rng.normal() as f32).collect();
    let actions = (0..n * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: ends.to_vec() };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn book(data: &Demonstrations, count: usize) -> Codebook {
    learn(data, &LearnSettings { amount: Amount::Count(count), ..Default::default() }).unwrap().codebook
}

#[test]
fn added_memories_are_retrieved_and_the_others_stay() {
    let (old, new) = (data(1, &[30, 70]), data(2, &[10, 25]));
    let before = book(&old, 20);
    let steps: Vec<usize> = (3..17).collect();
    let (after, added) = before.with_steps(&new, &steps).unwrap();
    assert_eq!(added, Added { added: 14, replaced: 0, repeated: 0, first_episode: 2 });
    assert_eq!((after.len(), &after.parts().scale), (34, &before.parts().scale));
    let mut state = after.scaled_buffer();
    for (place, &i) in steps.iter().enumerate() {
        after.scale(&new.state(i), &mut state);
        let found = after.retrieve(&state);
        assert_eq!((found.memory, found.distance), (20 + place, 0.0));
        assert_eq!(after.action(found.memory), &new.action(i)[..]);
        let Step { episode, step } = new.step(i);
        assert_eq!(after.source(found.memory), Step { episode: 2 + episode, step });
    }
    // For every other state the nearer one is retrieved, the previous memory or an added one.
    for i in 0..old.n_steps() {
        after.scale(&old.state(i), &mut state);
        let (was, is) = (before.retrieve(&state), after.retrieve(&state));
        assert!(is == was || (is.memory >= 20 && is.distance < was.distance));
    }
    // Removing the added memories restores the codebook.
    let back = after.without_memories(|m| after.source(m).episode >= 2).unwrap();
    assert_eq!(back.parts(), before.parts());
    assert!(before.without_memories(|_| true).is_err() && before.with_steps(&new, &[]).is_err());
}

#[test]
fn the_graph_connects_added_memories() {
    let (old, new) = (data(1, &[30, 70]), data(2, &[10, 25]));
    let (after, _) = book(&old, 20).with_steps(&new, &(0..25).collect::<Vec<_>>()).unwrap();
    let has_edge = |m: u32| after.parts().edges.iter().any(|e| e.contains(&m));
    assert!((20..45).all(has_edge), "every added memory has an edge");
    assert!(after.parts().edges.is_sorted() && after.parts().edges.windows(2).all(|e| e[0] != e[1]));
    let step = |a: u32, b: u32| after.parts().edges.contains(&[a, b]);
    assert!(step(20, 21) && step(28, 29) && !step(29, 30), "along an episode, and not into the next");
}

#[test]
fn a_correction_in_the_state_of_a_memory_replaces_it() {
    let old = data(1, &[30]);
    let all = learn(&old, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    // The same states with negated actions; one of them twice.
    let mut parts = Parts::from(old.clone());
    parts.actions.iter_mut().for_each(|a| *a = -*a);
    parts.states.extend_from_within(12..15);
    parts.actions.extend([0.5, 0.25]);
    parts.ends = vec![30, 31];
    let new = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let (after, added) = all.with_steps(&new, &[2, 4, 30]).unwrap();
    assert_eq!(added, Added { added: 2, replaced: 2, repeated: 1, first_episode: 1 });
    assert_eq!(after.len(), 30);
    let mut state = after.scaled_buffer();
    for (i, expected) in [(2, [-old.action(2)[0], -old.action(2)[1]]), (4, [0.5, 0.25])] {
        after.scale(&old.state(i), &mut state);
        assert_eq!(after.action(after.retrieve(&state).memory), expected);
    }
}

#[test]
fn memories_with_future_actions_are_added_with_theirs() {
    let (old, new) = (data(1, &[30]), data(2, &[4, 9]));
    let before = book(&old, 8).with_future_actions(&old, 3).unwrap();
    let (after, _) = before.with_steps(&new, &[1, 3, 8]).unwrap();
    for (place, rows) in [[1, 2, 3], [3, 3, 3], [8, 8, 8]].into_iter().enumerate() {
        for (ahead, row) in rows.into_iter().enumerate() {
            assert_eq!(after.action_after(8 + place, ahead), &new.action(row)[..], "{place} {ahead}");
        }
    }
    assert_eq!(after.without_memories(|m| m >= 8).unwrap().parts(), before.parts());
}

#[test]
fn wrong_actions_are_found_among_right_ones() {
    // Actions that follow the state smoothly, with noise; those of one memory in twenty are any.
    let mut rng = Seed(5).rng();
    let n = 600;
    let states: Vec<f32> = (0..n * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let wrong: Vec<usize> = rng.permutation(n).into_iter().take(30).collect();
    let actions = (0..n)
        .flat_map(|i| {
            let (x, y) = (f64::from(states[2 * i]), f64::from(states[2 * i + 1]));
            let noise = [0.03 * rng.normal(), 0.03 * rng.normal()];
            let right = [0.5 * x + 0.2 * y + noise[0], 0.3 * x * y + noise[1]];
            let any = [rng.between(-1.0, 1.0), rng.between(-1.0, 1.0)];
            (if wrong.contains(&i) { any } else { right }).map(|a| a as f32)
        })
        .collect();
    let parts = Parts { n_obs: 2, n_act: 2, states, actions, rewards: None, ends: vec![n] };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let all = learn(&data, &LearnSettings { selection: SelectionMethod::All, ..Default::default() })
        .unwrap()
        .codebook;
    let found = all.disagreements();
    assert!(found.len() == n && found.windows(2).all(|d| d[0].score >= d[1].score));
    let called: Vec<usize> =
        found.iter().take_while(|d| d.score > Codebook::DISAGREEMENT_THRESHOLD).map(|d| d.memory).collect();
    let right = called.iter().filter(|m| wrong.contains(m)).count();
    assert!(right as f64 >= 0.9 * called.len() as f64, "precision: {right} of {}", called.len());
    assert!(right >= 24, "recall: {right} of 30");
    // A single memory has no neighbor to disagree with.
    let one = learn(&data, &LearnSettings { amount: Amount::Count(1), ..Default::default() }).unwrap();
    assert_eq!(one.codebook.disagreements()[0].score, 0.0);
}
