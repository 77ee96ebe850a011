//! The sockets of one exchange, by number, and what it has learned of names.
//!
//! In: what a script calls. Out: what is done, or why not. All of them are closed when this is dropped: as usual after a normal
//! end, and with a reset after any other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::allow::Peer;
use super::dial::{Connection, Way, dial};
use super::failure::Failure;
use super::refused::Refused;
use super::resolve::Places;
use super::rule::Name;
use super::service::Outbound;
use super::stream::Direction;
use crate::request::RequestId;

pub(crate) struct Sockets {
    pub(super) outbound: Arc<Outbound>,
    request_id: RequestId,
    sockets: Vec<Option<Socket>>,
    /// Addresses that were given for names, stand-ins among them.
    known: Vec<(IpAddr, Name)>,
    look_ups: usize,
    /// Made when something is first connected or looked up.
    places: Option<Places>,
    refused: Refused,
    ended_well: bool,
}

/// One socket.
struct Socket {
    state: State,
    /// What the script has not been told of yet.
    error: Option<Failure>,
    is_non_blocking: bool,
    /// As the script asked for it.
    peer: Option<(Peer, u16)>,
    timeouts: [Option<Duration>; 2],
}

enum State {
    Fresh,
    Connecting(Pin<Box<dyn Future<Output = Result<Connection, Failure>> + Send>>),
    Connected(Arc<Connection>),
}

/// How long a read or a write waits.
type Timeout = Option<Duration>;

impl Sockets {
    pub(crate) fn new(outbound: Arc<Outbound>, request_id: RequestId) -> Self {
        let (sockets, known, refused) = (Vec::new(), Vec::new(), Refused::default());
        Self { outbound, request_id, sockets, known, look_ups: 0, places: None, refused, ended_well: false }
    }

    /// Whether the script has had any.
    pub(crate) fn were_used(&self) -> bool {
        !self.sockets.is_empty()
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        self.sockets.get(number).is_some_and(Option::is_some)
    }

    /// A new socket, under the lowest number that is free.
    pub(crate) fn open(&mut self) -> Result<usize, Failure> {
        let socket =
            Socket { state: State::Fresh, error: None, is_non_blocking: false, peer: None, timeouts: [None; 2] };
        if let Some((number, place)) = self.sockets.iter_mut().enumerate().find(|(_, place)| place.is_none()) {
            *place = Some(socket);
            return Ok(number);
        }
        if self.sockets.len() >= MAX_SOCKETS {
            return Err(Failure::TooMany);
        }
        self.sockets.push(Some(socket));
        Ok(self.sockets.len() - 1)
    }

    /// Closes it. What was written is sent.
    pub(crate) fn close(&mut self, number: usize) -> Result<(), Failure> {
        match self.sockets.get_mut(number).and_then(Option::take) {
            Some(_) => Ok(()),
            None => Err(Failure::NoSocket),
        }
    }

    /// Connects it, or begins to.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] when no rule allows it, which is logged; [`Failure::InProgress`] where the socket does not block.
    pub(crate) async fn connect(&mut self, number: usize, peer: Peer, port: u16) -> Result<(), Failure> {
        match self.socket(number)?.state {
            State::Fresh => {}
            State::Connecting(_) => {
                let is_settled = poll_fn(|cx| Poll::Ready(self.poll_settled(cx, number).is_ready())).await;
                return Err(match self.take_error(number)? {
                    _ if !is_settled => Failure::Already,
                    Some(failure) => failure,
                    None => Failure::IsConnected,
                });
            }
            State::Connected(_) => return Err(Failure::IsConnected),
        }
        let way = self.way(&peer, port)?;
        let connected =
            |socket: &&Option<Socket>| socket.as_ref().is_some_and(|socket| !matches!(socket.state, State::Fresh));
        if self.sockets.iter().filter(connected).count() >= self.outbound.limits.connections {
            return Err(Failure::TooMany);
        }
        let (outbound, places) = (Arc::clone(&self.outbound), self.places());
        let socket = self.socket(number)?;
        socket.peer = Some((peer, port));
        socket.error = None;
        socket.state = State::Connecting(Box::pin(dial(outbound, places, way)));
        // Begins, whether anybody waits for it or not.
        let is_non_blocking = socket.is_non_blocking;
        let settled = poll_fn(|cx| match self.poll_settled(cx, number) {
            Poll::Pending if is_non_blocking => Poll::Ready(Ok(false)),
            polled => polled.map_ok(|()| true),
        });
        match settled.await {
            Ok(true) => self.take_error(number)?.map_or(Ok(()), Err),
            Ok(false) => Err(Failure::InProgress),
            Err(failure) => Err(failure),
        }
    }

