//! What a connection of LeRobot's client needs from one call to the next.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mcnn::error::{Error, Kind};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::timeout,
};
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
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(2);
/// Steps per second, where the data do not say them; LeRobot's default.
const DEFAULT_FPS: f64 = 30.0;
/// Numbers of answered steps that are remembered.
const MAX_ANSWERED_STEPS: usize = 1024;

/// A connection.
pub(super) struct Conversation {
    hub: Arc<Hub>,
    state: Mutex<State>,
    arrived: Notify,
    turn: Arc<AsyncMutex<()>>, // of the one request for actions that is being answered
    reading: Arc<AsyncMutex<()>>, // of the one observation that is being read
}

struct State {
    client: Client,
    session: Option<Session>, // away while it acts
    newest: Option<PendingObservation>,
    answered: BTreeSet<i64>,
    instructions: Arc<Instructions>,
    are_keys_told: bool,
}

/// An observation that has not been answered.
struct PendingObservation {
    observation: Observation<'static>,
    timestamp: f64,
    timestep: i64,
    must_go: bool,
    arrived: Instant,
}

impl Conversation {
    pub fn new(client: Client) -> Self {
        let hub = client.hub.clone();
        let state = State {
            session: Some(client.session()),
            client,
            newest: None,
            answered: BTreeSet::new(),
            instructions: Arc::default(),
            are_keys_told: false,
        };
        Self {
            hub,
            state: Mutex::new(state),
            arrived: Notify::new(),
            turn: Arc::default(),
            reading: Arc::default(),
        }
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
        match error.kind() {
            Kind::Task => Status::internal(error.to_string()),
            _ => Status::invalid_argument(error.to_string()),
        }
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
        self.state().instructions = Arc::new(instructions);
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
        let arrived = Instant::now();
        // One at a time and in order. The lock goes with the work, which goes on if the client cancels the call.
        let reading = self.reading.clone().lock_owned().await;
        let this = self.clone();
        let taken = off_the_event_loop(move || {
            let _reading = reading;
            this.take(&message, arrived).map_err(|e| this.refused(&e))
        });
        taken.await.unwrap_or_else(|panic| Err(self.refused(&panic)))
    }

    /// Reads an observation and makes it the newest.
    fn take(&self, message: &[u8], arrived: Instant) -> mcnn::Result<()> {
        let pending = self.read(message, arrived)?;
        let mut state = self.state();
        if state.answered.contains(&pending.timestep) && !pending.must_go {
            return Ok(()); // as LeRobot's server, which answers a step once unless the client has no action left
        }
        state.newest = Some(pending);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    fn read(&self, message: &[u8], arrived: Instant) -> mcnn::Result<PendingObservation> {
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
            Err(refused) => return Err(refused.into_error(&mut self.state().are_keys_told)),
        };
        Ok(PendingObservation { observation, timestamp, timestep, must_go, arrived })
    }

    /// The state in the order of the robot's own names, for a policy without names.
    fn read_by_instructions<'a>(&self, observation: &Value<'a>) -> Option<Result<Observation<'a>, Refused>> {
        let instructions = self.state().instructions.clone();
        let names = &instructions.state_names;
        let n_state = self.hub.inputs.n_state();
        let Value::Map(entries) = observation else { return None };
        if n_state == 0 || names.len() != n_state {
            return None;
        }
        let of = |name: &String| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let values: Vec<Value<'a>> = names.iter().map(of).collect::<Option<_>>()?;
        let mut request = entries.clone();
        request.push(("state".into(), Value::List(values)));
        Some(self.hub.inputs.read(&Value::Map(request)))
    }

    /// The actions for the newest observation; empty if none arrives in time.
    pub async fn act(self: &Arc<Self>) -> Result<Response<Actions>, Status> {
        let turn = self.turn.clone().lock_owned().await;
        let Some(pending) = self.next().await else { return Ok(Response::new(Actions { data: Vec::new() })) };
        // The turn goes with the work, which goes on and puts the session back if the client cancels the call.
        let this = self.clone();
        let acted = off_the_event_loop(move || {
            let _turn = turn;
            this.act_on(&pending)
        });
        acted.await.unwrap_or_else(|panic| Err(self.refused(&panic)))
    }

    fn act_on(&self, pending: &PendingObservation) -> Result<Response<Actions>, Status> {
        let (mut session, first_step, is_new) = {
            let mut state = self.state();
            // An observation has the number of the last action that the robot has taken, so that its own action is the next. Only
            // the first of an episode has no action before it.
            let first_step = pending.timestep.saturating_add(i64::from(!state.answered.is_empty()));
            let is_new = state.answered.insert(pending.timestep);
            if state.answered.len() > MAX_ANSWERED_STEPS {
                state.answered.pop_first();
            }
            (state.session.take().unwrap_or_else(|| state.client.session()), first_step, is_new)
        };
        let reply = session.act(&self.hub.live, &pending.observation);
        let mut state = self.state();
        // A `ready` meanwhile has begun another episode.
        state.session.get_or_insert(session);
        let most = state.instructions.actions_per_chunk.unwrap_or(usize::MAX);
        match reply {
            Ok(reply) => {
                let Reply { constrained, .. } = &reply;
                let outcome = (constrained.retrieval.distance, constrained.ood);
                state.client.count(pending.arrived.elapsed(), Ok(outcome));
                drop(state);
                Ok(answer(&reply, pending.timestamp, first_step, most))
            }
            Err(error) => {
                // It has no answer, so the client may send the step again.
                if is_new {
                    state.answered.remove(&pending.timestep);
                }
                drop(state);
                Err(self.refused(&error))
            }
        }
    }

    /// The newest observation, once there is one.
    async fn next(&self) -> Option<PendingObservation> {
        let arrives = async {
            loop {
                let newest = self.state().newest.take();
                match newest {
                    Some(pending) => return pending,
                    None => self.arrived.notified().await,
                }
            }
        };
        timeout(OBSERVATION_TIMEOUT, arrives).await.ok()
    }
}

/// The message of a reply, at most `most` actions. Where they come from is in the headers, because the message has no place for it.
fn answer(reply: &Reply, timestamp: f64, first_step: i64, most: usize) -> Response<Actions> {
    let Reply { actions, n_act, constrained, served } = reply;
    let period =
        1.0 / served.policy.codebook().parts().origin.fps.filter(|fps| *fps > 0.0).unwrap_or(DEFAULT_FPS);
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

#[cfg(test)]
mod tests;
