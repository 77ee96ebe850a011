//! Dialling: from what a script may reach to a connection.
//!
//! In: where to go, as the rules have it. Out: a connection, and the service's permit for it. What a name leads to is checked after
//! each look-up, and what was checked is dialled: no name is resolved twice.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::resolve::Places;
use super::rule::{Name, Target};
use super::service::Outbound;
use super::stream::{Direction, Stream};

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// To what the name leads to, where the rules allow it.
    Checked(Name, u16),
    /// Where the operator says.
    Target(Target),
    /// To an address that the rules allow.
    Address(IpAddr, u16),
}

/// A connection that counts.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Reads what is there. None of these waits.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer, false)
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Whether a read or a write would not wait.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.stream.is_ready(direction)
    }

    /// Waits until one would not.
    pub(crate) async fn ready(&self, direction: Direction) {
        poll_fn(|cx| self.stream.poll_ready(cx, direction)).await;
    }
}

/// Goes there.
///
/// # Errors
///
/// [`Failure::Inside`] when a name leads to addresses that only the rules keep it from, else as the host sees it. A connection that
/// does not come to be in time has timed out.
pub(super) async fn dial(outbound: Arc<Outbound>, places: Places, way: Way) -> Result<Connection, Failure> {
    let until = Instant::now() + outbound.limits.connect;
    let late = Failure::Io(ErrorKind::TimedOut);
    let work = async {
        let Ok(permit) = Arc::clone(&outbound.free).acquire_owned().await else { return Err(late) };
        let stream = match way {
            Way::Target(Target::Unix(path)) => unix(path).await?,
            Way::Target(Target::Address(address, port)) | Way::Address(address, port) => {
                first(&[address], port, until).await?
            }
            Way::Target(Target::Name(name, port)) => {
                first(&outbound.addresses(&name, &places).await?, port, until).await?
            }
            Way::Checked(name, port) => {
                let addresses = outbound.addresses(&name, &places).await?;
                let allowed = |address: &IpAddr| outbound.rules.allow(Some(&name), *address, Some(port));
                let checked: Vec<_> = addresses.into_iter().filter(allowed).collect();
                if checked.is_empty() {
                    return Err(Failure::Inside);
                }
                first(&checked, port, until).await?
            }
        };
        Ok(Connection { stream, _permit: permit })
    };
    timeout_at(until, work).await.unwrap_or(Err(late))
}

impl Outbound {
    async fn addresses(&self, name: &Name, places: &Places) -> Result<Vec<IpAddr>, Failure> {
        // A connect has no word for a name that does not resolve.
        self.resolver.look_up(name, places).await.map_err(|_| Failure::Io(ErrorKind::HostUnreachable))
    }
}

/// The first of these that answers. Each has a fair part of the time that is left.
async fn first(addresses: &[IpAddr], port: u16, until: Instant) -> Result<Stream, Failure> {
    let mut failed = Failure::Io(ErrorKind::HostUnreachable);
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + left / untried, Stream::tcp(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error.into(),
            Err(_) => failed = Failure::Io(ErrorKind::TimedOut),
        }
    }
    Err(failed)
}

async fn unix(path: PathBuf) -> Result<Stream, Failure> {
    Stream::unix(&path).await.map_err(|error| match error.kind() {
        // The script asked for a port, and nobody listens.
        ErrorKind::NotFound => Failure::Io(ErrorKind::ConnectionRefused),
        _ => {
            tracing::debug!("cannot connect to {}: {error}", path.display());
            error.into()
        }
    })
}
