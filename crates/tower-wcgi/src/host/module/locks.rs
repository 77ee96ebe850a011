//! Locks on parts of files: the functions that scripts can import from [`WCGI`], as WASI has none. See `docs/locks.md`.

use std::ops::Range;

use wasmtime::{Caller, Linker, Module};
use wasmtime_wasi::p1::types;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::GuestMemory;

use super::errno::{ERRNO_AGAIN, ERRNO_BADF, ERRNO_DEADLK, ERRNO_INVAL, ERRNO_NOLCK, ERRNO_SUCCESS, Errno};
use super::guest_memory::WCGI;
use crate::host::files::{By, Deadlock, FileId, LockKind, NoLock};
use crate::host::state::HostState;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(WCGI, LOCK, |caller, arguments| Box::new(lock(caller, arguments)))?;
    linker.func_wrap_async(WCGI, TEST, |caller, arguments| Box::new(test(caller, arguments)))?;
    Ok(())
}

/// Whether `module` imports locks.
pub(crate) fn are_imported(module: &Module) -> bool {
    module.imports().any(|import| (import.module(), import.name()) == (WCGI, LOCK))
}

/// The descriptor of the file, what to do, the first byte, how many (0: to the end of whatever the file becomes).
type Arguments = (u32, u32, u64, u64);

async fn lock(mut caller: Caller<'_, HostState>, (fd, kind, start, len): Arguments) -> Errno {
    let (Some(bytes), true) = (range(start, len), kind <= EXCLUSIVE) else { return ERRNO_INVAL };
    let state = caller.data_mut();
    let file = match file(state, fd).await {
        Ok(file) => file,
        Err(errno) => return errno,
    };
    let locked = match kind {
        SHARED => state.locks.lock(file, &bytes, LockKind::Shared),
        EXCLUSIVE => state.locks.lock(file, &bytes, LockKind::Exclusive),
        _ => state.locks.unlock(file, &bytes),
    };
    match locked {
        Ok(()) => ERRNO_SUCCESS,
        Err(NoLock::Taken) => ERRNO_AGAIN,
        Err(NoLock::TooMany) => ERRNO_NOLCK,
    }
}

async fn test(mut caller: Caller<'_, HostState>, (fd, kind, start, len): Arguments) -> Errno {
    let kind = match kind {
        SHARED => LockKind::Shared,
        EXCLUSIVE => LockKind::Exclusive,
        _ => return ERRNO_INVAL,
    };
    let Some(bytes) = range(start, len) else { return ERRNO_INVAL };
    let state = caller.data_mut();
    match file(state, fd).await {
        Ok(file) if state.locks.is_free(file, &bytes, kind) => ERRNO_SUCCESS,
        Ok(_) => ERRNO_AGAIN,
        Err(errno) => errno,
    }
}

fn range(start: u64, len: u64) -> Option<Range<u64>> {
    let end = if len == 0 { u64::MAX } else { start.checked_add(len)? };
    Some(start..end).filter(|bytes| !bytes.is_empty())
}

/// The regular file that `fd` is open on. The first time, this waits until nobody writes the file who knows no locks.
async fn file(state: &mut HostState, fd: u32) -> Result<FileId, Errno> {
    if let Some(file) = state.locks.file(fd) {
        return Ok(file);
    }
    let file = match state.wasi().fd_filestat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await {
        Ok(stat) if stat.filetype == types::Filetype::RegularFile => FileId(stat.ino),
        Ok(_) => return Err(ERRNO_INVAL),
        Err(_) => return Err(ERRNO_BADF),
    };
    if state.turns.share(file, By::Descriptor(fd)).await == Err(Deadlock) {
        return Err(ERRNO_DEADLK);
    }
    state.locks.know(fd, file);
    Ok(file)
}

pub(super) const LOCK: &str = "fd_lock";
pub(super) const TEST: &str = "fd_lock_test";
/// What to do: 0 unlocks.
const SHARED: u32 = 1;
const EXCLUSIVE: u32 = 2;
