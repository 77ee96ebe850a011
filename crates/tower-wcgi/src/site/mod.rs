//! Stage 2: a URL path becomes a script with its `PATH_INFO`, a file to serve, a redirect, or nothing.
//!
//! In: the path below the service's mount, decoded and normalised, and the site. Out: a [`Route`]. Files are looked up for
//! each request and nothing is remembered, so a change of the site counts at once. It must not know wasm or tokio. Of HTTP it
//! knows only the head of a static file.

mod coding;
mod content;
mod media_type;
mod names;

use std::sync::Arc;

pub(crate) use coding::Accepted;
pub(crate) use content::StaticFile;
use names::Names;

use crate::error::{Error, ErrorKind};
use crate::package::Site;
use crate::tree::{Found, Lookup, OpenFile, Tree};

/// A site and its files.
#[derive(Debug)]
pub(crate) struct Routes {
    tree: Arc<Tree>,
    /// A guest path, with no slash at its end: empty for the guest's root.
    root: String,
    index: Vec<String>,
    fallback: Option<String>,
    names: Names,
}

/// The result of routing a path.
#[derive(Debug)]
pub(crate) enum Route {
    Script(ScriptPath),
    File(Box<StaticFile>),
    /// A directory that has an index, and lacks the slash at its end.
    Directory,
}

/// A script's part of a path, and the rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScriptPath {
    /// Below the site's root, and so also below the service's mount: `/a.php`.
    pub(crate) name: String,
    /// The script's path in its own file system: `/app/a.php`.
    pub(crate) filename: String,
    pub(crate) path_info: Vec<u8>,
}

impl Routes {
    /// Prepares `site` over the files of `tree`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] if a value of the site is invalid, or its root is not a directory of a mount. Also if the index or
    /// fallback is itself never served.
    pub(crate) fn new(site: Site, tree: Arc<Tree>) -> Result<Self, Error> {
        let site = site.checked()?;
        let refuse = |message: String| Error::new(ErrorKind::Package, message);
        let place = &site.root_place;
        match tree.look().find(site.root.as_bytes())? {
            Some(Found::Directory) => {}
            Some(Found::File(_)) => return Err(refuse(format!("{place}: {} is a file", site.root))),
            None => {
                return Err(refuse(format!("{place}: {} is not a directory of a mount", site.root))
                    .with_hint("mount the directory with the site's files there, in `[fs]` or with --mapdir"));
            }
        }
        let names = Names::new(&site)?;
        let index = site.index_names();
        if let Some(name) = index.iter().find(|name| !names.is_script(name) && names.is_never_served(name)) {
            return Err(refuse(format!("site.index: {name:?} is never served")));
        }
        let fallback = site.fallback;
        if let Some(path) = &fallback
            && (names.is_denied(path) || names.is_hidden(path) || !names.is_script(path) && names.is_never_served(path))
        {
            return Err(refuse(format!("site.fallback: {path:?} is denied, or never served")));
        }
        Ok(Self { tree, root: site.root.trim_end_matches('/').to_owned(), index, fallback, names })
    }

    /// The document root, as scripts see it.
    pub(crate) fn document_root(&self) -> &str {
        if self.root.is_empty() { "/" } else { &self.root }
    }

    /// Routes `path`. It is absolute, without `.`, `..` and empty segments, or empty for the root without its slash.
    /// The client can decode `accepted`. Blocks for as long as the file system does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if it names nothing or is never served. [`ErrorKind::Host`] if a mount cannot be opened.
    pub(crate) fn route(&self, path: &[u8], accepted: &Accepted) -> Result<Route, Error> {
        self.route_in(&mut self.tree.look(), path, accepted)
    }

    /// The same without waiting. None if that is not possible: for a file that is served, and if the
    /// kernel would have to ask a disk.
    pub(crate) fn route_at_once(&self, path: &[u8]) -> Option<Result<Route, Error>> {
        // For a longer path the rules alone take too long.
        if path.len() > 1024 {
            return None;
        }
        let mut tree = self.tree.look_at_once();
        let route = self.route_in(&mut tree, path, &Accepted::default());
        (!tree.has_given_up() && !matches!(route, Ok(Route::File(_)))).then_some(route)
    }

    fn route_in(&self, tree: &mut Lookup<'_>, path: &[u8], accepted: &Accepted) -> Result<Route, Error> {
        let lossy = String::from_utf8_lossy(path);
        if self.names.is_denied(&lossy) {
            return Err(not_found("the site denies the request's path"));
        }
        let route = match self.script(path, tree)? {
            Step::Script(script) => Some(Route::Script(script)),
            // Not for the fallback either: nothing needs such a path, and no visitor asks for it.
            _ if self.names.is_hidden(&lossy) => {
                return Err(not_found("the request's path is one of those that are never served"));
            }
            Step::Missing => None,
            Step::NoScript if path.ends_with(b"/") => self.index_of(path, tree, accepted)?,
            Step::NoScript => self.file_or_directory(path, tree, accepted)?,
        };
        match (route, &self.fallback) {
            (Some(route), _) => Ok(route),
            (None, None) => Err(not_found("the request's path names no file of the site")),
            (None, Some(fallback)) => self
                .file(fallback.as_bytes(), tree, accepted)?
                .ok_or_else(|| not_found("the request's path names no file, and the site's fallback is not there")),
        }
    }

