//! What an exchange costs while it waits for its reader: many responses are asked for, and their bodies never read.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use axum::body::Body;
use http::Request;
use tower_wcgi::{EngineBuilder, WcgiService};

use crate::memory;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many at once.
    #[arg(long, default_value_t = 1000)]
    exchanges: usize,
    /// Output held for each, in bytes [default: the library's]
    #[arg(long)]
    response_buffer: Option<usize>,
    /// What to ask for. The answer has to be longer than the buffer, or nothing waits.
    #[arg(long, default_value = "/")]
    target: String,
    /// The package that answers.
    package: PathBuf,
}

pub(crate) async fn run(engine: EngineBuilder, options: Options) -> anyhow::Result<()> {
    let engine = engine.max_concurrency(options.exchanges).build()?;
    let mut service = WcgiService::builder().engine(engine.clone()).package(&options.package).deadline(None);
    if let Some(bytes) = options.response_buffer {
        service = service.response_buffer(bytes);
    }
    let service = service.build().with_context(|| format!("cannot open {}", options.package.display()))?;

    // What is needed once, and not for each, shall be there before the count begins.
    drop(service.try_call(request(&options.target)?).await?);
    memory::quiet().await?;
    let before = memory::resident()?;
    let mut responses = Vec::with_capacity(options.exchanges);
    for _ in 0..options.exchanges {
        responses.push(service.try_call(request(&options.target)?).await?);
    }
    memory::quiet().await?;
    ensure!(engine.available_permits() == 0, "{} exchanges do not wait for their reader", engine.available_permits());
    let after = memory::resident()?;
    drop(responses);
    println!("exchanges={}\nresident_before={before}\nresident_after={after}", options.exchanges);
    Ok(())
}

fn request(target: &str) -> anyhow::Result<Request<Body>> {
    Ok(Request::get(target).header("host", "localhost").body(Body::empty())?)
}
