//! The source of a script: a file or bytes, in the binary form or as text.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::package;

/// The source of a script.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) module: &'a package::Module,
    /// Names it in errors.
    pub(crate) label: &'a str,
    /// The directory where its package has it compiled.
    pub(crate) compiled: Option<&'a Path>,
}

impl Source<'_> {
    /// The binary form.
    pub(crate) fn wasm(&self) -> Result<Vec<u8>, Error> {
        let bytes = match self.module {
            package::Module::File(path) => Cow::Owned(read(path, self.label)?),
            package::Module::Bytes(bytes) => Cow::Borrowed(bytes.as_ref()),
        };
        match binary(&bytes, self.label)? {
            Cow::Owned(wasm) => Ok(wasm),
            Cow::Borrowed(_) => Ok(bytes.into_owned()),
        }
    }
}

fn read(path: &Path, label: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path)
        .map_err(|source| Error::new(ErrorKind::Package, format!("cannot read {label}")).with_source(source))
}

/// The binary form of `bytes`, which may be text.
fn binary<'a>(bytes: &'a [u8], label: &str) -> Result<Cow<'a, [u8]>, Error> {
    if !bytes.starts_with(WASM_MAGIC) && std::str::from_utf8(bytes).is_err() {
        return Err(Error::new(ErrorKind::Module, format!("{label} is neither WebAssembly nor its text format"))
            .with_hint("give a .wasm or .wat file, or a directory with wasmer.toml"));
    }
    wat::parse_bytes(bytes).map_err(|source| invalid(label, source))
}

pub(super) fn invalid(label: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Module, format!("{label} is not valid WebAssembly"))
        .with_source(source)
        .with_hint("it may have been cut short on its way here; build or fetch it again")
}

const WASM_MAGIC: &[u8] = b"\0asm";
