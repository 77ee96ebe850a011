//! What the process asks of the system before it serves.

/// Every connection is a descriptor, and so are the files that scripts open; the soft limit of most systems is 1024.
#[cfg(unix)]
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_file_limit() {}

/// With a limit of file sizes (`ulimit -f`) a write beyond it ends the process, unless the signal is handled: then the write
/// fails, as on a full disk.
#[cfg(unix)]
pub(crate) fn outlive_size_limit() {
    let signal = rustix::process::Signal::XFSZ.as_raw();
    // The handler stays when its listener is gone.
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(signal)) {
        tracing::debug!("cannot handle the signal of the file size limit: {error}");
    }
}

#[cfg(not(unix))]
pub(crate) fn outlive_size_limit() {}
