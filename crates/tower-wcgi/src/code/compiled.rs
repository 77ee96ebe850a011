//! Compiled code in files: how it is read back, from the cache or from a package that brings its own.
//!
//! In: an open file whose name is the hash of its content. Out: a module or a component, made of that very file. Which files
//! may be read is for [`cache`](super::cache) and for whoever opens a package to know: what is loaded here runs in this
//! process.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use wasmtime::Module;
use wasmtime::component::Component;

use crate::sys;

/// What can be kept. The two kinds never have the same key, as no bytes are both; wasmtime would notice.
pub(crate) trait Compiled: Sized {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// Loads `file`. Only for [`load`], which has looked at its bytes.
    fn load(engine: &wasmtime::Engine, file: File) -> wasmtime::Result<Self>;
}

impl Compiled for Module {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(unsafe_code, reason = "loading a precompiled module cannot be checked by types")]
    fn load(engine: &wasmtime::Engine, file: File) -> wasmtime::Result<Self> {
        // SAFETY: the bytes are those a `serialize` of this crate gave: the file's content matches the hash in its name, and
        // only this crate makes such names. wasmtime maps this descriptor (`MmapVec::from_file`) and opens nothing by name. The
        // mapping is private, and shows later writes to the file. The file is one of the cache: only root and the user of this
        // process can write to it (`guarded`), and neither does once it has its name. Or it is one of a package that somebody
        // trusts by `EngineBuilder::trust_precompiled`, whose documentation says that it is not to be written in place. wasmtime
        // refuses what another version of it has made, or for other settings.
        unsafe { Self::deserialize_open_file(engine, file) }
    }
}

impl Compiled for Component {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(unsafe_code, reason = "loading a precompiled component cannot be checked by types")]
    fn load(engine: &wasmtime::Engine, mut file: File) -> wasmtime::Result<Self> {
        // wasmtime takes no open file for a component. By this name Linux opens the file of the descriptor again, whatever has
        // come to have the name it was opened by.
        #[cfg(target_os = "linux")]
        {
            let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            // SAFETY: as for a module.
            if let Ok(component) = unsafe { Self::deserialize_file(engine, name) } {
                return Ok(component);
            }
        }
        let mut code = Vec::new();
        file.read_to_end(&mut code)?;
        // SAFETY: as for a module, and these are copies of the bytes.
        unsafe { Self::deserialize(engine, code) }
    }
}

/// Loads `file`, if its content is what its `name` says.
pub(crate) fn load<C: Compiled>(engine: &wasmtime::Engine, mut file: File, name: &str) -> wasmtime::Result<C> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        };
    }
    if name.strip_suffix(EXTENSION).and_then(|stem| stem.strip_suffix('.')) != Some(&hasher.finalize().to_hex()) {
        return Err(Damaged.into());
    }
    file.rewind()?;
    C::load(engine, file)
}

/// A file with another content than its name says.
#[derive(Debug)]
pub(crate) struct Damaged;

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is damaged: its content does not match its name")
    }
}

impl std::error::Error for Damaged {}

/// The name of a file with such content.
#[cfg(feature = "compiler")]
pub(crate) fn file_name(code: &[u8]) -> String {
    format!("{}.{EXTENSION}", blake3::hash(code).to_hex())
}

/// What a package has in `directory` of what was compiled from `input`: one file for each kind of host. Only for packages
/// that are trusted.
///
/// # Errors
///
/// Fails if none of them fits: why the last one does not.
pub(crate) fn of_package<C: Compiled>(
    engine: &wasmtime::Engine,
    directory: &Path,
    input: blake3::Hash,
) -> wasmtime::Result<C> {
    let mut reason = wasmtime::format_err!("it is for another module, another version or another memory limit");
    let entry = directory.join(package_key(input));
    for path in fs::read_dir(&entry).into_iter().flatten().flatten().map(|file| file.path()) {
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        match load_of_package(engine, &entry, &path) {
            Ok(compiled) => return Ok(compiled),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Packages are often put in place by another user than the server's, so their owner says nothing. But nobody who trusts one
/// trusts everybody.
fn load_of_package<C: Compiled>(engine: &wasmtime::Engine, entry: &Path, path: &Path) -> wasmtime::Result<C> {
    let file = File::open(path)?;
    for (metadata, path) in [(fs::metadata(entry)?, entry), (file.metadata()?, path)] {
        if sys::is_writable_by_all(&metadata) {
            wasmtime::bail!("everybody can write to {}", path.display());
        }
    }
    load(engine, file, path.file_name().and_then(|name| name.to_str()).unwrap_or_default())
}

/// Puts `code`, which was compiled from `input`, where [`of_package`] finds it.
#[cfg(feature = "compiler")]
pub(crate) fn put_in_package(directory: &Path, input: blake3::Hash, code: &[u8]) -> std::io::Result<()> {
    let entry = directory.join(package_key(input));
    fs::create_dir_all(&entry)?;
    fs::write(entry.join(file_name(code)), code)
}

/// Wasmtime's own version and settings are in the code itself, and looked at when it is loaded.
fn package_key(input: blake3::Hash) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(input.as_bytes());
    hasher.finalize().to_hex().to_string()
}

pub(crate) const EXTENSION: &str = "cwasm";
