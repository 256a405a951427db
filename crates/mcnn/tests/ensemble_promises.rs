//! Guarantees of ensembles, of retrieval-conditioned networks, and of the settings that change after training, for random
//! memories, networks and states.

use mcnn::{
    act::Act as _,
    backbone::{Architecture, BackboneKind, Network},
    data::{ActionRange, Demonstrations, Parts},
    envelope::{Activation, Envelope, Form},
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    policy::{ActingSettings, Combine, ConstrainAt, LivePolicy, Policy},
    seed::Seed,
};

const OBS: usize = 4;
const ACT: usize = 3;

fn data(seed: u64, episodes: usize) -> Demonstrations {
    let mut rng = Seed(seed).rng();
    let n = 20 * episodes;
    let states = (0..n * OBS).map(|_| rng.normal() as f32).collect();
    let actions = (0..n * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let ends = (1..=episodes).map(|k| 20 * k).collect();
    let parts = Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn memories(data: &Demonstrations, horizon: usize) -> Codebook {
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..LearnSettings::default()
    };
    learn(data, &settings).unwrap().codebook.with_future_actions(data, horizon).unwrap()
}

/// Every kind of backbone, small and fast.
fn architectures() -> Vec<Architecture> {
    let with = |name: &str, options: &[(&str, &str)]| {
        BackboneKind::named(name).unwrap().with_options(options).unwrap()
    };
    vec![
        with("mlp", &[]),
        with("retrieval", &[("retrieved", "5")]),
        with("diffusion", &[]),
        with("bet", &[("layers", "1"), ("heads", "2"), ("width", "8"), ("window", "3"), ("buckets", "4")]),
        with("unet", &[("diffusion-steps", "4"), ("sample-steps", "2")]),
        with("resmlp", &[("diffusion-steps", "4"), ("sample-steps", "2")]),
    ]
}

/// Networks of one architecture whose outputs are far too large.
fn networks(architecture: &Architecture, count: u64) -> Vec<Network> {
    let of = |k: u64| {
        let mut rng = Seed(k).fork("centers").rng();
        let centers: Vec<f32> =
            (0..architecture.buckets() * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
        let hidden = vec![8; architecture.default_hidden().len()];
        let mut tensors = architecture.random(OBS, &hidden, ACT, &centers, Seed(k)).save_tensors();
        for (name, (_, values)) in &mut tensors {
            if name != "centers" {
                values.iter_mut().for_each(|v| *v = *v * 10.0 + rng.normal() as f32 * 0.1);
            }
        }
        architecture.load_tensors(&tensors).unwrap()
    };
    (0..count).map(of).collect()
}

fn settings(lambda: f32, form: Form, constrain_at: ConstrainAt) -> ActingSettings {
    let envelope = Envelope { lambda, form, ..Envelope::default() };
    ActingSettings { envelope, constrain_at, ..ActingSettings::default() }
}

#[test]
fn every_action_of_every_ensemble_lies_in_the_box_of_the_memory_that_it_names() {
    let data = data(1, 3);
    let mut checked = 0;
    for architecture in architectures() {
        let book = memories(&data, architecture.horizons().prediction);
        for form in [Form::Mix, Form::Project] {
            for at in [ConstrainAt::Executed, ConstrainAt::Sampled, ConstrainAt::Denoising] {
                for combine in [Combine::Mean, Combine::Member] {
                    let acting = ActingSettings { combine, ..settings(0.7, form, at) };
                    let policy = Policy::ensemble(book.clone(), networks(&architecture, 3), acting).unwrap();
                    let mut session = policy.session_with_seed(Seed(9));
                    let mut rng = Seed(10).rng();
                    for step in 0..24 {
                        // Every third observation is a memory's own.
                        let state: Vec<f32> = match step % 3 {
                            0 => book.state(step).to_vec(),
                            _ => (0..OBS).map(|_| 2.0 * rng.normal() as f32).collect(),
                        };
                        let mut action = [9.0; ACT];
                        let constrained = session.act(&state, &mut action).unwrap();
                        let ahead = if at == ConstrainAt::Executed { 0 } else { constrained.chunk_step };
                        let memory_action = book.action_after(constrained.retrieval.memory, ahead);
                        for (a, m) in action.iter().zip(memory_action) {
                            let [low, high] = constrained.region.bounds(*m);
                            let what = format!("{architecture:?} {form:?} {at:?} {combine:?} step {step}");
                            assert!(low <= *a && *a <= high, "{what}: {a} outside [{low}, {high}]");
                        }
                        if at == ConstrainAt::Executed {
                            // The memory is that of the newest observation, by a search of all.
                            let mut scaled = book.scaled_buffer();
                            book.scale(&state, &mut scaled);
                            assert_eq!(constrained.retrieval, book.retrieve(&scaled));
                            if step % 3 == 0 {
                                assert_eq!(&action[..], book.action(step), "a memory's state, its action");
                            }
                        }
                        let mean = combine == Combine::Mean;
                        assert_eq!(constrained.member_std.is_some(), mean);
                        checked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(checked, architectures().len() * 2 * 3 * 2 * 24);
}

#[test]
fn what_an_explanation_shows_of_the_network_is_what_acts() {
    let data = data(4, 3);
    let book = memories(&data, 1);
    let members = networks(&architectures()[0], 3);
    let alone: Vec<Policy> = members
        .iter()
        .map(|member| {
            Policy::ensemble(
                book.clone(),
                vec![member.clone()],
                settings(0.7, Form::Project, ConstrainAt::Executed),
            )
        })
        .map(Result::unwrap)
        .collect();
    let amplitude = 1.5;
    let mut acting = settings(0.7, Form::Project, ConstrainAt::Executed);
    acting.envelope.amplitude = amplitude;
    let policy = Policy::ensemble(book.clone(), members, acting).unwrap();
    let (mut rng, mut beyond) = (Seed(6).rng(), 0);
    for _ in 0..20 {
        let state: Vec<f32> = (0..OBS).map(|_| 2.0 * rng.normal() as f32).collect();
        let explained = policy.explain(&state).unwrap();
        let own: Vec<_> = alone.iter().map(|policy| policy.explain(&state).unwrap()).collect();
        for (k, d) in explained.dimensions.iter().enumerate() {
            let outputs = own.iter().map(|x| x.dimensions[k].network_output.unwrap());
            let clamped = outputs.clone().map(|g| g.clamp(-1.0, 1.0)).sum::<f32>() / 3.0;
            let shown = d.network_action.unwrap();
            assert!((shown - amplitude * clamped).abs() < 1e-5, "{shown}, {clamped}");
            assert!((d.action - shown.clamp(d.low, d.high)).abs() < 1e-5, "it is what the box is applied to");
            beyond += usize::from(outputs.clone().any(|g| g.abs() > 1.0));
        }
    }
    assert!(beyond > 20, "networks whose outputs are clamped: {beyond}");
    let memory = policy.memories_alone(1).unwrap().explain(&[0.0; OBS]).unwrap();
    assert!(memory.dimensions.iter().all(|d| d.network_action.is_none()));
}

#[test]
fn an_ensemble_acts_on_the_mean_of_its_members_constrained_actions() {
    let data = data(2, 3);
    let book = memories(&data, 1);
    for architecture in architectures().into_iter().take(2) {
        let members = networks(&architecture, 4);
        let acting = settings(0.4, Form::Mix, ConstrainAt::Executed);
        let ensemble = Policy::ensemble(book.clone(), members.clone(), acting).unwrap();
        let mut rng = Seed(3).rng();
        for _ in 0..20 {
            let state: Vec<f32> = (0..OBS).map(|_| 2.0 * rng.normal() as f32).collect();
            let act = |policy: &Policy| {
                let mut action = vec![0.0; ACT];
                let constrained = policy.session().act(&state, &mut action).unwrap();
                (action, constrained)
            };
            let each: Vec<Vec<f32>> = members
                .iter()
                .map(|m| act(&Policy::ensemble(book.clone(), vec![m.clone()], acting).unwrap()).0)
                .collect();
            let (action, constrained) = act(&ensemble);
            let mut variance = 0.0;
            for (k, a) in action.iter().enumerate() {
                let mean = each.iter().map(|action| action[k]).sum::<f32>() / 4.0;
                assert!((a - mean).abs() < 1e-6, "{architecture:?}: {a} {mean}");
                variance += each.iter().map(|action| (action[k] - mean).powi(2)).sum::<f32>() / 4.0;
            }
            // The members' actions before they are constrained differ by 1 / (1 - w) as much.
            let std = (variance / ACT as f32).sqrt() / constrained.region.radius;
            assert!((constrained.member_std.unwrap() - std).abs() < 1e-5);
            let explained = ensemble.explain(&state).unwrap();
            assert_eq!((explained.members, explained.member_std), (4, constrained.member_std));
        }
    }
}

#[test]
fn one_member_is_drawn_for_every_prediction_and_all_are_drawn() {
    let data = data(4, 3);
    let book = memories(&data, 1);
    let members = networks(&architectures()[0], 3);
    let acting = ActingSettings {
        combine: Combine::Member,
        ..settings(f32::INFINITY, Form::Mix, ConstrainAt::Executed)
    };
    let ensemble = Policy::ensemble(book.clone(), members.clone(), acting).unwrap();
    assert!(ensemble.is_stochastic());
    let alone: Vec<Policy> = members
        .into_iter()
        .map(|member| Policy::ensemble(book.clone(), vec![member], acting).unwrap())
        .collect();
    assert!(!alone[0].is_stochastic());
    let (mut session, mut drawn) = (ensemble.session(), [0; 3]);
    let mut rng = Seed(5).rng();
    for _ in 0..60 {
        let state: Vec<f32> = (0..OBS).map(|_| 0.05 * rng.normal() as f32).collect();
        let mut action = [0.0; ACT];
        session.act(&state, &mut action).unwrap();
        let of = |policy: &Policy| {
            let mut action = [0.0; ACT];
            policy.session().act(&state, &mut action).unwrap();
            action
        };
        let who = alone.iter().position(|policy| of(policy) == action).expect("the action of a member");
        drawn[who] += 1;
    }
    assert!(drawn.iter().all(|&count| count > 8), "{drawn:?}");
}

#[test]
fn a_retrieval_conditioned_policy_sees_the_nearest_memories_and_those_added_later() {
    let data = data(6, 3);
    let architecture = architectures().swap_remove(1);
    let network = networks(&architecture, 1).swap_remove(0);
    let acting = settings(f32::INFINITY, Form::Mix, ConstrainAt::Executed);
    let policy = Policy::ensemble(memories(&data, 1), vec![network.clone()], acting).unwrap();
    assert_eq!(policy.retrieved(), 5);
    let state = [0.3, -0.2, 0.5, 0.1];
    // The definition: the mean over the nearest memories of the clamped predictions, one memory at a time.
    let expected = |policy: &Policy, k: usize| -> Vec<f32> {
        let book = policy.codebook();
        let mut scaled = book.scaled_buffer();
        book.scale(&state, &mut scaled);
        let near = book.retrieve_many(&scaled, k);
        let mut mean = vec![0.0; ACT];
        for memory in &near {
            let only = book.without_memories(|i| i != memory.memory).unwrap();
            let alone = Policy::ensemble(only, vec![network.clone()], acting).unwrap();
            let mut action = vec![0.0; ACT];
            alone.session().act(&state, &mut action).unwrap();
            mean.iter_mut().zip(&action).for_each(|(sum, a)| *sum += a / near.len() as f32);
        }
        mean
    };
    let act = |policy: &Policy| {
        let mut action = vec![0.0; ACT];
        policy.session().act(&state, &mut action).unwrap();
        action
    };
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    for k in [1, 5, 30, 60, 1000] {
        let other =
            policy.clone().with_acting_settings(ActingSettings { retrieved: Some(k), ..acting }).unwrap();
        assert_eq!(other.retrieved(), k.min(60), "all memories if there are fewer");
        assert!(close(&act(&other), &expected(&other, k)), "k = {k}");
        let bytes = file::policy_to_bytes(&other);
        assert_eq!(act(&file::policy_from_bytes(&bytes).unwrap()), act(&other), "the file keeps k");
    }
    assert!(policy.clone().with_acting_settings(ActingSettings { retrieved: Some(0), ..acting }).is_err());
    let explained = policy.explain(&state).unwrap();
    assert_eq!(explained.retrieved.len(), 5);
    assert_eq!(explained.retrieved[0], explained.memory);

    // Memories that are added are used by running episodes at once.
    let parts = Parts {
        n_obs: OBS,
        n_act: ACT,
        states: state.to_vec(),
        actions: vec![0.9, -0.9, 0.4],
        rewards: None,
        ends: vec![1],
    };
    let new = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let (book, _) = policy.codebook().with_steps(&new, &[0]).unwrap();
    let edited = policy.clone().with_codebook(book).unwrap();
    let live = LivePolicy::new(policy.clone());
    let mut acting_session = live.start(Seed(0));
    let mut action = vec![0.0; ACT];
    acting_session.act(&state, &mut action).unwrap();
    assert_eq!(action, act(&policy));
    live.replace(edited.clone()).unwrap();
    acting_session.act(&state, &mut action).unwrap();
    assert_eq!(action, act(&edited));
    assert!(close(&action, &expected(&edited, 5)) && action != act(&policy));
}

#[test]
fn lambda_amplitude_and_form_change_after_training_as_if_trained_so() {
    let data = data(7, 3);
    for architecture in architectures() {
        let book = memories(&data, architecture.horizons().prediction);
        let members = networks(&architecture, 2);
        let policy = |lambda, amplitude, form| {
            let envelope = Envelope { lambda, amplitude, form, activation: Activation::Clamp };
            let acting = ActingSettings { envelope, ..settings(1.0, form, ConstrainAt::Executed) };
            (Policy::ensemble(book.clone(), members.clone(), acting).unwrap(), acting)
        };
        let (first, _) = policy(1.0, 1.0, Form::Mix);
        let (second, acting) = policy(0.2, 0.5, Form::Project);
        let changed = first.with_acting_settings(acting).unwrap();
        assert_eq!(file::policy_to_bytes(&changed), file::policy_to_bytes(&second), "{architecture:?}");
        let loaded = file::policy_from_bytes(&file::policy_to_bytes(&second)).unwrap();
        assert_eq!(loaded.acting_settings(), acting);
    }
}

#[test]
fn ensembles_that_do_not_fit_are_refused() {
    let data = data(8, 2);
    let book = memories(&data, 1);
    let all = architectures();
    let acting = settings(0.5, Form::Mix, ConstrainAt::Executed);
    let mixed = [networks(&all[0], 1), networks(&all[2], 1)].concat();
    let refused = |members: Vec<Network>, acting: ActingSettings| {
        Policy::ensemble(book.clone(), members, acting).expect_err("refused").to_string()
    };
    assert!(refused(mixed, acting).contains("members of the ensemble differ"));
    assert!(refused(Vec::new(), acting).contains("needs lambda 0"));
    // A chunk that is executed step by step needs no future actions of memories; a whole one does.
    assert!(Policy::ensemble(book.clone(), networks(&all[4], 1), acting).is_ok());
    let whole = settings(0.5, Form::Mix, ConstrainAt::Sampled);
    assert!(refused(networks(&all[4], 1), whole).contains("more actions than the memories have"));
    let policy = Policy::ensemble(book.clone(), networks(&all[0], 3), acting).unwrap();
    assert_eq!(policy.clone().with_first_members(2).unwrap().members(), &policy.members()[..2]);
    assert!(policy.clone().with_first_members(0).is_err() && policy.with_first_members(4).is_err());
}
