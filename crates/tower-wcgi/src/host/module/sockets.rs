//! Connections to other machines: the functions that scripts can import from `wcgi`, and preview 1's own calls on such a
//! descriptor. See `docs/network.md`.
//!
//! A socket's descriptor has a number that no file gets. What may be reached, and what is done, says `outbound`.

use std::io::ErrorKind;
use std::time::Duration;

use wasmtime::{AsContextMut as _, Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

use super::errno::{ERRNO_BADF, ERRNO_FAULT, ERRNO_INVAL, ERRNO_SUCCESS, Errno, IntoErrno};
use super::guest_memory::{Buffers, WASI, WCGI, memory, slice, slice_mut, write as write_to};
use super::preview1::{forward, told};
use crate::host::state::HostState;
use crate::outbound::{Direction, Failure};

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(WASI, "sock_recv", |caller, arguments| Box::new(sock_recv(caller, arguments)))?;
    linker.func_wrap_async(WASI, "sock_send", |caller, arguments| Box::new(sock_send(caller, arguments)))?;
    linker.func_wrap(WASI, "sock_shutdown", sock_shutdown)?;
    linker.func_wrap(WASI, "fd_fdstat_set_flags", fd_fdstat_set_flags)?;
    Ok(())
}

/// The functions of this host's own.
pub(super) fn define_own(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(WCGI, "net_open", open)?;
    linker.func_wrap_async(WCGI, "net_connect", |caller, arguments| Box::new(connect(caller, arguments)))?;
    linker.func_wrap_async(WCGI, "net_look_up", |caller, arguments| Box::new(look_up(caller, arguments)))?;
    linker.func_wrap(WCGI, "net_peer", peer)?;
    linker.func_wrap(WCGI, "net_error", error)?;
    linker.func_wrap(WCGI, "net_timeout", timeout)?;
    Ok(())
}

pub(super) fn open(mut caller: Caller<'_, HostState>, number: u32) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    // A socket under a number that nobody was told is never closed.
    if slice(bytes, number, 4).is_none() {
        return Ok(ERRNO_FAULT);
    }
    Ok(match state.sockets.open() {
        Ok(socket) => write_to(bytes, number, &state.descriptor(socket).to_le_bytes()).into_errno(),
        Err(failure) => errno(failure),
    })
}

/// The descriptor, the name or address of the host as text, the port.
type Connect = (u32, u32, u32, u32);

async fn connect(mut caller: Caller<'_, HostState>, (fd, host, len, port): Connect) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd) else { return Ok(ERRNO_BADF) };
    let Some(host) = slice(bytes, host, len) else { return Ok(ERRNO_FAULT) };
    let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else { return Ok(ERRNO_INVAL) };
    let text = text(host);
    let Some(peer) = state.sockets.peer(text) else {
        return Ok(if state.sockets.has(socket) { ERRNO_ACCES } else { ERRNO_BADF });
    };
    Ok(result(state.sockets.connect(socket, peer, port).await))
}

/// A name and its length, where addresses go and how many have room, where it goes how many there are.
type LookUp = (u32, u32, u32, u32, u32);

