//! The store: what was pulled, made or added, by its digest.
//!
//! In: bytes and their digests. Out: the same bytes, from files. Any number of processes may use one store: whatever has
//! a name is whole, as names are given by an atomic rename, and content under a digest never changes. Nothing in it is
//! believed for being there. Blobs are hashed again when they are read or unpacked, modules at each start.
//!
//! ```text
//! store/blobs/HEX          manifests, modules and archives
//! store/packages/HEX/      the directory that a package was unpacked into, by its manifest's digest
//! store/records/KIND/HEX   small facts: where a tag led, which runtimes were added, who signed
//! store/tmp/               what is not whole yet, each process's behind a lock
//! ```

mod records;
mod scratch;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

pub(crate) use self::records::MOST_SIGNATURES;
use self::scratch::Scratch;
use crate::digest::{Digest, Hasher};
use crate::error::{self, Error, ErrorKind, content};

/// A content-addressed store of packages.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    scratch: Scratch,
    /// Where the store is not kept. It must outlive what points into it.
    _temporary: Option<TempDir>,
}

impl Store {
    /// The store below a cache directory. Where that cannot be written, a temporary one with a warning.
    ///
    /// # Errors
    ///
    /// When not even a temporary folder can be made.
    pub fn open(cache_dir: &Path) -> Result<Self, Error> {
        // Absolute, as mounts and modules are opened later, perhaps from another directory.
        let opened = std::path::absolute(cache_dir.join("store")).and_then(|root| Self::at(root, None));
        opened.or_else(|error| {
            let shown = cache_dir.display();
            tracing::warn!(%error, "{shown}: packages are not kept, as the store cannot be written");
            Self::temporary()
        })
    }

    /// A store that is gone with this value.
    ///
    /// # Errors
    ///
    /// When no temporary folder can be made.
    pub fn temporary() -> Result<Self, Error> {
        let made = tempfile::Builder::new().prefix("wcgi-store-").tempdir();
        let opened = made.and_then(|folder| Self::at(folder.path().to_owned(), Some(folder)));
        opened.map_err(|error| error::store("cannot make a temporary folder for packages", error))
    }

    /// The cache directory of this user: `wcgi` below `$XDG_CACHE_HOME`, `~/.cache` or `%LOCALAPPDATA%`.
    #[must_use]
    pub fn default_cache_dir() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else {
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
        };
        folder.map(|folder| folder.join("wcgi"))
    }

    fn at(root: PathBuf, temporary: Option<TempDir>) -> io::Result<Self> {
        for folder in ["blobs", "packages", "records", "tmp"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let scratch = Scratch::new(&root.join("tmp"))?;
        Ok(Self { root, scratch, _temporary: temporary })
    }

    /// The file of a blob, whether it is there or not.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    /// Whether there is a blob of that name and size. Its content is looked at when it is used.
    pub(crate) fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob(digest)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// The content of a small blob, hashed; nothing when it is not there, or not what its name says.
    pub(crate) fn read_blob(&self, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.blob(digest)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Takes in the content of a small blob.
    pub(crate) fn write_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let mut blob = self.new_blob(bytes.len() as u64)?;
        blob.write(bytes)?;
        blob.keep(None)
    }

    /// Begins a blob of at most `limit` bytes.
    pub(crate) fn new_blob(&self, limit: u64) -> Result<NewBlob<'_>, Error> {
        let file = NamedTempFile::new_in(self.scratch.path());
        let file = file.map_err(|error| error::store("cannot write to the store", error))?;
        Ok(NewBlob { store: self, file, hasher: Hasher::default(), written: 0, limit })
    }

    /// Removes a blob that is not what its name says.
    pub(crate) fn remove_blob(&self, digest: &Digest) {
        // Another process may have done so.
        let _ = fs::remove_file(self.blob(digest));
    }

    /// A fresh directory for what is not whole yet. It is removed with the value, or by the next process.
    pub(crate) fn scratch(&self) -> Result<TempDir, Error> {
        tempfile::tempdir_in(self.scratch.path()).map_err(|error| error::store("cannot write to the store", error))
    }

    /// The directory of the package with this manifest, whether it is there or not.
    pub(crate) fn package(&self, digest: &Digest) -> PathBuf {
        self.root.join("packages").join(digest.hex())
    }

    /// Gives a directory its place as a package. One that another process has put there meanwhile stays.
    pub(crate) fn keep_package(&self, made: TempDir, digest: &Digest) -> Result<PathBuf, Error> {
        let place = self.package(digest);
        match fs::rename(made.path(), &place) {
            Ok(()) => {
                // It has another name now, so there is nothing to remove.
                let _ = made.keep();
                Ok(place)
            }
            Err(_) if place.is_dir() => Ok(place),
            Err(error) => Err(error::store("cannot write to the store", error)),
        }
    }

    /// Takes a package that was changed out of its place.
    pub(crate) fn remove_package(&self, digest: &Digest) -> Result<(), Error> {
        let aside = self.scratch()?;
        match fs::rename(self.package(digest), aside.path().join("removed")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error::store("cannot remove a damaged package from the store", error))
            }
            _ => Ok(()),
        }
    }
}

