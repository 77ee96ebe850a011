//! Failures before and after the head: the client sees the status and its text and nothing else. The log names the request and
//! the reason.

use std::time::Duration;

use http::StatusCode;
use tower_wcgi::{Access, WcgiService};
use tracing::Level;
use wcgi_tests::{Server, builder, cache_dir, guest, service, wait_for_permits};

use crate::log::{self, Line};
use crate::wire::{Answer, ask, encode, get, send, send2};

/// What a client gets for `target`, and what the log says of it under `reason`. No other test may use the id.
async fn failing(server: &Server, id: &str, target: &str, reason: &str) -> (Answer, Line) {
    log::capture();
    let answer = ask(server, "GET", target, &format!("X-Request-Id: {id}\r\n")).await;
    (answer, log::reason(id, reason).await)
}

/// Nothing in a response may say where things are on the host.
#[track_caller]
fn expect_no_secrets(answer: &Answer) {
    let all = format!("{:?} {}", answer.headers, answer.text());
    for secret in [env!("CARGO_MANIFEST_DIR"), "wasm", "unreachable", "/tmp", "panicked", "backtrace"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn a_malformed_request_is_400() {
    let server = Server::start(service("env")).await;
    let targets =
        [("nul", "/a%00b"), ("up", "/../x"), ("up-encoded", "/%2e%2e/x"), ("up-slash", "/..%2fx"), ("escape", "/%zz")];
    for (name, target) in targets {
        let (answer, line) = failing(&server, &format!("malformed-{name}"), target, "malformed-request").await;
        answer.expect_only(StatusCode::BAD_REQUEST);
        expect_no_secrets(&answer);
        assert!(!line.message().is_empty());
    }
    for (name, fields) in [
        ("host", "Host: a b\r\n"),
        ("hosts", "Host: a\r\nHost: b\r\n"),
        ("type", "Host: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n"),
    ] {
        log::capture();
        let id = format!("malformed-{name}");
        let head = format!("GET / HTTP/1.1\r\nX-Request-Id: {id}\r\nConnection: close\r\n{fields}\r\n");
        send(&server, head).await.expect_only(StatusCode::BAD_REQUEST);
        log::reason(&id, "malformed-request").await;
    }
}

#[tokio::test]
async fn a_path_that_names_nothing_is_404() {
    let server = Server::start(builder("env").mount("/x").build().unwrap()).await;
    let (answer, _) = failing(&server, "names-nothing", "/y", "not-found").await;
    answer.expect_only(StatusCode::NOT_FOUND);
}

/// A script that ran would trap, which is 502.
#[tokio::test]
async fn connect_and_trace_are_405_before_any_script() {
    const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    let mounted = Server::start(builder("trap").mount("/x").build().unwrap()).await;
    let server = Server::start(service("trap")).await;
    for (server, request) in [
        (&server, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n"),
        (&server, "CONNECT localhost HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"),
        (&server, "CONNECT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        (&server, "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        (&mounted, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n"),
        (&mounted, "TRACE /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ] {
        let answer = send(server, request).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, METHODS), "{request}");
        assert_eq!(answer.text(), "Method Not Allowed", "{request}");
    }
    for (method, uri) in [("CONNECT", "example.com:443"), ("TRACE", "http://localhost/")] {
        let answer = send2(&server, http::Request::builder().method(method).uri(uri).body(()).unwrap(), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.headers["allow"].to_str().unwrap()), (405, METHODS), "{method}");
        assert_eq!(answer.reset, None);
    }
}

#[tokio::test]
async fn trace_reaches_a_script_that_may_have_it() {
    let server = Server::start(builder("env").allow_trace(true).build().unwrap()).await;
    let answer = ask(&server, "TRACE", "/", "").await;
    assert_eq!(answer.variable("REQUEST_METHOD").as_deref(), Some("TRACE"));
    let answer = send(&server, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.header("allow").ends_with(", TRACE"), "{answer:?}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    log::capture();
    let service = builder("count").max_body(10).build().unwrap();
    let server = Server::start(service.clone()).await;
    for (id, framed) in [
        ("too-large-length", "Content-Length: 11\r\n\r\n12345678901"),
        ("too-large-chunked", "Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n"),
        // Nobody waits for a body that is too long by its own account.
        ("too-large-absent", "Content-Length: 99999999999\r\n\r\n"),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: {id}\r\n{framed}");
        send(&server, head).await.expect_only(StatusCode::PAYLOAD_TOO_LARGE);
        log::reason(id, "body-too-large").await;
    }
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn no_permit_is_503_with_retry_after_and_the_log_has_the_queues_length() {
    let engine = tower_wcgi::Engine::builder().max_concurrency(1).queue(0).cache_dir(cache_dir()).build().unwrap();
    let spin = WcgiService::builder().package(guest("spin")).engine(engine.clone()).build().unwrap();
    let server = Server::start(spin).await;
    let mut held = server.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut held, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    wait_for_permits(&engine, 0).await;
    let (answer, line) = failing(&server, "no-permit", "/", "overloaded").await;
    answer.expect_only(StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    assert!(line.message().contains("queue is full: 0 wait"), "{line:?}");
}

#[tokio::test]
async fn a_trap_is_502_and_the_log_has_the_wasm_backtrace() {
    let service = service("trap");
    let server = Server::start(service.clone()).await;
    for when in ["before", "inhead"] {
        let (answer, line) = failing(&server, &format!("trap-{when}"), &format!("/?when={when}"), "trap").await;
        answer.expect_only(StatusCode::BAD_GATEWAY);
        expect_no_secrets(&answer);
        assert_eq!(line.level, Level::WARN);
        assert!(line.contains("wasm backtrace") && line.contains("unreachable"), "{line:?}");
    }
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn the_memory_limit_is_502() {
    let service = builder("bomb").max_memory(16 << 20).build().unwrap();
    let server = Server::start(service.clone()).await;
    let (answer, line) = failing(&server, "memory-limit", "/", "memory-limit").await;
    answer.expect_only(StatusCode::BAD_GATEWAY);
    assert!(line.contains("wasm backtrace"), "{line:?}");
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn an_exit_without_a_head_is_502_whatever_its_status() {
    let server = Server::start(service("exit")).await;
    for code in [0, 1, 126, 255] {
        for (when, reason) in [("before", "no-response"), ("inhead", "malformed-response")] {
            let target = format!("/?code={code}&when={when}");
            let (answer, _) = failing(&server, &format!("exit-{when}-{code}"), &target, reason).await;
            answer.expect_only(StatusCode::BAD_GATEWAY);
        }
    }
}

#[tokio::test]
async fn a_bad_head_is_502() {
    let server = Server::start(service("raw")).await;
    let (answer, _) = failing(&server, "bad-head", "/?no%20head%0A%0A", "malformed-response").await;
    answer.expect_only(StatusCode::BAD_GATEWAY);
}

/// A script that fails says why on stderr: the line of the failure has the end of it.
#[tokio::test]
async fn the_log_has_the_tail_of_stderr() {
    let server = Server::start(service("complain")).await;
    for (then, reason) in [("trap", "trap"), ("exit", "no-response"), ("head", "malformed-response")] {
        let (answer, line) = failing(&server, &format!("complain-{then}"), &format!("/?then={then}"), reason).await;
        answer.expect_only(StatusCode::BAD_GATEWAY);
        assert!(!answer.text().contains("complaint"));
        assert!(line.field("stderr").ends_with("last complaint\n"), "{then}: {line:?}");
    }
}

#[tokio::test]
async fn a_deadline_before_the_head_is_504_and_the_log_says_how_long_and_where() {
    let service = builder("spin").deadline(Duration::from_millis(100)).build().unwrap();
    let server = Server::start(service.clone()).await;
    let (answer, line) = failing(&server, "late", "/", "deadline-exceeded").await;
    answer.expect_only(StatusCode::GATEWAY_TIMEOUT);
    assert!(line.contains("100ms"), "how long: {line:?}");
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn a_failure_is_one_line_in_the_log() {
    let late = Server::start(builder("spin").deadline(Duration::from_millis(50)).build().unwrap()).await;
    let trap = Server::start(service("trap")).await;
    for (server, id, reason) in [(&late, "once-late", "deadline-exceeded"), (&trap, "once-trap", "trap")] {
        failing(server, id, "/", reason).await;
        // A second request is answered after whatever is still said of the first.
        failing(server, &format!("{id}-more"), "/", reason).await;
        let lines = log::about(id).into_iter().filter(|line| line.field("reason") == reason).count();
        assert_eq!(lines, 1, "{:#?}", log::about(id));
    }
}

#[tokio::test]
async fn a_mount_that_cannot_be_opened_is_500_and_the_log_has_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let files = builder("files").map_dir("/d", &site, Access::ReadOnly).build().unwrap();
    let server = Server::start(files).await;
    std::fs::remove_dir(&site).unwrap();
    let (answer, line) = failing(&server, "no-mount", "/?op=list&path=/d", "host").await;
    answer.expect_only(StatusCode::INTERNAL_SERVER_ERROR);
    let all = format!("{:?}{}", answer.headers, answer.text());
    assert!(!all.contains("site") && !all.contains("/d"), "{all}");
    assert_eq!(line.level, Level::ERROR);
    assert!(line.contains(site.to_str().unwrap()) && line.contains("No such file"), "{line:?}");
}

/// HTTP/1.1 has no last chunk, HTTP/2 a reset stream.
#[tokio::test]
async fn a_failure_after_the_head_aborts_the_connection() {
    log::capture();
    let trap = Server::start(service("trap")).await;
    let late = Server::start(builder("spin").deadline(Duration::from_millis(200)).build().unwrap()).await;
    for (server, id, target, reason, body) in [
        (&trap, "abort-trap", "/?when=mid", "trap", "half of\n"),
        (&late, "abort-late", "/?head", "deadline-exceeded", "spinning\n"),
    ] {
        let (answer, line) = failing(server, id, target, reason).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, body, false));
        assert!(reason != "trap" || line.contains("wasm backtrace"), "{line:?}");

        let id = format!("{id}-2");
        let request = http::Request::get(format!("http://x{target}")).header("x-request-id", &id).body(()).unwrap();
        let answer = send2(server, request, &[]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, body.as_bytes()));
        assert!(answer.reset.is_some_and(|reason| reason != h2::Reason::NO_ERROR), "{answer:?}");
        log::reason(&id, reason).await;
    }
}

#[tokio::test]
async fn an_exit_status_after_output_is_no_failure() {
    let server = Server::start(service("exit")).await;
    for code in [1, 125, 126, 127, 128, 255] {
        let answer = get(&server, &format!("/?code={code}&when=after")).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, "done\n", true), "{code}");
    }
}

/// What a client sends as its request id can be no second line of the log.
#[tokio::test]
async fn a_clients_request_id_is_taken_only_if_it_is_printable() {
    log::capture();
    let server = Server::start(service("raw")).await;
    for id in ["a b", &"x".repeat(65), "\u{e9}"] {
        let answer = ask(&server, "GET", &format!("/?{}", encode("bad")), &format!("X-Request-Id: {id}\r\n")).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(log::about(id).is_empty());
    }
}
