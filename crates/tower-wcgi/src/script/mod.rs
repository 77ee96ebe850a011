//! A script: a module or a component compiled, linked and checked once, ready to be instantiated for every exchange.
//!
//! In: the bytes of either. Out: an `InstancePre`. Knows nothing of HTTP.

#[cfg(feature = "compiler")]
mod bounded;
#[cfg(feature = "compiler")]
mod cache;
mod client;
mod code;
mod compiled;
mod component;
mod files;
#[cfg(feature = "compiler")]
mod guarded;
#[cfg(feature = "compiler")]
mod helper;
mod link;
mod locks;
mod poll;
mod prepare;
mod preview1;
#[cfg(feature = "compiler")]
mod snapshot;
mod sockets;
mod stdio;
mod tmp;
mod wasmedge;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use wasmparser::{Parser, Payload};
use wasmtime::{ExternType, InstancePre, Module, ModuleExport, ResourcesRequired};
use wasmtime_wasi::p2::bindings::CommandPre;

#[cfg(feature = "compiler")]
pub(crate) use bounded::CompileLimits;
#[cfg(feature = "compiler")]
pub(crate) use cache::Cache;
pub(crate) use client::define_alone as define_client_alone;
pub(crate) use code::{Beginning, Code, Shelf};
pub(crate) use component::{Handles, link as link_components};
pub(crate) use files::{MAX_OPEN_FILES, define_seen};
#[cfg(feature = "compiler")]
pub use helper::compile_helper;
pub(crate) use link::{Exit, link};
pub(crate) use locks::define_granted as define_granted_locks;
pub(crate) use preview1::define as define_preview1;
#[cfg(feature = "compiler")]
pub(crate) use snapshot::Contents;
#[cfg(feature = "compiler")]
pub use snapshot::{Captured, Cause, SnapshotReport};
pub(crate) use sockets::define_unreachable;

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::State;
use crate::exchange::initialisation::Surroundings;
use crate::package;
use crate::runtime::{MAX_FUNCTIONS, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use compiled::Compiled;

/// A script that can run: every import is provided and its entry point is there.
pub(crate) struct Script {
    pub(crate) program: Program,
    /// Whether it imports anything by which it could tell that there are files. One that does not needs neither mounts nor
    /// `/tmp`.
    pub(crate) sees_files: bool,
    makes_lock_directories: AtomicBool,
    /// Whether it imports file locks.
    imports_locks: bool,
    /// Whether none of its calls could hold the thread it is made on.
    never_waits: bool,
    /// Exchanges to begin on the engine's threads before another is begun in place.
    not_in_place: AtomicU32,
    /// How many that will be the next time.
    penalty: AtomicU32,
}

/// What is instantiated for every exchange.
pub(crate) enum Program {
    /// A core module for WASI preview 1: where it begins, and what it does then.
    Module { instance_pre: InstancePre<State>, beginning: Beginning, start: ModuleExport },
    /// A component for WASI 0.2 that exports `wasi:cli/run`.
    Component(CommandPre<State>),
}

/// Tells modules apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModuleHash(blake3::Hash);

impl ModuleHash {
    fn of(wasm: &[u8]) -> Self {
        Self(blake3::hash(wasm))
    }
}

/// Where a script comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) module: &'a package::Module,
    /// Names it in errors.
    pub(crate) label: &'a str,
    /// Where its package has it compiled.
    pub(crate) compiled: Option<&'a Path>,
}

