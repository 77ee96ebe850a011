#![doc = include_str!("../docs/crate.md")]

mod body;
mod builder;
mod engine;
mod error;
mod exchange;
mod future;
mod gateway;
mod package;
mod request;
mod script;
mod service;
mod stdio;

pub use body::ResponseBody;
pub use builder::WcgiBuilder;
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, ErrorKind};
pub use future::{ResponseFuture, TryResponseFuture};
pub use package::Access;
pub use request::{RemoteUser, RequestId};
pub use service::WcgiService;
