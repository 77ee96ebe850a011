//! Writes a manifest: one command and its module, with all settings of a package.
//!
//! In: plain values. Out: the text of a `wasmer.toml` that opens as the same.

use toml::{Table, Value};

#[cfg(feature = "compiler")]
use crate::mount::Access;
#[cfg(feature = "compiler")]
use crate::outbound::NetRule;
#[cfg(feature = "compiler")]
use crate::package::Front;
use crate::package::Site;

/// The contents of a new manifest.
#[cfg(feature = "compiler")]
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) about: &'a [(String, String)],
    pub(crate) command: &'a str,
    /// The module's file.
    pub(crate) source: &'a str,
    /// A directory of compiled code.
    pub(crate) compiled: Option<&'a str>,
    pub(crate) arguments: &'a [String],
    pub(crate) env: &'a [(String, String)],
    pub(crate) site: Option<&'a Site>,
    pub(crate) front: &'a Front,
    /// What its script may connect to.
    pub(crate) connect: &'a [NetRule],
    /// The mounts that the module's start-up has seen, if it is a snapshot.
    pub(crate) seen: Option<Vec<String>>,
    /// Guest path, directory and access of the package's own mounts.
    pub(crate) mounts: &'a [(String, String, Access)],
}

#[cfg(feature = "compiler")]
impl Written<'_> {
    pub(crate) fn text(&self) -> String {
        let mut module = table([("name", text(self.command)), ("source", text(self.source))]);
        if let Some(directory) = self.compiled {
            module.insert("compiled".to_owned(), text(directory));
        }
        let wasi = wasi_table(self.command, self.arguments, self.env);
        let mut wcgi = wcgi_table(self.site, self.connect.iter().map(ToString::to_string).collect());
        let Front { https, pass_authorization, trusted_proxies } = self.front;
        for (key, said) in [("https", https), ("pass_authorization", pass_authorization)] {
            if let Some(value) = said {
                wcgi.insert(key.to_owned(), Value::Boolean(*value));
            }
        }
        if let Some(proxies) = trusted_proxies {
            wcgi.insert("trusted_proxies".to_owned(), list(proxies.networks()));
        }
        // The module is a snapshot already, so no start-up is left.
        let mut snapshot = table([("enabled", Value::Boolean(false))]);
        if let Some(seen) = &self.seen {
            snapshot.insert("mounts".to_owned(), list(seen));
        }
        wcgi.insert("snapshot".to_owned(), Value::Table(snapshot));
        let annotations = table([("wasi", Value::Table(wasi)), ("wcgi", Value::Table(wcgi))]);
        let command = table([
            ("name", text(self.command)),
            ("module", text(self.command)),
            ("runner", text("wcgi")),
            ("annotations", Value::Table(annotations)),
        ]);
        let mut manifest = table([
            ("module", Value::Array(vec![Value::Table(module)])),
            ("command", Value::Array(vec![Value::Table(command)])),
        ]);
        if !self.about.is_empty() {
            let about = self.about.iter().map(|(key, value)| (key.as_str(), text(value)));
            manifest.insert("package".to_owned(), Value::Table(table(about)));
        }
        if !self.mounts.is_empty() {
            let mounts = self.mounts.iter().map(|(guest, directory, access)| {
                let mode = if *access == Access::ReadWrite { "rw" } else { "ro" };
                (guest.as_str(), Value::Table(table([("path", text(directory)), ("mode", text(mode))])))
            });
            manifest.insert("fs".to_owned(), Value::Table(table(mounts)));
        }
        manifest.to_string()
    }
}

/// The annotations `wasi` of a command.
pub(in crate::package) fn wasi_table(command: &str, arguments: &[String], env: &[(String, String)]) -> Table {
    let mut wasi = Table::new();
    if !env.is_empty() {
        wasi.insert("env".to_owned(), list(env.iter().map(|(name, value)| format!("{name}={value}"))));
    }
    if let Some((name, rest)) = arguments.split_first() {
        if name != command {
            wasi.insert("exec-name".to_owned(), text(name));
        }
        if !rest.is_empty() {
            wasi.insert("main-args".to_owned(), list(rest));
        }
    }
    wasi
}

/// The annotations `wcgi` of a command, without those about the server in front of it and its snapshot.
pub(in crate::package) fn wcgi_table(site: Option<&Site>, connect: Vec<String>) -> Table {
    let mut wcgi = table([("dialect", text("rfc-3875"))]);
    if let Some(site) = site {
        wcgi.insert("site".to_owned(), Value::Table(site.to_table()));
    }
    if !connect.is_empty() {
        wcgi.insert("network".to_owned(), Value::Table(table([("connect", list(connect))])));
    }
    wcgi
}

fn table<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Value {
    Value::Array(texts.into_iter().map(|entry| text(entry.as_ref())).collect())
}