impl Source<'_> {
    /// The binary form.
    pub(crate) fn wasm(&self) -> Result<Vec<u8>, Error> {
        let bytes = match self.module {
            package::Module::File(path) => Cow::Owned(read(path, self.label)?),
            package::Module::Bytes(bytes) => Cow::Borrowed(bytes.as_ref()),
        };
        match binary(&bytes, self.label)? {
            Cow::Owned(wasm) => Ok(wasm),
            Cow::Borrowed(_) => Ok(bytes.into_owned()),
        }
    }

    /// What `compile` makes of what has the hash `input`, or what the package or the cache of `engine` has of it.
    fn ready<C: Compiled>(
        &self,
        engine: &Engine,
        input: blake3::Hash,
        compile: impl FnOnce() -> Result<C, Error>,
    ) -> Result<C, Error> {
        let label = self.label;
        match self.compiled {
            Some(directory) if engine.trusts_precompiled() => {
                match compiled::of_package(engine.wasmtime(), directory, input) {
                    Ok(compiled) => return Ok(compiled),
                    Err(error) => tracing::warn!("the compiled code of {label} does not fit here: {error:#}"),
                }
            }
            Some(_) => {
                tracing::info!("the compiled code of {label} is not used, as nobody has said that it is trusted")
            }
            None => {}
        }
        cached(engine, engine.wasmtime(), input, compile)
    }
}

impl Script {
    /// Compiles `source`, or takes it from the cache, and links it.
    ///
    /// With `surroundings`, a module that can be initialised ahead of its requests is; where that fails, the log says why
    /// and the module is taken as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] when the file cannot be read; [`ErrorKind::Module`] when it is not WebAssembly or can never
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
            return Ok(Self::new(Program::Component(command), sees_files, !sees_files));
        }
        let code = Code::load(engine, &wasm, source)?;
        let module = code.module.clone();
        check_size(&module.resources_required(), label, max_memory)?;
        check_functions(&wasm, label)?;
        let (beginning, start) = begin(engine, code, &wasm, label, surroundings)?;
        let linker = wasmedge::with_versions(engine.linker(), &module)
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
        let imports_locks =
            module.imports().any(|import| (import.module(), import.name()) == (locks::MODULE, locks::LOCK));
        Ok(Self {
            imports_locks,
            ..Self::new(Program::Module { instance_pre, beginning, start }, sees_files, never_waits)
        })
    }

    /// Writes what was compiled of `wasm` into the directory of a package. Says how many bytes that is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] when it cannot be written.
    #[cfg(feature = "compiler")]
    pub(crate) fn export(&self, wasm: &[u8], directory: &Path) -> Result<usize, Error> {
        let (code, input) = match &self.program {
            Program::Module { instance_pre, .. } => {
                (instance_pre.module().serialize(), prepare::input(ModuleHash::of(wasm)))
            }
            Program::Component(command) => (command.instance_pre().component().serialize(), blake3::hash(wasm)),
        };
        let cannot = "cannot write the compiled code";
        let code = code.map_err(|error| Error::new(ErrorKind::Host, cannot).with_source(error))?;
        compiled::put_in_package(directory, input, &code)
            .map_err(|error| Error::new(ErrorKind::Host, cannot).with_source(error))?;
        Ok(code.len())
    }

    fn new(program: Program, sees_files: bool, never_waits: bool) -> Self {
        Self {
            program,
            sees_files,
            makes_lock_directories: AtomicBool::new(false),
            imports_locks: false,
            never_waits,
            not_in_place: AtomicU32::new(0),
            penalty: AtomicU32::new(1),
        }
    }

    /// Whether requests begin where a start-up has ended.
    pub(crate) fn begins_after_start_up(&self) -> bool {
        matches!(&self.program, Program::Module { beginning, .. } if beginning.is_after_start_up())
    }

    pub(crate) fn is_component(&self) -> bool {
        matches!(self.program, Program::Component(_))
    }

    /// Whether none of its calls could hold the thread it is made on.
    pub(crate) fn never_waits(&self) -> bool {
        self.never_waits
    }

    /// Whether an exchange may begin on the thread of whoever asks for it.
    pub(crate) fn begins_in_place(&self) -> bool {
        self.never_waits
            && self.not_in_place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }

    /// An exchange that began in place was over there, or was not.
    pub(crate) fn began_in_place(&self, is_over: bool) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        if !is_over {
            self.not_in_place.store(penalty, Ordering::Relaxed);
            self.penalty.store(penalty.saturating_mul(2).min(MAX_PENALTY), Ordering::Relaxed);
        } else if penalty > 1 {
            self.penalty.store(penalty - 1, Ordering::Relaxed);
        }
    }

    /// The script was seen to lock a file by a directory beside it.
    pub(crate) fn note_lock_directory(&self) {
        self.makes_lock_directories.store(true, Ordering::Relaxed);
    }

    /// Whether its SQLite locks databases: by [locks], or by a directory beside them, and one that does that once does it
    /// always. Then the lock is what keeps writers apart, and a database that is only open is everybody's.
    pub(crate) fn locks_databases(&self) -> bool {
        self.imports_locks || self.makes_lock_directories.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("sees_files", &self.sees_files).finish_non_exhaustive()
    }
}

