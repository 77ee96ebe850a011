//! Dependencies: a module that is in another package, with the defaults that this one has for it.
//!
//! In: the `[dependencies]` of a manifest, and where the packages are that it names by reference. Out: the package that has
//! the module, opened. It fetches nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::command::{Snapshot, list, set_env};
use super::document::{Table, Text};
use super::opened::Package;
use crate::error::Error;
use crate::mount::overlay;

/// Where the packages are that manifests name by reference, as they write it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dependencies(BTreeMap<String, PathBuf>);

impl Dependencies {
    pub(crate) fn insert(&mut self, reference: String, path: PathBuf) {
        self.0.insert(reference, path);
    }
}

/// What a package is opened for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// To run it: this command, or what the package itself says.
    Command(Option<&'a str>),
    /// For a module, and the defaults that it has for that.
    Module(&'a str),
}

/// Opens whatever kind of package is at a path.
type Opener = fn(&Path, Asked<'_>, &Scope<'_>) -> Result<Package, Error>;

/// A package that is being opened, and the one that wants it.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    opener: Opener,
    known: &'a Dependencies,
    above: Option<&'a Self>,
    path: PathBuf,
    depth: usize,
}

impl<'a> Scope<'a> {
    /// The scope of the package that somebody has asked for.
    pub(super) fn new(known: &'a Dependencies, path: &Path, opener: Opener) -> Self {
        Self { opener, known, above: None, path: path.to_owned(), depth: 0 }
    }

    /// Opens the dependency `name` of the package in `directory`, for its module `module`. `wanted` is where that is said.
    ///
    /// # Errors
    ///
    /// When there is no such dependency, it is not on this machine, or cannot be opened; when packages depend on each other
    /// in a circle, or too deeply.
    pub(super) fn open(
        &self,
        root: &Table<'_>,
        directory: &Path,
        wanted: &Text<'_>,
        name: &str,
        module: &str,
    ) -> Result<Package, Error> {
        let table = root.table("dependencies")?;
        let Some(value) = table.as_ref().map(|table| table.text(&[name])).transpose()?.flatten() else {
            let names = list(table.iter().flat_map(Table::names));
            let among =
                if names.is_empty() { "there are no [dependencies]".to_owned() } else { format!("among {names}") };
            return Err(wanted.error(&format!("no dependency {name:?}: {among}")).with_hint(HOW_TO_DEPEND));
        };
        let path = self.path(&value, directory)?;
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let scopes = || std::iter::successors(Some(self), |scope| scope.above);
        if self.depth >= DEEPEST || scopes().any(|scope| real(&scope.path) == real(&path)) {
            let mut chain: Vec<_> = scopes().map(|scope| scope.path.display().to_string()).collect();
            chain.reverse();
            chain.push(path.display().to_string());
            let what = if self.depth >= DEEPEST { "more than 8 deep" } else { "in a circle" };
            return Err(value.error(&format!("dependencies {what}: {}", chain.join(" → "))));
        }
        let scope = Scope { opener: self.opener, known: self.known, above: Some(self), path, depth: self.depth + 1 };
        (self.opener)(&scope.path, Asked::Module(module), &scope)
    }

    fn path(&self, value: &Text<'_>, directory: &Path) -> Result<PathBuf, Error> {
        let text = value.without_nul()?;
        if is_path(text) {
            return Ok(directory.join(text));
        }
        if let Some(path) = self.known.0.get(text) {
            return Ok(path.clone());
        }
        if is_requirement(text) {
            return Err(value
                .error(&format!("{text:?} is a version, which names no registry"))
                .with_hint(HOW_TO_DEPEND));
        }
        Err(value
            .error(&format!("{text:?} is not on this machine"))
            .with_hint("`wcgi` fetches it; a Rust program gives its directory to `WcgiBuilder::dependency`"))
    }
}

