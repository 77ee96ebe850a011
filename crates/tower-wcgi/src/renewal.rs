//! The script and files that requests start from. They are made anew when a link in the mounts leads elsewhere.
//!
//! In: a package whose snapshot has been taken. Out: the script and the files for a request. A start-up remembers where links led,
//! as PHP does. If a deployment switches a link, pages of the old release would stand beside files of the new one. So requests
//! start without the snapshot from then on, and with another snapshot as soon as it is taken. It must not know HTTP.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::host::{Files, Seen};
use crate::mount::Access;
use crate::package::Module;
use crate::script::{Script, Source, Surroundings};

/// Everything that is needed to load the script again.
#[derive(Debug)]
pub(crate) struct Renewal {
    engine: Engine,
    module: Module,
    label: String,
    compiled: Option<PathBuf>,
    surroundings: Surroundings,
    current: Mutex<Arc<Ready>>,
    renewing: tokio::sync::Mutex<()>,
}

/// The script and files that a request starts from.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) script: Arc<Script>,
    pub(crate) files: Arc<Files>,
    /// The links that the script's snapshot remembers.
    seen: Arc<Seen>,
}

impl Renewal {
    /// The host directories that the script writes to.
    pub(crate) fn writable(&self) -> Vec<PathBuf> {
        let writable = self.surroundings.mounts.iter().filter(|mount| mount.access == Access::ReadWrite);
        writable.map(|mount| mount.host.clone()).collect()
    }

    /// Loads the script, with a snapshot if `take_snapshot` says so.
    ///
    /// # Errors
    ///
    /// Those of [`Script::load`].
    pub(crate) fn new(
        engine: Engine,
        source: &Source<'_>,
        surroundings: Surroundings,
        take_snapshot: bool,
    ) -> Result<Self, Error> {
        let script = Script::load(&engine, source, surroundings.max_memory, take_snapshot.then_some(&surroundings))?;
        let ready = Ready::new(script, &surroundings);
        Ok(Self {
            engine,
            module: source.module.clone(),
            label: source.label.to_owned(),
            compiled: source.compiled.map(PathBuf::from),
            surroundings,
            current: Mutex::new(Arc::new(ready)),
            renewing: tokio::sync::Mutex::default(),
        })
    }

    /// The script and files for a request that arrives now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if there is no thread that could look at the links. Also the errors of [`Script::load`].
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<Ready>, Error> {
        let ready = self.ready();
        // Without a snapshot there is nothing to remember.
        if !ready.script.begins_after_start_up() || !ready.seen.has_links() || self.are_current(&ready).await? {
            return Ok(ready);
        }
        let _alone = self.renewing.lock().await;
        let now = self.ready();
        if !Arc::ptr_eq(&now, &ready) {
            return Ok(now);
        }
        tracing::info!("a link in a mount of {} leads elsewhere: its start-up is run again", self.label);
        let this = Arc::clone(self);
        let plain = Arc::new(self.on_a_thread(move || this.load(false)).await?);
        self.set(&plain);
        let (this, plain_too) = (Arc::clone(self), Arc::clone(&plain));
        // Nobody waits for it.
        drop(self.engine.threads().spawn_blocking(move || this.renew(&plain_too)));
        Ok(plain)
    }

    fn renew(&self, plain: &Arc<Ready>) {
        match self.load(true) {
            Ok(ready) if Arc::ptr_eq(&self.ready(), plain) => self.set(&Arc::new(ready)),
            Ok(_) => {}
            Err(error) => tracing::warn!("{} runs without a snapshot: {error:#}", self.label),
        }
    }

    /// Blocks while it reads the module, and while it runs the start-up if that is wanted.
    fn load(&self, take_snapshot: bool) -> Result<Ready, Error> {
        let source = Source { module: &self.module, label: &self.label, compiled: self.compiled.as_deref() };
        // Before the start-up looks: a link that is switched meanwhile then differs from this record.
        let seen = if take_snapshot { Seen::of(&self.surroundings.mounts) } else { Seen::default() };
        let surroundings = Surroundings { seen: Arc::new(seen), ..self.surroundings.clone() };
        let taken = take_snapshot.then_some(&surroundings);
        let script = Script::load(&self.engine, &source, surroundings.max_memory, taken)?;
        Ok(Ready::new(script, &surroundings))
    }

    async fn are_current(&self, ready: &Arc<Ready>) -> Result<bool, Error> {
        let seen = Arc::clone(&ready.seen);
        self.on_a_thread(move || Ok(seen.links_are_current())).await
    }

    /// Runs `work` on a thread that may wait for a disk.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.engine.threads().spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Host, "cannot look at the links in the mounts").with_source(error))
        })
    }

    fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, ready: &Arc<Ready>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(ready);
    }
}

impl Ready {
    fn new(script: Script, Surroundings { mounts, quotas, seen, .. }: &Surroundings) -> Self {
        let files = Files::new(mounts.clone(), Arc::clone(quotas), Arc::clone(seen));
        Self { script: Arc::new(script), files: Arc::new(files), seen: Arc::clone(seen) }
    }
}
