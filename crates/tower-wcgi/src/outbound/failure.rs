//! Why a script does not get what it asks for, as one small value.

use std::io;

/// Why a script does not get what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No rule allows it.
    Denied,
    /// A name that is granted leads inside only.
    Inside,
    /// The exchange has as many as it may have.
    TooMany,
    NoSuchHost,
    /// There is no such socket.
    NoSocket,
    /// It is being connected.
    InProgress,
    /// It is being connected already.
    Already,
    IsConnected,
    /// A limit of the host's process.
    HostLimit,
    /// As the host saw it.
    Io(io::ErrorKind),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // There is no kind for it: EMFILE, ENFILE.
        if matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix) {
            return Self::HostLimit;
        }
        Self::Io(error.kind())
    }
}
