#![doc = include_str!("../docs/crate.md")]

mod backoff;
mod body;
mod builder;
mod code;
mod connection;
mod defaults;
mod engine;
mod environ;
mod error;
mod escape;
mod exchange;
#[cfg(feature = "compiler")]
mod export;
mod future;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod host;
mod inspect;
mod mount;
mod observe;
mod outbound;
#[cfg(feature = "webc")]
mod pack;
mod package;
mod release;
mod reload;
mod renewal;
mod request;
mod runtime;
mod scratch;
mod script;
mod sendfile;
mod service;
mod site;
mod stdio;
mod sys;
mod tree;
mod warmup;

pub use body::ResponseBody;
pub use builder::WcgiBuilder;
pub use connection::{ConnectionInfo, TrustedProxies};
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, ErrorKind};
#[cfg(feature = "compiler")]
pub use export::Exported;
pub use future::{ResponseFuture, TryResponseFuture};
pub use inspect::Inspected;
pub use mount::Access;
#[cfg(feature = "metrics")]
pub use observe::describe_metrics;
pub use observe::{ExchangeInfo, ExchangeState};
pub use outbound::{InvalidNetRule, NetRule};
#[cfg(feature = "webc")]
pub use pack::Unpacked;
pub use package::Site;
pub use request::{RemoteUser, RequestEnv, RequestId};
#[cfg(feature = "compiler")]
pub use script::{Captured, Cause, SnapshotReport, compile_helper};
pub use service::WcgiService;

/// Pages on topics that are too long for the crate's front page.
pub mod _docs {
    #[doc = include_str!("../docs/limits.md")]
    pub mod limits {}

    #[doc = include_str!("../docs/meta-variables.md")]
    pub mod meta_variables {}

    #[doc = include_str!("../docs/sites.md")]
    pub mod sites {}

    #[doc = include_str!("../docs/layers.md")]
    pub mod layers {}

    #[doc = include_str!("../docs/failures.md")]
    pub mod failures {}

    #[doc = include_str!("../docs/security.md")]
    pub mod security {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("../docs/client.md")]
    pub mod client {}

    #[doc = include_str!("../docs/locks.md")]
    pub mod locks {}

    #[doc = include_str!("../docs/network.md")]
    pub mod network {}

    #[doc = include_str!("../docs/snapshots.md")]
    pub mod snapshots {}

    #[doc = include_str!("../docs/languages.md")]
    pub mod languages {}

    #[doc = include_str!("../docs/components.md")]
    pub mod components {}

    #[doc = include_str!("../docs/python.md")]
    pub mod python {}
}
