//! The engine, on which scripts compile and run, shared by any number of services.
//!
//! It has one pool of instances, one set of permits, a linker for each kind of script, and the threads for guests. It must not know
//! HTTP.

mod admission;
mod pot;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use wasmtime::{Linker, component};

pub(crate) use admission::{Permit, Tenant};

#[cfg(feature = "compiler")]
use crate::code::Cache;
use crate::code::Shelf;
use crate::defaults;
use crate::error::{Error, ErrorKind};
use crate::host::{HostState, link_components, link_modules};
use crate::observe::{ExchangeInfo, Observed, Running};
use crate::runtime::{Size, WASM_PAGE, Wasmtime};
use crate::scratch;
use crate::stdio::SpoolRoom;

/// The base of scripts: a wasmtime engine with its pool of instances, the permits to use them, and the threads.
///
/// It is cheap to clone: clones are the same engine. Services with the same engine share one pool, one queue and one
/// set of permits:
///
/// ```no_run
/// # use tower_wcgi::{Engine, WcgiService};
/// # fn main() -> Result<(), tower_wcgi::Error> {
/// let engine = Engine::builder().max_concurrency(32).build()?;
/// let blog = WcgiService::builder().engine(engine.clone()).package("blog/").build()?;
/// let wiki = WcgiService::builder().engine(engine).package("wiki/").build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

impl Engine {
    /// A builder with every setting at its default.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// How many more exchanges could start right now without waiting.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.0.admission.available()
    }

    /// How many requests wait for a permit.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.admission.waiting()
    }

    /// How many exchanges run at once: [`EngineBuilder::max_concurrency`].
    #[must_use]
    pub fn permits(&self) -> usize {
        self.0.max_concurrency
    }

    /// The most linear memory one exchange may have, in bytes: [`EngineBuilder::max_memory`].
    #[must_use]
    pub fn max_memory(&self) -> usize {
        self.0.max_memory
    }

    /// The exchanges that its services are at, in no order: from the head of a request to the last byte of the response.
    #[must_use]
    pub fn running(&self) -> Vec<ExchangeInfo> {
        self.0.running.list()
    }

    /// How many bytes of memory are kept for the next instances, see [`EngineBuilder::keep_resident`].
    #[must_use]
    pub fn kept_resident(&self) -> usize {
        self.0.wasmtime.kept_bytes()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime.engine
    }

    /// The modules that its services have in use.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    pub(crate) fn linker(&self) -> &Linker<HostState> {
        &self.0.linker
    }

    pub(crate) fn component_linker(&self) -> &component::Linker<HostState> {
        &self.0.component_linker
    }

    pub(crate) fn trusts_precompiled(&self) -> bool {
        self.0.trust_precompiled
    }

    #[cfg(feature = "compiler")]
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.0.cache.as_ref()
    }

    #[cfg(feature = "compiler")]
    pub(crate) fn compile_limits(&self) -> CompileLimits {
        self.0.compile_limits
    }

    /// The threads on which guests run. Deadlines use their clock.
    pub(crate) fn threads(&self) -> &Handle {
        self.0.threads.handle()
    }

    /// For request bodies that have no length, and are read whole before their script runs.
    pub(crate) fn spool_room(&self) -> &Arc<SpoolRoom> {
        &self.0.spool_room
    }

    /// Stints for scripts that compute for long: one for each thread.
    pub(crate) fn stints(&self) -> &Arc<Semaphore> {
        &self.0.stints
    }

    pub(crate) fn observe(&self, exchange: ExchangeInfo) -> Observed {
        self.0.running.begin(exchange)
    }

    /// Whose exchanges are admitted by one share. A name that is there already is the same.
    pub(crate) fn tenant(&self, name: Option<&Arc<str>>, share: u32, most: Option<usize>) -> Tenant {
        self.0.admission.tenant(name, share, most)
    }

    pub(crate) async fn admit(&self, tenant: &Tenant) -> Result<Permit, Error> {
        self.0.admission.acquire(tenant, self.threads()).await
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("admission", &self.0.admission)
            .field("max_memory", &self.0.max_memory)
            .finish_non_exhaustive()
    }
}

