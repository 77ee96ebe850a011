//! Addresses as people write them: `HOST:PORT`, `:PORT` for every address, `PORT` for this machine alone.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, lookup_host};

/// # Errors
///
/// What is wrong with `addr`, as far as it can be seen without a socket.
pub(crate) fn check(addr: &str) -> Result<(), String> {
    let port = addr.rsplit_once(':').map_or(addr, |(_, port)| port);
    let host = addr.strip_suffix(port).and_then(|rest| rest.strip_suffix(':')).unwrap_or_default();
    let is_host = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
    if port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok() && is_host {
        return Ok(());
    }
    Err(format!("expected HOST:PORT, :PORT or PORT, as in 127.0.0.1:8000, found {addr:?}"))
}

/// The sockets that the service manager has opened for this process (`LISTEN_FDS`). They outlive it, so no connection is
/// refused while it is restarted.
#[derive(Debug)]
pub(crate) struct Inherited(Vec<std::net::TcpListener>);

impl Inherited {
    /// Takes all there are, once for the process.
    #[cfg(unix)]
    pub(crate) fn take() -> Self {
        let mut sockets = listenfd::ListenFd::from_env();
        let taken = (0..sockets.len()).filter_map(|at| match sockets.take_tcp_listener(at) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "a socket of the service manager cannot be used");
                None
            }
        });
        Self(taken.collect())
    }

    #[cfg(not(unix))]
    pub(crate) fn take() -> Self {
        Self(Vec::new())
    }

    /// The socket of this address that the service manager has opened, or else a new one.
    ///
    /// # Errors
    ///
    /// When nobody can listen there.
    pub(crate) async fn listen(&mut self, addr: &str) -> io::Result<TcpListener> {
        if self.0.is_empty() {
            return listen(addr).await;
        }
        let wanted: Vec<SocketAddr> = match addr.strip_prefix(':') {
            Some(port) => {
                let every = [format!("[::]:{port}"), format!("0.0.0.0:{port}")];
                every.iter().flat_map(|addr| addr.parse()).collect()
            }
            None if is_port(addr) => lookup_host(format!("127.0.0.1:{addr}")).await?.collect(),
            None => lookup_host(addr).await?.collect(),
        };
        let is_it = |socket: &std::net::TcpListener| socket.local_addr().is_ok_and(|addr| wanted.contains(&addr));
        match self.0.iter().position(is_it) {
            Some(at) => {
                let socket = self.0.swap_remove(at);
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket)
            }
            None => listen(addr).await,
        }
    }
}

/// What is left when all addresses have theirs is not listened on: somebody waits there in vain.
impl Drop for Inherited {
    fn drop(&mut self) {
        for socket in &self.0 {
            if let Ok(addr) = socket.local_addr() {
                tracing::warn!(%addr, "a socket of the service manager is not used, as no listener has its address");
            }
        }
    }
}

async fn listen(addr: &str) -> io::Result<TcpListener> {
    match addr.strip_prefix(':') {
        // IPv4 too, unless the system has been told otherwise.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            bound => bound,
        },
        None if is_port(addr) => TcpListener::bind(format!("127.0.0.1:{addr}")).await,
        None => TcpListener::bind(addr).await,
    }
}

fn is_port(addr: &str) -> bool {
    addr.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for addr in ["127.0.0.1:8000", "localhost:0", ":8000", "8000", "[::1]:80", "0.0.0.0:65535"] {
            assert_eq!(check(addr), Ok(()), "{addr}");
        }
        for addr in ["", ":", "127.0.0.1", "localhost:", "a:65536", "a:+1", "::1:80", "a:x", "nowhere"] {
            assert!(check(addr).is_err(), "{addr}");
        }
    }
}
