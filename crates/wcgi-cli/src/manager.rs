//! What the service manager is told (`sd_notify`): ready, reloading, stopping. Without one nothing happens.

/// What this process is at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Ready,
    Reloading,
    Stopping,
}

#[cfg(target_os = "linux")]
pub(crate) fn tell(at: At) {
    use sd_notify::NotifyState;
    let told = match at {
        At::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // With the moment, by which `Type=notify-reload` knows which reload that is.
        At::Reloading => {
            NotifyState::monotonic_usec_now().and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now]))
        }
        At::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        tracing::debug!(%error, ?at, "cannot tell the service manager");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tell(_at: At) {}
