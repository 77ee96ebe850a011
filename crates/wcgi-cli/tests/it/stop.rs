//! How it ends: signals, what runs, and connections on which nothing was asked.

use std::io::{Read, Write};

use rustix::process::Signal;
use wcgi_tests::guest;

use crate::process::Serving;

#[test]
fn a_signal_ends_an_idle_server_with_0_whatever_is_connected() {
    for signal in [Signal::TERM, Signal::INT] {
        let serving = Serving::start(&guest("hello"), &[]);
        // Nothing asked, half a head, and kept alive after an answer.
        let _silent = serving.connect();
        let mut half = serving.connect();
        half.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
        let mut kept = serving.connect();
        kept.write_all(b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        serving.line("GET /kept");
        serving.signal(signal);
        assert_eq!(serving.wait().code(), Some(0));
    }
}

#[test]
fn what_runs_is_finished_and_nothing_new_is_accepted() {
    let serving = Serving::start(&guest("ticker"), &[]);
    let mut running = serving.connect();
    running.write_all(b"GET /?n=2&ms=500 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&seen).contains("tick 1") {
        let n = running.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..n]);
    }
    serving.signal(Signal::TERM);
    running.read_to_end(&mut seen).unwrap();
    assert!(String::from_utf8_lossy(&seen).ends_with("tick 2\n\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
    let addr = serving.addr;
    assert_eq!(serving.wait().code(), Some(0));
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_second_signal_stops_it_now() {
    let serving = Serving::start(&guest("spin"), &["--deadline", "0", "-v"]);
    let mut running = serving.connect();
    running.write_all(b"GET /?head HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 8];
    running.read_exact(&mut first).unwrap();
    serving.signal(Signal::TERM);
    serving.line("stopping");
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code(), Some(0));
}
