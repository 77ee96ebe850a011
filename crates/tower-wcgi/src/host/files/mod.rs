//! Files as guests see them: mounts and a private `/tmp`, whose turn it is to write, and what is left of their room.
//!
//! Knows nothing of which calls of WASI come to that.

mod listings;
mod locks;
mod look;
mod preopens;
mod quota;
mod seen;
mod turns;
mod view;

pub(crate) use listings::{Listing, Listings};
pub(crate) use locks::{LockKind, Locks, NoLock};
pub(crate) use look::{FileId, FileKind, Found, Look, file_id};
pub(crate) use preopens::{FIRST_PREOPEN, Preopen};
pub(crate) use quota::{Full, Quota, Quotas};
pub(crate) use seen::Seen;
pub(crate) use turns::{By, Deadlock, Turns};
#[cfg(feature = "compiler")]
pub(crate) use view::View;
pub(crate) use view::{CheckedOut, Files};

/// Descriptors that an exchange may have open at once, so that none can take all those of the process.
pub(super) const MAX_OPEN_FILES: u32 = 256;
