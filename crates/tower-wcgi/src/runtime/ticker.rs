//! The epoch thread: makes busy guests yield.
//!
//! One thread for the whole process ticks every engine while any exchange runs, and sleeps when none does. A thread per engine
//! or per request was wasmtime#11814.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::EngineWeak;

/// The unit of the time that a guest computes before it yields its thread.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Increments `engine`'s epoch for as long as the engine exists.
///
/// # Errors
///
/// Fails with the system's error if the process cannot start the thread.
pub(crate) fn register(engine: &wasmtime::Engine) -> std::io::Result<()> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    TICKER.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        let thread = std::thread::Builder::new().name("wcgi-epoch".into()).spawn(|| TICKER.run())?;
        // Only this line sets it, under the lock above.
        let _ = TICKER.thread.set(thread.thread().clone());
        *started = true;
    }
    Ok(())
}

/// While one exists, epochs advance.
#[derive(Debug)]
pub(crate) struct Ticking(());

impl Ticking {
    pub(crate) fn start() -> Self {
        if TICKER.exchanges.fetch_add(1, Ordering::SeqCst) == 0
            && TICKER.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = TICKER.thread.get()
        {
            thread.unpark();
        }
        Self(())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        TICKER.exchanges.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Ticker {
    engines: Mutex<Vec<EngineWeak>>,
    exchanges: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Ticker {
    fn run(&self) {
        let mut idle_ticks = 0;
        loop {
            if self.exchanges.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
                self.tick();
            } else {
                idle_ticks += 1;
            }
            if idle_ticks < IDLE_TICKS {
                std::thread::park_timeout(TICK);
                continue;
            }
            // An exchange that starts between these two lines sees `asleep` and leaves its unpark behind.
            self.asleep.store(true, Ordering::SeqCst);
            if self.exchanges.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }

    fn tick(&self) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
    }
}

/// Ticks without any exchange after which the thread sleeps: long enough that steady traffic never wakes it.
const IDLE_TICKS: u32 = 100;

static TICKER: Ticker = Ticker {
    engines: Mutex::new(Vec::new()),
    exchanges: AtomicUsize::new(0),
    asleep: AtomicBool::new(false),
    thread: OnceLock::new(),
};
