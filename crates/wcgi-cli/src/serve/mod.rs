//! `wcgi serve`: many sites by a configuration file.
//!
//! [`config`] reads the file. [`open`] opens the packages that it names, and [`packages`] finds them. [`app`] answers requests, and asks [`hosts`] for the
//! site. [`cache`] keeps responses of sites that ask for it. [`reload`] reads and opens again while requests are answered. [`admin`] shows operators the state of the server.

mod admin;
mod app;
mod cache;
mod config;
pub(crate) mod count;
mod cron;
mod hosts;
mod open;
mod packages;
mod reload;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tower_wcgi::TrustedProxies;

use self::admin::{Admin, Metrics};
use self::app::Served;
use self::config::{Config, Said};
use self::cron::Crons;
use self::reload::Reloader;
use crate::arguments::Serve;
use crate::listen::Inherited;
use crate::log::Log;
use crate::manager::{self, At};
use crate::process::{outlive_size_limit, raise_file_limit};
use crate::report::data;
use crate::server::{LAST_TASKS, Listener, Server};
use crate::signals::{Signal, Signals};
use crate::tls::Tls;
use crate::watch;

/// Serves until a signal ends it, or only says whether it would.
pub(crate) fn run(arguments: Serve, log: &Log) -> anyhow::Result<()> {
    let config = Arc::new(Config::read(&arguments.config, arguments.dev)?);
    log.set_form(config.server.access_log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the server's threads")?;
    raise_file_limit();
    let result = runtime.block_on(async {
        outlive_size_limit();
        match arguments.check {
            true => check(config, &arguments.config, log).await,
            false => serve(config, arguments, log).await,
        }
    });
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

/// Opens everything, and serves nothing.
async fn check(config: Arc<Config>, path: &Path, log: &Log) -> anyhow::Result<()> {
    log.release();
    if let Some(settings) = &config.tls {
        open::tls(settings)?;
    }
    let engine = open::engine(&config.engine)?;
    let opening = open::Opening::new(&config, engine);
    open::sites(&config, &opening, &TrustedProxies::new(&config.server.trusted_proxies)?, &[]).await?;
    let sites = match config.sites.len() {
        1 => "1 site opens".to_owned(),
        sites => format!("{sites} sites open"),
    };
    data(&format!("{}: {sites}\n", path.display()))
}

async fn serve(config: Arc<Config>, arguments: Serve, log: &Log) -> anyhow::Result<()> {
    // First what is known at once: a busy port, a certificate that is not there. Modules may take seconds to compile.
    let tls = config.tls.as_ref().map(open::tls).transpose()?.map(Tls::new);
    let mut inherited = Inherited::take();
    let mut listeners = Vec::new();
    for address in &config.server.listen {
        listeners.push(Listener { tcp: bind(&mut inherited, address).await?, tls: None });
    }
    for address in config.tls.iter().flat_map(|tls| &tls.listen) {
        listeners.push(Listener { tcp: bind(&mut inherited, address).await?, tls: tls.clone() });
    }
    let mut first = Vec::new();
    for Listener { tcp, tls } in &listeners {
        let scheme = if tls.is_some() { "https" } else { "http" };
        first.push(format!("listening on {scheme}://{}/", tcp.local_addr().context(NO_ADDRESS)?));
    }
    let mut admin = None;
    if let Some(address) = &config.server.admin {
        let tcp = bind(&mut inherited, address).await?;
        first.push(format!("admin on http://{}/", tcp.local_addr().context(NO_ADDRESS)?));
        // Sites count with the recorder that there is when they are opened.
        let metrics = Metrics::install()?;
        tokio::spawn(metrics.clone().upkeep());
        admin = Some((tcp, metrics));
    }
    drop(inherited);
    let engine = open::engine(&config.engine)?;
    let proxies = TrustedProxies::new(&config.server.trusted_proxies)?;
    let opening = open::Opening::new(&config, engine.clone());
    let opened = open::sites(&config, &opening, &proxies, &[]).await?;
    let secure = listeners.iter().find(|listener| listener.tls.is_some());
    let secure = secure.and_then(|listener| Some(listener.tcp.local_addr().ok()?.port()));
    let served = Served::new(reload::sites(&config, opened, proxies, secure), log.clone());
    let mut reloader = Reloader {
        path: arguments.config,
        started: Arc::clone(&config),
        current: config,
        opening,
        served: served.clone(),
        tls,
        secure,
    };
    let mut signals = Signals::new().context("cannot listen for signals")?;
    log.announce(&first.join("\n"));
    manager::tell(At::Ready);
    let draining = Arc::new(AtomicBool::new(false));
    // It answers until the end, also while the others finish what runs.
    let _admin = admin.map(|(tcp, metrics)| {
        let (draining, served, start) = (Arc::clone(&draining), served.clone(), Instant::now());
        Server::start([Listener { tcp, tls: None }], Admin { served, engine, metrics, draining, start })
    });
    let mut crons = Crons::new(served.clone());
    crons.begin();
    let server = Server::start(listeners, served);
    let mut seen = reloader.stamp();
    loop {
        tokio::select! {
            signal = signals.next() => if signal == Signal::Stop { break },
            () = watch::changed(&mut seen, || reloader.stamp()), if arguments.watch => {}
        }
        manager::tell(At::Reloading);
        let ended = signals.during(async || reloader.reload().await).await;
        crons.begin();
        manager::tell(At::Ready);
        if ended == Signal::Stop {
            break;
        }
    }
    manager::tell(At::Stopping);
    drop(crons);
    draining.store(true, Ordering::Relaxed);
    server.stop(reloader.current.server.drain, &mut signals).await;
    Ok(())
}

async fn bind(inherited: &mut Inherited, address: &Said<String>) -> anyhow::Result<TcpListener> {
    let bound = inherited.listen(&address.value).await;
    bound.with_context(|| address.place.error(format!("cannot listen on {}", address.value)))
}

const NO_ADDRESS: &str = "the socket has no address";
