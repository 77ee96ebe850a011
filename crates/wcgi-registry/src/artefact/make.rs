//! Making an artefact of a package on this machine.
//!
//! In: a directory with a manifest, or a module. Out: blobs in the store and the image manifest that lists them, the same
//! bytes on every machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use toml::Value;

use super::manifest::{Dependency, Manifest, find, is_missing, plain_path};
use crate::archive;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, package};
use crate::image::{
    ARCHIVE, Descriptor, EMPTY, EMPTY_JSON, Image, MANIFEST, MODULE, MOUNT, PACKAGE, TITLE, WASM_CONFIG,
};
use crate::options::Limits;
use crate::reference::Reference;
use crate::store::{NewBlob, Store};

/// An artefact in the store.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) digest: Digest,
    /// The image manifest as it is sent.
    pub(crate) json: Vec<u8>,
    /// What it lists, the configuration last.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// Mounts that are not in it, as scripts write there.
    pub(crate) left_out: Vec<String>,
}

/// Pins a dependency to what it is now.
pub(crate) type Pin<'a> = dyn Fn(&str, &Reference) -> Result<Reference, Error> + 'a;

/// Makes an artefact of what is at `path`.
///
/// # Errors
///
/// When there is no package, it refers to files that cannot be in it, or is larger than allowed.
pub(crate) fn make(store: &Store, path: &Path, limits: &Limits, pin: &Pin<'_>) -> Result<Made, Error> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| {
        let what = if is_missing(&error) { "no package at" } else { "cannot open" };
        package(format!("{what} {shown}")).with_source(error).with_hint(WHAT_IS_A_PACKAGE)
    })?;
    if metadata.is_dir() {
        let file =
            find(path).ok_or_else(|| package(format!("no wasmer.toml in {shown}")).with_hint(WHAT_IS_A_PACKAGE))?;
        return package_of(store, path, Manifest::read(&file, limits.manifest_bytes)?, limits, pin);
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        let directory = path.parent().unwrap_or(Path::new(""));
        return package_of(store, directory, Manifest::read(path, limits.manifest_bytes)?, limits, pin);
    }
    module_alone(store, path, limits)
}

fn package_of(
    store: &Store,
    directory: &Path,
    mut manifest: Manifest,
    limits: &Limits,
    pin: &Pin<'_>,
) -> Result<Made, Error> {
    let mut layers = Vec::new();
    let mut titles: BTreeMap<String, String> = BTreeMap::new();
    for (name, source) in manifest.sources()? {
        let title = title(&source, &titles);
        let (digest, size) = module(store, &directory.join(&source), limits)
            .map_err(|error| manifest.error(&format!("module {name:?}: {error}")).with_source(error))?;
        layers.push(Descriptor::new(MODULE, &digest, size).annotated(TITLE, &title));
        titles.insert(name, title);
    }
    for module in manifest.modules() {
        // Code that was compiled elsewhere is not run here, so it is not sent either.
        module.remove("compiled");
        if let Some(title) = module.get("name").and_then(Value::as_str).and_then(|name| titles.get(name)) {
            let title = Value::String(title.clone());
            module.insert("source".to_owned(), title);
        }
    }

    let mut left_out = Vec::new();
    let mut directories: Vec<String> = titles.into_values().collect();
    for mount in manifest.mounts()? {
        let host = directory.join(&mount.host);
        let name = directory_name(&mount.host, &mount.guest, &directories);
        let entry = if mount.writable {
            // What a script has written is its user's, and no part of what is given away.
            left_out.push(mount.guest);
            let path = ("path".to_owned(), Value::String(name.clone()));
            Value::Table([path, ("mode".to_owned(), Value::String("rw".to_owned()))].into_iter().collect())
        } else {
            let metadata = fs::metadata(&host);
            if !metadata.is_ok_and(|metadata| metadata.is_dir()) {
                return Err(manifest.error(&format!("mount {}: no directory {}", mount.guest, host.display())));
            }
            let (digest, size) = archived(store, &host, limits)?;
            layers.push(Descriptor::new(ARCHIVE, &digest, size).annotated(MOUNT, &mount.guest));
            Value::String(name.clone())
        };
        directories.push(name);
        if let Some(Value::Table(fs)) = manifest.table.get_mut("fs") {
            fs.insert(mount.key, entry);
        }
    }

    for (name, dependency) in manifest.dependencies()? {
        match dependency {
            Dependency::Reference(reference) => {
                let pinned = pin(&name, &reference)?;
                manifest.set_dependency(&name, pinned.to_string());
            }
            Dependency::Path(path) => {
                let why = format!("dependencies.{name}: {:?} is a path, which is nothing elsewhere", path.display());
                return Err(manifest.error(&why).with_hint("push the dependency too, and write its reference"));
            }
            Dependency::Requirement(_) => {}
        }
    }
    if let Some(Value::Table(about)) = manifest.table.get_mut("package") {
        // Files that do not come along.
        about.remove("readme");
        about.remove("license-file");
    }

    let text = manifest.text();
    if text.len() as u64 > limits.manifest_bytes {
        return Err(manifest.error(&format!("more than {} bytes", limits.manifest_bytes)));
    }
    let digest = store.write_blob(text.as_bytes())?;
    layers.insert(0, Descriptor::new(MANIFEST, &digest, text.len() as u64).annotated(TITLE, "wasmer.toml"));
    let config = store.write_blob(EMPTY_JSON)?;
    let config = Descriptor::new(EMPTY, &config, EMPTY_JSON.len() as u64);
    let mut image = Image::new(Some(PACKAGE), config, layers);
    for (key, annotation) in ABOUT {
        if let Some(text) = manifest.about(key) {
            image.annotations.insert(format!("org.opencontainers.image.{annotation}"), text.to_owned());
        }
    }
    finish(store, &image, left_out)
}

