//! Calls of WASI 0.2 by which files grow or go where that is counted: what `module::room` is for modules.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor as _, PathFlags};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult, OutputStream, Pollable, StreamError, StreamResult};

use super::shadow::borrow;
use crate::host::files::{Full, Quota};
use crate::host::room::NoEntry;
use crate::host::state::HostState;

/// There is room for one more name below `dir`.
pub(super) fn name(state: &mut HostState, dir: u32) -> FsResult<()> {
    state.name_in(dir).map_err(full)
}

fn full(Full: Full) -> FsError {
    ErrorCode::InsufficientSpace.into()
}

fn no_entry(why: NoEntry) -> FsError {
    match why {
        NoEntry::Full => full(Full),
        NoEntry::OtherRoom => ErrorCode::CrossDevice.into(),
    }
}

/// The file `fd` is about to have `end` bytes, if it has fewer.
pub(super) async fn grow(state: &mut HostState, fd: u32, end: u64) -> FsResult<()> {
    if state.quota_of(fd).is_none() {
        return Ok(());
    }
    let size = state.filesystem().stat(borrow(fd)).await?.size;
    let Some(quota) = state.quota_of(fd) else { return Ok(()) };
    if end < size {
        quota.shrink();
    }
    quota.grow(end.saturating_sub(size)).map_err(full)
}

/// The same for what is written by `stream`, from `at` on or to the end of the file `fd`.
pub(super) fn meter(
    state: &mut HostState,
    fd: u32,
    at: Option<u64>,
    stream: Resource<DynOutputStream>,
) -> FsResult<Resource<DynOutputStream>> {
    let Some(quota) = state.quota_of(fd).cloned() else { return Ok(stream) };
    let files = state.filesystem();
    let Descriptor::File(file) = files.table.get(&Resource::<Descriptor>::new_borrow(fd))? else { return Ok(stream) };
    let file = Arc::clone(&file.file);
    let inner = files.table.delete(stream)?;
    let metered: DynOutputStream = Box::new(Metered { inner, file, at, end: 0, quota });
    Ok(files.table.push(metered)?)
}

type At = (Resource<Descriptor>, String);

pub(super) async fn unlink_file_at(state: &mut HostState, (dir, path): At) -> FsResult<()> {
    let below = dir.rep();
    state.filesystem().unlink_file_at(dir, path).await?;
    state.unlinked_in(below);
    Ok(())
}

pub(super) async fn rename_at(
    state: &mut HostState,
    (from, path, to, new): (Resource<Descriptor>, String, Resource<Descriptor>, String),
) -> FsResult<()> {
    let dirs = [from.rep(), to.rep()];
    state.about_to_move(from.rep(), to.rep()).map_err(no_entry)?;
    state.filesystem().rename_at(from, path, to, new).await?;
    for dir in dirs {
        state.unlinked_in(dir);
    }
    Ok(())
}

pub(super) async fn link_at(
    state: &mut HostState,
    (from, follow, path, to, new): (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String),
) -> FsResult<()> {
    state.about_to_link(from.rep(), to.rep()).map_err(no_entry)?;
    state.filesystem().link_at(from, follow, path, to, new).await
}

pub(super) async fn symlink_at(
    state: &mut HostState,
    (dir, path, new): (Resource<Descriptor>, String, String),
) -> FsResult<()> {
    name(state, dir.rep())?;
    state.filesystem().symlink_at(dir, path, new).await
}

/// A stream into a file that has only so much room.
struct Metered {
    inner: DynOutputStream,
    file: Arc<File>,
    /// Where the next byte goes, if not to the end.
    at: Option<u64>,
    /// How long the file is when all that was given is written.
    end: u64,
    quota: Quota,
}

impl Metered {
    fn take(&mut self, len: usize) -> StreamResult<()> {
        let (len, size) = (len as u64, self.file.metadata().map_or(0, |metadata| metadata.len()).max(self.end));
        let end = self.at.unwrap_or(size).saturating_add(len);
        if self.quota.grow(end.saturating_sub(size)).is_err() {
            return Err(StreamError::LastOperationFailed(no_space().into()));
        }
        self.at = self.at.map(|_| end);
        self.end = end;
        Ok(())
    }
}

/// As the system says it, which is how wasmtime-wasi knows errors.
#[cfg(unix)]
fn no_space() -> std::io::Error {
    rustix::io::Errno::NOSPC.into()
}

#[cfg(not(unix))]
fn no_space() -> std::io::Error {
    std::io::ErrorKind::StorageFull.into()
}

#[async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
