//! Snapshots: a module whose start-up has been run becomes a module that begins where the start-up ended.
//!
//! In: a module that exports `wizer-initialize`, and what its start-up may see. Out: another module, to be compiled and
//! cached like any. Finds out whether the start-up kept what must not be the same in every request. Knows nothing of HTTP.

mod compare;
mod key;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime::{Instance, Module, Store, Val};
use wasmtime_wizer::{InstanceState, ModuleContext, SnapshotVal, ValType, Wizer};

use compare::Place;
pub(super) use compare::compare;
pub use compare::{Captured, Cause, SnapshotReport};
pub(super) use key::key;

use super::START;
use crate::engine::{self, Engine};
use crate::error::{Error, ErrorKind};
use crate::exchange::initialisation::{Initialised, Inputs, State, Surroundings, aside, initialise};

/// How a module says that it can be initialised ahead of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The export that is the start-up, in the spelling found.
    initialize: &'static str,
    /// Whether it exports [`RESUME`], which takes the place of `_start` afterwards.
    resumes: bool,
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
        Some(Self { initialize, resumes: functions.contains(&RESUME) })
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

/// Runs the start-up of `wasm` and gives the module that begins after it.
///
/// # Errors
///
/// Why there can be no snapshot; the module itself may run all the same. Besides those of
/// [`initialise`]: [`ErrorKind::Module`] when wizer cannot take the module, or its memory depends on random numbers.
pub(super) fn take(engine: &Engine, wasm: &[u8], entry: Entry, surroundings: &Surroundings) -> Result<Vec<u8>, Error> {
    aside(engine.threads(), async || snapshot(engine, wasm, entry, surroundings).await)
}

/// Logs that there is no snapshot of the module `label`, and why; it runs without.
pub(super) fn warn(label: &str, error: &Error) {
    let detail = error.causes().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    tracing::warn!(reason = error.kind().as_str(), detail, "{label} runs without a snapshot of its start-up: {error}");
}

async fn snapshot(engine: &Engine, wasm: &[u8], entry: Entry, surroundings: &Surroundings) -> Result<Vec<u8>, Error> {
    let start_up = StartUp::prepare(engine, wasm, entry)?;
    let inputs = Inputs::now()?;
    let image = start_up.run(surroundings, inputs).await?;
    if image.random_was_read && !surroundings.reseeds {
        let again = start_up.run(surroundings, Inputs { seed: seed()?, ..inputs }).await?;
        if let Some(place) = image.difference(&again) {
            let why = format!("{place} depends on random numbers, which would be the same in every request");
            return Err(Error::new(ErrorKind::Module, why));
        }
    }
    if image.time_was_read {
        let later = start_up.run(surroundings, Inputs { time: inputs.time + LATER, ..inputs }).await?;
        if let Some(place) = image.difference(&later) {
            tracing::info!("the snapshot keeps the time at which it was made: {place}");
        }
    }
    tracing::info!(bytes = image.wasm.len(), "the start-up was run and is kept as a snapshot");
    Ok(image.wasm)
}

/// A module that can be initialised, any number of times.
struct StartUp<'w> {
    wizer: Wizer,
    context: ModuleContext<'w>,
    module: Module,
    initialize: &'static str,
}

impl<'w> StartUp<'w> {
    fn prepare(engine: &Engine, wasm: &'w [u8], entry: Entry) -> Result<Self, Error> {
        let unsuitable = |source: wasmtime::Error| {
            Error::new(ErrorKind::Module, "the module cannot be snapshotted").with_source(source)
        };
        let wasmtime = engine::without_pool()?;
        let mut wizer = Wizer::new();
        wizer.init_func(entry.initialize);
        if entry.resumes {
            wizer.func_rename(START, RESUME);
        }
        let (context, instrumented) = wizer.instrument(wasm).map_err(unsuitable)?;
        // Kept by itself: when a file changes, only the initialisation has to run again.
        let compile = || super::bounded::compile(engine, &wasmtime, &instrumented, "the start-up", unsuitable);
        let module = super::cached(engine, &wasmtime, blake3::hash(&instrumented), compile)?;
        super::start(&module, "the module", if entry.resumes { RESUME } else { START })?;
        Ok(Self { wizer, context, module, initialize: entry.initialize })
    }

    async fn run(&self, surroundings: &Surroundings, inputs: Inputs) -> Result<Image, Error> {
        let initialised = initialise(&self.module, self.initialize, surroundings, inputs).await?;
        Image::of(initialised, &self.wizer, &self.context).await
    }
}

impl Inputs {
    /// The time, and random numbers that nobody has had.
    fn now() -> Result<Self, Error> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { seed: seed()?, time })
    }
}

/// What an initialisation came to.
struct Image {
    wasm: Vec<u8>,
    memory: Vec<u8>,
    random_was_read: bool,
    time_was_read: bool,
}

impl Image {
    async fn of(initialised: Initialised, wizer: &Wizer, context: &ModuleContext<'_>) -> Result<Self, Error> {
        let Initialised { mut store, instance, random_was_read, time_was_read } = initialised;
        let memory = instance.get_memory(&mut store, MEMORY).map(|memory| memory.data(&store).to_vec());
        let wasm = wizer.snapshot(context, &mut Instrumented { store, instance }).await;
        let wasm =
            wasm.map_err(|source| Error::new(ErrorKind::Module, "its memory cannot be written").with_source(source))?;
        Ok(Self { wasm, memory: memory.unwrap_or_default(), random_was_read, time_was_read })
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

/// The state of an instrumented instance, as wizer asks for it.
struct Instrumented {
    store: Store<State>,
    instance: Instance,
}

impl InstanceState for Instrumented {
    async fn global_get(&mut self, name: &str, _type: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).expect("wizer has just exported it");
        match global.get(&mut self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(bits) => SnapshotVal::F32(bits),
            Val::F64(bits) => SnapshotVal::F64(bits),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            _ => unreachable!("wizer refuses modules with mutable references"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).expect("wizer has just exported it");
        contents(memory.data(&self.store));
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
/// What wizer calls a module's only memory.
const MEMORY: &str = "__wizer_memory_0";
/// Another year, month, weekday, hour, minute and second.
const LATER: Duration = Duration::from_secs(400 * 24 * 60 * 60 + 3661);
