//! The life of an exchange under fault, whatever the script or the client does. The client sees the right status or a
//! broken connection. The permit comes back, and the log names the request and the reason.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{
    Server, are_components, builder, engine, get as get_service, guest, read_until, request, service, wait_for_permits,
};

use crate::log;
use crate::wire::{Answer, ask, post, send_part};

/// One faulty exchange.
struct Fault {
    id: &'static str,
    guest: &'static str,
    /// Method and target.
    request: &'static str,
    /// What follows the `Host` field: more fields, the blank line, the body as far as it is sent.
    rest: &'static str,
    expect: Expect,
    /// The `reason` in the log.
    reason: Option<&'static str>,
}

enum Expect {
    /// The status text alone.
    Only(StatusCode),
    /// 200 with this body, whole.
    Whole(&'static str),
    /// 200, this body as far as it came, then a broken connection.
    Aborted(&'static str),
}

impl Fault {
    async fn check(&self, deadline: Option<Duration>) {
        log::capture();
        let Self { id, guest, request, rest, .. } = self;
        let service = builder(guest).deadline(deadline).build().unwrap();
        let server = Server::start(service.clone()).await;
        let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: {id}\r\n{rest}");
        let answer = send_part(&server, head).await;
        match self.expect {
            Expect::Only(status) => answer.expect_only(status),
            Expect::Whole(body) => self.expect_200(&answer, body, true),
            Expect::Aborted(body) => self.expect_200(&answer, body, false),
        }
        wait_for_permits(service.engine(), 16).await;
        match self.reason {
            Some(reason) => drop(log::reason(id, reason).await),
            None => assert!(log::about(id).iter().all(|line| line.field("reason").is_empty()), "{:?}", log::about(id)),
        }
    }

    fn expect_200(&self, answer: &Answer, body: &str, whole: bool) {
        let got = (answer.status, answer.text(), answer.whole);
        assert_eq!(got, (StatusCode::OK, body.to_owned(), whole), "{}", self.id);
    }
}

const BAD: Expect = Expect::Only(StatusCode::BAD_GATEWAY);
const LATE: Expect = Expect::Only(StatusCode::GATEWAY_TIMEOUT);

const fn of(
    id: &'static str,
    guest: &'static str,
    request: &'static str,
    expect: Expect,
    reason: Option<&'static str>,
) -> Fault {
    Fault { id, guest, request, rest: "\r\n", expect, reason }
}

#[tokio::test]
async fn the_script_traps() {
    for fault in [
        of("trap-1", "trap", "GET /?when=before", BAD, Some("trap")),
        of("trap-2", "trap", "GET /?when=inhead", BAD, Some("trap")),
        of("trap-3", "trap", "GET /?when=head", Expect::Aborted(""), Some("trap")),
        of("trap-4", "trap", "GET /?when=mid", Expect::Aborted("half of\n"), Some("trap")),
    ] {
        fault.check(None).await;
    }
}

#[tokio::test]
async fn the_script_exits_without_a_head() {
    for fault in [
        of("exit-1", "exit", "GET /?code=0&when=before", BAD, Some("no-response")),
        of("exit-2", "exit", "GET /?code=1&when=before", BAD, Some("no-response")),
        of("exit-3", "exit", "GET /?code=126&when=before", BAD, Some("no-response")),
        of("exit-4", "exit", "GET /?code=255&when=before", BAD, Some("no-response")),
        of("exit-5", "exit", "GET /?code=0&when=inhead", BAD, Some("malformed-response")),
        of("exit-6", "exit", "GET /?code=1&when=inhead", BAD, Some("malformed-response")),
        of("exit-7", "exit", "GET /?code=126&when=inhead", BAD, Some("malformed-response")),
        of("exit-8", "exit", "GET /?code=255&when=inhead", BAD, Some("malformed-response")),
    ] {
        fault.check(None).await;
    }
}

#[tokio::test]
async fn the_script_exits_with_output() {
    for fault in [
        of("output-1", "exit", "GET /?code=0&when=after", Expect::Whole("done\n"), None),
        of("output-2", "exit", "GET /?code=1&when=after", Expect::Whole("done\n"), None),
        of("output-3", "exit", "GET /?code=126&when=after", Expect::Whole("done\n"), None),
        of("output-4", "exit", "GET /?code=255&when=after", Expect::Whole("done\n"), None),
        of("output-5", "exit", "GET /?code=255&when=head", Expect::Whole(""), None),
    ] {
        fault.check(None).await;
    }
}

#[tokio::test]
async fn the_script_closes_stdout_or_ignores_stdin() {
    for fault in [
        of("close-1", "closeout", "GET /?ms=100", Expect::Whole("closed early\n"), None),
        Fault {
            rest: "Content-Length: 5\r\n\r\nhello",
            ..of("ignore-1", "noread", "POST /", Expect::Whole("not read\n"), None)
        },
        Fault {
            rest: "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ..of("ignore-2", "noread", "POST /", Expect::Whole("not read\n"), None)
        },
    ] {
        fault.check(None).await;
    }
}

/// Computing, sleeping in the host, waiting for the request's body with and without a length, writing to stderr for ever.
#[tokio::test]
async fn the_deadline_passes_before_the_head() {
    for fault in [
        of("late-1", "spin", "GET /", LATE, Some("deadline-exceeded")),
        of("late-2", "sleep", "GET /?1000000", LATE, Some("deadline-exceeded")),
        of("late-3", "flood", "GET /?err", LATE, Some("deadline-exceeded")),
        Fault {
            rest: "Content-Length: 5\r\n\r\nhell",
            ..of("late-4", "count", "POST /", LATE, Some("deadline-exceeded"))
        },
        Fault {
            rest: "Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n",
            ..of("late-5", "count", "POST /", LATE, Some("deadline-exceeded"))
        },
    ] {
        fault.check(Some(Duration::from_millis(300))).await;
    }
}

#[tokio::test]
async fn the_deadline_passes_after_the_head() {
    for fault in [
        of("late-6", "spin", "GET /?head", Expect::Aborted("spinning\n"), Some("deadline-exceeded")),
        of("late-7", "sleep", "GET /?head&ms=1000000", Expect::Aborted(""), Some("deadline-exceeded")),
        Fault {
            rest: "Content-Length: 5\r\n\r\nhell",
            ..of("late-8", "echo", "POST /", Expect::Aborted("hell"), Some("deadline-exceeded"))
        },
    ] {
        fault.check(Some(Duration::from_millis(300))).await;
    }
}

/// The client takes nothing after the first byte, while the script has far more output than all buffers on the way hold. When the
/// client reads on, it finds that the response was cut.
#[tokio::test]
async fn the_deadline_passes_with_a_reader_that_is_slow() {
    log::capture();
    let service = builder("big").deadline(Duration::from_millis(300)).build().unwrap();
    let server = Server::start(service.clone()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?n=100000000 HTTP/1.1\r\nHost: x\r\nX-Request-Id: late-9\r\n\r\n").await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
    log::reason("late-9", "deadline-exceeded").await;
    wait_for_permits(service.engine(), 16).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 100_000_000 && !rest.ends_with(b"0\r\n\r\n"));
}

/// While the script computes, sleeps, writes, writes to stderr, reads, and waits for the client's body to be spooled.
#[tokio::test]
async fn the_client_leaves() {
    log::capture();
    for (id, guest, target, rest, seen) in [
        ("left-1", "spin", "/", "\r\n", ""),
        ("left-2", "spin", "/?head", "\r\n", "spinning\n"),
        ("left-3", "sleep", "/?1000000", "\r\n", ""),
        ("left-4", "flood", "/", "\r\n", "xxxx"),
        ("left-5", "flood", "/?err", "\r\n", ""),
        ("left-6", "ticker", "/?n=1000000&ms=1", "\r\n", "tick 2\n"),
        ("left-7", "echo", "/", "Content-Length: 10\r\n\r\nhello", "hello"),
        ("left-8", "count", "/", "Content-Length: 10\r\n\r\nhello", ""),
    ] {
        let service = builder(guest).deadline(None).build().unwrap();
        let server = Server::start(service.clone()).await;
        let mut stream = server.connect().await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n{rest}");
        stream.write_all(head.as_bytes()).await.unwrap();
        wait_for_permits(service.engine(), 15).await;
        read_until(&mut stream, seen).await;
        drop(stream);
        wait_for_permits(service.engine(), 16).await;
        // Of these it is known that they had begun. A script that reads may see its body fail first, and end by itself.
        if !seen.is_empty() && guest != "echo" {
            log::wait_for(id, |line| line.message().contains("the client left")).await;
        }
    }
}

/// Also if the script had its permit and had not begun.
#[tokio::test]
async fn a_client_that_leaves_is_in_the_log() {
    log::capture();
    let service = builder("spin").deadline(None).build().unwrap();
    let server = Server::start(service.clone()).await;
    for n in 0..20 {
        let id = format!("left-at-once-{n}");
        let mut stream = server.connect().await;
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n\r\n").as_bytes()).await.unwrap();
        wait_for_permits(service.engine(), 15).await;
        drop(stream);
        wait_for_permits(service.engine(), 16).await;
        log::wait_for(&id, |line| line.message().contains("the client left")).await;
    }
}

#[tokio::test]
async fn the_client_leaves_the_queue() {
    let one = tower_wcgi::Engine::builder().max_concurrency(1).cache_dir(wcgi_tests::cache_dir()).build().unwrap();
    let spin = WcgiService::builder().package(guest("spin")).engine(one.clone()).deadline(None).build().unwrap();
    let server = Server::start(spin).await;
    let mut running = server.connect().await;
    running.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    wait_for_permits(&one, 0).await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(|| one.queued() == 1).await;
    drop(waiting);
    until(|| one.queued() == 0).await;
    drop(running);
    wait_for_permits(&one, 1).await;
}

/// The script is over long before the client has sent its body, which nobody reads. The client sends all of it before it reads.
/// Neither a short answer nor one that is larger than the sockets' buffers may be lost.
#[tokio::test]
async fn a_post_of_ten_megabytes_that_nobody_reads_gets_the_whole_answer() {
    let body = vec![b'x'; 10_000_000];
    let noread = Server::start(service("noread")).await;
    for _ in 0..5 {
        let answer = post(&noread, "/", &body).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, "not read\n", true));
    }
    let mut sends_first = noread.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    sends_first.write_all(&[head.as_bytes(), &body].concat()).await.expect("the server reads all of it");
    let mut answer = String::new();
    sends_first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("not read\n"), "{answer}");

    let big = Server::start(service("big")).await;
    for _ in 0..5 {
        let answer = post(&big, "/?n=3000000&cl=3000000", &body).await;
        assert_eq!((answer.status, answer.body.len(), answer.whole), (StatusCode::OK, 3_000_000, true));
    }
    // What a refusal is worth if the client cannot read it.
    let limited = Server::start(builder("count").max_body(1000).build().unwrap()).await;
    for _ in 0..5 {
        post(&limited, "/", &body).await.expect_only(StatusCode::PAYLOAD_TOO_LARGE);
    }
}

