//! `.webc` files: a whole package in one file.
//!
//! In: the file, versions 2 and 3. Out: a [`Package`] whose module is in memory and whose volumes are unpacked into a
//! directory that lives as long as the package. Such a file comes from somewhere else, so nothing in it is trusted: neither
//! its offsets nor its names nor its sizes.
//!
//! # How the versions differ
//!
//! Version 2 keeps every file in one volume, `atom`. Its mappings say which directory of the volume is mounted where. Without
//! mappings, as in the first such files, the whole volume is mounted at `/`. Version 3 has a volume for each mount and
//! symbolic links. Both have a checksum for each section, which is checked. Signatures are not checked.

mod pack;
mod unpack;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ::webc::metadata::{Annotation, Manifest};
use ::webc::{Container, Version};
use bytes::Bytes;

pub(crate) use self::pack::{Packed, manifest_of, to_webc};
use self::unpack::{Unpacker, damaged};
use super::command::{Candidate, Front, Runner, Settings, from_dependency, list, pick};
use super::document::{Document, Node, Table};
use super::opened::{Module, Package, stem};
use super::refuse::refuse;
use crate::error::Error;
use crate::mount::{Access, Mount, guest_path, overlay};

/// Opens the package in the file `path`.
///
/// # Errors
///
/// Fails if the file cannot be read, is damaged or of another version, or no single command can be picked.
pub(super) fn open(path: &Path, asked: Option<&str>) -> Result<Package, Error> {
    let file = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| refuse(format!("cannot read {file}")).with_source(error))?;
    // The webc crate slices at offsets from the file, and unwraps names that it reads there. So a hostile file can make it
    // panic. After a panic nothing of the partial result is used.
    let read = catch_unwind(AssertUnwindSafe(|| read(path, &file, Bytes::from(bytes), asked)));
    read.unwrap_or_else(|_panic| Err(damaged(&file, "its parts contradict each other")))
}

/// The names of its commands; none where it cannot be read, which opening it explains.
pub(super) fn command_names(path: &Path) -> Vec<String> {
    let file = path.display().to_string();
    let names = || {
        let container = container(&file, &Bytes::from(fs::read(path).ok()?)).ok()?;
        Some(container.manifest().commands.keys().cloned().collect())
    };
    catch_unwind(AssertUnwindSafe(names)).ok().flatten().unwrap_or_default()
}

fn read(path: &Path, file: &str, bytes: Bytes, asked: Option<&str>) -> Result<Package, Error> {
    let container = container(file, &bytes)?;
    let document = describe(file, container.manifest());
    let root = document.root();
    let name = match root.table("package")?.map(|package| package.table("wapm")).transpose()?.flatten() {
        Some(wapm) => wapm.text(&["name"])?.map(|name| name.value.to_owned()),
        None => None,
    };

    let commands = root.table("commands")?;
    let names: Vec<&str> = commands.iter().flat_map(Table::names).collect();
    let mut candidates = Vec::with_capacity(names.len());
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let Some(table) = commands.as_ref().map(|commands| commands.table(name)).transpose()?.flatten() else {
            continue;
        };
        let runner = table.text(&["runner"])?.and_then(|runner| Runner::parse(runner.value));
        candidates.push(Candidate { name, runner });
        tables.push(table);
    }
    let picked = pick(file, &candidates, asked, root.text(&["entrypoint"])?.as_ref())?;
    let (Some(command), Some(table)) = (candidates.get(picked), tables.get(picked)) else {
        return Err(refuse(format!("{file}: no commands")));
    };
    if command.runner.is_none() {
        let runner = table.text(&["runner"])?.map_or("", |runner| runner.value);
        return Err(table.error("runner", &format!("unknown runner {runner:?}, only wcgi and wasi can run here")));
    }
    let mut settings = match table.table("annotations")? {
        Some(annotations) => Settings::read(&annotations)?,
        None => Settings::default(),
    };
    let (atom, module) = atom(&container, command.name, &settings, table)?;
    let arguments = settings.arguments(command.name);

    // The volumes of version 2 have no times, and unpacking them again must not change any.
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|error| refuse(format!("cannot read {file}")).with_source(error))?;
    let unpacked = Unpacker::new(file, bytes.len(), modified)?;
    let (mounts, unpacked) = mounts(&container, &root, unpacked)?;
    let mut warnings = document.take_warnings();
    warnings.extend(unpacked.warnings);
    if settings.front != Front::default() {
        // Unlike a directory's manifest, this one is not trusted. It must not get credentials that a layer checks.
        warnings.push(format!(
            "{file}: https, pass_authorization and trusted_proxies of a .webc do not count; set them when you serve it"
        ));
    }
    if let Some(rule) = settings.connect.iter().find(|rule| rule.has_target()) {
        let why =
            format!("{file}: network.connect: {rule}: only whoever serves a .webc says what stands behind a name");
        return Err(refuse(why).with_hint("leave the target out, and give it with `--net` when you serve the package"));
    }
    Ok(Package {
        name: name.unwrap_or_else(|| stem(path)),
        about: Vec::new(),
        directory: None,
        command: command.name.to_owned(),
        module: Module::Bytes(module),
        compiled: None,
        module_label: format!("atom {atom:?} of {file}"),
        arguments,
        env: settings.env,
        snapshot: settings.snapshot.unwrap_or_default(),
        cwd: settings.cwd,
        unpacked: (!mounts.is_empty()).then(|| Arc::new(unpacked.directory)),
        mounts,
        site: settings.site,
        front: Front::default(),
        connect: Vec::new(),
        asks: settings.connect,
        warnings,
    })
}

