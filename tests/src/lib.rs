//! What the tests share: where guests are, services and servers made of them, and requests in one line.
#![expect(clippy::panic, reason = "a test that cannot go on")]

pub mod calls;
#[cfg(unix)]
pub mod servers;
pub mod wordpress;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tower::{Service, ServiceExt};
use tower_wcgi::{Engine, EngineBuilder, ErrorKind, ResponseBody, WcgiBuilder, WcgiService};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Whether guests are components in this binary, which has `components` in its name then. Otherwise they are modules.
#[must_use]
pub fn are_components() -> bool {
    let binary = std::env::current_exe().unwrap_or_default();
    binary.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("components"))
}

/// A guest program as `cargo xtask setup` has built it, of the [kind](are_components) that this binary tests.
///
/// # Panics
///
/// When it has not been built.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    let built = root().join(if are_components() { "target/guests/component" } else { "target/guests" });
    let found =
        ["wasm", "wat"].map(|extension| built.join(name).with_extension(extension)).into_iter().find(|p| p.exists());
    found.unwrap_or_else(|| panic!("guest {name} is not built; `cargo xtask setup` does that"))
}

/// Where tests keep compiled modules.
#[must_use]
pub fn cache_dir() -> PathBuf {
    root().join("target/test-cache")
}

/// What the examples call the PHP that they depend on, and set-up's php-cgi.
///
/// # Panics
///
/// When no example names one.
#[must_use]
pub fn php() -> (String, PathBuf) {
    let manifest = std::fs::read_to_string(root().join("examples/site/wasmer.toml")).unwrap_or_default();
    let reference = manifest.lines().find_map(|line| line.strip_prefix("php = \"")?.strip_suffix('"'));
    (reference.expect("examples/site depends on PHP").to_owned(), root().join("examples/php/php-cgi.wasm"))
}

/// The package of an example, with the PHP that it may depend on.
pub fn example(name: &str) -> WcgiBuilder {
    let (reference, module) = php();
    WcgiService::builder().package(root().join("examples").join(name)).dependency(reference, module)
}

/// An engine small enough to be made for one test.
pub fn engine() -> EngineBuilder {
    Engine::builder().max_concurrency(16).cache_dir(cache_dir())
}

/// A service of one guest, to be set up further.
///
/// # Panics
///
/// When the guest has not been built or there is no room for an engine.
pub fn builder(name: &str) -> WcgiBuilder {
    WcgiService::builder().package(guest(name)).engine(engine().build().expect("an engine"))
}

/// A service of one guest.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn service(name: &str) -> WcgiService {
    builder(name).build().expect("a service")
}

/// A response that has been read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as far as it came.
    pub body: Bytes,
    /// How the body ended, if not well.
    pub failure: Option<ErrorKind>,
}

impl Reply {
    /// Reads a response to its end.
    pub async fn read(response: Response<ResponseBody>) -> Self {
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut failure) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(error) => failure = Some(error.kind()),
            }
        }
        Self { status: parts.status, headers: parts.headers, body: bytes.into(), failure }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, or the empty string.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"))
    }

    /// The value of `name` in a body of `NAME=VALUE` lines.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let text = self.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }
}

/// Gives `service` a request and reads the response.
pub async fn ask(service: &WcgiService, request: Request<Full<Bytes>>) -> Reply {
    let Ok(response) = service.clone().oneshot(request).await;
    Reply::read(response).await
}

/// GETs `target`.
pub async fn get(service: &WcgiService, target: &str) -> Reply {
    ask(service, request(Method::GET, target, "")).await
}

/// GETs a file until its validators are strong: until the second in which it was written is over.
pub async fn settled(service: &WcgiService, target: &str) -> Reply {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let begin = second();
    loop {
        let is_over = second() > begin;
        let reply = get(service, target).await;
        if is_over && !reply.header("etag").starts_with("W/") {
            return reply;
        }
        tokio::task::yield_now().await;
    }
}

/// POSTs `body` to `target`.
pub async fn post(service: &WcgiService, target: &str, body: impl Into<Bytes>) -> Reply {
    ask(service, request(Method::POST, target, body)).await
}

/// A request to `localhost`.
///
/// # Panics
///
/// When `target` is no URI.
#[must_use]
pub fn request(method: Method, target: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(target).header("host", "localhost");
    request.body(Full::new(body.into())).expect("a valid request")
}

/// A body that says how long it is, or does not, whatever it is made of.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make it")]
pub struct Announced<B>(
    /// What comes.
    pub B,
    /// What is said.
    pub Option<u64>,
);

impl<B: Body + Unpin> Body for Announced<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A server on a free port of the loopback interface. Ends when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// Serves `service` with plain hyper.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let service = service.clone().map_request(move |mut request: Request<_>| {
                    request.extensions_mut().insert(peer);
                    request
                });
                connections.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A client that leaves is no failure of the server.
                    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, task: task.abort_handle() }
    }

    /// A connection to it.
    ///
    /// # Panics
    ///
    /// When it refuses.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("the server listens")
    }

    /// Sends `request` as it is and reads until the server closes the connection.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.expect("the server reads");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.expect("the server answers");
        String::from_utf8_lossy(&response).into_owned()
    }

    /// GETs `target` and reads until the server closes the connection.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    pub async fn get(&self, target: &str) -> String {
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads from `stream` until `wanted` has come, and gives everything read.
///
/// # Panics
///
/// When the stream ends first.
pub async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all);
        if text.contains(wanted) {
            return text.into_owned();
        }
        let n = stream.read(&mut buffer).await.expect("the server answers");
        assert!(n > 0, "the connection ended before {wanted:?}: {text:?}");
        all.extend_from_slice(buffer.get(..n).unwrap_or_default());
    }
}

/// Waits until `engine` has `permits` free.
///
/// # Panics
///
/// When that takes more than half a minute.
pub async fn wait_for_permits(engine: &Engine, permits: usize) {
    let all = async {
        while engine.available_permits() != permits {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), all).await;
    waited.unwrap_or_else(|_| panic!("{} of {permits} permits are free", engine.available_permits()));
}

/// Chooses who does TLS in this process. The clients of the tests speak plain HTTP, but want that settled before they are
/// made. Built together with the registry's client, they have no choice of their own.
pub fn choose_tls() {
    // Somebody else may have chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
