//! An axum program: as it is, as a native CGI program, and as a guest (`tests/it/guest_crate.rs`).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, post};
use http_body::Frame;

pub(crate) fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello\n" }).post(echo))
        .route("/greet/{name}", get(greet))
        .route("/cookies", get(cookies))
        .route("/lines", get(|| async { Body::new(Lines(0)) }))
        .route("/upload", post(upload))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
}

/// Back as it came, in the pieces in which it came.
async fn echo(headers: HeaderMap, body: Body) -> impl IntoResponse {
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    (AppendHeaders(content_type.map(|value| (header::CONTENT_TYPE, value))), body)
}

async fn greet(Path(name): Path<String>, RawQuery(query): RawQuery) -> impl IntoResponse {
    ([("x-query", query.unwrap_or_default())], format!("Hello, {name}!\n"))
}

async fn cookies() -> impl IntoResponse {
    (StatusCode::IM_A_TEAPOT, AppendHeaders([(header::SET_COOKIE, "a=1"), (header::SET_COOKIE, "b=2")]))
}

/// How much it was, and what it adds up to.
async fn upload(body: Body) -> Result<String, StatusCode> {
    let (mut length, mut sum) = (0_usize, 0_u64);
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let data = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data().unwrap_or_default();
        length += data.len();
        sum += data.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    Ok(format!("{length} {sum}\n"))
}

/// A body that does not know how long it is.
struct Lines(u32);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 3).then(|| Ok(Frame::data(format!("line {}\n", self.0).into()))))
    }
}
