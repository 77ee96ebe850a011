//! Sockets as modules for `WasmEdge` import them: more functions of `wasi_snapshot_preview1`, so that such modules run unchanged.
//!
//! There are two versions of some, told apart by their parameters alone. A linker has one function of a name, so a module that
//! imports another version has a linker of its own. What listens and what is no stream is refused.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use wasmtime::{Caller, FuncType, ImportType, Linker, Module, Val, ValType};

use super::errno::{ERRNO_BADF, ERRNO_FAULT, ERRNO_INVAL, ERRNO_NOMEM, ERRNO_NOTSUP, ERRNO_SUCCESS, Errno, IntoErrno};
use super::file_calls;
use super::guest_memory::{Fault, WASI, memory, slice, write};
use super::sockets::{self, ERRNO_ACCES, errno, result};
use crate::host::state::HostState;
use crate::outbound::{Direction, Failure, Peer};

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(WASI, "sock_open", open)?;
    linker.func_wrap_async(WASI, "sock_connect", |caller, arguments| Box::new(connect(caller, arguments)))?;
    linker.func_wrap_async(WASI, "sock_getaddrinfo", |caller, arguments| Box::new(look_up(caller, arguments)))?;
    linker.func_wrap(
        WASI,
        "sock_getpeeraddr",
        |caller: Caller<'_, HostState>, fd: u32, address: u32, kind: u32, port: u32| {
            tell(caller, Side::Peer, fd, address, Some(kind), port)
        },
    )?;
    linker.func_wrap(
        WASI,
        "sock_getlocaladdr",
        |caller: Caller<'_, HostState>, fd: u32, address: u32, kind: u32, port: u32| {
            tell(caller, Side::Own, fd, address, Some(kind), port)
        },
    )?;
    linker.func_wrap(WASI, "sock_getsockopt", option)?;
    linker.func_wrap(WASI, "sock_setsockopt", set_option)?;
    linker.func_wrap_async(WASI, "epoll_oneoff", |caller, (subscriptions, events, count, happened)| {
        Box::new(file_calls::poll_oneoff(caller, subscriptions, events, count, happened))
    })?;
    for (name, parameters) in [("sock_bind", 3), ("sock_listen", 2), ("sock_recv_from", 7), ("sock_send_to", 7)] {
        refuse(linker, name, parameters)?;
    }
    Ok(())
}

/// Whether the function is one of those here.
#[cfg(feature = "compiler")]
pub(super) fn has(import: &ImportType<'_>) -> bool {
    import.module() == WASI && (NAMES.contains(&import.name()) || is_other_version(import))
}

/// `linker`, with the other versions that `module` imports.
pub(crate) fn with_versions<'a>(
    linker: &'a Linker<HostState>,
    module: &Module,
) -> wasmtime::Result<Cow<'a, Linker<HostState>>> {
    let others: Vec<_> = module.imports().filter(is_other_version).collect();
    if others.is_empty() {
        return Ok(Cow::Borrowed(linker));
    }
    let mut linker = linker.clone();
    linker.allow_shadowing(true);
    for import in others {
        match import.name() {
            "sock_getpeeraddr" => {
                linker.func_wrap(
                    WASI,
                    import.name(),
                    |caller: Caller<'_, HostState>, fd: u32, address: u32, port: u32| {
                        tell(caller, Side::Peer, fd, address, None, port)
                    },
                )?;
            }
            "sock_getlocaladdr" => {
                linker.func_wrap(
                    WASI,
                    import.name(),
                    |caller: Caller<'_, HostState>, fd: u32, address: u32, port: u32| {
                        tell(caller, Side::Own, fd, address, None, port)
                    },
                )?;
            }
            name => refuse(&mut linker, name, parameters(&import).unwrap_or_default())?,
        }
    }
    Ok(Cow::Owned(linker))
}

fn is_other_version(import: &ImportType<'_>) -> bool {
    let other = OTHER_VERSIONS.iter().find(|(name, _)| import.module() == WASI && import.name() == *name);
    other.is_some_and(|(_, count)| parameters(import) == Some(*count))
}

