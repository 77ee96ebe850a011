//! Compiled modules and components on disk.
//!
//! A file is `<key>/<content>.cwasm`: the key is a hash of what was compiled (the module, or all that a snapshot was made
//! from, and how it was changed), the engine's settings and wasmtime's version, and the name is a hash of the file's own
//! bytes. A file that was cut, damaged or put there by something else does not match its name and is never loaded. Files
//! appear by an atomic rename, so any number of processes may write at once.
//!
//! The hashes guard against accidents. Whoever can write to the directory can run code in this process, so it is created
//! for its owner alone.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::compiled::{self, Compiled};
use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where the cache is unless somebody says otherwise.
    pub(crate) fn default_dir() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else {
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
        };
        Some(base?.join("wcgi"))
    }

    /// What `compile` makes of what has the hash `input`, from disk where a good one is there, else made and kept.
    /// Trouble with the disk is logged and costs the time to compile, nothing else.
    pub(super) fn load_or<C: Compiled>(
        &self,
        engine: &wasmtime::Engine,
        input: blake3::Hash,
        compile: impl FnOnce() -> Result<C, Error>,
    ) -> Result<C, Error> {
        let entry = self.dir.join(key(engine, input));
        if let Some(compiled) = load(engine, &entry) {
            return Ok(compiled);
        }
        let compiled = compile()?;
        match compiled.serialize() {
            Ok(code) => {
                if let Err(error) = store(&self.dir, &entry, &compiled::file_name(&code), &code) {
                    tracing::warn!(dir = %self.dir.display(), %error, "cannot keep the compiled module");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot serialize the compiled module"),
        }
        Ok(compiled)
    }

    /// A file that was [written](Self::write) under `key`, and its place.
    pub(super) fn read(&self, key: blake3::Hash) -> Option<(String, Vec<u8>)> {
        let key = key.to_hex();
        let names = fs::read_dir(self.dir.join(key.as_str())).ok()?.flatten();
        let places = names.filter_map(|file| Some(format!("{key}/{}", file.file_name().to_str()?)));
        places.into_iter().find_map(|place| self.read_at(&place).map(|bytes| (place, bytes)))
    }

    /// The file at `place`, if its content is what its name says.
    pub(super) fn read_at(&self, place: &str) -> Option<Vec<u8>> {
        let (key, name) = place.split_once('/')?;
        let content = name.strip_suffix(IMAGE_SUFFIX)?;
        blake3::Hash::from_hex(key).ok()?;
        let content = blake3::Hash::from_hex(content).ok()?;
        let bytes = fs::read(self.dir.join(key).join(name)).ok()?;
        (blake3::hash(&bytes) == content).then_some(bytes)
    }

    /// Keeps `bytes` under `key`. Gives their place. Trouble with the disk is logged.
    pub(super) fn write(&self, key: blake3::Hash, bytes: &[u8]) -> Option<String> {
        let (key, name) = (key.to_hex(), format!("{}{IMAGE_SUFFIX}", blake3::hash(bytes).to_hex()));
        match store(&self.dir, &self.dir.join(key.as_str()), &name, bytes) {
            Ok(()) => Some(format!("{key}/{name}")),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "cannot keep the snapshot");
                None
            }
        }
    }
}

/// What a compiled module depends on: what it was compiled from, by what, and for which settings and processor.
fn key(engine: &wasmtime::Engine, input: blake3::Hash) -> String {
    struct Blake3(blake3::Hasher);
    impl Hasher for Blake3 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            unreachable!("the digest is taken from the inner hasher")
        }
    }
    let mut hasher = Blake3(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.0.update(input.as_bytes());
    hasher.0.finalize().to_hex().to_string()
}

fn load<C: Compiled>(engine: &wasmtime::Engine, entry: &Path) -> Option<C> {
    for path in compiled::files(entry).ok()? {
        match compiled::load_file(engine, &path) {
            Ok(compiled) => return Some(compiled),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = format!("{error:#}"), "a damaged file in the cache, compiling again");
                // It would be refused every time; the next one to compile puts a good one there.
                let _ = fs::remove_file(&path);
            }
        }
    }
    None
}

fn store(dir: &Path, entry: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    create_private_dir(dir)?;
    create_private_dir(entry)?;
    let mut file = tempfile::Builder::new().suffix(".partial").tempfile_in(entry)?;
    file.write_all(content)?;
    file.persist(entry.join(name))?;
    Ok(())
}

/// Of files that a snapshot is in.
const IMAGE_SUFFIX: &str = ".image";

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use wasmtime::Module;

    use super::*;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn the_second_load_does_not_compile() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, compiled) = (wasmtime::Engine::default(), Cell::new(0));
        for _ in 0..2 {
            load_counted(&Cache::new(dir.path().join("deep/er")), &engine, &compiled);
        }
        assert_eq!(compiled.get(), 1);
    }

    #[test]
    fn a_truncated_or_foreign_file_is_compiled_again_and_never_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().into());
        let (engine, compiled) = (wasmtime::Engine::default(), Cell::new(0));
        load_counted(&cache, &engine, &compiled);
        let path = only_file(dir.path());
        let good = fs::read(&path).unwrap();

        for damaged in [&good[..good.len() / 2], b"", b"not a module", &[&good[..], b"x"].concat()] {
            fs::write(&path, damaged).unwrap();
            let before = compiled.get();
            load_counted(&cache, &engine, &compiled);
            assert_eq!(compiled.get(), before + 1);
            assert_eq!(fs::read(only_file(dir.path())).unwrap(), good, "the good one is back");
        }

        // A file that is whole but was made by another engine has a matching name; wasmtime's own header refuses it.
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = wasmtime::Engine::new(&config).unwrap();
        let foreign = Module::new(&other, WASM).unwrap().serialize().unwrap();
        fs::remove_file(&path).unwrap();
        let entry = path.parent().unwrap();
        store(dir.path(), entry, &compiled::file_name(&foreign), &foreign).unwrap();
        let before = compiled.get();
        load_counted(&cache, &engine, &compiled);
        assert_eq!(compiled.get(), before + 1);
    }

    #[test]
    fn other_settings_and_other_modules_have_other_keys() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let (plain, epochs) = (wasmtime::Engine::default(), wasmtime::Engine::new(&config).unwrap());
        let (one, other) = (blake3::hash(WASM), blake3::hash(b"other"));
        assert_ne!(key(&plain, one), key(&epochs, one));
        assert_ne!(key(&plain, one), key(&plain, other));
        assert_eq!(key(&plain, one), key(&wasmtime::Engine::default(), one));
    }

    #[test]
    fn many_writers_at_once_leave_one_good_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::new(dir.path().into()));
        let engine = wasmtime::Engine::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| load_counted(&cache, &engine, &Cell::new(0)));
            }
        });
        let compiled = Cell::new(0);
        load_counted(&cache, &engine, &compiled);
        assert_eq!(compiled.get(), 0);
        only_file(dir.path());
    }

    #[test]
    fn a_directory_that_cannot_be_written_costs_the_cache_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let compiled = Cell::new(0);
        load_counted(&Cache::new(file), &wasmtime::Engine::default(), &compiled);
        assert_eq!(compiled.get(), 1);
    }

    fn load_counted(cache: &Cache, engine: &wasmtime::Engine, compiled: &Cell<u32>) {
        cache
            .load_or(engine, blake3::hash(WASM), || {
                compiled.set(compiled.get() + 1);
                Ok(Module::new(engine, WASM).unwrap())
            })
            .unwrap();
    }

    fn only_file(dir: &Path) -> PathBuf {
        let entry = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
        let files: Vec<_> = fs::read_dir(entry).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}
