//! Packing: opened packages as one `.webc`, version 3.
//!
//! In: the commands of a package, each opened, with its module. Out: the bytes of a file that opens as the same. Nothing in
//! them depends on where the package lies or when its files were written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ::webc::PathSegment;
use ::webc::metadata::annotations::{FileSystemMapping, FileSystemMappings, WCGI_RUNNER_URI, Wapm};
use ::webc::metadata::{Annotation, Atom, AtomSignature, Command, Manifest};
use ::webc::v3::write::{DirEntry, Directory, FileEntry, SymlinkEntry, Writer};
use ::webc::v3::{ChecksumAlgorithm, SignatureAlgorithm, Timestamps};
use bytes::Bytes;
use toml::{Table, Value};

use crate::error::Error;
use crate::mount::{Access, Mount};
use crate::package::command::{Front, Snapshot};
use crate::package::manifest::{wasi_table, wcgi_table};
use crate::package::opened::Package;
use crate::package::refuse::refuse;

/// A command to pack: its package, opened for it, and the module in its binary form.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    pub(crate) package: &'a Package,
    pub(crate) wasm: Vec<u8>,
}

/// The bytes of the file, and a line for each thing that is not in it.
///
/// # Errors
///
/// [`ErrorKind::Package`](crate::ErrorKind::Package) when a name cannot be in such a file, a link leads out of its mount, or two
/// commands want different files at one path.
pub(crate) fn to_webc(commands: &[Packed<'_>], entrypoint: Option<&str>) -> Result<(Bytes, Vec<String>), Error> {
    let mut manifest = Manifest { entrypoint: entrypoint.map(str::to_owned), ..Manifest::default() };
    let mut atoms: BTreeMap<PathSegment, FileEntry<'_>> = BTreeMap::new();
    let mut mounts: Vec<&Mount> = Vec::new();
    let mut left_out = Vec::new();
    for (at, Packed { package, wasm }) in commands.iter().enumerate() {
        // A module that several commands have is there once, by the name of the first.
        let first = commands.iter().take(at).find(|other| other.wasm == *wasm);
        let atom = &first.map_or(*package, |first| first.package).command;
        if first.is_none() {
            atoms.insert(segment(atom)?, FileEntry::borrowed(wasm, Timestamps::default()));
            manifest.atoms.insert(atom.clone(), described(wasm)?);
        }
        manifest.commands.insert(package.command.clone(), command(package, atom, &mut left_out)?);
        for mount in &package.mounts {
            match mounts.iter().find(|other| other.guest == mount.guest) {
                Some(other) if other.host != mount.host => {
                    let why = format!("the commands of {} want different files at {}", package.name, mount.guest);
                    return Err(refuse(why).with_hint("pack one of them with --command"));
                }
                Some(_) => {}
                None => mounts.push(mount),
            }
        }
    }
    if let Some(Packed { package, .. }) = commands.first() {
        let about = |key: &str| package.about.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let mut wapm = Wapm::new(about("name"), about("version"), about("description"));
        wapm.license = about("license");
        wapm.repository = about("repository");
        wapm.homepage = about("homepage");
        manifest.package.insert(Wapm::KEY.to_owned(), Annotation::serialized(&wapm).map_err(cannot_describe)?);
    }

    mounts.sort_by(|a, b| a.guest.cmp(&b.guest));
    let (read_only, writable): (Vec<_>, Vec<_>) = mounts.into_iter().partition(|m| m.access == Access::ReadOnly);
    left_out.extend(writable.iter().map(|mount| {
        let guest = &mount.guest;
        format!(
            "what is mounted at {guest} is left out, as scripts write there: run the file with --mapdir {guest}:DIR"
        )
    }));
    let mapping = |mount: &&Mount| FileSystemMapping {
        from: None,
        volume_name: mount.guest.clone(),
        host_path: Some("/".to_owned()),
        mount_path: mount.guest.clone(),
    };
    if !read_only.is_empty() {
        let mappings = FileSystemMappings(read_only.iter().map(mapping).collect());
        manifest
            .package
            .insert(FileSystemMappings::KEY.to_owned(), Annotation::serialized(&mappings).map_err(cannot_describe)?);
    }

    let writer = Writer::new(ChecksumAlgorithm::Sha256).write_manifest(&manifest).map_err(cannot_describe)?;
    let mut writer = writer.write_atoms(atoms).map_err(cannot_describe)?;
    for mount in read_only {
        let root = fs::canonicalize(&mount.host).map_err(|error| unreadable(&mount.host, error))?;
        writer.write_volume(&mount.guest, volume(&root, &root)?).map_err(cannot_describe)?;
    }
    let bytes = writer.finish(SignatureAlgorithm::None).map_err(cannot_describe)?;
    Ok((bytes, left_out))
}

/// The text of a `wasmer.toml` with these commands, each with the file of its module. Mounts are where they are now.
pub(crate) fn manifest_of(commands: &[(&Package, String)], entrypoint: Option<&str>) -> String {
    let text = |text: &str| Value::String(text.to_owned());
    let mut about = Table::new();
    if let Some((package, _)) = commands.first() {
        about.insert("name".to_owned(), text(&package.name));
        about.extend(package.about.iter().map(|(key, value)| (key.clone(), text(value))));
    }
    about.extend(entrypoint.map(|name| ("entrypoint".to_owned(), text(name))));
    let (mut modules, mut written, mut mounts) = (Vec::new(), Vec::new(), Table::new());
    for (package, source) in commands {
        let module = Table::from_iter([("name".to_owned(), text(source)), ("source".to_owned(), text(source))]);
        if !modules.contains(&module) {
            modules.push(module);
        }
        let rules = package.connect.iter().chain(&package.asks).map(ToString::to_string);
        let mut wcgi = wcgi_table(package.site.as_ref(), rules.collect());
        wcgi.insert("snapshot".to_owned(), Value::Table(snapshot(&package.snapshot)));
        let wasi = wasi_table(&package.command, &package.arguments, &package.env);
        let annotations = [("wasi".to_owned(), Value::Table(wasi)), ("wcgi".to_owned(), Value::Table(wcgi))];
        let keys = [("name", package.command.as_str()), ("module", source), ("runner", "wcgi")];
        let mut command: Table = keys.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect();
        command.insert("annotations".to_owned(), Value::Table(Table::from_iter(annotations)));
        written.push(command);
        for mount in &package.mounts {
            mounts.insert(mount.guest.clone(), text(&mount.host.to_string_lossy()));
        }
    }
    let list = |tables: Vec<Table>| Value::Array(tables.into_iter().map(Value::Table).collect());
    let tables = [
        ("package", Value::Table(about)),
        ("module", list(modules)),
        ("command", list(written)),
        ("fs", Value::Table(mounts)),
    ];
    tables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>().to_string()
}

fn command(package: &Package, atom: &str, left_out: &mut Vec<String>) -> Result<Command, Error> {
    if package.front != Front::default() {
        left_out.push(format!(
            "https, pass_authorization and trusted_proxies of {} do not count in a .webc: set them when you serve it",
            package.command
        ));
    }
    // Whoever runs the file says what stands behind a name.
    let rules = package.connect.iter().chain(&package.asks).map(|rule| {
        let rule = rule.to_string();
        rule.split_once('=').map_or(rule.clone(), |(name, _)| name.to_owned())
    });
    let mut wasi = wasi_table(&package.command, &package.arguments, &package.env);
    wasi.insert("atom".to_owned(), Value::String(atom.to_owned()));
    let mut wcgi = wcgi_table(package.site.as_ref(), rules.collect());
    if package.snapshot != Snapshot::default() {
        wcgi.insert("snapshot".to_owned(), Value::Table(snapshot(&package.snapshot)));
    }
    let atom = Table::from_iter([("name".to_owned(), Value::String(atom.to_owned()))]);
    let annotations = [("atom", atom), ("wasi", wasi), ("wcgi", wcgi)];
    Ok(Command {
        runner: WCGI_RUNNER_URI.to_owned(),
        annotations: annotations
            .into_iter()
            .map(|(key, table)| (key.to_owned(), annotation(Value::Table(table))))
            .collect(),
    })
}

fn snapshot(snapshot: &Snapshot) -> Table {
    let Snapshot { enabled, reseeds, env, warmup, mounts } = snapshot;
    let list = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let mut table = Table::new();
    table.insert("enabled".to_owned(), Value::Boolean(*enabled));
    table.insert("reseeds".to_owned(), Value::Boolean(*reseeds));
    table.insert("env".to_owned(), list(env.iter().map(|(name, value)| format!("{name}={value}")).collect()));
    table.insert("warmup".to_owned(), list(warmup.clone()));
    if let Some(mounts) = mounts {
        table.insert("mounts".to_owned(), list(mounts.clone()));
    }
    table
}

/// A value of a manifest as one of a `.webc`.
fn annotation(value: Value) -> Annotation {
    match value {
        Value::String(text) => Annotation::Text(text),
        Value::Integer(number) => Annotation::Integer(number.into()),
        Value::Float(number) => Annotation::Float(number),
        Value::Boolean(value) => Annotation::Bool(value),
        Value::Datetime(time) => Annotation::Text(time.to_string()),
        Value::Array(values) => Annotation::Array(values.into_iter().map(annotation).collect()),
        Value::Table(table) => {
            Annotation::Map(table.into_iter().map(|(key, value)| (Annotation::Text(key), annotation(value))).collect())
        }
    }
}

fn described(wasm: &[u8]) -> Result<Atom, Error> {
    let hash = ChecksumAlgorithm::Sha256.calculate(wasm).value;
    let hash = hash.as_ref().try_into().map_err(|_| cannot_describe("a checksum has another length"))?;
    let kind = WASM.parse().map_err(cannot_describe)?;
    Ok(Atom { kind, signature: AtomSignature::Sha256(hash).to_string(), annotations: Default::default() })
}

fn volume(root: &Path, directory: &Path) -> Result<Directory<'static>, Error> {
    let mut children = BTreeMap::new();
    let at = Timestamps::default();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let entry = entry.map_err(|error| unreadable(directory, error))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = segment(name.to_str().ok_or_else(|| refuse(format!("{} is not UTF-8", path.display())))?)?;
        let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
        let child: DirEntry<'static> = if kind.is_dir() {
            volume(root, &path)?.into()
        } else if kind.is_symlink() {
            SymlinkEntry::owned(link(root, &path)?, at).into()
        } else if kind.is_file() {
            FileEntry::owned(fs::read(&path).map_err(|error| unreadable(&path, error))?, at).into()
        } else {
            return Err(refuse(format!("{} is neither a file nor a directory", path.display())));
        };
        children.insert(name, child);
    }
    Ok(Directory::new(children, at))
}

/// Where a link leads, which must be in its mount.
fn link(root: &Path, path: &Path) -> Result<String, Error> {
    let target = fs::read_link(path).map_err(|error| unreadable(path, error))?;
    let inside = !target.has_root() && fs::canonicalize(path).is_ok_and(|real| real.starts_with(root));
    match target.to_str() {
        Some(target) if inside => Ok(target.to_owned()),
        _ => Err(refuse(format!("the link {} leads out of its mount, or nowhere", path.display()))),
    }
}

fn segment(name: &str) -> Result<PathSegment, Error> {
    name.parse().map_err(|_| refuse(format!("{name:?} cannot be a name in a .webc")))
}

fn cannot_describe(error: impl std::fmt::Display) -> Error {
    refuse(format!("cannot make a .webc: {error}"))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    refuse(format!("cannot read {}", path.display())).with_source(error)
}

/// What Wasmer calls a module.
const WASM: &str = "https://webc.org/kind/wasm";
