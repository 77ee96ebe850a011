//! `wcgi inspect`: what is in a package, and what it asks for.

use anyhow::Context as _;
use serde::Serialize;
use tower_wcgi::Access;
use wcgi_registry::Registry;

use super::resolve;
use crate::arguments::Inspect;
use crate::log::Log;
use crate::report::{data, size};

/// What is printed: the same as text and as JSON.
#[derive(Debug, Serialize)]
struct Report {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    command: String,
    arguments: Vec<String>,
    module: Module,
    mounts: Vec<Mount>,
    /// Variables that are set; their values may be secrets.
    env: Vec<String>,
    network: Vec<String>,
    dependencies: Vec<Dependency>,
    /// Whether there would be a snapshot of the start-up.
    snapshot: bool,
}

#[derive(Debug, Serialize)]
struct Module {
    name: String,
    kind: &'static str,
    bytes: usize,
    imports: Vec<Import>,
}

#[derive(Debug, Serialize)]
struct Import {
    module: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Mount {
    guest: String,
    /// The directory of one's own package; of a pulled one it is the store's.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    mode: &'static str,
    /// Whether the package brings it.
    brought: bool,
}

#[derive(Debug, Serialize)]
struct Dependency {
    reference: String,
    digest: String,
}

pub(crate) fn run(arguments: Inspect, log: &Log) -> anyhow::Result<()> {
    log.release();
    let resolved = resolve(&arguments.package, &arguments.cache, &arguments.download, &arguments.trust)?;
    let mut builder = resolved.builder();
    if let Some(command) = &arguments.command {
        builder = builder.command(command);
    }
    let inspected = builder.inspect()?;
    for warning in inspected.warnings() {
        tracing::warn!("{warning}");
    }

    let mut imports: Vec<Import> = Vec::new();
    for (module, name) in inspected.imports() {
        let names = Some(name.clone()).filter(|name| !name.is_empty());
        match imports.iter_mut().find(|import| import.module == *module) {
            Some(import) => import.names.extend(names),
            None => imports.push(Import { module: module.clone(), names: names.into_iter().collect() }),
        }
    }
    let own = inspected.mounts().map(|(guest, host, access)| Mount {
        guest: guest.to_owned(),
        host: (!resolved.foreign).then(|| host.display().to_string()),
        mode: if access == Access::ReadWrite { "rw" } else { "ro" },
        brought: true,
    });
    let wanted = resolved.needs.iter().map(|need| Mount {
        guest: need.guest.clone(),
        host: None,
        mode: if need.writable { "rw" } else { "ro" },
        brought: false,
    });
    let mut network = Registry::network_of(&resolved.path)?;
    network.extend(resolved.network.iter().filter(|rule| !network.contains(rule)).cloned().collect::<Vec<_>>());
    let module = std::path::Path::new(inspected.module()).file_name();
    let report = Report {
        name: inspected.name().to_owned(),
        version: inspected.about().find(|(key, _)| *key == "version").map(|(_, version)| version.to_owned()),
        digest: resolved.digest.as_ref().map(ToString::to_string),
        command: inspected.command().to_owned(),
        arguments: inspected.arguments().to_vec(),
        module: Module {
            name: module.map_or_else(|| inspected.module().to_owned(), |name| name.to_string_lossy().into_owned()),
            kind: if inspected.is_component() { "component" } else { "module" },
            bytes: inspected.module_bytes(),
            imports,
        },
        mounts: own.chain(wanted).collect(),
        env: inspected.env().iter().map(|(name, _)| name.clone()).collect(),
        network,
        dependencies: resolved
            .digests
            .iter()
            .map(|(reference, digest)| Dependency { reference: reference.clone(), digest: digest.to_string() })
            .collect(),
        snapshot: inspected.has_start_up(),
    };
    if arguments.json {
        let json = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
        return data(&format!("{json}\n"));
    }
    data(&report.text())
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| text += &format!("{key:<12}{value}\n");
        let version = self.version.as_ref().map(|version| format!(" {version}"));
        line("package", &format!("{}{}", self.name, version.unwrap_or_default()));
        if let Some(digest) = &self.digest {
            line("digest", digest);
        }
        line("command", &self.arguments.join(" "));
        line(self.module.kind, &format!("{}, {}", self.module.name, size(self.module.bytes)));
        for import in &self.module.imports {
            let names = if import.names.is_empty() { String::new() } else { format!(": {}", import.names.join(", ")) };
            line("imports", &format!("{}{names}", import.module));
        }
        for Mount { guest, host, mode, brought } in &self.mounts {
            let from = match (host, brought) {
                (Some(host), _) => format!(" from {host}"),
                (None, true) => String::new(),
                (None, false) => format!(", wanted: --mapdir {guest}:DIR"),
            };
            line("mount", &format!("{guest} {mode}{from}"));
        }
        for name in &self.env {
            line("variable", name);
        }
        for rule in &self.network {
            line("connects to", rule);
        }
        for Dependency { reference, digest } in &self.dependencies {
            line("depends on", &format!("{reference}, {digest}"));
        }
        line("snapshot", if self.snapshot { "of its start-up" } else { "none" });
        text
    }
}
