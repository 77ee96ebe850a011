//! What calls of WASI preview 1 return: 0, or what went wrong.

use super::guest_memory::Fault;

/// What a WASI call returns: 0, or what went wrong.
pub(crate) type Errno = u32;

pub(super) trait IntoErrno {
    fn into_errno(self) -> Errno;
}

impl IntoErrno for Result<(), Fault> {
    fn into_errno(self) -> Errno {
        match self {
            Ok(()) => ERRNO_SUCCESS,
            Err(Fault) => ERRNO_FAULT,
        }
    }
}

pub(crate) const ERRNO_SUCCESS: Errno = 0;
pub(super) const ERRNO_AGAIN: Errno = 6;
pub(super) const ERRNO_BADF: Errno = 8;
pub(super) const ERRNO_DEADLK: Errno = 16;
pub(super) const ERRNO_EXIST: Errno = 20;
pub(crate) const ERRNO_FAULT: Errno = 21;
pub(super) const ERRNO_ILSEQ: Errno = 25;
pub(super) const ERRNO_INVAL: Errno = 28;
pub(super) const ERRNO_IO: Errno = 29;
pub(super) const ERRNO_MFILE: Errno = 33;
pub(super) const ERRNO_NOENT: Errno = 44;
pub(super) const ERRNO_NOLCK: Errno = 46;
pub(super) const ERRNO_NOMEM: Errno = 48;
pub(super) const ERRNO_NOSPC: Errno = 51;
pub(super) const ERRNO_NOTSUP: Errno = 58;
pub(super) const ERRNO_OVERFLOW: Errno = 61;
pub(super) const ERRNO_PIPE: Errno = 64;
pub(super) const ERRNO_ROFS: Errno = 69;
pub(super) const ERRNO_SPIPE: Errno = 70;
pub(super) const ERRNO_XDEV: Errno = 75;
