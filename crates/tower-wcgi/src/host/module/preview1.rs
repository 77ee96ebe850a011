//! Every call of WASI preview 1 as wasmtime-wasi does it, except that no number a script gives can end the script.
//!
//! wasmtime-wasi traps at a number that is not a value of its type, as a whence of 712. It also traps at a pointer that leads out
//! of the memory. Other systems answer such calls with an error, and programs rely on that. Here they are `EINVAL` and `EFAULT`.

use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wiggle::{GuestError, GuestMemory};

use super::errno::{ERRNO_FAULT, ERRNO_ILSEQ, ERRNO_INVAL, Errno};
use super::guest_memory::{WASI, memory};

/// Calls wasmtime-wasi's function of that name as its own linker would.
macro_rules! forward {
    ($caller:ident, $wasi:expr, $name:ident($($argument:expr),*) $($wait:tt)*) => {{
        let memory = memory(&mut $caller)?;
        let fuel = $caller.as_context_mut().hostcall_fuel();
        let (memory, state) = memory.data_and_store_mut(&mut $caller);
        let wasi = $wasi(state);
        wasi.set_hostcall_fuel(fuel);
        told(preview1::$name(wasi, &mut GuestMemory::Unshared(memory), $($argument),*)$($wait)*)
    }};
}
pub(super) use forward;

/// The same for those of its functions that may wait, from a function of our own in their place.
macro_rules! call {
    ($caller:ident, $name:ident($($argument:expr),*)) => {
        $crate::host::module::preview1::forward!($caller, HostState::wasi, $name($($argument),*).await)?
    };
}
pub(super) use call;

macro_rules! define_at_once {
    ($linker:ident, $wasi:ident, $($name:ident($($argument:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap(WASI, stringify!($name), move |mut caller: Caller<'_, T>, $($argument: $ty),*| {
            forward!(caller, $wasi, $name($($argument),*))
        })?;
    )*};
}

macro_rules! define_waiting {
    ($linker:ident, $wasi:ident, $($name:ident($($argument:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap_async(
            WASI,
            stringify!($name),
            move |mut caller: Caller<'_, T>, ($($argument,)*): ($($ty,)*)| {
                Box::new(async move { forward!(caller, $wasi, $name($($argument),*).await) })
            },
        )?;
    )*};
}

/// Defines all of them but `proc_exit`. `wasi` finds the context in what the store holds.
pub(crate) fn define<T: Send + 'static>(
    linker: &mut Linker<T>,
    wasi: impl Fn(&mut T) -> &mut WasiP1Ctx + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    define_at_once! { linker, wasi,
        args_get(pointers: i32, block: i32);
        args_sizes_get(count: i32, size: i32);
        environ_get(pointers: i32, block: i32);
        environ_sizes_get(count: i32, size: i32);
        fd_allocate(fd: i32, offset: i64, len: i64);
        fd_fdstat_set_flags(fd: i32, flags: i32);
        fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64);
        fd_prestat_get(fd: i32, result: i32);
        fd_prestat_dir_name(fd: i32, path: i32, len: i32);
        fd_tell(fd: i32, result: i32);
        proc_raise(signal: i32);
        random_get(buffer: i32, len: i32);
        sched_yield();
        sock_accept(fd: i32, flags: i32, result: i32);
        sock_recv(fd: i32, buffers: i32, count: i32, flags: i32, read: i32, received: i32);
        sock_send(fd: i32, buffers: i32, count: i32, flags: i32, written: i32);
        sock_shutdown(fd: i32, how: i32);
    }
    // Processor time is no clock here. wasmtime-wasi says that a descriptor is bad.
    linker.func_wrap(WASI, "clock_res_get", move |mut caller: Caller<'_, T>, clock: i32, result: i32| {
        if clock > CLOCK_MONOTONIC { Ok(ERRNO_INVAL) } else { forward!(caller, wasi, clock_res_get(clock, result)) }
    })?;
    linker.func_wrap(
        WASI,
        "clock_time_get",
        move |mut caller: Caller<'_, T>, clock: i32, precision: i64, result: i32| {
            if clock > CLOCK_MONOTONIC {
                Ok(ERRNO_INVAL)
            } else {
                forward!(caller, wasi, clock_time_get(clock, precision, result))
            }
        },
    )?;
    define_waiting! { linker, wasi,
        fd_advise(fd: i32, offset: i64, len: i64, advice: i32);
        fd_close(fd: i32);
        fd_datasync(fd: i32);
        fd_fdstat_get(fd: i32, result: i32);
        fd_filestat_get(fd: i32, result: i32);
        fd_filestat_set_size(fd: i32, size: i64);
        fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
        fd_pread(fd: i32, buffers: i32, count: i32, offset: i64, read: i32);
        fd_pwrite(fd: i32, buffers: i32, count: i32, offset: i64, written: i32);
        fd_read(fd: i32, buffers: i32, count: i32, read: i32);
        fd_readdir(fd: i32, buffer: i32, len: i32, cookie: i64, used: i32);
        fd_renumber(from: i32, to: i32);
        fd_seek(fd: i32, offset: i64, whence: i32, position: i32);
        fd_sync(fd: i32);
        fd_write(fd: i32, buffers: i32, count: i32, written: i32);
        path_create_directory(dir: i32, path: i32, len: i32);
        path_filestat_get(dir: i32, follow: i32, path: i32, len: i32, result: i32);
        path_filestat_set_times(
            dir: i32, follow: i32, path: i32, len: i32, accessed: i64, modified: i64, flags: i32
        );
        path_link(dir: i32, follow: i32, path: i32, len: i32, to_dir: i32, to: i32, to_len: i32);
        path_open(
            dir: i32, follow: i32, path: i32, len: i32, how: i32, base: i64, inheriting: i64, flags: i32, number: i32
        );
        path_readlink(dir: i32, path: i32, len: i32, buffer: i32, buffer_len: i32, used: i32);
        path_remove_directory(dir: i32, path: i32, len: i32);
        path_rename(dir: i32, path: i32, len: i32, to_dir: i32, to: i32, to_len: i32);
        path_symlink(path: i32, len: i32, dir: i32, to: i32, to_len: i32);
        path_unlink_file(dir: i32, path: i32, len: i32);
        poll_oneoff(subscriptions: i32, events: i32, count: i32, happened: i32);
    }
    Ok(())
}

/// What the script is told. An error that is not about its arguments ends it.
pub(super) fn told(result: wasmtime::Result<i32>) -> wasmtime::Result<Errno> {
    match result {
        Ok(errno) => Ok(errno.cast_unsigned()),
        Err(error) => error.downcast_ref().map(refusal).ok_or(error),
    }
}

fn refusal(error: &GuestError) -> Errno {
    match error {
        GuestError::InFunc { err, .. } => refusal(err),
        GuestError::InvalidFlagValue(_) | GuestError::InvalidEnumValue(_) | GuestError::TryFromIntError(_) => {
            ERRNO_INVAL
        }
        GuestError::InvalidUtf8(_) => ERRNO_ILSEQ,
        GuestError::PtrOverflow
        | GuestError::PtrOutOfBounds(_)
        | GuestError::PtrNotAligned(..)
        | GuestError::SliceLengthsDiffer => ERRNO_FAULT,
    }
}

const CLOCK_MONOTONIC: i32 = 1;
