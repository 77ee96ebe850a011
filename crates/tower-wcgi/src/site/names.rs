//! Rules for names: which run, which are served, and which are never served.
//!
//! In: paths below a site's root. Out: yes or no. Pure functions: they do not check whether the file exists.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, ErrorKind};
use crate::package::{MANIFESTS, Site};

/// The rules of one site.
#[derive(Debug)]
pub(super) struct Names {
    scripts: Vec<String>,
    deny: GlobSet,
}

impl Names {
    /// The rules of `site`, whose values have been checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] for an invalid pattern.
    pub(super) fn new(site: &Site) -> Result<Self, Error> {
        let deny = denied(&site.deny).map_err(|error| {
            Error::new(ErrorKind::Package, "site.deny: the patterns cannot be used").with_source(error)
        })?;
        Ok(Self { scripts: site.scripts.clone(), deny })
    }

    /// Whether a file of that name runs. Case counts: where `.php` runs, `A.PHP` neither runs nor is served.
    pub(super) fn is_script(&self, path: &str) -> bool {
        self.scripts.iter().any(|extension| path.ends_with(extension.as_str()))
    }

    /// Whether a pattern of the site matches the path, or a directory above it.
    pub(super) fn is_denied(&self, path: &str) -> bool {
        !self.deny.is_empty() && self.deny.is_match(path)
    }

    /// Whether the path is hidden: a part of it begins with a dot, or it is a manifest, a module or a database.
    pub(super) fn is_hidden(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        // RFC 8615: the one directory of that kind that is for visitors.
        let visible = path.strip_prefix(".well-known/").unwrap_or(path);
        visible.split('/').any(|segment| segment.starts_with('.')) || is_private(last(path.trim_end_matches('/')))
    }

    /// Whether a file of that name is never served: it is hidden, or looks like a script or a copy of one that editors and people
    /// leave. Examples are `a.php~`, `a.php.bak`, `A.PHP`, `a.php5` and `a.php::$DATA`.
    pub(super) fn is_never_served(&self, path: &str) -> bool {
        let name = last(path);
        is_private(name) || self.scripts.iter().any(|extension| has_extension(name, extension))
    }
}

/// The site's patterns, each also for everything below a match.
fn denied(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let anywhere = if pattern.starts_with('/') { "" } else { "*/" };
        let pattern = pattern.trim_end_matches('/');
        for below in ["", "/*"] {
            let pattern = format!("{anywhere}{pattern}{below}");
            let mut glob = GlobBuilder::new(&pattern);
            // If a file system takes two names for one file, so do these patterns.
            set.add(glob.case_insensitive(true).literal_separator(false).backslash_escape(false).build()?);
        }
    }
    set.build()
}

fn is_private(name: &str) -> bool {
    let begins = |manifest: &str| name.get(..manifest.len()).is_some_and(|start| start.eq_ignore_ascii_case(manifest));
    MANIFESTS.iter().any(|manifest| begins(manifest)) || PRIVATE.iter().any(|extension| has_extension(name, extension))
}

/// Whether the extension is somewhere in the name, and not only the beginning of a longer word. `.php` is in `a.php`,
/// `a.PHP.bak` and `a.php5`, but not in `a.phpunit`.
fn has_extension(name: &str, extension: &str) -> bool {
    let (name, extension) = (name.as_bytes(), extension.as_bytes());
    name.windows(extension.len()).enumerate().any(|(at, part)| {
        let next = name.get(at + extension.len());
        part.eq_ignore_ascii_case(extension) && !next.is_some_and(u8::is_ascii_alphabetic)
    })
}

/// The last segment.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Modules, packages and databases, with the files that SQLite puts beside them: `-journal`, `-wal`, `-shm`.
const PRIVATE: [&str; 7] = [".wasm", ".wat", ".cwasm", ".webc", ".sqlite", ".sqlitedb", ".db"];
