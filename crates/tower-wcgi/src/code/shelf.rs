//! The modules that an engine has in use, so that a second service of the same module compiles and reads nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::beginning::Code;
use super::prepare::ModuleHash;

/// The modules that an engine has in use.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<ModuleHash, Weak<Code>>>);

impl Shelf {
    /// The code of the module with this hash, if it is in use.
    pub(crate) fn find(&self, hash: ModuleHash) -> Option<Arc<Code>> {
        locked(&self.0).get(&hash)?.upgrade()
    }

    /// Remembers that it is in use.
    pub(crate) fn keep(&self, code: &Arc<Code>) {
        let mut shelf = locked(&self.0);
        shelf.retain(|_, code| code.strong_count() > 0);
        shelf.insert(code.hash, Arc::downgrade(code));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
