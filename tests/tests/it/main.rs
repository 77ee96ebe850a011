//! End-to-end tests: real guest programs in a real engine.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "all of it is tests")]

mod applications;
mod browser;
mod calls;
mod cases;
mod clients;
mod concurrency;
mod contract;
mod cut_off;
mod cves;
mod descriptors;
mod extensions;
mod faults;
mod fresh;
mod guest_crate;
mod guestbook;
mod guests;
#[cfg(target_os = "linux")]
mod hang;
mod ignore_abort;
mod layers;
mod lifecycle;
mod locks;
mod log;
mod mounts;
mod network;
#[cfg(own_php)]
mod own_php;
mod packages;
#[cfg(patched_php)]
mod patched_php;
mod php;
#[cfg(python)]
mod python;
mod redis;
mod routing;
mod sendfile;
mod site;
mod snapshot;
#[cfg(snapshot_php)]
mod snapshot_php;
mod soak;
mod streaming;
mod tables;
mod turns;
mod webc;
mod wire;
mod wordpress;
