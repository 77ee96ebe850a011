//! The configuration of `wcgi serve`: a file → checked settings.
//!
//! A key that is unknown, or asks for what is not there, is an error: a server that ignores it would do something else than
//! its file says.

mod document;
mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tower_wcgi::TrustedProxies;

pub(crate) use self::document::Said;
use self::document::{Document, Table, Zero};
pub(crate) use self::site::{Cron, Package, Site};
use crate::listen;
use crate::log::Form;

/// Everything that a file says.
#[derive(Debug)]
pub(crate) struct Config {
    /// Not from the file: failures are shown to clients.
    pub(crate) dev: bool,
    pub(crate) server: Server,
    pub(crate) tls: Option<Tls>,
    pub(crate) engine: Engine,
    /// How many bytes stored responses may have, of all sites together.
    pub(crate) cache: u64,
    pub(crate) sites: Vec<Arc<Site>>,
}

/// `[server]`
#[derive(Debug, PartialEq)]
pub(crate) struct Server {
    pub(crate) listen: Vec<Said<String>>,
    pub(crate) admin: Option<Said<String>>,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) access_log: Form,
    pub(crate) drain: Duration,
}

/// `[tls]`
#[derive(Debug, PartialEq)]
pub(crate) struct Tls {
    pub(crate) listen: Vec<Said<String>>,
    pub(crate) cert: Said<PathBuf>,
    pub(crate) key: Said<PathBuf>,
    pub(crate) redirect: bool,
}

/// `[engine]`
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Engine {
    pub(crate) max_concurrency: Option<Said<usize>>,
    pub(crate) queue: Option<Said<usize>>,
    pub(crate) queue_wait: Option<Said<Duration>>,
    pub(crate) max_memory: Option<Said<usize>>,
    pub(crate) max_tmp: Option<u64>,
    pub(crate) cache_dir: Option<PathBuf>,
}

impl Config {
    /// Reads `file`. Paths in it are relative to its directory.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says something wrong. Packages and certificates are not looked at.
    pub(crate) fn read(file: &Path, dev: bool) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let config = Self::parse(&name, &text, file.parent().unwrap_or(Path::new("")))?;
        for Said { value, place } in config.sites.iter().map(|site| &site.package) {
            let exists = value.path().is_none_or(Path::exists);
            anyhow::ensure!(exists, place.error(format!("there is no {value}")));
        }
        Ok(Self { dev, ..config })
    }

    fn parse(name: &str, text: &str, base: &Path) -> anyhow::Result<Self> {
        let document = Document::new(name, text);
        let parsed = document.parse(text)?;
        let root = document.root(&parsed);
        root.only(&["server", "tls", "engine", "site", "sandbox", "cache"])?;
        root.refuse("sandbox")?;
        let cache = root.table("cache")?.map(|table| cache(&table)).transpose()?.unwrap_or(MEMORY_OF_CACHE);
        let tls = root.table("tls")?.map(|table| Tls::read(&table, base)).transpose()?;
        let server = Server::read(&root, tls.is_some())?;
        let engine = root.table("engine")?.map(|table| Engine::read(&table, base)).transpose()?.unwrap_or_default();
        let tables = root.tables("site")?;
        if tables.is_empty() {
            return Err(root.place("site").error("there is none; each begins with a line [[site]]"));
        }
        let sites = tables.iter().map(|table| Site::read(table, base).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        site::ensure_distinct(&sites)?;
        let most = engine.max_memory.as_ref().map_or(MEMORY_OF_ENGINE, |said| said.value);
        let mut memories = sites.iter().filter_map(|site| site.max_memory.as_ref());
        if let Some(memory) = memories.find(|memory| memory.value > most) {
            return Err(memory.place.error("is more than the engine's max_memory"));
        }
        let listen: Vec<_> =
            server.listen.iter().chain(&server.admin).chain(tls.iter().flat_map(|tls| &tls.listen)).collect();
        for (at, address) in listen.iter().enumerate() {
            let is_taken = |other: &&&Said<String>| other.value == address.value && !address.value.ends_with(":0");
            if listen.iter().take(at).any(|other| is_taken(&other)) {
                return Err(address.place.error(format!("{} is listened on already", address.value)));
            }
        }
        Ok(Self { dev: false, server, tls, engine, cache, sites })
    }
}

