//! `wcgi`: serves CGI programs compiled to WebAssembly over HTTP.
//!
//! From top to bottom: [`arguments`] says what was asked for, [`run`] opens the package and starts, [`server`] answers
//! connections, [`access`] logs each request, [`log`] is where log lines go, and [`report`] how a failure is told. [`new`]
//! writes a package to start from, `build` one that has been started.

mod access;
mod arguments;
#[cfg(feature = "compiler")]
mod build;
mod log;
mod new;
mod report;
mod run;
mod server;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let arguments = Arguments::parse();
    let log = log::init(arguments.verbosity());
    let result = match arguments.command {
        Command::Run(run) => run::run(run, &log),
        #[cfg(feature = "compiler")]
        Command::Build(build) => build::run(build, &log),
        Command::New(new) => new::run(&new),
    };
    log.release();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}
