//! CGI beside native handlers, the way to do it: one axum router, one engine, two packages, and around them the layers
//! any axum program uses. Nothing here is made for CGI but [`RemoteUser`].

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_wcgi::{Access, Engine, Error, RemoteUser, WcgiService};

/// What can be changed about the program.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The package at `/hello`. Default: the example beside this one.
    pub hello: PathBuf,
    /// The package at `/php`. Default: the example beside this one.
    pub php: PathBuf,
    /// The directory `/php` has its pages from; an edit shows on the next request. Default: the package's own.
    pub pages: PathBuf,
    /// Who may use `/php`: bearer tokens and whose they are. Default: nobody.
    pub users: Vec<(String, String)>,
    /// How many requests to scripts one client may make at once; each second gives one back. Default: 20.
    pub burst: NonZeroU32,
    /// How long the head of any response may take. Default: 10 seconds.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hello: concat!(env!("CARGO_MANIFEST_DIR"), "/../hello").into(),
            php: concat!(env!("CARGO_MANIFEST_DIR"), "/../php").into(),
            pages: concat!(env!("CARGO_MANIFEST_DIR"), "/../php/app").into(),
            users: Vec::new(),
            burst: const { NonZeroU32::new(20).expect("20 is not zero") },
            timeout: Duration::from_secs(10),
        }
    }
}

/// The whole program but the socket. Serve it with connect info: the rate limit counts by the client's address.
///
/// Compiles what is not in the engine's cache yet, which takes seconds for PHP.
///
/// # Errors
///
/// Fails if a package cannot be opened or can never run.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn app(engine: &Engine, settings: &Settings) -> Result<Router, Error> {
    // Both share one pool of instances, one set of permits and one queue.
    let hello = WcgiService::builder().engine(engine.clone()).package(&settings.hello).build()?;
    let php = WcgiService::builder().engine(engine.clone()).package(&settings.php);
    let php = php.map_dir("/app", &settings.pages, Access::ReadOnly).build()?;

    let scripts = Router::new()
        .nest_service("/php", php)
        .route_layer(from_fn_with_state(Users::new(&settings.users), require_user))
        .nest_service("/hello", hello);
    // Around the check of tokens, so that nobody tries many.
    let scripts = limited(scripts, settings.burst);

    // The last layer is the outermost.
    Ok(Router::new()
        .route("/", get(|| async { "hybrid: /hello is C, /php is PHP, /health is Rust\n" }))
        .route("/health", get(|| async { "ok" }))
        .merge(scripts)
        // Whoever waits too long is told so, and dropping the service's future ends its script at once.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, settings.timeout))
        .layer(CompressionLayer::new())
        .layer(TraceLayer::new_for_http()))
}

/// Lets a request pass that has the token of a user, whom the script then knows as `REMOTE_USER`.
async fn require_user(State(users): State<Users>, mut request: Request, next: Next) -> Response {
    match users.of(request.headers()) {
        Some(user) => {
            request.extensions_mut().insert(RemoteUser::new("Bearer", user));
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}

/// Users by the hash of their token: how long the search takes says nothing about the tokens there are.
#[derive(Debug, Clone)]
struct Users(Arc<HashMap<blake3::Hash, Arc<str>>>);

impl Users {
    fn new(users: &[(String, String)]) -> Self {
        Self(Arc::new(
            users.iter().map(|(token, user)| (blake3::hash(token.as_bytes()), user.as_str().into())).collect(),
        ))
    }

    fn of(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        self.0.get(&blake3::hash(token.trim().as_bytes())).cloned()
    }
}

/// `router` with a bucket of `burst` requests for each client's address, which gets one back each second.
fn limited(router: Router, burst: NonZeroU32) -> Router {
    let quota = GovernorConfigBuilder::default().per_second(1).burst_size(burst.get()).finish();
    let quota = quota.expect("neither the period nor the burst is zero");
    let buckets = Arc::downgrade(quota.limiter());
    tokio::spawn(async move {
        let mut minutes = tokio::time::interval(Duration::from_secs(60));
        // Addresses that have all their requests back need no memory. Ends with the router.
        while let Some(buckets) = buckets.upgrade() {
            buckets.retain_recent();
            drop(buckets);
            minutes.tick().await;
        }
    });
    router.route_layer(GovernorLayer::new(quota))
}
