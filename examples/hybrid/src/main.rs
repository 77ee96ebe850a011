//! `HYBRID_TOKEN=secret cargo run --release -p hybrid [HOST:PORT]`

use std::net::SocketAddr;

use anyhow::Context;
use axum::serve::ListenerExt;
use hybrid::Settings;
use tokio::net::TcpListener;
use tower_wcgi::Engine;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // What cannot be logged would be printed otherwise, and that panics when stderr is gone.
    tracing_subscriber::fmt().with_writer(std::io::stderr).log_internal_errors(false).init();
    let mut settings = Settings::default();
    let token = std::env::var("HYBRID_TOKEN").context("HYBRID_TOKEN has to be set to the token that opens /php")?;
    settings.users.push((token, "admin".to_owned()));
    let app = hybrid::app(&Engine::builder().build()?, &settings)?;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!("listening on http://{}/", listener.local_addr()?);
    // Without it, the end of a response that comes in two pieces waits for the client to acknowledge the first.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop())
        .await
        .context("the server failed")
}

/// Ctrl-C, or what a service manager sends. What runs is finished first.
async fn stop() {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("the process can listen for signals");
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
