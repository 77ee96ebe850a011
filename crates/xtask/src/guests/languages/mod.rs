//! The guest book of each language: from `examples/guestbook/LANGUAGE` to `guestbook.wasm` in the same directory, or the
//! interpreter that runs it. One file per language; what they are built with lies below `target/toolchains`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::fetch::Unavailable;
use crate::workspace::Workspace;

/// A language that scripts are written in.
pub(super) struct Language {
    pub(super) name: &'static str,
    build: fn(&Workspace) -> Result<Built>,
}

/// What there was to do.
pub(super) enum Built {
    Now,
    Before,
}

pub(super) const LANGUAGES: [Language; 0] = [];

/// Builds these, one after the other.
pub(super) fn build(workspace: &Workspace, languages: &[&Language], allow_missing: bool) -> Result<()> {
    let mut missing = Vec::new();
    for language in languages {
        let name = language.name;
        match (language.build)(workspace) {
            Ok(Built::Now) => println!("{name}: the guest book is ready"),
            Ok(Built::Before) => println!("{name}: the guest book is up to date"),
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

/// Where the guest book of a language is.
fn directory(workspace: &Workspace, language: &str) -> PathBuf {
    workspace.examples().join("guestbook").join(language)
}
