//! The real package openpi-client against the server.

use std::process::Command;

use mcnn::{policy::Policy, seed::Seed};
use serde_json::Value;

use crate::common::{ACT, OBS, Options, Server, mlp, served, skipped, unet};

/// Connects with the package, sends states in several forms, and prints what it got.
const SCRIPT: &str = r#"
import json, sys
import numpy as np
from openpi_client import action_chunk_broker, websocket_client_policy

port, horizon = int(sys.argv[1]), int(sys.argv[2])
states = np.array(json.loads(sys.argv[3]), dtype=np.float64)
policy = websocket_client_policy.WebsocketClientPolicy(host="127.0.0.1", port=port, api_key="s3cret")
plain = lambda x: x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x
replies = []
for k, state in enumerate(states):
    state = state.astype(np.float32)
    observation = [{"observation/state": state, "prompt": "x"}, {"state": list(map(float, state))}, {"state": state[None]}][k % 3]
    replies.append({key: plain(value) for key, value in policy.infer(observation).items()})
broker = action_chunk_broker.ActionChunkBroker(
    websocket_client_policy.WebsocketClientPolicy(host=f"ws://127.0.0.1:{port}/a/path", api_key="s3cret"), action_horizon=horizon)
steps = []
for _ in range(horizon + 1):
    step = broker.infer({"state": states[0].astype(np.float32)})
    steps.append({key: plain(value) for key, value in step.items()})
try:
    policy.infer({"tate": np.zeros(3)})
    error = None
except RuntimeError as e:
    error = str(e)
after = policy.infer({"state": states[0].astype(np.float32)})["actions"]
types = {key: [value.dtype.str, list(value.shape)] for key, value in policy.infer({"state": states[0].astype(np.float32)}).items() if isinstance(value, np.ndarray)}
print(json.dumps({"metadata": policy.get_server_metadata(), "replies": replies, "steps": steps, "error": error, "after": after.tolist(), "types": types}))
"#;

/// What the script prints; `None`, and a printed reason, where the package cannot be run.
fn run(test: &str, policy: Policy, horizon: usize, states: &[[f32; OBS]]) -> Option<Value> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        skipped(test, "MCNN_TEST_PYTHON names no Python");
        return None;
    };
    let there = Command::new(&python).args(["-c", "import openpi_client, tree"]).output().unwrap();
    if !there.status.success() {
        skipped(test, "the Python of MCNN_TEST_PYTHON has no openpi-client");
        return None;
    }
    let options = Options { api_key: Some("s3cret"), ..Options::default() };
    let server = Server::start(served(policy, None), options);
    let port = server.address.port().to_string();
    let states = serde_json::to_string(states).unwrap();
    let output =
        Command::new(python).args(["-c", SCRIPT, &port, &horizon.to_string(), &states]).output().unwrap();
    assert!(output.status.success(), "{test}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

fn states() -> Vec<[f32; OBS]> {
    let mut rng = Seed(3).rng();
    (0..9).map(|_| [0; OBS].map(|_| rng.normal() as f32)).collect()
}

#[test]
fn the_real_client_gets_actions_and_where_they_come_from() {
    let (policy, states) = (mlp(3), states());
    let Some(found) =
        run("the_real_client_gets_actions_and_where_they_come_from", policy.clone(), 1, &states)
    else {
        return;
    };
    let mut session = policy.session();
    for (reply, state) in found["replies"].as_array().unwrap().iter().zip(&states) {
        let mut expected = [0.0; ACT];
        let constrained = session.act(state, &mut expected).unwrap();
        assert_eq!(numbers(&reply["actions"]), expected);
        assert_eq!(numbers(&reply["mcnn/distance"]), [constrained.retrieval.distance]);
        assert_eq!(numbers(&reply["mcnn/weight"]), [constrained.region.weight]);
        assert_eq!(reply["mcnn/memory"][0], constrained.retrieval.memory);
        assert_eq!(reply["mcnn/source"][0][0], constrained.source.episode);
        assert_eq!(reply["mcnn/source"][0][1], constrained.source.step);
        assert_eq!(
            (&reply["mcnn/ood"][0], &reply["mcnn/policy"]),
            (&Value::Bool(false), &Value::from("first"))
        );
        assert!(reply["policy_timing"]["infer_ms"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(found["metadata"]["action_dim"], ACT);
    let mut expected = [0.0; ACT];
    session.act(&states[0], &mut expected).unwrap();
    assert_eq!(numbers(&found["after"]), expected, "the session goes on after an error");
    let error = found["error"].as_str().unwrap();
    assert!(error.contains("observation/state or state (4 values)") && error.contains("tate"), "{error}");
    assert_eq!(found["types"]["actions"], serde_json::json!(["<f4", [1, ACT]]));
}

#[test]
fn the_real_clients_broker_cuts_chunks_into_steps() {
    let (policy, states) = (unet(), states());
    let Some(found) = run("the_real_clients_broker_cuts_chunks_into_steps", policy.clone(), 4, &states)
    else {
        return;
    };
    let mut session = policy.session_with_seed(Seed(7).fork("session").nth(1));
    let mut chunk = [0.0; 4 * ACT];
    for (k, step) in found["steps"].as_array().unwrap().iter().enumerate() {
        if k % 4 == 0 {
            session.act_chunk(&states[0], &mut chunk).unwrap();
        }
        assert_eq!(numbers(&step["actions"]), chunk[k % 4 * ACT..][..ACT], "step {k}");
        assert_eq!(step["mcnn/source"].as_array().unwrap().len(), 2);
        assert!(step["mcnn/distance"].is_f64() && step["mcnn/ood"].is_boolean(), "{step}");
    }
    for (key, kind) in [("actions", "<f4"), ("mcnn/source", "<i8"), ("mcnn/ood", "|b1")] {
        assert_eq!(
            (&found["types"][key][0], &found["types"][key][1][0]),
            (&Value::from(kind), &Value::from(4))
        );
    }
}
