//! A package's manifest, as far as its parts have to be found and named anew.
//!
//! In: the text of a `wasmer.toml`. Out: its modules, mounts and dependencies, and the text of a changed one. What a key
//! means to a script is not known here.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use crate::error::{Error, package};
use crate::reference::Reference;

/// A manifest that may be changed.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// How errors call it.
    label: String,
    pub(crate) table: Table,
}

/// What a `[dependencies]` entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dependency {
    /// A directory or file, relative to the manifest.
    Path(PathBuf),
    /// A package in a registry.
    Reference(Reference),
    /// A version of something in Wasmer's registry.
    Requirement(String),
}

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    ///
    /// When it is not TOML.
    pub(crate) fn parse(label: &str, text: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| package(format!("{label}: not TOML: not UTF-8")))?;
        let table = text.parse().map_err(|error: toml::de::Error| {
            package(format!("{label}: not TOML: {}", error.message().lines().next().unwrap_or_default()))
        })?;
        Ok(Self { label: label.to_owned(), table })
    }

    /// Reads a manifest file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, has more than `limit` bytes, or is not TOML.
    pub(crate) fn read(file: &Path, limit: u64) -> Result<Self, Error> {
        let shown = file.display();
        let mut text = Vec::new();
        let read = File::open(file).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut text));
        read.map_err(|error| package(format!("cannot read {shown}")).with_source(error))?;
        if text.len() as u64 > limit {
            return Err(package(format!("{shown} has more than {limit} bytes")));
        }
        Self::parse(&shown.to_string(), &text)
    }

    pub(crate) fn text(&self) -> String {
        self.table.to_string()
    }

    pub(crate) fn error(&self, why: &str) -> Error {
        package(format!("{}: {why}", self.label))
    }

    /// A text of `[package]`.
    pub(crate) fn about(&self, key: &str) -> Option<&str> {
        self.table.get("package")?.get(key)?.as_str()
    }

    /// The `[[module]]` tables.
    pub(crate) fn modules(&mut self) -> Vec<&mut Table> {
        match self.table.get_mut("module") {
            Some(Value::Array(modules)) => modules.iter_mut().filter_map(Value::as_table_mut).collect(),
            Some(Value::Table(module)) => vec![module],
            _ => Vec::new(),
        }
    }

    /// The names and sources of the modules.
    ///
    /// # Errors
    ///
    /// When a module has none.
    pub(crate) fn sources(&mut self) -> Result<Vec<(String, String)>, Error> {
        let mut sources = Vec::new();
        for module in self.modules() {
            let text = |key: &str| module.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            match (text("name"), text("source")) {
                (Some(name), Some(source)) => sources.push((name.to_owned(), source.to_owned())),
                _ => return Err(self.error("a [[module]] needs a name and a source")),
            }
        }
        Ok(sources)
    }

    /// Guest path as written and normalised, host path, and whether the script may write there.
    ///
    /// # Errors
    ///
    /// When an entry has the wrong type, or a guest path is none.
    pub(crate) fn mounts(&self) -> Result<Vec<Mount>, Error> {
        let Some(fs) = self.table.get("fs") else { return Ok(Vec::new()) };
        let fs = fs.as_table().ok_or_else(|| self.error("fs: expected a table"))?;
        let mut mounts: Vec<Mount> = Vec::new();
        for (key, value) in fs {
            let guest = guest_path(key).ok_or_else(|| self.error(&format!("fs: {key:?} is no guest path")))?;
            let (host, mode) = match value {
                Value::String(host) => (Some(host.as_str()), None),
                Value::Table(entry) => (entry.get("path").and_then(Value::as_str), entry.get("mode")),
                _ => (None, None),
            };
            let host = host.ok_or_else(|| self.error(&format!("fs.{key:?}: expected a path")))?.to_owned();
            let writable = match mode.map(Value::as_str) {
                None | Some(Some("ro")) => false,
                Some(Some("rw")) => true,
                _ => return Err(self.error(&format!("fs.{key:?}.mode: the modes are \"ro\" and \"rw\""))),
            };
            if mounts.iter().any(|mount| mount.guest == guest) {
                return Err(self.error(&format!("fs: {guest} is mounted twice")));
            }
            mounts.push(Mount { key: key.clone(), guest, host, writable });
        }
        Ok(mounts)
    }

    /// What the commands ask of the network, each once.
    pub(crate) fn network(&self) -> Vec<String> {
        let commands = match self.table.get("command") {
            Some(Value::Array(commands)) => commands.as_slice(),
            _ => &[],
        };
        let asked = commands
            .iter()
            .filter_map(|command| command.get("annotations")?.get("wcgi")?.get("network")?.get("connect")?.as_array());
        let mut rules: Vec<String> = asked.flatten().filter_map(|rule| rule.as_str().map(str::to_owned)).collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// The names and values of `[dependencies]`.
    ///
    /// # Errors
    ///
    /// When a text is neither a path, a reference nor a version requirement.
    pub(crate) fn dependencies(&self) -> Result<Vec<(String, Dependency)>, Error> {
        let Some(table) = self.table.get("dependencies") else { return Ok(Vec::new()) };
        let table = table.as_table().ok_or_else(|| self.error("dependencies: expected a table"))?;
        let entry = |(name, value): (&String, &Value)| {
            // What is no text is of no use, and no harm while nothing takes a module of it.
            let Some(text) = value.as_str() else {
                return Ok((name.clone(), Dependency::Requirement(value.to_string())));
            };
            let dependency = Dependency::parse(text)
                .map_err(|error| self.error(&format!("dependencies.{name}: {error}")).with_source(error))?;
            Ok((name.clone(), dependency))
        };
        table.iter().map(entry).collect()
    }

    /// Sets the value of a dependency.
    pub(crate) fn set_dependency(&mut self, name: &str, value: String) {
        if let Some(Value::Table(table)) = self.table.get_mut("dependencies") {
            table.insert(name.to_owned(), Value::String(value));
        }
    }
}