/// Warns of dependencies that could not be used.
pub(super) fn warn_unusable(root: &Table<'_>) -> Result<(), Error> {
    let Some(table) = root.table("dependencies")? else { return Ok(()) };
    for name in table.names() {
        match table.text(&[name]) {
            Ok(Some(value)) if is_requirement(value.value) => table.warn(name, "a version names no registry, ignored"),
            Ok(_) => {}
            Err(_) => table.warn(name, "expected a path or a reference, ignored"),
        }
    }
    Ok(())
}

impl Package {
    /// Takes over what `dependency` has for its module: the module itself, and what this package does not say.
    pub(super) fn depend_on(&mut self, dependency: Self, says_snapshot: bool) {
        let own = std::mem::take(&mut self.env);
        self.env = dependency.env;
        for (name, value) in &own {
            set_env(&mut self.env, name, value);
        }
        self.mounts = overlay(dependency.mounts, std::mem::take(&mut self.mounts));
        let of_dependency = dependency.snapshot;
        self.snapshot = if says_snapshot {
            let mut env = of_dependency.env;
            for (name, value) in &self.snapshot.env {
                set_env(&mut env, name, value);
            }
            let reseeds = self.snapshot.reseeds || of_dependency.reseeds;
            Snapshot { env, reseeds, mounts: of_dependency.mounts, ..self.snapshot.clone() }
        } else {
            Snapshot { warmup: Vec::new(), ..of_dependency }
        };
        self.module = dependency.module;
        self.module_label = dependency.module_label;
        self.compiled = dependency.compiled;
        self.unpacked = dependency.unpacked;
        self.warnings.extend(dependency.warnings);
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with("./") || text.starts_with("../") || text.starts_with('/') || matches!(text, "." | "..")
}

/// `^1.0`, `*`, `>=1, <2`, `1.2.3`: what Cargo, npm and Wasmer write.
fn is_requirement(text: &str) -> bool {
    let version = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.starts_with(['^', '~', '*', '=', '<', '>'])
        || version.split('.').all(|part| is_number(part) || matches!(part, "x" | "*"))
}

const DEEPEST: usize = 8;
const HOW_TO_DEPEND: &str = "write `[dependencies]` with a path or a reference, such as `php = \"php:8.4\"`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Module, open};

    /// Packages beside each other.
    fn packages(manifests: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, manifest) in manifests {
            let package = folder.path().join(name);
            fs::create_dir(&package).unwrap();
            fs::write(package.join("wasmer.toml"), manifest).unwrap();
            fs::write(package.join("m.wasm"), "\0asm").unwrap();
        }
        folder
    }

    fn opened(folder: &tempfile::TempDir, known: &[(&str, &str)]) -> Result<Package, Error> {
        let mut dependencies = Dependencies::default();
        for (reference, name) in known {
            dependencies.insert((*reference).to_owned(), folder.path().join(name));
        }
        open(&folder.path().join("site"), None, &dependencies)
    }

    fn site(dependency: &str, rest: &str) -> String {
        let command = "[[command]]\nname = 'site'\nmodule = 'php:php'\nrunner = 'wcgi'\n";
        format!("[dependencies]\nphp = '{dependency}'\n{command}{rest}")
    }

    const PHP: &str = r#"
