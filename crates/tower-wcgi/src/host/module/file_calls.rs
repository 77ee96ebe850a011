//! The file calls of WASI preview 1 that do more here than in wasmtime-wasi, which still does the work.
//!
//! A file opened for writing belongs to one exchange at a time. The host keeps SQLite's lock directories. Calls that could hold
//! the thread for long let other scripts have it.

use std::fs::File;
use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, Linker};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1};
use wasmtime_wasi::p1::{WasiP1Ctx, types};
use wiggle::{GuestMemory, GuestPtr};

use super::errno::{
    ERRNO_DEADLK, ERRNO_EXIST, ERRNO_FAULT, ERRNO_ILSEQ, ERRNO_INVAL, ERRNO_IO, ERRNO_MFILE, ERRNO_NOENT, ERRNO_NOMEM,
    ERRNO_NOSPC, ERRNO_NOTSUP, ERRNO_ROFS, ERRNO_SUCCESS, Errno, IntoErrno,
};
use super::guest_memory::{WASI, memory, slice, write};
use super::preview1::{call, told};
use super::{poll, sockets};
use crate::host::blocking::block_in_place_async;
use crate::host::files::{
    By, Deadlock, FileId, FileKind, Found, Listing, Listings, Look, MAX_OPEN_FILES, Seen, file_id,
};
use crate::host::state::HostState;
use crate::host::writing::{HEADER_LEN, Header, NoLockDirectory, database_header};

type Call<'a> = Caller<'a, HostState>;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(WASI, "path_open", |caller, arguments| Box::new(path_open(caller, arguments)))?;
    linker.func_wrap_async(WASI, "path_filestat_get", |caller, (dir, follow, path, len, result)| {
        Box::new(path_filestat_get(caller, At { dir, path, len }, follow, result))
    })?;
    linker.func_wrap_async(WASI, "fd_filestat_get", |caller, (fd, result)| {
        Box::new(fd_filestat_get(caller, fd, result))
    })?;
    linker.func_wrap_async(WASI, "fd_close", |caller, (fd,)| Box::new(fd_close(caller, fd)))?;
    linker.func_wrap_async(WASI, "fd_renumber", |caller, (from, to)| Box::new(fd_renumber(caller, from, to)))?;
    linker.func_wrap_async(WASI, "fd_readdir", |caller, arguments| Box::new(fd_readdir(caller, arguments)))?;
    linker.func_wrap_async(WASI, "fd_sync", |caller, (fd,)| Box::new(fd_sync(caller, fd)))?;
    linker.func_wrap_async(WASI, "fd_datasync", |caller, (fd,)| Box::new(fd_datasync(caller, fd)))?;
    linker.func_wrap_async(WASI, "poll_oneoff", |caller, (subscriptions, events, count, happened)| {
        Box::new(poll_oneoff(caller, subscriptions, events, count, happened))
    })?;
    linker.func_wrap_async(WASI, "path_create_directory", |caller, (dir, path, len)| {
        Box::new(path_create_directory(caller, At { dir, path, len }))
    })?;
    linker.func_wrap_async(WASI, "path_remove_directory", |caller, (dir, path, len)| {
        Box::new(path_remove_directory(caller, At { dir, path, len }))
    })?;
    Ok(())
}

/// A path below a directory, as WASI calls have it: the directory's descriptor, where the path begins, its length.
#[derive(Debug, Clone, Copy)]
struct At {
    dir: u32,
    path: u32,
    len: u32,
}

async fn path_filestat_get(mut caller: Call<'_>, at: At, follow: u32, result: u32) -> wasmtime::Result<Errno> {
    if follow & !SYMLINK_FOLLOW != 0 {
        return Ok(ERRNO_INVAL);
    }
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let path = slice(bytes, at.path, at.len).filter(|path| path.len() < MAX_PATH && std::str::from_utf8(path).is_ok());
    let follows = follow & SYMLINK_FOLLOW != 0;
    match path.zip(state.view.as_ref()).and_then(|(path, view)| view.look(at.dir, path, follows)) {
        Some(Look::NotThere) => Ok(ERRNO_NOENT),
        Some(Look::Found(found)) if found.kind != FileKind::Special => {
            Ok(write(bytes, result, &filestat(&found)).into_errno())
        }
        _ => {
            let [dir, follow, path, len, result] = [at.dir, follow, at.path, at.len, result].map(u32::cast_signed);
            let errno = call!(caller, path_filestat_get(dir, follow, path, len, result));
            told_of_files(&mut caller, errno, result.cast_unsigned())
        }
    }
}

