//! End-to-end tests: real guest programs in a real engine.

mod guests;
mod lifecycle;
mod mounts;
mod packages;
mod php;
mod routing;
mod streaming;
mod webc;
