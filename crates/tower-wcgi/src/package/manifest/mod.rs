//! The manifest: `wasmer.toml`, or `wapm.toml` as it was called before.
//!
//! In: a package's directory and its manifest. Out: a [`Package`]. Manifests in the wild are read tolerantly: an unknown key
//! is a warning. A setting that cannot be honoured and would change the script's behaviour is an error. Both name file, line
//! and key.
//!
//! # Keys
//!
//! - `package.{name, entrypoint}`
//! - `[dependencies]`, name = path or reference
//! - `[[module]]` with `name`, `source` and `compiled`, a directory of compiled code
//! - `[[command]]` with `name`, `module`, `runner`, `main_args` and `annotations` (see [`Settings::read`])
//! - `[fs]`, guest path = host directory
//!
//! An entry of `[fs]` is read-only. A table makes it writable:
//!
//! ```toml
//! [fs]
//! "/app" = "app"
//! "/db" = { path = "db", mode = "rw" }
//! ```

#[cfg(any(feature = "compiler", feature = "webc"))]
mod written;

use std::fs;
use std::path::{Component, Path, PathBuf};

#[cfg(feature = "compiler")]
pub(crate) use written::Written;
#[cfg(feature = "webc")]
pub(in crate::package) use written::{wasi_table, wcgi_table};

use super::command::{Candidate, Runner, Settings, list, pick};
use super::dependencies::{Asked, Scope, warn_unusable};
use super::document::{Document, Table, Text, TextOrTable, line_of};
use super::opened::{Module, Package};
use super::refuse::refuse;
use crate::error::Error;
use crate::mount::{Access, Mount, guest_path, overlay};

/// Opens the package in `directory` by the manifest `file`.
///
/// # Errors
///
/// Fails if the manifest cannot be read or used, or no single command can be picked.
pub(super) fn open(directory: &Path, file: &Path, asked: Asked<'_>, scope: &Scope<'_>) -> Result<Package, Error> {
    let shown = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| refuse(format!("cannot read {shown}")).with_source(error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid =
            String::from_utf8_lossy(error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default());
        refuse(format!("{shown}:{}: not TOML: not UTF-8", line_of(&valid, valid.len())))
    })?;
    read(&Document::from_toml(shown, &text)?, directory, asked, scope)
}

