//! A connection to a peer: bytes straight between the script's buffers and the kernel's, and readiness as the kernel has it.
//!
//! In: an address that was checked, or the path of a unix socket. Out: reads and writes that are done, or wait. Nothing is held here.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpSocket, TcpStream};

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What a script waits to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Stream {
    pub(super) async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // What the kernel holds in either direction is bounded, or one exchange could make it hold hundreds of megabytes.
        socket.set_recv_buffer_size(KERNEL_BUFFER)?;
        socket.set_send_buffer_size(KERNEL_BUFFER)?;
        // A script writes what it has to say in one piece, and no clock of the kernel knows better.
        socket.set_nodelay(true)?;
        Ok(Self::Tcp(socket.connect(address).await?))
    }

    #[cfg(unix)]
    pub(super) async fn unix(path: &Path) -> io::Result<Self> {
        Ok(Self::Unix(UnixStream::connect(path).await?))
    }

    #[cfg(not(unix))]
    pub(super) async fn unix(_path: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Reads into `buffer` what is there, or with `peek` leaves it there. 0 is the end.
    pub(super) fn read(&self, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        raw::read(self, buffer, peek)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8], peek: bool) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Read, || self.read(buffer, peek))
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        raw::write(self, bytes)
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Write, || self.write(bytes))
    }

    /// Whether a read or a write would not wait.
    pub(super) fn is_ready(&self, direction: Direction) -> bool {
        raw::is_ready(self, direction)
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<()> {
        let is_ready = || if self.is_ready(direction) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
        // An error is for the read or write to tell.
        self.poll(cx, direction, is_ready).map(drop)
    }

    /// How many bytes can be read at once.
    pub(super) fn available(&self) -> u64 {
        raw::available(self)
    }

    pub(super) fn shutdown(&self, directions: &[Direction]) -> io::Result<()> {
        raw::shutdown(self, directions)
    }

    /// What the kernel has noticed besides, as that the peer is gone. Then it forgets.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.take_error(),
        }
        .unwrap_or_else(Some)
    }

    /// From here on closing it tells the peer that something went wrong.
    pub(super) fn reset_when_closed(&self) {
        match self {
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    /// Makes the call `operation`, which never waits by itself, when the kernel may be ready for it.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let would_wait =
            |result: &io::Result<R>| matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let first = operation();
        if !would_wait(&first) {
            return Poll::Ready(first);
        }
        loop {
            ready!(self.poll_maybe_ready(cx, direction))?;
            // What the runtime remembers of readiness is forgotten when it turns out to be wrong.
            let again = self.try_io(direction, &mut operation);
            if !would_wait(&again) {
                return Poll::Ready(again);
            }
        }
    }

    fn poll_maybe_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        match (self, direction) {
            (Self::Tcp(stream), Direction::Read) => stream.poll_read_ready(cx),
            (Self::Tcp(stream), Direction::Write) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            (Self::Unix(stream), Direction::Read) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            (Self::Unix(stream), Direction::Write) => stream.poll_write_ready(cx),
        }
    }

    fn try_io<R>(&self, direction: Direction, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        match self {
            Self::Tcp(stream) => stream.try_io(interest, operation),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(interest, operation),
        }
    }
}

/// The system's calls.
#[cfg(unix)]
mod raw {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown as shut_down};

    use super::{Direction, Stream};

    impl AsFd for Stream {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match self {
                Self::Tcp(stream) => stream.as_fd(),
                Self::Unix(stream) => stream.as_fd(),
            }
        }
    }

    pub(super) fn read(stream: &Stream, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
        let (_, count) = rustix::io::retry_on_intr(|| recv(stream, &mut *buffer, flags))?;
        Ok(count)
    }

    pub(super) fn write(stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::empty();
        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| send(stream, bytes, flags))?)
    }

    pub(super) fn is_ready(stream: &Stream, direction: Direction) -> bool {
        let wanted = match direction {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        };
        let mut polled = [PollFd::new(stream, wanted)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Where it fails, the read or write will say why.
        rustix::io::retry_on_intr(|| poll(&mut polled, Some(&at_once))).map_or(true, |count| count > 0)
    }

    pub(super) fn available(stream: &Stream) -> u64 {
        rustix::io::ioctl_fionread(stream).unwrap_or_default()
    }

    pub(super) fn shutdown(stream: &Stream, directions: &[Direction]) -> io::Result<()> {
        let how = match (directions.contains(&Direction::Read), directions.contains(&Direction::Write)) {
            (true, true) => Shutdown::Both,
            (true, false) => Shutdown::Read,
            (false, true) => Shutdown::Write,
            (false, false) => return Ok(()),
        };
        Ok(shut_down(stream, how)?)
    }
}

/// What tokio has of them.
#[cfg(not(unix))]
mod raw {
    use std::io;

    use super::{Direction, Stream};

    pub(super) fn read(Stream::Tcp(stream): &Stream, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        if peek { Err(io::ErrorKind::Unsupported.into()) } else { stream.try_read(buffer) }
    }

    pub(super) fn write(Stream::Tcp(stream): &Stream, bytes: &[u8]) -> io::Result<usize> {
        stream.try_write(bytes)
    }

    pub(super) fn is_ready(_stream: &Stream, _direction: Direction) -> bool {
        true
    }

    pub(super) fn available(_stream: &Stream) -> u64 {
        0
    }

    pub(super) fn shutdown(_stream: &Stream, _directions: &[Direction]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Twice as much is what Linux makes of it.
const KERNEL_BUFFER: u32 = 256 << 10;
