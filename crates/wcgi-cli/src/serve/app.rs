//! What answers requests: finds the site by host and path, and hands the request to its service.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower_service::Service as _;
use tower_wcgi::{ResponseBody, TrustedProxies, WcgiService};

use super::cache::{Body, SiteCache};
use super::config::Site;
use super::count;
use super::hosts::{self, Host, Hosts};
use crate::access::{Access, Counted};
use crate::log::Log;
use crate::registry::Resolved;
use crate::server::App;
use crate::stamp::Stamp;

/// What is served. Clones are the same, and change together.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    current: Arc<RwLock<Arc<Sites>>>,
    log: Log,
}

/// All that one reading of the configuration has given.
#[derive(Debug)]
pub(crate) struct Sites {
    pub(crate) hosts: Hosts,
    pub(crate) sites: Vec<OpenSite>,
    pub(crate) proxies: TrustedProxies,
    /// The port that plain requests are sent to.
    pub(crate) redirect: Option<u16>,
}

/// A site that is open.
#[derive(Debug, Clone)]
pub(crate) struct OpenSite {
    pub(crate) name: Arc<str>,
    pub(crate) service: WcgiService,
    pub(crate) cache: Option<Arc<SiteCache>>,
    /// What it was opened by.
    pub(crate) settings: Arc<Site>,
    /// What its package has led to.
    pub(crate) resolved: Arc<Resolved>,
    /// The files that it was opened from.
    pub(crate) stamp: Stamp,
    pub(crate) opened: Instant,
    /// Over all reloads.
    pub(crate) requests: Arc<AtomicU64>,
}

impl Served {
    pub(crate) fn new(sites: Sites, log: Log) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(sites))), log }
    }

    /// Answers with other sites from here on. What runs is finished with the old ones.
    pub(crate) fn swap(&self, sites: Sites) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sites);
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn sites(&self) -> Arc<Sites> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl App for Served {
    type Body = Counted<Body>;

    async fn answer(&self, request: Request<Incoming>) -> Response<Counted<Body>> {
        let sites = self.sites();
        let (parts, body) = request.into_parts();
        let target = sites.target(&parts);
        let (site, info) = match &target {
            Target::Site(site) => (Arc::clone(&site.name), site.service.connection_info(&parts)),
            Target::Own(_) => (Arc::default(), sites.proxies.connection_info(&parts)),
        };
        let client = info.client();
        let (access, request) = Access::start(Request::from_parts(parts, body), client, Some(site), &self.log);
        let (method, start) = (request.method().clone(), Instant::now());
        let response = match target {
            Target::Site(site) => {
                site.count();
                match &site.cache {
                    Some(cache) => {
                        let https = info.is_https().unwrap_or(false);
                        let (response, is_counted) = cache.answer(site.service.clone(), request, https).await;
                        if !is_counted {
                            count::own_answer(&site.name, &method, response.status(), start);
                        }
                        response
                    }
                    None => {
                        let Ok(response) = site.service.clone().call(request).await;
                        response.map(Body::Own)
                    }
                }
            }
            Target::Own(response) => {
                count::own_answer("", &method, response.status(), start);
                response.map(Body::Own)
            }
        };
        access.response(response)
    }
}

impl OpenSite {
    pub(crate) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// What becomes of a request.
enum Target<'a> {
    Site(&'a OpenSite),
    /// The server's own answer.
    Own(Box<Response<ResponseBody>>),
}

impl Sites {
    fn target(&self, parts: &Parts) -> Target<'_> {
        self.site(parts).map_or_else(Target::Own, Target::Site)
    }

    fn site(&self, parts: &Parts) -> Result<&OpenSite, Box<Response<ResponseBody>>> {
        // What is for proxies, and what shows a page its own cookies, is not for any site.
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(with_field(status(StatusCode::METHOD_NOT_ALLOWED), ALLOW, METHODS.to_owned()));
        }
        let host = hosts::host(parts).map_err(|_| status(StatusCode::BAD_REQUEST))?;
        if let Some(port) = self.redirect
            && !self.proxies.connection_info(parts).is_https().unwrap_or(false)
        {
            return Err(to_https(parts, host.as_ref(), port));
        }
        let site = self.hosts.site(host.as_ref().map(Host::name), parts.uri.path());
        site.and_then(|site| self.sites.get(site)).ok_or_else(|| status(StatusCode::NOT_FOUND))
    }
}

/// The same place by TLS. A request of another method than GET stays one (RFC 9110 §15.4.9).
fn to_https(parts: &Parts, host: Option<&Host>, port: u16) -> Box<Response<ResponseBody>> {
    // Without a host nobody knows where that is.
    let Some(host) = host else { return status(StatusCode::BAD_REQUEST) };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let location = format!("https://{}{port}{path}", host.name());
    with_field(status(StatusCode::PERMANENT_REDIRECT), LOCATION, location)
}

fn status(status: StatusCode) -> Box<Response<ResponseBody>> {
    let mut response = Response::new(ResponseBody::from(status.canonical_reason().unwrap_or("Error")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Box::new(response)
}

fn with_field(
    mut response: Box<Response<ResponseBody>>,
    name: HeaderName,
    value: String,
) -> Box<Response<ResponseBody>> {
    match HeaderValue::try_from(value) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
            response
        }
        Err(_) => status(StatusCode::BAD_REQUEST),
    }
}

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