fn parameters(import: &ImportType<'_>) -> Option<usize> {
    Some(import.ty().func()?.params().len())
}

fn refuse(linker: &mut Linker<HostState>, name: &str, parameters: usize) -> wasmtime::Result<()> {
    let ty = FuncType::new(linker.engine(), vec![ValType::I32; parameters], [ValType::I32]);
    linker.func_new(WASI, name, ty, |_, _, results| {
        if let Some(result) = results.first_mut() {
            *result = Val::I32(ERRNO_NOTSUP.cast_signed());
        }
        Ok(())
    })?;
    Ok(())
}

fn open(caller: Caller<'_, HostState>, family: u32, kind: u32, number: u32) -> wasmtime::Result<Errno> {
    match (family, kind) {
        (INET4 | INET6, STREAM) => super::sockets::open(caller, number),
        (INET4 | INET6, 1) => Ok(ERRNO_PROTONOSUPPORT),
        (3, _) => Ok(ERRNO_AFNOSUPPORT),
        _ => Ok(ERRNO_INVAL),
    }
}

async fn connect(mut caller: Caller<'_, HostState>, (fd, address, port): (u32, u32, u32)) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd).filter(|socket| state.sockets.has(*socket)) else { return Ok(ERRNO_BADF) };
    let Some(address) = Place::read(bytes, address) else { return Ok(ERRNO_FAULT) };
    let address = match address.address(bytes) {
        Ok(Some(address)) => address,
        Ok(None) => return Ok(ERRNO_INVAL),
        Err(Fault) => return Ok(ERRNO_FAULT),
    };
    let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else { return Ok(ERRNO_INVAL) };
    Ok(result(state.sockets.connect(socket, Peer::Address(address), port).await))
}

/// Whose address is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Own,
    Peer,
}

/// Says whose address it is. The first version has a place for the address's kind, and the second has it with the address.
fn tell(
    mut caller: Caller<'_, HostState>,
    side: Side,
    fd: u32,
    address: u32,
    kind: Option<u32>,
    port: u32,
) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd).filter(|socket| state.sockets.has(*socket)) else { return Ok(ERRNO_BADF) };
    let (found, number) = match side {
        // A script is told nothing of the host's own addresses.
        Side::Own => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Side::Peer => match state.sockets.peer_of(socket) {
            Ok(peer) => (peer.ip(), peer.port()),
            Err(failure) => return Ok(errno(failure)),
        },
    };
    let Some(place) = Place::read(bytes, address) else { return Ok(ERRNO_FAULT) };
    let (octets, version, family) = match found {
        IpAddr::V4(found) => (found.octets().to_vec(), 4_u32, INET4),
        IpAddr::V6(found) => (found.octets().to_vec(), 6, INET6),
    };
    let written = match place.len {
        4 | 16 if (place.len as usize) < octets.len() => return Ok(ERRNO_NOMEM),
        4 | 16 => octets,
        TAGGED if kind.is_none() => family.to_le_bytes().into_iter().take(2).chain(octets).collect(),
        _ => return Ok(ERRNO_INVAL),
    };
    let wrote = write(bytes, place.at, &written)
        .and_then(|()| kind.map_or(Ok(()), |kind| write(bytes, kind, &version.to_le_bytes())))
        .and_then(|()| write(bytes, port, &u32::from(number).to_le_bytes()));
    Ok(wrote.into_errno())
}

