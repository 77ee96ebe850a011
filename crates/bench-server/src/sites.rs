//! What a site costs that differs from others in one variable: many services of one package in one engine, each at its snapshot.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use tower_wcgi::{Engine, WcgiService};

use crate::memory;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many.
    #[arg(long, default_value_t = 40)]
    sites: usize,
    /// The package that all of them serve.
    #[arg(long, default_value = "examples/php")]
    package: PathBuf,
}

pub(crate) async fn run(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    memory::quiet().await?;
    let (resident, proportional) = (memory::resident()?, memory::proportional()?);
    let begin = Instant::now();
    let mut services = Vec::with_capacity(options.sites);
    for number in 0..options.sites {
        let service = WcgiService::builder().engine(engine.clone()).package(&options.package);
        let service = service.env("SITE", format!("site {number}")).build();
        services.push(service.with_context(|| format!("cannot open {}", options.package.display()))?);
    }
    let took = begin.elapsed();
    memory::quiet().await?;
    println!("sites={}\nmicroseconds={}", services.len(), took.as_micros());
    println!("resident_before={resident}\nresident_after={}", memory::resident()?);
    println!("proportional_before={proportional}\nproportional_after={}", memory::proportional()?);
    Ok(())
}
