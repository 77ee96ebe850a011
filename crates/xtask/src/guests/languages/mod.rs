//! The guest book of each language: from `examples/guestbook/LANGUAGE` to the module in the same directory. One file per
//! language says how a package of it is built; what it is built with lies below `target/toolchains`.

mod assemblyscript;
mod c;
mod cpp;
mod go;
mod interpreter;
mod javascript;
mod language;
mod lua;
mod php;
mod python;
mod python_flask;
mod ruby;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub(crate) use language::Language;
pub(crate) use python::PYTHON_MODULE;

use crate::fetch::Unavailable;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

pub(crate) const LANGUAGES: &[Language] = &[
    assemblyscript::ASSEMBLYSCRIPT,
    c::C,
    cpp::CPP,
    go::GO,
    javascript::JAVASCRIPT,
    lua::LUA,
    php::PHP,
    python::PYTHON,
    python_flask::PYTHON_FLASK,
    ruby::RUBY,
    rust::RUST,
    rust::RUST_AXUM,
];

/// Builds the guest books of these, one after the other.
pub(super) fn build(workspace: &Workspace, languages: &[&Language], allow_missing: bool) -> Result<()> {
    let mut missing = Vec::new();
    for language in languages {
        let name = language.name;
        match guest_book(workspace, language) {
            Ok(message) => println!("{name}: {message}"),
            Err(error) if allow_missing && error.is::<Unavailable>() => {
                println!("{name}: SKIPPED: {error:#}");
                missing.push(name);
            }
            Err(error) => return Err(error.context(format!("{name}: its guest book cannot be built"))),
        }
    }
    // The tests read it: what is missing with leave is not tested, what is missing without fails.
    let list = workspace.guests().join("missing-languages");
    fs::write(&list, missing.join("\n")).with_context(|| format!("cannot write {}", list.display()))?;
    if !missing.is_empty() {
        println!("guests: skipped, for they cannot be fetched: {}", missing.join(", "));
    }
    Ok(())
}

fn guest_book(workspace: &Workspace, language: &Language) -> Result<String> {
    let directory = workspace.examples().join("guestbook").join(language.name);
    let output = language.module(&directory);
    let stamp = Stamp::default().text(&(language.recipe)(workspace)?);
    let stamp = sources(&directory, &output)?.iter().try_fold(stamp, |stamp, source| stamp.file(source))?.finish();
    if stamp::is_current(&output, &stamp) {
        return Ok(format!("{} is up to date", workspace.relative(&output)));
    }
    language.make(workspace, &directory)?;
    stamp::write(&output, &stamp)?;
    Ok(format!("{} is ready", workspace.relative(&output)))
}

/// The files of a package that somebody wrote, in order.
fn sources(directory: &Path, output: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_made = MADE.iter().any(|name| path.file_name().is_some_and(|file| file == *name));
        if path.is_dir() && !is_made {
            found.extend(sources(&path, output)?);
        } else if path.is_file() && path != output && !is_made {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What builds and visits leave in a package.
const MADE: [&str; 6] = [".stamps", "data", "node_modules", "package-lock.json", "site-packages", "target"];
