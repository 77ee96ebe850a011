//! `wcgi pack`: a package and its dependencies in one file.

use std::fs;
use std::path::{Path, PathBuf};

use wcgi_tests::guest;

use crate::interpreters::RUNS_INDEX;
use crate::registry::{Machine, shown};
use crate::server::Server;

/// A package of two commands that share a module, with files, a link, and a place to write to.
fn package(folder: &Path) -> PathBuf {
    let package = folder.join("package");
    fs::create_dir_all(package.join("app/sub")).unwrap();
    fs::create_dir(package.join("db")).unwrap();
    fs::copy(guest("files"), package.join("files.wasm")).unwrap();
    fs::write(package.join("app/page"), "the page").unwrap();
    fs::write(package.join("app/sub/page"), "the other page").unwrap();
    fs::write(package.join("db/row"), "a secret row").unwrap();
    std::os::unix::fs::symlink("sub/page", package.join("app/link")).unwrap();
    let manifest = "[package]\nname = 'me/files'\nversion = '1.2.3'\nentrypoint = 'two'\n\
         [[module]]\nname = 'files'\nsource = 'files.wasm'\n\
         [[command]]\nname = 'one'\nmodule = 'files'\nrunner = 'wcgi'\n\
         [[command]]\nname = 'two'\nmodule = 'files'\nrunner = 'wcgi'\n\
         [fs]\n'/app' = 'app'\n'/db' = { path = 'db', mode = 'rw' }\n";
    fs::write(package.join("wasmer.toml"), manifest).unwrap();
    package
}

#[test]
fn the_same_package_gives_the_same_file_which_runs() {
    let machine = Machine::new();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let files = folders.each_ref().map(|folder| {
        let file = folder.path().join("files.webc");
        let said = machine.does(&["pack", shown(&package(folder.path())), "-o", shown(&file)]);
        assert!(said.contains(&format!("\nserve it:  wcgi run {}\n", file.display())), "{said}");
        fs::read(file).unwrap()
    });
    let [one, two] = files;
    assert!(one == two && !one.windows(12).any(|bytes| bytes == b"a secret row"));

    let file = folders[0].path().join("files.webc");
    fs::remove_dir_all(folders[0].path().join("package")).unwrap();
    let serving = machine.serve(&[shown(&file)]);
    assert!(serving.get("/?op=read&path=/app/page").contains("the page"));
    assert!(serving.get("/?op=read&path=/app/link").contains("the other page"));
    machine.serve(&[shown(&file), "--command", "one"]);
    assert!(machine.refuses(&["run", shown(&file), "--command", "three"], 1).contains("\"one\", \"two\""));
    let said = machine.does(&["inspect", shown(&file)]);
    assert!(said.contains("command     two") && said.contains("me/files"), "{said}");

    let alone = folders[0].path().join("one.webc");
    machine.does(&["pack", shown(&package(folders[0].path())), "--command", "one", "-o", shown(&alone)]);
    let said = machine.does(&["inspect", shown(&alone)]);
    assert!(said.contains("command     one"), "{said}");
}

#[test]
fn dependencies_are_in_it_and_a_name_will_do() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let blog = folder.path().join("blog");
    machine.does(&["runtime", "add", "php:8.4", shown(&guest("env"))]);
    machine.does(&["new", "--template", "php", shown(&blog)]);
    let file = folder.path().join("blog.webc");
    machine.does(&["pack", shown(&blog), "-o", shown(&file)]);
    // A machine that has no interpreter.
    let page = Machine::new().serve(&[shown(&file)]).get("/");
    assert!(page.contains(RUNS_INDEX) && page.contains("PHPRC=/etc/php"), "{page}");

    let name = server.name("me/files:1");
    machine.does(&["push", shown(&package(folder.path())), &name]);
    let file = folder.path().join("files.webc");
    machine.does(&["pack", &name, "-o", shown(&file)]);
    server.kill();
    assert!(Machine::new().serve(&[shown(&file)]).get("/?op=read&path=/app/link").contains("the other page"));
}

#[test]
fn a_file_is_pushed_and_added_as_what_is_in_it() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("files.webc");
    machine.does(&["pack", shown(&package(folder.path())), "-o", shown(&file)]);
    let name = server.name("me/files:1");
    let digest = machine.does(&["push", shown(&file), &name]);
    assert_eq!(machine.does(&["push", shown(&file), &name]), digest);
    let page = Machine::new().serve(&[&name]).get("/?op=read&path=/app/link");
    assert!(page.contains("the other page"), "{page}");
    let said = Machine::new().does(&["inspect", &name, "--command", "one"]);
    assert!(said.contains("package     me/files") && said.contains("/app ro"), "{said}");

    let php = folder.path().join("php.webc");
    machine.does(&["pack", shown(&guest("env")), "-o", shown(&php)]);
    machine.does(&["runtime", "add", "php:8.4", shown(&php)]);
    let blog = folder.path().join("blog");
    machine.does(&["new", "--template", "php", shown(&blog)]);
    assert!(machine.serve(&[shown(&blog)]).get("/").contains(RUNS_INDEX));
    fs::write(&php, "\0webc000").unwrap();
    machine.refuses(&["runtime", "add", "php:8.4", shown(&php)], 1);
}

#[test]
fn what_has_no_place_in_it_is_said() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let file = folder.path().join("files.webc");
    let output = machine.output(&["pack", shown(&package), "-o", shown(&file)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/db is left out") && said.contains("--mapdir /db:DIR"), "{said}");
    let error = machine.refuses(&["pack", shown(&file), "-o", shown(&folder.path().join("again.webc"))], 1);
    assert!(error.contains("is in a .webc already"), "{error}");

    std::os::unix::fs::symlink("../../db/row", package.join("app/sub/out")).unwrap();
    let out = folder.path().join("out.webc");
    let error = machine.refuses(&["pack", shown(&package), "-o", shown(&out)], 1);
    assert!(error.contains("sub/out leads out of its mount") && !out.exists(), "{error}");
    machine.refuses(&["pack", shown(folder.path()), "-o", shown(&out)], 1);
    machine.refuses(&["pack", shown(&guest("hello")), "-o", shown(&folder.path().join("none/x.webc"))], 1);
    machine.does(&["pack", shown(&guest("hello")), "-o", shown(&out)]);
    assert!(machine.serve(&[shown(&out)]).get("/").contains("Hello"));
}