fn option(
    mut caller: Caller<'_, HostState>,
    fd: u32,
    level: u32,
    name: u32,
    value: u32,
    size: u32,
) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd).filter(|socket| state.sockets.has(*socket)) else { return Ok(ERRNO_BADF) };
    if level != SOL_SOCKET {
        return Ok(ERRNO_NOPROTOOPT);
    }
    let number = |number: u32| number.to_le_bytes().to_vec();
    let Some(room) = u32_at(bytes, size) else { return Ok(ERRNO_FAULT) };
    let wanted = if matches!(name, SO_RCVTIMEO | SO_SNDTIMEO) { TIMEVAL } else { 4 };
    if (room as usize) < wanted {
        return Ok(ERRNO_INVAL);
    }
    let found = match name {
        SO_TYPE => Ok(number(STREAM)),
        SO_ERROR => state.sockets.take_error(socket).map(|failed| number(failed.map_or(ERRNO_SUCCESS, errno))),
        SO_SNDBUF | SO_RCVBUF => Ok(number(KERNEL_BUFFER)),
        SO_REUSEADDR | SO_KEEPALIVE | SO_ACCEPTCONN => Ok(number(0)),
        SO_RCVTIMEO => state.sockets.timeout(socket, Direction::Read).map(timeval),
        SO_SNDTIMEO => state.sockets.timeout(socket, Direction::Write).map(timeval),
        _ => return Ok(ERRNO_NOPROTOOPT),
    };
    Ok(match found {
        Ok(found) => {
            let len = u32::try_from(found.len()).unwrap_or(u32::MAX);
            write(bytes, value, &found).and_then(|()| write(bytes, size, &len.to_le_bytes())).into_errno()
        }
        Err(failure) => errno(failure),
    })
}

fn set_option(
    mut caller: Caller<'_, HostState>,
    fd: u32,
    level: u32,
    name: u32,
    value: u32,
    size: u32,
) -> wasmtime::Result<Errno> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(socket) = state.socket(fd).filter(|socket| state.sockets.has(*socket)) else { return Ok(ERRNO_BADF) };
    if level != SOL_SOCKET {
        return Ok(ERRNO_NOPROTOOPT);
    }
    let direction = match name {
        SO_RCVTIMEO => Direction::Read,
        SO_SNDTIMEO => Direction::Write,
        // Nothing that a client does differs by these.
        SO_REUSEADDR | SO_SNDBUF | SO_RCVBUF | SO_KEEPALIVE | SO_OOBINLINE | SO_LINGER => return Ok(ERRNO_SUCCESS),
        _ => return Ok(ERRNO_NOPROTOOPT),
    };
    let Some(given) = slice(bytes, value, size) else { return Ok(ERRNO_FAULT) };
    let Some(([seconds, microseconds], [])) = given.as_chunks::<8>().0.split_first_chunk::<2>() else {
        return Ok(ERRNO_INVAL);
    };
    let [seconds, microseconds] = [seconds, microseconds].map(|part| i64::from_le_bytes(*part));
    let (Ok(seconds), Ok(microseconds)) = (u64::try_from(seconds), u32::try_from(microseconds)) else {
        return Ok(ERRNO_INVAL);
    };
    let limit = Duration::from_secs(seconds).saturating_add(Duration::from_micros(microseconds.into()));
    Ok(result(state.sockets.set_timeout(socket, direction, Some(limit).filter(|limit| !limit.is_zero()))))
}

/// The name and its length, the service and its length, hints, where the first of the places is, how many there are, where it goes
/// how many were filled.
type LookUp = (u32, u32, u32, u32, u32, u32, u32, u32);

