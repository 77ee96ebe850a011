//! Look-ups by the system's resolver, on threads that may wait, of which only some at once.
//!
//! In: a name that is granted. Out: addresses, unchecked. A look-up cannot be stopped: one that nobody waits for any more keeps its
//! place until it is over.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::allow::LOOPBACK;
use super::failure::Failure;
use super::rule::Name;

/// The look-ups of a service.
#[derive(Debug)]
pub(super) struct Resolver {
    places: Places,
    /// What a test says that names lead to.
    #[cfg(test)]
    pub(super) zone: std::collections::HashMap<&'static str, Vec<IpAddr>>,
}

/// How many look-ups there may be at once.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Those of one exchange.
    pub(super) fn of_exchange() -> Self {
        Self::new(MAX_OF_EXCHANGE)
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            places: Places::new(MAX_AT_ONCE),
            #[cfg(test)]
            zone: std::collections::HashMap::default(),
        }
    }
}

impl Resolver {
    /// The addresses of `name`, each once, in the order of the resolver.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSuchHost`] when it has none, or the resolver cannot say.
    pub(super) async fn look_up(&self, name: &Name, own: &Places) -> Result<Vec<IpAddr>, Failure> {
        if name.is_localhost() {
            return Ok(LOOPBACK.to_vec());
        }
        #[cfg(test)]
        if let Some(addresses) = self.zone.get(name.as_str()) {
            return Ok(addresses.clone());
        }
        // The exchange's own first: those that wait for one take nothing from others.
        let Ok(own) = Arc::clone(&own.0).acquire_owned().await else { return Err(Failure::NoSuchHost) };
        let Ok(place) = Arc::clone(&self.places.0).acquire_owned().await else { return Err(Failure::NoSuchHost) };
        let asked = name.as_str().to_owned();
        let look_up = move || -> io::Result<Vec<IpAddr>> {
            let _places = (own, place);
            let mut addresses = Vec::new();
            for address in (asked.as_str(), 0).to_socket_addrs()?.map(|address| address.ip().to_canonical()) {
                if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        };
        match tokio::task::spawn_blocking(look_up).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(Failure::NoSuchHost),
        }
    }
}

/// So that a resolver that does not answer leaves threads for files.
const MAX_AT_ONCE: usize = 32;
/// So that one exchange cannot have all of them.
const MAX_OF_EXCHANGE: usize = 4;
/// Of one name.
const MAX_ADDRESSES: usize = 16;
