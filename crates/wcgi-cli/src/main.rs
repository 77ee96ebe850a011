//! `wcgi`: serves CGI programs compiled to WebAssembly over HTTP.
//!
//! - [`arguments`]: the command line.
//! - [`run`](mod@run): opens a package and starts. [`serve`]: opens the sites of a configuration and starts.
//! - [`server`]: answers connections, also by [`tls`].
//! - [`writers`]: warns of directories that another process writes to.
//! - [`access`]: logs each request. [`refused`] logs those that are not HTTP.
//! - [`log`]: writes log lines. [`report`] writes results and failures.
//! - [`registry`]: packages by name, and the commands that send and fetch them.
//! - [`executable`]: this program with a package behind it, which serves nothing else.
//! - [`doctor`]: looks at the machine. [`shell`] prints completions and the manual page.
//! - [`new`]: writes a package to start from. `build` writes one that has been started, and `check` looks into its snapshot.

mod access;
mod arguments;
#[cfg(feature = "compiler")]
mod build;
mod cgroup;
#[cfg(feature = "compiler")]
mod check;
mod doctor;
mod executable;
mod listen;
mod log;
mod manager;
mod new;
mod process;
mod progress;
mod refused;
mod registry;
mod report;
mod run;
mod serve;
mod server;
mod shell;
mod signals;
mod stamp;
mod templates;
mod tls;
mod watch;
mod writers;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, Verbosity};
use executable::start::App;
use log::Log;

fn main() -> ExitCode {
    #[cfg(feature = "compiler")]
    if let Some(code) = tower_wcgi::compile_helper() {
        return code;
    }
    // Wrong usage ends with exit code 2, in `parse`.
    match App::of_this_program() {
        Ok(Some(app)) => {
            let (run, verbosity) = app.parse();
            finish(&log::init(verbosity), |log| app.run(run, log).map(|()| true))
        }
        Ok(None) => {
            let arguments = Arguments::parse();
            finish(&log::init(arguments.logging.verbosity()), |log| run(arguments.command, log))
        }
        Err(error) => finish(&log::init(Verbosity::Normal), |_| Err(error)),
    }
}

/// Does what is asked. False means that it found something.
fn run(command: Command, log: &Log) -> anyhow::Result<bool> {
    match command {
        Command::Run(run) => run::run(run, log).map(|()| true),
        Command::Serve(serve) => serve::run(serve, log).map(|()| true),
        #[cfg(feature = "compiler")]
        Command::Build(build) => build::run(build, log).map(|()| true),
        #[cfg(feature = "compiler")]
        Command::Check(check) => check::run(check, log),
        Command::New(new) => new::run(&new).map(|()| true),
        Command::Push(push) => registry::push::run(&push, log).map(|()| true),
        Command::Pull(pull) => registry::pull::run(&pull, log).map(|()| true),
        Command::Pack(pack) => registry::pack::run(&pack, log).map(|()| true),
        Command::Inspect(inspect) => registry::inspect::run(inspect, log).map(|()| true),
        Command::Update(update) => registry::update::run(&update, log).map(|()| true),
        Command::Keygen(keygen) => registry::keygen::run(&keygen).map(|()| true),
        Command::Runtime(runtime) => registry::runtime::run(&runtime, log).map(|()| true),
        Command::Doctor(doctor) => doctor::run(&doctor, log),
        Command::Completions(completions) => shell::completions(&completions).map(|()| true),
        Command::Man => shell::man().map(|()| true),
    }
}

/// Says how it ended.
fn finish(log: &Log, what: impl FnOnce(&Log) -> anyhow::Result<bool>) -> ExitCode {
    let code = match what(log) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log.print(&report::error(&error));
            if report::is_wrong_usage(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    };
    log.finish();
    code
}
