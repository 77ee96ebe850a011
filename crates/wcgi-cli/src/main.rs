//! `wcgi`: serves CGI programs compiled to WebAssembly over HTTP.
//!
//! - [`arguments`]: the command line.
//! - [`run`]: opens the package and starts. [`server`] answers connections.
//! - [`access`]: logs each request. [`refused`] logs those that are not HTTP.
//! - [`log`]: writes log lines. [`report`] writes results and failures.
//! - [`new`]: writes a package to start from. `build` writes one that has been started, and `check` looks into its snapshot.

mod access;
mod arguments;
#[cfg(feature = "compiler")]
mod build;
#[cfg(feature = "compiler")]
mod check;
mod log;
mod new;
mod refused;
mod report;
mod run;
mod server;
mod templates;

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