fn read(document: &Document, directory: &Path, asked: Asked<'_>, scope: &Scope<'_>) -> Result<Package, Error> {
    let root = document.root();
    root.warn_unknown(ROOT_KEYS);
    let about = root.table("package")?;
    let (mut package_name, mut entrypoint, mut described) = (None, None, Vec::new());
    if let Some(about) = &about {
        about.warn_unknown(PACKAGE_KEYS);
        package_name = about.text(&["name"])?;
        entrypoint = about.text(&["entrypoint"])?;
        let texts = ABOUT_KEYS.iter().filter_map(|key| Some((*key, about.text(&[key]).ok()??)));
        described = texts.map(|(key, text)| (key.to_owned(), text.value.to_owned())).collect();
    }
    let modules = modules(&root)?;
    let commands = commands(&root)?;
    let mounts = mounts(&root, directory)?;

    warn_unusable(&root)?;

    let mut settings = Settings::default();
    let (source, name) = match asked {
        Asked::Module(wanted) => {
            // The command of that name, or the only one, has the defaults.
            let of_name = commands.iter().find(|command| command.name.value == wanted);
            let command = of_name.or(if let [only] = commands.as_slice() { Some(only) } else { None });
            if let Some(command) = command {
                settings = command.settings()?;
            }
            let source = match (modules.iter().find(|module| module.name.value == wanted), of_name, modules.as_slice())
            {
                (Some(module), ..) => Origin::Own(module),
                (None, Some(command), _) => command.module(&modules, &settings, package_name.as_ref())?,
                (None, None, [only]) => Origin::Own(only),
                (None, None, _) => {
                    let names = module_names(&modules);
                    return Err(refuse(format!("{}: no module {wanted:?} among {names}", document.file())));
                }
            };
            (source, wanted)
        }
        Asked::Command(asked) => match (commands.as_slice(), modules.as_slice()) {
            ([], [module]) => {
                let candidate = Candidate { name: module.name.value, runner: Some(Runner::Wasi) };
                pick(document.file(), &[candidate], asked, entrypoint.as_ref())?;
                module.name.warn("no [[command]] in the manifest, running its only module");
                (Origin::Own(module), module.name.value)
            }
            _ => {
                let candidates: Vec<_> = commands.iter().map(Command::candidate).collect();
                let picked = pick(document.file(), &candidates, asked, entrypoint.as_ref())?;
                // `pick` gives an index into `candidates`, which has an entry for each command.
                let Some(command) = commands.get(picked) else {
                    return Err(refuse(format!("{}: no commands", document.file())));
                };
                if let Some(runner) = command.runner.as_ref().filter(|runner| Runner::parse(runner.value).is_none()) {
                    let why = format!("unknown runner {:?}, only \"wcgi\" and \"wasi\" can run here", runner.value);
                    return Err(runner.error(&why));
                }
                settings = command.settings()?;
                (command.module(&modules, &settings, package_name.as_ref())?, command.name.value)
            }
        },
    };
    let mut dependency = None;
    let (module, module_label, compiled) = match source {
        Origin::Own(module) => {
            let (source, label) = module.source(directory)?;
            (source, label, module.table.text(&["compiled"])?.map(|text| directory.join(text.value)))
        }
        Origin::Dependency { said, package, module } => {
            dependency = Some(scope.open(&root, directory, &said, package, module)?);
            (Module::File(PathBuf::new()), String::new(), None)
        }
    };
    let says_snapshot = settings.snapshot.is_some();
    let mut package = Package {
        name: package_name.map_or_else(|| directory_name(directory), |name| name.value.to_owned()),
        about: described,
        directory: Some(directory.to_owned()),
        command: name.to_owned(),
        module,
        compiled,
        module_label,
        arguments: settings.arguments(name),
        env: settings.env,
        snapshot: settings.snapshot.unwrap_or_default(),
        cwd: settings.cwd,
        mounts,
        site: settings.site,
        front: settings.front,
        connect: settings.connect,
        asks: Vec::new(),
        unpacked: None,
        warnings: document.take_warnings(),
    };
    if let Some(dependency) = dependency {
        package.depend_on(dependency, says_snapshot);
    }
    Ok(package)
}

/// Where the module of a command is.
enum Origin<'m, 'd> {
    Own(&'m ModuleEntry<'d>),
    /// In another package. It is said there that it is.
    Dependency {
        said: Text<'d>,
        package: &'d str,
        module: &'d str,
    },
}

/// A `[[module]]`.
struct ModuleEntry<'d> {
    name: Text<'d>,
    table: Table<'d>,
}

impl ModuleEntry<'_> {
    fn source(&self, directory: &Path) -> Result<(Module, String), Error> {
        let Some(source) = self.table.text(&["source"])? else {
            return Err(self.table.error("source", &format!("missing in module {:?}", self.name.value)));
        };
        if source.value.is_empty() {
            return Err(source.error("is empty"));
        }
        // A source outside of the package is common (`../target/…`) and only ever read as a module.
        let path = directory.join(source.without_nul()?);
        let shown = path.display().to_string();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(source.error(&format!("{shown} is a directory"))),
            Ok(_) => Ok((Module::File(path), shown)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(source
                .error(&format!("no file {shown}"))
                .with_source(error)
                .with_hint("build the module first, or correct the path; it is relative to the manifest")),
            Err(error) => Err(source.error(&format!("cannot open {shown}")).with_source(error)),
        }
    }
}

