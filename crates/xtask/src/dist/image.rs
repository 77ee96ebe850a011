//! An image for containers `FROM scratch`: the program, and a folder for temporary files. What `deploy/image/Containerfile` says,
//! written down without a container engine, so it is the same everywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::tar;
use super::release::{ABOUT, Arch, HOMEPAGE, LICENSE, Release, copy_program, hex, sha256};
use crate::program;

pub(super) fn make(release: &Release<'_>, arch: &Arch, program: &Path) -> Result<()> {
    let staging = release.staging("image")?;
    let root = staging.join("root");
    copy_program(program, &root.join("wcgi"))?;
    for folder in ["tmp", "cache", "etc/wcgi"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let layer = staging.join("layer.tar.gz");
    tar(&root, &["cache", "etc", "tmp", "wcgi"], &layer)?;
    let compressed = fs::read(&layer)?;
    let plain = staging.join("layer.tar");
    program::run(Command::new("gzip").args(["--decompress", "--keep", "--force"]).arg(&layer))?;
    let diff = hex(&sha256(&fs::read(&plain)?));

    let oci = staging.join("oci");
    let blobs = oci.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let add = |bytes: &[u8]| -> Result<String> {
        let digest = hex(&sha256(bytes));
        fs::write(blobs.join(&digest), bytes).context("cannot write the image")?;
        Ok(digest)
    };
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"User":"65532:65532","Env":["XDG_CACHE_HOME=/cache","HOME=/"],"Entrypoint":["/wcgi"],"Cmd":["serve","/etc/wcgi/wcgi.toml"],"ExposedPorts":{{"8000/tcp":{{}}}},"Labels":{{"org.opencontainers.image.title":"wcgi","org.opencontainers.image.description":"{ABOUT}","org.opencontainers.image.version":"{}","org.opencontainers.image.licenses":"{LICENSE}","org.opencontainers.image.source":"{HOMEPAGE}"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff}"]}},"history":[{{"created_by":"cargo xtask dist"}}]}}"#,
        arch.oci, release.version
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:{}","size":{}}}]}}"#,
        add(config.as_bytes())?,
        config.len(),
        add(&compressed)?,
        compressed.len()
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"{MANIFEST}","digest":"sha256:{}","size":{},"platform":{{"architecture":"{}","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"wcgi:{}"}}}}]}}"#,
        add(manifest.as_bytes())?,
        manifest.len(),
        arch.oci,
        release.version
    );
    fs::write(oci.join("index.json"), index)?;
    fs::write(oci.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let output = release.file(&format!("wcgi-{}-{}-image.tar", release.version, arch.name));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
    program::run(tar.arg("--directory").arg(&oci).arg("--file").arg(output).args(["blobs", "index.json", "oci-layout"]))
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
