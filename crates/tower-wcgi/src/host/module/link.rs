//! What scripts can import: WASI preview 1 from wasmtime-wasi, with functions of our own in place of some of theirs.

use wasmtime::{Caller, Linker};

use super::errno::{ERRNO_FAULT, ERRNO_OVERFLOW, ERRNO_SUCCESS, IntoErrno};
use super::guest_memory::{WASI, memory, write};
use super::{client, file_calls, locks, preview1, room, sockets, stdio, wasmedge};
use crate::error::{Error, ErrorKind};
use crate::host::exit::Exit;
use crate::host::random;
use crate::host::state::HostState;

/// One linker for the engine; making one per request cost wagi 60 % of its CPU.
///
/// # Errors
///
/// [`ErrorKind::Host`] if a function is defined twice, which would be a fault of this crate.
pub(crate) fn link(engine: &wasmtime::Engine) -> Result<Linker<HostState>, Error> {
    let mut linker = Linker::new(engine);
    define(&mut linker).map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI").with_source(source))?;
    Ok(linker)
}

fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    preview1::define(linker, HostState::wasi)?;
    linker.allow_shadowing(true);
    // wasmtime-wasi gives a plain error, not an exit status, for 126 and above; php-cgi exits with 255.
    linker.func_wrap(WASI, "proc_exit", |status: u32| -> wasmtime::Result<()> { Err(Exit(status).into()) })?;
    // The environment is one block made once, and its values are bytes, not only UTF-8.
    linker.func_wrap(WASI, "environ_sizes_get", environ_sizes_get)?;
    linker.func_wrap(WASI, "environ_get", environ_get)?;
    linker.func_wrap_async(WASI, "random_get", |caller, (buffer, len): (u32, u32)| {
        Box::new(random_get(caller, buffer, len))
    })?;
    linker.func_wrap(WASI, "args_sizes_get", args_sizes_get)?;
    linker.func_wrap(WASI, "args_get", args_get)?;
    stdio::define(linker)?;
    file_calls::define(linker)?;
    room::define(linker)?;
    sockets::define(linker)?;
    linker.allow_shadowing(false);
    locks::define(linker)?;
    sockets::define_own(linker)?;
    wasmedge::define(linker)?;
    client::define(linker)
}

fn environ_sizes_get(mut caller: Caller<'_, HostState>, count: u32, size: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let environ = &state.environ;
    let (Ok(variables), Ok(bytes)) = (u32::try_from(environ.len()), u32::try_from(environ.block().len())) else {
        return Ok(ERRNO_OVERFLOW);
    };
    Ok(write(memory, count, &variables.to_le_bytes())
        .and_then(|()| write(memory, size, &bytes.to_le_bytes()))
        .into_errno())
}

fn environ_get(mut caller: Caller<'_, HostState>, pointers: u32, block: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let addresses: Vec<u8> =
        state.environ.offsets().iter().flat_map(|offset| block.wrapping_add(*offset).to_le_bytes()).collect();
    Ok(write(memory, pointers, &addresses).and_then(|()| write(memory, block, state.environ.block())).into_errno())
}

fn args_sizes_get(mut caller: Caller<'_, HostState>, count: u32, size: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let bytes: usize = state.arguments.iter().map(|argument| argument.len() + 1).sum();
    let (Ok(arguments), Ok(bytes)) = (u32::try_from(state.arguments.len()), u32::try_from(bytes)) else {
        return Ok(ERRNO_OVERFLOW);
    };
    Ok(write(memory, count, &arguments.to_le_bytes())
        .and_then(|()| write(memory, size, &bytes.to_le_bytes()))
        .into_errno())
}

fn args_get(mut caller: Caller<'_, HostState>, pointers: u32, block: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let (mut addresses, mut bytes) = (Vec::new(), Vec::new());
    for argument in state.arguments.iter() {
        let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        addresses.extend_from_slice(&block.wrapping_add(offset).to_le_bytes());
        bytes.extend_from_slice(argument.as_bytes());
        bytes.push(0);
    }
    Ok(write(memory, pointers, &addresses).and_then(|()| write(memory, block, &bytes)).into_errno())
}

async fn random_get(mut caller: Caller<'_, HostState>, buffer: u32, len: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let start = buffer as usize;
    for piece in random::pieces(len as usize) {
        if piece.start > 0 {
            tokio::task::yield_now().await;
        }
        let range = start.checked_add(piece.start).zip(start.checked_add(piece.end));
        match range.and_then(|(from, to)| memory.data_mut(&mut caller).get_mut(from..to)) {
            Some(piece) => getrandom::fill(piece)?,
            None => return Ok(ERRNO_FAULT),
        }
    }
    Ok(ERRNO_SUCCESS)
}