[[module]]
name = "php"
source = "m.wasm"
[[command]]
name = "php"
module = "php"
[command.annotations.wasi]
env = ["A=theirs", "B=theirs"]
main-args = ["-x"]
[command.annotations.wcgi.snapshot]
reseeds = true
warmup = ["/"]
[fs]
"/etc/php" = "etc"
"/app" = "example"
"#;

    #[test]
    fn a_dependency_brings_its_module_and_defaults() {
        let rest = "[command.annotations.wasi]\nenv = ['B=mine']\n[fs]\n'/app' = 'app'\n";
        let folder = packages(&[("php", PHP), ("site", &site("../php", rest))]);
        let package = opened(&folder, &[]).unwrap();
        let file = folder.path().join("site/../php/m.wasm");
        assert!(matches!(&package.module, Module::File(module) if *module == file), "{:?}", package.module);
        assert_eq!((package.name.as_str(), package.arguments.as_slice()), ("site", &["site".to_owned()][..]));
        let env: Vec<_> = package.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=theirs", "B=mine"]);
        let mounts: Vec<_> = package.mounts.iter().map(|mount| (&*mount.guest, mount.host.ends_with("app"))).collect();
        assert_eq!(mounts, [("/etc/php", false), ("/app", true)]);
        assert!(package.snapshot.reseeds && package.snapshot.warmup.is_empty());
        assert_eq!(package.warnings, [""; 0]);
    }

    #[test]
    fn wasmers_spellings_mean_the_same() {
        let of =
            |command: &str| format!("[dependencies]\n'me/php' = '../php'\n[[command]]\nname = 'site'\n{command}\n");
        for command in [
            "module = 'me/php:php'",
            "module = 'php'\npackage = 'me/php'",
            "[command.annotations.wasi]\natom = 'me/php:php'",
            "[command.annotations]\natom = { name = 'php', dependency = 'me/php' }",
        ] {
            let folder = packages(&[("php", PHP), ("site", &of(command))]);
            let package = opened(&folder, &[]).unwrap_or_else(|error| panic!("{command}: {error}"));
            assert!(package.module_label.ends_with("php/m.wasm"), "{}", package.module_label);
        }
    }

    #[test]
    fn references_lead_where_they_are_said_to_lead() {
        let folder = packages(&[("php", PHP), ("site", &site("php:8.4", ""))]);
        assert!(opened(&folder, &[("php:8.4", "php")]).unwrap().module_label.ends_with("php/m.wasm"));
        assert!(opened(&folder, &[("php:8.4", "php/m.wasm")]).unwrap().mounts.is_empty(), "a module alone");
        let error = opened(&folder, &[("php:8.5", "php")]).unwrap_err();
        assert!(error.to_string().ends_with("dependencies.php: \"php:8.4\" is not on this machine"), "{error}");
    }

    #[test]
    fn what_cannot_be_depended_on_is_named() {
        for (manifest, expected) in [
            (site("^8.4", ""), "dependencies.php: \"^8.4\" is a version, which names no registry"),
            (site("../none", ""), "no package at "),
            (site(".", ""), "dependencies in a circle: "),
            (site("../php", "").replace("php:php", "perl:perl"), "no dependency \"perl\": among \"php\""),
            (site("../two", ""), "no module \"php\" among \"a\", \"b\""),
        ] {
            let two = "[[module]]\nname = 'a'\nsource = 'm.wasm'\n[[module]]\nname = 'b'\nsource = 'm.wasm'\n";
            let folder = packages(&[("php", PHP), ("two", two), ("site", &manifest)]);
            let error = opened(&folder, &[]).unwrap_err();
            assert!(error.to_string().contains(expected), "{manifest}: {error}");
        }
        // One that is not used is a warning at most.
        let unused = PHP.to_owned() + "[dependencies]\nold = '^1'\nother = 'other:1'\n";
        let package = opened(&packages(&[("site", &unused)]), &[]).unwrap();
        assert_eq!(package.warnings.len(), 1, "{:?}", package.warnings);
    }

    #[test]
    fn dependencies_of_dependencies_are_followed_and_circles_named() {
        let forward = "[dependencies]\nbase = '../php'\n[[command]]\nname = 'php'\nmodule = 'base:php'\n";
        let folder = packages(&[("php", PHP), ("middle", forward), ("site", &site("../middle", ""))]);
        assert!(opened(&folder, &[]).unwrap().module_label.ends_with("php/m.wasm"));
        let back = forward.replace("../php", "../site").replace("base:php", "base:site");
        let folder = packages(&[("middle", &back), ("site", &site("../middle", ""))]);
        let error = opened(&folder, &[]).unwrap_err();
        assert!(error.to_string().contains("in a circle") && error.to_string().contains(" → "), "{error}");
    }
}
