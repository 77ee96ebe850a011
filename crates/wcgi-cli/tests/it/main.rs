//! The binary from outside, as a person or a program that starts it sees it.

mod failures;
mod process;
mod run;
mod stop;