/// A blob that is being written.
#[derive(Debug)]
pub(crate) struct NewBlob<'s> {
    store: &'s Store,
    file: NamedTempFile,
    hasher: Hasher,
    written: u64,
    limit: u64,
}

impl NewBlob<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(Error::new(ErrorKind::Limit, format!("more than the {} bytes that are allowed", self.limit)));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| error::store("cannot write to the store", error))
    }

    /// Copies all of `reader`. The message about a failed read begins with `what`.
    pub(crate) fn write_all(&mut self, what: &str, reader: impl Read) -> Result<(), Error> {
        let mut reader = BufReader::with_capacity(crate::digest::BUFFER, reader);
        loop {
            let buffer = io::BufRead::fill_buf(&mut reader);
            let buffer = buffer.map_err(|error| error::package(format!("cannot read {what}")).with_source(error))?;
            if buffer.is_empty() {
                return Ok(());
            }
            let length = buffer.len();
            self.write(buffer)?;
            io::BufRead::consume(&mut reader, length);
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Gives it its name. It must be `expected`, if that is said.
    pub(crate) fn keep(self, expected: Option<&Digest>) -> Result<Digest, Error> {
        let digest = self.hasher.finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(content(format!("the content of {expected} has another digest, {digest}")));
        }
        let kept = self.file.persist(self.store.blob(&digest));
        kept.map_err(|error| error::store("cannot write to the store", error.error))?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_there_when_it_is_whole_and_what_its_digest_says() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let digest = Digest::of(b"content");
        let mut blob = store.new_blob(7).unwrap();
        blob.write(b"con").unwrap();
        assert!(!store.blob(&digest).exists());
        blob.write(b"tent").unwrap();
        assert_eq!(blob.keep(Some(&digest)).unwrap(), digest);
        assert!(store.has_blob(&digest, 7) && !store.has_blob(&digest, 8));
        assert_eq!(store.read_blob(&digest, 7).unwrap(), b"content");

        let mut other = store.new_blob(7).unwrap();
        other.write(b"another").unwrap();
        assert_eq!(other.keep(Some(&digest)).unwrap_err().kind(), ErrorKind::Content);
        assert!(!store.blob(&Digest::of(b"another")).exists());

        fs::write(store.blob(&digest), "altered").unwrap();
        assert_eq!(store.read_blob(&digest, 7), None);
    }

    #[test]
    fn more_than_was_announced_is_not_taken() {
        let store = Store::temporary().unwrap();
        let mut blob = store.new_blob(3).unwrap();
        assert_eq!(blob.write(b"four").unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn where_nothing_can_be_written_the_store_is_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let store = Store::open(&file).unwrap();
        let root = store.root.clone();
        store.write_blob(b"x").unwrap();
        drop(store);
        assert!(!root.exists());
    }

    #[test]
    fn of_two_that_make_one_package_both_get_it() {
        let cache = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| Store::open(cache.path()).unwrap());
        let digest = Digest::of(b"package");
        let made = stores.each_ref().map(|store| {
            let made = store.scratch().unwrap();
            fs::write(made.path().join("wasmer.toml"), "").unwrap();
            made
        });
        let [first, second] = made;
        let first = stores[0].keep_package(first, &digest).unwrap();
        assert_eq!(stores[1].keep_package(second, &digest).unwrap(), first);
        assert!(first.join("wasmer.toml").exists());
        stores[1].remove_package(&digest).unwrap();
        stores[1].remove_package(&digest).unwrap();
        assert!(!first.exists());
    }
}
