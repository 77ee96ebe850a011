//! Compiled code in files: how it is read back, from the cache or from a package that brings its own.
//!
//! In: a file whose name is the hash of its content. Out: a module or a component. Which files may be read is for
//! [`cache`](super::cache) and for whoever opens a package to know: what is loaded here runs in this process.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use wasmtime::Module;
use wasmtime::component::Component;

/// What can be kept. The two kinds never have the same key, as no bytes are both; wasmtime would notice.
pub(super) trait Compiled: Sized {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// Loads `file`, which lies at `path`. Only for [`load_file`], which has looked at its bytes.
    fn load(engine: &wasmtime::Engine, file: File, path: &Path) -> wasmtime::Result<Self>;
}

impl Compiled for Module {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(unsafe_code, reason = "loading a precompiled module cannot be checked by types")]
    fn load(engine: &wasmtime::Engine, file: File, _path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the bytes are those a `serialize` of this crate gave: the file's content matches the hash in its name, and
        // only this crate makes such names. The file is one of the cache, whose directory belongs to the user this process
        // runs as, where none is written again once it has its name; or of a package that somebody trusts by
        // `EngineBuilder::trust_precompiled`, whose documentation says that it is not to be written in place. wasmtime refuses
        // what another version of it has made, or for other settings.
        unsafe { Self::deserialize_open_file(engine, file) }
    }
}

impl Compiled for Component {
    #[cfg(feature = "compiler")]
    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        self.serialize()
    }

    #[expect(unsafe_code, reason = "loading a precompiled component cannot be checked by types")]
    fn load(engine: &wasmtime::Engine, _file: File, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: as for a module. What has the name by now, if it is another file, has the same bytes in the cache, and in a
        // package comes from the same trusted hands.
        unsafe { Self::deserialize_file(engine, path) }
    }
}

/// Loads the file at `path`, if its content is what its name says.
pub(super) fn load_file<C: Compiled>(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<C> {
    let mut file = File::open(path)?;
    let expected = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        };
    }
    if hasher.finalize().to_hex().as_str() != expected {
        wasmtime::bail!("its content does not match its name");
    }
    file.rewind()?;
    C::load(engine, file, path)
}

/// The files in `directory` that may have compiled code in them.
pub(super) fn files(directory: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let files = fs::read_dir(directory)?.flatten().map(|file| file.path());
    Ok(files.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)))
}

/// The name of a file with such content.
#[cfg(feature = "compiler")]
pub(super) fn file_name(code: &[u8]) -> String {
    format!("{}.{EXTENSION}", blake3::hash(code).to_hex())
}

/// What a package has in `directory` of what was compiled from `input`: one file for each kind of host. Only for packages
/// that are trusted.
///
/// # Errors
///
/// When none of them fits: why the last one does not.
pub(super) fn of_package<C: Compiled>(
    engine: &wasmtime::Engine,
    directory: &Path,
    input: blake3::Hash,
) -> wasmtime::Result<C> {
    let mut reason = wasmtime::format_err!("it is for another module, another version or another memory limit");
    for path in files(&directory.join(package_key(input))).into_iter().flatten() {
        match load_file(engine, &path) {
            Ok(compiled) => return Ok(compiled),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Puts `code`, which was compiled from `input`, where [`of_package`] finds it.
#[cfg(feature = "compiler")]
pub(super) fn put_in_package(directory: &Path, input: blake3::Hash, code: &[u8]) -> io::Result<()> {
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

const EXTENSION: &str = "cwasm";
