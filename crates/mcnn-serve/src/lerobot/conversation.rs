//! What a connection of LeRobot's client needs from one call to the next.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mcnn::error::Error;
use tokio::{sync::Notify, time::timeout};
use tonic::{Response, Status, Streaming, metadata::MetadataValue};

use super::{
    messages::{self, Actions, TransferState},
    pickle::{self, Instructions},
};
use crate::{
    codec::Value,
    hub::{Client, Hub, off_the_event_loop},
    observation::{Observation, Refused},
    session::{Reply, Session},
};

/// How long a request for actions waits for an observation, as LeRobot's server does.
const WAITING: Duration = Duration::from_secs(2);
/// Steps per second, where the data do not say them; LeRobot's default.
const FPS: f64 = 30.0;
/// Numbers of answered steps that are remembered.
const REMEMBERED: usize = 1024;

/// A connection.
pub(super) struct Conversation {
    hub: Arc<Hub>,
    state: Mutex<State>,
    arrived: Notify,
    turn: tokio::sync::Mutex<()>, // of the one request for actions that is being answered
}

struct State {
    client: Client,
    session: Option<Session>, // away while it acts
    newest: Option<Waiting>,
    answered: BTreeSet<i64>,
    instructions: Instructions,
    are_keys_told: bool,
}

/// An observation that has not been answered.
struct Waiting {
    observation: Observation<'static>,
    timestamp: f64,
    timestep: i64,
    must_go: bool,
    arrived: Instant,
}

fn invalid(error: &Error) -> Status {
    Status::invalid_argument(error.to_string())
}

impl Conversation {
    pub fn new(client: Client) -> Self {
        let hub = client.hub.clone();
        let state = State {
            session: Some(client.session()),
            client,
            newest: None,
            answered: BTreeSet::new(),
            instructions: Instructions::default(),
            are_keys_told: false,
        };
        Self { hub, state: Mutex::new(state), arrived: Notify::new(), turn: tokio::sync::Mutex::default() }
    }

    /// The most bytes of a message.
    pub fn message_bytes(&self) -> usize {
        self.hub.limits.message_bytes
    }

    /// Says how the connection ended.
    pub fn ended(&self, how: &str) {
        self.state().client.ended(how);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that was refused, and makes its status.
    fn refused(&self, error: &Error) -> Status {
        self.state().client.count(Duration::ZERO, Err(&error.to_string()));
        invalid(error)
    }

    /// Begins an episode.
    pub fn ready(&self) {
        let mut state = self.state();
        state.session = Some(state.client.session());
        state.newest = None;
        state.answered.clear();
        state.are_keys_told = false;
    }

    /// Notes what the client says of the robot. Which policy it asks for does not count: there is one.
    pub fn instruct(&self, message: &[u8]) -> Result<(), Status> {
        let instructions = pickle::instructions(message).map_err(|e| self.refused(&e))?;
        self.state().instructions = instructions;
        Ok(())
    }

    /// Takes an observation; the newest waits for a request for actions.
    pub async fn observe(
        self: &Arc<Self>,
        mut pieces: Streaming<messages::Observation>,
    ) -> Result<(), Status> {
        let mut message = Vec::new();
        loop {
            let Some(piece) = pieces.message().await? else {
                return Err(Status::invalid_argument("an observation without its last piece"));
            };
            let state = piece.transfer_state();
            if state == TransferState::Begin {
                message.clear();
            }
            if message.len() + piece.data.len() > self.message_bytes() {
                return Err(Status::resource_exhausted(
                    "an observation above the largest size (--max-message-mib)",
                ));
            }
            message.extend_from_slice(&piece.data);
            match state {
                TransferState::End => break,
                TransferState::Begin | TransferState::Middle => {}
                TransferState::Unknown => return Err(Status::invalid_argument("a piece of unknown state")),
            }
        }
        let this = self.clone();
        let read = off_the_event_loop(move || this.read(&message)).await;
        let waiting = read.and_then(|read| read).map_err(|e| self.refused(&e))?;
        let mut state = self.state();
        if state.answered.contains(&waiting.timestep) && !waiting.must_go {
            return Ok(()); // as LeRobot's server, which answers a step once unless the client has no action left
        }
        state.newest = Some(waiting);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    fn read(&self, message: &[u8]) -> mcnn::Result<Waiting> {
        let arrived = Instant::now();
        let pickle::TimedObservation { timestamp, timestep, must_go, observation } =
            pickle::observation(message)?;
        let read = match self.hub.inputs.read(&observation) {
            Err(Refused::Keys(error)) => {
                self.read_by_instructions(&observation).unwrap_or(Err(Refused::Keys(error)))
            }
            read => read,
        };
        let observation = match read {
            Ok(observation) => observation.into_owned(),
            Err(Refused::Value(error)) => return Err(error),
            Err(Refused::Keys(error)) => {
                let mut state = self.state();
                let is_told = std::mem::replace(&mut state.are_keys_told, true);
                return Err(if is_told {
                    Error::new(error.kind(), format!("{}, as before", error.what()))
                } else {
                    error
                });
            }
        };
        Ok(Waiting { observation, timestamp, timestep, must_go, arrived })
    }

    /// The state in the order of the robot's own names, for a policy without names.
    fn read_by_instructions<'a>(&self, observation: &Value<'a>) -> Option<Result<Observation<'a>, Refused>> {
        let names = self.state().instructions.state_names.clone();
        let values: Option<Vec<Value<'a>>> =
            names.iter().map(|name| observation.get(name).cloned()).collect();
        let values = values.filter(|values| !values.is_empty() && self.hub.inputs.has_state())?;
        let mut request = if let Value::Map(entries) = observation { entries.clone() } else { Vec::new() };
        request.push(("state".into(), Value::List(values)));
        Some(self.hub.inputs.read(&Value::Map(request)))
    }

