//! Compiled modules and components on disk.
//!
//! A file is `<key>/<content>.cwasm`. The key is a hash of the input, the engine's settings and wasmtime's version. The input is
//! the module, or all that a snapshot was made from, and how it was changed. The name is a hash of the file's own
//! bytes. A file that was cut, damaged or put there by another program does not match its name and is never loaded. Files
//! appear by an atomic rename, so any number of processes may write at once.
//!
//! The hashes guard against accidents. Whoever can write to the directory can run code in this process, so it is used only
//! where nobody else can ([`guarded`](super::guarded)). Unfinished files lie in the directory itself, each locked
//! by its writer. An unlocked one was left by a writer that was killed, and is removed.

use std::fs::{File, TryLockError};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compiled::{self, Compiled, Damaged, EXTENSION};
use super::guarded::GuardedDir;
use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Whether the log has a warning about it. What is wrong with one entry is mostly wrong with all.
    has_warned: AtomicBool,
}

impl Cache {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, has_warned: AtomicBool::new(false) }
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
    pub(crate) fn load_or<C: Compiled>(
        &self,
        engine: &wasmtime::Engine,
        input: blake3::Hash,
        compile: impl FnOnce() -> Result<C, Error>,
    ) -> Result<C, Error> {
        let key = key(engine, input);
        match self.load(engine, &key) {
            Ok(Some(compiled)) => return Ok(compiled),
            Ok(None) => {}
            Err(error) => {
                self.warn("the cache of compiled modules is not used", &error);
                return compile();
            }
        }
        let compiled = compile()?;
        match compiled.serialize() {
            Ok(code) => match self.store(&key, &compiled::file_name(&code), &code) {
                // From the file it takes no memory of its own, as on every later start.
                Ok(()) => {
                    if let Ok(Some(loaded)) = self.load(engine, &key) {
                        return Ok(loaded);
                    }
                }
                Err(error) => self.warn("the cache of compiled modules cannot be written", &error),
            },
            Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot serialize the compiled module"),
        }
        Ok(compiled)
    }

    /// A file that was [written](Self::write) under `key`, and its place.
    pub(crate) fn read(&self, key: blake3::Hash) -> Option<(String, Vec<u8>)> {
        let key = key.to_hex();
        let entry = self.entry(&key).inspect_err(|error| self.warn("the cache is not used", error)).ok()??;
        let names = entry.names(IMAGE_EXTENSION).ok()?;
        let places = names.into_iter().map(|name| format!("{key}/{name}"));
        places.into_iter().find_map(|place| self.read_at(&place).map(|bytes| (place, bytes)))
    }

    /// The file at `place`, if its content is what its name says.
    pub(crate) fn read_at(&self, place: &str) -> Option<Vec<u8>> {
        let (key, name) = place.split_once('/')?;
        let content = name.strip_suffix(IMAGE_EXTENSION)?.strip_suffix('.')?;
        blake3::Hash::from_hex(key).ok()?;
        let content = blake3::Hash::from_hex(content).ok()?;
        let entry = self.entry(key).ok()??;
        let mut bytes = Vec::new();
        entry.file(name).ok()?.read_to_end(&mut bytes).ok()?;
        if blake3::hash(&bytes) == content {
            return Some(bytes);
        }
        tracing::warn!(path = %entry.path().join(name).display(), "a damaged snapshot in the cache is not used");
        let _ = entry.remove_file(name);
        None
    }

    /// Keeps `bytes` under `key`. Gives their place. Trouble with the disk is logged.
    pub(crate) fn write(&self, key: blake3::Hash, bytes: &[u8]) -> Option<String> {
        let (key, name) = (key.to_hex(), format!("{}.{IMAGE_EXTENSION}", blake3::hash(bytes).to_hex()));
        match self.store(&key, &name, bytes) {
            Ok(()) => Some(format!("{key}/{name}")),
            Err(error) => {
                self.warn("the cache of snapshots cannot be written", &error);
                None
            }
        }
    }

    fn load<C: Compiled>(&self, engine: &wasmtime::Engine, key: &str) -> io::Result<Option<C>> {
        let Some(entry) = self.entry(key)? else { return Ok(None) };
        for name in entry.names(EXTENSION)? {
            let loaded = entry.file(&name).map_err(Into::into).and_then(|file| compiled::load(engine, file, &name));
            let error: wasmtime::Error = match loaded {
                Ok(compiled) => return Ok(Some(compiled)),
                Err(error) => error,
            };
            let path = entry.path().join(&name);
            tracing::warn!(path = %path.display(), error = format!("{error:#}"), "a file in the cache is not used");
            // It would be refused every time; the next one to compile puts a good one there. But a file that could not be read
            // or mapped may be good.
            let is_bad = error.is::<Damaged>()
                || error
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            if is_bad {
                let _ = entry.remove_file(&name);
            }
        }
        Ok(None)
    }

    /// What there is of `key`.
    fn entry(&self, key: &str) -> io::Result<Option<GuardedDir>> {
        match GuardedDir::open(&self.dir).and_then(|dir| dir.folder(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            entry => entry.map(Some),
        }
    }

    fn store(&self, key: &str, file_name: &str, content: &[u8]) -> io::Result<()> {
        let dir = GuardedDir::create(&self.dir)?;
        let entry = dir.create_folder(key)?;
        remove_abandoned(&dir)?;
        let (name, mut file) = new_partial(&dir)?;
        let kept = file.write_all(content).and_then(|()| dir.rename(&name, &entry, file_name));
        if kept.is_err() {
            // What came of it takes room that may be what is missing.
            let _ = dir.remove_file(&name);
        }
        kept
    }

    fn warn(&self, what: &str, error: &io::Error) {
        let dir = self.dir.display();
        if self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(%dir, %error, "{what}");
        } else {
            tracing::warn!(%dir, %error, "{what}");
        }
    }
}

