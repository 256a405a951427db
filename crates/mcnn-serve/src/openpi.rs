//! openpi's protocol: websocket frames of msgpack, one request and one reply at a time.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{
        State,
        ws::{
            CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code,
            rejection::WebSocketUpgradeRejection,
        },
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use mcnn::error::Result;
use tokio::time::timeout;

use crate::{
    answer, codec,
    hub::{Client, Hub, caught, off_the_event_loop},
    listener::Peer,
    session::{Reply, Session},
};

/// How long a client may take to read a reply.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a connection's buffer; larger messages are read in several pieces.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// The routes: `/healthz`, `/metrics`, and the websocket on every other path.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "OK\n" }))
        .route("/metrics", get(metrics))
        .fallback(any(connect))
        .with_state(hub)
}

/// Whether a request has the API key, where there is one.
fn is_admitted(hub: &Hub, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    hub.api_key.as_ref().is_none_or(|key| key.admits(given))
}

/// Whether a request comes from a page of another site, which a browser may let reach this machine. Any site can make its name lead to
/// this machine (DNS rebinding), so the page must be of `localhost` or of an IP address.
fn is_foreign_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(origin) = text(header::ORIGIN) else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_none_or(|host| !is_local_or_address(host)) || host != text(header::HOST).as_deref()
}

/// Whether a host, with or without a port, is `localhost` or an IP address.
fn is_local_or_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
    }
}

async fn metrics(State(hub): State<Arc<Hub>>, headers: HeaderMap) -> Response {
    if !is_admitted(&hub, &headers) {
        return (StatusCode::UNAUTHORIZED, "the API key is missing or wrong\n").into_response();
    }
    let served = hub.live.current();
    let text = hub.metrics.text(&served.policy.name(), &served.fingerprint);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn connect(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let refused = |status: StatusCode, why: &'static str| {
        hub.metrics.refused.fetch_add(1, Relaxed);
        (status, why).into_response()
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) => {
            return refused(
                StatusCode::UPGRADE_REQUIRED,
                "a policy server: connect by openpi's websocket protocol\n",
            );
        }
    };
    if is_foreign_page(&headers) {
        return refused(StatusCode::FORBIDDEN, "not for pages of other sites\n");
    }
    if !is_admitted(&hub, &headers) {
        return refused(StatusCode::UNAUTHORIZED, "the API key is missing or wrong\n");
    }
    let Some(client) = hub.begin(peer.address) else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the server has its maximum number of sessions (--max-sessions)\n",
        )
            .into_response();
    };
    let most = hub.limits.message_bytes;
    upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| async move {
            let _peer = peer; // the connection's place is free when the session has ended
            run_session(socket, client).await;
        })
}

/// Speaks with a client until either side ends.
async fn run_session(mut socket: WebSocket, mut client: Client) {
    let mut stop = client.hub.stop.subscribe();
    let greeting = Message::Binary(answer::metadata(&client.hub).into());
    let how = tokio::select! {
        how = answer_requests(&mut socket, &mut client, greeting) => how,
        _ = stop.wait_for(|stop| *stop) => Ending::by(close_code::AWAY, "the server ends"),
    };
    client.ended(&how.text);
    if let Some(code) = how.code {
        let reason = how.text.chars().take(100).collect::<String>();
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(Duration::from_secs(1), socket.send(close)).await;
    }
}

/// How a session ended, and the code to close it with, unless the client has closed it.
struct Ending {
    code: Option<u16>,
    text: String,
}

impl Ending {
    fn by(code: u16, text: impl Into<String>) -> Self {
        Self { code: Some(code), text: text.into() }
    }

    fn gone(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into() }
    }
}

