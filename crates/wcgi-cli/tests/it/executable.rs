//! `wcgi build --executable`: one file that is a server and its package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use wcgi_tests::guest;

use crate::process::{Serving, output, text};

/// A package of a guest that reads files, with one that it brings.
fn package(folder: &Path, more: &str) -> PathBuf {
    let package = folder.join("package");
    fs::create_dir_all(package.join("app")).unwrap();
    fs::copy(guest("files"), package.join("files.wasm")).unwrap();
    fs::write(package.join("app/page"), "the page").unwrap();
    std::os::unix::fs::symlink("page", package.join("app/link")).unwrap();
    let manifest = format!(
        "[[module]]\nname = 'files'\nsource = 'files.wasm'\n[[command]]\nname = 'files'\nmodule = 'files'\n\
         runner = 'wcgi'\n[fs]\n'/app' = 'app'\n{more}"
    );
    fs::write(package.join("wasmer.toml"), manifest).unwrap();
    package
}

fn build(package: &Path, app: &Path) -> String {
    let cache = wcgi_tests::cache_dir();
    let cache = ["--cache-dir", cache.to_str().unwrap()];
    let arguments = ["build", package.to_str().unwrap(), "--executable", "-o", app.to_str().unwrap()];
    let built = output(&[&arguments[..], &cache].concat());
    assert!(built.status.success(), "{}", text(&built.stderr));
    text(&built.stdout)
}

/// The executable on a machine with nothing but a folder for temporary files, which need not be there.
fn command(app: &Path, tmp: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(app);
    command.env_clear().env("TMPDIR", tmp).args(["--addr", "127.0.0.1:0"]).args(arguments);
    command.current_dir("/");
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn one_file_serves_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let said = build(&package(folder.path(), ""), &app);
    assert!(said.contains("\nprogram:  ") && said.ends_with(&format!("\nserve it:  {}\n", app.display())), "{said}");
    fs::remove_dir_all(folder.path().join("package")).unwrap();

    let tmp = folder.path().join("tmp");
    let serving = Serving::spawn(command(&app, &tmp, &["-v"]));
    for path in ["/app/page", "/app/link"] {
        assert!(serving.get(&format!("/?op=read&path={path}")).contains("the page"), "{path}");
    }
    let log = serving.lines_until("/app/link");
    assert!(!log.iter().any(|line| line.contains("compil")), "{log:?}");
    assert!(!is_empty(&tmp));
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code(), Some(0));
    assert!(is_empty(&tmp));

    // One that was killed is tidied up after by the next.
    let serving = Serving::spawn(command(&app, &tmp, &[]));
    serving.signal(Signal::KILL);
    serving.wait();
    assert!(!is_empty(&tmp));
    let serving = Serving::spawn(command(&app, &tmp, &[]));
    serving.signal(Signal::TERM);
    serving.wait();
    assert!(is_empty(&tmp));
}

#[test]
fn a_start_up_is_done_and_its_memory_limit_kept() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let said = build(&guest("table"), &app);
    assert!(said.contains("\nsnapshot:  "), "{said}");
    let serving = Serving::spawn(command(&app, folder.path(), &[]));
    let response = serving.get("/");
    assert!(response.contains("\nloops=0\n"), "{response}");
    // Written again: it is one of the kind.
    build(&guest("hello"), &app);
    assert!(Serving::spawn(command(&app, folder.path(), &[])).get("/").contains("Hello"));
}

#[test]
fn what_scripts_write_stays_here_and_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path(), "'/db' = { path = 'db', mode = 'rw' }\n");
    fs::create_dir(package.join("db")).unwrap();
    fs::write(package.join("db/row"), "a secret row").unwrap();
    let app = folder.path().join("app");
    let said = build(&package, &app);
    assert!(said.ends_with("--mapdir /db:DIR\n"), "{said}");
    let bytes = fs::read(&app).unwrap();
    assert!(!bytes.windows(12).any(|bytes| bytes == b"a secret row"));

    let refused = command(&app, folder.path(), &[]).output().unwrap();
    let stderr = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/db") && stderr.contains("hint: --mapdir /db:DIR"), "{stderr}");
    let db = tempfile::tempdir().unwrap();
    let serving = Serving::spawn(command(&app, folder.path(), &["--mapdir", &format!("/db:{}", db.path().display())]));
    assert!(serving.get("/?op=write&path=/db/a&data=x").contains("ok"));
    assert!(db.path().join("a").exists());
}

#[test]
fn it_has_the_options_of_run_and_no_commands() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    build(&guest("hello"), &app);
    let said = |arguments: &[&str]| command(&app, folder.path(), arguments).output().unwrap();
    let help = text(&said(&["--help"]).stdout);
    assert!(help.contains("--addr") && help.contains("--mapdir") && help.contains("--quiet"), "{help}");
    assert!(!help.contains("--trust-precompiled") && !help.contains("PACKAGE"), "{help}");
    assert_eq!(said(&["run", "x"]).status.code(), Some(2));
}

#[test]
fn nothing_else_is_overwritten_and_half_a_file_serves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let other = folder.path().join("notes");
    fs::write(&other, "mine").unwrap();
    for path in [&other, &folder.path().join(""), &folder.path().join("missing/app")] {
        let module = guest("hello");
        let built =
            output(&["build", module.to_str().unwrap(), "--executable", "--no-cache", "-o", path.to_str().unwrap()]);
        assert_eq!(built.status.code(), Some(1), "{}", path.display());
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");

    build(&guest("hello"), &app);
    let bytes = fs::read(&app).unwrap();
    // As a failed download and a bad editor leave it.
    let damaged = [bytes.get(..100_000).unwrap(), bytes.get(100_001..).unwrap()].concat();
    fs::write(&app, damaged).unwrap();
    // It is no program any more, or says what is wrong; it does not serve.
    if let Ok(output) = command(&app, folder.path(), &[]).output() {
        assert!(!output.status.success());
    }
}

#[test]
fn a_temporary_folder_that_cannot_be_made_is_said() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    build(&guest("hello"), &app);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = command(&app, &file, &[]).output().unwrap();
    let stderr = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot unpack into") && stderr.contains("TMPDIR"), "{stderr}");
}
