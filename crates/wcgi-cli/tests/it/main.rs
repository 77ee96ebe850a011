//! The binary from outside, as a person or a program that starts it sees it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod build;
#[cfg(unix)]
mod cache;
#[cfg(unix)]
mod clock;
mod compile;
mod dev;
#[cfg(unix)]
mod doctor;
#[cfg(unix)]
mod executable;
#[cfg(unix)]
mod exhausted;
mod failures;
#[cfg(unix)]
mod interpreters;
#[cfg(unix)]
mod kill;
mod log;
mod new;
#[cfg(unix)]
mod pack;
mod process;
#[cfg(unix)]
mod registry;
mod reload;
mod run;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
#[path = "../../../wcgi-registry/tests/it/server.rs"]
mod server;
mod stop;
#[cfg(unix)]
mod writers;