async fn fd_filestat_get(mut caller: Call<'_>, fd: u32, result: u32) -> wasmtime::Result<Errno> {
    if let Some(socket) = caller.data().socket(fd) {
        return sockets::filestat(&mut caller, socket, result);
    }
    let errno = call!(caller, fd_filestat_get(fd.cast_signed(), result.cast_signed()));
    told_of_files(&mut caller, errno, result)
}

/// Passes on what a stat came to.
fn told_of_files(caller: &mut Call<'_>, errno: Errno, result: u32) -> wasmtime::Result<Errno> {
    if errno == ERRNO_SUCCESS {
        let memory = memory(caller)?;
        let (bytes, state) = memory.data_and_store_mut(&mut *caller);
        if let Some(view) = &state.view {
            tell(bytes, result, view.seen());
        }
    }
    Ok(errno)
}

/// Puts into WASI's structure at `place`, which wasmtime-wasi has just written, when the file was changed. That has the time at
/// which it was made there.
pub(super) fn tell(bytes: &mut [u8], place: u32, seen: &Seen) {
    let place = place as usize;
    let Some(stat) = place.checked_add(FILESTAT).and_then(|end| bytes.get_mut(place..end)) else { return };
    let field =
        |at: usize| stat.get(at..).and_then(|field| field.first_chunk()).map(|field| u64::from_le_bytes(*field));
    let (Some(id), Some(modified)) = (field(8), field(48)) else { return };
    if let (Some(time), Some(changed)) = (seen.change_time(FileId(id), modified, None), stat.last_chunk_mut()) {
        *changed = time.to_le_bytes();
    }
}

