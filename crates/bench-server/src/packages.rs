//! What a package costs that nobody asks: many are opened in one engine and left alone.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use tower_wcgi::{Engine, WcgiService};

use crate::memory;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The directory whose files are opened, each a package.
    dir: PathBuf,
}

pub(crate) fn run(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let entries = fs::read_dir(&options.dir).with_context(|| format!("cannot read {}", options.dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();

    let before = memory::resident()?;
    let begin = Instant::now();
    let mut services = Vec::with_capacity(paths.len());
    for path in &paths {
        let service = WcgiService::builder().engine(engine.clone()).package(path).build();
        services.push(service.with_context(|| format!("cannot open {}", path.display()))?);
    }
    let took = begin.elapsed();
    let after = memory::resident()?;
    println!("packages={}\nmicroseconds={}", services.len(), took.as_micros());
    println!("resident_before={before}\nresident_after={after}");
    Ok(())
}
