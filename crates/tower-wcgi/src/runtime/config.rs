//! The wasmtime configuration, and the memory of instances.
//!
//! On Linux memory comes from slots that are mapped once and reset after each instance. If the address space is too small for
//! that, and on other systems, each memory is made anew and its image copied. That is slower, but otherwise the same.

use wasmtime::Config;
#[cfg(target_os = "linux")]
use wcgi_memory::Pool;

use super::ticker;
use crate::error::{Error, ErrorKind};

/// The sizes of all instances' memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Instances at once.
    pub(crate) instances: usize,
    /// Whether `PAGEMAP_SCAN` is used if the kernel has it.
    pub(crate) pagemap_scan: bool,
    /// Bytes of memory that stay with slots between instances, all together.
    pub(crate) keep_resident: usize,
}

/// A wasmtime engine whose epoch ticks.
pub(crate) struct Wasmtime {
    pub(crate) engine: wasmtime::Engine,
    #[cfg(target_os = "linux")]
    pool: Option<Pool>,
}

impl Wasmtime {
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if the system refuses memory or a thread.
    pub(crate) fn new(size: Size) -> Result<Self, Error> {
        let mut config = base();
        #[cfg(target_os = "linux")]
        let pool = slots(size);
        #[cfg(target_os = "linux")]
        if let Some(pool) = &pool {
            tracing::debug!(instances = size.instances, pagemap_scan = pool.scans(), "instances have slots of memory");
            super::memory::install(&mut config, pool);
        } else {
            tracing::warn!(
                instances = size.instances,
                "no room for the addresses of all instances, allocating each by itself"
            );
            bounds_checked(&mut config);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = size;
        let engine = wasmtime::Engine::new(&config)
            .map_err(|source| Error::new(ErrorKind::Host, "cannot create the wasm engine").with_source(source))?;
        ticker::register(&engine)
            .map_err(|error| Error::new(ErrorKind::Host, "cannot start the epoch thread").with_source(error))?;
        Ok(Self {
            engine,
            #[cfg(target_os = "linux")]
            pool,
        })
    }

    /// Bytes of memory in slots without an instance.
    pub(crate) fn kept_bytes(&self) -> usize {
        #[cfg(target_os = "linux")]
        let kept = self.pool.as_ref().map_or(0, |pool| pool.usage().kept_bytes);
        #[cfg(not(target_os = "linux"))]
        let kept = 0;
        kept
    }
}

/// The settings of compilation. They do not depend on the source of instances' memory.
#[cfg(feature = "compiler")]
pub(crate) fn compilers() -> [Config; 2] {
    let (mut config, mut without_room) = (base(), base());
    #[cfg(target_os = "linux")]
    super::memory::tune(&mut config);
    bounds_checked(&mut without_room);
    [config, without_room]
}

/// Memory that grows as needed, with bounds checks in the code. A slot reserves 4 GiB of addresses instead.
fn bounds_checked(config: &mut Config) {
    config.memory_reservation(0).memory_guard_size(WASM_PAGE).memory_reservation_for_growth(1 << 20);
}

/// A pool, if there are addresses for `size.instances`.
#[cfg(target_os = "linux")]
fn slots(size: Size) -> Option<Pool> {
    Pool::has_room(super::memory::SHAPE, size.instances).then(|| {
        // A memory, the heap of its exceptions, and a stack.
        let slots = size.instances.saturating_mul(3);
        Pool::builder().slots(slots).keep(size.keep_resident).scan(size.pagemap_scan).build()
    })
}

/// A page of linear memory, in bytes.
pub(crate) const WASM_PAGE: u64 = 64 << 10;
/// The largest table a module may have, in elements: php-cgi has 12,000.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// A component is made of modules: the program, the adapter of its imports, and others that it was composed of.
pub(crate) const MAX_INSTANCES: usize = 16;
pub(crate) const MAX_TABLES: usize = 8;
/// Two programs composed into one.
pub(crate) const MAX_MEMORIES: usize = 2;
/// Each has a place in every instance, which is no part of its memory: php-cgi has 13,000, Ruby 40,000.
pub(crate) const MAX_FUNCTIONS: usize = 200_000;

fn base() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Lua and PHP builds with a real longjmp.
        .wasm_exceptions(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(WASM_STACK + HOST_STACK)
        // The first content of a memory is an image of ours, if possible.
        .memory_init_cow(false);
    config
}

/// Of wasm frames; `CPython` and Ruby recurse deeply.
const WASM_STACK: usize = 2 << 20;
/// What host calls need on top of the wasm frames below them.
const HOST_STACK: usize = 1 << 20;
