//! Acting on frames: an encoder gives the embeddings of `embed`, and policies act on frames as on embeddings.

use std::sync::Arc;

use mcnn::{
    act::Act,
    data::{ActionRange, Demonstrations, FrameDemonstrations, ReadOptions, read},
    eval::{Collected, Run, collect, demonstrate},
    expert::{Noise, Noisy, TaskExpert},
    file,
    memory::{LearnSettings, learn},
    policy::{Guard, LivePolicy, Policy, Response},
    seed::Seed,
    task::{Task as _, drive::DrivePixels},
    train::{self, TrainSettings},
    vision::{
        Arrays, Conv, Design, EncodedPolicy, Encoder, Encoding, ResNet, Source, SourceOptions, Weights,
        embed, load, tensors_of,
    },
};

const SIZE: [usize; 2] = [48, 48];
const FRAME: usize = 48 * 48 * 3;

fn encoding(network: Design, preset: &str) -> Encoding {
    let (weights, preset) = ("random:5".into(), preset.parse().unwrap());
    Encoding { network, weights, preset, size: Some(SIZE), cameras: Vec::new(), state: None }
}

fn conv() -> Design {
    Design::Conv(Conv::new(SIZE, 16).unwrap())
}

fn weights(encoding: &Encoding) -> Arrays {
    tensors_of(&Weights::Random(5), encoding, &mut |_, _| ()).unwrap()
}

fn encoder(encoding: &Encoding) -> Encoder {
    Encoder::new(encoding.clone(), &weights(encoding), SIZE).unwrap()
}

/// Demonstrations of `drive-pixels` by its noisy expert.
fn driven(episodes: usize) -> FrameDemonstrations {
    let expert = Noisy::new(TaskExpert { n_act: 2 }, Noise::Gaussian(0.3), None).unwrap();
    let run = Run { episodes, first_seed: 3, threads: 1, environments_per_worker: 2, trace: false };
    let all = demonstrate(&expert, &DrivePixels::new(), &run, &|_| true).unwrap();
    let Collected { frames, actions, ends, .. } = all;
    let labels = mcnn::data::Parts { n_act: 2, actions, ends, ..Default::default() };
    FrameDemonstrations::new(labels, SIZE, frames).unwrap()
}

/// The demonstrations of embeddings that `embed` makes of a recording.
fn embedded(demonstrations: &FrameDemonstrations, encoding: &Encoding) -> Demonstrations {
    let folder = tempfile::tempdir().unwrap();
    let [recording, output] = ["recording.npz", "embedded.npz"].map(|name| folder.path().join(name));
    demonstrations.write_npz(&recording).unwrap();
    let mut source = Source::open(&recording, &SourceOptions::default()).unwrap();
    assert_eq!(source.sizes, [Some(SIZE)]);
    let (network, _) = load(&Weights::Random(5), Some(encoding.network), &mut |_, _| ()).unwrap();
    embed(&mut source, &network, encoding, ActionRange::Refuse, &output, &mut |_| true).unwrap().unwrap();
    read(&output, &ReadOptions::default()).unwrap()
}

fn policy(data: &Demonstrations) -> Policy {
    let memories = learn(data, &LearnSettings::default()).unwrap().codebook;
    let settings = TrainSettings { hidden: vec![16], steps: 20, batch: 32, ..TrainSettings::default() };
    let mut run = train::Run::new(data, memories, settings).unwrap();
    while run.step().is_some() {}
    run.policy()
}

#[test]
fn an_encoder_is_bit_identical_to_embedding_the_recording() {
    let demonstrations = driven(1);
    for (network, preset) in [
        (conv(), "normalized"),
        (Design::ResNet(ResNet::ResNet18), "raw"),
        (Design::ResNet(ResNet::ResNet18), "normalized:32x40"),
    ] {
        let encoding = encoding(network, preset);
        let data = embedded(&demonstrations, &encoding);
        assert_eq!(Encoding::parse(data.encoding().unwrap()).unwrap(), encoding);
        let encoder = encoder(&encoding);
        let mut embedder = encoder.embedder();
        for i in (0..demonstrations.n_steps()).step_by(7) {
            let bytes = &demonstrations.frames()[i * FRAME..][..FRAME];
            assert_eq!(
                embedder.embed_bytes(bytes, &[]).unwrap(),
                &data.state(i)[..],
                "{network}, {preset}, frame {i}"
            );
            let values: Vec<f32> = bytes.iter().map(|&v| f32::from(v)).collect();
            assert_eq!(embedder.embed(&values).unwrap(), &data.state(i)[..]);
        }
    }
}

#[test]
fn policies_act_on_frames_as_on_embeddings_within_the_boxes() {
    let demonstrations = driven(3);
    let encoding = encoding(conv(), "raw");
    let data = embedded(&demonstrations, &encoding);
    let (policy, encoder) = (policy(&data), encoder(&encoding));
    let guard = Guard {
        response: Response::Hold,
        threshold: policy.calibration().unwrap().episodes()[0].distances[3],
    };
    let (guarded, live) = (policy.guarded(guard), LivePolicy::new(policy.clone()));
    let actors: [&dyn Act; 3] = [&policy, &guarded, &live];
    let mut n_ood = 0;
    for (k, act) in actors.into_iter().enumerate() {
        let encoded = EncodedPolicy::new(&encoder, act).unwrap();
        assert_eq!((encoded.n_obs(), encoded.n_act()), (FRAME, 2));
        let (mut encoded_session, mut embedding_session) = (encoded.start(Seed(1)), act.start(Seed(1)));
        for i in 0..data.n_steps() {
            let frame: Vec<f32> =
                demonstrations.frames()[i * FRAME..][..FRAME].iter().map(|&v| f32::from(v)).collect();
            let (mut ours, mut theirs) = ([0.0; 2], [0.0; 2]);
            let decision = encoded_session.act(&frame, &mut ours).unwrap();
            assert_eq!(decision, embedding_session.act(&data.state(i), &mut theirs).unwrap());
            assert_eq!(ours, theirs);
            assert_eq!(encoded_session.embedded_observation().unwrap().embedding, &data.state(i)[..]);
            n_ood += usize::from(decision.ood);
            if k != 1 {
                let region = policy.envelope().region(decision.distance.unwrap());
                let memory = policy.codebook().action(decision.memory.unwrap());
                for (a, m) in ours.into_iter().zip(memory) {
                    let [low, high] = region.bounds(*m);
                    assert!(low <= a && a <= high, "frame {i}");
                }
            }
        }
    }
    assert!(n_ood > 0, "some states are out of distribution");
}

