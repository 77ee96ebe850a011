//! Artefacts: a package as a registry keeps it.
//!
//! `make` turns a directory or a module into blobs, `plan` reads what came and says where each part of it goes, `place`
//! writes it down. The manifest stands between them as a [`Manifest`].

mod make;
mod manifest;
mod place;
mod plan;

pub(crate) use self::make::{Made, make};
pub(crate) use self::manifest::{Dependency, Manifest, find as find_manifest};
pub(crate) use self::place::{Kept, check, place};
pub use self::plan::Need;
pub(crate) use self::plan::{Part, Plan, Shape, manifest_layer, plan};
