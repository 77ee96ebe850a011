//! Snapshots: what a module's start-up has left in its memory and its globals, for instances that begin there.
//!
//! In: a module that exports `wizer-initialize`, and what its start-up may see. Out: an image and the values of globals beside
//! the module's code, which stays as it is; or another module that begins there by itself, for a package that is written. Finds
//! out whether the start-up kept what must not be the same in every request. Knows nothing of HTTP.

mod compare;
mod key;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime::Val;
use wasmtime_wizer::{InstanceState, ModuleContext, SnapshotVal, ValType, Wizer};

use compare::Place;
pub(super) use compare::compare;
pub use compare::{Captured, Cause, SnapshotReport};
pub(super) use key::ensure_no_special_files;

use super::START;
use crate::code::{Code, Globals, Snapshot};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::initialisation::{Inputs, Surroundings, initialise, on_own_thread};

/// How a module says that it can be initialised ahead of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The export that is the start-up, in the spelling found.
    initialize: &'static str,
    /// What takes the place of `_start` afterwards.
    pub(super) start: &'static str,
}

impl Entry {
    /// What `wasm` exports, nothing when it cannot be initialised. Of a module that is damaged its compiler will complain.
    pub(super) fn of(wasm: &[u8]) -> Option<Self> {
        let exports = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
            Ok(Payload::ExportSection(exports)) => Some(exports),
            _ => None,
        })?;
        let functions: Vec<&str> = exports
            .into_iter()
            .flatten()
            .filter(|export| export.kind == ExternalKind::Func)
            .map(|export| export.name)
            .collect();
        let initialize = INITIALIZE.into_iter().find(|name| functions.contains(name))?;
        Some(Self { initialize, start: if functions.contains(&RESUME) { RESUME } else { START } })
    }
}

/// What is in the memory of a module before it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Contents {
    pub(crate) bytes: usize,
    /// In how many places of the memory they are.
    pub(crate) spans: usize,
}

impl Contents {
    pub(in crate::script) fn of(wasm: &[u8]) -> Self {
        let data = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
            Ok(Payload::DataSection(data)) => Some(data),
            _ => None,
        });
        let spans = data.into_iter().flat_map(|data| data.into_iter().flatten());
        spans.fold(Self::default(), |sum, span| Self { bytes: sum.bytes + span.data.len(), spans: sum.spans + 1 })
    }
}

