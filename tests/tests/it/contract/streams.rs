//! Streams and limits: what flows when, in how much memory, for how long.

use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wcgi_tests::{Server, are_components, builder, read_until, service, wait_for_permits};

use crate::log;
use crate::wire::{ask, get, send};

#[tokio::test]
async fn the_head_leaves_as_soon_as_it_is_complete() {
    let server = Server::start(builder("sleep").deadline(None).build().unwrap()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?head&ms=1000000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let seen = read_until(&mut stream, "\r\n\r\n").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
}

#[tokio::test]
async fn every_flush_reaches_the_client() {
    let server = Server::start(service("ticker")).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?n=3&ms=20 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let seen = read_until(&mut stream, "tick 2\n").await;
    assert!(!seen.contains("tick 3"), "{seen}");
    read_until(&mut stream, "0\r\n\r\n").await;
}

/// 200 MB through 64 KiB of buffer, read as fast as they come; fewer from a component, which writes 4 KiB at a time.
#[tokio::test]
async fn memory_is_bounded_whatever_the_bodys_size() {
    let server = Server::start(service("big")).await;
    assert_eq!(get(&server, "/?n=1000000").await.body.len(), 1_000_000);
    let mut stream = server.connect().await;
    let before = crate::soak::resident_bytes();
    let bytes = if are_components() { 40_000_000 } else { 200_000_000 };
    let head = format!("GET /?n={bytes}&cl={bytes} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut buffer, mut total, mut most) = (vec![0; 1 << 20], 0, 0);
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        total += n;
        if n == 0 {
            break;
        }
        most = most.max(crate::soak::resident_bytes());
    }
    assert!(total > bytes);
    let grown = most.saturating_sub(before);
    assert!(grown < 16 << 20, "{} MiB more for one exchange", grown >> 20);
}

/// The client reads one byte, then nothing: the script is stopped, other requests are not.
#[tokio::test]
async fn a_slow_reader_blocks_the_guest_and_not_the_server() {
    let service = builder("big").engine(wcgi_tests::engine().threads(1).build().unwrap()).build().unwrap();
    let server = Server::start(service.clone()).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /?n=1000000000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(slow.read(&mut [0]).await.unwrap(), 1);
    for _ in 0..20 {
        assert_eq!(get(&server, "/?n=3").await.text(), "abc");
    }
    assert_eq!(service.engine().available_permits(), 15, "the script waits");
    drop(slow);
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn the_body_flows_into_stdin_as_it_arrives() {
    let server = Server::start(service("echo")).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n").await.unwrap();
    for piece in ["ab", "cd", "ef"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        read_until(&mut stream, piece).await;
    }
}

#[tokio::test]
async fn one_byte_at_a_time_in_and_out() {
    let server = Server::start(builder("echo").response_buffer(1).build().unwrap()).await;
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    for n in 0..100_u8 {
        stream.write_all(&[b'0' + n % 10]).await.unwrap();
        read_until(&mut stream, &char::from(b'0' + n % 10).to_string()).await;
    }
}

#[tokio::test]
async fn a_guest_that_ignores_its_body_is_answered_at_once() {
    let server = Server::start(service("noread")).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\nbegun").await.unwrap();
    let seen = read_until(&mut stream, "not read\n").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
}

#[tokio::test]
async fn echoing_while_receiving_never_deadlocks() {
    let body = vec![b'.'; 5_000_000];
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = send(&Server::start(service("echo")).await, [head.as_bytes(), &body].concat()).await;
    assert!(answer.whole && answer.body == body);
}

/// The client is told to send when the script reads, and not when it does not.
#[tokio::test]
async fn expect_100_continue_is_answered_when_the_script_reads() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let server = Server::start(service("count")).await;
    let mut stream = server.connect().await;
    stream.write_all(head).await.unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let seen = read_until(&mut stream, "bytes=5").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");

    let server = Server::start(service("noread")).await;
    let mut stream = server.connect().await;
    stream.write_all(head).await.unwrap();
    let seen = read_until(&mut stream, "not read\n").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
}

#[tokio::test]
async fn the_deadline_is_wall_clock_for_the_whole_exchange() {
    let service = builder("ticker").deadline(Duration::from_millis(300)).build().unwrap();
    let server = Server::start(service.clone()).await;
    let begin = Instant::now();
    let answer = get(&server, "/?n=1000000&ms=10").await;
    assert!(!answer.whole && answer.text().starts_with("tick 1\ntick 2\n"), "{answer:?}");
    let took = begin.elapsed();
    assert!((300..3000).contains(&took.as_millis()), "{took:?}");
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn without_a_deadline_an_event_stream_goes_on_until_the_client_leaves() {
    let service = builder("ticker").deadline(None).build().unwrap();
    let server = Server::start(service.clone()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?n=1000000&ms=1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut stream, "tick 100\n").await;
    drop(stream);
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn memory_is_limited_to_the_setting() {
    let server = Server::start(builder("grow").max_memory(16 << 20).build().unwrap()).await;
    assert_eq!(get(&server, "/?8").await.text(), "grew 8 MiB\n");
    assert!(get(&server, "/?16").await.text().starts_with("failed after "));
}

/// Some milliseconds, with room for a machine that does other things as well.
#[tokio::test]
async fn a_client_that_leaves_frees_its_slot_at_once() {
    for (guest, target) in
        [("spin", "/"), ("spin", "/?head"), ("sleep", "/?1000000"), ("flood", "/"), ("flood", "/?err")]
    {
        let service = builder(guest).deadline(None).build().unwrap();
        let server = Server::start(service.clone()).await;
        let mut stream = server.connect().await;
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        wait_for_permits(service.engine(), 15).await;
        drop(stream);
        let begin = Instant::now();
        wait_for_permits(service.engine(), 16).await;
        assert!(begin.elapsed() < Duration::from_millis(500), "{guest}{target}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn stderr_is_logged_by_line_with_the_requests_id() {
    log::capture();
    let server = Server::start(service("stderr")).await;
    let answer = ask(&server, "GET", "/?one%0Atwo%0D%0Athree", "X-Request-Id: by-line\r\n").await;
    assert_eq!(answer.text(), "Hello, World!\n");
    log::wait_for("by-line", |line| line.message() == "three").await;
    let lines: Vec<_> = log::about("by-line").into_iter().filter(|line| line.target == "wcgi::stderr").collect();
    assert_eq!(lines.iter().map(log::Line::message).collect::<Vec<_>>(), ["one", "two", "three"]);
}

#[tokio::test]
async fn control_characters_are_escaped_before_any_subscriber_sees_them() {
    log::capture();
    let id = "X-Request-Id: controls\r\n";
    let server = Server::start(service("stderr")).await;
    ask(&server, "GET", "/?a%00%1b%5b2Jb%0dc%c2%9b%0Ad%09", id).await;
    log::wait_for("controls", |line| line.message() == "d\\u0009").await;
    let lines: Vec<_> = log::about("controls").into_iter().filter(|line| line.target == "wcgi::stderr").collect();
    assert_eq!(lines[0].message(), "a\\u0000\\u001b[2Jb\\u000dc\\u009b");

    let server = Server::start(service("raw")).await;
    ask(&server, "GET", "/?%1b%5b2J%3ch1%3e%00%0a%0a", "X-Request-Id: controls-head\r\n").await;
    let line = log::reason("controls-head", "malformed-response").await;
    assert!(line.message().ends_with("malformed line: \"\\u001b[2J<h1>\\u0000\""), "{line:?}");
}

#[tokio::test]
async fn stderr_without_end_is_bounded_in_the_log() {
    log::capture();
    let service = builder("flood").deadline(Duration::from_secs(2)).build().unwrap();
    let server = Server::start(service.clone()).await;
    let answer = ask(&server, "GET", "/?err", "X-Request-Id: endless-stderr\r\n").await;
    answer.expect_only(StatusCode::GATEWAY_TIMEOUT);
    log::wait_for("endless-stderr", |line| line.message().contains("the rest is not logged")).await;
    let bytes: usize = log::about("endless-stderr").iter().map(|line| line.message().len()).sum();
    assert!(bytes < 2 << 20, "{bytes} bytes were logged");
}
