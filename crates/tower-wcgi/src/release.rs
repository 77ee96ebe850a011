//! A release: one opened package, and every setting it is served with.
//!
//! What a service answers with is one of these, made once. It must not know how a request is answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Hook;
use crate::engine::{Engine, Tenant};
use crate::gateway;
use crate::observe::Meters;
use crate::renewal::Renewal;
use crate::scratch::Scratch;
use crate::sendfile::SendFile;
use crate::site::Routes;

/// What every request needs, prepared once.
#[derive(Debug)]
pub(crate) struct Release {
    /// What the log calls the service, if that was said.
    pub(crate) name: Option<Arc<str>>,
    /// Whose share of the engine's permits its exchanges have.
    pub(crate) tenant: Tenant,
    /// The files it was opened from: the manifest and the module.
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) engine: Engine,
    pub(crate) start: Arc<Renewal>,
    /// Which script or file a path names; without it the script answers for all of them.
    pub(crate) site: Option<Arc<Routes>>,
    /// Where scripts that answer with `X-Sendfile` have the file from, if that is allowed.
    pub(crate) send_file: Option<Arc<SendFile>>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) settings: gateway::Settings,
    pub(crate) connection_info: Hook,
    /// Where the service is mounted, if that was said: empty or `/prefix`.
    pub(crate) mount: Option<String>,
    pub(crate) allow_trace: bool,
    /// Failures are shown to the client.
    pub(crate) dev: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_body: u64,
    pub(crate) max_memory: usize,
    pub(crate) response_buffer: usize,
    pub(crate) max_tmp: u64,
    pub(crate) may_ignore_abort: bool,
    /// Holds the files of a `.webc` while anything uses them.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) unpacked: Option<Arc<Scratch>>,
}
