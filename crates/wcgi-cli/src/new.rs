//! `wcgi new`: makes a package of a template, or lists the templates.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::bail;
use wcgi_registry::{Options, Registry};

use crate::arguments::New;
use crate::registry::interpreter::{self, Interpreter};
use crate::registry::store;
use crate::report::{WithHint, data};
use crate::templates::{TEMPLATES, Template};

/// Lists the templates, or writes the package and prints the next commands.
pub(crate) fn run(arguments: &New) -> anyhow::Result<()> {
    let mut text = String::new();
    match (&arguments.path, arguments.template) {
        (Some(path), Some(template)) => {
            let name = package_name(path)?;
            let choose = |runtime| {
                let registry = Registry::new(store(&arguments.cache)?, Options::from_environment()?);
                interpreter::choose(runtime, &registry)
            };
            let runtime = template.runtime.map(choose).transpose()?;
            let reference = runtime.as_ref().map(|runtime| runtime.reference.as_str());
            create(path, template, name, reference.unwrap_or_default())?;
            let path = path.display();
            text += &format!("created {path}\n");
            if !template.build.is_empty() {
                text += &format!("build it:  cd {path} && {}\n", template.build);
            }
            if let Some(Interpreter { reference, is_known: false }) = &runtime {
                text += &format!("it needs:  {reference}: {}\n", interpreter::how_to_have(reference));
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
fn create(path: &Path, template: &Template, name: &str, runtime: &str) -> anyhow::Result<()> {
    fs::create_dir(path).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AlreadyExists => "nothing was changed; choose another name",
            _ => "its parent must be a directory that you can write to",
        };
        WithHint { message: format!("cannot create {}", path.display()), hint, source }
    })?;
    template.write(path, name, runtime).inspect_err(|_| {
        // This function has just made it.
        let _ = fs::remove_dir_all(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