/// The response is over when stdout is closed, the script is not: what it still does is not cut off, and holds its permit.
#[tokio::test]
async fn a_script_that_closed_stdout_comes_to_its_end() {
    log::capture();
    let service = builder("closeout").deadline(Duration::from_secs(20)).build().unwrap();
    let server = Server::start(service.clone()).await;
    let begin = Instant::now();
    let answer = ask(&server, "GET", "/?ms=1000", "X-Request-Id: closed-early\r\n").await;
    assert!(answer.whole);
    // A component cannot say that it has closed its stdout.
    if !are_components() {
        assert!(begin.elapsed() < Duration::from_secs(1), "{answer:?} after {:?}", begin.elapsed());
        assert_eq!(service.engine().available_permits(), 15, "it still computes");
    }
    log::wait_for("closed-early", |line| line.message() == "done after stdout was closed").await;
    wait_for_permits(service.engine(), 16).await;
}

/// All at once on an engine with one thread for guests, while `hello` is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_unaffected() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5_000 {
        std::fs::write(folder.path().join(format!("file-{n}")), "").unwrap();
    }
    let engine = engine().threads(1).max_memory(128 << 20).max_concurrency(32).build().unwrap();
    let on_one_thread = |name| {
        let service = WcgiService::builder().package(guest(name)).engine(engine.clone());
        service.map_dir("/d", folder.path(), Access::ReadOnly).deadline(Duration::from_secs(8)).build().unwrap()
    };
    let hello = on_one_thread("hello");
    assert_eq!(get_service(&hello, "/").await.status, StatusCode::OK);

    let mut others = tokio::task::JoinSet::new();
    for (name, target) in [
        ("spin", "/"),
        ("spin", "/?head"),
        ("random", "/?64000000"),
        ("random", "/?64000000"),
        ("bomb", "/"),
        ("grow", "/?100"),
        ("flood", "/"),
        ("flood", "/?line"),
        ("flood", "/?headers"),
        ("flood", "/?err"),
        ("files", "/?op=list&path=/d"),
        ("big", "/?n=50000000"),
    ] {
        let service = on_one_thread(name);
        others.spawn(async move {
            while read_all(&service, request(Method::GET, target, "")).await != StatusCode::SERVICE_UNAVAILABLE {}
        });
    }
    let env = on_one_thread("env");
    others.spawn(async move {
        loop {
            let mut many = request(Method::GET, "/", "");
            for n in 0..2_000 {
                let name: http::HeaderName = format!("x-many-{n}").parse().unwrap();
                many.headers_mut().insert(name, "y".repeat(400).parse().unwrap());
            }
            assert_eq!(read_all(&env, many).await, StatusCode::OK);
        }
    });

    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let begin = Instant::now();
        let answer = get_service(&hello, "/").await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "Hello, World!\n"));
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "one answer took {slowest:?}");
    others.shutdown().await;
    wait_for_permits(&engine, 32).await;
}

/// Reads a response to its end, keeping none of it.
async fn read_all(service: &WcgiService, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> StatusCode {
    let Ok(response) = tower::ServiceExt::oneshot(service.clone(), request).await;
    let (parts, mut body) = response.into_parts();
    while let Some(Ok(_)) = http_body_util::BodyExt::frame(&mut body).await {
        tokio::task::yield_now().await;
    }
    parts.status
}

async fn until(done: impl Fn() -> bool) {
    let all = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("it happens at once");
}
