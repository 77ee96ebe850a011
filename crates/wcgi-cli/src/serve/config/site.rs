//! `[[site]]`: one package, and which requests are for it.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tower_wcgi::{InvalidNetRule, NetRule};
use wcgi_registry::Reference;

use super::document::{Said, Table, Zero};
use crate::arguments::{self, MapDir};
use crate::registry::reference_of;

/// One site.
#[derive(Debug, PartialEq, Clone)]
pub(crate) struct Site {
    /// What logs call it.
    pub(crate) name: Said<String>,
    /// Lower case, without a dot at the end; `*.x` is every name below `x`. None is every host that no other site has.
    pub(crate) hosts: Vec<Said<String>>,
    /// Empty for the root, else with a slash before and none after.
    pub(crate) path: Said<String>,
    pub(crate) package: Said<Package>,
    /// Public keys, one of which has signed a package of a registry.
    pub(crate) verify: Vec<Said<PathBuf>>,
    pub(crate) command: Option<String>,
    pub(crate) mounts: Vec<Said<MapDir>>,
    pub(crate) env: Vec<(String, Said<String>)>,
    /// What its scripts may connect to.
    pub(crate) net: Vec<Said<NetRule>>,
    pub(crate) net_as_asked: bool,
    /// `None` is the default, zero is no deadline.
    pub(crate) deadline: Option<Said<Duration>>,
    pub(crate) max_body: Option<Said<u64>>,
    pub(crate) max_memory: Option<Said<usize>>,
    /// Guest paths of mounts, and how many bytes all files there may have together.
    pub(crate) quota: Vec<(String, u64)>,
    pub(crate) share: Option<u32>,
    pub(crate) max_concurrency: Option<Said<usize>>,
    pub(crate) pass_authorization: Option<bool>,
    /// The freshness of a response that says none.
    pub(crate) cache: Option<Duration>,
    pub(crate) cron: Vec<Cron>,
}

/// What a site's `package` names.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(crate) enum Package {
    /// On this machine.
    Path(PathBuf),
    /// In a registry.
    Reference(Reference),
}

impl Package {
    /// A path that exists goes before a reference.
    fn read(text: &Said<String>, base: &Path) -> anyhow::Result<Self> {
        let path = base.join(&text.value);
        let reference =
            if path.exists() { None } else { reference_of(&text.value).map_err(|why| text.place.error(why))? };
        Ok(reference.map_or(Self::Path(path), Self::Reference))
    }

    /// Where it is, if it is on this machine.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Reference(_) => None,
        }
    }
}

impl Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Reference(reference) => reference.fmt(f),
        }
    }
}

/// A request that the server makes itself.
#[derive(Debug, PartialEq, Clone)]
pub(crate) struct Cron {
    pub(crate) every: Duration,
    /// Below the site's, with a query if there is one.
    pub(crate) path: String,
}

impl Site {
    pub(super) fn read(table: &Table<'_>, base: &Path) -> anyhow::Result<Self> {
        table.only(&KEYS)?;
        let package = table.text("package")?.ok_or_else(|| table.place("package").error("missing"))?;
        let package = Said { value: Package::read(&package, base)?, place: package.place };
        let verify = table.text_or_texts("verify")?;
        if let (Some(key), Some(path)) = (verify.first(), package.value.path()) {
            let why = "it is for packages of registries, and the package is";
            return Err(key.place.error(format!("{why} {}", path.display())));
        }
        let hosts = hosts(table)?;
        let path = match table.text("path")? {
            Some(path) => Said { value: mount(&path)?, place: path.place },
            None => Said { value: String::new(), place: table.place("path") },
        };
        let name = match table.text("name")? {
            Some(name) if name.value.is_empty() => return Err(name.place.error("empty")),
            Some(name) => name,
            None => {
                let host = hosts.first().map_or("", |host| &host.value);
                let path = if path.value.is_empty() { "/" } else { &path.value };
                Said { value: format!("{host}{path}"), place: table.place("name") }
            }
        };
        let mapdir = |text: Said<String>| {
            let MapDir { guest, host, access } = arguments::mapdir(&text.value).map_err(|why| text.place.error(why))?;
            Ok(Said { value: MapDir { guest, host: base.join(host), access }, place: text.place })
        };
        let rule = |text: Said<String>| {
            let rule = text.value.parse().map_err(|why: InvalidNetRule| text.place.error(why.to_string()))?;
            Ok(Said { value: rule, place: text.place })
        };
        Ok(Self {
            name,
            hosts,
            path,
            package,
            verify: verify.into_iter().map(|key| Said { value: base.join(key.value), place: key.place }).collect(),
            command: table.text("command")?.map(|command| command.value),
            mounts: table
                .texts("mapdir")?
                .unwrap_or_default()
                .into_iter()
                .map(mapdir)
                .collect::<anyhow::Result<_>>()?,
            env: table.variables("env")?,
            net: table.texts("net")?.unwrap_or_default().into_iter().map(rule).collect::<anyhow::Result<_>>()?,
            net_as_asked: table.bool("net_as_asked")?.unwrap_or(false),
            deadline: table.duration("deadline", Zero::Allowed)?,
            max_body: table.size("max_body")?,
            max_memory: table.memory("max_memory")?,
            quota: table.sizes("quota")?,
            share: table.count("share", 1)?.map(|share| u32::try_from(share.value).unwrap_or(u32::MAX)),
            max_concurrency: table.count("max_concurrency", 1)?,
            pass_authorization: table.bool("pass_authorization")?,
            cache: table.duration("cache", Zero::Refused)?.map(|freshness| freshness.value),
            cron: crons(table)?,
        })
    }
}

