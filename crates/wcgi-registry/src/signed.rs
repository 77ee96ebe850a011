//! Signatures in registries: each is an artefact that refers to the manifest it is of.

use crate::Registry;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, content};
use crate::image::{Descriptor, Document, EMPTY, EMPTY_JSON, IMAGE, INDEX, Image, Index, SIGNATURE};
use crate::reference::Reference;
use crate::signature::{BYTES, SigningKey};
use crate::store::MOST_SIGNATURES;
use crate::transport::{Repository, is_away};

/// Sends a signature of the manifest that `subject` names.
pub(crate) fn push(
    registry: &Registry,
    repository: &Repository,
    subject: &Descriptor,
    key: &SigningKey,
) -> Result<(), Error> {
    let store = registry.store();
    let digest = subject.checked_digest()?;
    let signature = store.write_blob(&key.sign(&digest))?;
    let config = store.write_blob(EMPTY_JSON)?;
    registry.send(repository, &signature, BYTES as u64)?;
    registry.send(repository, &config, EMPTY_JSON.len() as u64)?;
    let layer = Descriptor::new(SIGNATURE, &signature, BYTES as u64);
    let mut image = Image::new(Some(SIGNATURE), Descriptor::of(EMPTY, EMPTY_JSON), vec![layer]);
    image.subject = Some(subject.clone());
    let json = image.to_json();
    let own = Digest::of(&json);
    if repository.put_manifest(&own.to_string(), IMAGE, &json)? {
        return Ok(());
    }

    // A registry that keeps no list of its own has it under a tag.
    let limit = registry.options().limits.manifest_bytes;
    let tag = fallback_tag(&digest);
    let mut index = match repository.manifest(&tag, limit) {
        Ok(json) => match Document::parse(&json)? {
            Document::Index(index) => index,
            Document::Image(_) => return Err(content(format!("{tag} is no index of what refers to {digest}"))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Index::new(Vec::new()),
        Err(error) => return Err(error),
    };
    index.manifests.retain(|entry| entry.digest != own.to_string());
    let mut entry = Descriptor::new(IMAGE, &own, json.len() as u64);
    entry.artifact_type = Some(SIGNATURE.to_owned());
    index.manifests.push(entry);
    repository.put_manifest(&tag, INDEX, &index.to_json())?;
    Ok(())
}

/// Makes sure that one of the keys that are asked for has signed one of the digests.
///
/// # Errors
///
/// [`ErrorKind::Signature`] when none has. When the registry is away, the signatures that were seen before count.
pub(crate) fn verify(
    registry: &Registry,
    repository: Option<&Repository>,
    reference: &Reference,
    digests: &[Digest],
) -> Result<(), Error> {
    let keys = &registry.options().verify;
    let store = registry.store();
    let is_signed = |digest: &Digest, signatures: &[Vec<u8>]| {
        signatures.iter().any(|signature| keys.iter().any(|key| key.has_signed(digest, signature)))
    };
    let mut seen = 0;
    for digest in digests {
        let kept = store.signatures(digest);
        if is_signed(digest, &kept) {
            return Ok(());
        }
        seen += kept.len();
        let Some(repository) = repository else { continue };
        let found = match found(registry, repository, digest) {
            Ok(found) => found,
            Err(error) if is_away(&error) => {
                tracing::warn!("{error}; no signatures but those that were seen before");
                continue;
            }
            Err(error) => return Err(error),
        };
        seen += found.len();
        if is_signed(digest, &found) {
            store.set_signatures(digest, &found);
            return Ok(());
        }
    }
    let others = match seen {
        0 => "it has no signature".to_owned(),
        1 => "its one signature is another's".to_owned(),
        _ => format!("its {seen} signatures are others'"),
    };
    let message = format!("{reference} is not signed by a key that was asked for: {others}");
    Err(Error::new(ErrorKind::Signature, message).with_hint("`wcgi push --sign KEY` signs a package"))
}

/// The signatures of a manifest that the registry knows.
fn found(registry: &Registry, repository: &Repository, digest: &Digest) -> Result<Vec<Vec<u8>>, Error> {
    let limit = registry.options().limits.manifest_bytes;
    let listed = match repository.referrers(digest, SIGNATURE, limit)? {
        Some(listed) => Some(listed),
        None => match repository.manifest(&fallback_tag(digest), limit) {
            Ok(listed) => Some(listed),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
    };
    let Some(listed) = listed else { return Ok(Vec::new()) };
    let Document::Index(index) = Document::parse(&listed)? else {
        return Err(content(format!("what refers to {digest} is not listed by an index")));
    };
    let is_signature = |entry: &&Descriptor| entry.artifact_type.as_deref().is_none_or(|kind| kind == SIGNATURE);
    let mut signatures = Vec::new();
    // The latest first, as anybody who may push could have added others before.
    for entry in index.manifests.iter().rev().filter(is_signature).take(MOST_SIGNATURES) {
        let json = repository.manifest(&entry.checked_digest()?.to_string(), limit)?;
        let Ok(Document::Image(image)) = Document::parse(&json) else { continue };
        let [layer] = image.layers.as_slice() else { continue };
        if image.kind() != SIGNATURE || layer.size != BYTES as u64 {
            continue;
        }
        let blob_digest = layer.checked_digest()?;
        let mut blob = registry.store().new_blob(layer.size)?;
        repository.blob(&blob_digest, layer.size, &mut blob)?;
        blob.keep(Some(&blob_digest))?;
        signatures.extend(registry.store().read_blob(&blob_digest, layer.size));
    }
    Ok(signatures)
}

fn fallback_tag(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}
