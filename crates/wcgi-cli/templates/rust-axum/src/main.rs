//! An axum program that answers one request at a time, as a CGI program.

use std::process::ExitCode;

use axum::Router;
use axum::extract::Query;
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;

fn main() -> ExitCode {
    wcgi_guest::serve(Router::new().route("/", get(hello)))
}

#[derive(Deserialize)]
struct Visitor {
    name: Option<String>,
}

async fn hello(Query(visitor): Query<Visitor>) -> Html<String> {
    let name = visitor.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "World".to_owned());
    Html(format!("<!doctype html>\n<title>{{name}}</title>\n<h1>Hello, {}!</h1>\n", escape(&name)))
}

/// Makes text safe to stand in HTML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
