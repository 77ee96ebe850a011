//! One repository of a registry: its manifests, blobs and referrers.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use tokio::runtime::Handle;

use super::auth::Scope;
use super::body::{Progress, Upload, pieces, whole};
use super::host::Host;
use crate::digest::Digest;
use crate::error::{self, Error, ErrorKind, content};
use crate::image::ACCEPTED;
use crate::reference::Reference;
use crate::store::NewBlob;

/// Where a reference leads.
#[derive(Debug)]
pub(crate) struct Repository {
    runtime: Handle,
    host: Arc<Host>,
    name: String,
}

impl Repository {
    pub(super) fn new(runtime: Handle, host: Arc<Host>, reference: &Reference) -> Self {
        let name = reference.name();
        // The names of that registry that have one part alone.
        let official = host.name == "docker.io" && !name.contains('/');
        let name = if official { format!("library/{name}") } else { name.to_owned() };
        Self { runtime, host, name }
    }

    /// `HOST/NAME`.
    pub(crate) fn origin(&self) -> String {
        format!("{}/{}", self.host.name, self.name)
    }

    /// The digest that a tag leads to, if the registry says it without sending the manifest.
    pub(crate) fn resolve(&self, tag: &str) -> Result<Option<Digest>, Error> {
        self.runtime.block_on(async {
            let response = self.manifest_request(Method::HEAD, tag).await?;
            match response.status() {
                StatusCode::OK => Ok(digest_of(response.headers())),
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
                _ => Err(self.host.refused(response, &self.shown(tag)).await),
            }
        })
    }

    /// The manifest that a tag or digest leads to, of at most `limit` bytes.
    pub(crate) fn manifest(&self, wanted: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.runtime.block_on(async {
            let response = self.manifest_request(Method::GET, wanted).await?;
            if response.status() != StatusCode::OK {
                return Err(self.host.refused(response, &self.shown(wanted)).await);
            }
            let said = digest_of(response.headers());
            let manifest = whole(&self.host.name, response, limit).await?;
            let digest = Digest::of(&manifest);
            let expected = Digest::parse(wanted).or(said);
            if expected.is_some_and(|expected| expected != digest) {
                return Err(content(format!("{} sends another manifest than {wanted}", self.host.name)));
            }
            Ok(manifest)
        })
    }

    async fn manifest_request(&self, method: Method, wanted: &str) -> Result<Response, Error> {
        let path = format!("/v2/{}/manifests/{wanted}", self.name);
        self.host.send(&self.scope(false), method, &path, |request| request.header(ACCEPT, ACCEPTED.join(", "))).await
    }

    /// Puts a manifest under a tag or its digest. Whether the registry lists it by what it refers to.
    pub(crate) fn put_manifest(&self, wanted: &str, media_type: &str, manifest: &[u8]) -> Result<bool, Error> {
        self.runtime.block_on(async {
            let path = format!("/v2/{}/manifests/{wanted}", self.name);
            let with = |request: RequestBuilder| request.header(CONTENT_TYPE, media_type).body(manifest.to_vec());
            let response = self.host.send(&self.scope(true), Method::PUT, &path, with).await?;
            if response.status() != StatusCode::CREATED {
                return Err(self.host.refused(response, &self.shown(wanted)).await);
            }
            Ok(response.headers().contains_key("oci-subject"))
        })
    }

    /// Fetches a blob of `size` bytes.
    pub(crate) fn blob(&self, digest: &Digest, size: u64, blob: &mut NewBlob<'_>) -> Result<(), Error> {
        self.runtime.block_on(async {
            let path = format!("/v2/{}/blobs/{digest}", self.name);
            let response = self.host.send(&self.scope(false), Method::GET, &path, |request| request).await?;
            if response.status() != StatusCode::OK {
                return Err(self.host.refused(response, &self.shown(&digest.to_string())).await);
            }
            pieces(&self.host.name, response, |piece| blob.write(piece)).await?;
            if blob.written() != size {
                let came = blob.written();
                return Err(content(format!("{} sends {came} bytes of {digest}, which has {size}", self.host.name)));
            }
            Ok(())
        })
    }

    /// Whether a blob is there.
    pub(crate) fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        self.runtime.block_on(async {
            let path = format!("/v2/{}/blobs/{digest}", self.name);
            // Asked for as it is pushed next, so that one token does for both.
            let response = self.host.send(&self.scope(true), Method::HEAD, &path, |request| request).await?;
            match response.status() {
                StatusCode::OK => Ok(true),
                StatusCode::NOT_FOUND => Ok(false),
                _ => Err(self.host.refused(response, &self.shown(&digest.to_string())).await),
            }
        })
    }

    /// Puts a blob that is not there. One that the repository `from` of the same registry has is not sent. Whether it was.
    pub(crate) fn put_blob(&self, digest: &Digest, file: &Path, size: u64, from: Option<&str>) -> Result<bool, Error> {
        let what = self.shown(&digest.to_string());
        self.runtime.block_on(async {
            let mut path = format!("/v2/{}/blobs/uploads/", self.name);
            let mut scope = self.scope(true);
            if let Some(from) = from {
                path += &format!("?mount={digest}&from={from}");
                scope.from = Some(from.to_owned());
            }
            let begun =
                self.host.send(&scope, Method::POST, &path, |request| request.header(CONTENT_LENGTH, 0)).await?;
            match begun.status() {
                StatusCode::CREATED if from.is_some() => return Ok(false),
                StatusCode::ACCEPTED => {}
                _ => return Err(self.host.refused(begun, &what).await),
            }
            let location = begun.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| content(format!("{} names no upload address", self.host.name)))?;
            let mut url = self.host.location(location)?;
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let progress = Progress::default();
            let make = || {
                let content = File::open(file).map_err(|error| error::store("cannot read the store", error))?;
                let body = Body::wrap(Upload::new(content, size, progress.clone()));
                let request = self.host.client.put(url.clone()).body(body);
                let request = request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, size);
                Ok((url.clone(), request))
            };
            let response = self.host.send_to(&self.scope(true), &progress, make).await?;
            match response.status() {
                StatusCode::CREATED => Ok(true),
                _ => Err(self.host.refused(response, &what).await),
            }
        })
    }

    /// The index of what refers to a manifest; nothing where the registry keeps none by itself.
    pub(crate) fn referrers(&self, digest: &Digest, kind: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        self.runtime.block_on(async {
            let kind: String =
                percent_encoding::utf8_percent_encode(kind, percent_encoding::NON_ALPHANUMERIC).collect();
            let path = format!("/v2/{}/referrers/{digest}?artifactType={kind}", self.name);
            let response = self.host.send(&self.scope(false), Method::GET, &path, |request| request).await?;
            match response.status() {
                StatusCode::OK => whole(&self.host.name, response, limit).await.map(Some),
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => Ok(None),
                _ => Err(self.host.refused(response, &format!("signatures of {digest}")).await),
            }
        })
    }

    fn scope(&self, push: bool) -> Scope {
        Scope { name: self.name.clone(), push, from: None }
    }

    fn shown(&self, wanted: &str) -> String {
        let separator = if wanted.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{separator}{wanted}", self.name)
    }
}

/// Whether an error means that the registry cannot be asked now.
pub(crate) fn is_away(error: &Error) -> bool {
    error.kind() == ErrorKind::Unreachable
}

fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    Digest::parse(headers.get("docker-content-digest")?.to_str().ok()?)
}
