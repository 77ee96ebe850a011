//! A script: a module or a component compiled, linked and checked once, ready to be instantiated for every exchange.
//!
//! In: the source of the script. Out: an `InstancePre`, and how to begin. It must not know HTTP.

#[cfg(feature = "compiler")]
use std::path::Path;
use std::sync::Arc;

use wasmtime::{InstancePre, ModuleExport};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::checks::{START, check_functions, check_size, entry_point};
use super::compile::code_of;
use super::component;
#[cfg(feature = "compiler")]
use super::snapshot;
use super::source::Source;
use super::surroundings::Surroundings;
use crate::backoff::Backoff;
#[cfg(feature = "compiler")]
use crate::code::{self, ModuleHash};
use crate::code::{Beginning, Code};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::host::module::{imports_locks, with_versions};
use crate::host::{Habits, HostState};

/// A script that can run: every import is provided and its entry point is there.
pub(crate) struct Script {
    pub(crate) program: Program,
    /// Whether its imports let it see files. A script that sees none needs neither mounts nor
    /// `/tmp`.
    pub(crate) sees_files: bool,
    pub(crate) habits: Arc<Habits>,
    /// Whether none of its calls could hold their thread.
    never_waits: bool,
    /// After an exchange that was not over in place, the next ones begin on the engine's threads.
    in_place: Backoff,
}

/// What is instantiated for every exchange.
pub(crate) enum Program {
    /// A core module for WASI preview 1, its beginning, and its entry point.
    Module { instance_pre: InstancePre<HostState>, beginning: Beginning, start: ModuleExport },
    /// A component for WASI 0.2 that exports `wasi:cli/run`.
    Component(CommandPre<HostState>),
}

impl Script {
    /// Compiles `source`, or takes it from the cache, and links it.
    ///
    /// With `surroundings`, a module that has a start-up runs it ahead of its requests. If that fails, the log says why
    /// and the module runs as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] if the file cannot be read. [`ErrorKind::Module`] if it is not WebAssembly or can never
    /// run here: no entry point, an import nobody provides, more memory than `max_memory`.
    pub(crate) fn load(
        engine: &Engine,
        source: &Source<'_>,
        max_memory: usize,
        surroundings: Option<&Surroundings>,
    ) -> Result<Self, Error> {
        let (label, wasm) = (source.label, source.wasm()?);
        if wasm.starts_with(COMPONENT_PREAMBLE) {
            let (command, sees_files) = component::load(engine, &wasm, source, max_memory)?;
            let habits = Habits::new(true, false);
            return Ok(Self::new(Program::Component(command), habits, sees_files, !sees_files));
        }
        let code = code_of(engine, &wasm, source)?;
        let module = code.module.clone();
        check_size(&module.resources_required(), label, max_memory)?;
        check_functions(&wasm, label)?;
        let (beginning, start) = begin(engine, code, &wasm, label, surroundings)?;
        let linker = with_versions(engine.linker(), &module)
            .map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI").with_source(source))?;
        let instance_pre = linker.instantiate_pre(&module).map_err(|source| {
            Error::new(ErrorKind::Module, format!("{label} can never run here"))
                .with_source(source)
                .with_hint("modules may import WASI preview 1, the functions of `wcgi`, and nothing else")
        })?;
        let sees_files = module.imports().any(|import| {
            let name = import.name();
            name.starts_with("path_") || name.starts_with("fd_prestat_") || name == "fd_readdir"
        });
        let never_waits = !sees_files && !module.imports().any(|import| import.name().ends_with("sync"));
        let habits = Habits::new(false, imports_locks(&module));
        Ok(Self::new(Program::Module { instance_pre, beginning, start }, habits, sees_files, never_waits))
    }

    /// Writes the compiled code of `wasm` into the directory of a package. Gives the number of bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if it cannot be written.
    #[cfg(feature = "compiler")]
    pub(crate) fn export(&self, wasm: &[u8], directory: &Path) -> Result<usize, Error> {
        let (code, input) = match &self.program {
            Program::Module { instance_pre, .. } => {
                (instance_pre.module().serialize(), code::input(ModuleHash::of(wasm)))
            }
            Program::Component(command) => (command.instance_pre().component().serialize(), blake3::hash(wasm)),
        };
        let cannot = "cannot write the compiled code";
        let code = code.map_err(|error| Error::new(ErrorKind::Host, cannot).with_source(error))?;
        code::put_in_package(directory, input, &code)
            .map_err(|error| Error::new(ErrorKind::Host, cannot).with_source(error))?;
        Ok(code.len())
    }

    fn new(program: Program, habits: Habits, sees_files: bool, never_waits: bool) -> Self {
        Self { program, sees_files, habits: Arc::new(habits), never_waits, in_place: Backoff::new(MAX_PENALTY) }
    }

    /// Whether requests begin where a start-up has ended.
    pub(crate) fn begins_after_start_up(&self) -> bool {
        matches!(&self.program, Program::Module { beginning, .. } if beginning.is_after_start_up())
    }

    /// Whether none of its calls could hold their thread.
    pub(crate) fn never_waits(&self) -> bool {
        self.never_waits
    }

    /// Whether an exchange may begin on the caller's thread.
    pub(crate) fn begins_in_place(&self) -> bool {
        self.never_waits && self.in_place.take_chance()
    }

    /// Notes whether an exchange that began in place was over there.
    pub(crate) fn began_in_place(&self, is_over: bool) {
        self.in_place.tried(is_over);
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("sees_files", &self.sees_files).finish_non_exhaustive()
    }
}

/// The beginning of instances of `code`, and their entry point.
fn begin(
    engine: &Engine,
    code: Arc<Code>,
    wasm: &[u8],
    label: &str,
    surroundings: Option<&Surroundings>,
) -> Result<(Beginning, ModuleExport), Error> {
    #[cfg(feature = "compiler")]
    if let Some(surroundings) = surroundings
        && let Some(entry) = snapshot::Entry::of(wasm)
    {
        match snapshot::ready(engine, &code, wasm, entry, surroundings) {
            Ok(snapshot) => {
                let start = entry_point(&code.module, label, entry.start)?;
                return Ok((Beginning::after(code, snapshot), start));
            }
            Err(error) => snapshot::warn(label, &error),
        }
    }
    #[cfg(not(feature = "compiler"))]
    let _ = (engine, wasm, surroundings);
    let start = entry_point(&code.module, label, START)?;
    Ok((Beginning::of(code), start))
}

/// A script that is never over at its first stop is tried again after this many exchanges: each try may take the caller's thread
/// for two milliseconds. A script that a busy machine stopped once is tried again soon.
const MAX_PENALTY: u32 = 32;
/// Version 0x0d of layer 1, where a core module has version 1 of layer 0.
const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
