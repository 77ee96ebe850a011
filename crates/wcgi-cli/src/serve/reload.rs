//! Reading the configuration again, while what it said before is served.
//!
//! All of it or nothing: what does not open leaves everything as it was, and one line in the log.

use std::path::PathBuf;
use std::sync::Arc;

use tower_wcgi::TrustedProxies;

use super::app::{OpenSite, Served, Sites};
use super::config::Config;
use super::hosts::Hosts;
use super::open::Opening;
use super::{count, open};
use crate::report;
use crate::stamp::{Stamp, files_of};
use crate::tls::Tls;
use crate::writers;

/// All that a reload changes, and what it is compared with.
#[derive(Debug)]
pub(crate) struct Reloader {
    pub(crate) path: PathBuf,
    /// What the listeners and the engine were made by.
    pub(crate) started: Arc<Config>,
    pub(crate) current: Arc<Config>,
    pub(crate) opening: Opening,
    pub(crate) served: Served,
    pub(crate) tls: Option<Tls>,
    /// The port of the first TLS listener.
    pub(crate) secure: Option<u16>,
}

impl Reloader {
    /// Serves what the files say now. A failure is logged.
    pub(crate) async fn reload(&mut self) {
        let result = self.try_reload().await;
        count::reload(result.is_ok());
        if let Err(error) = result {
            report::not_reloaded(&error);
        }
    }

    async fn try_reload(&mut self) -> anyhow::Result<()> {
        let config = Arc::new(Config::read(&self.path, self.started.dev)?);
        let certificate = match (&self.tls, &config.tls) {
            (Some(tls), Some(settings)) => Some((tls.clone(), open::tls(settings)?)),
            _ => None,
        };
        let proxies = TrustedProxies::new(&config.server.trusted_proxies)?;
        let same_builders = config.server.trusted_proxies == self.current.server.trusted_proxies;
        let before = self.served.sites();
        let reusable = if same_builders { before.sites.as_slice() } else { &[] };
        let opened = open::sites(&config, &self.opening, &proxies, reusable).await?;
        // From here on nothing fails.
        let is_kept = |site: &&OpenSite| before.sites.iter().any(|old| old.opened == site.opened);
        let (all, kept) = (opened.len(), opened.iter().filter(is_kept).count());
        self.served.swap(sites(&config, opened, proxies, self.secure));
        if let Some((tls, config)) = certificate {
            tls.set(config);
        }
        self.served.log().set_form(config.server.access_log);
        for key in restarts(&self.started, &config) {
            tracing::warn!("{}: {key} has changed, and that needs a restart", self.path.display());
        }
        tracing::info!(sites = all, opened = all - kept, "reloaded {}", self.path.display());
        self.current = config;
        Ok(())
    }

    /// All files whose change is a reason to reload, as they are now.
    pub(crate) fn stamp(&self) -> Stamp {
        let mut paths = vec![self.path.clone()];
        // Also of what could not be opened last time.
        for config in [Config::read(&self.path, self.started.dev).map(Arc::new).ok().as_ref(), Some(&self.current)]
            .into_iter()
            .flatten()
        {
            paths.extend(config.tls.iter().flat_map(|tls| [tls.cert.value.clone(), tls.key.value.clone()]));
            for site in &config.sites {
                paths.extend(site.package.value.path().map(files_of).into_iter().flatten());
                paths.extend(site.verify.iter().map(|key| key.value.clone()));
            }
        }
        paths.extend(self.served.sites().sites.iter().flat_map(|site| site.stamp.paths().map(PathBuf::from)));
        paths.sort();
        paths.dedup();
        Stamp::of(paths)
    }
}

/// What `opened` is by `config`. `secure` is where plain requests are sent, if they are.
pub(crate) fn sites(config: &Config, opened: Vec<OpenSite>, proxies: TrustedProxies, secure: Option<u16>) -> Sites {
    writers::hold(opened.iter().flat_map(|site| site.service.writable()));
    let mut hosts = Hosts::default();
    for (at, site) in config.sites.iter().enumerate() {
        if site.hosts.is_empty() {
            hosts.add(None, &site.path.value, at);
        }
        for host in &site.hosts {
            hosts.add(Some(&host.value), &site.path.value, at);
        }
    }
    let redirect = secure.filter(|_| config.tls.as_ref().is_some_and(|tls| tls.redirect));
    Sites { hosts, sites: opened, proxies, redirect }
}

/// The keys whose change a reload does not bring.
fn restarts(started: &Config, config: &Config) -> Vec<&'static str> {
    let listen = |config: &Config| config.tls.as_ref().map(|tls| tls.listen.clone());
    let changed = [
        ("server.listen", started.server.listen != config.server.listen),
        ("server.admin", started.server.admin != config.server.admin),
        ("tls.listen", listen(started) != listen(config)),
        ("cache", started.cache != config.cache),
        ("engine", started.engine != config.engine),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
