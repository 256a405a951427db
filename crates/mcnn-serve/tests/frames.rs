//! A policy that acts on camera frames.

use std::sync::Arc;

use mcnn::{
    act::Act as _,
    policy::Policy,
    seed::Seed,
    vision::{EncodedCamera, EncodedPolicy, Encoder, Encoding, JoinedState, Weights, tensors_of},
};
use mcnn_serve::Served;
use tungstenite::Message;

use crate::common::{ACT, Client, OBS, Options, Server, floats, mlp, mlp_of, request, request_of, served};

const SIZE: [usize; 2] = [8, 8];

/// An encoder with random weights whose embeddings, and states, are the policy's observations.
fn encoder(cameras: Vec<EncodedCamera>, state: Option<JoinedState>) -> Encoder {
    let encoding = Encoding {
        network: format!("conv:8x8:{OBS}").parse().unwrap(),
        weights: "random:5".into(),
        preset: "raw".parse().unwrap(),
        size: cameras.is_empty().then_some(SIZE),
        cameras,
        state,
    };
    let weights = tensors_of(&Weights::Random(5), &encoding, &mut |_, _| ()).unwrap();
    Encoder::new(encoding, &weights, SIZE).unwrap()
}

fn expected(policy: &Policy, encoder: &Encoder, frames: &[u8], state: &[f32]) -> [f32; ACT] {
    let mut observation: Vec<f32> = frames.iter().map(|v| f32::from(*v)).collect();
    observation.extend_from_slice(state);
    let mut action = [0.0; ACT];
    let act = EncodedPolicy::new(encoder, policy).unwrap();
    act.start(Seed(0)).act(&observation, &mut action).unwrap();
    action
}

#[test]
fn frames_are_embedded_and_others_are_refused() {
    let (policy, encoder) = (mlp(3), Arc::new(encoder(Vec::new(), None)));
    let server = Server::start(
        Served { encoder: Some(encoder.clone()), ..served(policy.clone(), None) },
        Options::default(),
    );
    let mut client = Client::connect(&server);
    assert!(String::from_utf8_lossy(&client.metadata).contains("observation/image (uint8, 8 x 8 x 3"));
    let mut rng = Seed(6).rng();
    for _ in 0..5 {
        let last: Vec<u8> = (0..192).map(|_| rng.below(256) as u8).collect();
        let first: Vec<u8> = (0..3).flat_map(|color| last.iter().skip(color).step_by(3).copied()).collect();
        let expected = expected(&policy, &encoder, &last, &[]);
        for frame in [
            request_of("observation/image", "|u1", &[8, 8, 3], &last),
            request_of("cam_high", "|u1", &[3, 8, 8], &first),
        ] {
            let Message::Binary(reply) = client.send(&frame) else { panic!("actions") };
            assert_eq!(floats(&reply, "actions"), expected);
        }
    }
    for (frame, found) in [
        (request_of("image", "|u1", &[4, 8, 3], &[0; 96]), "an array |u1 of shape [4, 8, 3]"),
        (request_of("image", "<f4", &[4, 4, 3], &[0; 192]), "an array <f4 of shape [4, 4, 3]"),
        (request(&[0.0; OBS]), "found: state"),
    ] {
        let message = client.refused(&frame);
        assert!(message.contains("8 x 8 x 3") && message.contains(found), "{message}");
    }
}

/// One request with the keys of several.
fn joined(requests: &[Vec<u8>]) -> Vec<u8> {
    let entries: Vec<u8> = requests.iter().flat_map(|request| request[1..].to_vec()).collect();
    [&[0x80 | requests.len() as u8][..], &entries].concat()
}

#[test]
fn several_cameras_and_a_state_are_one_observation() {
    let camera = |name: &str| EncodedCamera { name: name.into(), size: SIZE };
    let state = JoinedState { keys: vec!["joints".into()], n: 3 };
    let encoder = Arc::new(encoder(vec![camera("top"), camera("wrist")], Some(state)));
    let policy = mlp_of(2 * OBS + 3, 3);
    let server = Server::start(
        Served { encoder: Some(encoder.clone()), ..served(policy.clone(), None) },
        Options::default(),
    );
    let mut client = Client::connect(&server);
    assert!(client.metadata.windows(10).any(|window| window == b"state_dim\x03"), "of the state alone");
    let metadata = String::from_utf8_lossy(&client.metadata).into_owned();
    for part in ["top (uint8, 8 x 8 x 3", " and wrist (uint8", "joints (3 values in all)", "image_sizes"] {
        assert!(metadata.contains(part), "{part:?}: {metadata}");
    }
    let mut rng = Seed(6).rng();
    let mut draw = || (0..192).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
    let image = |key: &str, frame: &[u8]| request_of(key, "|u1", &[8, 8, 3], frame);
    let [top, wrist] = [draw(), draw()];
    let values = [0.5_f32, -1.25, 2.0];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let expected = expected(&policy, &encoder, &[&top[..], &wrist].concat(), &values);
    for keys in [["observation/wrist", "observation/joints", "top"], ["wrist", "state", "observation/top"]] {
        let [of_wrist, of_state, of_top] = keys;
        let state = request_of(of_state, "<f4", &[3], &bytes);
        let sent = joined(&[image(of_wrist, &wrist), state, image(of_top, &top)]);
        let Message::Binary(reply) = client.send(&sent) else { panic!("actions for {keys:?}") };
        assert_eq!(floats(&reply, "actions"), expected, "{keys:?}");
    }
    let message = client.refused(&joined(&[image("top", &top), image("wrist", &wrist)]));
    assert!(message.contains("found: top, wrist"), "{message}");
    let two_states = request_of("state", "<f4", &[2, 3], &[bytes.clone(), bytes].concat());
    let message = client.refused(&joined(&[image("top", &top), image("wrist", &wrist), two_states]));
    assert!(message.contains("several states with one frame"), "{message}");
}