/// An entry of `[fs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) key: String,
    pub(crate) guest: String,
    pub(crate) host: String,
    pub(crate) writable: bool,
}

impl Dependency {
    /// Reads the value of a `[dependencies]` entry.
    ///
    /// # Errors
    ///
    /// When it can be none of the three.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.starts_with("./") || text.starts_with("../") || text.starts_with('/') || matches!(text, "." | "..") {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        if is_requirement(text) {
            return Ok(Self::Requirement(text.to_owned()));
        }
        Reference::parse(text).map(Self::Reference)
    }
}

/// `^1.0`, `*`, `>=1, <2`, `1.2.3`: what Cargo, npm and Wasmer write, and what no name of a package begins with.
fn is_requirement(text: &str) -> bool {
    let begins = text.starts_with(['^', '~', '*', '=', '<', '>']);
    let version = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    begins || version.split('.').all(|part| is_number(part) || matches!(part, "x" | "*"))
}

/// The manifest of a package directory.
pub(crate) fn find(directory: &Path) -> Option<PathBuf> {
    ["wasmer.toml", "wapm.toml"].map(|name| directory.join(name)).into_iter().find(|file| file.is_file())
}

/// The absolute, normalised form of a guest path: `app`, `/app/` and `./app` are `/app`.
pub(crate) fn guest_path(text: &str) -> Option<String> {
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let mut path = String::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => return None,
            name => {
                path.push('/');
                path.push_str(name);
            }
        }
    }
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

/// A relative path that stays where it is, without `.` and `..`; nothing for every other.
pub(crate) fn plain_path(text: &str) -> Option<String> {
    if text.contains(['\0', '\\', ':']) {
        return None;
    }
    let mut segments = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(segment) => segments.push(segment.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!segments.is_empty()).then(|| segments.join("/"))
}

/// Whether an error is about a file that is not there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_a_path_a_requirement_or_a_reference() {
        for text in ["./php", "../php", "/srv/php", ".", ".."] {
            assert_eq!(Dependency::parse(text).unwrap(), Dependency::Path(PathBuf::from(text)));
        }
        for text in ["^1.0", "*", "1.0", "1", "=1.2.3", "~1", ">=1, <2", "1.x", "8.4.0-rc.1"] {
            assert_eq!(Dependency::parse(text).unwrap(), Dependency::Requirement(text.to_owned()));
        }
        for text in ["php:8.4", "php", "localhost:5000/me/php:1", "a.b/c", "7zip"] {
            assert!(matches!(Dependency::parse(text), Ok(Dependency::Reference(_))), "{text}");
        }
        for text in ["", "PHP", "a b", "http://x"] {
            assert!(Dependency::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_plain_path_leads_nowhere_else() {
        assert_eq!(plain_path("./a//b/"), Some("a/b".to_owned()));
        for text in ["", ".", "..", "a/../b", "/a", "a\0", r"a\b", "C:x"] {
            assert_eq!(plain_path(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_asked_of_the_network_is_listed_once() {
        let manifest = r#"
[[command]]
name = "a"
[command.annotations.wcgi.network]
connect = ["db:3306", "api.example:443"]
[[command]]
name = "b"
[command.annotations.wcgi.network]
connect = ["db:3306"]
"#;
        let manifest = Manifest::parse("x", manifest.as_bytes()).unwrap();
        assert_eq!(manifest.network(), ["api.example:443", "db:3306"]);
    }
}
