//! `wcgi new`: writes a package that builds with its language's own tools and runs with `wcgi run`. The files are those of
//! `templates/LANG`, with the package's name put in.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};
use include_dir::{Dir, DirEntry, include_dir};

use crate::arguments::New;
use crate::report::{WithHint, data};

/// A language with a template.
#[derive(Debug)]
pub(crate) struct Template {
    name: &'static str,
    description: &'static str,
    /// The command that builds the package, in its directory. Empty if nothing has to be built.
    build: &'static str,
}

static TEMPLATES: &[Template] = &[
    Template { name: "assemblyscript", description: "a program in AssemblyScript", build: "npm install" },
    Template { name: "c", description: "a program in C", build: "make" },
    Template { name: "cpp", description: "a program in C++", build: "make" },
    Template { name: "go", description: "a program in Go, with net/http/cgi", build: "make" },
    Template { name: "javascript", description: "a script in JavaScript, run by QuickJS", build: "npm run build" },
    Template { name: "lua", description: "a script in Lua, its interpreter included", build: "" },
    Template { name: "php", description: "pages in PHP, run by php-cgi", build: "npm install" },
    Template { name: "python", description: "a WSGI application in Python", build: "npm install" },
    Template { name: "ruby", description: "a script in Ruby", build: "npm install" },
    Template {
        name: "rust",
        description: "a program in Rust, with the standard library alone",
        build: "cargo build --release --target wasm32-wasip1",
    },
    Template {
        name: "rust-axum",
        description: "an axum Router in Rust",
        build: "cargo build --release --target wasm32-wasip1",
    },
];

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The template of a language, by its name on the command line.
pub(crate) fn template(name: &str) -> Result<&'static Template, String> {
    TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<_> = TEMPLATES.iter().map(|template| template.name).collect();
        format!("choose one of {}", names.join(", "))
    })
}

/// Lists the templates, or writes the package and prints the next commands.
pub(crate) fn run(arguments: &New) -> anyhow::Result<()> {
    let mut text = String::new();
    match (&arguments.path, arguments.template) {
        (Some(path), Some(template)) => {
            let name = package_name(path)?;
            create(path, template, name)?;
            let path = path.display();
            text += &format!("created {path}\n");
            if !template.build.is_empty() {
                text += &format!("build it:  cd {path} && {}\n", template.build);
            }
            text += &format!("serve it:  wcgi run {path}\n");
        }
        _ => {
            for Template { name, description, .. } in TEMPLATES {
                text += &format!("{name:15} {description}\n");
            }
        }
    }
    data(&text)
}

/// The last part of the path, if it can be the name of a package in every language.
fn package_name(path: &Path) -> anyhow::Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        bail!("{} cannot be a package name: use a-z, 0-9 and -, and begin with a letter", path.display());
    }
    Ok(name)
}

/// Makes the directory with everything in it, or not at all. Fails if the directory exists.
fn create(path: &Path, template: &Template, name: &str) -> anyhow::Result<()> {
    fs::create_dir(path).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AlreadyExists => "nothing was changed; choose another name",
            _ => "its parent must be a directory that you can write to",
        };
        WithHint { message: format!("cannot create {}", path.display()), hint, source }
    })?;
    let files = FILES.get_dir(template.name).with_context(|| format!("the template {} has no files", template.name))?;
    write(files, files.path(), path, name).inspect_err(|_| {
        // This function has just made it.
        let _ = fs::remove_dir_all(path);
    })
}

fn write(files: &Dir<'_>, root: &Path, path: &Path, name: &str) -> anyhow::Result<()> {
    for entry in files.entries() {
        let relative = entry.path().strip_prefix(root).context("a template's file is not below it")?;
        let target = path.join(relative);
        match entry {
            DirEntry::Dir(files) => {
                fs::create_dir(&target).with_context(|| format!("cannot create {}", target.display()))?;
                write(files, root, path, name)?;
            }
            DirEntry::File(file) => {
                let target = target.with_file_name(file_name(relative));
                let contents = match file.contents_utf8() {
                    Some(text) => text.replace(NAME, name).into_bytes(),
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

    #[test]
    fn names_that_every_language_takes() {
        for (path, name) in [("a", "a"), ("guest-book", "guest-book"), ("x/y/b2", "b2"), ("../b/", "b")] {
            assert_eq!(package_name(Path::new(path)).unwrap(), name);
        }
        for path in ["", "/", "..", "A", "2b", "-b", "a_b", "a.b", "ä", "a b", "{{name}}"] {
            package_name(Path::new(path)).unwrap_err();
        }
    }
}
