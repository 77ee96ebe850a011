//! Packages by name: `push`, `pull`, `run REF` and what belongs to it, against Debian's `docker-registry`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use wcgi_tests::guest;

use crate::process::{Serving, text, wcgi};
use crate::server::Server;

/// A machine: a cache and a home of its own.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = wcgi(arguments);
        for name in ["WCGI_REGISTRY", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.folder.path());
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        // The usual port may be another program's.
        if arguments.first() == Some(&"run") {
            command.args(["--addr", "127.0.0.1:0"]);
        }
        command.output().unwrap()
    }

    /// What it prints, if it does what it is asked.
    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says, if it does not.
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let output = self.output(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") || stderr.contains("\nerror: "), "{stderr}");
        stderr
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Serving {
        Serving::spawn(self.command(&[&["run", "--addr", "127.0.0.1:0"], arguments].concat()))
    }
}

/// A package of a guest that reads and writes files.
fn package(extra: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(guest("files"), folder.path().join("files.wasm")).unwrap();
    fs::create_dir(folder.path().join("app")).unwrap();
    fs::write(folder.path().join("app/page"), "the page").unwrap();
    let manifest = format!(
        "[package]\nname = 'me/files'\nversion = '1.2.3'\n[[module]]\nname = 'files'\nsource = 'files.wasm'\n\
         [[command]]\nname = 'files'\nmodule = 'files'\nrunner = 'wcgi'\n[fs]\n'/app' = 'app'\n{extra}"
    );
    fs::write(folder.path().join("wasmer.toml"), manifest).unwrap();
    folder
}

pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

const READ_PAGE: &str = "/?op=read&path=/app/page";

#[test]
fn a_package_that_is_pushed_here_runs_elsewhere_by_its_name() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let name = server.name("me/files:1");
    let package = package("");
    let digest = Machine::new().does(&["push", shown(package.path()), &name]);
    assert!(digest.starts_with("sha256:") && digest.len() == 72, "{digest}");

    let elsewhere = Machine::new();
    assert!(elsewhere.serve(&[&name]).get(READ_PAGE).contains("the page"));
    assert_eq!(elsewhere.does(&["pull", &name]), digest);
    let by_digest = format!("{name}@{}", digest.trim());
    assert!(elsewhere.serve(&[&by_digest, "--no-cache"]).get(READ_PAGE).contains("the page"));

    server.kill();
    let serving = elsewhere.serve(&[&name]);
    assert!(serving.line("WARN").contains("cannot reach"));
    assert!(serving.get(READ_PAGE).contains("the page"));
    let error = Machine::new().refuses(&["run", &name], 1);
    assert!(error.contains(&name), "{error}");
}

#[test]
fn a_module_is_pushed_and_run_as_it_is() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/hello:1");
    let machine = Machine::new();
    machine.does(&["push", shown(&guest("hello")), &name]);
    assert!(machine.serve(&[&name]).get("/").starts_with("HTTP/1.1 200"));
    let copy = machine.folder.path().join("copy");
    let said = machine.does(&["pull", &name, "-o", shown(&copy)]);
    assert!(said.contains("serve it:"), "{said}");
    assert!(machine.serve(&[shown(&copy)]).get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_tag_that_moved_is_said() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/files:1");
    let package = package("");
    let machine = Machine::new();
    Machine::new().does(&["push", shown(package.path()), &name]);
    machine.does(&["pull", &name]);
    fs::write(package.path().join("app/page"), "another page").unwrap();
    Machine::new().does(&["push", shown(package.path()), &name]);
    let serving = machine.serve(&[&name]);
    assert!(serving.line("WARN").contains("has moved"));
    assert!(serving.get(READ_PAGE).contains("another page"));
}