async fn answer_requests(socket: &mut WebSocket, client: &mut Client, greeting: Message) -> Ending {
    let session = client.session();
    let mut connection =
        Some(Connection { session, are_keys_told: false, before: None, pace: Pace::default() });
    if let Err(ending) = send(socket, greeting).await {
        return ending;
    }
    loop {
        let request = match receive(socket, client.hub.limits.idle).await {
            Ok(request) => request,
            Err(ending) => return ending,
        };
        let begun = Instant::now();
        let mut taken = connection.take().expect("it is put back after each request");
        let hub = client.hub.clone();
        let is_short = taken.pace.is_short(request.len());
        let work = move || {
            let outcome = taken.answer(&hub, &request);
            (taken, outcome)
        };
        let worked = if is_short { caught(work) } else { off_the_event_loop(work).await };
        let (back, outcome) = match worked {
            Ok(worked) => worked,
            Err(error) => {
                client.count(begun.elapsed(), Err(error.what()));
                let _ = send(socket, Message::Text(error.to_string().into())).await;
                return Ending::by(close_code::ERROR, error.what());
            }
        };
        let message = match outcome {
            Ok((reply, bytes)) => {
                let Reply { constrained, .. } = &reply;
                client.count(begun.elapsed(), Ok((constrained.retrieval.distance, constrained.ood)));
                Message::Binary(bytes.into())
            }
            Err(error) => {
                let text = error.to_string();
                client.count(begun.elapsed(), Err(&text));
                Message::Text(text.into())
            }
        };
        if let Err(ending) = send(socket, message).await {
            return ending;
        }
        connection = Some(Connection { before: Some(begun.elapsed()), ..back });
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> std::result::Result<(), Ending> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ending::gone(format!("the connection broke: {error}"))),
        Err(_) => Err(Ending::gone(format!("the client read no reply for {} s", SEND_TIMEOUT.as_secs()))),
    }
}

/// The next request. A client that is silent for half of `idle` is asked for a sign of life, and one that gives none until `idle` is
/// over has gone, or is stalled in a frame.
async fn receive(socket: &mut WebSocket, idle: Duration) -> std::result::Result<Bytes, Ending> {
    let mut is_asked = false;
    loop {
        match timeout(idle / 2, socket.recv()).await {
            Ok(Some(Ok(Message::Binary(request)))) => return Ok(request),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => is_asked = false,
            Ok(Some(Ok(Message::Text(_)))) => {
                return Err(Ending::by(
                    close_code::UNSUPPORTED,
                    "a text frame, where msgpack in a binary frame is read",
                ));
            }
            Ok(Some(Ok(Message::Close(_))) | None) => return Err(Ending::gone("closed by the client")),
            Ok(Some(Err(error))) => {
                let text = with_causes(&error);
                return Err(match text.contains("too long") || text.contains("too big") {
                    true => Ending::by(close_code::SIZE, format!("a message above the largest size: {text}")),
                    false => Ending::gone(format!("the connection broke: {text}")),
                });
            }
            Err(_) if is_asked => {
                return Err(Ending::by(close_code::AWAY, format!("silent for {} s", idle.as_secs())));
            }
            Err(_) => {
                is_asked = true;
                send(socket, Message::Ping(Bytes::new())).await?;
            }
        }
    }
}

/// An error with those that caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// What a connection needs from one request to the next.
struct Connection {
    session: Session,
    are_keys_told: bool,
    before: Option<Duration>, // of the request before, from its arrival to its answer
    pace: Pace,
}

/// Whether requests are answered on the event loop. Handing a request to another thread and waiting for it takes some 50 us, which is
/// longer than most policies act.
#[derive(Default)]
struct Pace {
    quick: u32, // answers in a row that took less than QUICK
}

impl Pace {
    /// Other connections wait for an answer on the event loop.
    const QUICK: Duration = Duration::from_micros(100);
    /// Quick answers in a row before requests are answered on the event loop: at least the largest execution horizon, so that a
    /// prediction of a chunk falls among them.
    const ENOUGH: u32 = 256;

    fn is_short(&self, request_bytes: usize) -> bool {
        self.quick >= Self::ENOUGH && request_bytes <= READ_BUFFER_BYTES
    }

    fn count(&mut self, took: Duration) {
        self.quick = if took < Self::QUICK { self.quick.saturating_add(1) } else { 0 };
    }
}

impl Connection {
    /// Answers a request.
    fn answer(&mut self, hub: &Hub, request: &[u8]) -> Result<(Reply, Vec<u8>)> {
        let begun = Instant::now();
        let request = codec::decode(request)?;
        let read = hub.inputs.read(&request);
        let observation = read.map_err(|refused| refused.into_error(&mut self.are_keys_told))?;
        let reply = self.session.act(&hub.live, &observation)?;
        let took = begun.elapsed();
        self.pace.count(took);
        let bytes = answer::reply(&reply, took, self.before);
        Ok((reply, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_requests_of_policies_that_stay_quick_are_answered_on_the_event_loop() {
        let mut pace = Pace::default();
        (1..Pace::ENOUGH).for_each(|_| pace.count(Duration::from_micros(20)));
        assert!(!pace.is_short(100));
        pace.count(Duration::from_micros(20));
        assert!(pace.is_short(100) && !pace.is_short(READ_BUFFER_BYTES + 1));
        pace.count(Pace::QUICK);
        assert!(!pace.is_short(100));
    }
}
