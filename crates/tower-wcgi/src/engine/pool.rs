//! How instances get their memory: the wasmtime configuration, sized from the limits.
//!
//! A pool has a slot for every permit, so "pool exhausted" cannot happen. Where the address space is too short for the pool,
//! instances are allocated one by one instead: slower, otherwise the same.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::{Error, ErrorKind};

/// What sizes the pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolSize {
    /// Instances at once.
    pub(crate) instances: usize,
    /// Linear memory of one instance, in bytes.
    pub(crate) max_memory: usize,
    /// Whether `PAGEMAP_SCAN` is used where the kernel has it.
    pub(crate) pagemap_scan: bool,
}

/// Builds the engine on a pool, or without one where the host has no room for it.
///
/// # Errors
///
/// [`ErrorKind::Host`] when neither works.
pub(crate) fn build(size: PoolSize) -> Result<wasmtime::Engine, Error> {
    let mut config = base();
    let pagemap_scan = size.pagemap_scan && PoolingAllocationConfig::is_pagemap_scan_available();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(size, pagemap_scan)));
    match wasmtime::Engine::new(&config) {
        Ok(engine) => {
            tracing::debug!(instances = size.instances, pagemap_scan, "instances come from a pool");
            Ok(engine)
        }
        Err(reason) => {
            tracing::warn!(
                instances = size.instances,
                reason = format!("{reason:#}"),
                "no room for a pool of instances, allocating each by itself"
            );
            wasmtime::Engine::new(&bounds_checked())
                .map_err(|source| Error::new(ErrorKind::Host, "cannot create the wasm engine").with_source(source))
        }
    }
}

/// An engine whose instances are allocated one by one.
///
/// # Errors
///
/// [`ErrorKind::Host`] when there cannot be one.
#[cfg(feature = "compiler")]
pub(super) fn without() -> Result<wasmtime::Engine, Error> {
    wasmtime::Engine::new(&base())
        .map_err(|source| Error::new(ErrorKind::Host, "cannot create the wasm engine").with_source(source))
}

/// Grown as it is needed, with bounds checks in the code, where the pool reserves 4 GiB of addresses each.
fn bounds_checked() -> Config {
    let mut config = base();
    config.memory_reservation(0).memory_guard_size(64 << 10).memory_reservation_for_growth(1 << 20);
    config
}

/// What the engines above compile with, whatever instances get their memory from.
#[cfg(feature = "compiler")]
pub(crate) fn compilers() -> [Config; 2] {
    [base(), bounds_checked()]
}

/// The largest table a module may have, in elements: php-cgi has 12,000.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 100_000;

fn base() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Lua and PHP builds with a real longjmp.
        .wasm_exceptions(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(WASM_STACK + HOST_STACK)
        // Above the largest image in use: a sparse image is otherwise copied at every instantiation.
        .memory_guaranteed_dense_image_size(DENSE_IMAGE)
        .memory_init_cow(true);
    config
}

fn pooling(size: PoolSize, pagemap_scan: bool) -> PoolingAllocationConfig {
    let instances = u32::try_from(size.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances.saturating_mul(MODULES_PER_COMPONENT))
        .max_core_instances_per_component(MODULES_PER_COMPONENT)
        .total_component_instances(instances)
        .total_stacks(instances)
        .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
        .max_tables_per_module(TABLES_PER_MODULE)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .table_elements(MAX_TABLE_ELEMENTS)
        // The heap in which wasm exceptions live takes a memory of the pool besides the script's own.
        .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT + 1))
        .total_gc_heaps(instances)
        .max_memories_per_module(1)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_memory_size(size.max_memory);
    if pagemap_scan {
        // Dirty pages are reset in place instead of by madvise, which serialises threads on the mmap lock: 1.7 to 3.8 times
        // the throughput. Without the scan, keeping pages resident makes it worse.
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEEP_RESIDENT).table_keep_resident(KEEP_RESIDENT);
    }
    pool
}

const TABLES_PER_MODULE: u32 = 2;
/// A component is made of modules: the program, what adapts its imports, and what else it was composed of. They take no room
/// before they are there.
const MODULES_PER_COMPONENT: u32 = 16;
const TABLES_PER_COMPONENT: u32 = 8;
/// Two programs composed into one. Each has a slot of 4 GiB of addresses for every permit.
const MEMORIES_PER_COMPONENT: u32 = 2;
/// Of wasm frames; `CPython` and Ruby recurse deeply.
const WASM_STACK: usize = 2 << 20;
/// What host calls need on top of the wasm frames below them.
const HOST_STACK: usize = 1 << 20;
const DENSE_IMAGE: u64 = 256 << 20;
/// Of a slot that is free again, for the next instance in it: so an idle process holds up to this times the slots that were
/// ever used at once, after scripts that use much memory.
const KEEP_RESIDENT: usize = 16 << 20;