#[test]
fn rollouts_on_frames_give_embeddings_and_encoder_latency_on_any_number_of_lanes() {
    let encoding = encoding(conv(), "raw");
    let data = embedded(&driven(2), &encoding);
    let (policy, encoder) = (policy(&data), encoder(&encoding));
    let encoded = EncodedPolicy::new(&encoder, &policy).unwrap();
    let with = |threads, lanes| {
        let run = Run { episodes: 3, first_seed: 50, threads, environments_per_worker: lanes, trace: false };
        let mut all = collect(&encoded, &DrivePixels::new(), &run, &|_| true).unwrap();
        for episode in &mut all.episodes {
            assert_eq!(episode.encoding.len(), episode.length);
            assert!(episode.encoding.iter().zip(&episode.latencies).all(|(e, all)| 0.0 < *e && e < all));
            (episode.encoding, episode.latencies) = Default::default();
        }
        all
    };
    let mut one = with(1, 1);
    assert_eq!(one, with(2, 2));
    let steps = *one.ends.last().unwrap();
    assert_eq!((one.states.len(), one.frames.len()), (0, steps * FRAME));
    let first = encoder.embedder().embed_bytes(&one.frames[..FRAME], &[]).unwrap().to_vec();
    let states = one.take_policy_states();
    assert_eq!((states.len(), &states[..16]), (steps * 16, &first[..]));
}

#[test]
fn a_policy_with_its_encoder_is_written_as_the_same_bytes_again() {
    let encoding = encoding(conv(), "raw");
    let data = embedded(&driven(2), &encoding);
    let weights = weights(&encoding);
    let policy = policy(&data);
    let plain = file::policy_to_bytes(&policy);
    let policy = policy.with_encoder(Some(Arc::new(weights.clone())));
    let bytes = file::policy_to_bytes(&policy);
    assert!(bytes.len() > plain.len());
    let again = file::policy_from_bytes(&bytes).unwrap();
    assert_eq!(**again.encoder().unwrap(), weights);
    assert_eq!(file::policy_to_bytes(&again), bytes);
    // Other memories, the same encoder.
    let codebook = again.codebook().clone();
    assert_eq!(file::policy_to_bytes(&again.with_codebook(codebook).unwrap()), bytes);
    assert_eq!(file::policy_to_bytes(&policy.with_encoder(None)), plain);
}

#[test]
fn invalid_encoders_are_refused_with_the_cause() {
    let right = encoding(conv(), "raw");
    let refused = |change: &dyn Fn(&mut Encoding, &mut Arrays)| {
        let (mut encoding, mut weights) = (right.clone(), weights(&right));
        change(&mut encoding, &mut weights);
        Encoder::new(encoding, &weights, SIZE).unwrap_err().to_string()
    };
    let first = weights(&right).keys().next().unwrap().clone();
    assert!(refused(&|_, w| drop(w.remove(&first))).contains(&first));
    assert!(
        refused(&|_, w| drop(w.insert("fc.weight".into(), (vec![1], vec![0.0])))).contains("does not have")
    );
    assert!(refused(&|_, w| w.get_mut(&first).unwrap().0.push(1)).contains("another shape"));
    assert!(refused(&|_, w| _ = w.get_mut(&first).unwrap().1.pop()).contains("another shape"));
    assert!(refused(&|_, w| w.get_mut(&first).unwrap().1[0] = f32::NAN).contains("not finite"));
    let other = refused(&|e, _| e.size = Some([96, 96]));
    assert!(other.contains("96 x 96") && other.contains("48 x 48"), "{other}");
    let other = tensors_of(&Weights::Random(6), &right, &mut |_, _| ()).unwrap_err().to_string();
    assert!(other.contains("random:5") && other.contains("random:6"), "{other}");

    let encoder = encoder(&right);
    let mut embedder = encoder.embedder();
    let mut frame = vec![0.0; FRAME];
    assert!(embedder.embed(&frame[1..]).unwrap_err().to_string().contains("48 x 48 x 3"));
    frame[7] = 255.5;
    assert!(embedder.embed(&frame).unwrap_err().to_string().contains("255.5"));
    frame[7] = f32::NAN;
    assert!(embedder.embed(&frame).unwrap_err().to_string().contains("NaN"));
    let narrow = EncodedPolicy::new(&encoder, TaskExpert { n_act: 2 }).unwrap_err().to_string();
    assert!(narrow.contains("embeddings of dimension 2") && narrow.contains("16"), "{narrow}");
    assert!(Encoding::parse("{}").unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn the_task_specification_has_the_frame_size() {
    let task = DrivePixels::new();
    assert_eq!((task.spec().frame, task.spec().n_obs), (Some(SIZE), FRAME));
}
