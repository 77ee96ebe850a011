//! Tests of the packages that `wcgi new` writes. Each is created, built with its language's tools, served and asked for a page,
//! as a beginner would do.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::bench::client::{self, Url};
use crate::bench::process::{Output, Server};
use crate::workspace::Workspace;
use crate::{guests, program, runtimes};

/// Goes through the templates of these languages, or of all there are.
pub(crate) fn test(workspace: &Workspace, languages: &[String]) -> Result<()> {
    // What some of them depend on.
    runtimes::provide(workspace)?;
    let wcgi = runtimes::wcgi(workspace)?;

    let list = program::capture(Command::new(&wcgi).args(["new", "--list"]))?;
    let there: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for language in languages {
        ensure!(
            there.contains(&language.as_str()),
            "there is no template for {language}; there are {}",
            there.join(", ")
        );
    }
    let packages = workspace.root().join("target/templates");
    fs::create_dir_all(&packages).with_context(|| format!("cannot create {}", packages.display()))?;
    for language in there {
        if languages.is_empty() || languages.iter().any(|wanted| wanted == language) {
            let package = packages.join(format!("my-{language}"));
            one(workspace, &wcgi, language, &package).with_context(|| format!("the template for {language}"))?;
            println!("{language}: a new package builds and answers");
        }
    }
    Ok(())
}

fn one(workspace: &Workspace, wcgi: &Path, language: &str, package: &Path) -> Result<()> {
    if package.exists() {
        fs::remove_dir_all(package).with_context(|| format!("cannot remove {}", package.display()))?;
    }
    let wcgi = |arguments: &[&str]| {
        let mut command = Command::new(wcgi);
        command.args(arguments).arg("--cache-dir").arg(workspace.test_cache()).arg(package).env_remove("WCGI_REGISTRY");
        command
    };
    program::capture(&mut wcgi(&["new", "--template", language]))?;
    if !matches!(language, "php" | "python") {
        guests::make(workspace, language, package)?;
    }
    let mut run = wcgi(&["run", "--addr", "127.0.0.1:0"]);
    let server = Server::start("wcgi", &mut run, Output::Stderr)?;
    for (path, says) in [("/", "Hello, World!"), ("/?name=%3Cb%3EAda+Z%C3%BC", "Hello, &lt;b&gt;Ada Zü!")] {
        client::check(Url { address: server.address, path }, says)?;
    }
    Ok(())
}
