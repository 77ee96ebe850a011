//! How much memory a guest has, all its memories together.

use wasmtime::ResourceLimiter;

use crate::observe::ExchangeInfo;
use crate::runtime::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};

/// Of all memories together.
pub(crate) struct MemoryLimit {
    max_memory: usize,
    used: usize,
    exceeded: bool,
    /// Which is told how much it has.
    exchange: Option<ExchangeInfo>,
}

impl MemoryLimit {
    pub(crate) fn new(max_memory: usize, exchange: Option<ExchangeInfo>) -> Self {
        Self { max_memory, used: 0, exceeded: false, exchange }
    }

    /// The first memory begins with so many bytes, where a module may ask for less.
    pub(crate) fn has(&mut self, bytes: usize) {
        self.uses(self.used.max(bytes));
    }

    fn uses(&mut self, bytes: usize) {
        self.used = bytes;
        if let Some(exchange) = &self.exchange {
            exchange.has_memory(bytes);
        }
    }

    /// Whether more was asked for than there is.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.exceeded
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.max_memory;
        // Above its own limit a memory does not grow whatever is said here.
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.uses(used);
        }
        self.exceeded |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}