#[test]
fn a_pulled_package_gets_no_directory_that_was_not_given() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/files:1");
    let package = package("'/db' = { path = 'db', mode = 'rw' }\n");
    fs::create_dir(package.path().join("db")).unwrap();
    fs::write(package.path().join("db/secret"), "").unwrap();
    let machine = Machine::new();
    machine.does(&["push", shown(package.path()), &name]);
    let error = machine.refuses(&["run", &name], 1);
    assert!(error.contains("/db") && error.contains("hint: --mapdir /db:DIR"), "{error}");

    let db = tempfile::tempdir().unwrap();
    let serving = machine.serve(&[&name, "--mapdir", &format!("/db:{}", db.path().display())]);
    assert!(serving.get("/?op=write&path=/db/a&data=x").contains("ok"));
    assert!(db.path().join("a").exists());
    let written = serving.get("/?op=write&path=/app/a&data=x");
    assert!(!written.contains("/app/a: ok"), "{written}");

    let copy = machine.folder.path().join("copy");
    let said = machine.does(&["pull", &name, "--output", shown(&copy)]);
    assert!(said.contains("writes to:  /db"), "{said}");
    assert!(!copy.join("db/secret").exists());
    assert!(machine.serve(&[shown(&copy)]).get("/?op=write&path=/db/a&data=x").contains("ok"));
}

#[test]
fn only_what_the_key_has_signed_is_run() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/hello:1");
    let machine = Machine::new();
    let key = machine.folder.path().join("key");
    let public = machine.folder.path().join("key.pub");
    machine.does(&["keygen", shown(&key)]);
    machine.does(&["push", shown(&guest("hello")), &name]);
    let error = machine.refuses(&["run", &name, "--verify", shown(&public)], 1);
    assert!(error.contains("not signed"), "{error}");
    machine.does(&["push", shown(&guest("hello")), &name, "--sign", shown(&key)]);
    let serving = machine.serve(&[&name, "--verify", shown(&public)]);
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));
    let error = machine.refuses(&["run", shown(&guest("hello")), "--verify", shown(&public)], 1);
    assert!(error.contains("--verify is for packages of registries"), "{error}");
}

#[test]
fn what_is_no_reference_is_wrong_usage() {
    let machine = Machine::new();
    for name in ["localhost:5000/ME/blog", "localhost:5000/me/blog:", "x@sha256:1", "php:8.4:1"] {
        for arguments in [&["run", name][..], &["pull", name], &["inspect", name], &["push", ".", name]] {
            let error = machine.refuses(arguments, 2);
            assert!(error.contains("hint: "), "{error}");
        }
    }
    for path in ["missing", "./localhost:5000/x", "a/b.wasm"] {
        let error = machine.refuses(&["run", path], 1);
        assert!(error.contains(&format!("no package at {path}")), "{error}");
    }
    let error = machine.refuses(&["run", "php:8.4"], 1);
    assert!(error.contains("WCGI_REGISTRY") && error.contains("runtime add"), "{error}");
}

/// A site that has its module from elsewhere.
fn site(dependency: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[dependencies]\nfiles = '{dependency}'\n[[command]]\nname = 'site'\nmodule = 'files:files'\nrunner = 'wcgi'\n\
         [fs]\n'/own' = 'own'\n"
    );
    fs::write(folder.path().join("wasmer.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("own")).unwrap();
    fs::write(folder.path().join("own/page"), "my page").unwrap();
    folder
}

const READ_OWN: &str = "/?op=read&path=/own/page";

#[test]
fn a_site_of_a_few_bytes_runs_on_a_runtime() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let publisher = Machine::new();
    publisher.does(&["push", shown(package("").path()), &server.name("files:1.2")]);
    let site = site("files:1.2");
    let error = publisher.refuses(&["run", shown(site.path())], 1);
    assert!(error.contains("files:1.2") && error.contains("hint: "), "{error}");

    let address = server.address.clone();
    let set = |command: &mut Command| {
        command.env("WCGI_REGISTRY", &address);
    };
    let mut command = publisher.command(&["run", "--addr", "127.0.0.1:0", shown(site.path())]);
    set(&mut command);
    let serving = Serving::spawn(command);
    assert!(serving.get(READ_OWN).contains("my page"));
    assert!(serving.get(READ_PAGE).contains("the page"), "a mount of the dependency");
    let lock = fs::read_to_string(site.path().join("wcgi.lock")).unwrap();
    assert!(lock.contains("ref = \"files:1.2\""), "{lock}");

    let name = server.name("me/site:1");
    let before = server.blobs();
    let mut command = publisher.command(&["push", shown(site.path()), &name]);
    set(&mut command);
    assert!(command.output().unwrap().status.success());
    assert_eq!(server.blobs() - before, 3);
    let elsewhere = Machine::new();
    assert!(elsewhere.serve(&[&name]).get(READ_OWN).contains("my page"));
    server.kill();
    assert!(elsewhere.serve(&[&name]).get(READ_PAGE).contains("the page"));
    assert!(publisher.serve(&[shown(site.path()), "--locked"]).get(READ_OWN).contains("my page"));
    fs::remove_file(site.path().join("wcgi.lock")).unwrap();
    publisher.refuses(&["run", shown(site.path()), "--locked"], 1);
}

