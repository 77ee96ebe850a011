//! Snapshots, and what their tests share: a package with a module whose start-up does what it is told.

mod check;
mod export;
mod safety;
mod start_up;
mod warmup;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use tower_wcgi::{Access, Engine, WcgiBuilder, WcgiService};
use tracing::Level;
use wcgi_tests::{engine, guest};

use crate::log;

/// A package in a directory of its own: `d` is mounted read-only at `/d`, `w` writable at `/w`.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        scene.write("d/a", "alpha");
        fs::create_dir(scene.writable()).unwrap();
        scene
    }

    fn writable(&self) -> PathBuf {
        self.0.path().join("w")
    }

    fn write(&self, path: &str, text: &str) {
        self.write_to(&self.0.path().join(path), text);
    }

    /// With a time that is always the same.
    fn write_to(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }

    fn engine(&self) -> Engine {
        engine().max_concurrency(1).cache_dir(self.0.path().join("cache")).build().unwrap()
    }

    /// The guest `startup` under another name, by which its log lines are known.
    fn module(&self, name: &str) -> PathBuf {
        let module = self.0.path().join(name).with_extension("wasm");
        fs::copy(guest("startup"), &module).unwrap();
        module
    }

    fn builder(&self, name: &str) -> WcgiBuilder {
        WcgiService::builder()
            .package(self.module(name))
            .engine(self.engine())
            .map_dir("/d", self.0.path().join("d"), Access::ReadOnly)
            .map_dir("/w", self.writable(), Access::ReadWrite)
    }

    /// What is in the cache of compiled modules.
    fn cached(&self) -> Vec<PathBuf> {
        let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = below(self.0.path().join("cache")).flat_map(below).collect();
        files.sort();
        files
    }
}

fn warnings_about(module: &Path) -> Vec<log::Line> {
    let name = module.display().to_string();
    let mut lines = log::about("");
    lines.retain(|line| line.level == Level::WARN && line.contains(&name));
    lines
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
