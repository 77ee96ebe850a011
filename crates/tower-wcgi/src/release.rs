//! A release: one opened package, and every setting with which it is served.
//!
//! A service answers with one release, made once. It must not know how a request is answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Hook;
use crate::engine::{Engine, Tenant};
use crate::gateway;
use crate::observe::Meters;
use crate::outbound::Outbound;
use crate::renewal::Renewal;
use crate::scratch::Scratch;
use crate::sendfile::SendFile;
use crate::site::Routes;

/// All that every request needs, prepared once.
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
    /// The rules by which a path names a script or a file. Without a site the script answers for all paths.
    pub(crate) site: Option<Arc<Routes>>,
    /// The files that scripts may send by `X-Sendfile`, if that is allowed.
    pub(crate) send_file: Option<Arc<SendFile>>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) settings: gateway::Settings,
    pub(crate) connection_info: Hook,
    /// The path at which the service is mounted, if it was set: empty or `/prefix`.
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
    pub(crate) outbound: Arc<Outbound>,
    /// Holds the files of a `.webc` while anything uses them.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) unpacked: Option<Arc<Scratch>>,
}
