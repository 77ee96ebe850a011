//! Every setting of a service, each with its default.

mod opened;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

pub(crate) use opened::OpenedPackage;
use values::{environ, environment, keep_warnings_out_of_the_answer, normal_mount, outbound, overlay, quotas, setting};

use crate::connection::{ConnectionInfo, Hook};
use crate::defaults;
use crate::engine::Engine;
use crate::error::Error;
use crate::escape;
use crate::gateway;
use crate::host::{Files, Seen};
use crate::mount::Access;
use crate::observe::Meters;
use crate::outbound::NetRule;
use crate::package::{self, Dependencies, Front, Site};
use crate::release::Release;
use crate::renewal::Renewal;
use crate::script::{Surroundings, WARMUP};
use crate::sendfile::SendFile;
use crate::service::WcgiService;
use crate::site::Routes;
use crate::tree::Tree;
use crate::warmup;

/// Settings of a [`WcgiService`]. Limits of the engine are set on [`Engine::builder`].
///
/// # Defaults
///
/// | setting | default | reason |
/// |---|---|---|
/// | [`engine`](Self::engine) | a new one | |
/// | [`name`](Self::name) | the package's | |
/// | [`command`](Self::command) | the package's entrypoint, or its only `wcgi` command | |
/// | [`dependency`](Self::dependency) | none | paths need no more |
/// | [`foreign`](Self::foreign) | no | |
/// | [`mount`](Self::mount) | taken from axum's router, else the root | |
/// | [`site`](Self::site) | the package's, else none | one script answers every URL |
/// | [`share`](Self::share) | 1 | services are equal |
/// | [`max_concurrency`](Self::max_concurrency) | the engine's, 128 | |
/// | [`deadline`](Self::deadline) | 30 s | PHP's own `max_execution_time` |
/// | [`max_memory`](Self::max_memory) | the engine's, 256 MiB | |
/// | [`max_body`](Self::max_body) | 64 MiB | above common upload limits (PHP: 8 MiB), far below a disk |
/// | [`response_buffer`](Self::response_buffer) | 64 KiB | most pages at once; a slow client holds no more |
/// | [`max_tmp`](Self::max_tmp) | 256 MiB | four uploads of the largest size |
/// | [`quota`](Self::quota) of a mount | none | what a visitor may store is for the operator to say |
/// | [`ignore_abort`](Self::ignore_abort) | allowed | a client could as well stay until the deadline |
/// | [`net`](Self::net) | what the package's directory grants | a script reaches nothing that nobody named |
/// | [`net_as_asked`](Self::net_as_asked) | no | whoever serves a package says what it may reach |
/// | [`net_connections`](Self::net_connections) | 16 | more than a page needs, far below what a database takes |
/// | [`server_name`](Self::server_name) | `localhost` | only for requests without a host |
/// | [`server_port`](Self::server_port) | the scheme's | only for requests without a host |
/// | [`server_software`](Self::server_software) | `tower-wcgi/` and the version | |
/// | [`https`](Self::https) | the package's, else decided for each request | |
/// | [`pass_authorization`](Self::pass_authorization) | the package's, else no | credentials are for the layer that checks them |
/// | [`allow_trace`](Self::allow_trace) | no | it shows a page the headers that the browser hides from it |
/// | [`dev`](Self::dev) | no | clients must not know what a failure shows |
/// | [`connection_info`](Self::connection_info) | what the server left in the extensions | headers can be forged |
/// | [`snapshot`](Self::snapshot) | if the module allows it | a request costs only its own work |
/// | [`snapshot_deadline`](Self::snapshot_deadline) | 60 s | a large application that is warmed up takes some ten |
/// | [`x_sendfile`](Self::x_sendfile) | off | a script that repeats users' input in its headers could be made to disclose files |
///
/// ```no_run
/// # use std::time::Duration;
/// # use tower_wcgi::{Access, WcgiService};
/// # fn main() -> Result<(), tower_wcgi::Error> {
/// let wiki = WcgiService::builder()
///     .package("wiki/")
///     .map_dir("/data", "/var/lib/wiki", Access::ReadWrite)
///     .env("WIKI_TITLE", "Notes")
///     .deadline(Duration::from_secs(10))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct WcgiBuilder {
    pub(crate) package: Option<PathBuf>,
    name: Option<Arc<str>>,
    pub(crate) command: Option<String>,
    dependencies: Dependencies,
    foreign: bool,
    engine: Option<Engine>,
    mounts: Vec<(String, PathBuf, Access)>,
    env: Vec<(String, String)>,
    mount: Option<String>,
    share: Option<u32>,
    max_concurrency: Option<usize>,
    deadline: Deadline,
    max_memory: Option<usize>,
    max_body: Option<u64>,
    response_buffer: Option<usize>,
    max_tmp: Option<u64>,
    quotas: Vec<(String, u64)>,
    refuse_ignore_abort: bool,
    net: Vec<NetRule>,
    net_as_asked: bool,
    net_connections: Option<usize>,
    server_name: Option<String>,
    server_port: Option<u16>,
    server_software: Option<String>,
    https: Option<bool>,
    pass_authorization: Option<bool>,
    connection_info: Option<Hook>,
    snapshot: Option<bool>,
    snapshot_deadline: Option<Duration>,
    x_sendfile: bool,
    site: Option<Site>,
    allow_trace: bool,
    dev: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Deadline {
    #[default]
    Default,
    None,
    After(Duration),
}