    /// The first part of `path` that is a script's file. If that file is missing, nothing is below it either.
    fn script(&self, path: &[u8], tree: &mut Lookup<'_>) -> Result<Step, Error> {
        let text = path.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in slashes.chain([path.len()]) {
            let Some(name) = text.get(..end) else { break };
            if !self.names.is_script(name) {
                continue;
            }
            if self.names.is_hidden(name) {
                break;
            }
            match self.find(name.as_bytes(), tree)? {
                Some(Found::File(opened)) if self.is_open_to_all(&opened) => {
                    let path_info = path.get(end..).unwrap_or_default().to_owned();
                    return Ok(Step::Script(self.script_path(name, path_info)));
                }
                Some(Found::Directory) => {}
                Some(Found::File(_)) | None => return Ok(Step::Missing),
            }
        }
        Ok(Step::NoScript)
    }

    /// The index that answers for the directory `path`, which ends in a slash.
    fn index_of(&self, path: &[u8], tree: &mut Lookup<'_>, accepted: &Accepted) -> Result<Option<Route>, Error> {
        for name in &self.index {
            let path = [path, name.as_bytes()].concat();
            if let Some(route) = self.file(&path, tree, accepted)? {
                if self.names.is_denied(&String::from_utf8_lossy(&path)) {
                    return Err(not_found("the site denies the index of the request's path"));
                }
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    fn file_or_directory(
        &self,
        path: &[u8],
        tree: &mut Lookup<'_>,
        accepted: &Accepted,
    ) -> Result<Option<Route>, Error> {
        match self.find(path, tree)? {
            Some(Found::File(opened)) => self.static_file(path, opened, tree, accepted),
            // A directory without an index counts as missing, so that nobody learns of it.
            Some(Found::Directory) => {
                let index = self.index_of(&[path, b"/"].concat(), tree, accepted)?;
                Ok(index.map(|_| Route::Directory))
            }
            None => Ok(None),
        }
    }

    /// The file `path`, run or served as its name says. A script's path must be UTF-8, because the script opens it by that.
    fn file(&self, path: &[u8], tree: &mut Lookup<'_>, accepted: &Accepted) -> Result<Option<Route>, Error> {
        match self.find(path, tree)? {
            Some(Found::File(opened)) if self.names.is_script(&String::from_utf8_lossy(path)) => {
                let script = |path: &str| Route::Script(self.script_path(path, Vec::new()));
                Ok(std::str::from_utf8(path).ok().filter(|_| self.is_open_to_all(&opened)).map(script))
            }
            Some(Found::File(opened)) => self.static_file(path, opened, tree, accepted),
            Some(Found::Directory) | None => Ok(None),
        }
    }

    fn static_file(
        &self,
        path: &[u8],
        opened: OpenFile,
        tree: &mut Lookup<'_>,
        accepted: &Accepted,
    ) -> Result<Option<Route>, Error> {
        if !self.may_be_served(path, &opened) {
            return Ok(None);
        }
        let mut file = StaticFile::new(&String::from_utf8_lossy(path), opened);
        if file.is_worth_coding() {
            for coding in accepted.codings() {
                let path = [path, coding.extension.as_bytes()].concat();
                if let Some(Found::File(opened)) = self.find(&path, tree)?
                    && self.may_be_served(&path, &opened)
                    && file.encode(coding, opened)
                {
                    break;
                }
            }
        }
        Ok(Some(Route::File(Box::new(file))))
    }

    /// Whether neither the path nor the file's own name, if links led to it, is never served.
    fn may_be_served(&self, path: &[u8], opened: &OpenFile) -> bool {
        let is_served = |path: &str| !self.names.is_never_served(path);
        is_served(&String::from_utf8_lossy(path))
            && opened.linked.as_deref().is_none_or(is_served)
            && self.is_open_to_all(opened)
    }

    /// Whether the file's place, if links led to it, is neither hidden nor denied.
    fn is_open_to_all(&self, opened: &OpenFile) -> bool {
        opened.linked.as_deref().is_none_or(|real| {
            let below = real.strip_prefix(&self.root).filter(|rest| rest.starts_with('/'));
            let path = below.unwrap_or(real);
            !self.names.is_hidden(path) && !self.names.is_denied(path)
        })
    }

    fn find(&self, path: &[u8], tree: &mut Lookup<'_>) -> Result<Option<Found>, Error> {
        // For some systems a backslash is a slash. Then the path is not the one that was checked.
        if path.contains(&b'\\') {
            return Ok(None);
        }
        tree.find(&[self.root.as_bytes(), path].concat())
    }

    fn script_path(&self, name: &str, path_info: Vec<u8>) -> ScriptPath {
        ScriptPath { name: name.to_owned(), filename: format!("{}{name}", self.root), path_info }
    }
}

/// Whether a script is on a path.
enum Step {
    Script(ScriptPath),
    /// A script's name is, but its file is missing.
    Missing,
    NoScript,
}

fn not_found(message: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests;
