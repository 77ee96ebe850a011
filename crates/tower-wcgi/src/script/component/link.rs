//! What components can import: WASI 0.2 from wasmtime-wasi, with functions of our own in place of some of theirs.
//!
//! Sockets can be imported, as the standard libraries of languages do. What they reach is what is granted.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::bindings::io::poll::Host as _;
use wasmtime_wasi::p2::bindings::io::streams::{Host as _, StreamError};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable};

use super::{files, sockets};
use crate::error::{Error, ErrorKind};
use crate::exchange::State;
use crate::script::Exit;
use crate::script::files::aside;
use crate::script::stdio::LARGE;

/// One linker for the engine.
///
/// # Errors
///
/// [`ErrorKind::Host`] when wasmtime-wasi has none of what is replaced here, which would be a fault of this crate.
pub(crate) fn link(engine: &wasmtime::Engine) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(engine);
    define(&mut linker)
        .map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI for components").with_source(source))?;
    Ok(linker)
}

fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;

    let mut exit = replace(linker, "cli/exit", "exit")?;
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        Err(Exit(u32::from(status.is_err())).into())
    })?;
    exit.func_wrap("exit-with-code", |_, (status,): (u8,)| -> wasmtime::Result<()> {
        Err(Exit(status.into()).into())
    })?;

    // As late as for modules: a program that does not ask costs nothing.
    let mut environment = replace(linker, "cli/environment", "get-environment")?;
    environment.func_wrap("get-environment", |store, ()| Ok((variables(store.data()),)))?;
    environment.func_wrap("get-arguments", |store, ()| Ok((store.data().arguments.to_vec(),)))?;

    // wasmtime-wasi makes all the bytes in one go, while nobody else gets the thread.
    let mut random = replace(linker, "random/random", "get-random-bytes")?;
    random.func_wrap_async("get-random-bytes", |_, (len,)| Box::new(random_bytes(len)))?;
    let mut insecure = replace(linker, "random/insecure", "get-insecure-random-bytes")?;
    insecure.func_wrap_async("get-insecure-random-bytes", |_, (len,)| Box::new(random_bytes(len)))?;

    let mut poll = replace(linker, "io/poll", "poll")?;
    poll.func_wrap_async("poll", |store, (pollables,)| Box::new(wait(store, pollables)))?;

    let mut streams = replace(linker, "io/streams", "[method]output-stream.write")?;
    streams.func_wrap_async("[method]output-stream.write", |store, (stream, bytes)| {
        Box::new(write(store, stream, bytes))
    })?;

    files::define(linker)?;
    sockets::define(linker)
}

/// The interface `name` of wasmtime-wasi, for replacing what it has. Under another version's name, what is defined would be
/// functions that nobody calls, so `function` is looked for.
pub(super) fn replace<'a>(
    linker: &'a mut Linker<State>,
    name: &str,
    function: &str,
) -> wasmtime::Result<LinkerInstance<'a, State>> {
    let name = format!("wasi:{name}@{VERSION}");
    linker.allow_shadowing(false);
    let is_new = linker.instance(&name)?.func_wrap(function, |_, ()| Ok(())).is_ok();
    if is_new {
        wasmtime::bail!("wasmtime-wasi has no {function} in {name}");
    }
    linker.allow_shadowing(true);
    linker.instance(&name)
}

/// WASI 0.2 has strings where preview 1 has bytes.
fn variables(state: &State) -> Vec<(String, String)> {
    state.environ.iter().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect()
}

async fn random_bytes(len: u64) -> wasmtime::Result<(Vec<u8>,)> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_RANDOM {
        wasmtime::bail!("the script wants {len} random bytes at once, above the limit of {MAX_RANDOM}");
    }
    let mut bytes = vec![0; len];
    for (n, chunk) in bytes.chunks_mut(RANDOM_CHUNK).enumerate() {
        if n > 0 {
            tokio::task::yield_now().await;
        }
        getrandom::fill(chunk)?;
    }
    Ok((bytes,))
}

async fn wait(
    mut store: StoreContextMut<'_, State>,
    pollables: Vec<Resource<DynPollable>>,
) -> wasmtime::Result<(Vec<u32>,)> {
    if pollables.len() > MAX_POLLABLES {
        wasmtime::bail!("the script waits for {} things at once, above the limit of {MAX_POLLABLES}", pollables.len());
    }
    Ok((store.data_mut().ctx().table.poll(pollables).await?,))
}

/// Writes before it returns. wasmtime-wasi would have another thread write a file, also when the exchange is over and the
/// file somebody else's; what are no files have said how much they take at once.
async fn write(
    mut store: StoreContextMut<'_, State>,
    stream: Resource<DynOutputStream>,
    bytes: Vec<u8>,
) -> wasmtime::Result<(Result<(), StreamError>,)> {
    // A script that sees no files may run on a thread that cannot be taken from its runtime.
    let is_large = store.data().view.is_some() && bytes.len() > LARGE as usize;
    let table = store.data_mut().ctx().table;
    let write = table.get_mut(&stream)?.blocking_write_and_flush(bytes.into());
    let written = if is_large { aside(write).await } else { write.await };
    match written {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(table.convert_stream_error(error)?),)),
    }
}

/// What wasmtime-wasi calls its interfaces. Components may be made for any other 0.2.
const VERSION: &str = "0.2.12";
/// As much as takes some tens of microseconds.
const RANDOM_CHUNK: usize = 16 << 10;
/// As wasmtime-wasi has it.
const MAX_RANDOM: usize = 64 << 20;
/// What one `poll` may wait for.
const MAX_POLLABLES: usize = 1024;