/// Settings of an [`Engine`].
///
/// # Defaults
///
/// | setting | default | reason |
/// |---|---|---|
/// | [`max_concurrency`](Self::max_concurrency) | 128 | an exchange that waits for a slow client holds a slot, so far more than cores |
/// | [`queue`](Self::queue) | 1024 | a burst waits instead of failing, and memory stays bounded |
/// | [`queue_wait`](Self::queue_wait) | 10 s | below the usual patience of a proxy |
/// | [`max_memory`](Self::max_memory) | 256 MiB | twice PHP's own default limit |
/// | [`max_spool`](Self::max_spool) | 1 GiB | sixteen bodies of the largest size |
/// | [`threads`](Self::threads) | one per core | guests compute |
/// | [`pagemap_scan`](Self::pagemap_scan) | where the kernel has it | an instance's memory is reset in place |
/// | [`keep_resident`](Self::keep_resident) | 256 MiB | the next instance finds its pages there; an idle server gives them back |
/// | [`trust_precompiled`](Self::trust_precompiled) | no | native code of a package can do whatever this process can |
/// | [`max_compile_time`](Self::max_compile_time) | 5 min | interpreters take seconds, on a busy machine a minute |
/// | [`max_compile_memory`](Self::max_compile_memory) | 2 GiB | the largest interpreters take half of that |
/// | [`cache_dir`](Self::cache_dir) | below the user's cache directory | a package opens in milliseconds the second time |
#[derive(Debug, Clone)]
#[must_use]
pub struct EngineBuilder {
    max_concurrency: usize,
    queue: usize,
    queue_wait: Duration,
    max_memory: usize,
    max_spool: u64,
    threads: Option<usize>,
    pagemap_scan: bool,
    keep_resident: usize,
    trust_precompiled: bool,
    cache: CacheSetting,
    #[cfg(feature = "compiler")]
    compile_limits: CompileLimits,
}

#[derive(Debug, Clone)]
enum CacheSetting {
    Default,
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is compiled"))]
    Dir(PathBuf),
    Off,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            max_concurrency: defaults::MAX_CONCURRENCY,
            queue: defaults::QUEUE,
            queue_wait: defaults::QUEUE_WAIT,
            max_memory: defaults::MAX_MEMORY,
            max_spool: defaults::MAX_SPOOL,
            threads: None,
            pagemap_scan: true,
            keep_resident: defaults::KEEP_RESIDENT,
            trust_precompiled: false,
            cache: CacheSetting::Default,
            #[cfg(feature = "compiler")]
            compile_limits: CompileLimits {
                time: Some(defaults::MAX_COMPILE_TIME),
                memory: Some(defaults::MAX_COMPILE_MEMORY),
            },
        }
    }
}

impl EngineBuilder {
    /// How many exchanges run at once, each in its own instance. More requests wait in the queue. Default: 128.
    pub fn max_concurrency(mut self, exchanges: usize) -> Self {
        self.max_concurrency = exchanges;
        self
    }

    /// How many requests may wait for a permit. Requests beyond that get 503 at once. Default: 1024.
    pub fn queue(mut self, requests: usize) -> Self {
        self.queue = requests;
        self
    }

    /// How long a request waits for a permit before it is answered 503. Default: 10 seconds.
    pub fn queue_wait(mut self, wait: Duration) -> Self {
        self.queue_wait = wait;
        self
    }

    /// The most linear memory one instance may have, in bytes; a service can set less. Default: 256 MiB.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// The most bytes of all request bodies on disk together. A request that finds no room is answered
    /// 503. Bodies on disk are those without a length that are over 64 KiB, until they are read. Default: 1 GiB.
    pub fn max_spool(mut self, bytes: u64) -> Self {
        self.max_spool = bytes;
        self
    }

    /// How many threads guests run on. Default: one per core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Whether the memory of an instance is reset page by page, as Linux's `PAGEMAP_SCAN` (6.7 and newer) finds written pages.
    /// Without it the kernel takes all pages back and gives new ones. Default: yes, if the kernel has it.
    pub fn pagemap_scan(mut self, scan: bool) -> Self {
        self.pagemap_scan = scan;
        self
    }

    /// How many bytes of memory all slots together keep for the next instances. Each keeps 16 MiB at
    /// most. Memory that nobody has used for ten seconds is given back. 0 gives all back at once. Default: 256 MiB.
    pub fn keep_resident(mut self, bytes: usize) -> Self {
        self.keep_resident = bytes;
        self
    }

    /// Whether the compiled code that a package may have beside its module is loaded. It is native code: the maker of the package
    /// can then do everything that this process can, and no limit or isolation holds. Say yes to your own packages. Files in use
    /// are mapped, so replace a package by renaming another into its place, and never write in it.
    ///
    /// Code of another version, or for another processor or [memory limit](Self::max_memory), is never loaded. The
    /// module is compiled instead, with a warning. If the feature `compiler` is off, it is refused. See
    /// [`WcgiBuilder::export_compiled`](crate::WcgiBuilder::export_compiled). Default: no.
    pub fn trust_precompiled(mut self, trust: bool) -> Self {
        self.trust_precompiled = trust;
        self
    }

