//! Exported graphs pass the checker of the package onnx, and act in onnxruntime as the library does.

mod common;

use common::{Case, actions_in_other_units, angles, data, folder, policy, policy_of, python, visited};
use mcnn::{
    backbone::{
        Backbone, Bet, BetSettings, BucketSelection, Diffusion, DiffusionSettings, Layers, Mlp, Network,
        PredictionType, ResMlp, ResMlpSettings, RetrievalMlp, RetrievalSettings, Sampler, Unet, UnetSettings,
    },
    envelope::{Activation, Envelope, Form},
    policy::{ActingSettings, Combine, ConstrainAt, Policy, Session},
    seed::Seed,
};
use mcnn_onnx::{Graphs, compare, export};

const OBS: usize = common::OBS;
const ACT: usize = common::ACT;

fn envelope(lambda: f32) -> Envelope {
    Envelope { lambda, ..Envelope::default() }
}

fn acting(envelope: Envelope) -> ActingSettings {
    ActingSettings { envelope, constrain_at: ConstrainAt::Executed, ..ActingSettings::default() }
}

fn mlp(seed: u64) -> Network {
    Mlp::random(&[OBS, 24, 16, ACT], Seed(seed)).into()
}

fn retrieval(seed: u64) -> Network {
    let settings = RetrievalSettings { retrieved: 5, pairs: 2 };
    RetrievalMlp::new(settings, Layers::random(&[2 * OBS + ACT, 24, 16, ACT], Seed(seed))).unwrap().into()
}

fn bet(selection: BucketSelection) -> Network {
    let settings = BetSettings {
        layers: 2,
        heads: 2,
        width: 12,
        window: 4,
        buckets: 3,
        bucket_selection: selection,
        ..BetSettings::default()
    };
    let centers: Vec<f32> = (0..3 * ACT).map(|k| (k as f32 * 0.7).sin()).collect();
    // Larger weights than at the random start, so that attention and buckets depend on the states.
    let network = Bet::random(OBS, ACT, settings, &centers, Seed(3));
    let larger = |(name, (shape, values)): (String, (Vec<usize>, Vec<f32>))| {
        let factor = if name.ends_with("weight") || name == "positions" { 15.0 } else { 1.0 };
        (name, (shape, values.iter().map(|v| v * factor).collect()))
    };
    let tensors = network.save_tensors().into_iter().map(larger).collect();
    mcnn::backbone::BackboneSettings::load_tensors(&settings, &tensors).unwrap()
}

fn diffusion(seed: u64, prediction: PredictionType, sampler: Sampler) -> Network {
    let settings = DiffusionSettings { prediction, sampler, ..DiffusionSettings::default() };
    Diffusion::random(OBS, &[24, 16], ACT, settings, Seed(seed)).into()
}

fn resmlp(seed: u64, prediction: PredictionType, sampler: Sampler) -> Network {
    let settings = ResMlpSettings {
        horizon: 8,
        executed: 3,
        steps: 20,
        sample_steps: 4,
        prediction,
        sampler,
        ..ResMlpSettings::default()
    };
    ResMlp::random(OBS, &[24; 2], ACT, settings, Seed(seed)).into()
}

fn unet(prediction: PredictionType) -> Network {
    let settings = UnetSettings {
        horizon: 8,
        executed: 3,
        window: 2,
        kernel: 5,
        groups: 4,
        steps: 12,
        sample_steps: 4,
        prediction,
        ..UnetSettings::default()
    };
    Unet::random(OBS, &[8, 16, 24], ACT, settings, Seed(5)).into()
}

