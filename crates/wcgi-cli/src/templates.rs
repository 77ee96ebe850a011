//! The templates of `wcgi new`: the files of `templates/LANG`, with the package's name put in.
//!
//! A package that one makes builds with its language's own tools, and runs with `wcgi run`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use include_dir::{Dir, DirEntry, include_dir};

/// A language with a template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The command that builds the package, in its directory. Empty if nothing has to be built.
    pub(crate) build: &'static str,
    /// The interpreter that the package depends on.
    pub(crate) runtime: Option<&'static str>,
}

pub(crate) static TEMPLATES: &[Template] = &[
    Template {
        name: "assemblyscript",
        description: "a program in AssemblyScript",
        build: "npm install",
        runtime: None,
    },
    Template { name: "c", description: "a program in C", build: "make", runtime: None },
    Template { name: "cpp", description: "a program in C++", build: "make", runtime: None },
    Template { name: "go", description: "a program in Go, with net/http/cgi", build: "make", runtime: None },
    Template {
        name: "javascript",
        description: "a script in JavaScript, run by QuickJS",
        build: "npm run build",
        runtime: None,
    },
    Template { name: "lua", description: "a script in Lua, its interpreter included", build: "", runtime: None },
    Template { name: "php", description: "a site in PHP", build: "", runtime: Some(PHP) },
    Template { name: "python", description: "a WSGI application in Python", build: "", runtime: Some("python:3.13") },
    Template { name: "ruby", description: "a script in Ruby", build: "npm install", runtime: None },
    Template {
        name: "rust",
        description: "a program in Rust, with the standard library alone",
        build: "cargo build --release --target wasm32-wasip1",
        runtime: None,
    },
    Template {
        name: "rust-axum",
        description: "an axum Router in Rust",
        build: "cargo build --release --target wasm32-wasip1",
        runtime: None,
    },
];

/// The PHP of templates, and of folders with scripts in PHP.
pub(crate) const PHP: &str = "php:8.4";

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The template of a language, by its name on the command line.
pub(crate) fn template(name: &str) -> Result<&'static Template, String> {
    TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<_> = TEMPLATES.iter().map(|template| template.name).collect();
        format!("choose one of {}", names.join(", "))
    })
}

impl Template {
    /// Writes its files into the directory `path`, with the interpreter that the package depends on.
    pub(crate) fn write(&self, path: &Path, name: &str, runtime: &str) -> anyhow::Result<()> {
        let files = FILES.get_dir(self.name).with_context(|| format!("the template {} has no files", self.name))?;
        write(files, files.path(), path, &|text| text.replace(NAME, name).replace(RUNTIME, runtime))
    }
}

fn write(files: &Dir<'_>, root: &Path, path: &Path, filled: &dyn Fn(&str) -> String) -> anyhow::Result<()> {
    for entry in files.entries() {
        let relative = entry.path().strip_prefix(root).context("a template's file is not below it")?;
        let target = path.join(relative);
        match entry {
            DirEntry::Dir(files) => {
                fs::create_dir(&target).with_context(|| format!("cannot create {}", target.display()))?;
                write(files, root, path, filled)?;
            }
            DirEntry::File(file) => {
                let target = target.with_file_name(file_name(relative));
                let contents = match file.contents_utf8() {
                    Some(text) => filled(text).into_bytes(),
                    None => file.contents().to_vec(),
                };
                fs::write(&target, contents).with_context(|| format!("cannot write {}", target.display()))?;
            }
        }
    }
    Ok(())
}

/// The real name of a file whose name Cargo or git would act on in this repository.
fn file_name(file: &Path) -> &str {
    match file.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "Cargo.toml.template" => "Cargo.toml",
        "gitignore" => ".gitignore",
        name => name,
    }
}

/// The placeholder of the package's name in a template.
const NAME: &str = "{{name}}";
/// The placeholder of the interpreter.
const RUNTIME: &str = "{{runtime}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_files_and_all_files_have_a_language() {
        let mut listed: Vec<_> = TEMPLATES.iter().map(|template| template.name).collect();
        let mut there: Vec<_> = FILES.dirs().map(|files| files.path().to_str().unwrap()).collect();
        listed.sort_unstable();
        there.sort_unstable();
        assert_eq!(listed, there);
    }
}