/// The artefact that the CNCF has described for a single module.
fn module_alone(store: &Store, path: &Path, limits: &Limits) -> Result<Made, Error> {
    let (digest, size) = module(store, path, limits)?;
    let title = path.with_extension("wasm");
    let title = title.file_name().unwrap_or_default().to_string_lossy();
    let layer = Descriptor::new(MODULE, &digest, size).annotated(TITLE, &title);
    let mut version = [0; 8];
    let read = File::open(store.blob(&digest)).and_then(|mut file| file.read_exact(&mut version));
    read.map_err(|error| crate::error::store("cannot read the store", error))?;
    let config = serde_json::json!({
        // The time of a push would make another artefact of each.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": if version == COMPONENT { "wasip2" } else { "wasip1" },
        "layerDigests": [digest.to_string()],
    });
    let config = config.to_string();
    let config_digest = store.write_blob(config.as_bytes())?;
    let config = Descriptor::new(WASM_CONFIG, &config_digest, config.len() as u64);
    finish(store, &Image::new(None, config, vec![layer]), Vec::new())
}

fn finish(store: &Store, image: &Image, left_out: Vec<String>) -> Result<Made, Error> {
    let mut blobs = Vec::new();
    for descriptor in image.layers.iter().chain([&image.config]) {
        blobs.push((descriptor.checked_digest()?, descriptor.size));
    }
    let json = image.to_json();
    let digest = store.write_blob(&json)?;
    Ok(Made { digest, json, blobs, left_out })
}

/// A module as a blob: in the binary format, whatever it is written in.
fn module(store: &Store, path: &Path, limits: &Limits) -> Result<(Digest, u64), Error> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        let what = if is_missing(&error) { "no file" } else { "cannot read" };
        package(format!("{what} {shown}")).with_source(error)
    };
    let mut file = File::open(path).map_err(cannot)?;
    let mut begin = Vec::new();
    Read::by_ref(&mut file).take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(cannot)?;
    if begin == MAGIC {
        let mut blob = store.new_blob(limits.module_bytes)?;
        let written = blob.write(&begin).and_then(|()| blob.write_all(&shown.to_string(), file));
        written.map_err(|error| too_large(path, error))?;
        return kept(blob);
    }
    let mut text = begin;
    file.take(limits.module_bytes).read_to_end(&mut text).map_err(cannot)?;
    let refuse = |why: String| package(format!("{shown} is no WebAssembly: {why}")).with_hint(WHAT_IS_A_PACKAGE);
    let text =
        String::from_utf8(text).map_err(|_| refuse("it is neither its binary nor its text format".to_owned()))?;
    let binary = wat::parse_str(&text)
        .map_err(|error| refuse(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let mut blob = store.new_blob(limits.module_bytes)?;
    blob.write(&binary).map_err(|error| too_large(path, error))?;
    kept(blob)
}

fn archived(store: &Store, directory: &Path, limits: &Limits) -> Result<(Digest, u64), Error> {
    struct Into<'b, 's> {
        blob: &'b mut NewBlob<'s>,
    }
    impl Write for Into<'_, '_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.blob.write(bytes).map(|()| bytes.len()).map_err(std::io::Error::other)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut blob = store.new_blob(limits.package_bytes)?;
    archive::pack(directory, limits, Into { blob: &mut blob })?;
    kept(blob)
}

fn kept(blob: NewBlob<'_>) -> Result<(Digest, u64), Error> {
    let size = blob.written();
    Ok((blob.keep(None)?, size))
}

fn too_large(path: &Path, error: Error) -> Error {
    if error.kind() != ErrorKind::Limit {
        return error;
    }
    Error::new(ErrorKind::Limit, format!("{}: {error}", path.display())).with_hint("--max-module raises the limit")
}

/// What a module is called in the package: where it lies there, else its file's name.
fn title(source: &str, taken: &BTreeMap<String, String>) -> String {
    let plain = plain_path(source);
    let file = || Path::new(source).file_name().map(|name| name.to_string_lossy().into_owned());
    let title = plain.or_else(file).unwrap_or_else(|| "module.wasm".to_owned());
    let title = title.strip_suffix(".wat").map_or(title.clone(), |stem| format!("{stem}.wasm"));
    free(title, &taken.values().cloned().collect::<Vec<_>>())
}

/// What the directory of a mount is called in a package: as it was, unless it lies elsewhere or another lies in it.
pub(super) fn directory_name(host: &str, guest: &str, taken: &[String]) -> String {
    let inside = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    let is_free =
        |name: &String| name != "wasmer.toml" && taken.iter().all(|other| !inside(name, other) && !inside(other, name));
    let name = plain_path(host).filter(is_free);
    let flat = || guest.trim_matches('/').replace('/', "-");
    let name = name.or_else(|| plain_path(&flat()).filter(is_free));
    name.unwrap_or_else(|| free("mount".to_owned(), taken))
}

/// The name, with a number if it is taken.
fn free(name: String, taken: &[String]) -> String {
    if !taken.contains(&name) {
        return name;
    }
    let numbered = |n: usize| format!("{n}-{}", name.rsplit('/').next().unwrap_or_default());
    (2..).map(numbered).find(|name| !taken.contains(name)).unwrap_or(name)
}

/// Keys of `[package]`, and what the image specification calls them.
const ABOUT: [(&str, &str); 5] = [
    ("name", "title"),
    ("version", "version"),
    ("description", "description"),
    ("license", "licenses"),
    ("repository", "source"),
];
const MAGIC: &[u8] = b"\0asm";
/// The first bytes of a component.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const WHAT_IS_A_PACKAGE: &str = "a package is a directory with wasmer.toml, or a .wasm or .wat module";
