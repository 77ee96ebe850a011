//! Components: programs for WASI 0.2 (`wasi:cli/command`), beside core modules for WASI preview 1.
//!
//! In: the bytes of a component. Out: its `CommandPre`.

use wasmtime::component::Component;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::checks::check_size;
use super::compile;
use super::source::Source;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::host::HostState;

/// Compiles the component `wasm`, or takes it from the cache, and links it. Also tells whether its imports let it see
/// files.
///
/// # Errors
///
/// [`ErrorKind::Module`] if it is not valid or can never run here: no `wasi:cli/run`, an import nobody provides, more
/// memory than `max_memory`.
pub(super) fn load(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    max_memory: usize,
) -> Result<(CommandPre<HostState>, bool), Error> {
    let label = source.label;
    let component = compile::ready(source, engine, blake3::hash(wasm), || new_component(engine, wasm, label))?;
    if let Some(needs) = component.resources_required() {
        check_size(&needs, label, max_memory)?;
    }
    let ty = component.component_type();
    if !ty.exports(engine.wasmtime()).any(|(name, _)| name.starts_with(RUN)) {
        return Err(no_run(label, ty.exports(engine.wasmtime()).any(|(name, _)| name.starts_with(HTTP_SERVER))));
    }
    let sees_files = ty.imports(engine.wasmtime()).any(|(name, _)| name.starts_with(PREOPENS));
    let command =
        engine.component_linker().instantiate_pre(&component).and_then(CommandPre::new).map_err(|source| {
            Error::new(ErrorKind::Module, format!("{label} can never run here"))
                .with_source(source)
                .with_hint("components may import `wasi:cli/imports@0.2` and nothing else")
        })?;
    Ok((command, sees_files))
}

#[cfg(feature = "compiler")]
fn new_component(engine: &Engine, wasm: &[u8], label: &str) -> Result<Component, Error> {
    compile::compile(engine, engine.wasmtime(), wasm, label, |source| {
        let why = format!("{label} is not a valid component, or has more parts than can run here");
        Error::new(ErrorKind::Module, why).with_source(source)
    })
}

#[cfg(not(feature = "compiler"))]
fn new_component(_: &Engine, _: &[u8], label: &str) -> Result<Component, Error> {
    Err(compile::no_compiler(label))
}

fn no_run(label: &str, is_http_server: bool) -> Error {
    Error::new(ErrorKind::Module, format!("{label} exports no `wasi:cli/run@0.2`")).with_hint(if is_http_server {
        "it is a server for wasi:http; a script is a program with a main function"
    } else {
        "build it as a WASI command (a program with a main function), not as a library"
    })
}

const RUN: &str = "wasi:cli/run@0.2.";
const HTTP_SERVER: &str = "wasi:http/incoming-handler@";
/// Without this import a component has no directory, and so no file.
const PREOPENS: &str = "wasi:filesystem/preopens@";