/// Policies of every part that has a graph.
fn cases() -> Vec<Case> {
    let mix = envelope(0.8);
    let project = Envelope { form: Form::Project, ..mix };
    let tanh = Envelope { activation: Activation::Tanh, amplitude: 1.7, ..mix };
    let three = || vec![mlp(1), mlp(2), mlp(3)];
    let alone = |neighbors| ActingSettings { neighbors, ..acting(envelope(0.0)) };
    let at = |constrain_at| ActingSettings { constrain_at, ..acting(mix) };
    let relative = |networks, acting| policy_of(&actions_in_other_units(true), networks, acting);
    let scaled = |networks, acting| policy_of(&actions_in_other_units(false), networks, acting);
    let case = |name: &str, policy: Policy| Case { name: name.into(), policy };
    let mut all = vec![
        case("mlp", policy(vec![mlp(1)], acting(mix))),
        case("mlp, projected", policy(vec![mlp(1)], acting(project))),
        case("mlp, tanh", policy(vec![mlp(1)], acting(tanh))),
        case("mlp, tanh, projected", policy(vec![mlp(1)], acting(Envelope { form: Form::Project, ..tanh }))),
        case("mlp, lambda 0", policy(vec![mlp(1)], acting(envelope(0.0)))),
        case("mlp, lambda inf", policy(vec![mlp(1)], acting(envelope(f32::INFINITY)))),
        case(
            "mlp, lambda inf, projected",
            policy(vec![mlp(1)], acting(Envelope { lambda: f32::INFINITY, ..project })),
        ),
        case("mlp, k 4", policy(vec![mlp(1)], ActingSettings { neighbors: 4, ..acting(mix) })),
        case("ensemble", policy(three(), acting(project))),
        case("ensemble, scaled actions", scaled(three(), acting(mix))),
        case("ensemble, relative actions", relative(three(), acting(mix))),
        case("1-NN", policy(Vec::new(), alone(1))),
        case("1-NN, angles", policy_of(&angles(), Vec::new(), alone(1))),
        case(
            "mlp, angles",
            policy_of(&angles(), vec![Mlp::random(&[OBS + 2, 24, ACT], Seed(1)).into()], acting(project)),
        ),
        case("1-NN, relative actions", relative(Vec::new(), alone(1))),
        case("VINN", policy(Vec::new(), alone(6))),
        case("retrieval", policy(vec![retrieval(1)], acting(mix))),
        case(
            "retrieval, ensemble, k 7",
            policy(vec![retrieval(1), retrieval(2)], ActingSettings { neighbors: 7, ..acting(project) }),
        ),
        case(
            "retrieval, all memories",
            policy(vec![retrieval(1)], ActingSettings { retrieved: Some(1000), ..acting(mix) }),
        ),
        case("bet", policy(vec![bet(BucketSelection::Argmax)], acting(mix))),
        case("bet, lambda inf", policy(vec![bet(BucketSelection::Argmax)], acting(envelope(f32::INFINITY)))),
        case("bet, lambda 0", policy(vec![bet(BucketSelection::Argmax)], acting(envelope(0.0)))),
    ];
    for constrain_at in [ConstrainAt::Executed, ConstrainAt::Sampled, ConstrainAt::Denoising] {
        for (prediction, sampler) in
            [(PredictionType::Sample, Sampler::Ddpm), (PredictionType::Epsilon, Sampler::Ddim)]
        {
            let name = format!("{constrain_at:?}, {prediction:?}, {sampler:?}");
            let of = |network| policy(vec![network], at(constrain_at));
            all.push(case(&format!("diffusion, {name}"), of(diffusion(1, prediction, sampler))));
            all.push(case(&format!("unet, {name}"), of(unet(prediction))));
            all.push(case(&format!("resmlp, {name}"), of(resmlp(6, prediction, sampler))));
        }
    }
    let two = || [1, 2].map(|seed| diffusion(seed, PredictionType::Sample, Sampler::Ddpm)).to_vec();
    all.push(case("diffusion, ensemble", policy(two(), at(ConstrainAt::Denoising))));
    let drawn = |constrain_at| ActingSettings { combine: Combine::Member, ..at(constrain_at) };
    all.push(case("diffusion, one drawn", policy(two(), drawn(ConstrainAt::Denoising))));
    let three = || [6, 7, 8].map(|seed| resmlp(seed, PredictionType::Sample, Sampler::Ddim)).to_vec();
    all.push(case("resmlp, one drawn", policy(three(), drawn(ConstrainAt::Executed))));
    all.push(case("diffusion, relative actions", relative(two(), at(ConstrainAt::Sampled))));
    let by_observation = at(ConstrainAt::Executed);
    all.push(case("unet, relative actions", relative(vec![unet(PredictionType::Sample)], by_observation)));
    all.push(case("unet, lambda 0", policy(vec![unet(PredictionType::Sample)], acting(envelope(0.0)))));
    let chunks = ActingSettings { envelope: envelope(0.0), ..at(ConstrainAt::Sampled) };
    all.push(case("unet, lambda 0, whole chunks", policy(vec![unet(PredictionType::Sample)], chunks)));
    all
}

