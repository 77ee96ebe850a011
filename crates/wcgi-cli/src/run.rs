//! `wcgi run`: open the package, listen, serve until told to stop.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower_service::Service as _;
use tower_wcgi::{Engine, EngineBuilder, ResponseBody, TrustedProxies, WcgiBuilder, WcgiService};
use wcgi_registry::Registry;

use crate::access::{Access, Counted};
use crate::arguments::{Package, Quota, Run};
use crate::listen::Inherited;
use crate::log::Log;
use crate::manager::{self, At};
use crate::process::{outlive_size_limit, raise_file_limit};
use crate::registry::{as_options, check_needs, resolve};
use crate::report::{self, WithHint};
use crate::server::{App, LAST_TASKS, Listener, Server};
use crate::signals::{Signal, Signals};
use crate::stamp::{Stamp, files_of};
use crate::{cgroup, progress, watch, writers};

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
        let (service, registry) = open_with_progress(arguments.clone(), address).await?;
        // A temporary store goes with its registry, and may be served from until the end.
        let mut registries = vec![registry];
        writers::hold(service.writable());
        // From here on a signal ends the server gracefully.
        let mut signals = Signals::new().context("cannot listen for signals")?;
        // A parent program waits for this line.
        log.announce(&format!("listening on http://{address}/"));
        manager::tell(At::Ready);
        let server = Server::start(
            [Listener { tcp: listener, tls: None }],
            Alone { service: service.clone(), log: log.clone() },
        );
        wait(arguments, address, &service, &mut registries, &mut signals).await;
        manager::tell(At::Stopping);
        server.stop(DRAIN, &mut signals).await;
        Ok(())
    });
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

/// Waits for the signal to stop. Until then the package is opened anew when that is asked for.
async fn wait(
    arguments: Run,
    address: SocketAddr,
    service: &WcgiService,
    registries: &mut Vec<Option<Registry>>,
    signals: &mut Signals,
) {
    let package = arguments.package.package.clone();
    let look = || Stamp::of(files_of(&package).into_iter().chain(service.sources()));
    let mut seen = look();
    let watches = arguments.watch || arguments.dev && io::stderr().is_terminal();
    loop {
        tokio::select! {
            signal = signals.next() => if signal == Signal::Stop { return },
            () = watch::changed(&mut seen, look), if watches => {}
        }
        let reload = async || {
            manager::tell(At::Reloading);
            match reload(arguments.clone(), address, service.clone()).await {
                Ok(registry) => {
                    writers::hold(service.writable());
                    registries.push(registry);
                    tracing::info!("reloaded {}", package.display());
                }
                Err(error) => report::not_reloaded(&error),
            }
            manager::tell(At::Ready);
        };
        if signals.during(reload).await == Signal::Stop {
            return;
        }
    }
}

async fn reload(arguments: Run, address: SocketAddr, service: WcgiService) -> anyhow::Result<Option<Registry>> {
    tokio::task::spawn_blocking(move || {
        let (builder, registry) = builder(arguments, address)?;
        service.reload(builder)?;
        Ok(registry)
    })
    .await?
}

async fn listen(addr: &str) -> anyhow::Result<TcpListener> {
    Inherited::take().listen(addr).await.map_err(|source| {
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
    let opening = tokio::task::spawn_blocking(move || open(arguments, address));
    progress::shown(|| format!("compiling {name}"), opening).await?
}

fn open(arguments: Run, address: SocketAddr) -> anyhow::Result<(WcgiService, Option<Registry>)> {
    let engine = Engine::builder()
        .max_concurrency(arguments.max_concurrency)
        .max_spool(arguments.max_spool)
        .queue(arguments.queue)
        .queue_wait(arguments.queue_wait)
        .trust_precompiled(arguments.trust_precompiled);
    let engine = self::engine(&arguments.package, engine)?;
    cgroup::compare(&engine);
    let (builder, registry) = builder(arguments, address)?;
    Ok((builder.engine(engine).build()?, registry))
}

/// What the options about a service say.
fn builder(arguments: Run, address: SocketAddr) -> anyhow::Result<(WcgiBuilder, Option<Registry>)> {
    let says_https = |(name, value): &(String, String)| name == "HTTPS" && !matches!(&**value, "" | "off");
    let env_says_https = arguments.package.env.iter().any(says_https);
    let (mut service, registry) = described(arguments.package)?;
    if arguments.no_snapshot {
        service = service.snapshot(false);
    }
    service = service
        .mount(arguments.mount)
        .deadline(Some(arguments.deadline).filter(|deadline| !deadline.is_zero()))
        .max_body(arguments.max_body)
        .max_tmp(arguments.max_tmp)
        .dev(arguments.dev);
    // Only for requests that name no host. If TLS ends elsewhere, clients know another port.
    if arguments.https {
        service = service.https(true);
    } else if !env_says_https {
        service = service.server_port(address.port());
    }
    for Quota { guest, bytes } in arguments.quota {
        service = service.quota(guest, bytes);
    }
    for rule in arguments.net {
        service = service.net(rule);
    }
    service = service.net_as_asked(arguments.net_as_asked);
    if arguments.pass_authorization {
        service = service.pass_authorization(true);
    }
    if !arguments.trusted_proxy.is_empty() {
        let proxies = TrustedProxies::new(&arguments.trusted_proxy)?;
        service = service.connection_info(move |parts| proxies.connection_info(parts));
    }
    Ok((service, registry))
}

/// Applies the options about a package. Also gives the registry if the package needs its store.
pub(crate) fn package(arguments: Package, engine: EngineBuilder) -> anyhow::Result<(WcgiBuilder, Option<Registry>)> {
    let engine = self::engine(&arguments, engine)?;
    let (builder, registry) = described(arguments)?;
    Ok((builder.engine(engine), registry))
}

fn engine(arguments: &Package, mut engine: EngineBuilder) -> anyhow::Result<Engine> {
    let max_memory = usize::try_from(arguments.max_memory).context("--max-memory is too large for this machine")?;
    engine = engine.max_memory(max_memory);
    if let Some(dir) = &arguments.cache.cache_dir {
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
    Ok(engine.build()?)
}

fn described(arguments: Package) -> anyhow::Result<(WcgiBuilder, Option<Registry>)> {
    let resolved = resolve(&arguments.package, &arguments.cache, &arguments.download, &arguments.trust)?;
    check_needs(&resolved.needs, arguments.mapdir.iter().map(|mapdir| &*mapdir.guest), as_options)?;
    let mut service = resolved.builder();
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

/// One package for all requests.
#[derive(Debug, Clone)]
struct Alone {
    service: WcgiService,
    log: Log,
}

impl App for Alone {
    type Body = Counted<ResponseBody>;

    async fn answer(&self, request: Request<Incoming>) -> Response<Counted<ResponseBody>> {
        let (parts, body) = request.into_parts();
        let client = self.service.connection_info(&parts).client();
        let (access, request) = Access::start(Request::from_parts(parts, body), client, None, &self.log);
        let Ok(response) = self.service.clone().call(request).await;
        access.response(response)
    }
}

const DRAIN: Duration = Duration::from_secs(30);
