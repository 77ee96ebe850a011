//! The tests of `it` that are about scripts, over again with every guest a component, and what only components have.
//!
//! Left out is what cannot hold: snapshots are taken of modules alone (`snapshot`, `snapshot_php`), and only modules have
//! `locks` and `network`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "all of it is tests")]

#[path = "../it/cases.rs"]
mod cases;
#[path = "../it/contract/mod.rs"]
mod contract;
#[path = "../it/cut_off.rs"]
mod cut_off;
#[path = "../it/cves.rs"]
mod cves;
#[path = "../it/descriptors.rs"]
mod descriptors;
#[path = "../it/extensions.rs"]
mod extensions;
#[path = "../it/faults.rs"]
mod faults;
#[path = "../it/fresh.rs"]
mod fresh;
#[path = "../it/guest_crate.rs"]
mod guest_crate;
#[path = "../it/guests.rs"]
mod guests;
#[path = "../it/lifecycle.rs"]
mod lifecycle;
#[path = "../it/log.rs"]
mod log;
#[path = "../it/mounts.rs"]
mod mounts;
mod native;
mod refused;
#[path = "../it/routing.rs"]
mod routing;
#[path = "../it/sendfile.rs"]
mod sendfile;
#[path = "../it/soak.rs"]
mod soak;
#[path = "../it/streaming.rs"]
mod streaming;
#[path = "../it/turns.rs"]
mod turns;
#[path = "../it/wire.rs"]
mod wire;
