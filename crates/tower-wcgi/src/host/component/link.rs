//! What components can import: WASI 0.2 from wasmtime-wasi, with functions of our own in place of some of theirs.
//!
//! Sockets can be imported, as the standard libraries of languages do. What they reach is what is granted.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::bindings::io::poll::Host as _;
use wasmtime_wasi::p2::bindings::io::streams::{Host as _, StreamError};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable};

use super::file_calls;
use super::shadow::replace;
use super::sockets;
use crate::error::{Error, ErrorKind};
use crate::host::blocking::{LARGE, block_in_place_async};
use crate::host::exit::Exit;
use crate::host::random;
use crate::host::state::HostState;

/// One linker for the engine.
///
/// # Errors
///
/// [`ErrorKind::Host`] if wasmtime-wasi has none of what is replaced here, which would be a fault of this crate.
pub(crate) fn link(engine: &wasmtime::Engine) -> Result<Linker<HostState>, Error> {
    let mut linker = Linker::new(engine);
    define(&mut linker)
        .map_err(|source| Error::new(ErrorKind::Host, "cannot link WASI for components").with_source(source))?;
    Ok(linker)
}

fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
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

    file_calls::define(linker)?;
    sockets::define(linker)
}

/// WASI 0.2 has strings where preview 1 has bytes.
fn variables(state: &HostState) -> Vec<(String, String)> {
    state.environ.iter().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect()
}

async fn random_bytes(len: u64) -> wasmtime::Result<(Vec<u8>,)> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_RANDOM {
        wasmtime::bail!("the script wants {len} random bytes at once, above the limit of {MAX_RANDOM}");
    }
    let mut bytes = vec![0; len];
    for piece in random::pieces(len) {
        if piece.start > 0 {
            tokio::task::yield_now().await;
        }
        getrandom::fill(bytes.get_mut(piece).unwrap_or_default())?;
    }
    Ok((bytes,))
}

async fn wait(
    mut store: StoreContextMut<'_, HostState>,
    pollables: Vec<Resource<DynPollable>>,
) -> wasmtime::Result<(Vec<u32>,)> {
    if pollables.len() > MAX_POLLABLES {
        wasmtime::bail!("the script waits for {} things at once, above the limit of {MAX_POLLABLES}", pollables.len());
    }
    Ok((store.data_mut().ctx().table.poll(pollables).await?,))
}

/// Writes before it returns. wasmtime-wasi would let another thread write a file, even after the exchange is over and the
/// file belongs to another. Streams that are no files have said how much they take at once.
async fn write(
    mut store: StoreContextMut<'_, HostState>,
    stream: Resource<DynOutputStream>,
    bytes: Vec<u8>,
) -> wasmtime::Result<(Result<(), StreamError>,)> {
    // A script that sees no files may run on a thread that cannot be taken from its runtime.
    let is_large = store.data().view.is_some() && bytes.len() > LARGE as usize;
    let table = store.data_mut().ctx().table;
    let write = table.get_mut(&stream)?.blocking_write_and_flush(bytes.into());
    let written = if is_large { block_in_place_async(write).await } else { write.await };
    match written {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(table.convert_stream_error(error)?),)),
    }
}

/// As wasmtime-wasi has it.
const MAX_RANDOM: usize = 64 << 20;
/// What one `poll` may wait for.
const MAX_POLLABLES: usize = 1024;
