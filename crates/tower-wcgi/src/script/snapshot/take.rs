//! Taking a snapshot: from the cache, or by running the start-up.
//!
//! In: a module that exports `wizer-initialize`, and what its start-up may see. Out: an image and the values of globals beside
//! the module's unchanged code. For a package that is written: another module that begins there by itself.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Val;
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType};

use super::entry::{Entry, check, instrument};
use super::initialise::Inputs;
use super::key::{self, ensure_no_special_files};
use super::left::{LATER, Left, seed};
use super::own_thread::on_own_thread;
use crate::code::{Code, Snapshot};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::script::compile::code_of;
use crate::script::source::Source;
use crate::script::surroundings::Surroundings;

/// The module that begins where the start-up of `wasm` ended, if it has one.
///
/// # Errors
///
/// The reason why there can be no snapshot of it.
pub(crate) fn module_after_start_up(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    surroundings: &Surroundings,
) -> Result<Option<Vec<u8>>, Error> {
    ensure_no_special_files(surroundings)?;
    let Some(entry) = Entry::of(wasm) else { return Ok(None) };
    let code = code_of(engine, wasm, source)?;
    module(engine, &code, wasm, entry, surroundings).map(Some)
}

/// The snapshot of `code`, which is of `wasm`: from the cache, or by running its start-up.
///
/// # Errors
///
/// The reason why there can be no snapshot. The module itself may still run. The errors are those of
/// [`initialise`](super::initialise::initialise), and [`ErrorKind::Module`] if its state cannot be taken or depends on random numbers.
pub(in crate::script) fn ready(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<Arc<Snapshot>, Error> {
    let key = key::key(code.hash, surroundings)?;
    if let Some(snapshot) = code.snapshots.find(key.hash) {
        return Ok(snapshot);
    }
    let cached =
        engine.cache().and_then(|cache| code.snapshots.load(cache, key.hash)).filter(|cached| code.fits(cached));
    let snapshot = match cached {
        Some(snapshot) => snapshot,
        None => {
            let left = take(engine, code, wasm, entry, surroundings, key.newest)?;
            if key::key(code.hash, surroundings)? != key {
                return Err(Error::new(ErrorKind::Package, "its files changed while its start-up ran"));
            }
            code.snapshots.make(engine.cache(), key.hash, &left.memory, left.globals)?
        }
    };
    let snapshot = code.snapshots.keep(key.hash, snapshot);
    if Arc::strong_count(&snapshot) > 1 {
        tracing::debug!("the snapshot is the same as one that is in use");
    }
    Ok(snapshot)
}

/// Runs the start-up of `wasm` and gives the module that begins after it.
///
/// # Errors
///
/// As [`ready`].
fn module(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<Vec<u8>, Error> {
    let newest = key::key(code.hash, surroundings)?.newest;
    let left = take(engine, code, wasm, entry, surroundings, newest)?;
    let (wizer, context) = instrument(wasm, entry)?;
    on_own_thread(engine.threads(), async || {
        let module = wizer.snapshot(&context, &mut Instrumented(left)).await;
        module.map_err(|source| Error::new(ErrorKind::Module, "its memory cannot be written").with_source(source))
    })
}

/// Logs why there is no snapshot of the module `label`, which runs without one.
pub(in crate::script) fn warn(label: &str, error: &Error) {
    let detail = error.causes().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    tracing::warn!(reason = error.kind().as_str(), detail, "{label} runs without a snapshot of its start-up: {error}");
}

fn take(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
    newest: Duration,
) -> Result<Left, Error> {
    check(code, wasm, entry)?;
    on_own_thread(engine.threads(), async || {
        let now = Inputs::now()?;
        let (time, is_of_another) = code.snapshots.time(now.time, newest);
        let inputs = Inputs { time, ..now };
        let left = Left::run(code, entry, surroundings, inputs).await?;
        if left.random_was_read && !surroundings.reseeds {
            let again = Left::run(code, entry, surroundings, Inputs { seed: seed()?, ..inputs }).await?;
            if let Some(place) = left.difference(&again) {
                let why = format!("{place} depends on random numbers, which would be the same in every request");
                return Err(Error::new(ErrorKind::Module, why));
            }
        }
        // The other has said so.
        if left.time_was_read && !is_of_another {
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

/// The state that a start-up has left, as wizer asks for it.
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