async fn look_up(mut caller: Caller<'_, HostState>, (name, len, room, most, found): LookUp) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(name) = slice(bytes, name, len) else { return Ok(ERRNO_FAULT) };
    let name = text(name);
    let addresses = match state.sockets.look_up(name).await {
        Ok(addresses) => addresses,
        Err(failure) => return Ok(errno(failure)),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let written: Vec<u8> = addresses.iter().take(most).flat_map(|address| address_bytes(*address)).collect();
    let count = u32::try_from(addresses.len().min(most)).unwrap_or(u32::MAX);
    Ok(write_to(bytes, room, &written).and_then(|()| write_to(bytes, found, &count.to_le_bytes())).into_errno())
}

fn peer(mut caller: Caller<'_, HostState>, fd: u32, address: u32, port: u32) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd) else { return Ok(ERRNO_BADF) };
    Ok(match state.sockets.peer_of(socket) {
        Ok(peer) => write_to(bytes, address, &address_bytes(peer.ip()))
            .and_then(|()| write_to(bytes, port, &u32::from(peer.port()).to_le_bytes()))
            .into_errno(),
        Err(failure) => errno(failure),
    })
}

fn error(mut caller: Caller<'_, HostState>, fd: u32, place: u32) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd) else { return Ok(ERRNO_BADF) };
    if slice(bytes, place, 4).is_none() {
        return Ok(ERRNO_FAULT);
    }
    Ok(match state.sockets.take_error(socket) {
        Ok(failed) => write_to(bytes, place, &failed.map_or(ERRNO_SUCCESS, errno).to_le_bytes()).into_errno(),
        Err(failure) => errno(failure),
    })
}

/// `which` is 0 for reads and 1 for writes; no nanoseconds is no limit.
fn timeout(mut caller: Caller<'_, HostState>, fd: u32, which: u32, nanoseconds: u64) -> Errno {
    let state = caller.data_mut();
    let Some(socket) = state.socket(fd) else { return ERRNO_BADF };
    let direction = match which {
        0 => Direction::Read,
        1 => Direction::Write,
        _ => return ERRNO_INVAL,
    };
    let limit = Some(Duration::from_nanos(nanoseconds)).filter(|limit| !limit.is_zero());
    result(state.sockets.set_timeout(socket, direction, limit))
}

/// `fd_write` on a socket.
pub(super) async fn write(
    mut caller: Caller<'_, HostState>,
    socket: usize,
    buffers: Buffers,
    written: u32,
) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    if !state.sockets.has(socket) {
        return Ok(ERRNO_BADF);
    }
    let mut total = 0_u32;
    for index in 0..buffers.at_once() {
        let buffer = buffers.get(bytes, index);
        let Some((piece, len)) = buffer.and_then(|(at, len)| Some((slice(bytes, at, len)?, len))) else {
            return Ok(ERRNO_FAULT);
        };
        // A vector may name the same bytes over and over.
        let Some(sum) = total.checked_add(len) else { break };
        match state.sockets.write(socket, piece).await {
            Ok(count) => total += u32::try_from(count).unwrap_or(len),
            Err(failure) if total == 0 => return Ok(errno(failure)),
            Err(_) => break,
        }
        // The kernel takes no more.
        if total < sum {
            break;
        }
    }
    Ok(write_to(bytes, written, &total.to_le_bytes()).into_errno())
}

/// `fd_read` on a socket, and `sock_recv` with its flags.
pub(super) async fn read(
    mut caller: Caller<'_, HostState>,
    socket: usize,
    buffers: Buffers,
    flags: u32,
    read: u32,
) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    if slice(bytes, read, 4).is_none() {
        return Ok(ERRNO_FAULT);
    }
    if !state.sockets.has(socket) {
        return Ok(ERRNO_BADF);
    }
    let (peek, all) = (flags & RECV_PEEK != 0, flags & RECV_WAITALL != 0);
    let mut total = 0_u32;
    for index in 0..buffers.at_once() {
        let target = buffers.get(bytes, index).and_then(|(at, len)| slice_mut(bytes, at, len));
        let Some(target) = target else { return Ok(ERRNO_FAULT) };
        let mut rest = target;
        while !rest.is_empty() {
            let count = match state.sockets.read(socket, rest, peek).await {
                Ok(count) => count,
                Err(failure) if total == 0 => return Ok(errno(failure)),
                Err(_) => 0,
            };
            let Some(sum) = u32::try_from(count).ok().and_then(|count| total.checked_add(count)) else { break };
            total = sum;
            // A peek sees what is there, and again from its beginning.
            if count == 0 || !all || peek {
                return Ok(write_to(bytes, read, &total.to_le_bytes()).into_errno());
            }
            rest = rest.get_mut(count..).unwrap_or_default();
        }
    }
    Ok(write_to(bytes, read, &total.to_le_bytes()).into_errno())
}