impl Site {
    /// Whether what was opened by these settings is what `other` asks for. Which hosts it answers for is found out elsewhere.
    pub(crate) fn opens_as(&self, other: &Self) -> bool {
        Self { hosts: Vec::new(), ..self.clone() } == Self { hosts: Vec::new(), ..other.clone() }
    }
}

/// # Errors
///
/// For the later of two sites with one name, or with one host and path.
pub(super) fn ensure_distinct(sites: &[Arc<Site>]) -> anyhow::Result<()> {
    let mut names = std::collections::HashMap::new();
    let mut mounts = std::collections::HashMap::new();
    for site in sites {
        if names.insert(&site.name.value, site).is_some() {
            return Err(site.name.place.error(format!("another site has the name {} already", site.name.value)));
        }
        let path = if site.path.value.is_empty() { "/" } else { &site.path.value };
        if site.hosts.is_empty() && mounts.insert((None, path), site).is_some() {
            return Err(site.path.place.error(format!("another site without hosts is at {path} already")));
        }
        for host in &site.hosts {
            if mounts.insert((Some(&host.value), path), site).is_some() {
                return Err(host.place.error(format!("another site is at {}{path} already", host.value)));
            }
        }
    }
    Ok(())
}

fn crons(table: &Table<'_>) -> anyhow::Result<Vec<Cron>> {
    let mut crons: Vec<Cron> = Vec::new();
    for table in table.tables("cron")? {
        let cron = cron(&table)?;
        if crons.iter().any(|other| other.path == cron.path) {
            return Err(table.place("path").error(format!("another entry asks for {} already", cron.path)));
        }
        crons.push(cron);
    }
    Ok(crons)
}

fn cron(table: &Table<'_>) -> anyhow::Result<Cron> {
    table.only(&["every", "path"])?;
    let every = table.duration("every", Zero::Refused)?.ok_or_else(|| table.place("every").error("missing"))?;
    if every.value < SHORTEST_PERIOD {
        return Err(every.place.error("must be at least 100ms"));
    }
    let path = table.text("path")?.ok_or_else(|| table.place("path").error("missing"))?;
    if !path.value.starts_with('/') || path.value.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(path.place.error(format!("expected a path that begins with /, found {:?}", path.value)));
    }
    Ok(Cron { every: every.value, path: path.value })
}

fn hosts(table: &Table<'_>) -> anyhow::Result<Vec<Said<String>>> {
    let Some(texts) = table.texts("hosts")? else { return Ok(Vec::new()) };
    if texts.is_empty() {
        return Err(table.place("hosts").error("there is none in it; leave the key out for every other host"));
    }
    texts.into_iter().map(|text| Ok(Said { value: host(&text)?, place: text.place })).collect()
}

fn host(text: &Said<String>) -> anyhow::Result<String> {
    let lower = text.value.to_ascii_lowercase();
    if let Ok(address) = lower.trim_start_matches('[').trim_end_matches(']').parse::<std::net::Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    let host = lower.strip_suffix('.').unwrap_or(&lower);
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.split('.').all(is_label) {
        return Ok(host.to_owned());
    }
    let why = "expected a host without a port, such as example.org or *.example.org";
    Err(text.place.error(format!("{why}, found {:?}", text.value)))
}

fn mount(path: &Said<String>) -> anyhow::Result<String> {
    let segments: Vec<_> = path.value.split('/').filter(|segment| !segment.is_empty()).collect();
    let plain = |segment: &&str| !matches!(*segment, "." | "..") && !segment.contains(['%', '?', '#', '*']);
    if !path.value.starts_with('/') || !segments.iter().all(plain) {
        return Err(path.place.error(format!("expected a plain path that begins with /, found {:?}", path.value)));
    }
    Ok(segments.iter().flat_map(|segment| ["/", segment]).collect())
}

const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

const KEYS: [&str; 19] = [
    "name",
    "hosts",
    "path",
    "package",
    "verify",
    "command",
    "mapdir",
    "env",
    "net",
    "net_as_asked",
    "deadline",
    "max_body",
    "max_memory",
    "share",
    "max_concurrency",
    "pass_authorization",
    "cache",
    "cron",
    "quota",
];
