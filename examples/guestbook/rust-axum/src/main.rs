//! A guest book as an axum `Router` that runs as a CGI program.

mod book;
mod page;
mod problem;

use std::process::ExitCode;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Form, Json, Router, middleware};
use wcgi_guest::MetaVariables;

use crate::book::Signature;
use crate::page::Format;
use crate::problem::Problem;

fn main() -> ExitCode {
    let app = Router::new()
        .route("/", get(list).post(sign).fallback(async || wrong_method("GET, HEAD, POST")))
        .route("/entries/{id}", get(show).fallback(async || wrong_method("GET, HEAD")))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here"))
        .layer(DefaultBodyLimit::max(16 << 10))
        .layer(middleware::from_fn(problem::show));
    wcgi_guest::serve(app)
}

async fn list(
    format: Format,
    Extension(variables): Extension<MetaVariables>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entries = book::read()?;
    Ok(match format {
        Format::Json => Json(page::Entries { entries }).into_response(),
        Format::Html => {
            let name = name_in_cookie(&headers).unwrap_or_default();
            page::html_entries(&entries, &variables.base(), &name).into_response()
        }
    })
}

async fn show(
    format: Format,
    Extension(variables): Extension<MetaVariables>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let entry = book::read()?.into_iter().find(|entry| entry.id.to_string() == id);
    let entry = entry.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no entry {id}")))?;
    Ok(match format {
        Format::Json => Json(entry).into_response(),
        Format::Html => page::html_entry(&entry, &variables.base()).into_response(),
    })
}

async fn sign(
    Extension(variables): Extension<MetaVariables>,
    form: Result<Form<Signature>, FormRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Form(form) = form?;
    let signature = Signature { name: form.name.trim().to_owned(), message: form.message.trim().to_owned() };
    if signature.name.is_empty() || signature.message.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "a name and a message are needed"));
    }
    if signature.name.chars().count() > 100 || signature.message.chars().count() > 1000 {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "a name has at most 100 characters, a message 1000"));
    }
    book::append(&signature)?;

    let base = variables.base();
    let name: String = form_urlencoded::byte_serialize(signature.name.as_bytes()).collect();
    let cookie = format!("name={name}; Path={base}/; HttpOnly; SameSite=Lax");
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, format!("{base}/")), (header::SET_COOKIE, cookie)]))
}

fn wrong_method(allow: &'static str) -> impl IntoResponse {
    ([(header::ALLOW, allow)], Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this takes only {allow}")))
}

fn name_in_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let pair = cookies.split(';').map(str::trim).find(|pair| pair.starts_with("name="))?;
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, name)| name.into_owned())
}
