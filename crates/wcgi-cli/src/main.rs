//! `wcgi`: serves CGI programs compiled to WebAssembly over HTTP.
//!
//! - [`arguments`]: the command line.
//! - [`run`]: opens a package and starts. [`serve`]: opens the sites of a configuration and starts.
//! - [`server`]: answers connections, also by [`tls`].
//! - [`access`]: logs each request. [`refused`] logs those that are not HTTP.
//! - [`log`]: writes log lines. [`report`] writes results and failures.
//! - [`registry`]: packages by name, and the commands that send and fetch them.
//! - [`doctor`]: looks at the machine. [`shell`] prints completions and the manual page.
//! - [`new`]: writes a package to start from. `build` writes one that has been started, and `check` looks into its snapshot.

mod access;
mod arguments;
#[cfg(feature = "compiler")]
mod build;
#[cfg(feature = "compiler")]
mod cgroup;
mod check;
mod doctor;
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

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    #[cfg(feature = "compiler")]
    if let Some(code) = tower_wcgi::compile_helper() {
        return code;
    }
    // Wrong usage ends here, with exit code 2.
    let arguments = Arguments::parse();
    let log = log::init(arguments.verbosity());
    let result = match arguments.command {
        Command::Run(run) => run::run(run, &log).map(|()| true),
        Command::Serve(serve) => serve::run(serve, &log).map(|()| true),
        #[cfg(feature = "compiler")]
        Command::Build(build) => build::run(build, &log).map(|()| true),
        #[cfg(feature = "compiler")]
        Command::Check(check) => check::run(check, &log),
        Command::New(new) => new::run(&new).map(|()| true),
        Command::Push(push) => registry::push::run(&push, &log).map(|()| true),
        Command::Pull(pull) => registry::pull::run(&pull, &log).map(|()| true),
        Command::Inspect(inspect) => registry::inspect::run(inspect, &log).map(|()| true),
        Command::Update(update) => registry::update::run(&update, &log).map(|()| true),
        Command::Keygen(keygen) => registry::keygen::run(&keygen).map(|()| true),
        Command::Runtime(runtime) => registry::runtime::run(&runtime, &log).map(|()| true),
        Command::Doctor(doctor) => doctor::run(&doctor, &log),
        Command::Completions(completions) => shell::completions(&completions).map(|()| true),
        Command::Man => shell::man().map(|()| true),
    };
    let code = match result {
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
