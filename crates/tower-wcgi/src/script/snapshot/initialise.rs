//! An initialisation: a script's start-up, run once and before there is any request, for a snapshot of its memory.
//!
//! In: a module and what it may see. Out: its instance as the start-up has left it. The start-up sees the package's constant
//! environment, its read-only mounts and a private `/tmp` with the warm-up requests. It sees nothing of the host that would differ
//! in a request. Its random numbers and clocks are made up here. So a caller that runs it twice can find out what was kept of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Caller, Instance, Linker, Store};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder, WasiView};

use crate::code::{Beginning, Code};
use crate::error::{Error, ErrorKind};
use crate::host::module::{
    ERRNO_FAULT, ERRNO_SUCCESS, WASI, define_client_alone, define_granted_locks, define_preview1, define_seen,
    define_unreachable, memory, slice_mut,
};
use crate::host::{Exit, MemoryLimit, View};
use crate::mount::{Access, Mount};
use crate::request::RequestId;
use crate::runtime::Ticking;
use crate::scratch::Scratch;
use crate::script::surroundings::{Surroundings, WARMUP};
use crate::stdio::Stderr;

/// The made-up inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    /// The seed of the random numbers.
    pub(crate) seed: [u8; 32],
    /// The time since 1970, which advances by a nanosecond at every look.
    pub(crate) time: Duration,
}

/// An instance that has been initialised.
pub(crate) struct Initialised {
    pub(crate) store: Store<StartUpState>,
    pub(crate) instance: Instance,
    pub(crate) random_was_read: bool,
    pub(crate) time_was_read: bool,
}

/// The content of an initialisation's store.
pub(crate) struct StartUpState {
    wasi: WasiP1Ctx,
    memory: MemoryLimit,
}

/// Runs the export `function` of the module `code` (after `_initialize` where there is one) to its end.
///
/// # Errors
///
/// - [`ErrorKind::Trap`], [`ErrorKind::MemoryLimit`], [`ErrorKind::DeadlineExceeded`] as for an exchange. An initialisation that
///   exits or leaves a file open counts as a trap: a request would find another file under its number, or none.
/// - [`ErrorKind::Module`] if an import is missing or `function` takes arguments.
/// - [`ErrorKind::Host`] if a directory cannot be opened.
pub(crate) async fn initialise(
    code: &Arc<Code>,
    function: &str,
    surroundings: &Surroundings,
    inputs: Inputs,
) -> Result<Initialised, Error> {
    let placeholder = Scratch::new("empty-")
        .map_err(|error| Error::new(ErrorKind::Host, "cannot make a temporary directory").with_source(error))?;
    let view = View::open(&visible(&surroundings.mounts, &placeholder))?;
    if !surroundings.warmup.is_empty() {
        view.put_in_tmp(WARMUP, &surroundings.warmup, inputs.time)
            .map_err(|error| Error::new(ErrorKind::Host, "cannot write the warm-up requests").with_source(error))?;
    }
    let stderr = Stderr::new(RequestId::new("initialisation"), None);
    let time = Clock { now: Arc::new(Mutex::new(inputs.time)), was_read: Arc::default() };
    let uptime = Clock { now: Arc::default(), was_read: Arc::clone(&time.was_read) };
    let mut wasi = WasiCtxBuilder::new()
        .args(&surroundings.arguments)
        .envs(&surroundings.env)
        // It has no client: its output is for the log.
        .stdout(stderr.clone())
        .stderr(stderr.clone())
        .wall_clock(time.clone())
        .monotonic_clock(uptime)
        .build_p1();
    *wasi.ctx().ctx.filesystem() = view.context.clone();
    let memory = MemoryLimit::new(surroundings.max_memory, None);
    let module = &code.module;
    let mut store = Store::new(module.engine(), StartUpState { wasi, memory });
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let mut linker = Linker::new(module.engine());
    let random = Random::new(inputs.seed);
    define(&mut linker, &random, surroundings)
        .and_then(|()| define_unreachable(&mut linker, module))
        .map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI").with_source(source))?;

    let ticking = Ticking::start();
    let run = tokio::time::timeout(surroundings.deadline, call(&linker, code, function, &mut store)).await;
    drop(ticking);
    stderr.finish();
    let instance = match run {
        Ok(Ok(instance)) => instance,
        Ok(Err(source)) => return Err(failure(source, store.data().memory.is_exceeded())),
        Err(_) => {
            let message = format!("it had not ended after {:?}", surroundings.deadline);
            return Err(Error::new(ErrorKind::DeadlineExceeded, message));
        }
    };
    if has_open_files(store.data_mut(), view.preopens().count()) {
        return Err(Error::new(ErrorKind::Trap, "it left a file open, which requests could not use"));
    }
    let random_was_read = random.was_read.load(Ordering::Relaxed);
    let time_was_read = time.was_read.load(Ordering::Relaxed);
    Ok(Initialised { store, instance, random_was_read, time_was_read })
}

