//! What a run needs besides what it measures: how long and how often, the built programs, directories, a place for notes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use super::load::Wrk;
use super::process::{Output, Server};
use crate::runtimes::PHP;
use crate::workspace::Workspace;
use crate::{guests, program};

/// What a run is made with.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) quick: bool,
    pub(crate) with_wasmer: bool,
    /// How often each thing is measured, in turn with what it is compared with.
    pub(crate) rounds: usize,
    /// How long a load lasts.
    pub(crate) duration: Duration,
    pub(crate) cores: usize,
    pub(crate) wrk: Wrk,
    /// `target/bench`.
    pub(crate) directory: PathBuf,
}

impl<'a> Setting<'a> {
    /// Builds what is measured.
    pub(crate) fn prepare(workspace: &'a Workspace, quick: bool, with_wasmer: bool) -> Result<Self> {
        guests::build(workspace, &[], false)?;
        println!("bench: building with the profile {PROFILE}, which takes ten minutes the first time");
        let mut build = cargo(workspace, &["build", "--profile", PROFILE]);
        program::run(build.args(["--bin", "wcgi", "--bin", "bench-server", "--bench", "call"]))?;
        let directory = workspace.root().join("target/bench");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self {
            workspace,
            quick,
            with_wasmer,
            rounds: if quick { 2 } else { 5 },
            duration: Duration::from_secs(if quick { 2 } else { 4 }),
            cores: thread::available_parallelism().map_or(1, usize::from),
            wrk: Wrk::prepare(&directory)?,
            directory,
        })
    }

    /// The in-process measurements, to which arguments for criterion are added.
    pub(crate) fn criterion(&self) -> Command {
        let mut bench = cargo(self.workspace, &["bench", "--quiet", "--profile", PROFILE]);
        bench.args(["--bench", "call"]);
        bench
    }

    /// `wcgi`, as its users get it.
    pub(crate) fn wcgi(&self) -> Command {
        Command::new(self.built("wcgi"))
    }

    /// The program that measures from the inside, and serves.
    pub(crate) fn bench_server(&self) -> Command {
        self.bench_server_on(&self.cache())
    }

    /// The same, with compiled modules and snapshots in another place.
    pub(crate) fn bench_server_on(&self, cache: &Path) -> Command {
        let mut command = Command::new(self.built("bench-server"));
        command.arg("--cache-dir").arg(cache);
        command
    }

    /// A server of its own for these packages; `options` are those of `bench-server serve`.
    pub(crate) fn serve(&self, name: &str, options: &[&str], mounts: &[(&str, &Path)]) -> Result<Server> {
        let mut command = self.bench_server();
        command.arg("serve").args(options);
        for (prefix, package) in mounts {
            command.arg(format!("{prefix}={}", package.display()));
        }
        Server::start(name, &mut command, Output::Stdout)
    }

    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.workspace.guests().join(name).with_extension("wasm")
    }

    /// The PHP example, if php-cgi was fetched.
    pub(crate) fn php(&self) -> Option<PathBuf> {
        Some(self.workspace.examples().join("php")).filter(|package| package.join("php-cgi.wasm").exists())
    }

    /// A package of the examples with its module replaced by the php-cgi whose start-up can be in a snapshot.
    pub(crate) fn on_snapshot_php(&self, example: &str) -> Result<PathBuf> {
        let module = self.guest("snapshot-php");
        ensure!(module.exists(), "left out: `cargo xtask php` builds it");
        let original = self.workspace.examples().join(example);
        let package = self.directory.join("packages").join(example);
        let _ = fs::remove_dir_all(&package);
        fs::create_dir_all(&package).with_context(|| format!("cannot create {}", package.display()))?;
        for entry in fs::read_dir(&original)? {
            let entry = entry?;
            symlink(entry.path(), package.join(entry.file_name()))?;
        }
        let manifest = package.join("wasmer.toml");
        let text = fs::read_to_string(&manifest)?;
        let is_module = |line: &&str| line.starts_with("source = ") || line.starts_with("php = ");
        let line = text.lines().find(is_module).context("the manifest names no module")?;
        let key = line.split(' ').next().unwrap_or_default();
        let text = text.replace(line, &format!("{key} = {:?}", module.display().to_string()));
        fs::remove_file(&manifest)?;
        fs::write(&manifest, text).with_context(|| format!("cannot write {}", manifest.display()))?;
        Ok(package)
    }

    /// Puts the PHP that examples depend on into a cache.
    pub(crate) fn add_php(&self, cache: &Path) -> Result<()> {
        let module = self.workspace.examples().join("php/php-cgi.wasm");
        let mut add = self.wcgi();
        add.arg("--quiet").args(["runtime", "add", PHP]).arg(module).arg("--cache-dir").arg(cache);
        program::capture(&mut add).map(drop)
    }

    /// Compiled modules of these measurements.
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.join("cache")
    }

    fn built(&self, name: &str) -> PathBuf {
        self.workspace.root().join("target").join(PROFILE).join(name)
    }
}

/// What users build.
const PROFILE: &str = "release";

/// One selection of packages and features for all there is, so that nothing is built twice.
fn cargo(workspace: &Workspace, words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(workspace.root()).env("CARGO_TARGET_DIR", workspace.root().join("target"));
    command.args(words).args(["--workspace", "--all-features"]);
    command
}
