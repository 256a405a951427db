//! LeRobot's protocol by grpcio and pickle in Python, with recorded messages of LeRobot 0.4.4 and stand-ins for its classes.
#![cfg(feature = "lerobot")]

use std::{
    io::{Read as _, Write as _},
    process::Command,
};

use mcnn::seed::Seed;
use mcnn_serve::{Limits, Protocol};
use serde_json::Value;

use crate::common::{ACT, OBS, Options, Server, mlp, mlp_of, served, skipped, unet};

/// The classes of the messages, and the calls. `tensor` stands for torch's: it keeps 32-bit floats.
const SCRIPT: &str = r#"
import json, pickle, sys, types
from dataclasses import dataclass, field
import grpc
import numpy as np

def module(name):
    made = sys.modules[name] = types.ModuleType(name)
    return made
module("lerobot"); module("lerobot.async_inference")
helpers = module("lerobot.async_inference.helpers")
module("torch").tensor = lambda values: np.array(values, np.float32)

@dataclass
class TimedAction:
    timestamp: float
    timestep: int
    action: object
@dataclass
class TimedObservation:
    timestamp: float
    timestep: int
    observation: dict
    must_go: bool = False
@dataclass
class RemotePolicyConfig:
    policy_type: str
    pretrained_name_or_path: str
    lerobot_features: dict
    actions_per_chunk: int
    device: str = "cpu"
    rename_map: dict = field(default_factory=dict)
for one in (TimedAction, TimedObservation, RemotePolicyConfig):
    one.__module__ = helpers.__name__
    setattr(helpers, one.__name__, one)

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])
data_of = lambda tag, data: bytes([tag << 3 | 2]) + varint(len(data)) + data
def piece(state, data):
    return bytes([8, state]) + data_of(2, data)

port, task = sys.argv[1], json.loads(sys.argv[2])
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
same = lambda data: data
path = lambda name: f"/transport.AsyncInference/{name}"
unary = {name: channel.unary_unary(path(name), same, same) for name in ("Ready", "SendPolicyInstructions", "GetActions", "Other")}
stream = channel.stream_unary(path("SendObservations"), same, same)
headers = {}

def observe(message, size=1 << 21):
    parts = [message[k:k + size] for k in range(0, len(message), size)]
    states = [3] if len(parts) == 1 else [1] + [2] * (len(parts) - 2) + [3]
    return stream(iter([piece(s, p) for s, p in zip(states, parts)]))

def act():
    reply, call = unary["GetActions"].with_call(b"")
    headers.update(dict(call.initial_metadata()))
    if not reply:
        return None
    length = reply[1:]
    shift = n = at = 0
    while True:
        n |= (length[at] & 127) << shift; at += 1; shift += 7
        if length[at - 1] < 128: break
    return pickle.loads(length[at:at + n])

def status(call):
    try:
        call()
    except grpc.RpcError as e:
        return [e.code().name, e.details()]
    return None

def plain(actions):
    return None if actions is None else [[a.timestamp, a.timestep, a.action.tolist(), a.action.dtype.str] for a in actions]

exec(task["script"])
"#;

