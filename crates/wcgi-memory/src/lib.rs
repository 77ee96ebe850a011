//! Memory for WebAssembly instances: mapped from an image, reset after use, and handed out again.
//!
//! [`Image`] is what an instance's memory holds at first. [`Pool`] hands out [`Memory`] that holds an image, or nothing but
//! zeros, and [`Stack`]s for what runs on it. Dropped, each is reset and kept for the next one. The promise: nothing that was
//! written into one can be read from the next, whatever the kernel did with its pages in between. [`map`](self) says in its
//! source why that holds, and which behaviour of Linux it leans on.
//!
//! Knows nothing of WebAssembly's engines and of HTTP. The pool is for Linux; images are for every system.

mod image;
mod layout;
#[cfg(target_os = "linux")]
mod map;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod scan;
#[cfg(target_os = "linux")]
mod slot;

pub use image::Image;
#[cfg(target_os = "linux")]
pub use pool::{Memory, Pool, PoolBuilder, Stack, Usage};
pub use slot::Shape;