fn modules<'d>(root: &Table<'d>) -> Result<Vec<ModuleEntry<'d>>, Error> {
    let mut modules: Vec<ModuleEntry<'d>> = Vec::new();
    for table in root.tables("module")? {
        table.warn_unknown(MODULE_KEYS);
        let name = required_name(&table)?;
        if modules.iter().any(|module| module.name.value == name.value) {
            return Err(name.error(&format!("a second module {:?}", name.value)));
        }
        modules.push(ModuleEntry { name, table });
    }
    Ok(modules)
}

/// A `[[command]]`.
struct Command<'d> {
    name: Text<'d>,
    runner: Option<Text<'d>>,
    table: Table<'d>,
}

impl<'d> Command<'d> {
    fn candidate(&self) -> Candidate<'d> {
        // A manifest without a runner is one of the first, from a time with WASI alone.
        let runner = self.runner.as_ref().map_or(Some(Runner::Wasi), |runner| Runner::parse(runner.value));
        Candidate { name: self.name.value, runner }
    }

    fn settings(&self) -> Result<Settings<'d>, Error> {
        let mut settings = Settings::default();
        if let Some(annotations) = self.table.table("annotations")? {
            settings = Settings::read(&annotations)?;
        }
        // The first manifests have the arguments here, as one string.
        if let Some(main_args) = self.table.text(&["main_args", "main-args"])?
            && settings.main_args.is_empty()
        {
            settings.main_args = main_args.without_nul()?.split_whitespace().map(str::to_owned).collect();
        }
        Ok(settings)
    }

    /// The module that answers: the command's, else the one in its annotations, else the only one.
    fn module<'m>(
        &self,
        modules: &'m [ModuleEntry<'d>],
        settings: &Settings<'d>,
        package_name: Option<&Text<'d>>,
    ) -> Result<Origin<'m, 'd>, Error> {
        let (named, atom) = (self.table.text(&["module"])?, settings.atom.as_ref());
        let other =
            self.table.text(&["package"])?.filter(|said| package_name.is_none_or(|own| own.value != said.value));
        if let Some(said) = other.or_else(|| settings.atom_package.clone()) {
            let module = named.as_ref().or(atom).map_or(self.name.value, |module| module.value);
            return Ok(Origin::Dependency { package: said.value, said, module });
        }
        if let (Some(named), Some(atom)) = (&named, atom)
            && named.value != atom.value
        {
            atom.warn(&format!("{:?} differs from the command's module {:?}, which counts", atom.value, named.value));
        }
        let Some(wanted) = named.as_ref().or(atom) else {
            return match modules {
                [] => Err(self.table.error("module", "missing, and the package has no [[module]]")),
                [only] => {
                    self.table.warn("module", &format!("missing, using the only module, {:?}", only.name.value));
                    Ok(Origin::Own(only))
                }
                _ => Err(self.table.error("module", &format!("missing, the modules are {}", module_names(modules)))),
            };
        };
        if let Some((package, module)) = wanted.value.split_once(':') {
            return Ok(Origin::Dependency { said: wanted.clone(), package, module });
        }
        if let Some(module) = modules.iter().find(|module| module.name.value == wanted.value) {
            return Ok(Origin::Own(module));
        }
        match modules {
            [] => Err(wanted
                .error(&format!("no module {:?}, the package has no [[module]]", wanted.value))
                .with_hint("add a `[[module]]`, or write `DEPENDENCY:MODULE` for one of a dependency")),
            [only] => {
                wanted.warn(&format!("no module {:?}, using the only one, {:?}", wanted.value, only.name.value));
                Ok(Origin::Own(only))
            }
            _ => Err(wanted.error(&format!("no module {:?} among {}", wanted.value, module_names(modules)))),
        }
    }
}

fn commands<'d>(root: &Table<'d>) -> Result<Vec<Command<'d>>, Error> {
    let mut commands: Vec<Command<'d>> = Vec::new();
    for table in root.tables("command")? {
        table.warn_unknown(COMMAND_KEYS);
        let name = required_name(&table)?;
        if commands.iter().any(|command| command.name.value == name.value) {
            return Err(name.error(&format!("a second command {:?}", name.value)));
        }
        commands.push(Command { name, runner: table.text(&["runner"])?, table });
    }
    Ok(commands)
}