/// `fd_fdstat_get` on a socket: its kind, whether it blocks, and that it can be read and written.
pub(super) fn fdstat(caller: &mut Caller<'_, HostState>, socket: usize, place: u32) -> wasmtime::Result<Errno> {
    let memory = memory(caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut *caller);
    let flags = match state.sockets.is_non_blocking(socket) {
        Ok(true) => FDFLAGS_NONBLOCK,
        Ok(false) => 0,
        Err(failure) => return Ok(errno(failure)),
    };
    let kind = u64::from(FILETYPE_SOCKET_STREAM) | u64::from(flags) << 16;
    let fields = [kind, RIGHTS_OF_SOCKETS, 0].map(u64::to_le_bytes).concat();
    Ok(write_to(bytes, place, &fields).into_errno())
}

/// `fd_filestat_get` on a socket, which has no more than a kind.
pub(super) fn filestat(caller: &mut Caller<'_, HostState>, socket: usize, place: u32) -> wasmtime::Result<Errno> {
    if !caller.data().sockets.has(socket) {
        return Ok(ERRNO_BADF);
    }
    let fields = [0, 0, u64::from(FILETYPE_SOCKET_STREAM), 1, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
    let memory = memory(caller)?;
    Ok(write_to(memory.data_mut(&mut *caller), place, &fields).into_errno())
}

/// `fd_close` on a socket.
pub(super) fn close(state: &mut HostState, socket: usize) -> Errno {
    result(state.sockets.close(socket))
}

/// `sock_recv`'s arguments: the descriptor, the buffers and their count, flags, where it goes how much was read and with which flags.
type Receive = (u32, u32, u32, u32, u32, u32);

async fn sock_recv(mut caller: Caller<'_, HostState>, arguments: Receive) -> wasmtime::Result<Errno> {
    let (fd, at, count, flags, place, received) = arguments;
    let Some(socket) = caller.data().socket(fd) else {
        let [fd, at, count, flags, place, received] = [fd, at, count, flags, place, received].map(u32::cast_signed);
        return forward!(caller, HostState::wasi, sock_recv(fd, at, count, flags, place, received));
    };
    if flags & !(RECV_PEEK | RECV_WAITALL) != 0 {
        return Ok(ERRNO_INVAL);
    }
    let memory = memory(&mut caller)?;
    if write_to(memory.data_mut(&mut caller), received, &[0; 2]).is_err() {
        return Ok(ERRNO_FAULT);
    }
    read(caller, socket, Buffers { at, count }, flags, place).await
}

/// The same for `sock_send`: the flags, of which there are none, then where it goes how much was written.
type Send = (u32, u32, u32, u32, u32);

async fn sock_send(
    mut caller: Caller<'_, HostState>,
    (fd, at, count, flags, written): Send,
) -> wasmtime::Result<Errno> {
    let Some(socket) = caller.data().socket(fd) else {
        let [fd, at, count, flags, written] = [fd, at, count, flags, written].map(u32::cast_signed);
        return forward!(caller, HostState::wasi, sock_send(fd, at, count, flags, written));
    };
    if flags != 0 {
        return Ok(ERRNO_INVAL);
    }
    write(caller, socket, Buffers { at, count }, written).await
}

fn sock_shutdown(mut caller: Caller<'_, HostState>, fd: u32, how: u32) -> wasmtime::Result<Errno> {
    let Some(socket) = caller.data().socket(fd) else {
        return forward!(caller, HostState::wasi, sock_shutdown(fd.cast_signed(), how.cast_signed()));
    };
    let directions: &[Direction] = match how {
        1 => &[Direction::Read],
        2 => &[Direction::Write],
        3 => &[Direction::Read, Direction::Write],
        _ => return Ok(ERRNO_INVAL),
    };
    Ok(result(caller.data_mut().sockets.shutdown(socket, directions)))
}

fn fd_fdstat_set_flags(mut caller: Caller<'_, HostState>, fd: u32, flags: u32) -> wasmtime::Result<Errno> {
    let Some(socket) = caller.data().socket(fd) else {
        return forward!(caller, HostState::wasi, fd_fdstat_set_flags(fd.cast_signed(), flags.cast_signed()));
    };
    if flags & !FDFLAGS != 0 {
        return Ok(ERRNO_INVAL);
    }
    Ok(result(caller.data_mut().sockets.set_non_blocking(socket, flags & FDFLAGS_NONBLOCK != 0)))
}

/// A name as text. What is none gives no text.
pub(super) fn text(name: &[u8]) -> &str {
    name.get(..MAX_NAME + 1).map_or_else(|| std::str::from_utf8(name).unwrap_or_default(), |_| "")
}

/// The address's version in four bytes, then its own bytes, and zeros up to 16.
fn address_bytes(address: std::net::IpAddr) -> [u8; ADDRESS] {
    let mut bytes = [0; ADDRESS];
    let (version, place) = bytes.split_at_mut(4);
    match address {
        std::net::IpAddr::V4(address) => {
            version.copy_from_slice(&4_u32.to_le_bytes());
            place.iter_mut().zip(address.octets()).for_each(|(place, byte)| *place = byte);
        }
        std::net::IpAddr::V6(address) => {
            version.copy_from_slice(&6_u32.to_le_bytes());
            place.copy_from_slice(&address.octets());
        }
    }
    bytes
}

pub(super) fn result(result: Result<(), Failure>) -> Errno {
    result.map_or_else(errno, |()| ERRNO_SUCCESS)
}

pub(super) fn errno(failure: Failure) -> Errno {
    match failure {
        Failure::Denied | Failure::Inside => ERRNO_ACCES,
        Failure::TooMany | Failure::HostLimit => 33,
        Failure::NoSuchHost => 44,
        Failure::NoSocket => ERRNO_BADF,
        Failure::InProgress => 26,
        Failure::Already => 7,
        Failure::IsConnected => 30,
        Failure::Io(kind) => match kind {
            ErrorKind::WouldBlock => 6,
            ErrorKind::PermissionDenied => ERRNO_ACCES,
            ErrorKind::AddrInUse => 3,
            ErrorKind::AddrNotAvailable => 4,
            ErrorKind::ConnectionAborted => 13,
            ErrorKind::ConnectionRefused => 14,
            ErrorKind::ConnectionReset => 15,
            ErrorKind::HostUnreachable => 23,
            ErrorKind::InvalidInput => ERRNO_INVAL,
            ErrorKind::NetworkDown => 38,
            ErrorKind::NetworkUnreachable => ERRNO_NETUNREACH,
            ErrorKind::OutOfMemory => 48,
            ErrorKind::NotConnected => 53,
            ErrorKind::Unsupported => 58,
            ErrorKind::BrokenPipe => 64,
            ErrorKind::TimedOut => 73,
            _ => 29,
        },
    }
}

/// Longer ones are no names, with the dot at their end.
const MAX_NAME: usize = 255;
/// The size of an address as `net_look_up` and `net_peer` write it.
const ADDRESS: usize = 20;
const RECV_PEEK: u32 = 1 << 0;
const RECV_WAITALL: u32 = 1 << 1;
const FDFLAGS: u32 = 0x1f;
const FDFLAGS_NONBLOCK: u32 = 1 << 2;
const FILETYPE_SOCKET_STREAM: u8 = 6;
/// To read, set flags, write, stat, poll and shut down.
const RIGHTS_OF_SOCKETS: u64 = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 21 | 1 << 27 | 1 << 28;
pub(super) const ERRNO_ACCES: Errno = 2;
pub(super) const ERRNO_NETUNREACH: Errno = 40;
