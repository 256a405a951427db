//! LeRobot's asynchronous inference: the gRPC service that `lerobot.async_inference.robot_client` calls. A connection is an episode,
//! and `Ready` begins another.

mod conversation;
mod messages;
mod pickle;
mod service;

use std::{sync::Arc, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::{hub::Hub, listener::Peer};
use conversation::Conversation;

/// The most calls of a connection at once: the client has two.
const CALLS: u32 = 4;
/// The most bytes of a call's headers.
const HEADER_BYTES: u32 = 16 << 10;
/// The least time between two pings.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(100);

/// What a connection by HTTP/2 begins with.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long that may take.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for a connection's first bytes, so that one that says nothing or something else takes no session's place.
async fn speaks_http2(stream: &TcpStream) -> bool {
    let begins = async {
        let mut start = [0; PREFACE.len()];
        loop {
            match stream.peek(&mut start).await {
                Ok(n) if n == PREFACE.len() => return start == PREFACE,
                Ok(n) if n > 0 && start[..n] == PREFACE[..n] => {
                    tokio::time::sleep(Duration::from_millis(20)).await
                }
                _ => return false,
            }
        }
    };
    tokio::time::timeout(PREFACE_TIMEOUT, begins).await.unwrap_or(false)
}

/// Serves one connection.
pub(crate) async fn serve(stream: TcpStream, hub: Arc<Hub>, peer: Peer) {
    let is_http2 = tokio::select! {
        is_http2 = speaks_http2(&stream) => is_http2,
        () = hub.stopped() => false,
    };
    if !is_http2 {
        return;
    }
    // A connection above the limit is closed: its client tries again by itself.
    let Some(client) = hub.begin(peer.address) else { return };
    let conversation = Arc::new(Conversation::new(client));
    let of_calls = conversation.clone();
    let service = service_fn(move |request| service::route(of_calls.clone(), request));
    let half_idle = (hub.limits.idle / 2).max(MIN_PING_INTERVAL);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(half_idle)
        .keep_alive_timeout(half_idle)
        .serve_connection(TokioIo::new(stream), service);
    let outcome = tokio::select! {
        outcome = connection => outcome,
        () = hub.stopped() => return,
    };
    conversation.ended(&match outcome {
        Ok(()) => "closed by the client".to_owned(),
        Err(error) => format!("the connection broke: {error}"),
    });
}
