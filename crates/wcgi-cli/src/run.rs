//! `wcgi run`: open the package, listen, serve until told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tower_wcgi::{Engine, EngineBuilder, TrustedProxies, WcgiBuilder, WcgiService};
use wcgi_registry::Registry;

use crate::arguments::{Package, Run};
use crate::log::Log;
use crate::registry::{check_needs, resolve};
use crate::report::WithHint;
use crate::server::{self, Signals};

/// Serves until a signal ends it.
pub(crate) fn run(arguments: Run, log: &Log) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    raise_file_limit();
    let result = runtime.block_on(async {
        outlive_size_limit();
        let addr = arguments.addr.clone();
        // Before the package is opened: a busy port shows at once, and compiling a module may take seconds.
        let listener = listen(&addr).await?;
        let address = listener.local_addr().context("the socket has no address")?;
        // A temporary store goes with the registry.
        let (service, _registry) = open_with_progress(arguments, address).await?;
        // From here on a signal ends the server gracefully.
        let signals = Signals::new().context("cannot listen for signals")?;
        // A parent program waits for this line.
        log.announce(&format!("listening on http://{address}/"));
        server::serve(listener, service, signals).await
    });
    // A file system or a script that hangs must not delay the end.
    runtime.shutdown_timeout(LAST_TASKS);
    result
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

/// A write beyond a limit of file sizes (`ulimit -f`) ends the process, unless the signal is handled. Then the write
/// fails, as on a full disk.
#[cfg(unix)]
fn outlive_size_limit() {
    let signal = rustix::process::Signal::XFSZ.as_raw();
    // The handler stays when its listener is gone.
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(signal)) {
        tracing::debug!("cannot handle the signal of the file size limit: {error}");
    }
}

#[cfg(not(unix))]
fn outlive_size_limit() {}

async fn listen(addr: &str) -> anyhow::Result<TcpListener> {
    let bound = match addr.strip_prefix(':') {
        // IPv4 too, unless the system is configured otherwise.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            bound => bound,
        },
        None if addr.bytes().all(|byte| byte.is_ascii_digit()) => TcpListener::bind(format!("127.0.0.1:{addr}")).await,
        None => TcpListener::bind(addr).await,
    };
    bound.map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => "another program listens there; --addr 127.0.0.1:0 picks a free port",
            _ => "--addr takes HOST:PORT, :PORT or PORT, as in --addr 127.0.0.1:8000",
        };
        WithHint { message: format!("cannot listen on {addr}"), hint, source }.into()
    })
}

/// Opens the package. On a terminal, shows progress if that takes long.
async fn open_with_progress(arguments: Run, address: SocketAddr) -> anyhow::Result<(WcgiService, Option<Registry>)> {
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

fn open(arguments: Run, address: SocketAddr) -> anyhow::Result<(WcgiService, Option<Registry>)> {
    let engine = Engine::builder()
        .max_concurrency(arguments.max_concurrency)
        .max_spool(arguments.max_spool)
        .queue(arguments.queue)
        .queue_wait(arguments.queue_wait)
        .trust_precompiled(arguments.trust_precompiled);
    let says_https = |(name, value): &(String, String)| name == "HTTPS" && !matches!(&**value, "" | "off");
    let env_says_https = arguments.package.env.iter().any(says_https);
    let (mut service, registry) = package(arguments.package, engine)?;
    if arguments.no_snapshot {
        service = service.snapshot(false);
    }
    service = service
        .mount(arguments.mount)
        .deadline(Some(arguments.deadline).filter(|deadline| !deadline.is_zero()))
        .max_body(arguments.max_body)
        .max_tmp(arguments.max_tmp);
    // Only for requests that name no host. If TLS ends elsewhere, clients know another port.
    if arguments.https {
        service = service.https(true);
    } else if !env_says_https {
        service = service.server_port(address.port());
    }
    if arguments.pass_authorization {
        service = service.pass_authorization(true);
    }
    if !arguments.trusted_proxy.is_empty() {
        let proxies = TrustedProxies::new(&arguments.trusted_proxy)?;
        service = service.connection_info(move |parts| proxies.connection_info(parts));
    }
    Ok((service.build()?, registry))
}

/// Applies the options about a package. Also gives the registry if the package needs its store.
pub(crate) fn package(
    arguments: Package,
    mut engine: EngineBuilder,
) -> anyhow::Result<(WcgiBuilder, Option<Registry>)> {
    let max_memory = usize::try_from(arguments.max_memory).context("--max-memory is too large for this machine")?;
    engine = engine.max_memory(max_memory);
    let resolved = resolve(&arguments.package, &arguments.cache, &arguments.download, &arguments.trust)?;
    check_needs(&resolved.needs, arguments.mapdir.iter().map(|mapdir| &*mapdir.guest))?;
    if let Some(dir) = arguments.cache.cache_dir {
        engine = engine.cache_dir(dir);
    }
    if arguments.cache.no_cache {
        engine = engine.no_cache();
    }
    #[cfg(feature = "compiler")]
    {
        let time = Some(arguments.max_compile_time).filter(|time| !time.is_zero());
        let memory = Some(arguments.max_compile_memory).filter(|memory| *memory > 0);
        engine = engine.max_compile_time(time).max_compile_memory(memory);
    }
    let mut service = WcgiService::builder().package(resolved.path).engine(engine.build()?).foreign(resolved.foreign);
    for (reference, path) in resolved.dependencies {
        service = service.dependency(reference, path);
    }
    if let Some(command) = arguments.command {
        service = service.command(command);
    }
    for mapdir in arguments.mapdir {
        service = service.map_dir(mapdir.guest, mapdir.host, mapdir.access);
    }
    for (name, value) in arguments.env {
        service = service.env(name, value);
    }
    Ok((service, resolved.registry))
}

const LAST_TASKS: Duration = Duration::from_secs(1);
