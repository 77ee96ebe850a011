//! The base of guests: wasmtime's configuration, the memory of their instances, the epoch thread.
//!
//! It must not know WASI, or the contents of a store.

mod config;
#[cfg(target_os = "linux")]
mod memory;
mod ticker;

use std::future::Future;
use std::sync::Arc;

use wcgi_memory::Image;

#[cfg(feature = "compiler")]
pub(crate) use config::compilers;
pub(crate) use config::{
    MAX_FUNCTIONS, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, Size, WASM_PAGE, Wasmtime,
};
pub(crate) use ticker::Ticking;

/// Runs `instantiate` so that the memory it asks for holds `image`. Gives the image back if no memory was made with it. Then
/// the caller has to copy the image.
pub(crate) async fn with_image<F: Future>(image: Arc<Image>, instantiate: F) -> (F::Output, Option<Arc<Image>>) {
    #[cfg(target_os = "linux")]
    return memory::with_image(image, instantiate).await;
    #[cfg(not(target_os = "linux"))]
    (instantiate.await, Some(image))
}
