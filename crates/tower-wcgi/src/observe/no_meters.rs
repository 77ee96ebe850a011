//! In place of the meters where the feature `metrics` is off: nobody counts.

use std::sync::Arc;
use std::time::Duration;

/// The name of one service.
#[derive(Debug)]
pub(crate) struct Meters(Arc<str>);

impl Meters {
    pub(crate) fn new(site: &str) -> Self {
        Self(site.into())
    }

    pub(crate) fn site(&self) -> &str {
        &self.0
    }

    pub(crate) fn queued(&self, _took: Duration) {}
    pub(crate) fn instantiated(&self, _took: Duration) {}
    pub(crate) fn computed(&self, _took: Duration) {}
    pub(crate) fn answered(&self, _after: Duration) {}
    pub(crate) fn failed(&self, _kind: &'static str) {}
    pub(crate) fn stderr_line(&self) {}
    pub(crate) fn ended(&self, _method: &str, _status: u16, _took: Duration, _memory: u64) {}
}
