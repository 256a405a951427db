//! A server of policies: observations in, actions out, over the network.
//!
//! [`serve`] speaks openpi's websocket protocol or, with the feature `lerobot`, LeRobot's asynchronous inference over gRPC. Each
//! connection is an episode of its own. Actions that take long are computed on threads beside the event loop. The policy can be replaced by an
//! edited version of itself between two actions ([`Watched`]).

mod answer;
mod codec;
mod hub;
mod key;
#[cfg(feature = "lerobot")]
mod lerobot;
mod listener;
mod live;
mod metrics;
mod observation;
mod openpi;
mod session;
mod watch;

pub use key::ApiKey;
pub use live::{Live, Served};
pub use observation::Inputs;
pub use watch::Watched;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hub::Hub;
use mcnn::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use serde::Serialize;
use tokio::{net::TcpListener, sync::Semaphore};

/// How often the server looks whether it should stop.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// Threads of the event loop.
const EVENT_THREADS: usize = 2;

/// The protocol of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// openpi's websocket protocol.
    Openpi,
    /// LeRobot's asynchronous inference over gRPC.
    #[cfg(feature = "lerobot")]
    Lerobot,
}

/// What bounds the memory of the server and the time of a silent client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most sessions at once.
    pub connections: usize,
    /// The most bytes of a message.
    pub message_bytes: usize,
    /// How long a client may give no sign of life.
    pub idle: Duration,
    /// Threads that compute actions, at least 1.
    pub threads: usize,
}

/// How to serve.
pub struct Settings {
    /// The protocol.
    pub protocol: Protocol,
    /// The address; port 0 for a free one.
    pub address: SocketAddr,
    /// The bounds.
    pub limits: Limits,
    /// The key that clients must have.
    pub api_key: Option<ApiKey>,
    /// Decides everything random in acting.
    pub seed: Seed,
    /// The file to watch.
    pub watched: Option<Watched>,
    /// Takes one line at a time: of the start, of each session, of each replacement.
    pub log: Box<dyn Fn(&str) + Send + Sync>,
}

/// What a server did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The protocol.
    pub protocol: Protocol,
    /// The address that it listened on.
    pub address: String,
    /// Sessions begun.
    pub sessions: u64,
    /// Clients refused.
    pub refused: u64,
    /// Requests answered with actions.
    pub requests: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// Answers in out-of-distribution states.
    pub ood: u64,
    /// Times that the policy was replaced.
    pub swaps: u64,
    /// Times that a changed file was not usable.
    pub failed_swaps: u64,
    /// Seconds.
    pub seconds: f64,
}

/// Serves a policy until `stop` is set.
///
/// # Errors
/// If the address cannot be listened on: another program has the port, or the machine does not have the address. If there is a key, and
/// the protocol is LeRobot's, whose client sends none.
pub fn serve(live: Live, inputs: Inputs, settings: Settings, stop: &AtomicBool) -> Result<Report> {
    let Settings { protocol, address, limits, api_key, seed, watched, log } = settings;
    #[cfg(feature = "lerobot")]
    if api_key.is_some() && protocol == Protocol::Lerobot {
        return Err(Error::new(Kind::Settings, "LeRobot's client sends no key")
            .at("--api-key-file, MCNN_API_KEY")
            .next("leave the key out, and listen on 127.0.0.1 behind a tunnel (ssh, WireGuard)"));
    }
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(EVENT_THREADS.min(limits.threads).max(1))
        .max_blocking_threads(limits.threads.max(1))
        .enable_all()
        .build()
        .map_err(|e| {
            Error::new(Kind::Settings, "the server's threads cannot be started").found(e.to_string())
        })?;
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(|e| not_listening(address, &e))?;
    let address = listener.local_addr().map_err(|e| not_listening(address, &e))?;
    let hub = Arc::new(Hub {
        live,
        inputs,
        limits,
        metrics: metrics::Metrics::default(),
        api_key,
        seed,
        log,
        stop: tokio::sync::watch::channel(false).0,
        places: Arc::new(Semaphore::new(limits.connections)),
    });
    hub.say(&format!("listening on {}", url(protocol, address)));
    std::thread::scope(|scope| {
        if let Some(watched) = watched {
            let hub = &hub;
            scope.spawn(move || watch::watch(hub, &watched));
        }
        runtime.block_on(async {
            let stopping = async {
                while !stop.load(Relaxed) {
                    tokio::time::sleep(STOP_INTERVAL).await;
                }
                hub.stop.send_replace(true);
            };
            tokio::join!(stopping, listen(protocol, listener, &hub));
        });
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    Ok(Report {
        protocol,
        address: address.to_string(),
        sessions: count(&hub.metrics.sessions),
        refused: count(&hub.metrics.refused),
        requests: count(&hub.metrics.requests),
        errors: count(&hub.metrics.errors),
        ood: count(&hub.metrics.ood),
        swaps: count(&hub.metrics.swaps),
        failed_swaps: count(&hub.metrics.failed_swaps),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

async fn listen(protocol: Protocol, listener: TcpListener, hub: &Arc<Hub>) {
    match protocol {
        Protocol::Openpi => {
            let router = openpi::router(hub.clone());
            let serve = |stream, peer| listener::http(stream, router.clone(), hub.clone(), peer);
            listener::listen(listener, hub, serve).await;
        }
        #[cfg(feature = "lerobot")]
        Protocol::Lerobot => {
            let serve = |stream, peer| lerobot::serve(stream, hub.clone(), peer);
            listener::listen(listener, hub, serve).await;
        }
    }
}

fn url(protocol: Protocol, address: SocketAddr) -> String {
    match protocol {
        Protocol::Openpi => format!("ws://{address}"),
        #[cfg(feature = "lerobot")]
        Protocol::Lerobot => format!("grpc://{address}"),
    }
}

fn not_listening(address: SocketAddr, error: &io::Error) -> Error {
    let (what, next) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "the port is in use",
            "end the other program, or choose another port with --port (0: a free one)",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "the machine does not have this address",
            "choose another with --host (0.0.0.0: all of the machine)",
        ),
        io::ErrorKind::PermissionDenied => {
            ("the port may not be listened on", "choose one above 1023 with --port")
        }
        _ => ("the address cannot be listened on", "choose another with --host and --port"),
    };
    Error::new(Kind::Settings, what).at(address.to_string()).found(error.to_string()).next(next)
}
