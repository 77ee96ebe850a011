//! Compiling: makes code of a module or a component, if it is not ready.
//!
//! In: a [`Source`]. Out: its code: in use by another service, from its package, from the cache, or from the compiler.

#[cfg(feature = "compiler")]
mod bounded;
#[cfg(feature = "compiler")]
mod helper;

use std::sync::Arc;

use wasmtime::Module;

#[cfg(feature = "compiler")]
pub(super) use bounded::compile;
#[cfg(feature = "compiler")]
pub use helper::compile_helper;

use super::source::Source;
#[cfg(feature = "compiler")]
use super::source::invalid;
#[cfg(feature = "compiler")]
use crate::code::Cache;
use crate::code::{self, Code, Compiled, ModuleHash};
use crate::engine::Engine;
use crate::error::Error;
#[cfg(not(feature = "compiler"))]
use crate::error::ErrorKind;
#[cfg(feature = "compiler")]
use crate::sys;

/// The code of `wasm`: in use, or ready, or compiled now.
///
/// # Errors
///
/// [`ErrorKind::Module`] if it is not WebAssembly. [`ErrorKind::Host`] if there is no memory for its image.
pub(super) fn code_of(engine: &Engine, wasm: &[u8], source: &Source<'_>) -> Result<Arc<Code>, Error> {
    let hash = ModuleHash::of(wasm);
    if let Some(code) = engine.shelf().find(hash) {
        return Ok(code);
    }
    let module = ready(source, engine, code::input(hash), || new_module(engine, wasm, source.label))?;
    let code = Code::new(hash, module, wasm)?;
    engine.shelf().keep(&code);
    Ok(code)
}

/// The code of the input with the hash `input`: from the package or the cache of `engine`, else from `compile`.
pub(super) fn ready<C: Compiled>(
    source: &Source<'_>,
    engine: &Engine,
    input: blake3::Hash,
    compile: impl FnOnce() -> Result<C, Error>,
) -> Result<C, Error> {
    let label = source.label;
    match source.compiled {
        Some(directory) if engine.trusts_precompiled() => match code::of_package(engine.wasmtime(), directory, input) {
            Ok(compiled) => return Ok(compiled),
            Err(error) => tracing::warn!("the compiled code of {label} cannot be used here: {error:#}"),
        },
        Some(_) => {
            tracing::info!("the compiled code of {label} is not used, because it was not declared trusted")
        }
        None => {}
    }
    #[cfg(feature = "compiler")]
    return cached(engine.cache(), engine.wasmtime(), input, compile);
    #[cfg(not(feature = "compiler"))]
    compile()
}

#[cfg(feature = "compiler")]
fn new_module(engine: &Engine, wasm: &[u8], label: &str) -> Result<Module, Error> {
    let prepared = code::prepare(wasm);
    let wasm = prepared.as_deref().unwrap_or(wasm);
    bounded::compile(engine, engine.wasmtime(), wasm, label, |source| invalid(label, source))
}

#[cfg(not(feature = "compiler"))]
fn new_module(_: &Engine, _: &[u8], label: &str) -> Result<Module, Error> {
    Err(no_compiler(label))
}

#[cfg(not(feature = "compiler"))]
pub(super) fn no_compiler(label: &str) -> Error {
    Error::new(ErrorKind::Module, format!("{label} has to be compiled, and this program has no compiler")).with_hint(
        "make a package of it with `wcgi build --aot`, on a host like this one, and open it with `trust_precompiled`",
    )
}

/// The code for `wasmtime` of the input with the hash `input`: from `cache`, else from `compile`.
#[cfg(feature = "compiler")]
fn cached<C: Compiled>(
    cache: Option<&Cache>,
    wasmtime: &wasmtime::Engine,
    input: blake3::Hash,
    compile: impl FnOnce() -> Result<C, Error>,
) -> Result<C, Error> {
    let compile = || {
        let compiled = compile();
        sys::trim();
        compiled
    };
    match cache {
        Some(cache) => cache.load_or(wasmtime, input, compile),
        None => compile(),
    }
}
