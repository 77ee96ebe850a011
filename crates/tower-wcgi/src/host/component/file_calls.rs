//! The file calls of WASI 0.2 that do more here than in wasmtime-wasi, which still does the work. `module::file_calls` has
//! those of modules.
//!
//! A file opened for writing belongs to one exchange at a time. The host keeps SQLite's lock directories. Calls that could hold
//! the thread for long let other scripts have it. A descriptor's number is that of its handle on our side.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode, HostDescriptor as _,
    HostDirectoryEntryStream as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult};

use super::room;
use super::shadow::{borrow, method, replace, told};
use crate::host::blocking::{LARGE, block_in_place_async};
use crate::host::files::{By, Deadlock, FIRST_PREOPEN, FileId, Listings, MAX_OPEN_FILES};
use crate::host::state::HostState;
use crate::host::writing::{HEADER_LEN, Header, NoLockDirectory, database_header};

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut preopens = replace(linker, "filesystem/preopens", "get-directories")?;
    preopens.func_wrap("get-directories", |mut store, ()| get_directories(store.data_mut()))?;

    let mut types = replace(linker, "filesystem/types", "[method]descriptor.open-at")?;
    method!(types, "[method]descriptor.open-at", open_at);
    method!(types, "[method]descriptor.write", write);
    method!(types, "[method]descriptor.write-via-stream", write_via_stream);
    method!(types, "[method]descriptor.append-via-stream", append_via_stream);
    method!(types, "[method]descriptor.set-size", set_size);
    method!(types, "[method]descriptor.unlink-file-at", room::unlink_file_at);
    method!(types, "[method]descriptor.rename-at", room::rename_at);
    method!(types, "[method]descriptor.link-at", room::link_at);
    method!(types, "[method]descriptor.symlink-at", room::symlink_at);
    method!(types, "[method]descriptor.create-directory-at", create_directory_at);
    method!(types, "[method]descriptor.remove-directory-at", remove_directory_at);
    method!(types, "[method]descriptor.read-directory", read_directory);
    method!(types, "[method]directory-entry-stream.read-directory-entry", read_directory_entry);
    method!(types, "[method]descriptor.sync", sync);
    method!(types, "[method]descriptor.sync-data", sync_data);
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store, handle| {
        closed(store.data_mut(), handle)
    })?;
    types.resource("directory-entry-stream", ResourceType::host::<DirectoryEntryStream>(), |mut store, handle| {
        let state = store.data_mut();
        state.handles.listings.retain(|(listing, _)| *listing != handle);
        state.filesystem().table.delete(Resource::<DirectoryEntryStream>::new_own(handle))?;
        Ok(())
    })
}

type Directories = Vec<(Resource<Descriptor>, String)>;

fn get_directories(state: &mut HostState) -> wasmtime::Result<(Directories,)> {
    let directories = state.filesystem().get_directories()?;
    state.handles.mounts.extend((FIRST_PREOPEN..).zip(&directories).map(|(number, (dir, _))| (dir.rep(), number)));
    Ok((directories,))
}

/// `open-at`'s arguments: the directory, how links are followed, the path, what to do with the file, what it is opened for.
type Open = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

/// Opens a file. To write it, it waits for this exchange's turn. WASI 0.2 reveals an append only at the write, and appends need
/// no turn. So a file that is opened for writing alone waits at its first write that is no append. A file that is read too, or
/// emptied, waits here.
async fn open_at(state: &mut HostState, arguments: Open) -> FsResult<Resource<Descriptor>> {
    let (dir, follow, path, how, wanted) = arguments;
    if is_special(state, dir.rep(), follow, &path).await {
        return Err(ErrorCode::Unsupported.into());
    }
    if !has_room_for_a_file(state) {
        return Err(ErrorCode::InsufficientMemory.into());
    }
    let (room, is_private) = (state.room(dir.rep()), state.is_in_tmp(dir.rep()));
    if how.contains(OpenFlags::CREATE) {
        room::name(state, dir.rep())?;
    }
    let truncates = how.contains(OpenFlags::TRUNCATE);
    let empties = !is_private && how.contains(OpenFlags::TRUNCATE);
    let writes = !is_private && wanted.contains(DescriptorFlags::WRITE);
    // Emptying it is writing, so that waits for the turn.
    let (how, wanted) =
        if empties { (how & !OpenFlags::TRUNCATE, wanted | DescriptorFlags::WRITE) } else { (how, wanted) };
    let opened = state.filesystem().open_at(dir, follow, path, how, wanted).await?;
    state.open_files += 1;
    let fd = opened.rep();
    if empties || (writes && wanted.contains(DescriptorFlags::READ)) {
        if let Err(error) = own(state, fd, empties).await {
            closed(state, fd).map_err(FsError::trap)?;
            return Err(error);
        }
    } else if writes {
        state.handles.undecided.push(fd);
    }
    if let Some(room) = room {
        let id = state.filesystem().metadata_hash(borrow(fd)).await.ok().map(|hash| FileId(hash.lower));
        state.opened_in(room, fd, id, truncates);
    }
    Ok(opened)
}