fn read(path: &Path, label: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path)
        .map_err(|source| Error::new(ErrorKind::Package, format!("cannot read {label}")).with_source(source))
}

/// The binary form of `bytes`, which may be text.
fn binary<'a>(bytes: &'a [u8], label: &str) -> Result<Cow<'a, [u8]>, Error> {
    if !bytes.starts_with(WASM_MAGIC) && std::str::from_utf8(bytes).is_err() {
        return Err(Error::new(ErrorKind::Module, format!("{label} is neither WebAssembly nor its text format"))
            .with_hint("give a .wasm or .wat file, or a directory with wasmer.toml"));
    }
    wat::parse_bytes(bytes).map_err(|source| invalid(label, source))
}

/// The module that begins where the start-up of `wasm` ended, if it has one.
///
/// # Errors
///
/// Why there can be no snapshot of it.
#[cfg(feature = "compiler")]
pub(crate) fn snapshot(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    surroundings: &Surroundings,
) -> Result<Option<Vec<u8>>, Error> {
    snapshot::ensure_no_special_files(surroundings)?;
    let Some(entry) = snapshot::Entry::of(wasm) else { return Ok(None) };
    let code = Code::load(engine, wasm, source)?;
    snapshot::module(engine, &code, wasm, entry, surroundings).map(Some)
}

/// What of the outside the snapshot of `wasm` depends on, if it has a start-up.
///
/// # Errors
///
/// Why there can be no snapshot of it.
#[cfg(feature = "compiler")]
pub(crate) fn compare(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    surroundings: &Surroundings,
) -> Result<Option<SnapshotReport>, Error> {
    snapshot::ensure_no_special_files(surroundings)?;
    let Some(entry) = snapshot::Entry::of(wasm) else { return Ok(None) };
    let code = Code::load(engine, wasm, source)?;
    snapshot::compare(engine, &code, wasm, entry, surroundings).map(Some)
}

/// How much of `wasm` is there to begin with.
#[cfg(feature = "compiler")]
pub(crate) fn contents(wasm: &[u8]) -> Contents {
    Contents::of(wasm)
}

/// Where instances of `code` begin, and what they do then.
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
                let start = start(&code.module, label, entry.start)?;
                return Ok((Beginning::after(code, snapshot), start));
            }
            Err(error) => snapshot::warn(label, &error),
        }
    }
    #[cfg(not(feature = "compiler"))]
    let _ = (engine, wasm, surroundings);
    let start = start(&code.module, label, START)?;
    Ok((Beginning::of(code), start))
}

#[cfg(feature = "compiler")]
fn new_module(engine: &Engine, wasm: &[u8], label: &str) -> Result<Module, Error> {
    let prepared = prepare::prepare(wasm);
    let wasm = prepared.as_deref().unwrap_or(wasm);
    bounded::compile(engine, engine.wasmtime(), wasm, label, |source| invalid(label, source))
}

#[cfg(not(feature = "compiler"))]
fn new_module(_: &Engine, _: &[u8], label: &str) -> Result<Module, Error> {
    Err(no_compiler(label))
}

#[cfg(not(feature = "compiler"))]
fn no_compiler(label: &str) -> Error {
    Error::new(ErrorKind::Module, format!("{label} has to be compiled, and this program has no compiler")).with_hint(
        "make a package of it with `wcgi build --aot`, on a host like this one, and open it with `trust_precompiled`",
    )
}

