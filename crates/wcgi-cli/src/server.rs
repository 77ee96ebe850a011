//! The server: accepts connections and answers them until a signal ends it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;
use tower_wcgi::WcgiService;

use crate::access::Access;
use crate::log::take_refused;
use crate::refused::{Refused, reason};

/// Serves until SIGINT or SIGTERM, then lets running requests finish. A second signal, or too long a wait, ends it at once.
pub(crate) async fn serve(listener: TcpListener, service: WcgiService, mut signals: Signals) -> anyhow::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let refused = Refused::default();
    let mut connections = JoinSet::new();
    let mut accepts = true;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    accepts = true;
                    // A socket for IPv6 too shows an IPv4 client as ::ffff:1.2.3.4.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    connections.spawn(connection(stream, peer, service.clone(), refused.clone(), stopping.clone()));
                }
                Err(error) => {
                    // Mostly too many open files: others have to close first. That may take long, and is logged once.
                    if std::mem::take(&mut accepts) {
                        tracing::warn!(%error, "cannot accept connections; trying again until one can be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = signals.next() => break,
        }
    }
    drop(listener);
    tracing::debug!(connections = connections.len(), "stopping");
    // The receivers are in the connections. Without connections nobody receives.
    let _ = stop.send(true);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = signals.next() => tracing::warn!("stopped at the second signal"),
        () = tokio::time::sleep(DRAIN) => tracing::warn!("stopped with exchanges still running after {DRAIN:?}"),
    }
    refused.tell_left_out();
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: WcgiService,
    refused: Refused,
    mut stopping: watch::Receiver<bool>,
) {
    // Flushed output shall not wait for more output.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let answer = service_fn({
        let asked = Arc::clone(&asked);
        move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(peer);
            let mut service = service.clone();
            let client = service.connection_info(&parts).client().unwrap_or(peer);
            let (access, request) = Access::start(Request::from_parts(parts, body), client);
            async move { service.call(request).await.map(|response| access.response(response)) }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ);
    builder.http2().timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = refusals_logged(connection.as_mut(), peer, &refused) => ended,
        _ = async { stopping.wait_for(|stop| *stop).await.map(drop) } => {
            if !asked.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            refusals_logged(connection, peer, &refused).await
        }
    };
    let Err(error) = ended else { return };
    match reason(&*error) {
        Some(reason) => refused.log(peer, &reason),
        None => tracing::debug!(%peer, error, "the connection ended early"),
    }
}

/// Runs a connection, and logs refused requests while others on it go on.
async fn refusals_logged<C: Future>(mut connection: Pin<&mut C>, peer: SocketAddr, refused: &Refused) -> C::Output {
    poll_fn(|cx| {
        // Refusals that another task has left on this thread are not this peer's.
        drop(take_refused());
        let polled = connection.as_mut().poll(cx);
        for reason in take_refused() {
            refused.log(peer, &reason);
        }
        polled
    })
    .await
}

/// The signals that end the server.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_secs(30);
const HEADER_READ: Duration = Duration::from_secs(30);
