//! The log of a server that nobody reads, and what is in it of strangers' text.

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use rustix::process::Signal;
use wcgi_tests::guest;

use crate::process::{PATIENCE, Serving, run, wcgi};

/// A target whose access line takes some KiB, so that a pipe is full after some ten.
fn long_target() -> String {
    format!("/{}", "x".repeat(8 << 10))
}

#[test]
fn requests_are_answered_when_the_reader_of_the_log_is_gone() {
    let (serving, stderr) = Serving::spawn_unread(run(&guest("stderr"), &["-v"]));
    drop(stderr);
    for _ in 0..8 {
        assert!(serving.get("/").starts_with("HTTP/1.1 200"));
    }
    // A failure has its line too, and a connection that ends early.
    drop(serving.connect().write_all(b"G<T / HTTP/1.1\r\n\r\n"));
    assert!(serving.get("/%00").starts_with("HTTP/1.1 400"));
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_stops_neither_requests_nor_signals() {
    let (serving, stderr) = Serving::spawn_unread(run(&guest("hello"), &[]));
    let target = long_target();
    for _ in 0..300 {
        assert!(serving.get(&target).starts_with("HTTP/1.1 200"));
    }
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code(), Some(0));
    drop(stderr);
}

#[test]
fn a_second_signal_ends_it_with_a_log_that_nobody_reads() {
    let (serving, stderr) = Serving::spawn_unread(run(&guest("spin"), &["--deadline", "0", "-v"]));
    let target = long_target().replace("/x", "/%00");
    for _ in 0..30 {
        assert!(serving.get(&target).starts_with("HTTP/1.1 400"));
    }
    let mut running = serving.connect();
    running.write_all(b"GET /?head HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    running.read_exact(&mut [0; 8]).unwrap();
    serving.signal(Signal::TERM);
    serving.signal(Signal::INT);
    assert_eq!(serving.wait().code(), Some(0));
    drop(stderr);
}

#[test]
fn lines_that_were_dropped_are_counted_and_the_next_are_there_again() {
    let (serving, mut stderr) = Serving::spawn_unread(run(&guest("hello"), &[]));
    let target = long_target();
    for _ in 0..300 {
        assert!(serving.get(&target).starts_with("HTTP/1.1 200"));
    }
    let (mut line, mut logged) = (String::new(), 0);
    while !line.contains("lines of the log were dropped") {
        logged += usize::from(line.contains("\"GET /xxx"));
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the log ended");
    }
    let lines = line.split("lines=").nth(1).expect("a number").trim();
    assert_eq!(lines.parse::<usize>().unwrap() + logged, 300, "{line}");
    assert!(line.contains("WARN"), "{line}");
    assert!(serving.get("/after").starts_with("HTTP/1.1 200"));
    while !line.contains("GET /after") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the log ended");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_below_the_log_changes_nothing_but_the_log() {
    let addr = free_address();
    let mut command = wcgi(&["run", "--addr", &addr, "--cache-dir"]);
    command.arg(wcgi_tests::cache_dir()).arg(guest("hello")).stdout(Stdio::null());
    command.stderr(File::options().write(true).open("/dev/full").unwrap());
    let mut child = command.spawn().unwrap();
    let begin = std::time::Instant::now();
    let mut stream = loop {
        match TcpStream::connect(&addr) {
            Ok(stream) => break stream,
            Err(_) => assert!(begin.elapsed() < PATIENCE && child.try_wait().unwrap().is_none()),
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Where nothing listens a moment later.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn readers_that_are_gone_make_no_command_panic() {
    let nothing = tempfile::tempdir().unwrap();
    let missing = nothing.path().join("missing");
    let cases: [(&[&str], i32); 6] = [
        (&["--help"], 0),
        (&["run", "--help"], 0),
        (&["new", "--list"], 0),
        (&["run", missing.to_str().unwrap()], 1),
        (&["run", "--no-such-option"], 2),
        (&["new", "--template", "c", "No Name"], 1),
    ];
    for (arguments, code) in cases {
        let mut child = wcgi(arguments).stdout(gone()).stderr(gone()).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
    }
}

/// The writing end of a pipe that nobody reads any more.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn what_rust_log_says_wrong_is_said_after_the_first_line() {
    let mut command = run(&guest("hello"), &[]);
    command.env("RUST_LOG", "wcgi=info,nonsense=[[,x=loud");
    let serving = Serving::spawn(command);
    assert!(serving.line("RUST_LOG").contains("nonsense"));
    assert!(serving.line("RUST_LOG").contains("x=loud"));
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));
    assert!(serving.line("\"GET /").contains(" 200 "));
}

/// What a script, a target and a response head can do to the log of a server: nothing.
#[test]
fn control_characters_of_strangers_are_escaped() {
    let hello = Serving::start(&guest("stderr"), &["-v"]);
    assert!(hello.get("/?a%00b%1b%5b2Jc%07%0dforged%0aline%e2%80%a8two%c2%9b31m%09tab").contains("Hello"));
    assert_eq!(said(&hello.line("wcgi::stderr")), "a\\u0000b\\u001b[2Jc\\u0007\\u000dforged");
    assert_eq!(said(&hello.line("wcgi::stderr")), "line\\u2028two\\u009b31m\\u0009tab");
    assert!(hello.get("/seen\u{9b}31m\u{202e}\"\\").contains("Hello"));
    let line = hello.line("\"GET /seen");
    assert!(!line.contains(char::is_control) && !line.contains('\u{202e}'), "{line:?}");
    assert!(line.contains(r#"\"\\ HTTP/1.1" 200 "#), "{line}");

    let raw = Serving::start(&guest("raw"), &[]);
    assert!(raw.get("/?%1b%5b2J%3cb%3e%00%0a%0a").starts_with("HTTP/1.1 502"));
    let line = raw.line("WARN");
    assert!(line.contains("malformed line: \"\\u001b[2J<b>\\u0000\""), "{line}");
}

#[test]
fn what_is_refused_before_the_service_has_a_line() {
    let serving = Serving::start(&guest("hello"), &[]);
    for (request, reason) in [
        (&b"GET /\"<> HTTP/1.1\r\nHost: x\r\n\r\n"[..], "invalid URI"),
        (b"GET /caf\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", "invalid URI"),
        (b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", "header"),
        (b"G\x01T / HTTP/1.1\r\n\r\n", "method"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "method"),
        (b"GET / HTTP/3.7\r\n\r\n", "version"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "content-length"),
    ] {
        let mut stream = serving.connect();
        let peer = stream.local_addr().unwrap();
        stream.write_all(request).unwrap();
        // What it answers, if anything, is hyper's.
        let _ = stream.read_to_end(&mut Vec::new());
        let line = serving.line("refused");
        assert!(line.contains("INFO") && line.contains(&format!("peer={peer}")), "{line}");
        assert!(line.contains(reason), "{reason}: {line}");
    }
}

/// h2 resets the stream and goes on, hyper hears nothing of it.
#[test]
fn what_is_refused_on_an_http_2_connection_has_a_line() {
    let serving = Serving::start(&guest("hello"), &[]);
    let mut stream = serving.connect();
    let peer = stream.local_addr().unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    // HEADERS that end the stream: GET, http, and as the path `/<\x1b`, a literal without Huffman.
    let headers = b"\x82\x86\x04\x03/<\x1b";
    stream
        .write_all(&[&[0, 0, u8::try_from(headers.len()).unwrap(), 1, 5, 0, 0, 0, 1], &headers[..]].concat())
        .unwrap();
    let line = serving.line("refused");
    assert!(line.contains("INFO") && line.contains(&format!("peer={peer}")) && line.contains("path"), "{line}");
    assert!(!line.contains(char::is_control), "{line:?}");
}

#[test]
fn refusals_without_a_line_are_counted() {
    let serving = Serving::start(&guest("hello"), &[]);
    for _ in 0..300 {
        let mut stream = serving.connect();
        stream.write_all(b"GET /< HTTP/1.1\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let (mut lines, mut requests) = (0, 0);
    while lines + requests < 300 {
        let line = serving.line("refused");
        match line.split("requests=").nth(1) {
            Some(number) => requests += number.trim().parse::<usize>().unwrap(),
            None => lines += 1,
        }
    }
    assert_eq!(lines + requests, 300);
    assert!(requests > 0, "all had a line");
}

/// The message of a line about a script's stderr, which the request's id follows.
fn said(line: &str) -> &str {
    let message = line.split("wcgi::stderr: ").nth(1).expect("a message");
    message.rsplit_once(" request_id=").expect("an id").0
}