/// WASI as in wasmtime-wasi. Scripts get other functions in requests, which are faster and keep concurrent writers apart.
fn define(linker: &mut Linker<StartUpState>, random: &Random, surroundings: &Surroundings) -> wasmtime::Result<()> {
    define_preview1(linker, |state| &mut state.wasi)?;
    linker.allow_shadowing(true);
    linker.func_wrap(WASI, "proc_exit", |status: u32| -> wasmtime::Result<()> { Err(Exit(status).into()) })?;
    random.define(linker)?;
    define_environ(linker, &surroundings.env)?;
    define_seen(linker, |state| &mut state.wasi, &surroundings.seen)?;
    define_granted_locks(linker)?;
    define_client_alone(linker)
}

/// The variables, each with some more room than it needs. What a program allocates after them, and where each of them is,
/// then does not depend on how long they are. Start-ups that have no need of a variable leave the same memory whatever it is.
fn define_environ(linker: &mut Linker<StartUpState>, env: &[(String, String)]) -> wasmtime::Result<()> {
    let variables: Vec<Vec<u8>> = env
        .iter()
        .map(|(name, value)| {
            let mut variable = format!("{name}={value}\0").into_bytes();
            variable.resize(variable.len().next_multiple_of(ROOM_OF_VARIABLE), 0);
            variable
        })
        .collect();
    let [count, size] = [variables.len(), variables.iter().map(Vec::len).sum()].map(u32::try_from);
    let (count, size) = (count?, size?);
    linker.func_wrap(WASI, "environ_sizes_get", move |mut caller: Call<'_>, count_at: u32, size_at: u32| {
        Ok(errno(put(&mut caller, count_at, &count.to_le_bytes())?.and(put(
            &mut caller,
            size_at,
            &size.to_le_bytes(),
        )?)))
    })?;
    linker.func_wrap(WASI, "environ_get", move |mut caller: Call<'_>, mut pointer: u32, mut at: u32| {
        for variable in &variables {
            let len = u32::try_from(variable.len())?;
            let written = put(&mut caller, pointer, &at.to_le_bytes())?.and(put(&mut caller, at, variable)?);
            let (Some(()), Some(next), Some(behind)) = (written, pointer.checked_add(4), at.checked_add(len)) else {
                return Ok(ERRNO_FAULT);
            };
            (pointer, at) = (next, behind);
        }
        Ok(ERRNO_SUCCESS)
    })?;
    Ok(())
}

type Call<'a> = Caller<'a, StartUpState>;

/// Writes `bytes` to the guest's memory, if they fit in there.
fn put(caller: &mut Call<'_>, at: u32, bytes: &[u8]) -> wasmtime::Result<Option<()>> {
    let memory = memory(caller)?;
    let target = slice_mut(memory.data_mut(caller), at, u32::try_from(bytes.len())?);
    Ok(target.map(|target| target.copy_from_slice(bytes)))
}

fn errno(written: Option<()>) -> u32 {
    if written.is_some() { ERRNO_SUCCESS } else { ERRNO_FAULT }
}

