//! A release beside the running one, and the swap.
//!
//! In: what a builder says now. Out: the same service, which answers with that. It must not know wasm.

use std::path::PathBuf;

use crate::builder::WcgiBuilder;
use crate::error::Error;
use crate::service::WcgiService;

impl WcgiService {
    /// Opens what `builder` says beside the running package, and answers with that from then on: so do all clones of this
    /// service. No request fails or waits for it. What runs is finished with the old package, whose memory is free after that.
    ///
    /// The engine stays the service's own, whatever the builder says. Opening takes as long as
    /// [`build`](WcgiBuilder::build) does, so call it where that holds up nobody:
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # async fn example(shop: WcgiService) -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = WcgiService::builder().package("shop/").env("THEME", "winter");
    /// tokio::task::spawn_blocking(move || shop.reload(builder)).await??;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`WcgiBuilder::build`]. Then the old package goes on answering.
    pub fn reload(&self, builder: WcgiBuilder) -> Result<(), Error> {
        self.swap(builder.engine(self.engine().clone()).release()?);
        Ok(())
    }

    /// The files that the service was opened from: the manifest and the module. When one of them changes,
    /// [`reload`](Self::reload) brings something new. What a site serves needs no reload.
    #[must_use]
    pub fn sources(&self) -> Vec<PathBuf> {
        self.release().sources.clone()
    }

    /// The host directories that scripts write to. Locks and turns hold among the services of one process, so a server can
    /// make sure that no other process writes there.
    #[must_use]
    pub fn writable(&self) -> Vec<PathBuf> {
        self.release().start.writable()
    }
}
