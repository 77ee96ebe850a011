//! What a terminal shows while something takes long.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

/// Waits for `future`. After a second a terminal shows `what` and how long it takes.
pub(crate) async fn shown<F: Future>(what: impl Fn() -> String, future: F) -> F::Output {
    let mut future = pin!(future);
    if !io::stderr().is_terminal() {
        return future.await;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let mut seconds = 0;
    loop {
        tokio::select! {
            output = &mut future => {
                if seconds > 0 {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
                return output;
            }
            _ = ticks.tick() => {
                seconds += 1;
                let _ = write!(io::stderr(), "\r\x1b[K{} … {seconds} s", what());
            }
        }
    }
}