/// Whether one more file may be open.
fn has_room_for_a_file(state: &mut HostState) -> bool {
    if state.open_files >= MAX_OPEN_FILES {
        let before = state.handles.outlived.len();
        state.handles.outlived.retain(|file| file.strong_count() > 0);
        let gone = u32::try_from(before - state.handles.outlived.len()).unwrap_or(u32::MAX);
        state.open_files = state.open_files.saturating_sub(gone);
    }
    state.open_files < MAX_OPEN_FILES
}

/// Waits until the file just opened as `fd` is this exchange's to write.
async fn own(state: &mut HostState, fd: u32, empty: bool) -> FsResult<()> {
    if state.filesystem().get_type(borrow(fd)).await? != DescriptorType::RegularFile {
        return Ok(());
    }
    let file = FileId(state.filesystem().metadata_hash(borrow(fd)).await?.lower);
    let database = if empty { None } else { database(state, fd).await };
    if state.wait_for_turn(file, fd, database).await == Err(Deadlock) {
        return Err(ErrorCode::Deadlock.into());
    }
    if empty {
        state.filesystem().set_size(borrow(fd), 0).await?;
    }
    Ok(())
}

/// The header of `fd`, if it is an SQLite database.
async fn database(state: &mut HostState, fd: u32) -> Option<Header> {
    let (header, _) = state.filesystem().read(borrow(fd), HEADER_LEN as u64, 0).await.ok()?;
    database_header(&header)
}

/// `fd` is about to be written, other than by appending.
async fn decide(state: &mut HostState, fd: u32) -> FsResult<()> {
    let Some(index) = state.handles.undecided.iter().position(|undecided| *undecided == fd) else { return Ok(()) };
    own(state, fd, false).await?;
    state.handles.undecided.swap_remove(index);
    Ok(())
}

async fn write(state: &mut HostState, (fd, bytes, at): (Resource<Descriptor>, Vec<u8>, u64)) -> FsResult<u64> {
    decide(state, fd.rep()).await?;
    room::grow(state, fd.rep(), at.saturating_add(bytes.len() as u64)).await?;
    let is_large = bytes.len() > LARGE as usize;
    let mut files = state.filesystem();
    let write = files.write(fd, bytes, at);
    if is_large { block_in_place_async(write).await } else { write.await }
}

async fn write_via_stream(
    state: &mut HostState,
    (fd, at): (Resource<Descriptor>, u64),
) -> FsResult<Resource<DynOutputStream>> {
    decide(state, fd.rep()).await?;
    let file = fd.rep();
    let stream = state.filesystem().write_via_stream(fd, at)?;
    room::meter(state, file, Some(at), stream)
}

async fn append_via_stream(
    state: &mut HostState,
    (fd,): (Resource<Descriptor>,),
) -> FsResult<Resource<DynOutputStream>> {
    let file = fd.rep();
    let stream = state.filesystem().append_via_stream(fd)?;
    room::meter(state, file, None, stream)
}

async fn set_size(state: &mut HostState, (fd, size): (Resource<Descriptor>, u64)) -> FsResult<()> {
    decide(state, fd.rep()).await?;
    room::grow(state, fd.rep(), size).await?;
    state.filesystem().set_size(fd, size).await
}

fn closed(state: &mut HostState, fd: u32) -> wasmtime::Result<()> {
    let descriptor = state.filesystem().table.delete(Resource::<Descriptor>::new_own(fd))?;
    let handles = &mut state.handles;
    if let Some(index) = handles.mounts.iter().position(|(handle, _)| *handle == fd) {
        handles.mounts.swap_remove(index);
        return Ok(());
    }
    handles.undecided.retain(|undecided| *undecided != fd);
    state.closed_in_room(fd);
    match &descriptor {
        Descriptor::File(file) if Arc::strong_count(&file.file) > 1 => {
            state.handles.outlived.push(Arc::downgrade(&file.file));
            state.turns.keep(&By::Descriptor(fd));
        }
        Descriptor::File(_) | Descriptor::Dir(_) => {
            state.open_files = state.open_files.saturating_sub(1);
            // The file is closed before another may write it.
            drop(descriptor);
            state.turns.give_back(&By::Descriptor(fd));
        }
    }
    Ok(())
}

