//! The distribution protocol of OCI registries, from the client's side.
//!
//! In: references and blobs. Out: the same from a registry, each with an error that says whose fault it is. Whatever a
//! registry sends has a limit, and so has its silence. It knows nothing of packages.
//!
//! All functions block: they wait for an own runtime, which needs no other.

mod auth;
mod body;
mod challenge;
mod host;
mod limits;
mod repository;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, Runtime};

use self::host::Host;
pub(crate) use self::repository::{Repository, is_away};
use crate::error::{Error, ErrorKind};
use crate::options::Options;
use crate::reference::Reference;

/// Connections to registries.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Nothing only while it is dropped.
    runtime: Option<Runtime>,
    plain_http: bool,
    docker_config: Option<PathBuf>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        // One thread looks after the connections while this one unpacks.
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("wcgi-registry").enable_all().build();
        let runtime = runtime.map_err(|error| {
            Error::new(ErrorKind::Store, "cannot start a thread for the network").with_source(error)
        })?;
        Ok(Self {
            runtime: Some(runtime),
            plain_http: options.plain_http,
            docker_config: options.docker_config.clone(),
            hosts: Mutex::default(),
        })
    }

    /// Where a reference, which names a registry, leads.
    pub(crate) fn repository(&self, reference: &Reference) -> Result<Repository, Error> {
        let Some(registry) = reference.registry() else {
            return Err(Error::new(ErrorKind::Reference, format!("{reference} names no registry"))
                .with_hint("write REGISTRY/NAME:TAG, or set WCGI_REGISTRY"));
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = match hosts.get(registry) {
            Some(host) => Arc::clone(host),
            None => {
                let host = Arc::new(Host::new(registry, self.plain_http, self.docker_config.clone())?);
                hosts.insert(registry.to_owned(), Arc::clone(&host));
                host
            }
        };
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        Ok(Repository::new(runtime.handle().clone(), host, reference))
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // Waiting for its thread is not allowed everywhere, and there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
