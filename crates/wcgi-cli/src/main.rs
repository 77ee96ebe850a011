//! `wcgi`: serves CGI programs compiled to WebAssembly over HTTP.
//!
//! - [`arguments`]: the command line.
//! - [`run`]: opens a package and starts. [`serve`]: opens the sites of a configuration and starts.
//! - [`server`]: answers connections, also by [`tls`].
//! - [`access`]: logs each request. [`refused`] logs those that are not HTTP.
//! - [`log`]: writes log lines. [`report`] writes results and failures.
//! - [`new`]: writes a package to start from. `build` writes one that has been started, and `check` looks into its snapshot.

mod access;
mod arguments;
#[cfg(feature = "compiler")]
mod build;
#[cfg(feature = "compiler")]
mod check;
mod listen;
mod log;
mod manager;
mod new;
mod process;
mod progress;
mod refused;
mod report;
mod run;
mod serve;
mod server;
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
    };
    let code = match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log.print(&report::error(&error));
            ExitCode::FAILURE
        }
    };
    log.finish();
    code
}