/// What a compiled module depends on: what it was compiled from, by what, and for which settings and processor.
fn key(engine: &wasmtime::Engine, input: blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(settings_hash(engine).as_bytes()).update(input.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// By what a module is compiled, and for which settings and processor.
pub(crate) fn settings_hash(engine: &wasmtime::Engine) -> blake3::Hash {
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
    hasher.0.finalize()
}

/// A file to write into, and its name. It is locked as long as it is open.
fn new_partial(dir: &GuardedDir) -> io::Result<(String, File)> {
    loop {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let name = format!("{:016x}.{PARTIAL}", u64::from_le_bytes(name));
        let file = dir.new_file(&name)?;
        // Where files have no locks, nobody finds it abandoned either.
        let _ = file.lock();
        // Somebody may have found it before it was locked.
        if dir.has(&name) {
            return Ok((name, file));
        }
    }
}

/// Removes what writers that were killed have left.
fn remove_abandoned(dir: &GuardedDir) -> io::Result<()> {
    for name in dir.names(PARTIAL)? {
        let Ok(file) = dir.file(&name) else { continue };
        match file.try_lock() {
            // Its writer is done with it, or gone. Names are never used again, so this is the file or nothing.
            Ok(()) => _ = dir.remove_file(&name),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
    Ok(())
}

/// What the names of files that are not whole end with.
const PARTIAL: &str = "partial";
/// Of files that a snapshot is in.
const IMAGE_EXTENSION: &str = "image";

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;
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
        let key = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        cache.store(key, &compiled::file_name(&foreign), &foreign).unwrap();
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

    #[test]
    fn what_a_killed_writer_left_is_removed_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let guarded = GuardedDir::open(dir.path()).unwrap();
        let (living, _locked) = new_partial(&guarded).unwrap();
        let (abandoned, file) = new_partial(&guarded).unwrap();
        drop(file);
        load_counted(&Cache::new(dir.path().into()), &wasmtime::Engine::default(), &Cell::new(0));
        assert!(guarded.has(&living) && !guarded.has(&abandoned));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().into());
        let key = key(&wasmtime::Engine::default(), blake3::hash(WASM));
        // The place of the file is taken by a folder.
        let taken = dir.path().join(key.as_str()).join(compiled::file_name(b"code"));
        fs::create_dir_all(taken.join("in the way")).unwrap();
        cache.store(&key, &compiled::file_name(b"code"), b"code").unwrap_err();
        assert_eq!(GuardedDir::open(dir.path()).unwrap().names(PARTIAL).unwrap(), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_to_is_neither_loaded_nor_written() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cache");
        let (engine, compiled) = (wasmtime::Engine::default(), Cell::new(0));
        load_counted(&Cache::new(root.clone()), &engine, &compiled);
        let file = only_file(&root);
        let entry = file.parent().unwrap().to_owned();
        for path in [&root, &entry] {
            let before = (compiled.get(), fs::metadata(&file).unwrap().ino());
            set_mode(path, 0o777);
            load_counted(&Cache::new(root.clone()), &engine, &compiled);
            assert_eq!((compiled.get(), fs::metadata(&file).unwrap().ino()), (before.0 + 1, before.1), "{path:?}");
            set_mode(path, 0o700);
            load_counted(&Cache::new(root.clone()), &engine, &compiled);
            assert_eq!(compiled.get(), before.0 + 1, "it is used again");
        }
        // A file of others in a folder of ours is replaced.
        set_mode(&file, 0o666);
        let before = compiled.get();
        load_counted(&Cache::new(root.clone()), &engine, &compiled);
        let now = fs::metadata(only_file(&root)).unwrap();
        assert_eq!((compiled.get(), now.mode() & 0o777), (before + 1, 0o600));
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
