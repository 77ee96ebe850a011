//! WCGI packages in OCI registries.
//!
//! A package is an artefact of its own kind: its manifest, each module and each mount are blobs with digests, so what did
//! not change is not sent again. A [`Registry`] pushes a package directory, and pulls a reference into a directory of the
//! [`Store`]. What is in the store runs without the registry.
//!
//! All calls block. They bring their own runtime, so call them from a thread that may wait, such as
//! `tokio::task::spawn_blocking`'s.
//!
//! ```no_run
//! # use wcgi_registry::{Options, Reference, Registry, Store};
//! # fn main() -> Result<(), wcgi_registry::Error> {
//! let registry = Registry::new(Store::open("cache".as_ref())?, Options::from_environment()?);
//! let blog = registry.pull(&Reference::parse("localhost:5000/me/blog:1.0")?)?;
//! println!("{} is in {}", blog.digest, blog.path.display());
//! # Ok(()) }
//! ```

mod archive;
mod artefact;
mod dependencies;
mod digest;
mod error;
mod image;
mod lock;
mod options;
mod pull;
mod push;
mod reference;
mod runtime;
mod signature;
mod signed;
mod store;
mod transport;

use std::sync::{Arc, OnceLock};

pub use self::artefact::Need;
pub use self::dependencies::Dependencies;
pub use self::digest::Digest;
pub use self::error::{Error, ErrorKind};
pub use self::lock::Lock;
pub use self::options::{Limits, Options};
pub use self::pull::{Blob, Pulled};
pub use self::push::Pushed;
pub use self::reference::Reference;
pub use self::runtime::Runtime;
pub use self::signature::{SigningKey, VerifyingKey};
pub use self::store::Store;
use self::transport::Transport;

/// Pushes and pulls packages. Clones share the store and the connections.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    options: Options,
    transport: OnceLock<Transport>,
}

impl Registry {
    /// Nothing is connected to before it is needed.
    #[must_use]
    pub fn new(store: Store, options: Options) -> Self {
        Self { inner: Arc::new(Inner { store, options, transport: OnceLock::new() }) }
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn options(&self) -> &Options {
        &self.inner.options
    }

    fn transport(&self) -> Result<&Transport, Error> {
        if let Some(transport) = self.inner.transport.get() {
            return Ok(transport);
        }
        let transport = Transport::new(self.options())?;
        Ok(self.inner.transport.get_or_init(|| transport))
    }

    /// A reference with the registry that it is for.
    fn qualified(&self, reference: &Reference) -> Result<Reference, Error> {
        reference.within(self.options().registry.as_ref()).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{reference} names no registry, and none is set"))
                .with_hint(how_to_have(reference))
        })
    }
}

/// What to do about a package that is nowhere.
fn how_to_have(reference: &Reference) -> String {
    let name = match (reference.registry(), reference.tag()) {
        (None, Some(version)) => format!("{}:{version}", reference.name()),
        _ => "NAME:VERSION".to_owned(),
    };
    format!("set WCGI_REGISTRY to a registry that has it, or add it by `wcgi runtime add {name} FILE`")
}
