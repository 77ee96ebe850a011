//! Image manifests and indexes of the OCI image specification: the parts that matter here.
//!
//! In: JSON from a registry, or plain values. Out: the same. It knows media types, and nothing of packages or files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, content};

/// What lists the blobs of an artefact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    pub(crate) schema_version: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What lists manifests: for platforms, or those that refer to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A blob or a manifest, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a manifest of an index is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
}

/// What a manifest's address may lead to.
#[derive(Debug)]
pub(crate) enum Document {
    Image(Box<Image>),
    Index(Index),
}

impl Image {
    /// An artefact of these layers whose configuration is `config`.
    pub(crate) fn new(artifact_type: Option<&str>, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(IMAGE.to_owned()),
            artifact_type: artifact_type.map(str::to_owned),
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The kind of the artefact: its own word, else its configuration's.
    pub(crate) fn kind(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.config.media_type)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain values can be written as JSON")
    }
}

impl Index {
    pub(crate) fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests, annotations: BTreeMap::new() }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain values can be written as JSON")
    }
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size,
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, &Digest::of(bytes), bytes.len() as u64)
    }

    #[must_use]
    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// # Errors
    ///
    /// When it is no SHA-256 digest.
    pub(crate) fn checked_digest(&self) -> Result<Digest, Error> {
        Digest::parse(&self.digest)
            .ok_or_else(|| content(format!("{:?} is no SHA-256 digest, and others are not supported", self.digest)))
    }
}

impl Document {
    /// Reads what a registry or the store has for a manifest.
    ///
    /// # Errors
    ///
    /// When it is neither an image manifest nor an index.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Versioned {
            schema_version: u32,
            media_type: Option<String>,
            #[serde(default)]
            config: Option<serde::de::IgnoredAny>,
        }
        let refuse = |error: serde_json::Error| content("not an image manifest of OCI").with_source(error);
        let versioned: Versioned = serde_json::from_slice(json).map_err(refuse)?;
        let Versioned { schema_version, media_type, config } = versioned;
        if schema_version != 2 {
            return Err(content(format!("version {schema_version} of image manifests is not supported, only 2 is")));
        }
        match (media_type.as_deref(), config) {
            (Some(INDEX | DOCKER_LIST), _) | (None, None) => {
                serde_json::from_slice(json).map(Self::Index).map_err(refuse)
            }
            (Some(IMAGE | DOCKER_IMAGE) | None, _) => {
                serde_json::from_slice(json).map(Box::new).map(Self::Image).map_err(refuse)
            }
            (Some(other), _) => Err(content(format!("a manifest of type {other:?} is not supported"))),
        }
    }
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry may answer with.
pub(crate) const ACCEPTED: [&str; 4] = [IMAGE, INDEX, DOCKER_IMAGE, DOCKER_LIST];

/// A package of ours.
pub(crate) const PACKAGE: &str = "application/vnd.wcgi.package.v1";
/// Its `wasmer.toml`.
pub(crate) const MANIFEST: &str = "application/vnd.wcgi.manifest.v1+toml";
/// A module or component, with its [`TITLE`].
pub(crate) const MODULE: &str = "application/wasm";
/// The files of a mount, with its guest path as [`MOUNT`].
pub(crate) const ARCHIVE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The configuration of what needs none, `{}`.
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const EMPTY_JSON: &[u8] = b"{}";
/// The configuration of the artefact that the CNCF has described for a single module.
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The same and its layer, as `wasm-to-oci` wrote them before.
pub(crate) const OLDER_WASM_CONFIG: &str = "application/vnd.wasm.config.v1+json";
pub(crate) const OLDER_WASM_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// A signature of a manifest's digest.
pub(crate) const SIGNATURE: &str = "application/vnd.wcgi.signature.v1";

pub(crate) const TITLE: &str = "org.opencontainers.image.title";
pub(crate) const MOUNT: &str = "dev.wcgi.mount";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_and_indexes_are_told_apart() {
        let image = Image::new(Some(PACKAGE), Descriptor::of(EMPTY, EMPTY_JSON), Vec::new());
        assert!(matches!(Document::parse(&image.to_json()), Ok(Document::Image(image)) if image.kind() == PACKAGE));
        let index = Index::new(vec![Descriptor::of(IMAGE, b"x")]);
        assert!(matches!(Document::parse(&index.to_json()), Ok(Document::Index(_))));
        let bare = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Document::parse(bare), Ok(Document::Index(_))));
        for json in [
            &b""[..],
            b"[]",
            b"{}",
            br#"{"schemaVersion":1}"#,
            br#"{"schemaVersion":2,"mediaType":"text/html"}"#,
            br#"{"schemaVersion":2,"config":{}}"#,
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
        ] {
            assert!(Document::parse(json).is_err(), "{}", String::from_utf8_lossy(json));
        }
    }

    #[test]
    fn the_empty_configuration_is_that_of_the_specification() {
        let config = Descriptor::of(EMPTY, EMPTY_JSON);
        assert_eq!(config.digest, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_eq!(config.size, 2);
    }
}