/// `[cache]`
fn cache(table: &Table<'_>) -> anyhow::Result<u64> {
    table.only(&["memory"])?;
    match table.size("memory")? {
        None => Ok(MEMORY_OF_CACHE),
        Some(memory) if memory.value < 1 << 20 => Err(memory.place.error("must be at least 1MiB")),
        Some(memory) => Ok(memory.value),
    }
}

impl Server {
    fn read(root: &Table<'_>, has_tls: bool) -> anyhow::Result<Self> {
        let mut server = Self {
            listen: Vec::new(),
            admin: None,
            trusted_proxies: Vec::new(),
            access_log: Form::default(),
            drain: Duration::from_secs(30),
        };
        let mut listen = None;
        if let Some(table) = root.table("server")? {
            table.only(&["listen", "admin", "trusted_proxies", "access_log", "drain"])?;
            server.admin = address(&table, "admin")?;
            if let Some(form) = table.text("access_log")? {
                server.access_log = match &*form.value {
                    "text" => Form::Text,
                    "json" => Form::Json,
                    "combined" => Form::Combined,
                    "off" => Form::Off,
                    _ => return Err(form.place.error("choose one of text, json, combined and off")),
                };
            }
            listen = addresses(&table)?;
            for network in table.texts("trusted_proxies")?.unwrap_or_default() {
                TrustedProxies::new([&network.value]).map_err(|error| network.place.error(error))?;
                server.trusted_proxies.push(network.value);
            }
            if let Some(drain) = table.duration("drain", Zero::Refused)? {
                server.drain = drain.value;
            }
        }
        server.listen = match listen {
            Some(listen) => listen,
            None if has_tls => Vec::new(),
            None => vec![Said { value: "127.0.0.1:8000".to_owned(), place: root.place("server") }],
        };
        Ok(server)
    }
}

impl Tls {
    fn read(table: &Table<'_>, base: &Path) -> anyhow::Result<Self> {
        table.only(&["listen", "cert", "key", "redirect", "acme"])?;
        if table.has("acme") && (table.has("cert") || table.has("key")) {
            return Err(table.place("acme").error("it stands in place of cert and key, and they are there too"));
        }
        table.refuse("acme")?;
        let path = |name: &str| -> anyhow::Result<Said<PathBuf>> {
            let path = table.text(name)?.ok_or_else(|| table.place(name).error("missing; it names a PEM file"))?;
            Ok(Said { value: base.join(path.value), place: path.place })
        };
        let listen = addresses(table)?.ok_or_else(|| {
            table.place("listen").error("missing; it lists addresses, as in listen = [\"0.0.0.0:443\"]")
        })?;
        Ok(Self { listen, cert: path("cert")?, key: path("key")?, redirect: table.bool("redirect")?.unwrap_or(false) })
    }
}

impl Engine {
    fn read(table: &Table<'_>, base: &Path) -> anyhow::Result<Self> {
        table.only(&["max_concurrency", "queue", "queue_wait", "max_memory", "max_tmp", "cache_dir"])?;
        Ok(Self {
            max_concurrency: table.count("max_concurrency", 1)?,
            queue: table.count("queue", 0)?,
            queue_wait: table.duration("queue_wait", Zero::Refused)?,
            max_memory: table.memory("max_memory")?,
            max_tmp: table.size("max_tmp")?.map(|size| size.value),
            cache_dir: table.text("cache_dir")?.map(|path| base.join(path.value)),
        })
    }
}

fn address(table: &Table<'_>, name: &str) -> anyhow::Result<Option<Said<String>>> {
    let address = table.text(name)?;
    if let Some(address) = &address {
        listen::check(&address.value).map_err(|why| address.place.error(why))?;
    }
    Ok(address)
}

