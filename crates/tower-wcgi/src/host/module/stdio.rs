//! The calls of WASI preview 1 on stdin, stdout and stderr, straight to where their bytes come from and go.
//!
//! wasmtime-wasi takes 4 KiB at a time and copies them twice. A script that needs no more than these, its environment and
//! its arguments is run without a context of wasmtime-wasi.

use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1};
use wasmtime_wasi::p2::StreamError;
use wiggle::GuestMemory;

use super::errno::{
    ERRNO_BADF, ERRNO_FAULT, ERRNO_INVAL, ERRNO_IO, ERRNO_NOSPC, ERRNO_PIPE, ERRNO_SPIPE, ERRNO_SUCCESS, Errno,
    IntoErrno,
};
use super::guest_memory::{Buffers, IOV_MAX, WASI, memory, slice, slice_mut, write};
use super::preview1::{call, told};
use super::room::has_room;
use super::sockets;
use crate::host::blocking::{LARGE, block_in_place_async};
use crate::host::state::HostState;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(WASI, "fd_write", |caller, (fd, buffers, count, written)| {
        Box::new(fd_write(caller, fd, Buffers { at: buffers, count }, written))
    })?;
    linker.func_wrap_async(WASI, "fd_read", |caller, (fd, buffers, count, read)| {
        Box::new(fd_read(caller, fd, Buffers { at: buffers, count }, read))
    })?;
    linker.func_wrap_async(WASI, "fd_fdstat_get", |caller, (fd, stat)| Box::new(fd_fdstat_get(caller, fd, stat)))?;
    linker.func_wrap_async(WASI, "fd_seek", |caller, (fd, offset, whence, position)| {
        Box::new(fd_seek(caller, fd, offset, whence, position))
    })?;
    Ok(())
}

/// Whether a file could hold the thread for long with it.
fn is_large(caller: &mut Caller<'_, HostState>, buffers: Buffers) -> wasmtime::Result<bool> {
    // A script that sees no files may run on a thread that cannot be taken from its runtime.
    if caller.data().view.is_none() {
        return Ok(false);
    }
    let memory = memory(caller)?;
    Ok(matches!(buffers.first(memory.data(&*caller)), Ok(Some((_, len))) if len > LARGE))
}

async fn fd_write(
    mut caller: Caller<'_, HostState>,
    fd: u32,
    buffers: Buffers,
    written: u32,
) -> wasmtime::Result<Errno> {
    if let Some(socket) = caller.data().socket(fd) {
        return sockets::write(caller, socket, buffers, written).await;
    }
    if !caller.data().has_stdio(fd) {
        if !has_room(&mut caller, fd, buffers, None).await? {
            return Ok(ERRNO_NOSPC);
        }
        let (at, count) = (buffers.at.cast_signed(), buffers.count.cast_signed());
        let is_large = is_large(&mut caller, buffers)?;
        let call =
            async { wasmtime::Result::Ok(call!(caller, fd_write(fd.cast_signed(), at, count, written.cast_signed()))) };
        return if is_large { block_in_place_async(call).await } else { call.await };
    }
    let Some(stream) = caller.data().output(fd) else { return Ok(ERRNO_BADF) };
    let memory = memory(&mut caller)?;
    let mut total = 0_u32;
    for index in 0..buffers.count.min(IOV_MAX) {
        let buffer = buffers.get(memory.data(&caller), index);
        let Some(bytes) = buffer.and_then(|(at, len)| slice(memory.data(&caller), at, len)) else {
            return Ok(ERRNO_FAULT);
        };
        // A vector may name the same bytes over and over.
        let Some(sum) = u32::try_from(bytes.len()).ok().and_then(|len| total.checked_add(len)) else { break };
        match stream.write(bytes).await {
            Ok(()) => total = sum,
            Err(StreamError::Trap(error)) => return Err(error),
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => return Ok(ERRNO_PIPE),
        }
    }
    Ok(write(memory.data_mut(&mut caller), written, &total.to_le_bytes()).into_errno())
}

