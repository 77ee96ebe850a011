//! Memory for WebAssembly instances: mapped from an image, reset after use, and handed out again.
//!
//! An [`Image`] is the first content of an instance's memory. A [`Pool`] hands out [`Memory`] that holds an image or only
//! zeros, and [`Stack`]s to run on. When one is dropped, it is reset and kept for the next. The promise: nothing that was
//! written into one can be read from the next, whatever the kernel did with its pages in between. The source of [`map`](self)
//! says why that holds, and on which behaviour of Linux it depends.
//!
//! It knows neither WebAssembly engines nor HTTP. The pool is for Linux; images are for every system.

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
