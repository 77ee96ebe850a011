//! `wcgi.lock`: the digests that the dependencies of a package on this machine have led to.
//!
//! ```toml
//! version = 1
//!
//! [[package]]
//! name = "php"
//! ref = "php:8.4"
//! digest = "sha256:…"
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, package};
use crate::reference::Reference;

/// What counts: the lock file, or what the references lead to now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lock {
    /// The file, as far as it goes. What it does not have is resolved and added.
    Use,
    /// The file alone. What it does not have is an error.
    Insist,
    /// The references, for the dependencies of these names, or for all when there is none.
    Update(Vec<String>),
}

/// The file of one package.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    before: Content,
    now: Content,
    mode: Lock,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    version: u32,
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    packages: Vec<Locked>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Locked {
    name: String,
    #[serde(rename = "ref")]
    reference: String,
    digest: String,
}

impl LockFile {
    /// Reads the file beside a manifest, which need not be there.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be used.
    pub(crate) fn read(directory: &Path, mode: &Lock) -> Result<Self, Error> {
        let path = directory.join("wcgi.lock");
        let shown = path.display();
        let before = match fs::read_to_string(&path) {
            Ok(text) => {
                let content: Content = toml::from_str(&text).map_err(|error| {
                    let why = error.message().lines().next().unwrap_or_default().to_owned();
                    package(format!("{shown}: not a lock file: {why}")).with_hint("`wcgi update` writes it anew")
                })?;
                if content.version != VERSION {
                    return Err(package(format!(
                        "{shown}: version {} is not supported, only {VERSION} is",
                        content.version
                    )));
                }
                content
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => EMPTY,
            Err(error) => return Err(package(format!("cannot read {shown}")).with_source(error)),
        };
        Ok(Self { path, before, now: EMPTY, mode: mode.clone() })
    }

    /// The reference with the digest that counts for it, if one does.
    ///
    /// # Errors
    ///
    /// When the file has to have it, and does not, or what it has is no digest.
    pub(crate) fn pinned(&self, name: &str, reference: &Reference) -> Result<Option<Reference>, Error> {
        if reference.digest().is_some() {
            return Ok(Some(reference.clone()));
        }
        if let Lock::Update(names) = &self.mode
            && (names.is_empty() || names.iter().any(|other| other == name))
        {
            return Ok(None);
        }
        let text = reference.to_string();
        let locked = self.before.packages.iter().find(|locked| locked.name == name && locked.reference == text);
        let shown = self.path.display();
        match locked.map(|locked| (locked, Digest::parse(&locked.digest))) {
            Some((_, Some(digest))) => Ok(Some(reference.pinned(&digest))),
            Some((locked, None)) => Err(package(format!("{shown}: {:?} is no digest", locked.digest))),
            None if self.mode == Lock::Insist => Err(package(format!("{shown} does not have {name} = {text:?}"))
                .with_hint("leave --locked out once, or run `wcgi update`")),
            None => Ok(None),
        }
    }

    /// Whether nothing but what it has may be used.
    pub(crate) fn insists(&self) -> bool {
        self.mode == Lock::Insist
    }

    /// What messages call it.
    pub(crate) fn shown(&self) -> impl std::fmt::Display {
        self.path.display()
    }

    /// Notes what a reference led to.
    pub(crate) fn note(&mut self, name: &str, reference: &Reference, digest: &Digest) {
        if reference.digest().is_some() {
            return;
        }
        let locked = Locked { name: name.to_owned(), reference: reference.to_string(), digest: digest.to_string() };
        if !self.now.packages.contains(&locked) {
            self.now.packages.push(locked);
            self.now.packages.sort();
        }
    }

    /// Writes what was noted, if it is something else than before. That it cannot be written is a warning.
    ///
    /// # Errors
    ///
    /// When a name to update is none of a dependency.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if let Lock::Update(names) = &self.mode {
            let known: Vec<_> = self.now.packages.iter().map(|locked| locked.name.as_str()).collect();
            if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
                let message = format!("no dependency {unknown:?} to update among {known:?}");
                return Err(package(message).with_hint("only dependencies with a tag are locked"));
            }
        }
        if self.mode == Lock::Insist || self.now == self.before {
            return Ok(());
        }
        if let Err(error) = self.write() {
            tracing::warn!("cannot write {}: {error}; the dependencies are not pinned", self.path.display());
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let text = toml::to_string(&self.now).map_err(io::Error::other)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

const VERSION: u32 = 1;
const EMPTY: Content = Content { version: VERSION, packages: Vec::new() };

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn lock(directory: &Path, mode: &Lock, noted: &[(&str, &str, &str)]) {
        let mut file = LockFile::read(directory, mode).unwrap();
        for (name, reference, content) in noted {
            file.note(name, &Reference::parse(reference).unwrap(), &digest(content));
        }
        file.finish().unwrap();
    }

    #[test]
    fn what_is_locked_stays_until_it_is_updated() {
        let directory = tempfile::tempdir().unwrap();
        let php = Reference::parse("php:8.4").unwrap();
        lock(directory.path(), &Lock::Use, &[]);
        assert!(!directory.path().join("wcgi.lock").exists(), "nothing to lock");
        lock(directory.path(), &Lock::Use, &[("php", "php:8.4", "1"), ("php", "php:8.4", "1")]);
        let text = fs::read_to_string(directory.path().join("wcgi.lock")).unwrap();
        assert_eq!(
            text,
            format!("version = 1\n\n[[package]]\nname = \"php\"\nref = \"php:8.4\"\ndigest = \"{}\"\n", digest("1"))
        );

        let pinned = |mode: &Lock, name: &str, reference: &Reference| {
            LockFile::read(directory.path(), mode).unwrap().pinned(name, reference)
        };
        assert_eq!(pinned(&Lock::Use, "php", &php).unwrap(), Some(php.pinned(&digest("1"))));
        assert_eq!(pinned(&Lock::Insist, "php", &php).unwrap(), Some(php.pinned(&digest("1"))));
        assert_eq!(pinned(&Lock::Use, "other", &php).unwrap(), None);
        assert_eq!(pinned(&Lock::Use, "php", &Reference::parse("php:8.5").unwrap()).unwrap(), None);
        assert!(pinned(&Lock::Insist, "other", &php).unwrap_err().hint().is_some());
        assert_eq!(pinned(&Lock::Update(vec![]), "php", &php).unwrap(), None);
        assert_eq!(pinned(&Lock::Update(vec!["php".to_owned()]), "php", &php).unwrap(), None);
        assert!(pinned(&Lock::Update(vec!["other".to_owned()]), "php", &php).unwrap().is_some());

        let mut file = LockFile::read(directory.path(), &Lock::Update(vec!["pythonn".to_owned()])).unwrap();
        file.note("php", &php, &digest("2"));
        assert!(file.finish().unwrap_err().to_string().contains("pythonn"));
    }

    #[test]
    fn what_is_no_lock_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["version = 2", "package = 1", "no", ""] {
            fs::write(directory.path().join("wcgi.lock"), text).unwrap();
            let error = LockFile::read(directory.path(), &Lock::Use).unwrap_err();
            assert!(error.to_string().contains("wcgi.lock"), "{error}");
        }
    }
}