impl WcgiBuilder {
    /// What to run: a directory with a `wasmer.toml`, a `.webc` file (with the feature `webc`), a `.wasm` or a `.wat`.
    /// There is no default.
    pub fn package(mut self, path: impl Into<PathBuf>) -> Self {
        self.package = Some(path.into());
        self
    }

    /// What logs, metrics and [`Engine::running`] call the service. Default: the package's name in metrics and that list, nothing
    /// in logs.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Which command of the package answers. Default: the package's `entrypoint`, else its only `wcgi` command.
    pub fn command(mut self, name: impl Into<String>) -> Self {
        self.command = Some(name.into());
        self
    }

    /// Where a package is that manifests name by `reference` in their `[dependencies]`, exactly as they write it. Nothing is
    /// fetched: the crate `wcgi-registry` does so. Default: none; dependencies that are paths need no more.
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// let blog = WcgiService::builder().package("blog/").dependency("php:8.4", "runtimes/php").build()?;
    /// # Ok(()) }
    /// ```
    pub fn dependency(mut self, reference: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.dependencies.insert(reference.into(), path.into());
        self
    }

    /// Whether somebody else has made the package, who is not to decide about this server: then `https`,
    /// `pass_authorization` and `trusted_proxies` of its manifest do not count. Default: no. They never count in a `.webc`.
    pub fn foreign(mut self, foreign: bool) -> Self {
        self.foreign = foreign;
        self
    }

    /// The engine to run on. Default: a new one with its own defaults.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Lets the script see the host's directory `host` as `guest`, in place of a mount of the package. Changes on the
    /// host show on the next request. Default: the package's own mounts, read-only, and a private `/tmp`.
    pub fn map_dir(mut self, guest: impl Into<String>, host: impl Into<PathBuf>, access: Access) -> Self {
        self.mounts.push((guest.into(), host.into(), access));
        self
    }

    /// Sets an environment variable for every request, in place of the package's of the same name. `TMPDIR` is `/tmp` unless it
    /// is set. Variables that belong to each request, like `QUERY_STRING`, cannot be set. The host's own environment never
    /// reaches a script.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The URL path the service is mounted at, as `/wiki`: the `SCRIPT_NAME` of RFC 3875 §4.1.13. A request for another path
    /// is answered 404. Default: the path of axum's `nest_service` or `route_service`, else the root.
    pub fn mount(mut self, prefix: impl Into<String>) -> Self {
        self.mount = Some(prefix.into());
        self
    }

    /// The files below the mount: which of them are scripts, and what answers for other paths. Default: the package's site. Without
    /// a site one script answers every URL.
    pub fn site(mut self, site: Site) -> Self {
        self.site = Some(site);
        self
    }

    /// The weight of the service among the services of its engine when permits are short. Half of the permits, and of the places
    /// in the queue, are guaranteed: one to each service and the rest by share. Any service may take the other half. A busy
    /// service can use all permits except those guaranteed to others. Waiting requests are served by share too. With fewer
    /// than two permits for each service, nothing is guaranteed. Default: 1.
    pub fn share(mut self, weight: u32) -> Self {
        self.share = Some(weight);
        self
    }

