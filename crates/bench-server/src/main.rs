//! The part of `cargo xtask bench` that cannot be measured from outside: scripts beside native handlers in one axum program,
//! and the library's memory. The latter is measured with many waiting exchanges, many open packages, and many sites of one package.
//!
//! It prints its figures to stdout as `NAME=NUMBER` lines.
#![expect(clippy::print_stdout, reason = "stdout is where it reports")]

mod blocked;
mod memory;
mod native;
mod packages;
#[cfg(target_os = "linux")]
mod page_out;
mod serve;
mod sites;

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Where compiled modules are kept.
    #[arg(long, value_name = "DIR", global = true)]
    cache_dir: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Serve packages and native handlers on a free port of the loopback interface until stdin ends.
    Serve(serve::Options),
    /// Hold exchanges whose responses nobody reads, and say what memory that takes.
    Blocked(blocked::Options),
    /// Open every module of a directory in one engine, and say what time and memory that takes.
    Packages(packages::Options),
    /// Open one package many times with another value of one variable, and say what time and memory that takes.
    Sites(sites::Options),
    /// Have the kernel push out and move the pages of a process until stdin ends, and say how often.
    #[cfg(target_os = "linux")]
    PageOut(page_out::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut engine = tower_wcgi::Engine::builder();
    if let Some(dir) = arguments.cache_dir {
        engine = engine.cache_dir(dir);
    }
    match arguments.what {
        What::Serve(options) => serve::run(engine, options).await,
        What::Blocked(options) => blocked::run(engine, options).await,
        What::Packages(options) => packages::run(&engine.build()?, &options),
        What::Sites(options) => sites::run(&engine.build()?, &options).await,
        #[cfg(target_os = "linux")]
        What::PageOut(options) => page_out::run(&options),
    }
}
