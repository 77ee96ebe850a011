//! Packages that need others.

use std::fs;

use wcgi_registry::{Dependencies, Error, ErrorKind, Lock, Options};

use crate::server::Server;
use crate::{MODULE, Machine, directory, read, reference};

/// A site of a few bytes that runs on `php`.
fn site(php: &str) -> tempfile::TempDir {
    let manifest = format!(
        "[dependencies]\nphp = '{php}'\n[[command]]\nname = 'site'\nmodule = 'php:php'\nrunner = 'wcgi'\n[fs]\n'/app' = 'app'\n"
    );
    directory(&[("wasmer.toml", manifest.as_bytes()), ("app/index.php", b"<?php")])
}

fn runtime(version: &str) -> tempfile::TempDir {
    let manifest = "[[module]]\nname = 'php'\nsource = 'php.wasm'\n[fs]\n'/etc/php' = 'etc'\n";
    directory(&[("wasmer.toml", manifest.as_bytes()), ("php.wasm", MODULE), ("etc/version", version.as_bytes())])
}

fn version(dependencies: &Dependencies, name: &str) -> String {
    read(dependencies.paths.get(name).unwrap(), "etc/version")
}

#[test]
fn a_site_is_pushed_without_the_runtime_that_it_needs() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let publisher = Machine::new();
    let set = || Options::new().registry(&server.address).unwrap();
    let php = publisher.registry().push(runtime("8.4.1").path(), &reference(&server.name("php:8.4")), None).unwrap();
    let before = server.blobs();
    let site = site("php:8.4");
    let name = reference(&server.name("me/site:1"));
    let pushed = publisher.with(set()).push(site.path(), &name, None).unwrap();
    assert!(pushed.sent_bytes < 3 << 10, "{}", pushed.sent_bytes);
    assert_eq!(server.blobs() - before, 3, "the manifests and the mount");

    // Elsewhere, where no registry is set, and php:8.4 is another by now.
    publisher.registry().push(runtime("8.4.2").path(), &reference(&server.name("php:8.4")), None).unwrap();
    let machine = Machine::new();
    let elsewhere = machine.registry();
    let pulled = elsewhere.pull(&name).unwrap();
    let dependencies = elsewhere.dependencies_of(&pulled).unwrap();
    let pinned = format!("{}/php:8.4@{}", server.address, php.digest);
    assert!(read(&pulled.path, "wasmer.toml").contains(&pinned));
    assert_eq!(version(&dependencies, &pinned), "8.4.1");
}

#[test]
fn the_lock_file_pins_what_a_tag_has_led_to() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let publisher = Machine::new();
    let tag = reference(&server.name("php:8.4"));
    publisher.registry().push(runtime("1").path(), &tag, None).unwrap();
    let name = tag.to_string();
    let site = site(&name);
    let machine = Machine::new();
    let resolve = |lock: &Lock| machine.registry().dependencies(site.path(), lock);

    let error = resolve(&Lock::Insist).unwrap_err();
    assert!(error.to_string().contains("php") && error.hint().is_some(), "{error}");
    assert_eq!(version(&resolve(&Lock::Use).unwrap(), &name), "1");
    let locked = read(site.path(), "wcgi.lock");
    publisher.registry().push(runtime("2").path(), &tag, None).unwrap();
    assert_eq!(version(&resolve(&Lock::Use).unwrap(), &name), "1");
    assert_eq!(version(&resolve(&Lock::Insist).unwrap(), &name), "1");
    assert_eq!(read(site.path(), "wcgi.lock"), locked);
    assert_eq!(version(&resolve(&Lock::Update(Vec::new())).unwrap(), &name), "2");
    assert_ne!(read(site.path(), "wcgi.lock"), locked);
    server.kill();
    assert_eq!(version(&resolve(&Lock::Insist).unwrap(), &name), "2");
}

#[test]
fn a_runtime_that_was_added_comes_before_the_registry() {
    let machine = Machine::new();
    let site = site("php:8.4");
    let error = machine.registry().dependencies(site.path(), &Lock::Use).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("php:8.4") && error.hint().unwrap().contains("runtime add"), "{error}");

    let digest = machine.registry().add_runtime(&reference("php:8.4"), runtime("mine").path()).unwrap();
    let nowhere = Options::new().registry("localhost:1").unwrap();
    let dependencies = machine.with(nowhere).dependencies(site.path(), &Lock::Use).unwrap();
    assert_eq!(version(&dependencies, "php:8.4"), "mine");
    let known = machine.registry().runtimes();
    assert_eq!((known.len(), known[0].added, &known[0].digest), (1, true, &digest));
    for name in ["php", "localhost:5000/php:8.4"] {
        let error = machine.registry().add_runtime(&reference(name), runtime("x").path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Reference);
    }

    // What is locked stays, even where another was added meanwhile.
    machine.registry().add_runtime(&reference("php:8.4"), runtime("other").path()).unwrap();
    let resolve = |lock: &Lock| version(&machine.registry().dependencies(site.path(), lock).unwrap(), "php:8.4");
    assert_eq!(resolve(&Lock::Use), "mine");
    assert_eq!(resolve(&Lock::Update(vec!["php".to_owned()])), "other");
}

#[test]
fn circles_and_long_chains_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let package = |name: &str, dependency: &str| {
        let at = folder.path().join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("wasmer.toml"), format!("[dependencies]\nx = '{dependency}'\n")).unwrap();
    };
    let resolve = |name: &str| -> Result<_, Error> {
        Machine::new().registry().dependencies(&folder.path().join(name), &Lock::Use)
    };
    package("a", "../b");
    package("b", "../a");
    let error = resolve("a").unwrap_err();
    assert!(error.to_string().contains("circle") && error.to_string().contains("b → "), "{error}");
    package("self", ".");
    assert!(resolve("self").unwrap_err().to_string().contains("circle"));
    for n in 0..9 {
        package(&format!("c{n}"), &format!("../c{}", n + 1));
    }
    package("c9", "^1.0");
    assert!(resolve("c0").unwrap_err().to_string().contains("8 deep"));
    resolve("c1").unwrap();
}

#[test]
fn a_circle_of_tags_is_found_too() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let machine = Machine::new();
    let package = |dependency: Option<&str>| {
        let text = dependency.map(|name| format!("[dependencies]\nx = '{name}'\n")).unwrap_or_default();
        directory(&[("wasmer.toml", text.as_bytes())])
    };
    let name = server.name("me/a:1");
    machine.registry().push(package(None).path(), &reference(&name), None).unwrap();
    // Pushing pins, so a circle cannot be made: each version depends on an earlier one.
    machine.registry().push(package(Some(&name)).path(), &reference(&name), None).unwrap();
    let pulled = machine.registry().pull(&reference(&name)).unwrap();
    assert_eq!(machine.registry().dependencies_of(&pulled).unwrap().paths.len(), 1);
}