    /// How many exchanges of this service run at once, within the [engine's](crate::EngineBuilder::max_concurrency); more wait in
    /// the queue. Default: the engine's.
    pub fn max_concurrency(mut self, exchanges: usize) -> Self {
        self.max_concurrency = Some(exchanges);
        self
    }

    /// How long a whole exchange may take in real time, from the request's head to the response's last byte. Computing,
    /// sleeping and waiting for the client are included. `None` is no deadline, for event streams and long
    /// downloads. Default: 30 seconds.
    pub fn deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.deadline = deadline.into().map_or(Deadline::None, Deadline::After);
        self
    }

    /// The most linear memory one instance may have, in bytes; not more than the engine's. Default: the engine's.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// The largest request body, in bytes; a larger one is answered 413. Default: 64 MiB.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// How many bytes of output are held for a client that reads more slowly than the script writes. Beyond that the script waits.
    /// A client that has begun to read gets up to four times as much, so that a long body does not stop at every piece.
    /// Default: 64 KiB.
    pub fn response_buffer(mut self, bytes: usize) -> Self {
        self.response_buffer = Some(bytes);
        self
    }

    /// The most bytes of all files in an exchange's private `/tmp` together: their lengths, holes included. A write
    /// beyond that fails with `ENOSPC`. A removed file gives its room back. Default: 256 MiB.
    pub fn max_tmp(mut self, bytes: u64) -> Self {
        self.max_tmp = Some(bytes);
        self
    }

    /// The most bytes of all files below the mount at `guest` together, as [`max_tmp`](Self::max_tmp) counts them. Files that were
    /// there before count too. The mount is like a file system of its own: nothing can be renamed into it from
    /// elsewhere (`EXDEV`). What other programs write there is noticed late, so leave some room. Default: none.
    pub fn quota(mut self, guest: impl Into<String>, bytes: u64) -> Self {
        self.quotas.push((guest.into(), bytes));
        self
    }

    /// Whether a script may [ask](crate::_docs::client) to finish after its client has left. It keeps
    /// its permit until then, within the [deadline](Self::deadline). Default: yes, because a client could as well wait that long.
    pub fn ignore_abort(mut self, allow: bool) -> Self {
        self.refuse_ignore_abort = !allow;
        self
    }

    /// Lets the script connect to what `rule` says: see [the network](crate::_docs::network). Repeatable; the last of two targets
    /// for one name counts, and a target wins over what the package says. Default: what the manifest of a package's directory
    /// grants, else nothing.
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let blog = WcgiService::builder()
    ///     .package("blog/")
    ///     .net("db:3306=127.0.0.1:3306".parse()?)
    ///     .net("api.example.com:443".parse()?)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn net(mut self, rule: NetRule) -> Self {
        self.net.push(rule);
        self
    }

    /// Whether a `.webc` or a pulled package may connect to what it asks for. No name that it asks for leads to an address
    /// inside. Default: no; what it asks for and no [rule](Self::net) grants is an error.
    pub fn net_as_asked(mut self, grant: bool) -> Self {
        self.net_as_asked = grant;
        self
    }

    /// How many connections one exchange may have at once. A service has 256 together. Default: 16.
    pub fn net_connections(mut self, most: usize) -> Self {
        self.net_connections = Some(most);
        self
    }

    /// `SERVER_NAME` for requests that do not name a host. Default: `localhost`.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// `SERVER_PORT` for requests that do not name a host. Default: that of the scheme.
    pub fn server_port(mut self, port: u16) -> Self {
        self.server_port = Some(port);
        self
    }

    /// `SERVER_SOFTWARE`. Default: `tower-wcgi/` and this crate's version.
    pub fn server_software(mut self, name: impl Into<String>) -> Self {
        self.server_software = Some(name.into());
        self
    }

    /// Whether all clients use TLS, as behind a proxy that ends it, whatever [`connection_info`](Self::connection_info) says.
    /// `HTTPS`, `REQUEST_SCHEME` and the default of `SERVER_PORT` follow it. A [variable](Self::env) `HTTPS` or
    /// `REQUEST_SCHEME` is the same setting, and wins. Default: the package manifest's value, else each request's connection
    /// decides.
    pub fn https(mut self, https: bool) -> Self {
        self.https = Some(https);
        self
    }

    /// Whether scripts see the headers `Authorization` and `Proxy-Authorization`. Default: the package manifest's value,
    /// else no. An authentication layer inserts a [`RemoteUser`](crate::RemoteUser) instead.
    pub fn pass_authorization(mut self, pass: bool) -> Self {
        self.pass_authorization = Some(pass);
        self
    }

    /// Whether scripts answer requests with the method `TRACE`. Default: no, they are answered 405. A script that repeats the
    /// request would show a page's JavaScript the cookies and credentials that the browser hides from it. `CONNECT` is always
    /// answered 405.
    pub fn allow_trace(mut self, allow: bool) -> Self {
        self.allow_trace = allow;
        self
    }

    /// Whether a failure is answered with a page for the developer in place of the bare status. The page has the reason, the
    /// request's id, the wasm backtrace, the last of stderr and a hint, as HTML or text by `Accept`. It shows paths of the host
    /// and output of the script, so never enable it where others can reach the service. Default: no.
    pub fn dev(mut self, dev: bool) -> Self {
        self.dev = dev;
        self
    }

    /// The function that gives the client's address and its use of TLS. See [`TrustedProxies`](crate::TrustedProxies) for a
    /// server behind proxies. Default: the proxies that the package's manifest trusts, else [`ConnectionInfo::of`].
    pub fn connection_info(mut self, hook: impl Fn(&Parts) -> ConnectionInfo + Send + Sync + 'static) -> Self {
        self.connection_info = Some(Hook::new(hook));
        self
    }

    /// Whether a module that exports `wizer-initialize` runs its start-up once, here, and requests start from a snapshot of its
    /// memory: see [snapshots](crate::_docs::snapshots). Modules that do not export it are not affected. If the
    /// start-up fails, the module runs as it is, and the log says why. Default: the package manifest's value, else yes.
    pub fn snapshot(mut self, take: bool) -> Self {
        self.snapshot = Some(take);
        self
    }

    /// How long the start-up for a [snapshot](Self::snapshot) may take. If it takes longer, the module runs as it is. Default: 60
    /// seconds.
    pub fn snapshot_deadline(mut self, deadline: Duration) -> Self {
        self.snapshot_deadline = Some(deadline);
        self
    }

    /// Lets the script answer with a file. A response head with `X-Sendfile: /guest/path` becomes a response with that file
    /// from one of the [mounts](Self::map_dir). The file is streamed without the script, whose instance is free as soon as it ends.
    ///
    /// The field itself is removed. The script's status and other fields stay. Its `Content-Length`, and its output
    /// after the head, do not count. A response of status 200 gets `ETag` and `Last-Modified`, if the script gave none. It
    /// answers `If-None-Match`, `If-Modified-Since`, `If-Match`, `If-Unmodified-Since`, `If-Range`, and `Range` with one range
    /// (RFC 9110 §13, §14). The [deadline](Self::deadline) ends the script, but not the transfer of the file.
    ///
    /// The path is absolute, as the script would open it, and not percent-decoded. It is looked up in the mount with the
    /// longest matching guest path, never in the private `/tmp`. Neither `..` nor a symbolic link leads out of that mount.
    /// If there is no regular file, the answer is 502, and the reason is in the log.
    ///
    /// Default: off. A script that was not written for it, and repeats users' input in its headers, could be made to
    /// disclose its own files. While it is off, `X-Sendfile` is a field like any other and goes to the client. A proxy in front
    /// may act on it.
    ///
    /// ```no_run
    /// # use tower_wcgi::{Access, WcgiService};
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// // <?php header('X-Sendfile: /private/report.pdf'); header('Content-Type: application/pdf');
    /// let shop = WcgiService::builder()
    ///     .package("shop/")
    ///     .map_dir("/private", "/var/lib/shop/private", Access::ReadOnly)
    ///     .x_sendfile(true)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn x_sendfile(mut self, allow: bool) -> Self {
        self.x_sendfile = allow;
        self
    }

    /// Opens the package, runs its module's start-up and compiles the module, or takes both from the cache. Checks that it can run.
    ///
    /// Takes seconds for a large module that is compiled for the first time, and additionally the time of its start-up.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Package`](crate::ErrorKind::Package) if the package, a mount or a setting cannot be used.
    /// - [`ErrorKind::Module`](crate::ErrorKind::Module) for a module that can never run.
    /// - [`ErrorKind::Host`](crate::ErrorKind::Host) if there is no room for an engine, or no temporary directory can be made.
    pub fn build(self) -> Result<WcgiService, Error> {
        self.release().map(WcgiService::new)
    }

    pub(crate) fn release(self) -> Result<Release, Error> {
        let path = self.package.clone();
        let opened = self.open()?;
        let outbound =
            outbound(&opened.package, &opened.rest.net, opened.rest.net_as_asked, opened.rest.net_connections)?;
        let (max_memory, arguments) = (opened.surroundings.max_memory, Arc::clone(&opened.surroundings.arguments));
        let start =
            Renewal::new(opened.engine.clone(), &opened.source(), opened.surroundings.clone(), opened.take_snapshot)?;
        let OpenedPackage { package, engine, mount, tree, site, settings, rest, .. } = opened;
        let sources = path.map_or_else(Vec::new, |path| package.sources(&path));
        let of_proxies =
            package.front.trusted_proxies.map(|proxies| Hook::new(move |parts: &Parts| proxies.connection_info(parts)));
        let name = rest.name;
        Ok(Release {
            tenant: engine.tenant(name.as_ref(), rest.share.unwrap_or(1), rest.max_concurrency),
            sources,
            meters: Arc::new(Meters::new(name.as_deref().unwrap_or(&package.name))),
            name,
            engine,
            start: Arc::new(start),
            send_file: rest.x_sendfile.then(|| Arc::new(SendFile::new(tree))),
            site: site.map(Arc::new),
            arguments,
            settings,
            connection_info: rest.connection_info.or(of_proxies).unwrap_or_default(),
            mount,
            allow_trace: rest.allow_trace,
            dev: rest.dev,
            deadline: match rest.deadline {
                Deadline::Default => Some(defaults::DEADLINE),
                Deadline::None => None,
                // A time that the clock cannot reach is as good as none, and must not overflow it.
                Deadline::After(deadline) => Some(deadline.min(LONGEST_DEADLINE)),
            },
            max_body: rest.max_body.unwrap_or(defaults::MAX_BODY),
            max_memory,
            response_buffer: rest.response_buffer.unwrap_or(defaults::RESPONSE_BUFFER).max(1),
            max_tmp: rest.max_tmp.unwrap_or(defaults::MAX_TMP),
            may_ignore_abort: !rest.refuse_ignore_abort,
            outbound: Arc::new(outbound),
            unpacked: package.unpacked,
        })
    }

    pub(crate) fn open_package(&self) -> Result<package::Package, Error> {
        let path = self.package.as_ref().ok_or_else(|| setting("no package was given"))?;
        let mut package = package::open(path, self.command.as_deref(), &self.dependencies)?;
        if self.foreign && package.front != Front::default() {
            package.front = Front::default();
            let shown = &package.name;
            package.warnings.push(format!(
                "{shown}: https, pass_authorization and trusted_proxies of a foreign package do not count; say them when you serve it"
            ));
        }
        if self.foreign {
            // Unlike the manifest of a directory, it only asks.
            package.asks.append(&mut package.connect);
            if let Some(rule) = package.asks.iter().find(|rule| rule.has_target()) {
                let why = format!("{}: network.connect: {rule}: a foreign package may not name a target", package.name);
                return Err(setting(why).with_hint("ask for the name alone; the target is given with `--net`"));
            }
        }
        Ok(package)
    }

    pub(crate) fn open(mut self) -> Result<OpenedPackage, Error> {
        Files::check_tmp()?;
        let mut package = self.open_package()?;
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => Engine::builder().build()?,
        };
        let max_memory = self.max_memory.unwrap_or(engine.max_memory());
        if max_memory > engine.max_memory() {
            return Err(setting("max_memory is above the engine's"));
        }
        let mount = self.mount.take().map(|prefix| normal_mount(&prefix)).transpose()?;
        let mounts = overlay(package.mounts.clone(), self.mounts.clone())?;
        let quotas = quotas(&mounts, &self.quotas)?;
        if let Some(seen) = &package.snapshot.mounts
            && !mounts.iter().map(|mount| &mount.guest).eq(seen)
        {
            let message = format!("the package was built for mounts at {} and at no other paths", seen.join(", "));
            return Err(setting(message).with_hint("give exactly these with --mapdir, or build the package again"));
        }
        tracing::debug!(package = package.name, module = package.module_label, "opening");
        for warning in &package.warnings {
            tracing::warn!("{}", escape::Line(warning));
        }
        if package.cwd.is_some() {
            tracing::warn!("the command's cwd is ignored: WASI preview 1 has no current directory");
        }
        let mut env = environment(&package.env, &self.env);
        let tree = Arc::new(Tree::new(mounts.clone()));
        package.site = self.site.take().or(package.site.take());
        let site = package.site.clone().map(|site| Routes::new(site, Arc::clone(&tree))).transpose()?;
        let settings = gateway::Settings {
            server_software: self
                .server_software
                .take()
                .unwrap_or_else(|| concat!("tower-wcgi/", env!("CARGO_PKG_VERSION")).to_owned()),
            server_name: self.server_name.take().unwrap_or_else(|| "localhost".to_owned()),
            server_port: self.server_port,
            https: self.https.or(package.front.https),
            pass_authorization: self.pass_authorization.or(package.front.pass_authorization).unwrap_or(false),
            document_root: site.as_ref().map(|site| site.document_root().to_owned()),
            constants: environ(&env)?,
        };
        for name in ["SCRIPT_FILENAME", "SCRIPT_NAME"] {
            if site.is_some() && settings.constants.contains(name) {
                tracing::warn!("{name} is set for every request, so the site's scripts cannot tell which of them runs");
            }
        }
        package.env.clone_from(&env);
        for (name, value) in &package.snapshot.env {
            package::set_env(&mut env, name, value);
        }
        let take_snapshot = self.snapshot.unwrap_or(package.snapshot.enabled);
        let [starts_up, displays_errors, is_cgi] =
            package.module.contains(["wizer", "display_startup_errors", "cgi.fix_pathinfo"]);
        if displays_errors && is_cgi {
            keep_warnings_out_of_the_answer(&mut package.arguments);
        }
        let has_snapshot = take_snapshot && starts_up || package.snapshot.mounts.is_some();
        let requests = if take_snapshot { package.snapshot.warmup.as_slice() } else { &[] };
        let warmup = warmup::file(requests, mount.as_deref().unwrap_or_default(), &settings, site.as_ref(), &mounts);
        if !warmup.is_empty() {
            for name in ["WCGI_WARMUP", "PHP_WARMUP"] {
                if env.iter().all(|(set, _)| set != name) {
                    env.push((name.to_owned(), WARMUP.to_owned()));
                }
            }
        }
        let surroundings = Surroundings {
            env,
            arguments: std::mem::take(&mut package.arguments).into(),
            seen: Arc::new(if has_snapshot { Seen::of(&mounts) } else { Seen::default() }),
            mounts,
            quotas,
            max_memory,
            deadline: self.snapshot_deadline.unwrap_or(defaults::SNAPSHOT_DEADLINE),
            reseeds: package.snapshot.reseeds,
            warmup,
        };
        Ok(OpenedPackage { package, engine, mount, tree, site, settings, surroundings, take_snapshot, rest: self })
    }
}

impl WcgiService {
    /// Opens the package at `path` with every setting at its default and an [`Engine`] of its own.
    ///
    /// Compiles the package's module if it is not in the cache yet, which takes seconds for a large one.
    ///
    /// # Errors
    ///
    /// See [`WcgiBuilder::build`].
    pub fn from_package(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().package(path.as_ref()).build()
    }

    /// A builder with every setting at its default.
    pub fn builder() -> WcgiBuilder {
        WcgiBuilder::default()
    }
}

/// A century.
const LONGEST_DEADLINE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
