//! The surroundings of a start-up: all that requests get, except the requests themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::host::{Quotas, Seen};
use crate::mount::Mount;

/// All that a start-up can see besides the module itself.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is initialised without a compiler"))]
pub(crate) struct Surroundings {
    /// Each name once.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) arguments: Arc<[String]>,
    /// The mounts of the requests. Writable ones are empty and read-only, so that descriptors have the same numbers.
    pub(crate) mounts: Vec<Mount>,
    pub(crate) quotas: Quotas,
    /// Linear memory, in bytes.
    pub(crate) max_memory: usize,
    /// How long it may take.
    pub(crate) deadline: Duration,
    /// Whether the module seeds its random numbers anew in every request, whatever its memory keeps.
    pub(crate) reseeds: bool,
    /// The content of the file [`WARMUP`]. Empty if there is none.
    pub(crate) warmup: Vec<u8>,
    /// The files in the mounts.
    pub(crate) seen: Arc<Seen>,
}

/// The path of the warm-up requests.
pub(crate) const WARMUP: &str = "/tmp/wcgi-warmup";