/// Runs a script against a server; what it prints. `None`, and a printed reason, where there is no grpcio.
fn run(test: &str, server: &Server, script: &str, more: Value) -> Option<Value> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        skipped(test, "MCNN_TEST_PYTHON names no Python");
        return None;
    };
    if !Command::new(&python).args(["-c", "import grpc, numpy"]).output().unwrap().status.success() {
        skipped(test, "the Python of MCNN_TEST_PYTHON has no grpcio");
        return None;
    }
    let task = serde_json::json!({ "script": script, "more": more,
        "fixtures": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lerobot") });
    let port = server.address.port().to_string();
    let output = Command::new(python).args(["-c", SCRIPT, &port, &task.to_string()]).output().unwrap();
    assert!(output.status.success(), "{test}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn options() -> Options {
    Options { protocol: Protocol::Lerobot, ..Options::default() }
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

#[test]
fn recorded_messages_of_the_client_get_the_policys_actions() {
    let policy = mlp_of(10, 3);
    let server = Server::start(served(policy.clone(), None), options());
    let script = r#"
read = lambda name: open(f"{task['fixtures']}/{name}.pkl", "rb").read()
unary["Ready"](b"")
unary["SendPolicyInstructions"](data_of(1, read("instructions")))
found = []
for name in ("observation-4", "observation-5"):
    observe(read(name))
    found.append(plain(act()))
    unary["Ready"](b"")
print(json.dumps({"found": found, "headers": headers}))
"#;
    let test = "recorded_messages_of_the_client_get_the_policys_actions";
    let Some(found) = run(test, &server, script, Value::Null) else { return };
    let recorded: Value = serde_json::from_str(include_str!("fixtures/lerobot/observation.json")).unwrap();
    let mut expected = [0.0; ACT];
    let constrained = policy.session().act(&floats(&recorded["state"]), &mut expected).unwrap();
    for reply in found["found"].as_array().unwrap() {
        assert_eq!((&reply[0][0], &reply[0][1]), (&Value::from(1764500000.25), &Value::from(7)));
        assert_eq!((floats(&reply[0][2]), &reply[0][3]), (expected.to_vec(), &Value::from("<f4")));
    }
    assert_eq!(found["headers"]["mcnn-distance"], constrained.retrieval.distance.to_string());
    assert_eq!(found["headers"]["mcnn-source"], constrained.source.to_string());
    drop(found);
    let line = server.wait_for("session 0 of 127.0.0.1");
    assert!(line.contains("2 answers"), "{line}");
}

#[test]
fn chunks_have_a_step_for_each_action_and_the_newest_observation_wins() {
    let policy = unet();
    let mut rng = Seed(4).rng();
    let states: Vec<[f32; OBS]> = (0..4).map(|_| [0; OBS].map(|_| rng.normal() as f32)).collect();
    let script = r#"
names = ["b", "a", "c", "d"]
features = {"observation.state": {"dtype": "float32", "shape": (4,), "names": names}}
unary["Ready"](b"")
unary["SendPolicyInstructions"](data_of(1, pickle.dumps(RemotePolicyConfig("mcnn", "p", features, 3))))
def send(k, step, must_go=False, **more):
    state = dict(zip(names, map(float, task["more"][k])))
    observe(pickle.dumps(TimedObservation(100.0 + step, step, {**state, **more, "task": "x"}, must_go)))
found = {"before": plain(act())}
send(0, 0); found["first"] = plain(act())
send(1, 8); send(2, 9, camera=np.zeros((1000, 1000, 3), np.uint8)); found["newest"] = plain(act())
send(3, 9); found["again"] = plain(act())
send(3, 9, must_go=True); found["must_go"] = plain(act())
print(json.dumps(found))
"#;
    let mut large = options();
    large.limits = Limits { message_bytes: 4 << 20, ..large.limits };
    let server = Server::start(served(policy.clone(), None), large);
    let test = "chunks_have_a_step_for_each_action_and_the_newest_observation_wins";
    let Some(found) = run(test, &server, script, serde_json::to_value(&states).unwrap()) else { return };
    assert_eq!((&found["before"], &found["again"]), (&Value::Null, &Value::Null), "each step once");
    // `Ready` begins the episode anew, with the session's own random numbers.
    let mut session = policy.session_with_seed(Seed(7).fork("session").nth(0));
    // An observation has the number of the action before it, but for the first.
    for (key, state, step, first) in [("first", 0, 0, 0), ("newest", 2, 9, 10), ("must_go", 3, 9, 10)] {
        let mut chunk = [0.0; 4 * ACT];
        session.act_chunk(&states[state], &mut chunk).unwrap();
        let reply = found[key].as_array().unwrap();
        assert_eq!(reply.len(), 3, "actions_per_chunk");
        for (k, action) in reply.iter().enumerate() {
            let time = 100.0 + f64::from(step) + k as f64 / 30.0;
            assert!((action[0].as_f64().unwrap() - time).abs() < 1e-9, "{action}");
            assert_eq!(
                (&action[1], floats(&action[2])),
                (&Value::from(first + k as i32), chunk[k * ACT..][..ACT].to_vec())
            );
        }
    }
}

#[test]
fn hostile_and_wrong_messages_are_refused_and_the_session_goes_on() {
    let server = Server::start(served(mlp(3), None), options());
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import os
class Evil:
    def __reduce__(self):
        return os.system, (f"touch {task['more']}/evil",)
state = {"state": [0.0] * 4}
timed = lambda step, state: pickle.dumps(TimedObservation(1.0, step, state))
found = {
    "evil": status(lambda: observe(pickle.dumps(Evil()))),
    "inside": status(lambda: observe(timed(1, {"x": Evil()}))),
    "setup": status(lambda: unary["SendPolicyInstructions"](data_of(1, pickle.dumps(Evil())))),
    "garbage": status(lambda: observe(b"\x80\x04" + bytes(range(256)))),
    "keys": status(lambda: observe(timed(1, {"x.pos": 1.0}))),
    "again": status(lambda: observe(timed(1, {"x.pos": 1.0}))),
    "large": status(lambda: observe(timed(1, {**state, "camera": np.zeros(3 << 20, np.uint8)}), 1 << 19)),
    "message": status(lambda: observe(timed(1, {**state, "camera": np.zeros(3 << 20, np.uint8)}))),
    "unfinished": status(lambda: stream(iter([piece(1, b"x")]))),
    "unknown": status(lambda: stream(iter([piece(0, b"x")]))),
    "other": status(lambda: unary["Other"](b"")),
}
observe(timed(1, {"state": [0.0, float("nan"), 0.0, 0.0]}))
found["nan"] = status(act)
observe(timed(2, state))
found["after"] = plain(act())
print(json.dumps(found))
"#;
    let test = "hostile_and_wrong_messages_are_refused_and_the_session_goes_on";
    let more = Value::from(folder.path().to_str().unwrap());
    let Some(found) = run(test, &server, script, more) else { return };
    assert!(!folder.path().join("evil").exists());
    for (key, code, text) in [
        ("evil", "INVALID_ARGUMENT", "posix.system"),
        ("inside", "INVALID_ARGUMENT", "posix.system"),
        ("setup", "INVALID_ARGUMENT", "posix.system"),
        ("garbage", "INVALID_ARGUMENT", "pickle"),
        ("keys", "INVALID_ARGUMENT", "observation/state or state (4 values)"),
        ("again", "INVALID_ARGUMENT", "as before"),
        ("large", "RESOURCE_EXHAUSTED", ""),
        ("message", "OUT_OF_RANGE", "limit"),
        ("unfinished", "INVALID_ARGUMENT", "last piece"),
        ("unknown", "INVALID_ARGUMENT", "unknown state"),
        ("other", "UNIMPLEMENTED", "AsyncInference"),
        ("nan", "INVALID_ARGUMENT", "dimension 1"),
    ] {
        let [found_code, message] = [0, 1].map(|k| found[key][k].as_str().unwrap_or_default());
        assert!(found_code == code && message.contains(text), "{key}: {found_code} {message}");
    }
    assert_eq!(found["after"][0][2].as_array().unwrap().len(), ACT);
}

#[test]
fn what_is_not_http2_takes_no_place() {
    let mut few = options();
    few.limits.connections = 1;
    let server = Server::start(served(mlp(3), None), few);
    let silent: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(server.address).unwrap()).collect();
    let mut other = std::net::TcpStream::connect(server.address).unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let _ = other.read_to_end(&mut Vec::new());
    let script = r#"
unary["Ready"](b"", timeout=30)
observe(pickle.dumps(TimedObservation(1.0, 1, {"state": [0.0] * 4})))
print(json.dumps(plain(act())))
"#;
    let Some(found) = run("what_is_not_http2_takes_no_place", &server, script, Value::Null) else { return };
    assert_eq!(found[0][1], 1);
    drop(silent);
    assert_eq!(server.end().sessions, 1);
}
