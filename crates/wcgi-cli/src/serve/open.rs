//! Opens what a configuration names: certificates, the engine, and the packages, side by side.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use rustls::ServerConfig;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_wcgi::{Engine, TrustedProxies, WcgiBuilder};

use super::app::OpenSite;
use super::cache::{SiteCache, Store};
use super::config::{self, Config, Said, Site};
use super::packages::{Packages, Round};
use crate::registry::Resolved;
use crate::stamp::Stamp;
use crate::{cgroup, progress, tls};

/// # Errors
///
/// When a file cannot be read, or key and certificate do not fit.
pub(crate) fn tls(settings: &config::Tls) -> anyhow::Result<ServerConfig> {
    let at = |said: &Said<PathBuf>| said.place.to_string();
    let certificates = tls::certificates(&settings.cert.value).with_context(|| at(&settings.cert))?;
    let key = tls::private_key(&settings.key.value).with_context(|| at(&settings.key))?;
    tls::config(certificates, key).with_context(|| at(&settings.key))
}

/// What sites are opened with. It stays the same over all reloads.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    engine: Engine,
    packages: Arc<Packages>,
    store: Arc<Store>,
}

impl Opening {
    pub(crate) fn new(config: &Config, engine: Engine) -> Self {
        let packages = Arc::new(Packages::new(config.engine.cache_dir.clone()));
        Self { engine, packages, store: Arc::new(Store::new(config.cache)) }
    }
}

/// # Errors
///
/// When the limits are more than the machine has.
pub(crate) fn engine(settings: &config::Engine) -> anyhow::Result<Engine> {
    let mut engine = Engine::builder();
    if let Some(said) = &settings.max_concurrency {
        engine = engine.max_concurrency(said.value);
    }
    if let Some(said) = &settings.queue {
        engine = engine.queue(said.value);
    }
    if let Some(said) = &settings.queue_wait {
        engine = engine.queue_wait(said.value);
    }
    if let Some(said) = &settings.max_memory {
        engine = engine.max_memory(said.value);
    }
    if let Some(dir) = &settings.cache_dir {
        engine = engine.cache_dir(dir);
    }
    let engine = engine.build().context("cannot make the engine")?;
    cgroup::compare(&engine);
    Ok(engine)
}

/// Opens all sites but those that are open already, by the same settings and from the same files. On a terminal, shows how many
/// are open when that takes long.
///
/// # Errors
///
/// That of the first site in the file that cannot be opened.
pub(crate) async fn sites(
    config: &Arc<Config>,
    opening: &Opening,
    proxies: &TrustedProxies,
    open: &[OpenSite],
) -> anyhow::Result<Vec<OpenSite>> {
    let mut sites: Vec<Option<anyhow::Result<OpenSite>>> = Vec::new();
    for site in &config.sites {
        // Where registries are asked, something else may be there now.
        let old = same(site, open).filter(|old| old.resolved.registry.is_none());
        sites.push(old.map(|old| Ok(OpenSite { settings: Arc::clone(site), ..old.clone() })));
    }
    let round = Arc::new(opening.packages.round());
    let missing: Vec<_> = sites.iter().enumerate().filter(|(_, site)| site.is_none()).map(|(at, _)| at).collect();
    let (all, done) = (missing.len(), Arc::new(AtomicUsize::new(0)));
    let shown = Arc::clone(&done);
    let all_open = async {
        // What two sites have in common is compiled for the first of them, and found by the second.
        let mut seen = HashSet::new();
        let is_first = |at: &usize| config.sites.get(*at).is_some_and(|site| seen.insert(&site.package.value));
        let (first, again): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_first);
        for batch in [first, again] {
            let room = Arc::new(Semaphore::new(thread::available_parallelism().map_or(2, |cores| cores.get().max(2))));
            let mut tasks = JoinSet::new();
            for at in batch {
                let Some(site) = config.sites.get(at).cloned() else { continue };
                let requests = open.iter().find(|old| old.name == site.name.value.as_str().into());
                let requests = requests.map(|old| Arc::clone(&old.requests)).unwrap_or_default();
                let (config, opening, proxies) = (Arc::clone(config), opening.clone(), proxies.clone());
                let (room, done, round) = (Arc::clone(&room), Arc::clone(&done), Arc::clone(&round));
                let same = same(&site, open).cloned();
                tasks.spawn(async move {
                    let _place = room.acquire_owned().await;
                    let open = move || open_one(site, &config, &opening, &round, &proxies, same, requests);
                    let opened = tokio::task::spawn_blocking(open).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    (at, opened)
                });
            }
            while let Some(joined) = tasks.join_next().await {
                let (at, result) = joined?;
                if let Some(place) = sites.get_mut(at) {
                    *place = Some(result?);
                }
            }
        }
        sites.into_iter().flatten().collect()
    };
    progress::shown(|| format!("opening {all} sites, {} are open", shown.load(Ordering::Relaxed)), all_open).await
}

