//! A package that was opened, before anything of it runs.

use std::sync::Arc;

use super::WcgiBuilder;
use crate::engine::Engine;
use crate::gateway;
use crate::package;
use crate::script::{Source, Surroundings};
use crate::site::Routes;
use crate::tree::Tree;

/// A package that has been opened, with the builder's settings applied.
pub(crate) struct OpenedPackage {
    /// Its variables are those of every request, its site is the one that counts.
    pub(crate) package: package::Package,
    pub(crate) engine: Engine,
    /// Empty or `/prefix`.
    pub(super) mount: Option<String>,
    pub(super) tree: Arc<Tree>,
    pub(super) site: Option<Routes>,
    pub(super) settings: gateway::Settings,
    pub(crate) surroundings: Surroundings,
    pub(crate) take_snapshot: bool,
    /// The rest of the builder.
    pub(super) rest: WcgiBuilder,
}

impl OpenedPackage {
    pub(crate) fn source(&self) -> Source<'_> {
        let package = &self.package;
        Source { module: &package.module, label: &package.module_label, compiled: package.compiled.as_deref() }
    }
}
