#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block_on;
mod body;
mod exchange;
mod failure;
mod meta_variables;
mod request;
mod response;
mod url;

use std::error::Error;
use std::future::poll_fn;
use std::io::{stdin, stdout};
use std::process::ExitCode;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

pub use body::RequestBody;
pub use meta_variables::MetaVariables;

/// Answers the one request of this process with `service`, such as an axum `Router`. Return its result from `main`.
///
/// The request's URI is the part below the program: `PATH_INFO` and `QUERY_STRING`. So a router written for `/` works
/// wherever the program is mounted. [`MetaVariables`], in the request's extensions, has the rest.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use axum::{Router, routing::get};
///
/// fn main() -> ExitCode {
///     wcgi_guest::serve(Router::new().route("/", get(|| async { "Hello!" })))
/// }
/// ```
///
/// A failure is reported on stderr, and the process fails. If the response has not begun, the client gets 500 and nothing
/// more. If it has begun, it ends early.
pub fn serve<S, B>(mut service: S) -> ExitCode
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_fn(async move |request| {
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    })
}

/// Answers the one request of this process with an async function. The rest is as for [`serve`].
///
/// ```no_run
/// use std::convert::Infallible;
/// use std::process::ExitCode;
///
/// use http::{Request, Response};
/// use wcgi_guest::RequestBody;
///
/// async fn hello(request: Request<RequestBody>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new(format!("You asked for {}.\n", request.uri())))
/// }
///
/// fn main() -> ExitCode {
///     wcgi_guest::serve_fn(hello)
/// }
/// ```
pub fn serve_fn<F, B, E>(handler: F) -> ExitCode
where
    F: AsyncFnOnce(Request<RequestBody>) -> Result<Response<B>, E>,
    E: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    exchange::run(handler, MetaVariables::of_process(), stdin(), stdout())
}
