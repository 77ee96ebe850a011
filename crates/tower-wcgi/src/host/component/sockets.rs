//! `wasi:sockets` for components: TCP clients and look-ups, by the same rules and limits as for modules.
//!
//! wasmtime-wasi's sockets connect to the address that the component names, of one family. Here a name may stand for a target of
//! another kind, so the resource is our own. A connect is over before `start-connect` returns; what listens is refused.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::vec;

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::ShutdownType;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult, subscribe,
};

use super::shadow::replace;
use crate::host::state::HostState;
use crate::outbound::{Connection, Direction, Failure, Peer};

type Store<'a> = StoreContextMut<'a, HostState>;
type Told<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut names = replace(linker, "sockets/ip-name-lookup", "resolve-addresses")?;
    names.resource("resolve-address-stream", ResourceType::host::<Addresses>(), |mut store, addresses| {
        store.data_mut().ctx().table.delete(Resource::<Addresses>::new_own(addresses))?;
        Ok(())
    })?;
    names.func_wrap_async("resolve-addresses", |store, arguments| Box::new(look_up(store, arguments)))?;
    names.func_wrap("[method]resolve-address-stream.resolve-next-address", next_address)?;
    names.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: Store<'_>, (this,): (Resource<Addresses>,)| Ok((subscribe(store.data_mut().ctx().table, this)?,)),
    )?;

    let mut create = replace(linker, "sockets/tcp-create-socket", "create-tcp-socket")?;
    create.func_wrap("create-tcp-socket", open)?;

    let mut tcp = replace(linker, "sockets/tcp", "[method]tcp-socket.start-connect")?;
    tcp.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, socket| {
        let socket = store.data_mut().ctx().table.delete(Resource::<TcpSocket>::new_own(socket))?;
        // Its streams are gone by now.
        let _ = store.data_mut().sockets.close(socket.number);
        Ok(())
    })?;
    tcp.func_wrap_async("[method]tcp-socket.start-connect", |store, arguments| Box::new(connect(store, arguments)))?;
    tcp.func_wrap("[method]tcp-socket.finish-connect", finish_connect)?;
    tcp.func_wrap("[method]tcp-socket.remote-address", remote_address)?;
    tcp.func_wrap("[method]tcp-socket.local-address", local_address)?;
    tcp.func_wrap("[method]tcp-socket.address-family", |mut store: Store<'_>, (this,): (Resource<TcpSocket>,)| {
        Ok((family(store.data_mut().ctx().table.get(&this)?.is_v6),))
    })?;
    tcp.func_wrap("[method]tcp-socket.subscribe", |mut store: Store<'_>, (this,): (Resource<TcpSocket>,)| {
        Ok((subscribe(store.data_mut().ctx().table, this)?,))
    })?;
    tcp.func_wrap("[method]tcp-socket.shutdown", shutdown)?;
    tcp.func_wrap("[method]tcp-socket.is-listening", |_: Store<'_>, (_,): (Resource<TcpSocket>,)| Ok((false,)))?;
    define_listening(&mut tcp)?;
    define_options(&mut tcp)
}

