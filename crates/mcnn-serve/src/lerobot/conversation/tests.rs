//! Calls that the client cancels.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Waker},
};

use mcnn::{
    backbone::Mlp,
    data::{ActionRange, Demonstrations, Parts},
    memory::{LearnSettings, learn},
    policy::{ActingSettings, Policy},
    seed::Seed,
};
use tokio::sync::Semaphore;

use super::*;
use crate::{Inputs, Limits, Live, Served, metrics::Metrics};

fn conversation() -> Arc<Conversation> {
    let steps = (0..40).map(|k| k as f32 / 40.0);
    let parts = Parts {
        n_obs: 1,
        n_act: 1,
        states: steps.clone().collect(),
        actions: steps.collect(),
        rewards: None,
        ends: vec![20, 40],
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let codebook = learn(&data, &LearnSettings::for_policy(&data, Seed(0))).unwrap().codebook;
    let network = Mlp::random(&[1, 4, 1], Seed(1)).into();
    let policy = Policy::ensemble(codebook, vec![network], ActingSettings::default()).unwrap();
    let inputs = Inputs::new(&policy, None, Vec::new(), Vec::new()).unwrap();
    let served = Served { policy: Arc::new(policy), fingerprint: String::new(), guard: None, encoder: None };
    let hub = Hub {
        live: Live::new(served, None).unwrap(),
        inputs,
        limits: Limits { connections: 1, message_bytes: 1 << 20, idle: Duration::from_secs(1), threads: 1 },
        metrics: Metrics::default(),
        api_key: None,
        seed: Seed(0),
        log: Box::new(|_| ()),
        stop: tokio::sync::watch::channel(false).0,
        places: Arc::new(Semaphore::new(1)),
    };
    let client = Arc::new(hub).begin(([127, 0, 0, 1], 1).into()).unwrap();
    Arc::new(Conversation::new(client))
}

fn pending(value: f32, timestep: i64) -> PendingObservation {
    let observation = Observation::States(vec![value]);
    PendingObservation { observation, timestamp: 0.0, timestep, must_go: false, arrived: Instant::now() }
}

/// Begins a call and drops it, as hyper does with one that the client cancels.
fn cancel(call: impl Future) {
    assert!(pin!(call).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn a_cancelled_request_for_actions_keeps_the_session_and_its_turn() {
    let conversation = conversation();
    conversation.state().newest = Some(pending(0.5, 1));
    cancel(conversation.act());
    drop(conversation.turn.lock().await);
    let state = conversation.state();
    assert!(state.session.is_some() && state.answered.contains(&1));
    drop(state);
    assert_eq!(conversation.hub.metrics.requests.load(Relaxed), 1);
}

#[tokio::test]
async fn a_refused_step_may_be_sent_again_and_a_panic_is_counted() {
    let conversation = conversation();
    let count = || conversation.hub.metrics.errors.load(Relaxed);
    conversation.state().newest = Some(pending(f32::NAN, 7));
    assert_eq!(conversation.act().await.unwrap_err().code(), tonic::Code::InvalidArgument);
    assert_eq!((conversation.state().answered.len(), count()), (0, 1));
    let frames = Observation::Frames(Vec::new().into(), Vec::new());
    conversation.state().newest = Some(PendingObservation { observation: frames, ..pending(0.0, 8) });
    assert_eq!(conversation.act().await.unwrap_err().code(), tonic::Code::Internal);
    assert_eq!(count(), 2);
    conversation.state().newest = Some(pending(0.5, 9));
    assert!(conversation.act().await.is_ok(), "it goes on in a new session");
}

#[tokio::test]
async fn names_of_motors_are_flat_and_as_many_as_the_state_has() {
    let conversation = conversation();
    let flat = Value::Map(vec![("a/b".into(), Value::Number(0.5))]);
    let nested = Value::Map(vec![("a".into(), Value::Map(vec![("b".into(), Value::Number(0.5))]))]);
    let read = |names: &[&str], observation| {
        let state_names = names.iter().map(|name| name.to_string()).collect();
        conversation.state().instructions = Arc::new(Instructions { state_names, ..Instructions::default() });
        conversation.read_by_instructions(observation)
    };
    assert_eq!(read(&["a/b"], &flat), Some(Ok(Observation::States(vec![0.5]))));
    assert_eq!(read(&["a/b"], &nested), None);
    assert_eq!(read(&["a/b", "a/b"], &flat), None);
}
