//! End-to-end tests: real guest programs in a real engine.

mod contract;
mod guests;
mod lifecycle;
mod log;
mod mounts;
mod packages;
mod php;
mod routing;
mod sendfile;
mod soak;
mod streaming;
mod webc;
mod wire;