/// WASI's structure of that name: device, inode, kind, links, size, three times.
fn filestat(found: &Found) -> [u8; FILESTAT] {
    let kind = match found.kind {
        FileKind::Directory => 3,
        FileKind::File => 4,
        FileKind::Link => 7,
        FileKind::Special => 0,
    };
    let fields = [1, found.id.0, kind, found.links, found.size, found.accessed, found.modified, found.created];
    let mut bytes = [0; FILESTAT];
    for (field, value) in bytes.chunks_exact_mut(8).zip(fields) {
        field.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// `path_open`'s arguments: directory, following of links, path and its length, open flags, rights, inherited rights, the
/// descriptor's flags, the place for its number.
type Open = (u32, u32, u32, u32, u32, u64, u64, u32, u32);

/// Opens a file when it is this exchange's turn to write it, if writing is what it is opened for. One opened to be appended
/// to is everybody's: the kernel keeps each write whole.
async fn path_open(mut caller: Call<'_>, arguments: Open) -> wasmtime::Result<Errno> {
    let (dir, follow, path, len, how, rights, inherited, flags, number) = arguments;
    let at = At { dir, path, len };
    // A file that is open under a number nobody was told is never closed.
    if !number.is_multiple_of(FD) || slice(memory(&mut caller)?.data(&caller), number, FD).is_none() {
        return Ok(ERRNO_FAULT);
    }
    // C's library asks for no more than a mount says it can give, and would open the file to read it.
    if rights & RIGHTS_OF_WRITERS != 0 && rights & RIGHTS_FD_WRITE == 0 && caller.data().is_read_only(dir) {
        return Ok(ERRNO_ROFS);
    }
    if is_special(&mut caller, at, follow).await? {
        return Ok(ERRNO_NOTSUP);
    }
    if caller.data().open_files >= MAX_OPEN_FILES {
        return Ok(ERRNO_MFILE);
    }
    let (room, in_tmp) = (caller.data().room(dir), caller.data().is_in_tmp(dir));
    if how & OFLAGS_CREAT != 0 && caller.data_mut().name_in(dir).is_err() {
        return Ok(ERRNO_NOSPC);
    }
    let empties = how & OFLAGS_TRUNC != 0;
    let writes = empties || (rights & RIGHTS_FD_WRITE != 0 && flags & FDFLAGS_APPEND == 0);
    let takes_turn = writes && !in_tmp;
    // Emptying it is writing, so that waits for the turn.
    let (now, rights) =
        if takes_turn && empties { (how & !OFLAGS_TRUNC, rights | RIGHTS_FD_WRITE) } else { (how, rights) };
    let [dir, follow, path, len, now, flags] = [dir, follow, path, len, now, flags].map(u32::cast_signed);
    let (rights, inherited, number_at) = (rights.cast_signed(), inherited.cast_signed(), number.cast_signed());
    let errno = call!(caller, path_open(dir, follow, path, len, now, rights, inherited, flags, number_at));
    if errno != ERRNO_SUCCESS {
        return Ok(errno);
    }
    caller.data_mut().open_files += 1;
    if !takes_turn && room.is_none() {
        return Ok(errno);
    }
    let fd = slice(memory(&mut caller)?.data(&caller), number, FD).and_then(|bytes| bytes.first_chunk());
    let Some(fd) = fd.copied().map(u32::from_le_bytes) else { return Ok(ERRNO_FAULT) };
    if takes_turn {
        let errno = own(caller.data_mut(), fd, empties).await?;
        if errno != ERRNO_SUCCESS {
            let _closed = call!(caller, fd_close(fd.cast_signed()));
            closed(caller.data_mut(), fd);
            return Ok(errno);
        }
    }
    if let Some(room) = room {
        let state = caller.data_mut();
        let opened = state.wasi().fd_filestat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await;
        state.opened_in(room, fd, opened.ok().map(|stat| FileId(stat.ino)), empties);
    }
    Ok(errno)
}

/// Waits until the file just opened as `fd` is this exchange's to write.
async fn own(state: &mut HostState, fd: u32, empty: bool) -> wasmtime::Result<Errno> {
    let nothing = &mut GuestMemory::Unshared(&mut []);
    let file = match state.wasi().fd_filestat_get(nothing, fd.into()).await {
        Ok(stat) if stat.filetype == types::Filetype::RegularFile => FileId(stat.ino),
        Ok(_) => return Ok(ERRNO_SUCCESS),
        Err(_) => return Ok(ERRNO_IO),
    };
    let database = if empty { None } else { database(state.wasi(), fd).await };
    if state.wait_for_turn(file, fd, database).await == Err(Deadlock) {
        return Ok(ERRNO_DEADLK);
    }
    if empty {
        let errno = preview1::fd_filestat_set_size(state.wasi(), nothing, fd.cast_signed(), 0).await?;
        return Ok(errno.cast_unsigned());
    }
    Ok(ERRNO_SUCCESS)
}

/// How `fd` begins, if it is an SQLite database.
async fn database(wasi: &mut WasiP1Ctx, fd: u32) -> Option<Header> {
    // A vector of one buffer at 12; how many were read; the buffer.
    let mut scratch = [0; 12 + HEADER_LEN];
    let vector = [12, 0, 0, 0, u8::try_from(HEADER_LEN).ok()?];
    scratch.first_chunk_mut().map(|place| *place = vector)?;
    wasi.set_hostcall_fuel(scratch.len());
    let read = preview1::fd_pread(wasi, &mut GuestMemory::Unshared(&mut scratch), fd.cast_signed(), 0, 1, 0, 8).await;
    let header: &Header = scratch.last_chunk().filter(|_| read.is_ok_and(|errno| errno == 0))?;
    database_header(header)
}

async fn fd_close(mut caller: Call<'_>, fd: u32) -> wasmtime::Result<Errno> {
    if let Some(socket) = caller.data().socket(fd) {
        return Ok(sockets::close(caller.data_mut(), socket));
    }
    let errno = call!(caller, fd_close(fd.cast_signed()));
    if errno == ERRNO_SUCCESS {
        closed(caller.data_mut(), fd);
    }
    Ok(errno)
}

async fn fd_renumber(mut caller: Call<'_>, from: u32, to: u32) -> wasmtime::Result<Errno> {
    // The numbers of sockets are for sockets alone.
    if caller.data().has_socket(from) || caller.data().has_socket(to) {
        return Ok(if from == to { ERRNO_SUCCESS } else { ERRNO_NOTSUP });
    }
    let errno = call!(caller, fd_renumber(from.cast_signed(), to.cast_signed()));
    if errno == ERRNO_SUCCESS && from != to {
        let state = caller.data_mut();
        closed(state, to);
        if let Some((known, _)) = state.counted.iter_mut().find(|(known, _)| *known == from) {
            *known = to;
        }
        state.moved(from);
        state.listings.remove(from);
        state.locks.renumber(from, to);
        state.turns.renumber(from, to);
    }
    Ok(errno)
}

fn closed(state: &mut HostState, fd: u32) {
    state.open_files = state.open_files.saturating_sub(1);
    state.closed_in_room(fd);
    state.moved(fd);
    state.listings.remove(fd);
    state.locks.closed(fd);
    state.turns.give_back(&By::Descriptor(fd));
}

/// Makes a directory, or takes the right that a lock directory stands for.
async fn path_create_directory(mut caller: Call<'_>, at: At) -> wasmtime::Result<Errno> {
    let At { dir, path, len } = at;
    let (dir_at, path, len) = (dir.cast_signed(), path.cast_signed(), len.cast_signed());
    if caller.data_mut().name_in(dir).is_err() {
        return Ok(ERRNO_NOSPC);
    }
    let Some(file) = locked_file(&mut caller, at).await? else {
        return Ok(call!(caller, path_create_directory(dir_at, path, len)));
    };
    let name = name(&mut caller, at)?;
    match caller.data_mut().make_lock_directory(file, dir, &name).await {
        Ok(()) => {}
        Err(NoLockDirectory::TooMany) => return Ok(ERRNO_MFILE),
        Err(NoLockDirectory::Exists) => return Ok(ERRNO_EXIST),
    }
    // Another host may have left it behind.
    let _left_behind = call!(caller, path_remove_directory(dir_at, path, len));
    Ok(ERRNO_SUCCESS)
}

async fn path_remove_directory(mut caller: Call<'_>, at: At) -> wasmtime::Result<Errno> {
    let name = name(&mut caller, at)?;
    if caller.data_mut().remove_lock_directory(at.dir, &name) {
        return Ok(ERRNO_SUCCESS);
    }
    let At { dir, path, len } = at;
    Ok(call!(caller, path_remove_directory(dir.cast_signed(), path.cast_signed(), len.cast_signed())))
}

/// The regular file that a lock directory at this path stands for.
async fn locked_file(caller: &mut Call<'_>, at: At) -> wasmtime::Result<Option<FileId>> {
    let name = name(caller, at)?;
    let Some(path) = caller.data().locked_path(at.dir, &name) else { return Ok(None) };
    let Ok(len) = u32::try_from(path.len()) else { return Ok(None) };
    let stat = stat(caller, At { len, ..at }, types::Lookupflags::SYMLINK_FOLLOW).await?;
    Ok(stat.filter(|stat| stat.filetype == types::Filetype::RegularFile).map(|stat| FileId(stat.ino)))
}

/// The path itself, empty where it leads out of the memory.
fn name(caller: &mut Call<'_>, at: At) -> wasmtime::Result<Box<[u8]>> {
    let memory = memory(caller)?;
    Ok(slice(memory.data(&*caller), at.path, at.len).filter(|path| path.len() < MAX_PATH).unwrap_or_default().into())
}

/// Whether the path leads to what is neither a file nor a directory.
async fn is_special(caller: &mut Call<'_>, at: At, follow: u32) -> wasmtime::Result<bool> {
    let memory = memory(caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut *caller);
    let path = slice(memory, at.path, at.len).unwrap_or_default();
    if let Some(special) = state.is_special(at.dir, path) {
        return Ok(special);
    }
    let stat = stat(caller, at, types::Lookupflags::from_bits_truncate(follow)).await?;
    Ok(stat.is_some_and(|stat| {
        use types::Filetype::{Directory, RegularFile, SymbolicLink};
        !matches!(stat.filetype, RegularFile | Directory | SymbolicLink)
    }))
}

async fn stat(caller: &mut Call<'_>, at: At, follow: types::Lookupflags) -> wasmtime::Result<Option<types::Filestat>> {
    let memory = memory(caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut *caller);
    let wasi = state.wasi();
    wasi.set_hostcall_fuel(memory.len());
    let path = GuestPtr::new((at.path, at.len));
    Ok(wasi.path_filestat_get(&mut GuestMemory::Unshared(memory), at.dir.into(), follow, path).await.ok())
}

/// `fd_readdir`'s arguments: the directory, the buffer and its length, where to begin, where it goes how much was written.
type ReadDir = (u32, u32, u32, u64, u32);

/// Reads a directory once from end to end, not once for each part that the script asks for.
async fn fd_readdir(mut caller: Call<'_>, arguments: ReadDir) -> wasmtime::Result<Errno> {
    let (fd, buffer, len, cookie, used) = arguments;
    let state = caller.data_mut();
    if cookie == 0 || state.listings.get(fd).is_none() {
        match list(state, fd).await? {
            Ok(listing) => state.listings.insert(fd, listing),
            Err(errno) => return Ok(errno),
        }
    }
    let memory = memory(&mut caller)?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let rest = state.listings.get(fd).map_or(&[][..], |listing| listing.from(cookie));
    let part = rest.get(..len as usize).unwrap_or(rest);
    let written = u32::try_from(part.len()).unwrap_or(len);
    let errno = write(memory, buffer, part).and_then(|()| write(memory, used, &written.to_le_bytes())).into_errno();
    Ok(errno)
}

async fn list(state: &mut HostState, fd: u32) -> wasmtime::Result<Result<Listing, Errno>> {
    let wasi = state.wasi();
    // wasmtime-wasi holds all of it before it says how much it is. On disks a name takes about as much as here.
    match wasi.fd_filestat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await {
        Ok(stat) if stat.size > Listings::ROOM as u64 => return Ok(Err(ERRNO_NOMEM)),
        Ok(_) | Err(_) => {}
    }
    let mut listed = list_once(wasi, fd).await?;
    // It fails as a whole when an entry goes while it looks at the others.
    for _ in 0..AGAIN {
        if !matches!(listed, Err(ERRNO_NOENT)) {
            break;
        }
        tokio::task::yield_now().await;
        listed = list_once(wasi, fd).await?;
    }
    // Or has a name that cannot be said.
    if matches!(listed, Err(ERRNO_ILSEQ))
        && let Some(directory) = directory(wasi, fd).await
    {
        return Ok(list_ourselves(state, &directory).await);
    }
    Ok(listed)
}

/// The directory that is open as `fd`. wasmtime-wasi does not say, but has it among all that is open, and says which it is.
async fn directory(wasi: &mut WasiP1Ctx, fd: u32) -> Option<Arc<File>> {
    let wanted = wasi.fd_filestat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await.ok()?.ino;
    let mut open = wasi.ctx().table.iter_mut().filter_map(|entry| match entry.downcast_ref() {
        Some(Descriptor::Dir(dir)) => Some(&dir.dir),
        Some(Descriptor::File(_)) | None => None,
    });
    open.find(|dir| file_id(dir) == Some(FileId(wanted))).map(Arc::clone)
}

#[cfg(unix)]
async fn list_ourselves(state: &mut HostState, directory: &File) -> Result<Listing, Errno> {
    match block_in_place_async(async { Listing::without_unspeakable(directory) }).await {
        Ok(Some((listing, left_out))) => {
            if left_out > 0
                && let Some(view) = &state.view
            {
                view.note_left_out(Some(directory));
            }
            Ok(listing)
        }
        Ok(None) => Err(ERRNO_NOMEM),
        Err(_) => Err(ERRNO_IO),
    }
}

#[cfg(not(unix))]
async fn list_ourselves(_state: &mut HostState, _directory: &File) -> Result<Listing, Errno> {
    Err(ERRNO_ILSEQ)
}

async fn list_once(wasi: &mut WasiP1Ctx, fd: u32) -> wasmtime::Result<Result<Listing, Errno>> {
    let mut room = LISTING;
    while room as usize <= Listings::ROOM {
        // The entries, then how many bytes they take.
        let mut scratch = vec![0; room as usize + 4];
        let memory = &mut GuestMemory::Unshared(&mut scratch);
        let call = preview1::fd_readdir(wasi, memory, fd.cast_signed(), 0, room.cast_signed(), 0, room.cast_signed());
        let errno = block_in_place_async(call).await?;
        if errno != 0 {
            return Ok(Err(errno.cast_unsigned()));
        }
        let used = scratch.last_chunk().map_or(0, |used| u32::from_le_bytes(*used));
        if used < room {
            scratch.truncate(used as usize);
            scratch.shrink_to_fit();
            return Ok(Ok(Listing::new(scratch)));
        }
        room *= 4;
    }
    Ok(Err(ERRNO_NOMEM))
}

async fn fd_sync(mut caller: Call<'_>, fd: u32) -> wasmtime::Result<Errno> {
    let wasi = caller.data_mut().wasi();
    let errno =
        block_in_place_async(preview1::fd_sync(wasi, &mut GuestMemory::Unshared(&mut []), fd.cast_signed())).await?;
    Ok(errno.cast_unsigned())
}

async fn fd_datasync(mut caller: Call<'_>, fd: u32) -> wasmtime::Result<Errno> {
    let wasi = caller.data_mut().wasi();
    let errno =
        block_in_place_async(preview1::fd_datasync(wasi, &mut GuestMemory::Unshared(&mut []), fd.cast_signed()))
            .await?;
    Ok(errno.cast_unsigned())
}

/// Waits, without the thread: wasmtime-wasi would put that to sleep where file calls may hold it, which the setting says that
/// is taken away meanwhile.
pub(super) async fn poll_oneoff(
    mut caller: Call<'_>,
    subscriptions: u32,
    events: u32,
    count: u32,
    happened: u32,
) -> wasmtime::Result<Errno> {
    if count > MAX_SUBSCRIPTIONS {
        return Ok(ERRNO_INVAL);
    }
    if caller.data().sockets.were_used() {
        return poll::poll_oneoff(caller, subscriptions, events, count, happened).await;
    }
    let mut files = WasiFilesystemCtx::default();
    std::mem::swap(caller.data_mut().wasi().ctx().ctx.filesystem(), &mut files);
    let [subscriptions, events, count, happened] = [subscriptions, events, count, happened].map(u32::cast_signed);
    let errno = call!(caller, poll_oneoff(subscriptions, events, count, happened));
    *caller.data_mut().wasi().ctx().ctx.filesystem() = files;
    Ok(errno)
}

/// What most directories fit in, in bytes.
const LISTING: u32 = 64 << 10;
/// How often a directory that changes is read again. Where something comes and goes all the time, every second reading fails.
const AGAIN: usize = 50;
/// What one `poll_oneoff` may wait for.
const MAX_SUBSCRIPTIONS: u32 = 1024;
/// Longer ones the kernel refuses.
const MAX_PATH: usize = 4096;
/// The size of what a stat gives.
const FILESTAT: usize = 64;
/// The size and alignment of a descriptor's number.
const FD: u32 = 4;
const SYMLINK_FOLLOW: u32 = 1 << 0;
const OFLAGS_CREAT: u32 = 1 << 0;
const OFLAGS_TRUNC: u32 = 1 << 3;
const RIGHTS_FD_WRITE: u64 = 1 << 6;
/// To allocate and to set the size: those who write ask for them too, and nobody else.
const RIGHTS_OF_WRITERS: u64 = 1 << 8 | 1 << 22;
const FDFLAGS_APPEND: u32 = 1 << 0;
