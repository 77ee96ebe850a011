//! Calls of WASI preview 1 by which files grow or go where that is counted: they have so much room together.

use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::p1::types;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1};
use wiggle::GuestMemory;

use super::errno::{ERRNO_NOSPC, ERRNO_SUCCESS, ERRNO_XDEV, Errno};
use super::guest_memory::{Buffers, WASI, memory};
use super::preview1::{call, told};
use crate::host::room::NoEntry;
use crate::host::state::HostState;

type Call<'a> = Caller<'a, HostState>;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(WASI, "fd_pwrite", |caller, (fd, at, count, offset, written)| {
        Box::new(fd_pwrite(caller, fd, Buffers { at, count }, offset, written))
    })?;
    linker.func_wrap_async(WASI, "fd_filestat_set_size", |caller, (fd, size)| {
        Box::new(fd_filestat_set_size(caller, fd, size))
    })?;
    linker.func_wrap_async(WASI, "path_unlink_file", |caller, (dir, path, len)| {
        Box::new(path_unlink_file(caller, dir, path, len))
    })?;
    linker.func_wrap_async(WASI, "path_rename", |caller, arguments| Box::new(path_rename(caller, arguments)))?;
    linker.func_wrap_async(WASI, "path_link", |caller, arguments| Box::new(path_link(caller, arguments)))?;
    linker.func_wrap_async(WASI, "path_symlink", |caller, arguments| Box::new(path_symlink(caller, arguments)))?;
    Ok(())
}

/// Whether there is room for the first of `buffers`, written at `offset` or where the descriptor is.
pub(super) async fn has_room(
    caller: &mut Call<'_>,
    fd: u32,
    buffers: Buffers,
    offset: Option<u64>,
) -> wasmtime::Result<bool> {
    if caller.data_mut().quota_of(fd).is_none() {
        return Ok(true);
    }
    let memory = memory(caller)?;
    // What cannot be written for another reason is for the call to say.
    let Ok(Some((_, len))) = buffers.first(memory.data(&*caller)) else { return Ok(true) };
    let state = caller.data_mut();
    let nothing = &mut GuestMemory::Unshared(&mut []);
    let (Some(size), Ok(stat)) = (size(state, fd).await, state.wasi().fd_fdstat_get(nothing, fd.into()).await) else {
        return Ok(true);
    };
    let at = if stat.fs_flags.contains(types::Fdflags::APPEND) {
        size
    } else {
        match offset {
            Some(offset) => offset,
            None => state.wasi().fd_tell(nothing, fd.into()).unwrap_or(size),
        }
    };
    let growth = at.saturating_add(len.into()).saturating_sub(size);
    Ok(state.quota_of(fd).is_none_or(|quota| quota.grow(growth).is_ok()))
}

async fn size(state: &mut HostState, fd: u32) -> Option<u64> {
    let nothing = &mut GuestMemory::Unshared(&mut []);
    state.wasi().fd_filestat_get(nothing, fd.into()).await.ok().map(|stat| stat.size)
}

async fn fd_pwrite(
    mut caller: Call<'_>,
    fd: u32,
    buffers: Buffers,
    offset: u64,
    written: u32,
) -> wasmtime::Result<Errno> {
    if !has_room(&mut caller, fd, buffers, Some(offset)).await? {
        return Ok(ERRNO_NOSPC);
    }
    let [fd, at, count, written] = [fd, buffers.at, buffers.count, written].map(u32::cast_signed);
    Ok(call!(caller, fd_pwrite(fd, at, count, offset.cast_signed(), written)))
}

async fn fd_filestat_set_size(mut caller: Call<'_>, fd: u32, wanted: u64) -> wasmtime::Result<Errno> {
    let state = caller.data_mut();
    if state.quota_of(fd).is_some()
        && let Some(size) = size(state, fd).await
        && let Some(quota) = state.quota_of(fd)
    {
        match wanted.checked_sub(size) {
            Some(growth) if quota.grow(growth).is_err() => return Ok(ERRNO_NOSPC),
            Some(_) => {}
            None => quota.shrink(),
        }
    }
    Ok(call!(caller, fd_filestat_set_size(fd.cast_signed(), wanted.cast_signed())))
}

async fn path_unlink_file(mut caller: Call<'_>, dir: u32, path: u32, len: u32) -> wasmtime::Result<Errno> {
    let errno = call!(caller, path_unlink_file(dir.cast_signed(), path.cast_signed(), len.cast_signed()));
    if errno == ERRNO_SUCCESS {
        caller.data_mut().unlinked_in(dir);
    }
    Ok(errno)
}

fn errno_of(why: NoEntry) -> Errno {
    match why {
        NoEntry::Full => ERRNO_NOSPC,
        NoEntry::OtherRoom => ERRNO_XDEV,
    }
}

type Rename = (u32, u32, u32, u32, u32, u32);

async fn path_rename(mut caller: Call<'_>, arguments: Rename) -> wasmtime::Result<Errno> {
    let (from, path, len, to, new, new_len) = arguments;
    if let Err(why) = caller.data_mut().about_to_move(from, to) {
        return Ok(errno_of(why));
    }
    let dirs = [from, to];
    let [from, path, len, to, new, new_len] = [from, path, len, to, new, new_len].map(u32::cast_signed);
    let errno = call!(caller, path_rename(from, path, len, to, new, new_len));
    if errno == ERRNO_SUCCESS {
        for dir in dirs {
            caller.data_mut().unlinked_in(dir);
        }
    }
    Ok(errno)
}

type Link = (u32, u32, u32, u32, u32, u32, u32);

async fn path_link(mut caller: Call<'_>, arguments: Link) -> wasmtime::Result<Errno> {
    let (from, follow, path, len, to, new, new_len) = arguments;
    if let Err(why) = caller.data_mut().about_to_link(from, to) {
        return Ok(errno_of(why));
    }
    let [from, follow, path, len] = [from, follow, path, len].map(u32::cast_signed);
    let [to, new, new_len] = [to, new, new_len].map(u32::cast_signed);
    Ok(call!(caller, path_link(from, follow, path, len, to, new, new_len)))
}

type Symlink = (u32, u32, u32, u32, u32);

async fn path_symlink(mut caller: Call<'_>, arguments: Symlink) -> wasmtime::Result<Errno> {
    let (path, len, dir, new, new_len) = arguments;
    if caller.data_mut().name_in(dir).is_err() {
        return Ok(ERRNO_NOSPC);
    }
    let [path, len, dir, new, new_len] = [path, len, dir, new, new_len].map(u32::cast_signed);
    Ok(call!(caller, path_symlink(path, len, dir, new, new_len)))
}
