//! A wall clock that jumps, as after a wrong battery or a restored machine.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use wcgi_tests::guest;

use crate::process::{Serving, run};

/// Debian's libfaketime stands before the system's clock, and reads the file at each question.
fn with_clock(mut command: Command, file: &std::path::Path) -> Command {
    command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1");
    command.env("FAKETIME_TIMESTAMP_FILE", file).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// What the log says the year is.
fn year(serving: &Serving) -> u32 {
    let line = serving.line("GET /");
    line.split('-').next().and_then(|year| year.parse().ok()).unwrap_or_else(|| panic!("no time: {line}"))
}

#[test]
fn when_the_clock_jumps_nothing_ends_early_or_late() {
    let dir = tempfile::tempdir().unwrap();
    let clock = dir.path().join("clock");
    let jump = |to: &str| {
        // As a whole: the file is read at any time.
        fs::write(dir.path().join("next"), to).unwrap();
        fs::rename(dir.path().join("next"), &clock).unwrap();
    };
    jump("+0");
    let serving = Serving::spawn(with_clock(run(&guest("sleep"), &["--deadline", "2"]), &clock));
    assert!(serving.get("/?ms=0").contains("200 OK"));
    let now = year(&serving);
    for (to, expected) in [("+7300d", now + 20), ("-7300d", now - 20), ("+0", now)] {
        let mut waiting = serving.connect();
        write!(waiting, "GET /?ms=400&head HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        waiting.read_exact(&mut [0]).unwrap();
        jump(to);
        let mut response = String::new();
        waiting.read_to_string(&mut response).unwrap();
        assert!(response.contains("slept 400 ms"), "{to}: {response}");
        assert!(year(&serving).abs_diff(expected) < 2, "the clock did jump");
        assert!(serving.get("/?ms=60000").contains(" 504 "), "{to}: the deadline still counts");
        serving.line("GET /");
    }
}
