//! `wcgi run`: open the package, listen, serve until told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tower_wcgi::{Engine, EngineBuilder, WcgiBuilder, WcgiService};

use crate::arguments::{Package, Run};
use crate::log::Log;
use crate::report::WithHint;
use crate::server;

/// Serves until a signal ends it.
pub(crate) fn run(arguments: Run, log: &Log) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    raise_file_limit();
    runtime.block_on(async {
        let addr = arguments.addr.clone();
        // Before the package is opened: a busy port is known at once, a compiled module may take seconds.
        let listener = listen(&addr).await?;
        let address = listener.local_addr().context("the socket has no address")?;
        let service = open_with_progress(arguments, address).await?;
        announce(address)?;
        log.release();
        server::serve(listener, service).await
    })
}

/// Every connection is a descriptor, and so are the files that scripts open; the soft limit of most systems is 1024.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

async fn listen(addr: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => "another program listens there; --addr 127.0.0.1:0 picks a free port",
            _ => "--addr takes HOST:PORT, as in --addr 127.0.0.1:8000",
        };
        WithHint { message: format!("cannot listen on {addr}"), hint, source }.into()
    })
}

/// The one line a program that starts this one waits for.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    writeln!(io::stderr(), "listening on http://{address}/").context("cannot write to stderr")
}

/// Opens the package; on a terminal, shows that something happens when that takes long.
async fn open_with_progress(arguments: Run, address: SocketAddr) -> anyhow::Result<WcgiService> {
    let name = arguments.package.package.display().to_string();
    let mut opening = tokio::task::spawn_blocking(move || open(arguments, address));
    if !io::stderr().is_terminal() {
        return opening.await?;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let mut seconds = 0;
    loop {
        tokio::select! {
            opened = &mut opening => {
                if seconds > 0 {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
                return opened?;
            }
            _ = ticks.tick() => {
                seconds += 1;
                let _ = write!(io::stderr(), "\r\x1b[Kcompiling {name} … {seconds} s");
            }
        }
    }
}

fn open(arguments: Run, address: SocketAddr) -> anyhow::Result<WcgiService> {
    let engine = Engine::builder()
        .max_concurrency(arguments.max_concurrency)
        .max_spool(arguments.max_spool)
        .queue(arguments.queue)
        .queue_wait(arguments.queue_wait)
        .trust_precompiled(arguments.trust_precompiled);
    let mut service = package(arguments.package, engine)?;
    if arguments.no_snapshot {
        service = service.snapshot(false);
    }
    let service = service
        .mount(arguments.mount)
        .deadline(Some(arguments.deadline).filter(|deadline| !deadline.is_zero()))
        .max_body(arguments.max_body)
        .max_tmp(arguments.max_tmp)
        .server_port(address.port());
    Ok(service.build()?)
}

/// What the options about a package say.
pub(crate) fn package(arguments: Package, mut engine: EngineBuilder) -> anyhow::Result<WcgiBuilder> {
    let max_memory = usize::try_from(arguments.max_memory).context("--max-memory is too large for this machine")?;
    engine = engine.max_memory(max_memory);
    if let Some(dir) = arguments.cache_dir {
        engine = engine.cache_dir(dir);
    }
    if arguments.no_cache {
        engine = engine.no_cache();
    }
    let mut service = WcgiService::builder().package(arguments.package).engine(engine.build()?);
    if let Some(command) = arguments.command {
        service = service.command(command);
    }
    for mapdir in arguments.mapdir {
        service = service.map_dir(mapdir.guest, mapdir.host, mapdir.access);
    }
    for (name, value) in arguments.env {
        service = service.env(name, value);
    }
    Ok(service)
}
