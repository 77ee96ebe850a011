//! `cargo xtask …`: the repository's own tasks. They fetch and build the guest programs, run the checks that a change must pass,
//! and run the benchmarks. Other programs do the work; this calls them in order.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is for the person who runs it")]

mod bench;
mod checks;
mod compiler;
mod debian;
mod dist;
mod fetch;
mod guests;
mod libraries;
mod manifests;
mod php;
mod program;
mod programs;
mod prose;
mod python;
mod runtimes;
mod sources;
mod stamp;
mod templates;
mod tools;
mod wordpress;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser};

use crate::workspace::Workspace;

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
enum Task {
    /// Fetch and build all that the tests, the examples and the checks need. Nothing is done twice.
    Setup {
        #[command(flatten)]
        modules: Modules,
    },
    /// Build guest programs: those of the tests into target/guests, the guest book of each language beside its source. Programs
    /// that did not change are not built again. Missing compilers and interpreters are fetched below target/.
    Guests {
        /// The languages or guests to build [default: all]
        names: Vec<String>,
        /// Leave out the languages whose tools cannot be fetched, and list them.
        #[arg(long)]
        allow_missing: bool,
    },
    /// Build libraries in C for WASI, from the recipes in guests/lib into target/lib. Libraries that did not change are not built again.
    Libraries {
        /// The libraries to build [default: all]
        names: Vec<String>,
    },
    /// Create, build, serve and ask a package from every template of `wcgi new`.
    Templates {
        /// The languages to test [default: all]
        languages: Vec<String>,
    },
    /// Build CPython with its start-up in a snapshot, from source, and complete examples/flask. Nothing is done if both exist.
    Python,
    /// Put together the WordPress of examples/wordpress, from npm. Nothing is done if it exists.
    Wordpress,
    /// Build php-cgi with its start-up ready for a snapshot, from Debian's source, for the examples. Nothing is built if neither
    /// sources nor patches (guests/php) have changed.
    Php {
        /// Copy it to this file, and not into the examples.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Build a php-cgi that counts which opcode handler follows which (guests/php/README.md), even if nothing has changed.
        #[arg(long, requires = "output")]
        counting: bool,
    },
    /// Check the spelling and the sentences of documents and doc comments; docs/STYLE.md says how to argue.
    Prose,
    /// Set up, then run every check a change must pass.
    Test {
        /// Only formatting, lints, spelling, sentences and tests.
        #[arg(long)]
        quick: bool,
        /// Go on after a failed check.
        #[arg(long)]
        keep_going: bool,
        #[command(flatten)]
        modules: Modules,
    },
    /// Make what a release consists of, in target/dist-release: static programs, packages for Debian, pip and npm, an image,
    /// runtimes, checksums and a bill of materials.
    Dist(dist::Options),
    /// Measure scripts against native handlers and peers, and compare with the targets.
    Bench(bench::Options),
}

/// Ready modules, in place of what would be built or fetched.
#[derive(Debug, Args)]
struct Modules {
    /// A php-cgi whose start-up can be in a snapshot, such as releases have. Default: the file that `$WCGI_PHP` names, else the
    /// php-cgi that `cargo xtask php` has built. Without either the examples run on a stock one.
    #[arg(long, value_name = "FILE")]
    php: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let workspace = Workspace::current()?;
    match task {
        Task::Setup { modules } => {
            prepare(&workspace, modules)?;
            runtimes::provide(&workspace)?;
            prose::install(&workspace)?;
            tools::install_all()
        }
        Task::Guests { names, allow_missing } => guests::build(&workspace, names, *allow_missing),
        Task::Libraries { names } if names.is_empty() => libraries::make_all(&workspace, &libraries::names()),
        Task::Libraries { names } => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            libraries::make_all(&workspace, &names)
        }
        Task::Templates { languages } => templates::test(&workspace, languages),
        Task::Python => python::build(&workspace),
        Task::Wordpress => {
            php::provide(&workspace, None)?;
            wordpress::assemble(&workspace)?;
            runtimes::provide(&workspace)
        }
        Task::Php { output: Some(output), counting: true } => php::build_counting(&workspace, output),
        Task::Php { output: Some(output), .. } => php::build(&workspace, Some(output)),
        Task::Php { output: None, .. } => {
            php::build(&workspace, None)?;
            runtimes::provide(&workspace)
        }
        Task::Prose => {
            let files = prose::files(&workspace)?;
            prose::spelling(&workspace, &files)?;
            prose::sentences(&workspace, &files)
        }
        Task::Test { quick, keep_going, modules } => {
            prepare(&workspace, modules)?;
            checks::run(&workspace, *quick, *keep_going)
        }
        Task::Dist(options) => dist::run(&workspace, options),
        Task::Bench(options) => bench::run(&workspace, options),
    }
}

/// What the tests and the examples need.
fn prepare(workspace: &Workspace, modules: &Modules) -> Result<()> {
    guests::build(workspace, &[], false)?;
    php::provide(workspace, modules.php.as_deref())?;
    wordpress::assemble(workspace)?;
    debian::assemble(workspace);
    programs::ensure();
    Ok(())
}