/// Makes a directory, or takes the right that a lock directory stands for.
async fn create_directory_at(state: &mut HostState, (dir, path): (Resource<Descriptor>, String)) -> FsResult<()> {
    room::name(state, dir.rep())?;
    let Some(file) = locked_file(state, dir.rep(), &path).await else {
        return state.filesystem().create_directory_at(dir, path).await;
    };
    match state.make_lock_directory(file, dir.rep(), path.as_bytes()).await {
        Ok(()) => {}
        Err(NoLockDirectory::TooMany) => return Err(ErrorCode::InsufficientMemory.into()),
        Err(NoLockDirectory::Exists) => return Err(ErrorCode::Exist.into()),
    }
    // Another host may have left it behind.
    let _left_behind = state.filesystem().remove_directory_at(dir, path).await;
    Ok(())
}

async fn remove_directory_at(state: &mut HostState, (dir, path): (Resource<Descriptor>, String)) -> FsResult<()> {
    if state.remove_lock_directory(dir.rep(), path.as_bytes()) {
        return Ok(());
    }
    state.filesystem().remove_directory_at(dir, path).await
}

/// The regular file that a lock directory at this path stands for.
async fn locked_file(state: &mut HostState, dir: u32, path: &str) -> Option<FileId> {
    let path = path.get(..state.locked_path(dir, path.as_bytes())?.len())?;
    let (follow, path) = (PathFlags::SYMLINK_FOLLOW, path.to_owned());
    let stat = state.filesystem().stat_at(borrow(dir), follow, path.clone()).await.ok()?;
    if stat.type_ != DescriptorType::RegularFile {
        return None;
    }
    state.filesystem().metadata_hash_at(borrow(dir), follow, path).await.ok().map(|hash| FileId(hash.lower))
}

/// Whether the path leads to what is neither a file nor a directory.
async fn is_special(state: &mut HostState, dir: u32, follow: PathFlags, path: &str) -> bool {
    if let Some(special) = state.is_special(dir, path.as_bytes()) {
        return special;
    }
    use DescriptorType::{Directory, RegularFile, SymbolicLink};
    let stat = state.filesystem().stat_at(borrow(dir), follow, path.to_owned()).await;
    stat.is_ok_and(|stat| !matches!(stat.type_, RegularFile | Directory | SymbolicLink))
}

/// wasmtime-wasi holds all of a directory. On disks a name takes about as much there as here.
async fn read_directory(
    state: &mut HostState,
    (dir,): (Resource<Descriptor>,),
) -> FsResult<Resource<DirectoryEntryStream>> {
    let size = state.filesystem().stat(borrow(dir.rep())).await?.size.max(LISTING);
    let held: u64 = state.handles.listings.iter().map(|(_, size)| size).sum();
    if held.saturating_add(size) > Listings::ROOM as u64 {
        return Err(ErrorCode::InsufficientMemory.into());
    }
    let listing = block_in_place_async(state.filesystem().read_directory(dir)).await?;
    state.handles.listings.push((listing.rep(), size));
    Ok(listing)
}

/// Entries that went while wasmtime-wasi looked at them are left out, and names that are not UTF-8.
async fn read_directory_entry(
    state: &mut HostState,
    (listing,): (Resource<DirectoryEntryStream>,),
) -> FsResult<Option<DirectoryEntry>> {
    loop {
        let entry = state.filesystem().read_directory_entry(Resource::new_borrow(listing.rep())).await;
        match entry {
            Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::NoEntry)) => {}
            Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::IllegalByteSequence)) => {
                if let Some(view) = &state.view {
                    view.note_left_out(None);
                }
            }
            entry => return entry,
        }
    }
}

async fn sync(state: &mut HostState, (fd,): (Resource<Descriptor>,)) -> FsResult<()> {
    block_in_place_async(state.filesystem().sync(fd)).await
}

async fn sync_data(state: &mut HostState, (fd,): (Resource<Descriptor>,)) -> FsResult<()> {
    block_in_place_async(state.filesystem().sync_data(fd)).await
}

/// What a listing counts for at least, in bytes.
const LISTING: u64 = 64 << 10;
