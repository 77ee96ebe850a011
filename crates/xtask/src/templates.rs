//! Tests of the packages that `wcgi new` writes. Each is created, built with its language's tools, served and asked for a page,
//! as a beginner would do.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use crate::bench::client::{self, Url};
use crate::bench::process::{Output, Server};
use crate::workspace::Workspace;
use crate::{guests, program};

/// Goes through the templates of these languages, or of all there are.
pub(crate) fn test(workspace: &Workspace, languages: &[String]) -> Result<()> {
    // With what the tests are built with, so that nothing else has to be built again.
    let mut build = Command::new("cargo");
    build.current_dir(workspace.root()).args(["test", "--quiet", "--workspace", "--all-features", "--no-run"]);
    program::run(&mut build)?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), Into::into);
    let wcgi = target.join("debug/wcgi");

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
    program::capture(Command::new(wcgi).args(["new", "--template", language]).arg(package))?;
    guests::make(workspace, language, package)?;
    let mut run = Command::new(wcgi);
    run.args(["run", "--addr", "127.0.0.1:0", "--cache-dir"])
        .arg(workspace.root().join("target/test-cache"))
        .arg(package);
    let server = Server::start("wcgi", &mut run, Output::Stderr)?;
    for (path, says) in [("/", "Hello, World!"), ("/?name=%3Cb%3EAda+Z%C3%BC", "Hello, &lt;b&gt;Ada Zü!")] {
        client::check(Url { address: server.address, path }, says)?;
    }
    Ok(())
}