    /// The actions for the newest observation; empty if none arrives in time.
    pub async fn act(&self) -> Result<Response<Actions>, Status> {
        let _turn = self.turn.lock().await;
        let Some(waiting) = self.next().await else { return Ok(Response::new(Actions { data: Vec::new() })) };
        let (mut session, first_step) = {
            let mut state = self.state();
            // An observation has the number of the last action that the robot has taken, so that its own action is the next. Only
            // the first of an episode has no action before it.
            let first_step = waiting.timestep.saturating_add(i64::from(!state.answered.is_empty()));
            state.answered.insert(waiting.timestep);
            if state.answered.len() > REMEMBERED {
                state.answered.pop_first();
            }
            (state.session.take().unwrap_or_else(|| state.client.session()), first_step)
        };
        let hub = self.hub.clone();
        let acted = off_the_event_loop(move || {
            let reply = session.act(&hub.live, &waiting.observation);
            (session, reply, waiting)
        });
        let (session, reply, waiting) = acted.await.map_err(|e| Status::internal(e.to_string()))?;
        let mut state = self.state();
        // A `ready` meanwhile has begun another episode.
        state.session.get_or_insert(session);
        let most = state.instructions.actions_per_chunk.unwrap_or(usize::MAX);
        match reply {
            Ok(reply) => {
                let Reply { constrained, .. } = &reply;
                let outcome = (constrained.retrieval.distance, constrained.ood);
                state.client.count(waiting.arrived.elapsed(), Ok(outcome));
                drop(state);
                Ok(answer(&reply, waiting.timestamp, first_step, most))
            }
            Err(error) => {
                drop(state);
                Err(self.refused(&error))
            }
        }
    }

    /// The newest observation, once there is one.
    async fn next(&self) -> Option<Waiting> {
        let arrives = async {
            loop {
                let newest = self.state().newest.take();
                match newest {
                    Some(waiting) => return waiting,
                    None => self.arrived.notified().await,
                }
            }
        };
        timeout(WAITING, arrives).await.ok()
    }
}

/// The message of a reply, at most `most` actions. Where they come from is in the headers, because the message has no place for it.
fn answer(reply: &Reply, timestamp: f64, first_step: i64, most: usize) -> Response<Actions> {
    let Reply { actions, n_act, constrained, served } = reply;
    let period = 1.0 / served.policy.codebook().parts().origin.fps.filter(|fps| *fps > 0.0).unwrap_or(FPS);
    let sent = &actions[..actions.len().min(most.saturating_mul(*n_act))];
    let data = pickle::actions(timestamp, first_step, period, sent, *n_act);
    let mut response = Response::new(Actions { data });
    for (name, value) in [
        ("mcnn-distance", constrained.retrieval.distance.to_string()),
        ("mcnn-weight", constrained.region.weight.to_string()),
        ("mcnn-source", constrained.source.to_string()),
        ("mcnn-ood", constrained.ood.to_string()),
        ("mcnn-stop", constrained.stop.to_string()),
    ] {
        if let Ok(value) = MetadataValue::try_from(value) {
            response.metadata_mut().insert(name, value);
        }
    }
    response
}
