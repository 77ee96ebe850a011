//! A package in one file, for whatever runs such files.
//!
//! In: a builder with a package. Out: a `.webc` with the modules of its commands, those of dependencies too, and the files
//! that they read. The same package gives the same bytes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::builder::WcgiBuilder;
use crate::error::{Error, ErrorKind};
use crate::package::{MANIFESTS, Package, Packed, command_names, manifest_of, to_webc};
use crate::scratch::Scratch;
use crate::script::Source;

impl WcgiBuilder {
    /// Writes the package into the file `path`, a `.webc` as Wasmer reads it: all commands, or the one that was
    /// [chosen](Self::command). Modules of [dependencies](Self::dependency) are in it. Gives the size of the file, and a line
    /// for each thing that has no place in such a file.
    ///
    /// Writable mounts are left out: whoever runs the file gives a directory for each.
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// let (bytes, left_out) = WcgiService::builder().package("blog/").pack("blog.webc")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] when the package cannot be opened, or a link in a mount leads out of it. [`ErrorKind::Module`]
    /// when a module is none. [`ErrorKind::Host`] when the file cannot be written.
    pub fn pack(self, path: impl AsRef<Path>) -> Result<(u64, Vec<String>), Error> {
        let path = path.as_ref();
        let (opened, entrypoint) = self.open_commands()?;
        if let Some(package) = opened.iter().find(|package| package.unpacked.is_some()) {
            let message = format!("{} is in a .webc already", package.name);
            return Err(Error::new(ErrorKind::Package, message).with_hint("copy the file"));
        }
        let mut commands = Vec::new();
        for package in &opened {
            let source = Source { module: &package.module, label: &package.module_label, compiled: None };
            commands.push(Packed { package, wasm: source.wasm()? });
        }
        let (bytes, left_out) = to_webc(&commands, entrypoint.as_deref())?;
        let cannot = |error| Error::new(ErrorKind::Host, format!("cannot write {}", path.display())).with_source(error);
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(directory).map_err(cannot)?;
        file.write_all(&bytes).map_err(cannot)?;
        readable(file.as_file()).map_err(cannot)?;
        file.persist(path).map_err(|error| cannot(error.error))?;
        Ok((bytes.len() as u64, left_out))
    }

    /// The package opened for each of its commands, or for the one that was chosen, and the command that it begins with.
    fn open_commands(mut self) -> Result<(Vec<Package>, Option<String>), Error> {
        let entrypoint = self.open_package();
        let names = match (&self.command, &self.package) {
            (None, Some(path)) => command_names(path)?,
            _ => Vec::new(),
        };
        if names.is_empty() {
            let only = entrypoint?;
            let command = only.command.clone();
            return Ok((vec![only], Some(command)));
        }
        let mut opened = Vec::new();
        for name in names {
            self.command = Some(name);
            opened.push(self.open_package()?);
        }
        // Of several, none may be the first.
        Ok((opened, entrypoint.ok().map(|package| package.command)))
    }
}

/// A `.webc` as a directory with a manifest. The directory is gone when this is dropped.
#[derive(Debug)]
pub struct Unpacked {
    directory: Scratch,
    /// Has the files of the mounts, to which the manifest points.
    _packages: Vec<Package>,
}

impl Unpacked {
    /// Unpacks the `.webc` at `path`, for a program that takes directories only. Its manifest grants what the file only asks
    /// for, so the directory is not for running it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] when it cannot be opened. [`ErrorKind::Host`] when nothing can be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (packages, entrypoint) = WcgiBuilder::default().package(path.as_ref()).open_commands()?;
        let cannot = |error| Error::new(ErrorKind::Host, "cannot unpack the .webc").with_source(error);
        let directory = Scratch::new("unpacked-").map_err(cannot)?;
        let mut commands: Vec<(&Package, String)> = Vec::new();
        for (at, package) in packages.iter().enumerate() {
            let known = commands.iter().find(|(other, _)| other.module_label == package.module_label);
            let source = match known {
                Some((_, source)) => source.clone(),
                None => {
                    let source = Source { module: &package.module, label: &package.module_label, compiled: None };
                    let name = format!("{at}.wasm");
                    fs::write(directory.path().join(&name), source.wasm()?).map_err(cannot)?;
                    name
                }
            };
            commands.push((package, source));
        }
        let manifest = manifest_of(&commands, entrypoint.as_deref());
        fs::write(directory.path().join(MANIFESTS[0]), manifest).map_err(cannot)?;
        Ok(Self { directory, _packages: packages })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The usual mode of a file; a temporary one is for its owner alone.
#[cfg(unix)]
fn readable(file: &File) -> std::io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}