#[test]
fn graphs_act_as_the_library_does() {
    let Some(python) = python("graphs_act_as_the_library_does") else { return };
    let mut wrong = Vec::new();
    for Case { name, policy } in cases() {
        let graphs = export(&policy, "").unwrap();
        let data = visited(&policy);
        let found = compare(&policy, &graphs, &data, &python).unwrap();
        println!("{name}: {found:?}");
        let rounding = match &graphs {
            // The noisiest level divides the network's error by the square root of abar: 5e-4.
            Graphs::Denoising { .. } if name.contains("Epsilon") => 2e-4,
            Graphs::Denoising { .. } => 3e-6,
            Graphs::Policy(_) => 2e-6,
        };
        if found.steps != data.n_steps()
            || found.other_memories > 0
            || !(found.scaled_action.size < rounding
                && found.distance.size < 4e-6
                && found.weight.size < 1e-6)
        {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The loop that users copy, with the noise that the library draws.
#[test]
fn the_loop_in_python_acts_as_the_library_does() {
    let Some(python) = python("the_loop_in_python") else { return };
    let at = |constrain_at| ActingSettings { constrain_at, ..acting(envelope(0.8)) };
    let ddpm = || vec![diffusion(1, PredictionType::Sample, Sampler::Ddpm)];
    let drawn = ActingSettings { combine: Combine::Member, ..at(ConstrainAt::Executed) };
    let networks = [6, 7, 8].map(|seed| resmlp(seed, PredictionType::Sample, Sampler::Ddim)).to_vec();
    for (policy, denoising_steps, draws) in [
        (policy(networks, drawn), 4, false),
        (policy(ddpm(), at(ConstrainAt::Denoising)), 5, true),
        (policy(vec![unet(PredictionType::Sample)], at(ConstrainAt::Executed)), 4, false),
        (policy(vec![unet(PredictionType::Sample)], at(ConstrainAt::Denoising)), 4, false),
    ] {
        let folder = folder();
        let Graphs::Denoising { step, constrain, .. } = export(&policy, "").unwrap() else { panic!() };
        let data = visited(&policy).select(&[0]);
        let (horizons, mut session) = (policy.horizons(), policy.session());
        let mut rngs = [0, 1, 2].map(|k| Session::member_seed(Seed(0), k).rng());
        let mut draw = Session::draw_seed(Seed(0)).rng();
        let (mut noise, mut expected, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for t in 0..data.n_steps() {
            let mut action = [0.0; ACT];
            let constrained = session.act(&data.state(t), &mut action).unwrap();
            expected.extend(action);
            expected.extend([constrained.retrieval.distance, constrained.region.weight]);
            expected.push(constrained.retrieval.memory as f32);
            if constrained.chunk_step == 0 {
                members.push(draw.below(policy.members().len()));
            }
            let rng = &mut rngs[*members.last().unwrap()];
            for k in 0..=denoising_steps {
                let is_drawn = k == 0 || draws && k < denoising_steps;
                let size = if constrained.chunk_step == 0 { horizons.prediction * ACT } else { 0 };
                noise.extend((0..size).map(|_| if is_drawn { rng.normal() as f32 } else { 0.0 }));
            }
        }
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let raw = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        write("step.onnx", &step.bytes);
        write("constrain.onnx", &constrain.bytes);
        write("diffusion.py", include_bytes!("../../../examples/onnx/diffusion.py"));
        write("observations", &raw(&data.states()));
        write("noise", &raw(&noise));
        write("members", &raw(&members.iter().map(|k| *k as f32).collect::<Vec<_>>()));
        common::run(&python, include_str!("run_loop.py"), folder.path());
        let found = std::fs::read(folder.path().join("found")).unwrap();
        let found: Vec<f32> = found.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{}: {found:?} {expected:?}", policy.name());
        }
    }
}

#[test]
fn the_checker_accepts_the_graphs_and_their_names_say_what_they_compute() {
    let Some(python) = python("the_checker_accepts_the_graphs") else { return };
    let folder = folder();
    for (k, Case { policy, .. }) in cases().iter().enumerate() {
        let files = match export(policy, "0123").unwrap() {
            Graphs::Policy(model) => vec![(format!("{k}.policy"), model)],
            Graphs::Denoising { step, constrain, .. } => {
                vec![(format!("{k}.step"), step), (format!("{k}.constrain"), constrain)]
            }
        };
        for (name, model) in files {
            std::fs::write(folder.path().join(format!("{name}.onnx")), model.bytes).unwrap();
        }
    }
    let checked = common::run(&python, include_str!("check_models.py"), folder.path());
    assert!(checked.contains("memories/nearest") && checked.contains("envelope/weight"), "{checked}");
    assert!(
        checked.contains("\"lambda\": \"0.8\"") && checked.contains("\"policy_fingerprint\": \"0123\""),
        "{checked}"
    );
}

#[test]
fn many_memories_are_searched_in_chunks() {
    let Some(python) = python("many_memories_are_searched_in_chunks") else { return };
    // 900,000 x 5 numbers: more than a chunk of 2^22 differences.
    let policy = common::large_policy(900_000);
    let graphs = export(&policy, "").unwrap();
    let Graphs::Policy(model) = &graphs else { panic!("no network") };
    assert!(String::from_utf8_lossy(&model.bytes).contains("memories/squares.1"));
    let found = compare(&policy, &graphs, &visited(&policy).select(&[0]), &python).unwrap();
    assert!(found.other_memories == 0 && found.action.size == 0.0 && found.distance.size < 1e-6, "{found:?}");
}

/// What is refused says which part of the policy it is, and what to do.
#[test]
fn what_has_no_graph_is_refused_by_its_part() {
    let mix = acting(envelope(0.8));
    let drawn = ActingSettings { combine: Combine::Member, ..mix };
    let whole = ActingSettings { constrain_at: ConstrainAt::Sampled, ..mix };
    let encoded = policy_of(&data().with_encoding(Some("resnet18 of frames".into())), vec![mlp(1)], mix);
    let chunks = policy_of(&actions_in_other_units(true), vec![unet(PredictionType::Sample)], whole);
    for (policy, words) in [
        (encoded, ["image encoder", "embeddings", "Rust or Python"]),
        (policy(vec![mlp(1), mlp(2)], drawn), ["ensemble", "at random", "--combine mean"]),
        (
            policy(vec![bet(BucketSelection::Sample)], mix),
            ["behavior transformer", "samples", "--bucket-selection argmax"],
        ),
        (chunks, ["units of actions", "relative", "--constrain executed"]),
    ] {
        let message = export(&policy, "").unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    let sampling = policy(vec![bet(BucketSelection::Sample)], mix);
    let likeliest = mcnn_onnx::with_likeliest_bucket(sampling).unwrap();
    assert!(export(&likeliest, "").is_ok() && !likeliest.is_stochastic());
}
