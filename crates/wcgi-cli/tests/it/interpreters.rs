//! Packages that are only somebody's own files: what `wcgi new` makes of an interpreter, and folders of pages in PHP.
//!
//! A program that prints its variables stands for the interpreter.

use std::fs;
use std::process::Command;

use wcgi_tests::guest;

use crate::process::Serving;
use crate::registry::{Machine, shown};
use crate::server::Server;

pub(crate) const RUNS_INDEX: &str = "SCRIPT_FILENAME=/app/index.php";

#[test]
fn a_new_package_names_the_interpreter_that_is_here() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let [blog, shop, api] = ["blog", "shop", "api"].map(|name| folder.path().join(name));
    let said = machine.does(&["new", "--template", "php", shown(&blog)]);
    assert!(said.contains("it needs:  php:8.4: `wcgi runtime add php:8.4 FILE`"), "{said}");
    let error = machine.refuses(&["run", shown(&blog)], 1);
    assert!(error.contains("php:8.4") && error.contains("`wcgi runtime add php:8.4 FILE`"), "{error}");
    assert!(error.contains("WCGI_REGISTRY"), "{error}");

    machine.does(&["runtime", "add", "php:8.2", shown(&guest("env"))]);
    machine.does(&["runtime", "add", "php:8.10", shown(&guest("env"))]);
    let said = machine.does(&["new", "--template", "php", shown(&shop)]);
    assert!(!said.contains("it needs"), "{said}");
    let manifest = fs::read_to_string(shop.join("wasmer.toml")).unwrap();
    assert!(manifest.contains("php = \"php:8.10\""), "{manifest}");
    assert!(machine.serve(&[shown(&shop)]).get("/").contains(RUNS_INDEX));

    machine.does(&["runtime", "add", "php:8.4", shown(&guest("env"))]);
    assert!(machine.serve(&[shown(&blog)]).get("/").contains(RUNS_INDEX));

    machine.does(&["runtime", "add", "python:3.13", shown(&guest("args"))]);
    machine.does(&["new", "--template", "python", shown(&api)]);
    assert!(machine.serve(&[shown(&api)]).get("/").contains("/app/main.py"));
}

/// The lock file came from elsewhere, or was written before.
#[test]
fn a_runtime_that_was_added_anew_takes_the_place_of_a_locked_one_that_is_nowhere() {
    let [before, now] = [Machine::new(), Machine::new()];
    let folder = tempfile::tempdir().unwrap();
    let blog = folder.path().join("blog");
    before.does(&["runtime", "add", "php:8.4", shown(&guest("env"))]);
    before.does(&["new", "--template", "php", shown(&blog)]);
    assert!(before.serve(&[shown(&blog)]).get("/").contains(RUNS_INDEX));
    let locked = fs::read_to_string(blog.join("wcgi.lock")).unwrap();

    now.does(&["runtime", "add", "php:8.4", shown(&guest("args"))]);
    assert!(now.refuses(&["run", "--locked", shown(&blog)], 1).contains("is not on this machine"));
    let serving = now.serve(&[shown(&blog)]);
    assert!(serving.line("WARN").contains("php:8.4 was added anew"));
    assert!(serving.get("/").contains("200 OK"));
    assert_ne!(fs::read_to_string(blog.join("wcgi.lock")).unwrap(), locked);
    drop(serving);

    // Where it is, it is used as before.
    fs::write(blog.join("wcgi.lock"), &locked).unwrap();
    before.does(&["runtime", "add", "php:8.4", shown(&guest("args"))]);
    assert!(before.serve(&[shown(&blog)]).get("/").contains(RUNS_INDEX));
    assert_eq!(fs::read_to_string(blog.join("wcgi.lock")).unwrap(), locked);
}

#[test]
fn a_machine_with_a_registry_needs_nothing_else() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    Machine::new().does(&["push", shown(&guest("env")), &server.name("php:8.4")]);

    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let blog = folder.path().join("blog");
    let with_registry = |arguments: &[&str]| -> Command {
        let mut command = machine.command(arguments);
        command.env("WCGI_REGISTRY", &server.address);
        command
    };
    assert!(with_registry(&["new", "--template", "php", shown(&blog)]).status().unwrap().success());
    let serving = Serving::spawn(with_registry(&["run", "--addr", "127.0.0.1:0", shown(&blog)]));
    assert!(serving.get("/").contains(RUNS_INDEX));

    // The interpreter is there already: what is sent is the manifest, the configuration and two small folders.
    let before = server.blobs();
    let name = server.name("me/blog:1");
    let output = with_registry(&["push", shown(&blog), &name]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(server.blobs() - before, 5);
    assert!(Machine::new().serve(&[&name]).get("/").contains(RUNS_INDEX));
}

#[test]
fn a_folder_of_pages_is_a_site() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("index.php", "<?php echo 1;"), ("style.css", "body {}"), (".env", "SECRET")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let error = machine.refuses(&["run", shown(folder.path())], 1);
    assert!(error.contains("no PHP for its scripts") && error.contains("wcgi runtime add php:8.4 FILE"), "{error}");

    machine.does(&["runtime", "add", "php:8.2", shown(&guest("env"))]);
    let serving = machine.serve(&[shown(folder.path())]);
    assert!(serving.get("/").contains(RUNS_INDEX));
    assert!(serving.get("/style.css").contains("body {}"));
    assert!(serving.get("/.env").starts_with("HTTP/1.1 404"));
    assert!(serving.get("/missing").starts_with("HTTP/1.1 404"));
    assert!(!folder.path().join("wcgi.lock").exists());

    // Where there is no page, there is no site.
    let empty = tempfile::tempdir().unwrap();
    let error = machine.refuses(&["run", shown(empty.path())], 1);
    assert!(error.contains("no wasmer.toml in"), "{error}");
}
