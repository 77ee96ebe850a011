//! What a start-up gets in place of functions that are about a request: it has no client, and writes beside nobody.

use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

use super::client::{IGNORE, LEFT};
use super::errno::ERRNO_SUCCESS;
use super::file_calls::tell;
use super::guest_memory::{WASI, WCGI, memory};
use super::locks::{LOCK, TEST};
use super::preview1::{forward, told};
use crate::host::files::Seen;

/// Defines the stats for a start-up, which is told the same of the files it sees as requests are.
pub(crate) fn define_seen<T: Send + 'static>(
    linker: &mut Linker<T>,
    wasi: impl Fn(&mut T) -> &mut WasiP1Ctx + Copy + Send + Sync + 'static,
    seen: &Arc<Seen>,
) -> wasmtime::Result<()> {
    type ByPath = (i32, i32, i32, i32, i32);
    let by_path = Arc::clone(seen);
    linker.func_wrap_async(WASI, "path_filestat_get", move |mut caller: Caller<'_, T>, arguments: ByPath| {
        let seen = Arc::clone(&by_path);
        let (dir, follow, path, len, result) = arguments;
        Box::new(async move {
            let errno = forward!(caller, wasi, path_filestat_get(dir, follow, path, len, result).await)?;
            if errno == ERRNO_SUCCESS {
                tell(memory(&mut caller)?.data_mut(&mut caller), result.cast_unsigned(), &seen);
            }
            Ok(errno)
        })
    })?;
    let open = Arc::clone(seen);
    linker.func_wrap_async(WASI, "fd_filestat_get", move |mut caller: Caller<'_, T>, (fd, result): (i32, i32)| {
        let seen = Arc::clone(&open);
        Box::new(async move {
            let errno = forward!(caller, wasi, fd_filestat_get(fd, result).await)?;
            if errno == ERRNO_SUCCESS {
                tell(memory(&mut caller)?.data_mut(&mut caller), result.cast_unsigned(), &seen);
            }
            Ok(errno)
        })
    })?;
    Ok(())
}

/// Says yes to everything: for a start-up, which nobody else writes files beside.
pub(crate) fn define_granted_locks<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for name in [LOCK, TEST] {
        linker.func_wrap(WCGI, name, |_fd: u32, _kind: u32, _start: u64, _len: u64| ERRNO_SUCCESS)?;
    }
    Ok(())
}

/// For a start-up, which has no client: what it says is forgotten, and nobody leaves.
pub(crate) fn define_client_alone<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(WCGI, IGNORE, |_ignore: u32| ERRNO_SUCCESS)?;
    linker.func_wrap(WCGI, LEFT, || 0_u32)?;
    Ok(())
}