fn required_name<'d>(table: &Table<'d>) -> Result<Text<'d>, Error> {
    let name = table.text(&["name"])?.ok_or_else(|| table.error("name", "missing"))?;
    // It may become the program's name.
    name.without_nul()?;
    Ok(name)
}

fn module_names(modules: &[ModuleEntry<'_>]) -> String {
    list(modules.iter().map(|module| module.name.value))
}

fn mounts(root: &Table<'_>, directory: &Path) -> Result<Vec<Mount>, Error> {
    let Some(table) = root.table("fs")? else { return Ok(Vec::new()) };
    let mut mounts: Vec<Mount> = Vec::new();
    for name in table.names() {
        let guest = guest_path(name).map_err(|error| table.error(name, &error.to_string()))?;
        if mounts.iter().any(|mount| mount.guest == guest) {
            return Err(table.error(name, &format!("{guest} is mounted twice")));
        }
        let (host, access) = match table.text_or_table(name)? {
            Some(TextOrTable::Text(host)) => (host, Access::ReadOnly),
            Some(TextOrTable::Table(entry)) => {
                entry.warn_unknown(&["path", "mode"]);
                let Some(host) = entry.text(&["path"])? else { return Err(entry.error("path", "missing")) };
                (host, access(entry.text(&["mode"])?.as_ref())?)
            }
            None => continue,
        };
        if host.value.is_empty() {
            return Err(host.error("is empty").with_hint("the package's own directory is `.`"));
        }
        if leaves_the_package(Path::new(host.without_nul()?)) {
            host.warn(&format!("{:?} is outside of the package", host.value));
        }
        mounts.push(Mount { guest, host: directory.join(host.value), access });
    }
    Ok(overlay(mounts, Vec::new()))
}

fn access(mode: Option<&Text<'_>>) -> Result<Access, Error> {
    match mode.map(|mode| (mode, mode.value)) {
        None | Some((_, "ro")) => Ok(Access::ReadOnly),
        Some((_, "rw")) => Ok(Access::ReadWrite),
        Some((mode, value)) => Err(mode.error(&format!("unknown mode {value:?}, the modes are \"ro\" and \"rw\""))),
    }
}

fn leaves_the_package(host: &Path) -> bool {
    let mut depth = 0_usize;
    for component in host.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

/// The name of a package without one: that of its directory. `.` and `..` stand for a directory with a name.
fn directory_name(directory: &Path) -> String {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let name = directory.file_name().map(ToOwned::to_owned);
    let name = name.or_else(|| fs::canonicalize(directory).ok()?.file_name().map(ToOwned::to_owned));
    name.map_or_else(|| "package".to_owned(), |name| name.to_string_lossy().into_owned())
}

// The known keys. Some have no effect here and need no warning: they describe the package
// to a registry, or are for other runners.
const ROOT_KEYS: &[&str] = &["package", "module", "command", "fs", "dependencies", "registry", "wasmer-extra-flags"];
const PACKAGE_KEYS: &[&str] = &[
    "name",
    "version",
    "description",
    "entrypoint",
    "license",
    "license-file",
    "readme",
    "repository",
    "homepage",
    "private",
    "wasmer-extra-flags",
    "disable-command-rename",
    "rename-commands-to-raw-command-name",
];
const MODULE_KEYS: &[&str] =
    &["name", "source", "abi", "kind", "interfaces", "bindings", "hash", "annotations", "compiled"];
/// Keys that describe the package, which a new manifest of it keeps.
const ABOUT_KEYS: [&str; 8] =
    ["name", "version", "description", "license", "license-file", "readme", "repository", "homepage"];
const COMMAND_KEYS: &[&str] = &["name", "module", "runner", "annotations", "main_args", "main-args", "package"];

#[cfg(test)]
mod tests;
