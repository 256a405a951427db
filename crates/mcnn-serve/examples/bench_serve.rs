//! For bench/serve.py: writes a policy, or asks a server for actions over several connections at once.
//!
//!     bench_serve policy FILE                        10,000 memories of 45 dimensions, 5 networks 45-256-256-24
//!     bench_serve load ADDRESS CONNECTIONS REQUESTS  prints JSON: seconds, requests a second, latencies in us

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mcnn::{
    backbone::Mlp,
    data::{ActionRange, Demonstrations, Parts},
    envelope::Envelope,
    file,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    policy::{ActingSettings, ConstrainAt, Policy},
    seed::Seed,
};
use tungstenite::Message;

const OBS: usize = 45;
const ACT: usize = 24;
const MEMORIES: usize = 10_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["policy", path] => write_policy(Path::new(path)),
        ["load", address, connections, requests] => {
            load(address, connections.parse().expect("a number"), requests.parse().expect("a number"));
        }
        _ => panic!("bench_serve policy FILE | load ADDRESS CONNECTIONS REQUESTS"),
    }
}

fn write_policy(path: &Path) {
    let mut rng = Seed(0).rng();
    let states = (0..MEMORIES * OBS).map(|_| rng.normal() as f32).collect();
    let actions = (0..MEMORIES * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let ends = (1..=20).map(|k| k * MEMORIES / 20).collect();
    let parts = Parts { n_obs: OBS, n_act: ACT, states, actions, rewards: None, ends };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..Default::default()
    };
    let book = learn(&data, &settings).unwrap().codebook;
    let members = (0..5).map(|k| Mlp::random(&[OBS, 256, 256, ACT], Seed(k)).into()).collect();
    let envelope = Envelope { lambda: 0.2, ..Envelope::default() };
    let acting = ActingSettings { envelope, constrain_at: ConstrainAt::Executed, ..Default::default() };
    file::write_policy(path, &Policy::ensemble(book, members, acting).unwrap()).unwrap();
}

/// The request of a random state, as openpi's client packs it.
fn request(state: &[f32]) -> Vec<u8> {
    let bin = |bytes: &[u8]| [&[0xc4, bytes.len() as u8], bytes].concat();
    let data: Vec<u8> = state.iter().flat_map(|v| v.to_le_bytes()).collect();
    [
        b"\x81\xb1observation/state\x84".as_slice(),
        &bin(b"__ndarray__"),
        b"\xc3",
        &bin(b"data"),
        &bin(&data),
        &bin(b"dtype"),
        b"\xa3<f4",
        &bin(b"shape"),
        &[0x91, state.len() as u8],
    ]
    .concat()
}

fn load(address: &str, connections: u64, requests: usize) {
    let begun = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|k| {
            let url = format!("ws://{address}/");
            let n = requests / connections as usize;
            thread::spawn(move || client(&url, Seed(k), n))
        })
        .collect();
    let mut latencies: Vec<Duration> = clients.into_iter().flat_map(|c| c.join().unwrap()).collect();
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let micros = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize].as_secs_f64() * 1e6;
    println!(
        r#"{{"seconds": {seconds}, "rate": {}, "p50": {}, "p99": {}}}"#,
        latencies.len() as f64 / seconds,
        micros(0.5),
        micros(0.99)
    );
}

/// One client, which waits for each reply before it sends the next request.
fn client(url: &str, seed: Seed, requests: usize) -> Vec<Duration> {
    let (mut socket, _) = tungstenite::connect(url).expect("a server");
    socket.read().expect("the metadata");
    let mut rng = seed.rng();
    let states: Vec<Vec<f32>> = (0..64).map(|_| (0..OBS).map(|_| rng.normal() as f32).collect()).collect();
    let frames: Vec<Vec<u8>> = states.iter().map(|state| request(state)).collect();
    let mut latencies = Vec::with_capacity(requests);
    for k in 0..requests {
        let begun = Instant::now();
        socket.send(Message::Binary(frames[k % frames.len()].clone().into())).expect("it takes requests");
        match socket.read().expect("a reply") {
            Message::Binary(reply) => assert!(reply.windows(7).any(|window| window == b"actions")),
            other => panic!("{other:?}"),
        }
        latencies.push(begun.elapsed());
    }
    let _ = socket.close(None);
    latencies
}