#[test]
fn a_runtime_is_added_by_hand_where_there_is_no_registry() {
    let machine = Machine::new();
    let site = site("files:1.2");
    let digest = machine.does(&["runtime", "add", "files:1.2", shown(package("").path())]);
    assert_eq!(machine.does(&["runtime", "list"]), format!("files:1.2 {} added\n", digest.trim()));
    assert!(machine.serve(&[shown(site.path())]).get(READ_OWN).contains("my page"));
    let page = machine.serve(&["files:1.2"]).get(READ_PAGE);
    assert!(page.contains("the page"), "{page}");

    machine.does(&["runtime", "add", "files:1.2", shown(&guest("files"))]);
    assert!(machine.serve(&[shown(site.path())]).get(READ_PAGE).contains("the page"), "the lock still has the first");
    let said = machine.does(&["update", "--package", shown(site.path())]);
    assert!(said.starts_with("files:1.2 sha256:") && !said.contains(digest.trim()), "{said}");
    assert!(!machine.serve(&[shown(site.path())]).get(READ_PAGE).contains("the page"));
    machine.refuses(&["update", "other", "--package", shown(site.path())], 1);
    machine.refuses(&["runtime", "add", "files", shown(&guest("files"))], 2);
}

#[test]
fn a_path_is_a_dependency_too() {
    let package = package("");
    let site = site(shown(package.path()));
    let machine = Machine::new();
    let serving = machine.serve(&[shown(site.path())]);
    assert!(serving.get(READ_OWN).contains("my page") && serving.get(READ_PAGE).contains("the page"));
    assert!(!site.path().join("wcgi.lock").exists());
    let error = machine.refuses(&["push", shown(site.path()), "localhost:1/x:1"], 1);
    assert!(error.contains("dependencies.files"), "{error}");
}

#[test]
fn a_package_says_what_is_in_it() {
    let package = package("'/db' = { path = 'db', mode = 'rw' }\n");
    fs::create_dir(package.path().join("db")).unwrap();
    let machine = Machine::new();
    let said = machine.does(&["inspect", shown(package.path())]);
    for line in
        ["package     me/files 1.2.3", "command     files", "imports     wasi_snapshot_preview1: ", "snapshot    none"]
    {
        assert!(said.lines().any(|other| other.starts_with(line)), "{line}: {said}");
    }
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = server.name("me/files:1");
    let digest = machine.does(&["push", shown(package.path()), &name]);
    let json = machine.does(&["inspect", "--json", &name]);
    for part in [
        format!("\"digest\": \"{}\"", digest.trim()),
        "\"version\": \"1.2.3\"".to_owned(),
        "\"kind\": \"module\"".to_owned(),
        "\"guest\": \"/db\"".to_owned(),
        "\"brought\": false".to_owned(),
    ] {
        assert!(json.contains(&part), "{part}: {json}");
    }
    assert!(machine.does(&["inspect", shown(&guest("table"))]).contains("snapshot    of its start-up"));
}