/// The snapshot of `code`, which is of `wasm`: from the cache, or by running its start-up.
///
/// # Errors
///
/// Why there can be no snapshot; the module itself may run all the same. Besides those of
/// [`initialise`]: [`ErrorKind::Module`] when its state cannot be taken, or depends on random numbers.
pub(super) fn ready(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<Arc<Snapshot>, Error> {
    let key = key::key(code.hash, surroundings)?;
    if let Some(snapshot) = code.snapshots.find(key) {
        return Ok(snapshot);
    }
    let cached = engine.cache().and_then(|cache| code.snapshots.load(cache, key)).filter(|cached| code.fits(cached));
    let snapshot = match cached {
        Some(snapshot) => snapshot,
        None => {
            let left = take(engine, code, wasm, entry, surroundings)?;
            if key::key(code.hash, surroundings)? != key {
                return Err(Error::new(ErrorKind::Package, "its files changed while its start-up ran"));
            }
            code.snapshots.make(engine.cache(), key, &left.memory, left.globals)?
        }
    };
    Ok(code.snapshots.keep(key, snapshot))
}

/// Runs the start-up of `wasm` and gives the module that begins after it.
///
/// # Errors
///
/// As [`ready`].
pub(super) fn module(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<Vec<u8>, Error> {
    let left = take(engine, code, wasm, entry, surroundings)?;
    let (wizer, context) = instrument(wasm, entry)?;
    on_own_thread(engine.threads(), async || {
        let module = wizer.snapshot(&context, &mut Instrumented(left)).await;
        module.map_err(|source| Error::new(ErrorKind::Module, "its memory cannot be written").with_source(source))
    })
}

/// Logs that there is no snapshot of the module `label`, and why; it runs without.
pub(super) fn warn(label: &str, error: &Error) {
    let detail = error.causes().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    tracing::warn!(reason = error.kind().as_str(), detail, "{label} runs without a snapshot of its start-up: {error}");
}

fn take(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<Left, Error> {
    check(code, wasm, entry)?;
    on_own_thread(engine.threads(), async || {
        let inputs = Inputs::now()?;
        let left = Left::run(code, entry, surroundings, inputs).await?;
        if left.random_was_read && !surroundings.reseeds {
            let again = Left::run(code, entry, surroundings, Inputs { seed: seed()?, ..inputs }).await?;
            if let Some(place) = left.difference(&again) {
                let why = format!("{place} depends on random numbers, which would be the same in every request");
                return Err(Error::new(ErrorKind::Module, why));
            }
        }
        if left.time_was_read {
            let later = Inputs { time: inputs.time + LATER, ..inputs };
            let later = Left::run(code, entry, surroundings, later).await?;
            if let Some(place) = left.difference(&later) {
                tracing::info!("the snapshot keeps the time at which it was made: {place}");
            }
        }
        tracing::info!(bytes = left.memory.len(), "the start-up was run and is kept as a snapshot");
        Ok(left)
    })
}

/// Refuses a module whose state is more than its memory and numbers.
fn check(code: &Arc<Code>, wasm: &[u8], entry: Entry) -> Result<(), Error> {
    let checked = code.snapshots.possible.get_or_init(|| {
        if !code.is_prepared() {
            return Err("it has not one memory of its own whose data has a constant place".to_owned());
        }
        Wizer::new().instrument(wasm).map(drop).map_err(|error| format!("{error:#}"))
    });
    let unsuitable =
        |source: String| Error::new(ErrorKind::Module, "the module cannot be snapshotted").with_source(source);
    checked.clone().map_err(unsuitable)?;
    super::start(&code.module, "the module", entry.start).map(drop)
}

/// What wizer needs to write a module that begins elsewhere.
fn instrument(wasm: &[u8], entry: Entry) -> Result<(Wizer, ModuleContext<'_>), Error> {
    let mut wizer = Wizer::new();
    wizer.init_func(entry.initialize);
    if entry.start != START {
        wizer.func_rename(START, entry.start);
    }
    let instrumented = wizer.instrument(wasm);
    let (context, _) = instrumented
        .map_err(|source| Error::new(ErrorKind::Module, "the module cannot be snapshotted").with_source(source))?;
    Ok((wizer, context))
}

impl Inputs {
    /// The time, and random numbers that nobody has had.
    fn now() -> Result<Self, Error> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { seed: seed()?, time })
    }
}

/// What a start-up has left.
struct Left {
    memory: Vec<u8>,
    /// By their index.
    globals: Globals,
    random_was_read: bool,
    time_was_read: bool,
}

impl Left {
    async fn run(code: &Arc<Code>, entry: Entry, surroundings: &Surroundings, inputs: Inputs) -> Result<Self, Error> {
        let mut initialised = initialise(code, entry.initialize, surroundings, inputs).await?;
        let state = code.state(&mut initialised.store, &initialised.instance);
        let (memory, globals) = state.ok_or_else(|| Error::new(ErrorKind::Module, "its state cannot be read"))?;
        let (random_was_read, time_was_read) = (initialised.random_was_read, initialised.time_was_read);
        Ok(Self { memory, globals, random_was_read, time_was_read })
    }

    /// Where `other` is not the same, in words, if it is not.
    fn difference(&self, other: &Self) -> Option<String> {
        let places = self.differences(other);
        Some(match places.first()? {
            Place::Memory(first) => {
                format!("its memory (from address {:#x} on, in {} places)", first.start, places.len())
            }
            Place::Global => "a global".to_owned(),
        })
    }
}

/// What a start-up has left, as wizer asks for it.
struct Instrumented(Left);

impl InstanceState for Instrumented {
    async fn global_get(&mut self, name: &str, _type: ValType) -> SnapshotVal {
        let index = name.strip_prefix("__wizer_global_").and_then(|index| index.parse::<u32>().ok());
        let value = self.0.globals.iter().find(|(global, _)| Some(*global) == index).map(|(_, value)| value);
        match value.expect("wizer asks for the globals that a prepared module exports") {
            Val::I32(value) => SnapshotVal::I32(*value),
            Val::I64(value) => SnapshotVal::I64(*value),
            Val::F32(bits) => SnapshotVal::F32(*bits),
            Val::F64(bits) => SnapshotVal::F64(*bits),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            _ => unreachable!("wizer refuses modules with mutable references"),
        }
    }

    async fn memory_contents(&mut self, _name: &str, contents: impl FnOnce(&[u8]) + Send) {
        contents(&self.0.memory);
    }
}

fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::new(ErrorKind::Host, "the host has no random numbers").with_source(error))?;
    Ok(seed)
}

/// Both spellings in use; the first one counts where a module has both.
const INITIALIZE: [&str; 2] = ["wizer-initialize", "wizer.initialize"];
/// What C programs made with `wizer.h` export to go on.
const RESUME: &str = "wizer.resume";
/// Another year, month, weekday, hour, minute and second.
const LATER: Duration = Duration::from_secs(400 * 24 * 60 * 60 + 3661);
