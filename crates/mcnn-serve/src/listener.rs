//! Accepting connections, a bounded number of them.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::hub::Hub;

/// Connections beside those of sessions: for `/healthz`, `/metrics`, and to refuse clients.
const EXTRA_CONNECTIONS: usize = 16;
/// How long the head of a request may take, and how long a connection may be silent before it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const HEADER_BYTES: usize = 16 << 10;
/// How long sessions may take to end when the server does.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The other end of a connection. The connection's place among all is taken as long as a copy exists.
#[derive(Clone)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Serves until the server stops, and then until all sessions have ended. `serve` serves one connection.
pub(crate) async fn listen<Serving>(
    listener: TcpListener,
    hub: &Arc<Hub>,
    serve: impl Fn(TcpStream, Peer) -> Serving,
) where
    Serving: Future<Output = ()> + Send + 'static,
{
    let all = hub.limits.connections + EXTRA_CONNECTIONS;
    let places = Arc::new(Semaphore::new(all));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = hub.stopped() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true); // a reply is one small write
                tokio::spawn(serve(stream, Peer { address, _place: Arc::new(place) }));
            }
            // Of one connection, or of files that ran out: others may still come.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, places.acquire_many(all as u32)).await;
}

/// Serves one connection by HTTP/1.1, up to the upgrade to a websocket.
pub(crate) async fn http(stream: TcpStream, router: Router, hub: Arc<Hub>, peer: Peer) {
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // The errors of a client are its own.
    tokio::select! {
        _ = connection => {}
        () = hub.stopped() => {}
    }
}
