//! What scripts can import: WASI preview 1 from wasmtime-wasi, with functions of our own in place of some of theirs.

use std::fmt;

use wasmtime::{Caller, Extern, Linker, Memory};

use super::{client, files, locks, preview1, sockets, stdio, tmp, wasmedge};
use crate::error::{Error, ErrorKind};
use crate::exchange::State;

/// One linker for the engine; making one per request cost wagi 60 % of its CPU.
///
/// # Errors
///
/// [`ErrorKind::Host`] when a function is defined twice, which would be a fault of this crate.
pub(crate) fn link(engine: &wasmtime::Engine) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(engine);
    define(&mut linker).map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI").with_source(source))?;
    Ok(linker)
}

/// The script called `proc_exit`. Passes through wasm as an error.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the script exited with {}", self.0)
    }
}

impl std::error::Error for Exit {}

fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preview1::define(linker, State::wasi)?;
    linker.allow_shadowing(true);
    // wasmtime-wasi gives a plain error, not an exit status, for 126 and above; php-cgi exits with 255.
    linker.func_wrap(WASI, "proc_exit", |status: u32| -> wasmtime::Result<()> { Err(Exit(status).into()) })?;
    // The environment is one block made once, and its values are bytes, not only UTF-8.
    linker.func_wrap(WASI, "environ_sizes_get", environ_sizes_get)?;
    linker.func_wrap(WASI, "environ_get", environ_get)?;
    // wasmtime-wasi makes all the bytes in one go, up to 64 MiB, while nobody else gets the thread.
    linker.func_wrap_async(WASI, "random_get", |caller, (buffer, len): (u32, u32)| {
        Box::new(random_get(caller, buffer, len))
    })?;
    linker.func_wrap(WASI, "args_sizes_get", args_sizes_get)?;
    linker.func_wrap(WASI, "args_get", args_get)?;
    stdio::define(linker)?;
    files::define(linker)?;
    tmp::define(linker)?;
    sockets::define(linker)?;
    linker.allow_shadowing(false);
    locks::define(linker)?;
    sockets::define_own(linker)?;
    wasmedge::define(linker)?;
    client::define(linker)
}

fn environ_sizes_get(mut caller: Caller<'_, State>, count: u32, size: u32) -> wasmtime::Result<u32> {
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

fn environ_get(mut caller: Caller<'_, State>, pointers: u32, block: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let addresses: Vec<u8> =
        state.environ.offsets().iter().flat_map(|offset| block.wrapping_add(*offset).to_le_bytes()).collect();
    Ok(write(memory, pointers, &addresses).and_then(|()| write(memory, block, state.environ.block())).into_errno())
}

fn args_sizes_get(mut caller: Caller<'_, State>, count: u32, size: u32) -> wasmtime::Result<u32> {
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

fn args_get(mut caller: Caller<'_, State>, pointers: u32, block: u32) -> wasmtime::Result<u32> {
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

async fn random_get(mut caller: Caller<'_, State>, buffer: u32, len: u32) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (start, len) = (buffer as usize, len as usize);
    for offset in (0..len).step_by(RANDOM_CHUNK) {
        if offset > 0 {
            tokio::task::yield_now().await;
        }
        let data = memory.data_mut(&mut caller);
        let end = len.min(offset.saturating_add(RANDOM_CHUNK));
        let chunk = start.checked_add(offset).zip(start.checked_add(end)).and_then(|(from, to)| data.get_mut(from..to));
        match chunk {
            Some(chunk) => getrandom::fill(chunk)?,
            None => return Ok(ERRNO_FAULT),
        }
    }
    Ok(ERRNO_SUCCESS)
}

/// The memory WASI pointers point into: the export of that name.
pub(super) fn memory<T>(caller: &mut Caller<'_, T>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => wasmtime::bail!("missing required memory export"),
    }
}

/// A guest's pointer led out of its memory.
#[derive(Debug)]
pub(super) struct Fault;

/// The guest's bytes from `at` on.
pub(super) fn slice(memory: &[u8], at: u32, len: u32) -> Option<&[u8]> {
    let start = at as usize;
    memory.get(start..start.checked_add(len as usize)?)
}

pub(super) fn slice_mut(memory: &mut [u8], at: u32, len: u32) -> Option<&mut [u8]> {
    let start = at as usize;
    memory.get_mut(start..start.checked_add(len as usize)?)
}

pub(super) fn write(memory: &mut [u8], at: u32, bytes: &[u8]) -> Result<(), Fault> {
    let start = at as usize;
    let target = start.checked_add(bytes.len()).and_then(|end| memory.get_mut(start..end)).ok_or(Fault)?;
    target.copy_from_slice(bytes);
    Ok(())
}

pub(super) trait IntoErrno {
    fn into_errno(self) -> u32;
}

impl IntoErrno for Result<(), Fault> {
    fn into_errno(self) -> u32 {
        match self {
            Ok(()) => ERRNO_SUCCESS,
            Err(Fault) => ERRNO_FAULT,
        }
    }
}

/// What a WASI call returns: 0, or what went wrong.
pub(super) type Errno = u32;

pub(super) const WASI: &str = "wasi_snapshot_preview1";
/// As much as takes some tens of microseconds.
const RANDOM_CHUNK: usize = 16 << 10;
pub(super) const ERRNO_SUCCESS: u32 = 0;
pub(super) const ERRNO_FAULT: u32 = 21;
pub(super) const ERRNO_INVAL: u32 = 28;
const ERRNO_OVERFLOW: u32 = 61;
