//! The memory of instances, and the stacks they run on, from slots of [`wcgi_memory`].
//!
//! This is the only adapter between wasmtime and that crate. wasmtime asks for a memory in the middle of an instantiation and
//! does not say for which module. So the image for that memory is left on the thread.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use wasmtime::{Config, LinearMemory, MemoryCreator, MemoryType, StackCreator, StackMemory};
use wcgi_memory::{Image, Memory, Pool, Shape, Stack};

/// Makes `config` take memories and stacks from `pool`.
pub(super) fn install(config: &mut Config, pool: &Pool) {
    tune(config);
    config.with_host_memory(Arc::new(Slots(pool.clone()))).with_host_stack(Arc::new(Slots(pool.clone())));
}

/// Makes `config` compile for the memories of slots.
pub(super) fn tune(config: &mut Config) {
    config
        .memory_reservation(RESERVATION as u64)
        .memory_guard_size(SHAPE.guard as u64)
        .memory_may_move(false)
        .gc_heap_reservation(RESERVATION as u64)
        .gc_heap_guard_size(GC_HEAP_GUARD as u64)
        .gc_heap_may_move(false);
}

/// As [`with_image`](super::with_image).
pub(super) async fn with_image<F: Future>(image: Arc<Image>, instantiate: F) -> (F::Output, Option<Arc<Image>>) {
    let mut instantiate = pin!(instantiate);
    let mut left = Some(image);
    let output = std::future::poll_fn(|cx| {
        let _left = Left::on_this_thread(&mut left);
        instantiate.as_mut().poll(cx)
    })
    .await;
    (output, left)
}

/// An image that lies on this thread for the next memory, while this exists.
struct Left<'l>(&'l mut Option<Arc<Image>>);

impl<'l> Left<'l> {
    fn on_this_thread(image: &'l mut Option<Arc<Image>>) -> Self {
        NEXT.set(image.take());
        Self(image)
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        *self.0 = NEXT.take();
    }
}

thread_local! {
    static NEXT: RefCell<Option<Arc<Image>>> = const { RefCell::new(None) };
}

struct Slots(Pool);

// SAFETY: `wcgi_memory` promises three things. A memory has `RESERVATION` bytes of addresses, with wasmtime's guard behind it. It never
// moves. It holds zeros where no image says otherwise. An image is only there for a module that was compiled to begin
// with it.
#[expect(unsafe_code, reason = "wasmtime leans on what a memory promises")]
unsafe impl MemoryCreator for Slots {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let shape = Shape { reservation: reserved.unwrap_or(RESERVATION), guard };
        // The heap of exceptions is a memory too, and no image is for it.
        let image = if shape == SHAPE { NEXT.take() } else { None };
        let memory = self.0.memory(shape, image.as_ref(), minimum).map_err(|error| error.to_string())?;
        Ok(Box::new(Linear(memory)))
    }
}

struct Linear(Memory);

// SAFETY: as above; `byte_size` bytes are accessible.
#[expect(unsafe_code, reason = "wasmtime leans on what a memory promises")]
unsafe impl LinearMemory for Linear {
    fn byte_size(&self) -> usize {
        self.0.len()
    }

    fn byte_capacity(&self) -> usize {
        self.0.capacity()
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        Ok(self.0.grow_to(new_size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().as_ptr()
    }
}

// SAFETY: a stack is mapped in whole pages with an inaccessible guard below it, and holds zeros.
#[expect(unsafe_code, reason = "wasmtime leans on what a stack promises")]
unsafe impl StackCreator for Slots {
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        Ok(Box::new(FiberStack(self.0.stack(size)?)))
    }
}

struct FiberStack(Stack);

// SAFETY: as above.
#[expect(unsafe_code, reason = "wasmtime leans on what a stack promises")]
unsafe impl StackMemory for FiberStack {
    fn top(&self) -> *mut u8 {
        self.0.top()
    }

    fn range(&self) -> Range<usize> {
        self.0.addresses()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.0.guard()
    }
}

/// All that a 32-bit memory can address, so that code needs no bounds checks.
pub(super) const SHAPE: Shape = Shape { reservation: RESERVATION, guard: 32 << 20 };
const RESERVATION: usize = 4 << 30;
/// Different from a memory's, so that they can be told apart.
const GC_HEAP_GUARD: usize = 16 << 20;
