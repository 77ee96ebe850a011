//! The guest programs: from `tests/guests` and `examples/hello` to `target/guests/NAME.wasm`. C by one compiler call each,
//! Rust by one Cargo call for all, text format as it is (`NAME.wat`). Each also as a component
//! (`target/guests/component`). And the guest book of every language (`examples/guestbook`), each by the tools of its
//! language.

mod c;
mod component;
mod guest;
mod languages;
mod library;
mod rust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::guest::files;
use self::guest::{Guest, copy_text};
pub(crate) use self::languages::{LANGUAGES, Language, PYTHON_MODULE};
use crate::workspace::Workspace;

/// Builds the guests of these names and the guest books of these languages, or all of them. With `allow_missing`, a language
/// whose tools cannot be fetched is left out, and so are its tests.
pub(crate) fn build(workspace: &Workspace, names: &[String], allow_missing: bool) -> Result<()> {
    let mut guests = all(workspace)?;
    let mut languages: Vec<_> = LANGUAGES.iter().collect();
    if !names.is_empty() {
        let is_language = |name: &String| LANGUAGES.iter().any(|language| language.name == name);
        if let Some(unknown) = names.iter().find(|&name| !guests.contains_key(name) && !is_language(name)) {
            let languages: Vec<_> = languages.iter().map(|language| language.name).collect();
            let known: Vec<_> = guests.into_keys().collect();
            bail!("no language or guest is called {unknown}; there are {}; {}", languages.join(", "), known.join(", "));
        }
        guests.retain(|name, _| names.contains(name));
        languages.retain(|language| names.iter().any(|name| name == language.name));
    }

    let output = workspace.guests();
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let with_extension = |extension| -> Vec<Guest> {
        let of_extension = guests.iter().filter(|(_, source)| source.extension().is_some_and(|e| e == extension));
        of_extension.map(|(name, source)| Guest { name: name.clone(), source: source.clone() }).collect()
    };
    let built = copy_text(&output, &with_extension("wat"))?
        + c::build(workspace, &with_extension("c"))?
        + rust::build(workspace, &with_extension("rs"))?;
    let mut all = guests.len();
    guests.retain(|name, _| !component::MODULES_ONLY.contains(&name.as_str()));
    let mut wrapped = component::build(workspace, &guests)?;
    all += guests.len();
    if names.is_empty() {
        wrapped += usize::from(component::build_native(workspace)?);
        all += 1;
    }
    let up_to_date = all - built - wrapped;
    println!(
        "guests: {built} built, {wrapped} made components, {up_to_date} up to date, in {}",
        workspace.relative(&output)
    );
    languages::build(workspace, &languages, allow_missing)
}

/// Builds the package in a directory, written in this language.
pub(crate) fn make(workspace: &Workspace, language: &str, directory: &Path) -> Result<()> {
    let language = LANGUAGES.iter().find(|known| known.name == language);
    language
        .with_context(|| format!("nothing is known of how to build {}", directory.display()))?
        .make(workspace, directory)
}

/// Every guest there is, by name: what lies in the source directories, and the page of the `hello` example.
fn all(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>> {
    let sources = workspace.guest_sources();
    let mut guests = BTreeMap::from([("hello-page".to_owned(), workspace.examples().join("hello/hello.c"))]);
    for path in files(&sources)?.into_iter().chain(files(&sources.join("rust/src/bin"))?) {
        let is_guest = path.extension().is_some_and(|e| e == "c" || e == "wat" || e == "rs");
        if let Some(name) = path.file_stem().filter(|_| is_guest) {
            guests.insert(name.to_string_lossy().into_owned(), path);
        }
    }
    Ok(guests)
}
