//! Records: small facts beside the blobs. Each is a file whose name is the hash of its key.
//!
//! A record that cannot be written costs a warning at most: everything in it can be asked of the registry again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use super::Store;
use crate::digest::Digest;
use crate::error::{self, Error};
use crate::reference::Reference;

/// A runtime that was added by hand, or a tag that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) reference: Reference,
    pub(crate) digest: Digest,
}

impl Store {
    /// Where a tag led when it was last pulled.
    pub(crate) fn tag(&self, reference: &Reference) -> Option<Digest> {
        self.known(TAGS, reference)
    }

    pub(crate) fn set_tag(&self, reference: &Reference, digest: &Digest) {
        let set = self.set_known(TAGS, reference, digest);
        set.unwrap_or_else(|error| tracing::warn!(%error, "what {reference} led to is not kept"));
    }

    /// All tags that were pulled.
    pub(crate) fn tags(&self) -> Vec<Known> {
        self.all(TAGS)
    }

    /// The runtime that was added under this name and tag.
    pub(crate) fn runtime(&self, reference: &Reference) -> Option<Digest> {
        self.known(RUNTIMES, reference)
    }

    pub(crate) fn set_runtime(&self, reference: &Reference, digest: &Digest) -> Result<(), Error> {
        self.set_known(RUNTIMES, reference, digest)
    }

    /// All runtimes that were added.
    pub(crate) fn runtimes(&self) -> Vec<Known> {
        self.all(RUNTIMES)
    }

    /// Repositories that have a blob: `HOST/NAME`.
    pub(crate) fn origins(&self, digest: &Digest) -> Vec<String> {
        let text = self.read(&self.record(ORIGINS, digest.hex()));
        text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    pub(crate) fn add_origin(&self, digest: &Digest, repository: &str) {
        let mut origins = self.origins(digest);
        if origins.iter().any(|origin| origin == repository) {
            return;
        }
        origins.push(repository.to_owned());
        let recent = origins.get(origins.len().saturating_sub(MOST_ORIGINS)..).unwrap_or_default();
        let text = recent.join("\n");
        // It saves an upload, and nothing else.
        let _ = self.write(ORIGINS, digest.hex(), text.as_bytes());
    }

    /// Signatures of a manifest that were seen.
    pub(crate) fn signatures(&self, digest: &Digest) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.record(SIGNATURES, digest.hex())).unwrap_or_default();
        bytes.chunks_exact(crate::signature::BYTES).take(MOST_SIGNATURES).map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn set_signatures(&self, digest: &Digest, signatures: &[Vec<u8>]) {
        let set = self.write(SIGNATURES, digest.hex(), &signatures.concat());
        set.unwrap_or_else(|error| tracing::warn!(%error, "the signatures of {digest} are not kept"));
    }

    fn known(&self, kind: &str, reference: &Reference) -> Option<Digest> {
        let text = self.read(&self.record(kind, &key(reference)))?;
        let known = Known::parse(&text)?;
        (known.reference == normal(reference)).then_some(known.digest)
    }

    fn set_known(&self, kind: &str, reference: &Reference, digest: &Digest) -> Result<(), Error> {
        let text = format!("{}\n{digest}\n", normal(reference));
        self.write(kind, &key(reference), text.as_bytes())
    }

    fn all(&self, kind: &str) -> Vec<Known> {
        let entries = fs::read_dir(self.root.join("records").join(kind)).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries.filter_map(|entry| Known::parse(&self.read(&entry.path())?)).collect();
        all.sort_by(|a, b| a.reference.cmp(&b.reference));
        all
    }

    fn record(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join("records").join(kind).join(name)
    }

    fn read(&self, record: &PathBuf) -> Option<String> {
        let mut text = String::new();
        fs::File::open(record).ok()?.take(LARGEST_RECORD).read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn write(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = self.record(kind, name);
        let write = || {
            fs::create_dir_all(self.root.join("records").join(kind))?;
            let mut file = tempfile::NamedTempFile::new_in(self.scratch.path())?;
            file.write_all(bytes)?;
            file.persist(&place).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| error::store("cannot write to the store", error))
    }
}

impl Known {
    fn parse(text: &str) -> Option<Self> {
        let (reference, digest) = text.trim_end().split_once('\n')?;
        Some(Self { reference: Reference::parse(reference).ok()?, digest: Digest::parse(digest)? })
    }
}

/// With its tag, without its digest.
fn normal(reference: &Reference) -> Reference {
    reference.tagged()
}

fn key(reference: &Reference) -> String {
    Digest::of(normal(reference).to_string().as_bytes()).hex().to_owned()
}

const TAGS: &str = "tags";
const RUNTIMES: &str = "runtimes";
const ORIGINS: &str = "origins";
const SIGNATURES: &str = "signatures";
const LARGEST_RECORD: u64 = 64 << 10;
const MOST_ORIGINS: usize = 8;
pub(crate) const MOST_SIGNATURES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_kept_under_its_whole_name() {
        let cache = tempfile::tempdir().unwrap();
        let reference = |text| Reference::parse(text).unwrap();
        let store = Store::open(cache.path()).unwrap();
        let digest = Digest::of(b"1");
        store.set_tag(&reference("a.b/c"), &digest);
        let again = Store::open(cache.path()).unwrap();
        assert_eq!(again.tag(&reference("a.b/c:latest")), Some(digest.clone()));
        for other in ["a.b/c:1", "a.b/d", "c"] {
            assert_eq!(again.tag(&reference(other)), None, "{other}");
        }
        assert_eq!(again.runtime(&reference("a.b/c")), None);
        again.set_runtime(&reference("php:8.4"), &digest).unwrap();
        assert_eq!(store.runtimes(), [Known { reference: reference("php:8.4"), digest }]);
    }

    #[test]
    fn origins_and_signatures_are_bounded() {
        let store = Store::temporary().unwrap();
        let digest = Digest::of(b"1");
        for n in 0..20 {
            store.add_origin(&digest, &format!("a.b/{n}"));
            store.add_origin(&digest, &format!("a.b/{n}"));
        }
        assert_eq!(store.origins(&digest).len(), MOST_ORIGINS);
        assert_eq!(store.origins(&digest).last().unwrap(), "a.b/19");
        store.set_signatures(&digest, &vec![vec![1; 64]; 40]);
        assert_eq!(store.signatures(&digest).len(), MOST_SIGNATURES);
    }
}
