//! The error of this whole room.

use crate::error::{Error, ErrorKind};

/// The error of this whole layer: the package is to blame.
pub(super) fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Package, message)
}