/// Parses the file and checks its sections.
fn container(file: &str, bytes: &Bytes) -> Result<Container, Error> {
    let version = ::webc::detect(bytes.as_ref()).map_err(|error| damaged(file, &error.to_string()))?;
    match version {
        Version::V2 => {
            let reader =
                ::webc::v2::read::OwnedReader::parse(bytes.clone()).map_err(|error| damaged(file, &chain(&error)))?;
            let index = reader.index();
            for entry in [&index.manifest, &index.atoms].into_iter().chain(index.volumes.values()) {
                let checksum = (!entry.checksum.is_none()).then_some(&entry.checksum.value);
                verify(file, bytes, (entry.span.start, entry.span.len), V2_SECTION_HEADER_BYTES, checksum)?;
            }
            Ok(Container::from(reader))
        }
        Version::V3 => {
            let reader =
                ::webc::v3::read::OwnedReader::parse(bytes.clone()).map_err(|error| damaged(file, &chain(&error)))?;
            let index = reader.index();
            for entry in [&index.manifest, &index.atoms].into_iter().chain(index.volumes.values()) {
                let checksum = (!entry.checksum.is_none()).then_some(&entry.checksum.value);
                verify(file, bytes, (entry.span.start, entry.span.len), V3_SECTION_HEADER_BYTES, checksum)?;
            }
            Ok(Container::from(reader))
        }
        other => {
            let version = other.0.escape_ascii();
            Err(refuse(format!("{file}: version {version} of the .webc format is not supported, only 002 and 003 are"))
                .with_hint(
                    "build the package again with a newer `wasmer package build`, or unpack it into a directory",
                ))
        }
    }
}

/// Compares a section with its checksum. The crate does not, and skips the parts of a volume that it cannot read.
fn verify(
    file: &str,
    bytes: &[u8],
    (start, len): (usize, usize),
    header_bytes: usize,
    checksum: Option<&Bytes>,
) -> Result<(), Error> {
    let section = start.checked_add(len).and_then(|end| bytes.get(start..end)).and_then(|all| all.get(header_bytes..));
    let Some(section) = section else { return Err(damaged(file, "a section is outside of the file")) };
    if checksum.is_some_and(|checksum| ::webc::v3::ChecksumAlgorithm::Sha256.calculate(section).value != *checksum) {
        return Err(damaged(file, "a section does not match its checksum"));
    }
    Ok(())
}

/// The parts of the manifest that matter here, as a document to read by key.
fn describe(file: &str, manifest: &Manifest) -> Document {
    let package = manifest.package.iter().filter_map(|(key, value)| Some((key.clone(), node(value)?)));
    let commands = manifest.commands.iter().map(|(name, command)| {
        let annotations = command.annotations.iter().filter_map(|(key, value)| Some((key.clone(), node(value)?)));
        let entries = [
            ("runner".to_owned(), Node::text(command.runner.clone())),
            ("annotations".to_owned(), Node::table(annotations)),
        ];
        (name.clone(), Node::table(entries))
    });
    let mut entries =
        vec![("package".to_owned(), Node::table(package)), ("commands".to_owned(), Node::table(commands))];
    entries.extend(manifest.entrypoint.clone().map(|entrypoint| ("entrypoint".to_owned(), Node::text(entrypoint))));
    Document::from_entries(file.to_owned(), entries)
}