/// What a server does.
fn define_listening(tcp: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    type Bind = (Resource<TcpSocket>, Resource<Network>, IpSocketAddress);
    type Accepted = (Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>);
    tcp.func_wrap("[method]tcp-socket.start-bind", |_: Store<'_>, _: Bind| refused::<()>())?;
    for name in ["finish-bind", "start-listen", "finish-listen"] {
        let name = format!("[method]tcp-socket.{name}");
        tcp.func_wrap(&name, |_: Store<'_>, (_,): (Resource<TcpSocket>,)| refused::<()>())?;
    }
    tcp.func_wrap("[method]tcp-socket.accept", |_: Store<'_>, (_,): (Resource<TcpSocket>,)| refused::<Accepted>())?;
    Ok(())
}

/// What nothing that a client does differs by: it can be set and is as it was.
fn define_options(tcp: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    fn option<T>(tcp: &mut LinkerInstance<'_, HostState>, name: &str, value: T) -> wasmtime::Result<()>
    where
        T: ComponentType + Lift + Lower + Copy + Send + Sync + 'static,
    {
        tcp.func_wrap(&format!("[method]tcp-socket.{name}"), move |_: Store<'_>, (_,): (Resource<TcpSocket>,)| {
            wasmtime::Result::Ok((Ok::<T, ErrorCode>(value),))
        })?;
        set_option::<T>(tcp, name)
    }
    fn set_option<T>(tcp: &mut LinkerInstance<'_, HostState>, name: &str) -> wasmtime::Result<()>
    where
        T: ComponentType + Lift + Send + Sync + 'static,
    {
        tcp.func_wrap(&format!("[method]tcp-socket.set-{name}"), |_: Store<'_>, _: (Resource<TcpSocket>, T)| {
            wasmtime::Result::Ok((Ok::<(), ErrorCode>(()),))
        })
    }
    set_option::<u64>(tcp, "listen-backlog-size")?;
    option(tcp, "keep-alive-enabled", false)?;
    option(tcp, "keep-alive-idle-time", TWO_HOURS)?;
    option(tcp, "keep-alive-interval", 75 * SECOND)?;
    option(tcp, "keep-alive-count", 9_u32)?;
    option(tcp, "hop-limit", 64_u8)?;
    option(tcp, "receive-buffer-size", KERNEL_BUFFER)?;
    option(tcp, "send-buffer-size", KERNEL_BUFFER)
}

/// What a look-up has given.
struct Addresses(vec::IntoIter<IpAddress>);

#[async_trait]
impl Pollable for Addresses {
    async fn ready(&mut self) {}
}

async fn look_up(mut store: Store<'_>, (_, name): (Resource<Network>, String)) -> Told<Resource<Addresses>> {
    let found = match store.data_mut().sockets.look_up(&name).await {
        Ok(found) => found,
        Err(failure) => return Ok((Err(code(failure)),)),
    };
    let found: Vec<IpAddress> = found.into_iter().map(IpAddress::from).collect();
    Ok((Ok(store.data_mut().ctx().table.push(Addresses(found.into_iter()))?),))
}

fn next_address(mut store: Store<'_>, (this,): (Resource<Addresses>,)) -> Told<Option<IpAddress>> {
    Ok((Ok(store.data_mut().ctx().table.get_mut(&this)?.0.next()),))
}

/// A socket, of which all but a few things are known elsewhere.
struct TcpSocket {
    number: usize,
    is_v6: bool,
    /// What came of the connect, until it is asked for.
    outcome: Option<Result<(), Failure>>,
}

#[async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {}
}

fn open(mut store: Store<'_>, (family,): (IpAddressFamily,)) -> Told<Resource<TcpSocket>> {
    let state = store.data_mut();
    let number = match state.sockets.open() {
        Ok(number) => number,
        Err(failure) => return Ok((Err(code(failure)),)),
    };
    let socket = TcpSocket { number, is_v6: matches!(family, IpAddressFamily::Ipv6), outcome: None };
    Ok((Ok(state.ctx().table.push(socket)?),))
}

type Connect = (Resource<TcpSocket>, Resource<Network>, IpSocketAddress);

async fn connect(mut store: Store<'_>, (this, _, address): Connect) -> Told<()> {
    let address = SocketAddr::from(address);
    let state = store.data_mut();
    let socket = state.ctx().table.get(&this)?;
    if socket.outcome.is_some() {
        return Ok((Err(ErrorCode::ConcurrencyConflict),));
    }
    if socket.is_v6 != address.is_ipv6() || address.port() == 0 {
        return Ok((Err(ErrorCode::InvalidArgument),));
    }
    let number = socket.number;
    let outcome = state.sockets.connect(number, Peer::Address(address.ip()), address.port()).await;
    if outcome == Err(Failure::IsConnected) {
        return Ok((Err(ErrorCode::InvalidState),));
    }
    state.ctx().table.get_mut(&this)?.outcome = Some(outcome);
    Ok((Ok(()),))
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

fn finish_connect(mut store: Store<'_>, (this,): (Resource<TcpSocket>,)) -> Told<Streams> {
    let state = store.data_mut();
    let socket = state.ctx().table.get_mut(&this)?;
    let number = socket.number;
    match socket.outcome.take() {
        None => return Ok((Err(ErrorCode::NotInProgress),)),
        Some(Err(failure)) => return Ok((Err(code(failure)),)),
        Some(Ok(())) => {}
    }
    let connection = match state.sockets.connection(number) {
        Ok(connection) => connection,
        Err(failure) => return Ok((Err(code(failure)),)),
    };
    let table = state.ctx().table;
    let input: DynInputStream = Box::new(Incoming(Arc::clone(&connection)));
    let output: DynOutputStream = Box::new(Outgoing { connection, rest: Bytes::new() });
    Ok((Ok((table.push_child(input, &this)?, table.push_child(output, &this)?)),))
}

fn remote_address(mut store: Store<'_>, (this,): (Resource<TcpSocket>,)) -> Told<IpSocketAddress> {
    let state = store.data_mut();
    let number = state.ctx().table.get(&this)?.number;
    Ok((state.sockets.peer_of(number).map(IpSocketAddress::from).map_err(code),))
}

/// A script is told nothing of the host's own addresses.
fn local_address(mut store: Store<'_>, (this,): (Resource<TcpSocket>,)) -> Told<IpSocketAddress> {
    let state = store.data_mut();
    let socket = state.ctx().table.get(&this)?;
    let (number, is_v6) = (socket.number, socket.is_v6);
    let none = if is_v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let own = state.sockets.peer_of(number).map(|_| IpSocketAddress::from(SocketAddr::new(none, 0)));
    Ok((own.map_err(code),))
}

fn shutdown(mut store: Store<'_>, (this, how): (Resource<TcpSocket>, ShutdownType)) -> Told<()> {
    let state = store.data_mut();
    let number = state.ctx().table.get(&this)?.number;
    let directions: &[Direction] = match how {
        ShutdownType::Receive => &[Direction::Read],
        ShutdownType::Send => &[Direction::Write],
        ShutdownType::Both => &[Direction::Read, Direction::Write],
    };
    Ok((state.sockets.shutdown(number, directions).map_err(code),))
}

struct Incoming(Arc<Connection>);

#[async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        self.0.ready(Direction::Read).await;
    }
}

impl InputStream for Incoming {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; size.min(MAX_READ)];
        match self.0.read(&mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer.into())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

struct Outgoing {
    connection: Arc<Connection>,
    /// What the kernel did not take, which is nothing as a rule.
    rest: Bytes,
}

impl Outgoing {
    fn send_rest(&mut self) -> StreamResult<()> {
        while !self.rest.is_empty() {
            match self.connection.write(&self.rest) {
                Ok(count) => drop(self.rest.split_to(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Pollable for Outgoing {
    async fn ready(&mut self) {
        loop {
            self.connection.ready(Direction::Write).await;
            // What fails is told by the next call.
            if self.send_rest().is_err() || self.rest.is_empty() {
                return;
            }
        }
    }
}

#[async_trait]
impl OutputStream for Outgoing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.rest.is_empty() {
            return Err(StreamError::trap("a write that nothing has allowed"));
        }
        self.rest = bytes;
        self.send_rest()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.send_rest()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.send_rest()?;
        Ok(if self.rest.is_empty() && self.connection.is_ready(Direction::Write) { MAX_WRITE } else { 0 })
    }

    /// Every write comes here. After `check-write` it does not wait.
    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.ready().await;
        self.write(bytes)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Whoever could still be told of a failure is gone.
        let _ = self.send_rest();
    }
}

fn failed(error: std::io::Error) -> StreamError {
    // A write to a peer that is gone is the end of the stream.
    match error.kind() {
        ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

fn refused<T>() -> Told<T> {
    Ok((Err(ErrorCode::NotSupported),))
}

fn family(is_v6: bool) -> IpAddressFamily {
    if is_v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 }
}

fn code(failure: Failure) -> ErrorCode {
    match failure {
        Failure::Denied | Failure::Inside => ErrorCode::AccessDenied,
        Failure::TooMany | Failure::HostLimit => ErrorCode::NewSocketLimit,
        Failure::NoSuchHost => ErrorCode::NameUnresolvable,
        Failure::IsConnected => ErrorCode::InvalidState,
        Failure::Already | Failure::InProgress => ErrorCode::ConcurrencyConflict,
        Failure::NoSocket => ErrorCode::Unknown,
        Failure::Io(kind) => match kind {
            ErrorKind::PermissionDenied => ErrorCode::AccessDenied,
            ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            ErrorKind::ConnectionReset => ErrorCode::ConnectionReset,
            ErrorKind::ConnectionAborted => ErrorCode::ConnectionAborted,
            ErrorKind::TimedOut => ErrorCode::Timeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                ErrorCode::RemoteUnreachable
            }
            ErrorKind::NotConnected => ErrorCode::InvalidState,
            _ => ErrorCode::Unknown,
        },
    }
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
const TWO_HOURS: u64 = 7200 * SECOND;
const KERNEL_BUFFER: u64 = 256 << 10;
const MAX_READ: usize = 64 << 10;
/// What the kernel takes at once when it takes anything.
const MAX_WRITE: usize = 32 << 10;
