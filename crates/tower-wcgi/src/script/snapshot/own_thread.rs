//! Work that is asynchronous, for a caller that is not.

use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind};

/// Runs `work` on its own thread, with the clock of the runtime `threads`, and waits for it. So a package can be opened inside
/// a runtime and without one.
///
/// # Errors
///
/// The errors of `work`. [`ErrorKind::Host`] if no thread can be started, or it panicked.
pub(crate) fn on_own_thread<T: Send>(
    threads: &Handle,
    work: impl AsyncFnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("wcgi-initialisation".into());
        let running = thread
            .spawn_scoped(scope, || threads.block_on(work()))
            .map_err(|error| Error::new(ErrorKind::Host, "cannot start a thread").with_source(error))?;
        running.join().unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Host, "it panicked")))
    })
}
