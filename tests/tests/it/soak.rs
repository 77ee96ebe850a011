//! Ten thousand good and faulty requests leave nothing behind.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, service_fn};
use tower_wcgi::{Access, Engine, WcgiService};
use wcgi_tests::{Server, cache_dir, guest, wait_for_permits};

/// Threads and permits are where they started. Resident memory is as after the first thousand requests, within the amount that
/// allocators keep of 64 exchanges at once. A leak of 4 KiB for each request would be 36 MiB. First the pool keeps as much of each
/// slot as it can. Mounts stay open for the next exchange, one view of them for each exchange that was ever
/// served at once. Once the service is gone, so are they.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mixed_requests_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    // Whatever a process opens once and keeps.
    drop(Site::start(dir.path()).await.run(CASES, CASES.len()).await);
    let files_without = open_files();
    let threads_without = threads();

    let site = Site::start(dir.path()).await;
    let threads_at_rest = threads();
    let site = site.run(CASES, 1_000).await.run(&[BOMB], 4 * CONNECTIONS).await;
    let (files, resident) = (open_files(), resident_bytes());
    let site = site.run(CASES, 9_000).await;
    until("files are closed", || open_files() <= files + OPEN_VIEWS).await;
    until("threads have ended", || threads() <= threads_at_rest).await;
    let grown = resident_bytes().saturating_sub(resident);
    assert!(grown < 24 << 20, "{} KiB more than after the first thousand", grown >> 10);
    drop(site);
    until("nothing of the service is open", || open_files() <= files_without).await;
    until("no thread of the engine runs", || threads() <= threads_without).await;
}

/// One server with many scripts, by the first segment of the path.
struct Site {
    server: Server,
    engine: Engine,
}

impl Site {
    async fn start(data: &std::path::Path) -> Self {
        let engine = Engine::builder().max_concurrency(CONNECTIONS).max_memory(4 << 20).cache_dir(cache_dir());
        let engine = engine.build().unwrap();
        let mut router = axum::Router::new();
        for name in GUESTS {
            let service = WcgiService::builder().package(guest(name)).engine(engine.clone());
            // Long enough for a machine that does other things as well; only `sleep` gets there.
            let deadline = Duration::from_millis(if name == "sleep" { 3_000 } else { 30_000 });
            let service = service.map_dir("/d", data, Access::ReadWrite).deadline(deadline);
            router = router.nest_service(&format!("/{name}"), service.max_body(1 << 20).build().unwrap());
        }
        let server = Server::start(service_fn(move |request| router.clone().call(request))).await;
        Self { server, engine }
    }

    /// Makes `total` requests on as many connections as there are permits, and waits until all permits are back.
    async fn run(self, cases: &'static [Case], total: usize) -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let addr = self.server.addr;
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let next = Arc::clone(&next);
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= total {
                            break;
                        }
                        let case = &cases[n % cases.len()];
                        let answered = tokio::time::timeout(Duration::from_secs(60), case.run(addr)).await;
                        answered.unwrap_or_else(|_| panic!("no answer to {}", case.request));
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        wait_for_permits(&self.engine, CONNECTIONS).await;
        self
    }
}

/// A request, and how it may end.
struct Case {
    request: &'static str,
    /// What is sent after the head, in bytes.
    body: usize,
    expect: Expect,
}

enum Expect {
    Status(StatusCode),
    /// The client leaves after this many bytes of the response.
    Leave(usize),
    /// The response's head, then a broken connection.
    Aborted,
}

impl Case {
    async fn run(&self, addr: std::net::SocketAddr) {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let length = if self.body > 0 { format!("Content-Length: {}\r\n", self.body) } else { String::new() };
        let head = format!("{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n", self.request);
        let sent = [head.as_bytes(), &vec![b'x'; self.body]].concat();
        let (mut reader, mut writer) = stream.split();
        let mut received = Vec::new();
        let read = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let enough = matches!(self.expect, Expect::Leave(bytes) if received.len() >= bytes);
                match reader.read(&mut buffer).await {
                    _ if enough => break,
                    Ok(0) | Err(_) => break,
                    Ok(n) => received.extend_from_slice(&buffer[..n]),
                }
            }
        };
        let write = async {
            let _ = writer.write_all(&sent).await;
            if !matches!(self.expect, Expect::Leave(0)) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! { () = read => {} () = write => {} }
        let text = String::from_utf8_lossy(&received);
        match self.expect {
            Expect::Status(status) => {
                let line = format!("HTTP/1.1 {} ", status.as_u16());
                assert!(text.starts_with(&line), "{}: {text}", self.request);
            }
            Expect::Aborted => {
                assert!(text.starts_with("HTTP/1.1 200 ") && !text.ends_with("0\r\n\r\n"), "{}: {text}", self.request);
            }
            Expect::Leave(_) => {}
        }
    }
}

