//! The binary from outside, as a person or a program that starts it sees it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod build;
mod failures;
mod log;
mod new;
mod process;
mod run;
mod stop;
