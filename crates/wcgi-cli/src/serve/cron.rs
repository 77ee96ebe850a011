//! Requests that the server makes itself, every so often: what other programs have a cron table for.
//!
//! Each entry has a task that makes one request after the other, so never two at once. It looks its entry up in what is served
//! now, so a reload changes it, and ends when the entry is gone.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{HOST, USER_AGENT};
use http_body_util::{BodyExt as _, Empty};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_service::Service as _;
use tower_wcgi::ConnectionInfo;

use super::app::{OpenSite, Served};
use super::config::Cron;
use crate::access::Access;

/// The tasks. They end with it.
#[derive(Debug)]
pub(crate) struct Crons {
    served: Served,
    tasks: HashMap<Entry, JoinHandle<()>>,
}

/// Which entry: the name of a site, and the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    site: Arc<str>,
    path: String,
}

impl Crons {
    pub(crate) fn new(served: Served) -> Self {
        Self { served, tasks: HashMap::new() }
    }

    /// Begins the entries of what is served now that have no task.
    pub(crate) fn begin(&mut self) {
        self.tasks.retain(|_, task| !task.is_finished());
        for site in &self.served.sites().sites {
            for cron in &site.settings.cron {
                let entry = Entry { site: Arc::clone(&site.name), path: cron.path.clone() };
                let served = &self.served;
                let task = |entry: &Entry| tokio::spawn(run(served.clone(), entry.clone()));
                self.tasks.entry(entry).or_insert_with_key(task);
            }
        }
    }
}

impl Drop for Crons {
    fn drop(&mut self) {
        for task in self.tasks.values() {
            task.abort();
        }
    }
}

async fn run(served: Served, entry: Entry) {
    let mut last = Instant::now();
    loop {
        let Some((_, cron)) = find(&served, &entry) else { return };
        // What a request takes beyond its period is left out, not made up for.
        tokio::time::sleep_until((last + cron.every).max(Instant::now())).await;
        last = Instant::now();
        let Some((site, cron)) = find(&served, &entry) else { return };
        ask(&served, site, &cron).await;
    }
}

fn find(served: &Served, entry: &Entry) -> Option<(OpenSite, Cron)> {
    let sites = served.sites();
    let site = sites.sites.iter().find(|site| site.name == entry.site)?;
    let cron = site.settings.cron.iter().find(|cron| cron.path == entry.path)?;
    Some((site.clone(), cron.clone()))
}

async fn ask(served: &Served, site: OpenSite, cron: &Cron) {
    let host = site.settings.hosts.first().map_or("localhost", |host| host.value.trim_start_matches("*."));
    let target = format!("{}{}", site.settings.path.value, cron.path);
    let request = Request::get(target).header(HOST, host).header(USER_AGENT, "wcgi-cron").body(Empty::<Bytes>::new());
    let mut request = match request {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(site = &*site.name, path = cron.path, %error, "cannot ask this of the site");
            return;
        }
    };
    // It has no port, as there is no connection.
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    request.extensions_mut().insert(ConnectionInfo::unknown().remote_addr(client));
    let (access, request) = Access::start(request, Some(client), Some(Arc::clone(&site.name)), served.log());
    site.count();
    let mut service = site.service;
    let Ok(response) = service.call(request).await;
    let mut body = access.response(response).into_body();
    // Nobody reads it, but the script may come to its end.
    while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
}