/// Resident memory of this process.
pub(crate) fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Threads for blocking calls end when they have had nothing to do for ten seconds.
async fn until(what: &str, done: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let all = async {
        while !done() {
            look.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), all).await;
    waited.unwrap_or_else(|_| panic!("{what}: no, {} files, {} threads", open_files(), threads()));
}

/// How many more files idle views may hold than after the first thousand requests. Two scripts see files. A view has two
/// directories open, each once for use and once for look-ups.
const OPEN_VIEWS: usize = 2 * 4 * CONNECTIONS;

const CONNECTIONS: usize = 64;

const GUESTS: [&str; 16] = [
    "hello", "env", "echo", "count", "noread", "files", "big", "raw", "trap", "exit", "bomb", "flood", "spin", "sleep",
    "tmp", "stderr",
];

const fn status(request: &'static str, status: StatusCode) -> Case {
    Case { request, body: 0, expect: Expect::Status(status) }
}

const fn post(request: &'static str, body: usize, status: StatusCode) -> Case {
    Case { request, body, expect: Expect::Status(status) }
}

const fn leave(request: &'static str, after: usize) -> Case {
    Case { request, body: 0, expect: Expect::Leave(after) }
}

/// Makes all memory of a slot its own.
const BOMB: Case = status("GET /bomb", StatusCode::BAD_GATEWAY);

/// One in forty spins until it is left, one sleeps until its deadline; the rest is short. Half of all fails.
const CASES: &[Case] = &[
    status("GET /hello", StatusCode::OK),
    status("GET /env/a/b?c", StatusCode::OK),
    post("POST /echo", 100_000, StatusCode::OK),
    post("POST /count", 300_000, StatusCode::OK),
    post("POST /noread", 500_000, StatusCode::OK),
    post("POST /count", 2_000_000, StatusCode::PAYLOAD_TOO_LARGE),
    status("GET /files?op=write&path=/d/a&data=x&op=read&path=/d/a", StatusCode::OK),
    status("GET /tmp", StatusCode::OK),
    status("GET /files?op=mkdir&path=/tmp/a&op=write&path=/tmp/a/b&data=x", StatusCode::OK),
    status("GET /big?n=200000", StatusCode::OK),
    leave("GET /big?n=50000000", 1000),
    status("HEAD /big?n=100000", StatusCode::OK),
    status("GET /raw?no%20head", StatusCode::BAD_GATEWAY),
    status("GET /raw?Location:%20/raw/x%3FStatus:%2520404%250A%250A%0A%0A", StatusCode::NOT_FOUND),
    status("GET /raw?Location:%20/outside%0A%0A", StatusCode::BAD_GATEWAY),
    status("GET /raw/%00", StatusCode::BAD_REQUEST),
    status("GET /raw/../../x", StatusCode::BAD_REQUEST),
    status("GET /trap", StatusCode::BAD_GATEWAY),
    status("GET /trap?when=inhead", StatusCode::BAD_GATEWAY),
    Case { request: "GET /trap?when=mid", body: 0, expect: Expect::Aborted },
    status("GET /exit?code=255&when=before", StatusCode::BAD_GATEWAY),
    status("GET /exit?code=255&when=after", StatusCode::OK),
    status("GET /flood?line", StatusCode::BAD_GATEWAY),
    status("GET /flood?headers", StatusCode::BAD_GATEWAY),
    leave("GET /flood", 100_000),
    leave("GET /flood", 0),
    status("GET /stderr?one%0Atwo", StatusCode::OK),
    leave("GET /sleep?1000000", 0),
    leave("GET /hello", 0),
    status("GET /sleep?2", StatusCode::OK),
    BOMB,
    leave("GET /spin", 0),
    status("GET /hello", StatusCode::OK),
    status("GET /nothing", StatusCode::NOT_FOUND),
    post("POST /echo", 1, StatusCode::OK),
    leave("POST /echo", 0),
    status("GET /big?n=5&cl=5", StatusCode::OK),
    status("GET /big?n=50&cl=5", StatusCode::OK),
    status("GET /sleep?10000", StatusCode::GATEWAY_TIMEOUT),
    status("GET /env", StatusCode::OK),
];
