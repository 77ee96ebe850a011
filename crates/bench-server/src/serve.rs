//! The server: packages and native handlers in one axum router, everything that is not asked for at its default.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_wcgi::{EngineBuilder, WcgiService};

use crate::native;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Exchanges at once [default: the library's]
    #[arg(long)]
    max_concurrency: Option<usize>,
    /// The largest request body, in bytes [default: the library's]
    #[arg(long)]
    max_body: Option<u64>,
    /// The deadline in seconds, 0 for none [default: the library's]
    #[arg(long)]
    deadline: Option<u64>,
    /// Reset instances as on a kernel without `PAGEMAP_SCAN`
    #[arg(long)]
    no_pagemap_scan: bool,
    /// Run the start-up in each request
    #[arg(long)]
    no_snapshot: bool,
    /// Where to mount which package, as `/php=examples/php`.
    #[arg(value_name = "PREFIX=PACKAGE", value_parser = mount)]
    mounts: Vec<(String, PathBuf)>,
}

fn mount(argument: &str) -> Result<(String, PathBuf), String> {
    let (prefix, package) = argument.split_once('=').ok_or("give PREFIX=PACKAGE")?;
    Ok((prefix.to_owned(), package.into()))
}

pub(crate) async fn run(mut engine: EngineBuilder, options: Options) -> anyhow::Result<()> {
    if let Some(exchanges) = options.max_concurrency {
        engine = engine.max_concurrency(exchanges);
    }
    let engine = engine.pagemap_scan(!options.no_pagemap_scan).build()?;
    let status = engine.clone();
    let mut app = native::routes().route(
        "/status",
        get(async move || format!("available={}\nqueued={}\n", status.available_permits(), status.queued())),
    );
    for (prefix, package) in &options.mounts {
        let mut service = WcgiService::builder().engine(engine.clone()).package(package);
        if options.no_snapshot {
            service = service.snapshot(false);
        }
        if let Some(bytes) = options.max_body {
            service = service.max_body(bytes);
        }
        if let Some(seconds) = options.deadline {
            service = service.deadline((seconds > 0).then(|| Duration::from_secs(seconds)));
        }
        let service = service.build().with_context(|| format!("cannot open {}", package.display()))?;
        // axum nests below a prefix only.
        app = if prefix == "/" { app.fallback_service(service) } else { app.nest_service(prefix, service) };
    }
    listen(app).await
}

async fn listen(app: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    println!("listening on http://{}/", listener.local_addr()?);
    let (end, ended) = oneshot::channel();
    // Whoever started this holds the other end of stdin, so it never outlives them.
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        let _ = end.send(());
    });
    // Without it, the end of a response that comes in two pieces waits 40 ms for the client to acknowledge the first.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::select! {
        served = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()) => Ok(served?),
        _ = ended => Ok(()),
    }
}
