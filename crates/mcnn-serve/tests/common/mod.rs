//! A server in this process, and a plain websocket client.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mcnn::{
    backbone::{Mlp, Network, Unet, UnetSettings},
    data::{ActionRange, Demonstrations, DimensionNames, Origin, Parts},
    envelope::Envelope,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    policy::{ActingSettings, ConstrainAt, Guard, Policy},
    seed::Seed,
};
use mcnn_serve::{ApiKey, Inputs, Limits, Live, Protocol, Report, Served, Settings, Watched, serve};
use tungstenite::{Message, WebSocket, client::IntoClientRequest as _, stream::MaybeTlsStream};

pub const OBS: usize = 4;
pub const ACT: usize = 2;

/// Demonstrations of 60 random steps.
fn data(n_obs: usize) -> Demonstrations {
    let mut rng = Seed(0).rng();
    let states = (0..60 * n_obs).map(|_| rng.normal() as f32).collect();
    let actions = (0..60 * ACT).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs, n_act: ACT, states, actions, rewards: None, ends: vec![25, 60] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

fn policy(network: Network) -> Policy {
    let data = data(network.widths()[0]);
    policy_of(&data, network)
}

/// A policy of single actions that has learned from data with these state keys and names of dimensions.
pub fn mlp_named(state_keys: &[&str], names: &[&str; OBS]) -> Policy {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    let origin = Origin { state_keys: texts(state_keys), ..Origin::default() };
    let names = DimensionNames { state_names: Some(texts(names)), ..DimensionNames::default() };
    let data = data(OBS).with_origin(origin).with_names(names).unwrap();
    policy_of(&data, Mlp::random(&[OBS, 8, ACT], Seed(3)).into())
}

fn policy_of(data: &Demonstrations, network: Network) -> Policy {
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..Default::default()
    };
    let book = learn(data, &settings).unwrap().codebook;
    let envelope = Envelope { lambda: 0.4, ..Envelope::default() };
    let acting = ActingSettings { envelope, constrain_at: ConstrainAt::Executed, ..Default::default() };
    Policy::ensemble(book, vec![network], acting).unwrap()
}

/// A policy of single actions.
pub fn mlp(seed: u64) -> Policy {
    mlp_of(OBS, seed)
}

/// A policy of single actions, for observations of `n_obs`.
pub fn mlp_of(n_obs: usize, seed: u64) -> Policy {
    policy(Mlp::random(&[n_obs, 8, ACT], Seed(seed)).into())
}

/// A policy of chunks of 4.
pub fn unet() -> Policy {
    let settings = UnetSettings { horizon: 6, executed: 4, steps: 20, sample_steps: 3, ..Default::default() };
    policy(Network::from(Unet::random(OBS, &[8, 16], ACT, settings, Seed(5))))
}

pub fn served(policy: Policy, guard: Option<Guard>) -> Served {
    Served { policy: Arc::new(policy), fingerprint: "first".into(), guard, encoder: None }
}

/// How a test's server differs from others.
pub struct Options {
    pub limits: Limits,
    pub api_key: Option<&'static str>,
    pub watched: Option<Watched>,
    pub protocol: Protocol,
}

impl Default for Options {
    fn default() -> Self {
        let limits =
            Limits { connections: 16, message_bytes: 1 << 20, idle: Duration::from_secs(60), threads: 2 };
        Self { limits, api_key: None, watched: None, protocol: Protocol::Openpi }
    }
}

/// A server in a thread of this process, on a free port.
pub struct Server {
    pub address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    stop: &'static AtomicBool,
    running: Option<JoinHandle<Report>>,
}

impl Server {
    pub fn start(served: Served, options: Options) -> Self {
        let inputs = Inputs::new(&served.policy, served.encoder.as_deref(), Vec::new(), Vec::new()).unwrap();
        Self::of(Live::new(served, None).unwrap(), inputs, options)
    }

