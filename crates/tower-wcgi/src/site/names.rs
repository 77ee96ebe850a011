//! Which names run, which are served, and which never are.
//!
//! In: paths below a site's root. Out: yes or no. Pure functions; whether there is such a file is not looked at.

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
    /// [`ErrorKind::Package`] for a pattern that is none.
    pub(super) fn new(site: &Site) -> Result<Self, Error> {
        let deny = denied(&site.deny).map_err(|error| {
            Error::new(ErrorKind::Package, "site.deny: the patterns cannot be used").with_source(error)
        })?;
        Ok(Self { scripts: site.scripts.clone(), deny })
    }

    /// A file of that name runs. Upper case counts: `A.PHP` does not run where `.php` does, nor is it served.
    pub(super) fn is_script(&self, path: &str) -> bool {
        self.scripts.iter().any(|extension| path.ends_with(extension.as_str()))
    }

    /// A pattern of the site matches the path, or what it is below.
    pub(super) fn is_denied(&self, path: &str) -> bool {
        !self.deny.is_empty() && self.deny.is_match(path)
    }

    /// Nobody may ask for the path: a part of it begins with a dot, or it is a manifest, a module or a database.
    pub(super) fn is_hidden(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        // RFC 8615: the one directory of that kind that is for visitors.
        let visible = path.strip_prefix(".well-known/").unwrap_or(path);
        visible.split('/').any(|segment| segment.starts_with('.')) || is_private(last(path.trim_end_matches('/')))
    }

    /// A file of that name is served to nobody: it is hidden, or looks like a script or what editors and people leave beside
    /// one, as `a.php~`, `a.php.bak`, `A.PHP`, `a.php5` and `a.php::$DATA`.
    pub(super) fn is_never_served(&self, path: &str) -> bool {
        let name = last(path);
        is_private(name) || self.scripts.iter().any(|extension| has_extension(name, extension))
    }
}

/// Patterns as the site writes them, each also for what is below.
fn denied(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let anywhere = if pattern.starts_with('/') { "" } else { "*/" };
        let pattern = pattern.trim_end_matches('/');
        for below in ["", "/*"] {
            let pattern = format!("{anywhere}{pattern}{below}");
            let mut glob = GlobBuilder::new(&pattern);
            // What a file system takes for the same file must not be another one here.
            set.add(glob.case_insensitive(true).literal_separator(false).backslash_escape(false).build()?);
        }
    }
    set.build()
}

fn is_private(name: &str) -> bool {
    let begins = |manifest: &str| name.get(..manifest.len()).is_some_and(|start| start.eq_ignore_ascii_case(manifest));
    MANIFESTS.iter().any(|manifest| begins(manifest)) || PRIVATE.iter().any(|extension| has_extension(name, extension))
}

/// The extension is somewhere in the name, and not only the beginning of a longer word: `.php` is in `a.php`, `a.PHP.bak`
/// and `a.php5`, and not in `a.phpunit`.
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

/// Modules, packages and databases, with what SQLite puts beside them: `-journal`, `-wal`, `-shm`.
const PRIVATE: [&str; 7] = [".wasm", ".wat", ".cwasm", ".webc", ".sqlite", ".sqlitedb", ".db"];