async fn look_up(mut caller: Caller<'_, HostState>, arguments: LookUp) -> wasmtime::Result<Errno> {
    let (node, node_len, service, service_len, hints, first, most, found) = arguments;
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let (Some(node), Some(service)) = (text(bytes, node, node_len), text(bytes, service, service_len)) else {
        return Ok(ERRNO_FAULT);
    };
    if most == 0 {
        return Ok(ERRNO_AIMEMORY);
    }
    if node.is_empty() && service.is_empty() {
        return Ok(ERRNO_AINONAME);
    }
    let Some(port) = port_of(service) else { return Ok(ERRNO_AISERVICE) };
    let family = match hints.checked_add(2).and_then(|at| slice(bytes, at, 1)) {
        Some([family]) if hints != 0 => u32::from(*family),
        Some(_) => 0,
        None => return Ok(ERRNO_FAULT),
    };
    // All the places are looked at before anything else is.
    let Some(places) = places(bytes, first, most) else { return Ok(ERRNO_FAULT) };
    let node = if node.is_empty() { "127.0.0.1".to_owned() } else { node.to_owned() };
    let addresses = match state.sockets.look_up(&node).await {
        Ok(addresses) => addresses,
        Err(Failure::NoSuchHost) => return Ok(ERRNO_AINONAME),
        Err(Failure::Denied) => return Ok(ERRNO_ACCES),
        Err(Failure::TooMany | Failure::Io(ErrorKind::TimedOut)) => return Ok(ERRNO_AIAGAIN),
        Err(_) => return Ok(ERRNO_AIFAIL),
    };
    let mut places = places.into_iter();
    let mut filled = 0_u32;
    for address in addresses {
        let (kind, len, data) = match address {
            IpAddr::V4(address) if family != INET6 => {
                (INET4, 16_u32, [&port.to_be_bytes()[..], &address.octets()].concat())
            }
            IpAddr::V6(address) if family != INET4 => {
                (INET6, 28, [&port.to_be_bytes()[..], &[0; 4], &address.octets(), &[0; 4]].concat())
            }
            _ => continue,
        };
        let Some(Entry { info, sockaddr, data: place, room }) = places.next() else { break };
        // Programs have more room for an address of version 4 than they say.
        if kind == INET6 && (room as usize) < data.len() {
            return Ok(ERRNO_AIMEMORY);
        }
        let [family] = [u8::try_from(kind).unwrap_or_default()];
        // No canonical name. Where the next one is stays as it was.
        let wrote = write(bytes, info, &[0, 0, family, 2, 1, 0, 0, 0])
            .and_then(|()| write(bytes, info.wrapping_add(8), &len.to_le_bytes()))
            .and_then(|()| write(bytes, info.wrapping_add(20), &[0; 4]))
            .and_then(|()| write(bytes, sockaddr, &[family]))
            .and_then(|()| write(bytes, place, &data));
        if wrote.is_err() {
            return Ok(ERRNO_FAULT);
        }
        filled += 1;
    }
    if filled == 0 {
        return Ok(ERRNO_AINONAME);
    }
    Ok(write(bytes, found, &filled.to_le_bytes()).into_errno())
}

/// Where one address goes: the entry, its sockaddr, that one's data and how much is said to fit.
struct Entry {
    info: u32,
    sockaddr: u32,
    data: u32,
    room: u32,
}

/// The chain of `most` places, of which the first one's address is at `first`.
fn places(bytes: &[u8], first: u32, most: u32) -> Option<Vec<Entry>> {
    let mut places = Vec::new();
    let mut info = u32_at(bytes, first)?;
    for left in (0..most.min(MOST_ENTRIES)).rev() {
        slice(bytes, info, ADDRINFO)?;
        let sockaddr = u32_at(bytes, info.checked_add(12)?)?;
        let (room, data) = (u32_at(bytes, sockaddr.checked_add(4)?)?, u32_at(bytes, sockaddr.checked_add(8)?)?);
        slice(bytes, data, room)?;
        places.push(Entry { info, sockaddr, data, room });
        if left > 0 {
            info = u32_at(bytes, info.checked_add(24)?)?;
        }
    }
    Some(places)
}

/// Where a module has an address.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u32,
    len: u32,
}

impl Place {
    fn read(bytes: &[u8], at: u32) -> Option<Self> {
        Some(Self { at: u32_at(bytes, at)?, len: u32_at(bytes, at.checked_add(4)?)? })
    }

