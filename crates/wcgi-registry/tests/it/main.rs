//! The crate against Debian's `docker-registry`, each test with one of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod dependencies;
mod hostile;
mod killed;
mod packages;
mod proxy;
mod server;
mod signatures;
mod skopeo;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wcgi_registry::{Options, Pulled, Reference, Registry, Store};

/// A machine: a store of its own.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A machine that has pulled a package.
    fn with_package(name: &Reference) -> (Self, Pulled) {
        let machine = Self::new();
        let pulled = machine.registry().pull(name).unwrap();
        (machine, pulled)
    }

    fn registry(&self) -> Registry {
        self.with(Options::new())
    }

    fn with(&self, options: Options) -> Registry {
        Registry::new(Store::open(self.folder.path()).unwrap(), options)
    }

    /// The blob of the store with these digits.
    fn blob(&self, hex: &str) -> PathBuf {
        self.folder.path().join("store/blobs").join(hex)
    }
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// A directory with files.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    folder
}

/// A package with a module and a mount.
fn blog(page: &str) -> TempDir {
    directory(&[("wasmer.toml", BLOG.as_bytes()), ("m.wasm", MODULE), ("app/index.php", page.as_bytes())])
}

fn read(path: &Path, file: &str) -> String {
    fs::read_to_string(path.join(file)).unwrap_or_else(|error| panic!("{}: {error}", path.join(file).display()))
}

/// An empty module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

const BLOG: &str = r#"
[package]
name = "me/blog"
version = "1.0.0"
description = "A blog"

[[module]]
name = "m"
source = "m.wasm"

[[command]]
name = "blog"
module = "m"
runner = "wcgi"

[fs]
"/app" = "app"
"#;
