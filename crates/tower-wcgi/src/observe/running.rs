//! The exchanges that are at work, from the request's head to the response's last byte.
//!
//! In: records as they begin. Out: a list, and for each that is over what metrics say of it. Knows neither HTTP nor wasm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::ExchangeInfo;
use crate::error::ErrorKind;

/// The list. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next: u64,
    exchanges: HashMap<u64, ExchangeInfo>,
}

/// One exchange's place in the list. When it is dropped, the exchange is over.
#[derive(Debug)]
pub(crate) struct Observed {
    info: ExchangeInfo,
    running: Running,
    key: u64,
    status: u16,
}

impl Running {
    pub(crate) fn begin(&self, info: ExchangeInfo) -> Observed {
        let mut list = self.lock();
        let key = list.next;
        list.next += 1;
        list.exchanges.insert(key, info.clone());
        drop(list);
        Observed { info, running: self.clone(), key, status: CLIENT_LEFT }
    }

    pub(crate) fn list(&self) -> Vec<ExchangeInfo> {
        self.lock().exchanges.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observed {
    pub(crate) fn info(&self) -> &ExchangeInfo {
        &self.info
    }

    /// The head of its response is there.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.info.meters().answered(self.info.age());
    }

    pub(crate) fn failed(&self, kind: ErrorKind) {
        self.info.meters().failed(kind.as_str());
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.running.lock().exchanges.remove(&self.key);
        let info = &self.info;
        info.meters().ended(info.method(), self.status, info.age(), info.memory());
    }
}

/// What nginx logs of a client that has left before there was a status.
const CLIENT_LEFT: u16 = 499;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Meters;
    use crate::request::RequestId;

    #[test]
    fn an_exchange_is_listed_until_it_is_over() {
        let running = Running::default();
        let meters = Arc::new(Meters::new("site"));
        let begin = |id: &str| running.begin(ExchangeInfo::new(RequestId::new(id), "GET", "/", Arc::clone(&meters)));
        let (first, second) = (begin("1"), begin("2"));
        assert_eq!(running.list().len(), 2);
        drop(first);
        let list = running.list();
        assert_eq!(list.iter().map(ExchangeInfo::id).collect::<Vec<_>>(), ["2"]);
        assert_eq!(list[0].site(), "site");
        drop(second);
        assert!(running.list().is_empty());
    }
}
