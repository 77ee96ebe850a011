//! The server: accepts connections and answers them until it is told to stop.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_wcgi::ConnectionInfo;

use crate::log::take_refused;
use crate::refused::{Refused, reason};
use crate::serve::count;
use crate::signals::Signals;
use crate::tls::Tls;

/// What answers requests. Each has the [`ConnectionInfo`] of its connection among its extensions.
pub(crate) trait App: Clone + Send + Sync + 'static {
    type Body: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A socket that is listened on.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<Tls>,
}

/// A server that runs. When it is dropped its connections end.
#[derive(Debug)]
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    /// A task for each listener, which has the tasks of its connections.
    listeners: JoinSet<()>,
    refused: Refused,
}

impl Server {
    pub(crate) fn start(listeners: impl IntoIterator<Item = Listener>, app: impl App) -> Self {
        let stop = watch::Sender::new(false);
        let refused = Refused::default();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept(listener, app.clone(), refused.clone(), stop.subscribe()));
        }
        Self { stop, listeners: tasks, refused }
    }

    /// Accepts no more, and finishes what runs. A signal, or too long a wait, ends it at once.
    pub(crate) async fn stop(mut self, drain: Duration, signals: &mut Signals) {
        tracing::debug!("stopping");
        self.stop.send_replace(true);
        tokio::select! {
            () = async { while self.listeners.join_next().await.is_some() {} } => {}
            () = signals.stop() => tracing::warn!("stopped at the second signal"),
            () = tokio::time::sleep(drain) => tracing::warn!("stopped with exchanges still running after {drain:?}"),
        }
        self.refused.tell_left_out();
    }
}

async fn accept(listener: Listener, app: impl App, refused: Refused, mut stopping: watch::Receiver<bool>) {
    let Listener { tcp, tls } = listener;
    let mut connections = JoinSet::new();
    let mut accepts = true;
    let told = stopping.clone();
    loop {
        tokio::select! {
            accepted = tcp.accept() => match accepted {
                Ok((stream, peer)) => {
                    accepts = true;
                    // A socket for IPv6 too shows an IPv4 client as ::ffff:1.2.3.4.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    connections.spawn(connection(stream, peer, tls.clone(), app.clone(), refused.clone(), told.clone()));
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
            _ = async { stopping.wait_for(|stop| *stop).await.map(drop) } => break,
        }
    }
    drop(tcp);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    app: impl App,
    refused: Refused,
    mut stopping: watch::Receiver<bool>,
) {
    // Flushed output shall not wait for more output.
    let _ = stream.set_nodelay(true);
    let info = ConnectionInfo::unknown().remote_addr(peer);
    let Some(tls) = tls else { return exchanges(stream, peer, info, app, refused, stopping).await };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(HEADER_READ, tls.accept(stream)) => handshake,
        _ = async { stopping.wait_for(|stop| *stop).await.map(drop) } => return,
    };
    if !matches!(handshake, Ok(Ok(_))) {
        count::failed_handshake();
    }
    match handshake {
        Ok(Ok(stream)) => exchanges(stream, peer, info.https(true), app, refused, stopping).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_elapsed) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

/// Answers the requests of a connection.
async fn exchanges(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    info: ConnectionInfo,
    app: impl App,
    refused: Refused,
    mut stopping: watch::Receiver<bool>,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let answer = service_fn({
        let asked = Arc::clone(&asked);
        move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(info);
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.answer(request).await) }
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

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HEADER_READ: Duration = Duration::from_secs(30);
/// What a file system or a script holds up must not hold up the end of the process for longer.
pub(crate) const LAST_TASKS: Duration = Duration::from_secs(1);
