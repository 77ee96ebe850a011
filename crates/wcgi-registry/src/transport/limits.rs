//! How long and how often a registry is waited for, and how much it may answer.

use std::time::Duration;

/// Until a connection is there.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// While nothing comes and nothing goes.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// How often a request is made that is answered 429 or 5xx.
pub(super) const TRIES: u32 = 3;
/// Before the second try; twice as long before the third.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// The longest `Retry-After` that is waited for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An answer that is no blob and no manifest.
pub(super) const LARGEST_ANSWER: u64 = 64 << 10;
