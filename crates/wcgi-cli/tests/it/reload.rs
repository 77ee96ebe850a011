//! `wcgi run` while its package changes.

use std::fs;

use rustix::process::Signal;
use wcgi_tests::guest;

use crate::process::Serving;

const MANIFEST: &str =
    "[[module]]\nname = 'm'\nsource = 'm.wasm'\n[[command]]\nname = 'm'\nmodule = 'm'\nrunner = 'wcgi'\n";

#[test]
fn a_signal_opens_the_package_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("hello"), dir.path().join("m.wasm")).unwrap();
    fs::write(dir.path().join("wasmer.toml"), MANIFEST).unwrap();
    let serving = Serving::start(dir.path(), &["--env", "KEPT=yes"]);
    assert!(serving.get("/").contains("Hello"));
    fs::write(dir.path().join("m.wasm"), "no module").unwrap();
    serving.signal(Signal::HUP);
    let line = serving.line("ERROR");
    assert!(line.contains("not reloaded") && line.contains("m.wasm"), "{line}");
    assert!(serving.get("/").contains("Hello"));
    fs::copy(guest("env"), dir.path().join("m.wasm")).unwrap();
    serving.signal(Signal::HUP);
    serving.line("reloaded");
    assert!(serving.get("/").contains("\nKEPT=yes\n"));
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code(), Some(0));
}

#[test]
fn a_package_that_is_watched_is_opened_anew_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("env"), dir.path().join("m.wasm")).unwrap();
    fs::write(dir.path().join("wasmer.toml"), MANIFEST).unwrap();
    let serving = Serving::start(dir.path(), &["--watch"]);
    assert!(!serving.get("/").contains("\nNEW=yes\n"));
    let manifest = format!("{MANIFEST}annotations = {{ wasi = {{ env = ['NEW=yes'] }} }}\n");
    fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    serving.line("reloaded");
    assert!(serving.get("/").contains("\nNEW=yes\n"));
}
