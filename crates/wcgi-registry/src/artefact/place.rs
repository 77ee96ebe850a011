//! Writing a package down: its blobs, which are in the store, as a directory.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::plan::{Part, Plan, Shape};
use crate::archive::{Budget, unpack};
use crate::digest::{Digest, Hashing};
use crate::error::{self, Error, content};
use crate::options::Limits;
use crate::store::Store;

/// Whose directory is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The store's: modules are links to its blobs.
    InStore,
    /// The user's own, to change: nothing is shared, and it may ask for directories of its own.
    ByUser,
}

/// Writes the package into `directory`, which is empty.
///
/// # Errors
///
/// When a blob is not what its digest says, is hostile or too large, or writing fails.
pub(crate) fn place(
    store: &Store,
    reference: &str,
    plan: &Plan,
    directory: &Path,
    kept: Kept,
    limits: &Limits,
) -> Result<(), Error> {
    let cannot = |error: io::Error| error::store("cannot write the package", error);
    let mut budget = Budget::new(*limits);
    for part in &plan.modules {
        let target = directory.join(&part.place);
        // Two modules of a package may be one file.
        if target.exists() {
            continue;
        }
        budget.spend_bytes(part.size)?;
        fs::create_dir_all(target.parent().unwrap_or(directory)).map_err(cannot)?;
        let blob = store.blob(&part.digest);
        if kept == Kept::ByUser || fs::hard_link(&blob, &target).is_err() {
            fs::copy(&blob, &target).map_err(cannot)?;
        }
        check(&target, part)?;
    }
    for part in &plan.mounts {
        let target = directory.join(&part.place);
        fs::create_dir_all(&target).map_err(cannot)?;
        let mut blob = Hashing::new(File::open(store.blob(&part.digest)).map_err(cannot)?);
        let nowhere = unpack(&mut blob, &target, &mut budget)?;
        for link in nowhere {
            tracing::warn!("{reference}: the link {link:?} leads nowhere, left out");
        }
        damaged(part, &blob.finish().map_err(cannot)?)?;
    }
    if let Some(text) = manifest(plan, directory, kept).map_err(cannot)? {
        fs::write(directory.join("wasmer.toml"), text).map_err(cannot)?;
    }
    Ok(())
}

/// Makes sure that a module is still what was fetched.
///
/// # Errors
///
/// When it is not.
pub(crate) fn check(file: &Path, part: &Part) -> Result<(), Error> {
    let digest = File::open(file).and_then(Digest::of_reader);
    damaged(part, &digest.map_err(|error| error::store("cannot read the store", error))?)
}

fn damaged(part: &Part, found: &Digest) -> Result<(), Error> {
    if *found == part.digest {
        return Ok(());
    }
    Err(content(format!("{} in the store was changed: its content has the digest {found}", part.digest)))
}

/// The text of the manifest that is written.
fn manifest(plan: &Plan, directory: &Path, kept: Kept) -> io::Result<Option<String>> {
    let manifest = match &plan.shape {
        Shape::Package(manifest) => manifest,
        Shape::Module if kept == Kept::InStore => return Ok(None),
        Shape::Module => {
            let text = |text: &str| Value::String(text.to_owned());
            let modules = plan.modules.iter().map(|part| {
                let pairs = [("name", text(&part.name)), ("source", text(&part.place)), ("abi", text("wasi"))];
                Value::Table(pairs.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
            });
            let modules = Value::Array(modules.collect());
            return Ok(Some(Table::from_iter([("module".to_owned(), modules)]).to_string()));
        }
    };
    let mut manifest = manifest.clone();
    if kept == Kept::ByUser {
        for need in &plan.needs {
            let Some(place) = need.directory.as_ref().filter(|place| !directory.join(place).exists()) else { continue };
            fs::create_dir_all(directory.join(place))?;
            let entry = [("path", place.as_str()), ("mode", "rw")];
            let entry = entry.map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())));
            let fs = manifest.table.entry("fs").or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(fs) = fs {
                fs.insert(need.guest.clone(), Value::Table(entry.into_iter().collect()));
            }
        }
    }
    Ok(Some(manifest.text()))
}
