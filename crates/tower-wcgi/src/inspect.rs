//! A package looked into: what would be run, without compiling or running it.
//!
//! In: a builder with a package. Out: plain facts about its command and module.

use std::path::Path;

use wasmparser::{Encoding, Parser, Payload};

use crate::builder::WcgiBuilder;
use crate::error::{Error, ErrorKind};
use crate::mount::Access;
use crate::package::Package;
#[cfg(feature = "compiler")]
use crate::script::INITIALIZE;
use crate::script::Source;

impl WcgiBuilder {
    /// Opens the package and looks into the module that would answer. Nothing is compiled, and no engine is made.
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// for (from, name) in WcgiService::builder().package("blog/").inspect()?.imports() {
    ///     println!("{from} {name}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] when the package cannot be opened, [`ErrorKind::Module`] when the module is none.
    pub fn inspect(self) -> Result<Inspected, Error> {
        let package = self.open_package()?;
        let source =
            Source { module: &package.module, label: &package.module_label, compiled: package.compiled.as_deref() };
        let wasm = source.wasm()?;
        let mut inspected = Inspected {
            module_bytes: wasm.len(),
            is_component: false,
            imports: Vec::new(),
            has_start_up: false,
            package,
        };
        inspected.read(&wasm).map_err(|error| {
            let message = format!("{}: not WebAssembly", inspected.package.module_label);
            Error::new(ErrorKind::Module, message).with_source(error)
        })?;
        Ok(inspected)
    }
}

/// What [`WcgiBuilder::inspect`] has found.
#[derive(Debug)]
pub struct Inspected {
    package: Package,
    module_bytes: usize,
    is_component: bool,
    imports: Vec<(String, String)>,
    has_start_up: bool,
}

impl Inspected {
    /// The package's name, else that of its file or directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.package.name
    }

    /// What the package says of itself, as `version` and `1.0.0`.
    pub fn about(&self) -> impl Iterator<Item = (&str, &str)> {
        self.package.about.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The command that would answer.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.package.command
    }

    /// The file of its module, or what the module is called in its `.webc`.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.package.module_label
    }

    /// The size of the module in its binary format.
    #[must_use]
    pub fn module_bytes(&self) -> usize {
        self.module_bytes
    }

    /// Whether it is a component, and not a module.
    #[must_use]
    pub fn is_component(&self) -> bool {
        self.is_component
    }

    /// What it imports: module and name; of a component, interface and nothing.
    #[must_use]
    pub fn imports(&self) -> &[(String, String)] {
        &self.imports
    }

    /// Whether there would be a [snapshot](crate::_docs::snapshots) of its start-up.
    #[must_use]
    pub fn has_start_up(&self) -> bool {
        self.has_start_up && self.package.snapshot.enabled
    }

    /// Guest path, host path and access of each mount.
    pub fn mounts(&self) -> impl Iterator<Item = (&str, &Path, Access)> {
        self.package.mounts.iter().map(|mount| (mount.guest.as_str(), mount.host.as_path(), mount.access))
    }

    /// The program's name and its arguments.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.package.arguments
    }

    /// The variables that it sets.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.package.env
    }

    /// What is odd about the package.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.package.warnings
    }

    fn read(&mut self, wasm: &[u8]) -> wasmparser::Result<()> {
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding, .. } => {
                    self.is_component |= encoding == Encoding::Component;
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                // What is nested in a component is its own affair.
                Payload::ImportSection(imports) if depth == 1 && !self.is_component => {
                    for import in imports.into_imports() {
                        let import = import?;
                        self.imports.push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
                Payload::ComponentImportSection(imports) if depth == 1 => {
                    for import in imports {
                        self.imports.push((import?.name.name.to_owned(), String::new()));
                    }
                }
                // Without a compiler there are no snapshots.
                #[cfg(feature = "compiler")]
                Payload::ExportSection(exports) if depth == 1 => {
                    for export in exports {
                        let export = export?;
                        self.has_start_up |=
                            export.kind == wasmparser::ExternalKind::Func && INITIALIZE.contains(&export.name);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
