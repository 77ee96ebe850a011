//! The script's outputs: stdout and stderr.

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

    /// Writes all of `bytes`, waiting for room. Now and then it lets other tasks have the thread, because no epoch tick comes
    /// between the parts of a large write.
    ///
    /// # Errors
    ///
    /// `Closed` if nobody will read them. A trap if the script must end.
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
