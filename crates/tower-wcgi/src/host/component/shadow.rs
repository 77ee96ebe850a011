//! Functions of our own in place of wasmtime-wasi's, under the names that it gives them.

use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::host::state::HostState;

/// The interface `name` of wasmtime-wasi, for replacing what it has. Under another version's name, what is defined would be
/// functions that nobody calls, so `function` is looked for.
pub(super) fn replace<'a>(
    linker: &'a mut Linker<HostState>,
    name: &str,
    function: &str,
) -> wasmtime::Result<LinkerInstance<'a, HostState>> {
    let name = format!("wasi:{name}@{VERSION}");
    linker.allow_shadowing(false);
    let is_new = linker.instance(&name)?.func_wrap(function, |_, ()| Ok(())).is_ok();
    if is_new {
        wasmtime::bail!("wasmtime-wasi has no {function} in {name}");
    }
    linker.allow_shadowing(true);
    linker.instance(&name)
}

/// Defines a method of `wasi:filesystem/types` that may fail by an error code.
macro_rules! method {
    ($types:ident, $name:literal, $function:path) => {
        $types.func_wrap_async($name, |mut store, arguments| {
            Box::new(async move { told($function(store.data_mut(), arguments).await) })
        })?
    };
}
pub(super) use method;

/// An error code is for the script, anything else ends it.
pub(super) fn told<T>(result: FsResult<T>) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

pub(super) fn borrow(fd: u32) -> Resource<Descriptor> {
    Resource::new_borrow(fd)
}

/// What wasmtime-wasi calls its interfaces. Components may be made for any other 0.2.
const VERSION: &str = "0.2.12";
