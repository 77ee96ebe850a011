//! Waits for files to change, by looking at them: that works on every file system, also through links and in containers.

use std::time::Duration;

/// Waits until `look` has seen something else than before, and then twice the same: what is being written is not read.
pub(crate) async fn changed<S: PartialEq>(seen: &mut S, look: impl Fn() -> S) {
    let mut last: Option<S> = None;
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = tokio::task::block_in_place(&look);
        if now == *seen {
            last = None;
        } else if last.as_ref() == Some(&now) {
            *seen = now;
            return;
        } else {
            last = Some(now);
        }
    }
}

const PERIOD: Duration = Duration::from_millis(250);
