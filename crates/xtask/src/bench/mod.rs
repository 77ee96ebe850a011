//! `cargo xtask bench`: builds, starts and measures scripts, native handlers and peers side by side, and says which targets
//! are met. Method and figures are in `crates/tower-wcgi/docs/performance.md`.

mod call;
pub(crate) mod client;
mod faults;
mod figures;
mod findings;
mod http;
mod languages;
mod load;
mod machine;
mod memory;
mod paging;
mod peers;
mod plot;
pub(crate) mod process;
mod report;
mod setting;
mod sites;
mod soak;
mod spin;
mod start;
mod status;
mod stream;
mod targets;
mod wordpress;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use findings::Findings;
use setting::Setting;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Short loads, two rounds: shows that it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long, value_name = "PART", value_enum, num_args = 1..)]
    only: Vec<Name>,
    /// Build Wasmer and measure it too.
    #[arg(long)]
    with_wasmer: bool,
}

/// What is not part of the table of targets.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Many requests, and whether memory, files and threads stay as they are.
    Soak(soak::Options),
    /// The same program in every language: size, start, time per request.
    Languages(languages::Options),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// In the process, against the floor.
    Call,
    /// Small scripts over HTTP, against a native route and native CGI.
    Hello,
    /// PHP over HTTP, against native php-cgi and php-fpm.
    Php,
    /// WordPress's front page over HTTP, against php-fpm.
    Wordpress,
    /// A small script over HTTP, against Wasmer.
    Wasmer,
    /// From process start to first byte.
    Start,
    /// Memory of exchanges blocked on a slow client.
    Blocked,
    /// Memory of idle packages.
    Packages,
    /// Many sites of one package, each at a snapshot of its own.
    Sites,
    /// Long bodies.
    Stream,
    /// A native route beside busy guests.
    Spin,
}

/// A part: what it is called, what it does.
type Part = (Name, fn(&Setting<'_>, &mut Findings) -> Result<()>);

const PARTS: [Part; 11] = [
    (Name::Call, call::run),
    (Name::Hello, http::hello),
    (Name::Php, http::php),
    (Name::Wordpress, wordpress::run),
    (Name::Wasmer, http::wasmer),
    (Name::Start, start::run),
    (Name::Blocked, memory::blocked),
    (Name::Packages, memory::packages),
    (Name::Sites, sites::run),
    (Name::Stream, stream::run),
    (Name::Spin, spin::run),
];

/// Runs what was asked for; a part that fails does not keep the others from being measured and reported.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    // With a program of its own it needs nothing that is built or installed here.
    if let Some(Other::Soak(options)) = &options.other
        && options.has_program()
    {
        return soak::run(workspace, options);
    }
    peers::install();
    match &options.other {
        Some(Other::Soak(options)) => return soak::run(workspace, options),
        Some(Other::Languages(options)) => return languages::run(workspace, options),
        None => {}
    }
    let setting = Setting::prepare(workspace, options.quick, options.with_wasmer)?;
    let facts = machine::describe(&setting);
    let mut findings = Findings::default();
    let mut failed = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| options.only.is_empty() || options.only.contains(name)) {
        println!("\n== {name:?}");
        if let Err(error) = part(&setting, &mut findings) {
            findings.note(&format!("{name:?}"), &format!("failed: {error:#}"));
            failed.push(format!("{name:?}"));
        }
    }
    report::publish(&setting, &facts, &findings)?;
    if !failed.is_empty() {
        bail!("these parts failed: {}", failed.join(", "));
    }
    Ok(())
}
