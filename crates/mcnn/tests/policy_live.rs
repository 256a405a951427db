//! Replacing the memories of a policy while episodes run.

use std::sync::Arc;

use mcnn::{
    act::Act as _,
    backbone::{Mlp, Network},
    data::{Scale, Step},
    envelope::{Activation, Envelope},
    memory::{Codebook, CodebookParts},
    policy::{Guard, LivePolicy, Policy, Response, Session},
    seed::Seed,
};

const ACT: usize = 16;
const N: u32 = 200;

/// Memories at 0, 1, 2 and so on, all with one action.
fn book(action: f32) -> Codebook {
    Codebook::new(CodebookParts::new(
        Scale { mean: vec![0.0], std: vec![1.0], angles: vec![] },
        (0..N).map(|i| i as f32).collect(),
        vec![action; N as usize * ACT],
        (0..N).map(|i| Step { episode: i, step: 0 }).collect(),
    ))
    .unwrap()
}

fn nearest_neighbor(action: f32) -> Policy {
    let envelope = Envelope { lambda: 0.0, ..Envelope::default() };
    Policy::new(book(action), envelope, None, 1).unwrap()
}

#[test]
fn an_episode_uses_the_new_memories_from_its_next_action_on() {
    let live = LivePolicy::new(nearest_neighbor(-0.5));
    let mut session = live.start(Seed(0));
    let mut action = [0.0; ACT];
    let mut act = |state: f32| {
        let decision = session.act(&[state], &mut action).unwrap();
        (action, decision.memory.unwrap())
    };
    assert_eq!(act(3.9), ([-0.5; ACT], 4));
    live.replace(nearest_neighbor(0.25)).unwrap();
    assert_eq!(act(188.2), ([0.25; ACT], 188));
    // Fewer memories than the number of the previously retrieved one.
    let small = nearest_neighbor(0.75).codebook().without_memories(|m| m > 1).unwrap();
    live.replace(nearest_neighbor(0.0).with_codebook(small).unwrap()).unwrap();
    assert_eq!(act(4.0), ([0.75; ACT], 1));
    assert_eq!(live.current().codebook().len(), 2);
}

#[test]
fn the_network_continues_with_other_memories() {
    let envelope =
        Envelope { lambda: 0.7, amplitude: 1.0, activation: Activation::Tanh, ..Envelope::default() };
    let network = || Network::from(Mlp::random(&[1, 8, ACT], Seed(3)));
    let [old, new] = [-0.5, 0.5].map(|a| Policy::new(book(a), envelope, network(), 1).unwrap());
    let live = LivePolicy::new(old.clone());
    let mut session = live.start(Seed(0));
    let (mut found, mut expected) = ([0.0; ACT], [0.0; ACT]);
    for (policy, state) in [(&old, 0.4), (&old, 2.6), (&new, 2.9), (&new, 8.0)] {
        if std::ptr::eq(policy, &new) && state == 2.9 {
            live.replace(new.clone()).unwrap();
        }
        session.act(&[state], &mut found).unwrap();
        policy.session().act(&[state], &mut expected).unwrap();
        assert_eq!(found, expected);
    }
    let other =
        Policy::new(book(0.5), envelope, Network::from(Mlp::random(&[1, 8, ACT], Seed(4))), 1).unwrap();
    assert!(live.replace(other).unwrap_err().to_string().contains("same network"));
    assert_eq!(live.current().backbone(), Some(&network()));
}

#[test]
fn every_action_is_computed_by_one_version() {
    let live = LivePolicy::new(nearest_neighbor(-0.5));
    // Until both versions have acted several times in every thread.
    let act = &|k: u64| {
        let (mut session, mut seen) = (live.start(Seed(k)), [0_u32; 2]);
        for _ in 0..2_000_000 {
            if seen.iter().all(|&n| n >= 20) {
                break;
            }
            let mut action = [f32::NAN; ACT];
            session.act(&[k as f32], &mut action).unwrap();
            assert!(action.iter().all(|&a| a == action[0]), "{action:?}");
            seen[usize::from(action[0] > 0.0)] += 1;
            std::thread::yield_now();
        }
        assert!(seen.iter().all(|&n| n >= 20), "versions that acted: {seen:?}");
    };
    std::thread::scope(|scope| {
        let acting: Vec<_> = (0..3).map(|k| scope.spawn(move || act(k))).collect();
        for action in [0.5, -0.5].into_iter().cycle() {
            live.replace(nearest_neighbor(action)).unwrap();
            std::thread::yield_now();
            if acting.iter().all(|a| a.is_finished()) {
                break;
            }
        }
    });
}

#[test]
fn a_shared_session_keeps_its_policy_and_acts_as_a_borrowed_one() {
    let envelope = Envelope { lambda: 0.7, ..Envelope::default() };
    let policy = Policy::new(book(0.5), envelope, Network::from(Mlp::random(&[1, 8, ACT], Seed(3))), 1);
    let policy = Arc::new(policy.unwrap());
    let (mut found, mut expected) = ([0.0; ACT], [0.0; ACT]);
    policy.session_with_seed(Seed(2)).act(&[2.6], &mut expected).unwrap();
    let mut session = Session::shared(policy, Seed(2)); // the last reference
    session.act(&[2.6], &mut found).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn a_shared_session_continues_with_a_version_and_its_guard_and_refuses_another_network() {
    let envelope = Envelope { lambda: 0.7, ..Envelope::default() };
    let of = |action: f32, seed: u64| {
        let network = Network::from(Mlp::random(&[1, 8, ACT], Seed(seed)));
        Arc::new(Policy::new(book(action), envelope, network, 1).unwrap())
    };
    let mut session = Session::shared(of(0.5, 3), Seed(2));
    let (mut found, mut expected) = ([0.0; ACT], [0.0; ACT]);
    session.act(&[2.6], &mut found).unwrap();
    let guard = Guard { response: Response::Warn, threshold: 0.1 };
    session.continue_with(of(-0.5, 3), Some(guard)).unwrap();
    assert!(session.act(&[2.6], &mut found).unwrap().ood);
    of(-0.5, 3).session().act(&[2.6], &mut expected).unwrap();
    assert_eq!(found, expected);
    assert!(session.continue_with(of(0.5, 4), None).unwrap_err().to_string().contains("same network"));
    assert!(session.act(&[2.6], &mut found).unwrap().ood, "the session is unchanged");
    assert_eq!(found, expected);
}