/// What `compile` makes for `wasmtime` of what has the hash `input`, or what the cache of `engine` has of it.
#[cfg(feature = "compiler")]
fn cached<C: Compiled>(
    engine: &Engine,
    wasmtime: &wasmtime::Engine,
    input: blake3::Hash,
    compile: impl FnOnce() -> Result<C, Error>,
) -> Result<C, Error> {
    let compile = || {
        let compiled = compile();
        give_back();
        compiled
    };
    match engine.cache() {
        Some(cache) => cache.load_or(wasmtime, input, compile),
        None => compile(),
    }
}

/// The compiler needs hundreds of MB for php-cgi, which glibc would keep for a next time in the arenas of threads that are
/// gone.
#[cfg(all(feature = "compiler", target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to ask glibc")]
fn give_back() {
    // SAFETY: it may be called at any time from any thread.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(all(feature = "compiler", not(all(target_os = "linux", target_env = "gnu"))))]
fn give_back() {}

#[cfg(not(feature = "compiler"))]
fn cached<C: Compiled>(
    _: &Engine,
    _: &wasmtime::Engine,
    _: blake3::Hash,
    compile: impl FnOnce() -> Result<C, Error>,
) -> Result<C, Error> {
    compile()
}

fn invalid(label: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Module, format!("{label} is not valid WebAssembly"))
        .with_source(source)
        .with_hint("it may have been cut short on its way here; build or fetch it again")
}

/// The entry point of a WASI command: the export `name`.
fn start(module: &Module, label: &str, name: &str) -> Result<ModuleExport, Error> {
    let no_start = |problem: &str| {
        Error::new(ErrorKind::Module, format!("{label} {problem}"))
            .with_hint("build it as a WASI command (a program with a main function), not as a library or reactor")
    };
    match module.get_export(name) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => {
            Ok(module.get_export_index(name).expect("the export was just found"))
        }
        Some(_) => Err(no_start(&format!("has a `{name}` that is no function without parameters and results"))),
        None => Err(no_start(&format!("exports no `{name}`"))),
    }
}

/// Refuses a module whose instances would be large before they have any memory.
fn check_functions(wasm: &[u8], label: &str) -> Result<(), Error> {
    let functions = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
        Ok(Payload::FunctionSection(section)) => Some(section.count() as usize),
        _ => None,
    });
    match functions.filter(|functions| *functions > MAX_FUNCTIONS) {
        Some(functions) => Err(Error::new(
            ErrorKind::Module,
            format!("{label} has {functions} functions, above the limit of {MAX_FUNCTIONS}"),
        )),
        None => Ok(()),
    }
}

/// Refuses at the start what could never be instantiated.
fn check_size(needs: &ResourcesRequired, label: &str, max_memory: usize) -> Result<(), Error> {
    let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(WASM_PAGE);
    if memory > max_memory as u64 {
        return Err(Error::new(
            ErrorKind::Module,
            format!("{label} starts with {memory} bytes of memory, above the limit of {max_memory}"),
        )
        .with_hint("raise the memory limit"));
    }
    for (count, most, what) in
        [(needs.num_memories, MAX_MEMORIES, "Wasm linear memories"), (needs.num_tables, MAX_TABLES, "tables")]
    {
        if count as usize > most {
            return Err(Error::new(ErrorKind::Module, format!("{label} can never run here"))
                .with_source(format!("it has {count} {what}, above the limit of {most}")));
        }
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > MAX_TABLE_ELEMENTS as u64 {
        return Err(Error::new(
            ErrorKind::Module,
            format!("{label} has a table of {elements} elements, above the limit of {MAX_TABLE_ELEMENTS}"),
        ));
    }
    Ok(())
}

/// To be raised with every change to what [`prepare`] makes: caches and packages have modules that were made so.
const PREPARED: u8 = 2;
const START: &str = "_start";
/// A script that is never over at its first stop is tried again after this many exchanges: it may take a thread that is not
/// its own for two milliseconds each time. One that a busy machine stopped once is tried again soon.
const MAX_PENALTY: u32 = 32;
const WASM_PAGE: u64 = 64 << 10;
const WASM_MAGIC: &[u8] = b"\0asm";
/// Version 0x0d of layer 1, where a core module has version 1 of layer 0.
const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