/// The addresses under `listen`, at least one.
fn addresses(table: &Table<'_>) -> anyhow::Result<Option<Vec<Said<String>>>> {
    let Some(addresses) = table.texts("listen")? else { return Ok(None) };
    if addresses.is_empty() {
        return Err(table.place("listen").error("there is no address in it"));
    }
    for address in &addresses {
        listen::check(&address.value).map_err(|why| address.place.error(why))?;
    }
    Ok(Some(addresses))
}

const MEMORY_OF_CACHE: u64 = 64 << 20;
/// An engine's when nothing is said.
const MEMORY_OF_ENGINE: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[[site]]\npackage = \"p\"\n";

    fn parse(text: &str) -> anyhow::Result<Config> {
        Config::parse("w.toml", text, Path::new("base"))
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = parse(SITE).unwrap();
        assert_eq!(config.server.listen.iter().map(|said| &*said.value).collect::<Vec<_>>(), ["127.0.0.1:8000"]);
        assert_eq!(config.server.drain, Duration::from_secs(30));
        assert!(config.tls.is_none());
        let tls = parse(&format!("[tls]\nlisten = ['1:443']\ncert = 'c'\nkey = '/k'\n{SITE}")).unwrap();
        assert!(tls.server.listen.is_empty());
        let tls = tls.tls.unwrap();
        assert_eq!((tls.cert.value, tls.key.value), (PathBuf::from("base/c"), PathBuf::from("/k")));
        assert!(!tls.redirect);
    }

    #[test]
    fn each_error_names_file_line_and_key() {
        for (text, expected) in [
            ("[server]\nlisten = [\n'127.0.0.1:1',\n'nowhere']\n", "w.toml:4: server.listen: "),
            ("[server]\nlisten = []\n", "w.toml:2: server.listen: "),
            ("[server]\nlisten = [':80', ':80']\n", "w.toml:2: server.listen: "),
            ("[server]\n\nport = 1\n", "w.toml:3: server.port: unknown key"),
            ("[server]\ndrain = 0\n", "w.toml:2: server.drain: "),
            ("[server]\ndrain = -1\n", "w.toml:2: server.drain: "),
            ("[server]\ndrain = '5 minutes'\n", "w.toml:2: server.drain: "),
            ("[server]\ntrusted_proxies = ['10.0.0.0/8', 'x']\n", "w.toml:2: server.trusted_proxies: "),
            ("[tls]\nlisten = [':1']\ncert = 'c'\n", "w.toml:1: tls.key: missing"),
            ("[tls]\ncert = 'c'\nkey = 'k'\n", "w.toml:1: tls.listen: missing"),
            ("[tls]\nlisten = [':1']\ncert = 'c'\nkey = 'k'\nacme = {}\n", "w.toml:5: tls.acme: "),
            ("[engine]\nmax_concurrency = 0\n", "w.toml:2: engine.max_concurrency: "),
            ("[engine]\nmax_memory = '5GiB'\n", "w.toml:2: engine.max_memory: "),
            ("[engine]\nmax_memory = '5 apples'\n", "w.toml:2: engine.max_memory: "),
            ("[engine]\nqueue = 'many'\n", "w.toml:2: engine.queue: "),
            ("[engine]\nqueue_wait = 0\n", "w.toml:2: engine.queue_wait: "),
            ("[[server]]\n", "w.toml:1: server: expected a table"),
            ("x = 1\n", "w.toml:1: x: unknown key"),
            ("\n[server\n", "w.toml:2: not TOML"),
            ("[server]\ndrain = 1\ndrain = 2\n", "w.toml:3: not TOML"),
        ] {
            let error = parse(&format!("{text}{SITE}")).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = parse("[server]\n").unwrap_err().to_string();
        assert!(error.starts_with("w.toml:1: site: "), "{error}");
    }
}