    pub fn of(live: Live, inputs: Inputs, options: Options) -> Self {
        let Options { limits, api_key, watched, protocol } = options;
        let stop: &'static AtomicBool = Box::leak(Box::default());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = {
            let lines = lines.clone();
            Box::new(move |line: &str| lines.lock().unwrap().push(line.into()))
        };
        let settings = Settings {
            protocol,
            address: ([127, 0, 0, 1], 0).into(),
            limits,
            api_key: api_key.map(|key| ApiKey::new(key).unwrap()),
            seed: Seed(7),
            watched,
            log,
        };
        let running = std::thread::spawn(move || serve(live, inputs, settings, stop).unwrap());
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), lines, stop, running: Some(running) };
        let line = server.wait_for("listening on ");
        server.address = line.rsplit('/').next().unwrap().parse().unwrap();
        server
    }

    /// The lines said so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line that contains a text.
    pub fn wait_for(&self, text: &str) -> String {
        let mut found = None;
        wait_until(text, || {
            found = self.lines().into_iter().find(|line| line.contains(text));
            found.is_some()
        });
        found.unwrap()
    }

    /// Ends the server.
    pub fn end(mut self) -> Report {
        self.stop.store(true, Relaxed);
        self.running.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Waits until something is so, for a minute at most.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never came to it: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A websocket client that sends what it is told.
pub struct Client {
    pub socket: WebSocket<MaybeTlsStream<TcpStream>>,
    pub metadata: Vec<u8>,
}

impl Client {
    pub fn connect(server: &Server) -> Self {
        Self::with_headers(server, &[]).unwrap()
    }

    /// The status of the answer, where the server refuses.
    pub fn with_headers(server: &Server, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}/any/path", server.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let mut socket = match tungstenite::connect(request) {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(response)) => return Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        };
        let Message::Binary(metadata) = socket.read().unwrap() else { panic!("the server speaks first") };
        Ok(Self { socket, metadata: metadata.to_vec() })
    }

    pub fn send(&mut self, request: &[u8]) -> Message {
        self.socket.send(Message::Binary(request.to_vec().into())).unwrap();
        self.socket.read().unwrap()
    }

    /// The text of an error.
    pub fn refused(&mut self, request: &[u8]) -> String {
        match self.send(request) {
            Message::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// The actions for a state, `[n, ACT]`.
    pub fn actions(&mut self, state: &[f32]) -> Vec<f32> {
        match self.send(&request(state)) {
            Message::Binary(reply) => floats(&reply, "actions"),
            other => panic!("{other:?}"),
        }
    }
}

/// A request with a state under `state`, as openpi's client packs it.
pub fn request(state: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = state.iter().flat_map(|v| v.to_le_bytes()).collect();
    request_of("state", "<f4", &[state.len()], &data)
}

/// A request with an array of less than 256 bytes.
pub fn request_of(name: &str, dtype: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let key = |name: &[u8]| [&[0xc4, name.len() as u8], name].concat();
    let text = |text: &str| [&[0xa0 | text.len() as u8], text.as_bytes()].concat();
    let sides: Vec<u8> = shape.iter().map(|side| *side as u8).collect();
    let parts: [&[u8]; 12] = [
        b"\x81",
        &text(name),
        b"\x84",
        &key(b"__ndarray__"),
        b"\xc3",
        &key(b"data"),
        &key(data),
        &key(b"dtype"),
        &text(dtype),
        &key(b"shape"),
        &[0x90 | shape.len() as u8],
        &sides,
    ];
    parts.concat()
}

/// The 32-bit floats of an array in a reply.
pub fn floats(reply: &[u8], key: &str) -> Vec<f32> {
    let at = reply.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    let data = b"\xc4\x04data\xc4";
    let begin = at + reply[at..].windows(data.len()).position(|window| window == data).unwrap() + data.len();
    let length = usize::from(reply[begin]);
    let values = reply[begin + 1..][..length].chunks_exact(4);
    values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// The body of an HTTP answer, and its status.
pub fn http(server: &Server, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", server.address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.into())
}

/// Says that a test is skipped, since the test runner captures the output of passing tests.
pub fn skipped(test: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}