    /// How long compiling one module may take; `None` is no limit. A module that takes longer is refused, or runs without the
    /// [snapshot](crate::_docs::snapshots) of its start-up. In a program that calls [`compile_helper`](crate::compile_helper)
    /// the compiler is ended then. In others it goes on, on its own thread, and functions that are known to take very long
    /// are [refused](crate::_docs::security#compiling-what-strangers-upload) at once. Default: 5 minutes.
    #[cfg(feature = "compiler")]
    pub fn max_compile_time(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.compile_limits.time = limit.into();
        self
    }

    /// How much memory compiling one module may take, in bytes; `None` is no limit. It holds in programs that call
    /// [`compile_helper`](crate::compile_helper), on Unix. Default: 2 GiB.
    #[cfg(feature = "compiler")]
    pub fn max_compile_memory(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.compile_limits.memory = bytes.into();
        self
    }

    /// The directory of compiled modules. Whoever can write there can run code in this process. So on Unix a directory that
    /// [others can change](crate::_docs::security#the-cache-of-compiled-modules) is not used, and a warning says so.
    ///
    /// Default: `wcgi` below the user's cache directory (`$XDG_CACHE_HOME`, `~/.cache`; `%LOCALAPPDATA%` on Windows), or
    /// none where there is no such directory.
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = CacheSetting::Dir(dir.into());
        self
    }

    /// Compiles anew every time. Default: compiled modules are cached.
    pub fn no_cache(mut self) -> Self {
        self.cache = CacheSetting::Off;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if a limit is zero or absurd, or the operating system refuses memory or threads.
    pub fn build(self) -> Result<Engine, Error> {
        self.check()?;
        scratch::sweep();
        let size = Size {
            instances: self.max_concurrency,
            pagemap_scan: self.pagemap_scan,
            keep_resident: self.keep_resident,
        };
        let wasmtime = Wasmtime::new(size)?;
        let linker = link_modules(&wasmtime.engine)?;
        let component_linker = link_components(&wasmtime.engine)?;
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        if let Some(count) = self.threads {
            threads.worker_threads(count);
        }
        let threads = threads
            .thread_name("wcgi-guest")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| host("cannot start the threads for guests", error))?;
        #[cfg(feature = "compiler")]
        let cache = match self.cache {
            CacheSetting::Default => Cache::default_dir().map(Cache::new),
            CacheSetting::Dir(dir) => Some(Cache::new(dir)),
            CacheSetting::Off => None,
        };
        Ok(Engine(Arc::new(Parts {
            wasmtime,
            shelf: Shelf::default(),
            linker,
            component_linker,
            admission: admission::Admission::new(self.max_concurrency, self.queue, self.queue_wait),
            max_concurrency: self.max_concurrency,
            running: Running::default(),
            stints: Arc::new(Semaphore::new(threads.metrics().num_workers())),
            threads: Threads(Some(threads)),
            trust_precompiled: self.trust_precompiled,
            #[cfg(feature = "compiler")]
            cache,
            #[cfg(feature = "compiler")]
            compile_limits: self.compile_limits,
            max_memory: self.max_memory,
            spool_room: Arc::new(SpoolRoom::new(self.max_spool)),
        })))
    }

    fn check(&self) -> Result<(), Error> {
        let most = MAX_INSTANCES;
        if self.max_concurrency == 0 || self.max_concurrency > most {
            return Err(Error::new(ErrorKind::Host, format!("max_concurrency must be between 1 and {most}")));
        }
        if self.threads == Some(0) {
            return Err(Error::new(ErrorKind::Host, "threads must be at least 1"));
        }
        if (self.max_memory as u64) < WASM_PAGE || self.max_memory > MAX_MEMORY {
            return Err(Error::new(ErrorKind::Host, "max_memory must be between 64 KiB and 4 GiB"));
        }
        Ok(())
    }
}

/// The limits for compiling one module.
#[cfg(feature = "compiler")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompileLimits {
    pub(crate) time: Option<Duration>,
    /// In bytes.
    pub(crate) memory: Option<u64>,
}

struct Parts {
    wasmtime: Wasmtime,
    shelf: Shelf,
    linker: Linker<HostState>,
    component_linker: component::Linker<HostState>,
    admission: admission::Admission,
    max_concurrency: usize,
    running: Running,
    threads: Threads,
    stints: Arc<Semaphore>,
    trust_precompiled: bool,
    #[cfg(feature = "compiler")]
    cache: Option<Cache>,
    #[cfg(feature = "compiler")]
    compile_limits: CompileLimits,
    max_memory: usize,
    spool_room: Arc<SpoolRoom>,
}

/// Owns the runtime. It must not be dropped where blocking is forbidden, as in an async function.
struct Threads(Option<Runtime>);

impl Threads {
    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("taken only by drop").handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn host(message: &'static str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Host, message).with_source(error)
}

const MAX_MEMORY: usize = 4 << 30;
/// Far above what any machine can run at once, and small enough for every counter made from it.
const MAX_INSTANCES: usize = 100_000;