    /// Nothing for what is no address.
    fn address(self, bytes: &[u8]) -> Result<Option<IpAddr>, Fault> {
        let given = slice(bytes, self.at, self.len).ok_or(Fault)?;
        let v4 = |octets: &[u8]| octets.first_chunk::<4>().map(|octets| IpAddr::from(Ipv4Addr::from(*octets)));
        let v6 = |octets: &[u8]| octets.first_chunk::<16>().map(|octets| IpAddr::from(Ipv6Addr::from(*octets)));
        Ok(match (self.len, given.split_first_chunk::<2>()) {
            (4, _) => v4(given),
            (16, _) => v6(given),
            (TAGGED, Some((family, rest))) => match u32::from(u16::from_le_bytes(*family)) {
                INET4 => v4(rest),
                INET6 => v6(rest),
                _ => None,
            },
            _ => None,
        })
    }
}

/// A text that ends in a NUL, which its length counts or not. What is not UTF-8 is no name.
fn text(bytes: &[u8], at: u32, len: u32) -> Option<&str> {
    let name = slice(bytes, at, len)?.split(|byte| *byte == 0).next()?;
    // What is too long or no text is a name that nobody has.
    Some(if name.is_empty() { "" } else { Some(sockets::text(name)).filter(|text| !text.is_empty()).unwrap_or("?") })
}

/// The port of a service by its number or name.
fn port_of(service: &str) -> Option<u16> {
    match service {
        "" => Some(0),
        "http" => Some(80),
        "https" => Some(443),
        "mysql" => Some(3306),
        "postgresql" => Some(5432),
        "redis" => Some(6379),
        "smtp" => Some(25),
        number => number.parse().ok(),
    }
}

/// Seconds and microseconds.
fn timeval(limit: Option<Duration>) -> Vec<u8> {
    let limit = limit.unwrap_or_default();
    [limit.as_secs(), limit.subsec_micros().into()].map(u64::to_le_bytes).concat()
}

fn u32_at(bytes: &[u8], at: u32) -> Option<u32> {
    slice(bytes, at, 4)?.first_chunk().copied().map(u32::from_le_bytes)
}

#[cfg(feature = "compiler")]
const NAMES: [&str; 12] = [
    "epoll_oneoff",
    "sock_bind",
    "sock_connect",
    "sock_getaddrinfo",
    "sock_getlocaladdr",
    "sock_getpeeraddr",
    "sock_getsockopt",
    "sock_listen",
    "sock_open",
    "sock_recv_from",
    "sock_send_to",
    "sock_setsockopt",
];
/// How many parameters they have.
const OTHER_VERSIONS: [(&str, usize); 4] =
    [("sock_accept", 2), ("sock_getlocaladdr", 3), ("sock_getpeeraddr", 3), ("sock_recv_from", 6)];
const INET4: u32 = 1;
const INET6: u32 = 2;
const STREAM: u32 = 2;
/// The length of an address with its family before it.
const TAGGED: u32 = 128;
const ADDRINFO: u32 = 28;
/// More addresses than a look-up gives.
const MOST_ENTRIES: u32 = 1024;
const TIMEVAL: usize = 16;
const KERNEL_BUFFER: u32 = 256 << 10;
const SOL_SOCKET: u32 = 0;
const SO_REUSEADDR: u32 = 0;
const SO_TYPE: u32 = 1;
const SO_ERROR: u32 = 2;
const SO_SNDBUF: u32 = 5;
const SO_RCVBUF: u32 = 6;
const SO_KEEPALIVE: u32 = 7;
const SO_OOBINLINE: u32 = 8;
const SO_LINGER: u32 = 9;
const SO_RCVTIMEO: u32 = 11;
const SO_SNDTIMEO: u32 = 12;
const SO_ACCEPTCONN: u32 = 13;
const ERRNO_AFNOSUPPORT: Errno = 5;
const ERRNO_NOPROTOOPT: Errno = 50;
const ERRNO_PROTONOSUPPORT: Errno = 66;
const ERRNO_AIAGAIN: Errno = 78;
const ERRNO_AIFAIL: Errno = 80;
const ERRNO_AIMEMORY: Errno = 82;
const ERRNO_AINONAME: Errno = 84;
const ERRNO_AISERVICE: Errno = 85;
