//! What the script writes to: its stdout or its stderr.

use wasmtime_wasi::p2::StreamResult;

use super::{Stderr, Writer};

/// Either of the two.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(Writer),
    Stderr(Stderr),
}

impl Output {
    /// Waits until there is room for some bytes.
    pub(crate) async fn writable(&self) {
        match self {
            Self::Stdout(writer) => writer.writable().await,
            Self::Stderr(_) => {}
        }
    }

    /// Writes all of `bytes`, when there is room for them. Other tasks get the thread now and then, as no epoch tick comes
    /// between the parts of a large write.
    ///
    /// # Errors
    ///
    /// `Closed` when nobody will read them, a trap for what must end the script.
    pub(crate) async fn write(&self, bytes: &[u8]) -> StreamResult<()> {
        match self {
            Self::Stdout(writer) => writer.write(bytes).await,
            Self::Stderr(stderr) => {
                stderr.write(bytes).await;
                Ok(())
            }
        }
    }
}
