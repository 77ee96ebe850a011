//! Calls that may hold their thread for long.

use std::future::poll_fn;
use std::pin::pin;

use tokio::task::block_in_place;

/// Polls `call`, which may hold this thread for long, while another thread does what this one would have done next.
pub(crate) async fn block_in_place_async<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|cx| block_in_place(|| call.as_mut().poll(cx))).await
}

/// What a file is read or written in a fraction of a millisecond, in bytes.
pub(super) const LARGE: u32 = 1 << 20;
