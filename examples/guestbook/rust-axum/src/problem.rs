//! Why a request gets another answer than it asked for.

use std::io;

use axum::Json;
use axum::extract::Request;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::page::{self, Format};

/// What the visitor is told.
#[derive(Clone, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: String,
}

impl Problem {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        eprintln!("error: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the guest book cannot be read or written now")
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        match rejection.status() {
            status @ StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(status, "an entry comes as a URL-encoded form"),
            status @ StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "a form has at most 16 KiB"),
            _ => Self::new(StatusCode::BAD_REQUEST, "this is no form"),
        }
    }
}

/// [`show`] makes the page.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Shows problems in the format that the visitor wants.
pub async fn show(format: Format, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let status = problem.status;
        let page = match format {
            Format::Json => Json(problem).into_response(),
            Format::Html => {
                page::html_problem(status.canonical_reason().unwrap_or("Error"), &problem.error).into_response()
            }
        };
        let allow = response.headers_mut().remove(header::ALLOW);
        response = (status, page).into_response();
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}
