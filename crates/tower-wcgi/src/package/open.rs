//! Opening: which kind of package is at a path, and the command that was asked for.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::command::{Front, Snapshot};
use super::dependencies::{Asked, Dependencies, Scope};
use super::manifest;
use super::opened::{MANIFESTS, Module, Package, stem};
use super::refuse::refuse;
#[cfg(feature = "webc")]
use super::webc::open as open_webc;
use crate::error::Error;

/// Opens the package at `path` and picks the command to run: `command`, else what the package itself says.
///
/// A directory is opened by its `wasmer.toml`, else its `wapm.toml`. A `.toml` file is a manifest itself. A `.webc` is
/// recognised by its first bytes or its name. Every other file counts as a module, whatever its name. Modules of other
/// packages are looked for in `dependencies`.
///
/// # Errors
///
/// [`ErrorKind::Package`] if there is no package, its manifest cannot be used, or no single command can be picked.
pub(crate) fn open(path: &Path, command: Option<&str>, dependencies: &Dependencies) -> Result<Package, Error> {
    open_asked(path, Asked::Command(command), &Scope::new(dependencies, path, open_asked))
}

/// The names of the commands of a package; none of a module alone, or where there is nothing that can be read.
///
/// # Errors
///
/// [`ErrorKind::Package`] if the file cannot be read.
#[cfg(feature = "webc")]
pub(crate) fn command_names(path: &Path) -> Result<Vec<String>, Error> {
    let file = match path.is_dir() {
        true => MANIFESTS.map(|name| path.join(name)).into_iter().find(|file| file.is_file()),
        false => Some(path.to_owned()),
    };
    let Some(file) = file else { return Ok(Vec::new()) };
    if file.is_file() && begins_as_webc(&file)? {
        return Ok(super::webc::command_names(&file));
    }
    if file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("toml")) {
        return Ok(Vec::new());
    }
    // Opening it says what is wrong with it.
    let table: toml::Table = fs::read_to_string(&file).unwrap_or_default().parse().unwrap_or_default();
    let commands = table.get("command").and_then(toml::Value::as_array);
    let names = commands.into_iter().flatten().filter_map(|command| command.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

fn open_asked(path: &Path, asked: Asked<'_>, scope: &Scope<'_>) -> Result<Package, Error> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let what = if missing { "no package at" } else { "cannot open" };
        refuse(format!("{what} {shown}")).with_source(error).with_hint(WHAT_IS_A_PACKAGE)
    })?;
    if metadata.is_dir() {
        for name in MANIFESTS {
            let manifest = path.join(name);
            if manifest.is_file() {
                return manifest::open(path, &manifest, asked, scope);
            }
        }
        return Err(refuse(format!("no wasmer.toml in {shown}")).with_hint(WHAT_IS_A_PACKAGE));
    }
    let extension = path.extension().map(OsStr::to_ascii_lowercase).unwrap_or_default();
    if extension == "toml" {
        return manifest::open(path.parent().unwrap_or(Path::new("")), path, asked, scope);
    }
    if extension == "webc" || metadata.is_file() && begins_as_webc(path)? {
        return match asked {
            Asked::Command(command) => open_webc(path, command),
            // Its command of that name, or its only one.
            Asked::Module(module) => open_webc(path, Some(module)).or_else(|_| open_webc(path, None)),
        };
    }
    if let Asked::Command(Some(command)) = asked {
        return Err(refuse(format!("no command {command:?}: {shown} is a single module"))
            .with_hint("leave the command out, or open the package that has it"));
    }
    let name = stem(path);
    Ok(Package {
        arguments: vec![name.clone()],
        about: Vec::new(),
        directory: None,
        command: name.clone(),
        name,
        compiled: None,
        module: Module::File(path.to_owned()),
        module_label: shown.to_string(),
        env: Vec::new(),
        snapshot: Snapshot::default(),
        cwd: None,
        mounts: Vec::new(),
        site: None,
        front: Front::default(),
        connect: Vec::new(),
        asks: Vec::new(),
        unpacked: None,
        warnings: Vec::new(),
    })
}

#[cfg(not(feature = "webc"))]
fn open_webc(path: &Path, _command: Option<&str>) -> Result<Package, Error> {
    Err(refuse(format!("{}: this build does not open .webc packages", path.display()))
        .with_hint("build with the feature `webc`, or unpack the package into a directory"))
}

fn begins_as_webc(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::with_capacity(WEBC_MAGIC.len());
    File::open(path)
        .and_then(|file| file.take(WEBC_MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| refuse(format!("cannot read {}", path.display())).with_source(error))?;
    Ok(start == WEBC_MAGIC)
}

const WEBC_MAGIC: &[u8] = b"\0webc";

const WHAT_IS_A_PACKAGE: &str = "a package is a directory with wasmer.toml, a .webc file, or a .wasm or .wat module";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_missing_path_is_named() {
        let error = open(Path::new("no/such/package"), None, &Dependencies::default()).unwrap_err();
        assert_eq!(error.to_string(), "no package at no/such/package");
        assert_eq!(error.hint(), Some(WHAT_IS_A_PACKAGE));
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(error.kind(), ErrorKind::Package);
    }

    #[test]
    fn a_directory_without_manifest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path(), None, &Dependencies::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("no wasmer.toml in {}", dir.path().display()));
        assert_eq!(error.hint(), Some(WHAT_IS_A_PACKAGE));
    }

    #[test]
    fn any_other_file_is_a_module() {
        let dir = tempfile::tempdir().unwrap();
        for (file, name) in [("hello.wasm", "hello"), ("hello.wat", "hello"), ("a.cgi", "a"), ("noext", "noext")] {
            let path = dir.path().join(file);
            fs::write(&path, "").unwrap();
            let package = open(&path, None, &Dependencies::default()).unwrap();
            assert_eq!((package.name.as_str(), package.arguments.as_slice()), (name, &[name.to_owned()][..]));
            assert!(matches!(&package.module, Module::File(module) if *module == path));
            assert_eq!(package.module_label, path.display().to_string());
            assert!(package.mounts.is_empty() && package.env.is_empty() && package.warnings.is_empty());

            let error = open(&path, Some("php"), &Dependencies::default()).unwrap_err();
            assert!(error.to_string().starts_with("no command \"php\": "), "{error}");
        }
    }

    #[cfg(not(feature = "webc"))]
    #[test]
    fn a_webc_needs_the_feature() {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in [("x.webc", &b""[..]), ("renamed.wasm", b"\0webc003")] {
            let path = dir.path().join(file);
            fs::write(&path, content).unwrap();
            let error = open(&path, None, &Dependencies::default()).unwrap_err();
            assert!(error.to_string().ends_with("this build does not open .webc packages"), "{error}");
            assert!(error.hint().unwrap().contains("feature `webc`"));
        }
    }
}