    /// The addresses by which the script can reach `text`, a name or an address.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSuchHost`] for a name that no rule has, which is not looked up but logged, and for one that has no address.
    /// [`Failure::Denied`] for one that leads inside only.
    pub(crate) async fn look_up(&mut self, text: &str) -> Result<Vec<IpAddr>, Failure> {
        let name = match self.peer(text) {
            Some(Peer::Name(name)) => name,
            Some(Peer::Address(address)) => return Ok(vec![address]),
            None => return Err(Failure::NoSuchHost),
        };
        if !self.outbound.rules.know(&name) {
            self.note(&Peer::Name(name), None, false);
            return Err(Failure::NoSuchHost);
        }
        if self.outbound.rules.redirects(&name) {
            return self.stand_in(&name).map(|address| vec![address]);
        }
        if self.look_ups >= MAX_LOOK_UPS {
            return Err(Failure::TooMany);
        }
        self.look_ups += 1;
        let (outbound, places) = (Arc::clone(&self.outbound), self.places());
        let look_up = tokio::time::timeout(outbound.limits.connect, outbound.resolver.look_up(&name, &places));
        let mut addresses = look_up.await.unwrap_or(Err(Failure::Io(ErrorKind::TimedOut)))?;
        addresses.retain(|address| outbound.rules.allow(Some(&name), *address, None));
        if addresses.is_empty() {
            self.note(&Peer::Name(name), None, true);
            return Err(Failure::Denied);
        }
        for address in &addresses {
            self.know(*address, &name)?;
        }
        Ok(addresses)
    }

    /// What `text` is: a name, or an address.
    pub(crate) fn peer(&self, text: &str) -> Option<Peer> {
        if text.len() > MAX_TEXT {
            return None;
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Some(Peer::Address(address)),
            Err(_) => Name::parse(text).ok().map(Peer::Name),
        }
    }

    /// The peer's address, as the script asked for it. A name that it asked for has an address that stands for it.
    pub(crate) fn peer_of(&mut self, number: usize) -> Result<SocketAddr, Failure> {
        let socket = self.socket(number)?;
        let (State::Connected(_), Some((peer, port))) = (&socket.state, socket.peer.clone()) else {
            return Err(Failure::Io(ErrorKind::NotConnected));
        };
        let address = match peer {
            Peer::Address(address) => address,
            Peer::Name(name) => self.stand_in(&name)?,
        };
        Ok(SocketAddr::new(address, port))
    }

    /// Reads some bytes, waiting for the first if the socket blocks; none at the end.
    pub(crate) async fn read(&mut self, number: usize, buffer: &mut [u8], peek: bool) -> Result<usize, Failure> {
        let wait = self.wait(number, Direction::Read)?;
        in_time(wait, |cx| {
            self.poll_connected(cx, number, |cx, connection| connection.stream.poll_read(cx, buffer, peek))
        })
        .await
    }