async fn call(
    linker: &Linker<StartUpState>,
    code: &Arc<Code>,
    function: &str,
    store: &mut Store<StartUpState>,
) -> wasmtime::Result<Instance> {
    let beginning = Beginning::of(Arc::clone(code));
    let instance = beginning.instantiate(&linker.instantiate_pre(&code.module)?, store).await?;
    // A reactor's constructors, by the convention of wizer.
    for name in ["_initialize", function] {
        if name == function || code.module.get_export(name).is_some() {
            instance.get_typed_func::<(), ()>(&mut *store, name)?.call_async(&mut *store, ()).await?;
        }
    }
    Ok(instance)
}

fn failure(source: wasmtime::Error, memory_exceeded: bool) -> Error {
    match source.downcast_ref::<Exit>() {
        Some(Exit(status)) => Error::new(ErrorKind::Trap, format!("it exited with {status} instead of returning")),
        None if memory_exceeded => Error::new(ErrorKind::MemoryLimit, "it needed more memory than its limit"),
        None if source.is::<wasmtime::Trap>() => Error::new(ErrorKind::Trap, "it trapped"),
        None => Error::new(ErrorKind::Module, "it cannot be run"),
    }
    .with_source(source)
}

/// The mounts with an empty directory in place of each that is writable.
fn visible(mounts: &[Mount], placeholder: &Scratch) -> Vec<Mount> {
    let see = |mount: &Mount| match mount.access {
        Access::ReadOnly => mount.clone(),
        Access::ReadWrite => {
            Mount { guest: mount.guest.clone(), host: placeholder.path().to_owned(), access: Access::ReadOnly }
        }
    };
    mounts.iter().map(see).collect()
}

/// Whether anything but the `preopens` directories is open.
fn has_open_files(state: &mut StartUpState, preopens: usize) -> bool {
    let mut directories = 0;
    state.wasi.ctx().table.iter_mut().filter_map(|entry| entry.downcast_ref()).any(|descriptor| match descriptor {
        Descriptor::File(_) => true,
        Descriptor::Dir(_) => {
            directories += 1;
            directories > preopens
        }
    })
}

/// Random numbers that depend on the seed alone.
struct Random {
    stream: Arc<Mutex<blake3::OutputReader>>,
    was_read: Arc<AtomicBool>,
}

impl Random {
    fn new(seed: [u8; 32]) -> Self {
        let stream = blake3::Hasher::new_keyed(&seed).finalize_xof();
        Self { stream: Arc::new(Mutex::new(stream)), was_read: Arc::default() }
    }

    /// WASI's `random_get`.
    fn define(&self, linker: &mut Linker<StartUpState>) -> wasmtime::Result<()> {
        let (stream, was_read) = (Arc::clone(&self.stream), Arc::clone(&self.was_read));
        let random_get = move |mut caller: Call<'_>, buffer: u32, len: u32| -> wasmtime::Result<u32> {
            let memory = memory(&mut caller)?;
            let Some(target) = slice_mut(memory.data_mut(&mut caller), buffer, len) else { return Ok(ERRNO_FAULT) };
            was_read.store(true, Ordering::Relaxed);
            stream.lock().unwrap_or_else(PoisonError::into_inner).fill(target);
            Ok(ERRNO_SUCCESS)
        };
        linker.func_wrap(WASI, "random_get", random_get)?;
        Ok(())
    }
}

/// A clock that shows the same times in every initialisation. It moves a little at each look, or a program that waits for it to
/// move would wait for ever. It moves no further, because a request's monotonic clock begins at zero and must not be behind a
/// kept time.
#[derive(Clone)]
struct Clock {
    now: Arc<Mutex<Duration>>,
    was_read: Arc<AtomicBool>,
}

impl Clock {
    fn look(&self) -> Duration {
        self.was_read.store(true, Ordering::Relaxed);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += TICK;
        *now
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        TICK
    }

    fn now(&self) -> Duration {
        self.look()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.look().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// In bytes. Most variables fit in.
const ROOM_OF_VARIABLE: usize = 256;
const TICK: Duration = Duration::from_nanos(1);
