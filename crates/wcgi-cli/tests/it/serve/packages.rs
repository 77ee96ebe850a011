//! Sites whose packages come from a registry, and mounts with a quota.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use wcgi_tests::guest;

use super::{FREE, configured, serve, variable, write};
use crate::process::{text, wcgi};
use crate::server::Server;

fn does(dir: &Path, arguments: &[&str]) {
    let cache = ["--cache-dir", "pushing"];
    let cache = if arguments.first() == Some(&"push") { &cache[..] } else { &[] };
    let output = wcgi(arguments).args(cache).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
}

#[test]
fn a_reload_brings_what_a_tag_leads_to_now() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let name = server.name("me/site:1");
    let dir = configured(&format!(
        "{}[[site]]\npackage = '{name}'\nenv = {{ WHICH = 1 }}\n[[site]]\npath = '/b'\npackage = '{name}'\n",
        FREE.replace("CACHE", "cache_dir = 'cache'")
    ));
    does(dir.path(), &["push", guest("hello").to_str().unwrap(), &name]);
    let serving = serve(dir.path(), &[]);
    assert!(serving.get("/").contains("Hello") && serving.get("/b").contains("Hello"));
    serving.signal(Signal::HUP);
    let line = serving.line("reloaded");
    assert!(line.contains("sites=2") && line.contains("opened=0"), "{line}");
    does(dir.path(), &["push", guest("env").to_str().unwrap(), &name]);
    serving.signal(Signal::HUP);
    let line = serving.line("reloaded");
    assert!(line.contains("opened=2"), "{line}");
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("1"));
    // What was fetched serves without the registry.
    server.kill();
    serving.signal(Signal::HUP);
    assert!(serving.line("reloaded").contains("opened=0"));
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("1"));
    drop(serving);
    assert_eq!(variable(&serve(dir.path(), &[]).get("/"), "WHICH"), Some("1"));
}

#[test]
fn a_site_with_a_key_takes_what_that_has_signed_alone() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/site:1");
    let dir = tempfile::tempdir().unwrap();
    let free = FREE.replace("CACHE", "cache_dir = 'cache'");
    does(dir.path(), &["keygen", "key"]);
    does(dir.path(), &["push", guest("hello").to_str().unwrap(), &name]);
    write(dir.path(), &format!("{free}[[site]]\npackage = '{name}'\nverify = 'key.pub'\n"));
    let refused = wcgi(&["serve", "--check"]).current_dir(dir.path()).output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("wcgi.toml:6: site.package: ") && said.contains("not signed"), "{said}");
    does(dir.path(), &["push", guest("hello").to_str().unwrap(), &name, "--sign", "key"]);
    let serving = serve(dir.path(), &[]);
    assert!(serving.get("/").contains("Hello"));
    write(dir.path(), &format!("{free}[[site]]\npackage = GUEST(hello)\nverify = ['key.pub']\n"));
    serving.signal(Signal::HUP);
    assert!(serving.line("not reloaded").contains("wcgi.toml:7: site.verify: "));
}

#[test]
fn what_a_pulled_package_wants_has_to_be_given() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/site:1");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("p/db")).unwrap();
    fs::copy(guest("files"), dir.path().join("p/files.wasm")).unwrap();
    let manifest = "[[module]]\nname = 'f'\nsource = 'files.wasm'\n[[command]]\nname = 'f'\nmodule = 'f'\n\
                    runner = 'wcgi'\n[fs]\n'/db' = { path = 'db', mode = 'rw' }\n";
    fs::write(dir.path().join("p/wasmer.toml"), manifest).unwrap();
    does(dir.path(), &["push", "p", &name]);
    let site = format!("{}[[site]]\npackage = '{name}'\n", FREE.replace("CACHE", "cache_dir = 'cache'"));
    write(dir.path(), &site);
    let said = text(&wcgi(&["serve"]).current_dir(dir.path()).output().unwrap().stderr);
    assert!(said.contains("site.package: ") && said.contains("hint: mapdir = [\"/db:DIR\"]"), "{said}");
    fs::create_dir(dir.path().join("data")).unwrap();
    write(dir.path(), &format!("{site}mapdir = ['/db:data']\nquota = {{ '/db' = '1KiB' }}\n"));
    let serving = serve(dir.path(), &[]);
    assert!(serving.get("/?op=write&path=/db/a&data=x").contains("ok"));
    let long = "x".repeat(2000);
    let full = serving.get(&format!("/?op=write&path=/db/b&data={long}"));
    assert!(!full.contains("/db/b: ok"), "{full}");
    assert!(fs::metadata(dir.path().join("data/b")).map_or(0, |file| file.len()) <= 1024);
    write(dir.path(), &format!("{site}mapdir = ['/db:data']\nquota = {{ '/db' = 'much' }}\n"));
    serving.signal(Signal::HUP);
    assert!(serving.line("not reloaded").contains("site.quota./db: "));
}
