//! Changes while it serves: by SIGHUP, and by itself with `--watch`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use wcgi_tests::guest;

use super::tls::{certify, client, get};
use super::{FREE, configured, serve, variable, write};
use crate::process::{PATIENCE, address};

fn which(value: &str) -> String {
    format!("{FREE}[[site]]\npackage = GUEST(env)\nenv = {{ WHICH = '{value}' }}\n")
}

#[test]
fn a_signal_brings_what_the_file_says_and_opens_what_changed_alone() {
    let dir = configured(&format!("{}[[site]]\npath = '/same'\npackage = GUEST(hello)\n", which("old")));
    let serving = serve(dir.path(), &[]);
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("old"));
    write(
        dir.path(),
        &format!(
            "{}[[site]]\npath = '/more'\npackage = GUEST(env)\n[[site]]\npath = '/same'\npackage = GUEST(hello)\n",
            which("new")
        ),
    );
    serving.signal(Signal::HUP);
    let line = serving.line("reloaded");
    assert!(line.contains("sites=3") && line.contains("opened=2"), "{line}");
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("new"));
    assert!(serving.get("/more").starts_with("HTTP/1.1 200") && serving.get("/same").starts_with("HTTP/1.1 200"));
    // What is gone is served no more.
    write(dir.path(), &which("newer").replace("[[site]]", "[[site]]\nhosts = ['h']"));
    serving.signal(Signal::HUP);
    serving.line("reloaded");
    assert!(serving.get("/same").starts_with("HTTP/1.1 404"));
    assert_eq!(variable(&serving.get_from("h", "/"), "WHICH"), Some("newer"));
}

#[test]
fn what_does_not_open_leaves_everything_as_it_was() {
    let dir = configured(&which("old"));
    let serving = serve(dir.path(), &[]);
    for (text, expected) in [
        (format!("{}[[site]]\npath = '/x'\npackage = 'nowhere'\n", which("new")), "site.package: there is no nowhere"),
        (format!("{}[[site]]\npath = '/x'\npackage = GUEST(nostart)\n", which("new")), "_start"),
        ("[[site".to_owned(), "not TOML"),
    ] {
        write(dir.path(), &text);
        serving.signal(Signal::HUP);
        let line = serving.line("ERROR");
        assert!(line.contains("not reloaded") && line.contains("wcgi.toml:") && line.contains(expected), "{line}");
        assert_eq!(variable(&serving.get("/"), "WHICH"), Some("old"));
    }
    write(dir.path(), &which("new"));
    serving.signal(Signal::HUP);
    serving.line("reloaded");
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("new"));
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_is_done() {
    let dir = configured(&which("old"));
    let serving = serve(dir.path(), &[]);
    let changed = which("new").replace("['127.0.0.1:0']", "['127.0.0.1:1']").replace("[engine]", "[engine]\nqueue = 7");
    write(dir.path(), &changed);
    serving.signal(Signal::HUP);
    for key in ["server.listen", "engine"] {
        let line = serving.line("needs a restart");
        assert!(line.contains("WARN") && line.contains(&format!(": {key} has changed")), "{line}");
    }
    serving.line("reloaded");
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("new"));
}

#[test]
fn what_runs_is_finished_with_the_old_one() {
    let dir = configured(&format!("{FREE}[[site]]\npackage = GUEST(ticker)\n"));
    let serving = serve(dir.path(), &[]);
    let mut running = serving.connect();
    running.write_all(b"GET /?n=2&ms=2000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    running.read_exact(&mut [0; 8]).unwrap();
    write(dir.path(), &format!("{FREE}[[site]]\npackage = GUEST(hello)\n"));
    serving.signal(Signal::HUP);
    serving.line("reloaded");
    assert!(serving.get("/").contains("Hello"));
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("tick 2\n\r\n0\r\n\r\n"), "{rest}");
}

#[test]
fn no_request_fails_while_it_reloads() {
    let dir = configured(&which("0"));
    let serving = serve(dir.path(), &["-q"]);
    let (addr, done) = (serving.addr, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut answered = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut stream = TcpStream::connect(addr).unwrap();
                        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                        let mut response = String::new();
                        stream.read_to_string(&mut response).unwrap();
                        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        for round in 1..=20 {
            write(dir.path(), &which(&round.to_string()));
            serving.signal(Signal::HUP);
            while variable(&serving.get("/"), "WHICH") != Some(&round.to_string()) {}
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
}

#[test]
fn watched_files_are_read_again_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let package = dir.path().join("p");
    fs::create_dir(&package).unwrap();
    fs::copy(guest("hello"), package.join("m.wasm")).unwrap();
    let manifest = |env: &str| {
        format!(
            "[[module]]\nname = 'm'\nsource = 'm.wasm'\n[[command]]\nname = 'm'\nmodule = 'm'\nrunner = 'wcgi'\n\
             annotations = {{ wasi = {{ env = ['WHICH={env}'] }} }}\n"
        )
    };
    fs::write(package.join("wasmer.toml"), manifest("1")).unwrap();
    let tls = "[tls]\nlisten = ['127.0.0.1:0']\ncert = 'cert.pem'\nkey = 'key.pem'\n";
    write(dir.path(), &format!("{FREE}{tls}[[site]]\npackage = 'p'\n"));
    let old = certify(dir.path());
    let serving = serve(dir.path(), &["--watch"]);
    let secure = address(&serving.lines.recv_timeout(PATIENCE).unwrap());
    assert!(serving.get("/").contains("Hello"));
    // The module.
    fs::copy(guest("env"), package.join("new")).unwrap();
    fs::rename(package.join("new"), package.join("m.wasm")).unwrap();
    assert!(serving.line("reloaded").contains("opened=1"));
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("1"));
    // The manifest.
    fs::write(package.join("wasmer.toml"), manifest("2")).unwrap();
    assert!(serving.line("reloaded").contains("opened=1"));
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("2"));
    // A certificate, whose key comes later.
    let key = fs::read(dir.path().join("key.pem")).unwrap();
    let new = certify(dir.path());
    let new_key = fs::read(dir.path().join("key.pem")).unwrap();
    fs::write(dir.path().join("key.pem"), key).unwrap();
    assert!(serving.line("not reloaded").contains("tls.key"));
    assert!(get(secure, &client(&old, &[]), "/").unwrap().starts_with("HTTP/1.1 200"));
    fs::write(dir.path().join("key.pem"), new_key).unwrap();
    assert!(serving.line("reloaded").contains("opened=0"));
    assert!(get(secure, &client(&new, &[]), "/").unwrap().starts_with("HTTP/1.1 200"));
    assert!(get(secure, &client(&old, &[]), "/").is_err());
    // The configuration.
    write(dir.path(), &format!("{FREE}{tls}[[site]]\npackage = 'p'\nenv = {{ WHICH = 3 }}\n"));
    assert!(serving.line("reloaded").contains("opened=1"));
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("3"));
}