fn open_one(
    site: Arc<Site>,
    config: &Config,
    opening: &Opening,
    round: &Round,
    proxies: &TrustedProxies,
    same: Option<OpenSite>,
    requests: Arc<AtomicU64>,
) -> anyhow::Result<OpenSite> {
    let begin = SystemTime::now();
    let resolved = round.resolve(&site)?;
    if let Some(same) = same.filter(|same| same.resolved.leads_to_the_same(&resolved)) {
        return Ok(OpenSite { settings: site, ..same });
    }
    let builder = builder(&site, &resolved, config, proxies).engine(opening.engine.clone());
    let service = builder.build().with_context(|| site.package.place.to_string())?;
    // What comes from a registry never changes; its tag is asked for instead.
    let sources = site.package.value.path().map(|_| service.sources()).into_iter().flatten();
    let stamp = Stamp::since(begin, sources);
    let name: Arc<str> = site.name.value.as_str().into();
    let cache =
        site.cache.map(|freshness| Arc::new(SiteCache::new(Arc::clone(&opening.store), Arc::clone(&name), freshness)));
    Ok(OpenSite { name, cache, service, settings: site, resolved, stamp, opened: Instant::now(), requests })
}

/// What is open by the same settings, from files that have not changed.
fn same<'a>(site: &Site, open: &'a [OpenSite]) -> Option<&'a OpenSite> {
    open.iter().find(|old| old.settings.opens_as(site) && old.stamp.is_current())
}

fn builder(site: &Site, resolved: &Resolved, config: &Config, proxies: &TrustedProxies) -> WcgiBuilder {
    let mut builder = resolved
        .builder()
        .name(site.name.value.as_str())
        .net_as_asked(site.net_as_asked)
        .mount(&site.path.value)
        .dev(config.dev);
    for (guest, bytes) in &site.quota {
        builder = builder.quota(guest, *bytes);
    }
    if let Some(command) = &site.command {
        builder = builder.command(command);
    }
    for mount in &site.mounts {
        builder = builder.map_dir(&mount.value.guest, &mount.value.host, mount.value.access);
    }
    for (name, said) in &site.env {
        builder = builder.env(name, &said.value);
    }
    for said in &site.net {
        builder = builder.net(said.value.clone());
    }
    if let Some(deadline) = &site.deadline {
        builder = builder.deadline(Some(deadline.value).filter(|deadline| !deadline.is_zero()));
    }
    if let Some(said) = &site.max_body {
        builder = builder.max_body(said.value);
    }
    if let Some(said) = &site.max_memory {
        builder = builder.max_memory(said.value);
    }
    if let Some(share) = site.share {
        builder = builder.share(share);
    }
    if let Some(said) = &site.max_concurrency {
        builder = builder.max_concurrency(said.value);
    }
    if let Some(bytes) = config.engine.max_tmp {
        builder = builder.max_tmp(bytes);
    }
    if let Some(pass) = site.pass_authorization {
        builder = builder.pass_authorization(pass);
    }
    if !config.server.trusted_proxies.is_empty() {
        let proxies = proxies.clone();
        builder = builder.connection_info(move |parts| proxies.connection_info(parts));
    }
    builder
}
