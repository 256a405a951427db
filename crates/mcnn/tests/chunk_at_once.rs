//! Whole chunks from one observation, compared with a session that acts step by step.

use mcnn::{
    backbone::{Network, Unet, UnetSettings},
    data::{
        ActionRange, ActionScale, ActionSettings, ActionUnits, Demonstrations, DimensionNames, Parts,
        RelativeTo,
    },
    envelope::Envelope,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::{ActingSettings, ConstrainAt, Guard, Policy, Response},
    seed::{Rng, Seed},
};

const OBS: usize = 3;
const ACT: usize = 2;
const LEN: usize = 4;
const HORIZON: usize = 6;

fn parts() -> Parts {
    let mut rng = Seed(0).rng();
    let states = (0..40 * OBS).map(|_| rng.normal() as f32).collect();
    let actions = (0..40 * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends: vec![17, 40] }
}

fn data() -> Demonstrations {
    Demonstrations::new(parts(), ActionRange::Refuse).unwrap()
}

/// A policy of which every state, or each of 15, is a memory.
fn policy(constrain_at: ConstrainAt, every_state: bool) -> Policy {
    let (amount, selection) = match every_state {
        true => (Amount::Fraction(1.0), SelectionMethod::All),
        false => (Amount::Count(15), SelectionMethod::Random),
    };
    let settings = LearnSettings { amount, selection, ..Default::default() };
    let mut book = learn(&data(), &settings).unwrap().codebook;
    if constrain_at != ConstrainAt::Executed {
        book = book.with_future_actions(&data(), HORIZON).unwrap();
    }
    with_book(book, constrain_at)
}

fn with_book(book: Codebook, constrain_at: ConstrainAt) -> Policy {
    let settings =
        UnetSettings { horizon: HORIZON, executed: LEN, steps: 20, sample_steps: 3, ..Default::default() };
    let unet = Network::from(Unet::random(OBS, &[8, 16], ACT, settings, Seed(5)));
    let envelope = Envelope { lambda: 0.4, ..Envelope::default() };
    Policy::ensemble(book, vec![unet], ActingSettings { envelope, constrain_at, ..Default::default() })
        .unwrap()
}

fn observation(rng: &mut Rng) -> [f32; OBS] {
    [0; OBS].map(|_| (1.3 * rng.normal()) as f32)
}

#[test]
fn a_chunk_has_the_actions_that_a_session_takes_one_by_one_if_one_memory_constrains_them() {
    let policy = policy(ConstrainAt::Denoising, false);
    assert_eq!(policy.chunk_len(), LEN);
    for guard in [Response::Warn, Response::Memory, Response::Hold] {
        let guard = Guard { response: guard, threshold: 1.5 };
        let [mut at_once, mut one_by_one] = [0; 2].map(|_| policy.session().guarded(guard));
        let (mut rng, mut ood) = (Seed(1).rng(), [0; 2]);
        for _ in 0..20 {
            let observation = observation(&mut rng);
            let mut actions = [9.0; LEN * ACT];
            let constrained = at_once.act_chunk(&observation, &mut actions).unwrap();
            ood[usize::from(constrained.ood)] += 1;
            // The window has one observation more than the network sees.
            for (step, found) in actions.chunks_exact(ACT).enumerate() {
                let mut expected = [0.0; ACT];
                let decision = one_by_one.act(&observation, &mut expected).unwrap();
                assert_eq!((decision.chunk_step, decision.ood), (step, constrained.ood));
                assert_eq!(decision.region, constrained.region);
                // The guard of single steps knows no chunk: its memory's own action is that of every step.
                if !(constrained.ood && guard.response != Response::Warn && step > 0) {
                    assert_eq!(found, expected, "{guard:?}, step {step}");
                }
            }
            for _ in 1..LEN {
                at_once.observe(&observation).unwrap();
            }
        }
        assert!(ood.iter().all(|&n| n > 3), "{ood:?}");
    }
}

#[test]
fn later_actions_are_constrained_by_the_memories_demonstrated_after_the_first() {
    // Every state is a memory: the memories demonstrated later are the future actions.
    let executed = policy(ConstrainAt::Executed, true);
    let sampled = policy(ConstrainAt::Sampled, true);
    let mut rng = Seed(2).rng();
    for response in [Response::Warn, Response::Memory] {
        let guard = Guard { response, threshold: 1.2 };
        let (mut a, mut b) = (executed.session().guarded(guard), sampled.session().guarded(guard));
        for _ in 0..30 {
            let observation = observation(&mut rng);
            let (mut found, mut expected) = ([0.0; LEN * ACT], [1.0; LEN * ACT]);
            let first = a.act_chunk(&observation, &mut found).unwrap();
            assert_eq!(first, b.act_chunk(&observation, &mut expected).unwrap());
            assert_eq!(found, expected);
            let source = executed.codebook().source(first.retrieval.memory);
            if first.ood && response == Response::Memory {
                let demonstrated = data();
                let row = demonstrated.find(source).unwrap();
                let end = if row < 17 { 17 } else { 40 };
                let actions = (0..LEN).flat_map(|k| demonstrated.action((row + k).min(end - 1)).to_vec());
                assert_eq!(found.to_vec(), actions.collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn without_a_later_memory_the_last_known_one_constrains() {
    let policy = policy(ConstrainAt::Executed, false);
    let book = policy.codebook();
    let mut gaps = 0;
    for memory in 0..book.len() {
        let mut found = [0.0; LEN * ACT];
        // In a memory's state the action is the memory's.
        policy.session().act_chunk(book.state(memory), &mut found).unwrap();
        let (source, mut last) = (book.source(memory), memory);
        for (ahead, action) in found.chunks_exact(ACT).enumerate() {
            let later = (0..book.len()).find(|&m| {
                let other = book.source(m);
                (other.episode, other.step) == (source.episode, source.step + ahead as u32)
            });
            gaps += usize::from(later.is_none());
            last = later.unwrap_or(last);
            assert_eq!(action, book.action(last), "memory {memory}, {ahead} steps later");
        }
    }
    assert!(gaps > 5);
}

#[test]
fn actions_relative_to_the_state_are_given_one_at_a_time() {
    let settings = ActionSettings {
        scale: ActionScale::Range,
        relative_to: RelativeTo::Dimensions(vec![Some(0), None]),
        angles: Vec::new(),
    };
    let mut parts = parts();
    let units = ActionUnits::fit(&parts, &DimensionNames::default(), &settings).unwrap();
    units.to_scaled(&parts.states, OBS, &mut parts.actions);
    let scaled = Demonstrations::new(parts, ActionRange::Refuse).unwrap().with_units(units);
    let book = learn(&scaled, &LearnSettings { amount: Amount::Count(15), ..Default::default() }).unwrap();
    let policy = with_book(book.codebook, ConstrainAt::Executed);
    assert_eq!(policy.chunk_len(), 1);
    let (mut found, mut expected) = ([0.0; ACT], [1.0; ACT]);
    policy.session().act_chunk(&[0.1, 0.2, 0.3], &mut found).unwrap();
    policy.session().act(&[0.1, 0.2, 0.3], &mut expected).unwrap();
    assert_eq!(found, expected);
}