/// None for a null: such a key counts as absent.
fn node(value: &Annotation) -> Option<Node> {
    Some(match value {
        Annotation::Null => return None,
        Annotation::Text(text) => Node::text(text.clone()),
        Annotation::Array(items) => Node::list(items.iter().filter_map(node)),
        Annotation::Map(entries) => {
            Node::table(entries.iter().filter_map(|(key, value)| Some((key.as_text()?.to_owned(), node(value)?))))
        }
        Annotation::Tag(_, value) => return node(value),
        Annotation::Integer(_) => Node::other("an integer"),
        Annotation::Float(_) => Node::other("a float"),
        Annotation::Bool(value) => Node::bool(*value),
        Annotation::Bytes(_) => Node::other("bytes"),
        _ => Node::other("something else"),
    })
}

/// The atom that answers and its name: the one in the annotations, else the command's namesake, else the only one.
fn atom(
    container: &Container,
    command: &str,
    settings: &Settings<'_>,
    table: &Table<'_>,
) -> Result<(String, Bytes), Error> {
    if let Some(package) = &settings.atom_package {
        return Err(from_dependency(package, package.value));
    }
    let mut atoms: BTreeMap<_, _> = container.atoms();
    let name = match &settings.atom {
        Some(atom) if atom.value.contains(':') => return Err(from_dependency(atom, atom.value)),
        Some(atom) => atom.value.to_owned(),
        None if atoms.contains_key(command) => command.to_owned(),
        None => match (atoms.len(), atoms.keys().next()) {
            (1, Some(only)) => only.clone(),
            _ => command.to_owned(),
        },
    };
    match atoms.remove(&name) {
        Some(bytes) => Ok((name, bytes.into_bytes())),
        None => {
            let names = list(atoms.keys().map(String::as_str));
            Err(table.error("annotations", &format!("no atom {name:?} among {names}")))
        }
    }
}

fn mounts(container: &Container, root: &Table<'_>, mut unpacker: Unpacker) -> Result<(Vec<Mount>, Unpacker), Error> {
    let mut mounts: Vec<Mount> = Vec::new();
    let package = root.table("package")?;
    let Some(package) = package.filter(|package| package.names().any(|name| name == "fs")) else {
        if container.version() == Version::V2 && container.get_volume("atom").is_some() {
            let host = unpacker.directory_of(container, "atom", None)?;
            mounts.push(Mount { guest: "/".to_owned(), host, access: Access::ReadOnly });
        }
        return Ok((mounts, unpacker));
    };
    for mapping in package.tables("fs")? {
        if let Some(from) = mapping.text(&["from"])? {
            return Err(from_dependency(&from, from.value));
        }
        let Some(volume) = mapping.text(&["volume_name"])? else {
            return Err(mapping.error("volume_name", "missing"));
        };
        let Some(guest) = mapping.text(&["mount_path"])? else {
            return Err(mapping.error("mount_path", "missing"));
        };
        let within = mapping.text(&["host_path", "original_path"])?;
        let within =
            within.map(|path| guest_path(path.value).map_err(|error| path.error(&error.to_string()))).transpose()?;
        let guest = guest_path(guest.value).map_err(|error| guest.error(&error.to_string()))?;
        let host = unpacker.directory_of(container, volume.value, within.as_deref())?;
        mounts.push(Mount { guest, host, access: Access::ReadOnly });
    }
    Ok((overlay(mounts, Vec::new()), unpacker))
}

/// An error and its sources on one line. They are not attached: their `Debug` form has whole sections in it.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |chain, source| format!("{chain}: {source}"))
}

/// A tag and a length.
const V2_SECTION_HEADER_BYTES: usize = 1 + 8;
/// A tag, a hash and a length.
const V3_SECTION_HEADER_BYTES: usize = 1 + 32 + 8;

#[cfg(test)]
mod tests;
