//! `poll_oneoff` of a script that has sockets: they, stdin, stdout, files and clocks together.
//!
//! wasmtime-wasi has no sockets of ours, so the whole call is done here. A socket is ready only when the kernel says so.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::Caller;
use wasmtime_wasi::p1::types;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wasmtime_wasi::p2::Pollable as _;
use wiggle::GuestMemory;

use super::errno::{ERRNO_BADF, ERRNO_FAULT, ERRNO_INVAL, ERRNO_SUCCESS, Errno, IntoErrno};
use super::guest_memory::{memory, slice, write};
use super::sockets::errno;
use crate::host::state::HostState;
use crate::outbound::Direction;

/// What one subscription waits for.
enum Wait {
    Until(Instant),
    Socket(usize, Direction),
    Stdio(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It is over, or there is nothing to wait for.
    Not(Errno),
}

/// A subscription: what the script knows it by, its kind, what it waits for.
struct Subscription {
    userdata: u64,
    kind: u8,
    wait: Wait,
}

/// What has come of one.
struct Event {
    errno: Errno,
    bytes: u64,
}

/// As `poll_oneoff`, for a script that has opened a socket.
pub(super) async fn poll_oneoff(
    mut caller: Caller<'_, HostState>,
    subscriptions: u32,
    events: u32,
    count: u32,
    happened: u32,
) -> wasmtime::Result<Errno> {
    if count == 0 {
        return Ok(ERRNO_INVAL);
    }
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(read) = count.checked_mul(SUBSCRIPTION).and_then(|len| slice(bytes, subscriptions, len)) else {
        return Ok(ERRNO_FAULT);
    };
    if count.checked_mul(EVENT).and_then(|len| slice(bytes, events, len)).is_none() {
        return Ok(ERRNO_FAULT);
    }
    let mut waits = Vec::new();
    for subscription in read.chunks_exact(SUBSCRIPTION as usize) {
        let Some(subscription) = parse(state, subscription).await else { return Ok(ERRNO_INVAL) };
        waits.push(subscription);
    }
    let first = waits.iter().filter_map(|subscription| match subscription.wait {
        Wait::Until(until) => Some(until),
        _ => None,
    });
    let first = first.min();
    let mut clock = first.map(|until| Box::pin(tokio::time::sleep_until(until)));
    let told = poll_fn(|cx| {
        // Before the clock is looked at: what is ready at the same moment counts.
        let is_late = clock.as_mut().is_some_and(|clock| clock.as_mut().poll(cx).is_ready());
        let now = if is_late { Some(Instant::now()) } else { None };
        let mut told = Vec::new();
        for subscription in &mut waits {
            if let Poll::Ready(event) = subscription.wait.poll(cx, state, now) {
                told.extend_from_slice(&event.encode(subscription));
            }
        }
        if told.is_empty() { Poll::Pending } else { Poll::Ready(told) }
    })
    .await;
    let number = u32::try_from(told.len()).unwrap_or(u32::MAX) / EVENT;
    Ok(write(bytes, events, &told).and_then(|()| write(bytes, happened, &number.to_le_bytes())).into_errno())
}

impl Wait {
    /// `now` is there when the first clock has run out.
    fn poll(&mut self, cx: &mut Context<'_>, state: &mut HostState, now: Option<Instant>) -> Poll<Event> {
        match self {
            Self::Until(until) => match now {
                Some(now) if *until <= now => Poll::Ready(Event { errno: ERRNO_SUCCESS, bytes: 0 }),
                _ => Poll::Pending,
            },
            Self::Socket(socket, direction) => {
                state.sockets.poll_ready(cx, *socket, *direction).map(|ready| match ready {
                    Ok(bytes) => Event { errno: ERRNO_SUCCESS, bytes },
                    Err(failure) => Event { errno: errno(failure), bytes: 0 },
                })
            }
            Self::Stdio(ready) => {
                let event = ready.as_mut().poll(cx).map(|()| Event { errno: ERRNO_SUCCESS, bytes: 1 });
                if event.is_ready() {
                    *self = Self::Not(ERRNO_SUCCESS);
                }
                event
            }
            Self::Not(errno) => Poll::Ready(Event { errno: *errno, bytes: 1 }),
        }
    }
}

impl Event {
    fn encode(&self, subscription: &Subscription) -> [u8; EVENT as usize] {
        let mut event = [0; EVENT as usize];
        let is_clock = subscription.kind == CLOCK;
        let errno = self.errno.to_le_bytes();
        let head =
            subscription.userdata.to_le_bytes().into_iter().chain(errno.into_iter().take(2)).chain([subscription.kind]);
        event.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
        let bytes = if is_clock || self.errno != ERRNO_SUCCESS { 0 } else { self.bytes };
        event.iter_mut().skip(16).zip(bytes.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        event
    }
}

/// Nothing for what is no subscription.
async fn parse(state: &mut HostState, bytes: &[u8]) -> Option<Subscription> {
    let field = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
    let number = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let kind = *bytes.get(8)?;
    let wait = match kind {
        CLOCK => clock(state, number(16)?, field(24)?, *bytes.get(40)?).await,
        FD_READ | FD_WRITE => descriptor(state, number(16)?, kind).await,
        _ => return None,
    };
    Some(Subscription { userdata: field(0)?, kind, wait })
}

async fn clock(state: &mut HostState, clock: u32, timeout: u64, flags: u8) -> Wait {
    let id = match clock {
        0 => types::Clockid::Realtime,
        1 => types::Clockid::Monotonic,
        _ => return Wait::Not(ERRNO_INVAL),
    };
    let mut left = timeout;
    if flags & ABSTIME != 0 {
        match state.wasi().clock_time_get(&mut GuestMemory::Unshared(&mut []), id, 0) {
            Ok(now) => left = timeout.saturating_sub(now),
            Err(_) => return Wait::Not(ERRNO_INVAL),
        }
    }
    let now = Instant::now();
    Wait::Until(now.checked_add(Duration::from_nanos(left)).unwrap_or(now + FOREVER))
}

async fn descriptor(state: &mut HostState, fd: u32, kind: u8) -> Wait {
    if let Some(socket) = state.socket(fd) {
        return Wait::Socket(socket, if kind == FD_READ { Direction::Read } else { Direction::Write });
    }
    if state.has_stdio(fd) {
        return match (fd, kind, state.output(fd)) {
            (0, FD_READ, _) => {
                let mut stdin = state.stdin.clone();
                Wait::Stdio(Box::pin(async move { stdin.ready().await }))
            }
            (_, FD_WRITE, Some(output)) => Wait::Stdio(Box::pin(async move { output.writable().await })),
            _ => Wait::Not(ERRNO_BADF),
        };
    }
    // Files never wait.
    match state.wasi().fd_fdstat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await {
        Ok(_) => Wait::Not(ERRNO_SUCCESS),
        Err(_) => Wait::Not(ERRNO_BADF),
    }
}

/// The sizes of what it takes and gives.
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;
/// The timeout is a time of the clock.
const ABSTIME: u8 = 1;
/// More than any deadline.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