    /// Writes all of `bytes` if the socket blocks, else as much as the kernel takes. What was written before a failure counts.
    pub(crate) async fn write(&mut self, number: usize, bytes: &[u8]) -> Result<usize, Failure> {
        let wait = self.wait(number, Direction::Write)?;
        let mut written = 0;
        loop {
            let rest = bytes.get(written..).unwrap_or_default();
            let piece = rest.get(..PIECE).unwrap_or(rest);
            let wrote = in_time(wait, |cx| {
                self.poll_connected(cx, number, |cx, connection| connection.stream.poll_write(cx, piece))
            });
            match wrote.await {
                Ok(count) => written += count,
                Err(failure) if written == 0 => return Err(failure),
                Err(_) => return Ok(written),
            }
            if written >= bytes.len() {
                return Ok(written);
            }
            // A peer that reads as fast as this writes must not keep the thread here.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Ready when a read or a write would not wait, with how many bytes there are to read.
    pub(crate) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        number: usize,
        direction: Direction,
    ) -> Poll<Result<u64, Failure>> {
        if let Err(failure) = ready!(self.poll_settled(cx, number)) {
            return Poll::Ready(Err(failure));
        }
        let socket = match self.socket(number) {
            Ok(socket) => socket,
            Err(failure) => return Poll::Ready(Err(failure)),
        };
        match &socket.state {
            State::Connected(connection) if socket.error.is_none() => {
                ready!(connection.stream.poll_ready(cx, direction));
                let bytes = if direction == Direction::Read { connection.stream.available() } else { 0 };
                Poll::Ready(Ok(bytes))
            }
            _ => Poll::Ready(Ok(0)),
        }
    }

    pub(crate) fn shutdown(&mut self, number: usize, directions: &[Direction]) -> Result<(), Failure> {
        match &self.socket(number)?.state {
            State::Connected(connection) => Ok(connection.stream.shutdown(directions)?),
            State::Fresh | State::Connecting(_) => Err(Failure::Io(ErrorKind::NotConnected)),
        }
    }

    /// The connection itself, for what holds it besides.
    pub(crate) fn connection(&mut self, number: usize) -> Result<Arc<Connection>, Failure> {
        match &self.socket(number)?.state {
            State::Connected(connection) => Ok(Arc::clone(connection)),
            State::Fresh | State::Connecting(_) => Err(Failure::Io(ErrorKind::NotConnected)),
        }
    }

    /// What has failed since the last look.
    pub(crate) fn take_error(&mut self, number: usize) -> Result<Option<Failure>, Failure> {
        let socket = self.socket(number)?;
        Ok(socket.error.take().or_else(|| match &socket.state {
            State::Connected(connection) => connection.stream.take_error().map(Failure::from),
            State::Fresh | State::Connecting(_) => None,
        }))
    }

    pub(crate) fn is_non_blocking(&mut self, number: usize) -> Result<bool, Failure> {
        Ok(self.socket(number)?.is_non_blocking)
    }

    pub(crate) fn set_non_blocking(&mut self, number: usize, to: bool) -> Result<(), Failure> {
        self.socket(number)?.is_non_blocking = to;
        Ok(())
    }

    pub(crate) fn timeout(&mut self, number: usize, direction: Direction) -> Result<Timeout, Failure> {
        let [read, write] = self.socket(number)?.timeouts;
        Ok(if direction == Direction::Read { read } else { write })
    }

    pub(crate) fn set_timeout(&mut self, number: usize, direction: Direction, to: Timeout) -> Result<(), Failure> {
        let [read, write] = &mut self.socket(number)?.timeouts;
        *(if direction == Direction::Read { read } else { write }) = to;
        Ok(())
    }

    /// The script has come to its end: what it wrote is sent before its connections are closed.
    pub(crate) fn end_well(&mut self) {
        self.ended_well = true;
    }

    /// Where a connection would go.
    fn way(&mut self, peer: &Peer, port: u16) -> Result<Way, Failure> {
        let names: Vec<_> = match peer {
            Peer::Name(name) => vec![name.clone()],
            Peer::Address(address) => {
                let address = address.to_canonical();
                self.known.iter().filter(|(known, _)| *known == address).map(|(_, name)| name.clone()).collect()
            }
        };
        let rules = &self.outbound.rules;
        // What stands for a name is that name.
        let asked = match (peer, names.as_slice()) {
            (Peer::Address(address), [name]) if is_stand_in(*address) => Peer::Name(name.clone()),
            _ => peer.clone(),
        };
        if let Some(target) = rules.target(&asked, port) {
            return Ok(Way::Target(target.clone()));
        }
        match &asked {
            Peer::Name(name) if rules.grant_name(name, port) => return Ok(Way::Checked(name.clone(), port)),
            Peer::Name(_) => {}
            Peer::Address(address) => {
                let by_name = || names.iter().any(|name| rules.allow(Some(name), *address, Some(port)));
                if rules.allow(None, *address, Some(port)) || by_name() {
                    return Ok(Way::Address(address.to_canonical(), port));
                }
            }
        }
        // The name says more than one of its addresses.
        let refused = names.into_iter().next().map_or(asked, Peer::Name);
        self.note(&refused, Some(port), false);
        Err(Failure::Denied)
    }

    fn note(&mut self, peer: &Peer, port: Option<u16>, inside: bool) {
        self.refused.note(&self.outbound.lines, &self.request_id, peer, port, inside);
    }

    /// The address that stands for `name` in this exchange.
    fn stand_in(&mut self, name: &Name) -> Result<IpAddr, Failure> {
        let known = self.known.iter().find(|(address, known)| known == name && is_stand_in(*address));
        if let Some((address, _)) = known {
            return Ok(*address);
        }
        let count = self.known.iter().filter(|(address, _)| is_stand_in(*address)).count();
        let Ok(count) = u32::try_from(count) else { return Err(Failure::TooMany) };
        let address = IpAddr::V4(Ipv4Addr::from(STAND_INS + 1 + count));
        self.know(address, name)?;
        Ok(address)
    }

    /// Remembers that `address` was given for `name`.
    fn know(&mut self, address: IpAddr, name: &Name) -> Result<(), Failure> {
        if self.known.iter().any(|(known, of)| *known == address && of == name) {
            return Ok(());
        }
        if self.known.len() >= MAX_KNOWN {
            return Err(Failure::TooMany);
        }
        self.known.push((address, name.clone()));
        Ok(())
    }

    fn places(&mut self) -> Places {
        self.places.get_or_insert_with(Places::of_exchange).clone()
    }

    fn socket(&mut self, number: usize) -> Result<&mut Socket, Failure> {
        self.sockets.get_mut(number).and_then(Option::as_mut).ok_or(Failure::NoSocket)
    }

    /// How long an operation may wait: not at all, for a while, or for ever.
    fn wait(&mut self, number: usize, direction: Direction) -> Result<Timeout, Failure> {
        if self.is_non_blocking(number)? { Ok(Some(Duration::ZERO)) } else { self.timeout(number, direction) }
    }

    /// Ready when it is not being connected.
    fn poll_settled(&mut self, cx: &mut Context<'_>, number: usize) -> Poll<Result<(), Failure>> {
        let socket = match self.socket(number) {
            Ok(socket) => socket,
            Err(failure) => return Poll::Ready(Err(failure)),
        };
        let leads_inside = ready!(socket.poll_settled(cx));
        if leads_inside && let Some((peer, port)) = socket.peer.clone() {
            self.note(&peer, Some(port), true);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_connected<R>(
        &mut self,
        cx: &mut Context<'_>,
        number: usize,
        operation: impl FnOnce(&mut Context<'_>, &Connection) -> Poll<std::io::Result<R>>,
    ) -> Poll<Result<R, Failure>> {
        if let Err(failure) = ready!(self.poll_settled(cx, number)) {
            return Poll::Ready(Err(failure));
        }
        let socket = match self.socket(number) {
            Ok(socket) => socket,
            Err(failure) => return Poll::Ready(Err(failure)),
        };
        if let Some(failure) = socket.error.take() {
            return Poll::Ready(Err(failure));
        }
        match &socket.state {
            State::Connected(connection) => operation(cx, connection).map_err(Failure::from),
            State::Fresh | State::Connecting(_) => Poll::Ready(Err(Failure::Io(ErrorKind::NotConnected))),
        }
    }
}

impl Socket {
    /// Ready when it is not being connected. Whether its name has just turned out to lead inside.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let State::Connecting(dialling) = &mut self.state else { return Poll::Ready(false) };
        match ready!(dialling.as_mut().poll(cx)) {
            Ok(connection) => self.state = State::Connected(Arc::new(connection)),
            Err(failure) => {
                self.state = State::Fresh;
                let leads_inside = failure == Failure::Inside;
                self.error = Some(if leads_inside { Failure::Denied } else { failure });
                return Poll::Ready(leads_inside);
            }
        }
        Poll::Ready(false)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.refused.finish(&self.outbound.lines, &self.request_id);
        if self.ended_well {
            return;
        }
        for socket in self.sockets.iter().flatten() {
            if let State::Connected(connection) = &socket.state {
                connection.stream.reset_when_closed();
            }
        }
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Polls until it is ready, or for so long.
async fn in_time<R>(
    wait: Timeout,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<R, Failure>>,
) -> Result<R, Failure> {
    let again = Failure::Io(ErrorKind::WouldBlock);
    match wait {
        None => poll_fn(poll).await,
        Some(Duration::ZERO) => {
            poll_fn(|cx| match poll(cx) {
                Poll::Pending => Poll::Ready(Err(again)),
                ready => ready,
            })
            .await
        }
        Some(limit) => tokio::time::timeout(limit, poll_fn(poll)).await.unwrap_or(Err(again)),
    }
}

fn is_stand_in(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if u32::from(address) & STAND_IN_MASK == STAND_INS)
}

/// 198.18.0.0/15, which no network has (RFC 2544).
const STAND_INS: u32 = 0xc612_0000;
const STAND_IN_MASK: u32 = 0xfffe_0000;
/// Sockets that an exchange may have, connected or not.
pub(crate) const MAX_SOCKETS: usize = 64;
/// No name or address is longer.
const MAX_TEXT: usize = 255;
/// What one exchange may have looked up.
const MAX_LOOK_UPS: usize = 256;
/// Addresses of names that are remembered.
const MAX_KNOWN: usize = 1024;
/// What is written at once.
const PIECE: usize = 64 << 10;