async fn fd_read(mut caller: Caller<'_, HostState>, fd: u32, buffers: Buffers, read: u32) -> wasmtime::Result<Errno> {
    if let Some(socket) = caller.data().socket(fd) {
        return sockets::read(caller, socket, buffers, 0, read).await;
    }
    if !caller.data().has_stdio(fd) {
        let (at, count) = (buffers.at.cast_signed(), buffers.count.cast_signed());
        let is_large = is_large(&mut caller, buffers)?;
        let call =
            async { wasmtime::Result::Ok(call!(caller, fd_read(fd.cast_signed(), at, count, read.cast_signed()))) };
        return if is_large { block_in_place_async(call).await } else { call.await };
    }
    if fd != 0 {
        return Ok(ERRNO_BADF);
    }
    let stdin = caller.data().stdin.clone();
    let memory = memory(&mut caller)?;
    let Ok(target) = buffers.first(memory.data(&caller)) else { return Ok(ERRNO_FAULT) };
    let mut count = 0;
    if let Some((at, len)) = target {
        let Some(target) = slice_mut(memory.data_mut(&mut caller), at, len) else { return Ok(ERRNO_FAULT) };
        match stdin.read(target).await {
            // No more than `len`, which is a `u32`.
            Ok(bytes) => count = u32::try_from(bytes).unwrap_or(len),
            Err(_told) => return Ok(ERRNO_IO),
        }
    }
    Ok(write(memory.data_mut(&mut caller), read, &count.to_le_bytes()).into_errno())
}

/// What scripts look at to see whether stdout is a terminal, and whether files of a mount can be written: C's `access` does.
async fn fd_fdstat_get(mut caller: Caller<'_, HostState>, fd: u32, stat: u32) -> wasmtime::Result<Errno> {
    if let Some(socket) = caller.data().socket(fd) {
        return sockets::fdstat(&mut caller, socket, stat);
    }
    if !caller.data().has_stdio(fd) {
        let errno = call!(caller, fd_fdstat_get(fd.cast_signed(), stat.cast_signed()));
        if errno == ERRNO_SUCCESS && caller.data().is_read_only(fd) {
            let memory = memory(&mut caller)?;
            let rights = slice_mut(memory.data_mut(&mut caller), stat, FDSTAT).and_then(|bytes| bytes.last_chunk_mut());
            if let Some(inherited) = rights {
                *inherited = (u64::from_le_bytes(*inherited) & !RIGHTS_FD_WRITE).to_le_bytes();
            }
        }
        return Ok(errno);
    }
    let rights = if fd == 0 { RIGHTS_FD_READ } else { RIGHTS_FD_WRITE }.to_le_bytes();
    // Of unknown type, without flags; the rights, and those of what would be opened below.
    let bytes = [[0; 8], rights, rights].concat();
    let memory = memory(&mut caller)?;
    Ok(write(memory.data_mut(&mut caller), stat, &bytes).into_errno())
}

async fn fd_seek(
    mut caller: Caller<'_, HostState>,
    fd: u32,
    offset: i64,
    whence: u32,
    position: u32,
) -> wasmtime::Result<Errno> {
    if whence > WHENCE_END {
        return Ok(ERRNO_INVAL);
    }
    if caller.data().has_stdio(fd) || caller.data().has_socket(fd) {
        return Ok(ERRNO_SPIPE);
    }
    Ok(call!(caller, fd_seek(fd.cast_signed(), offset, whence.cast_signed(), position.cast_signed())))
}

/// The size of what it gives, whose last eight bytes are the rights of what is opened below.
const FDSTAT: u32 = 24;
const WHENCE_END: u32 = 2;
const RIGHTS_FD_READ: u64 = 1 << 1;
const RIGHTS_FD_WRITE: u64 = 1 << 6;
