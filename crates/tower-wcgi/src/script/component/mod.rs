//! Components: programs for WASI 0.2 (`wasi:cli/command`), beside core modules for WASI preview 1.
//!
//! In: the bytes of a component. Out: its `CommandPre`. What scripts can import is wasmtime-wasi's, with functions of our
//! own in place of some of theirs, as for modules.

mod files;
mod link;
mod sockets;
mod tmp;

use wasmtime::component::Component;
use wasmtime_wasi::p2::bindings::CommandPre;

pub(crate) use files::Handles;
pub(crate) use link::link;

use super::{Source, check_size};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::State;

/// Compiles the component `wasm`, or takes it from the cache, and links it. Also says whether it imports anything by which
/// it could tell that there are files.
///
/// # Errors
///
/// [`ErrorKind::Module`] when it is not valid or can never run here: no `wasi:cli/run`, an import nobody provides, more
/// memory than `max_memory`.
pub(super) fn load(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    max_memory: usize,
) -> Result<(CommandPre<State>, bool), Error> {
    let label = source.label;
    let component = source.ready(engine, blake3::hash(wasm), || new_component(engine, wasm, label))?;
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
    super::bounded::compile(engine, engine.wasmtime(), wasm, label, |source| {
        let why = format!("{label} is no valid component, or one of more parts than can run here");
        Error::new(ErrorKind::Module, why).with_source(source)
    })
}

#[cfg(not(feature = "compiler"))]
fn new_component(_: &Engine, _: &[u8], label: &str) -> Result<Component, Error> {
    Err(super::no_compiler(label))
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
/// Without it there is no directory, and without that no file.
const PREOPENS: &str = "wasi:filesystem/preopens@";
