//! The process's heap.

/// Gives memory back that nobody has. A compiler needs hundreds of MB for php-cgi, which glibc would keep for a next time in the
/// arenas of threads that are gone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to ask glibc")]
pub(crate) fn trim() {
    // SAFETY: it may be called at any time from any thread.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim() {}
