//! What visitors see: as HTML, or as JSON if they ask for it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Html;
use serde::Serialize;

use crate::book::Entry;

#[derive(Clone, Copy)]
pub enum Format {
    Html,
    Json,
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let wants_json = accept.is_some_and(|accept| accept.contains("application/json"));
        Ok(if wants_json { Self::Json } else { Self::Html })
    }
}

#[derive(Serialize)]
pub struct Entries {
    pub entries: Vec<Entry>,
}

pub fn html_entries(entries: &[Entry], base: &str, name: &str) -> Html<String> {
    let items: String = entries.iter().map(item).collect();
    let (base, name) = (escape(base), escape(name));
    html(
        "Guest book",
        &format!(
            r#"<ol>
{items}</ol>
<form method="post" action="{base}/">
<p><label>Name <input name="name" value="{name}" maxlength="100" required></label></p>
<p><label>Message <textarea name="message" maxlength="1000" required></textarea></label></p>
<p><button>Sign</button></p>
</form>
"#
        ),
    )
}

pub fn html_entry(entry: &Entry, base: &str) -> Html<String> {
    let (item, base) = (item(entry), escape(base));
    html("Guest book", &format!("<ul>\n{item}</ul>\n<p><a href=\"{base}/\">All entries</a></p>\n"))
}

pub fn html_problem(title: &str, message: &str) -> Html<String> {
    html(title, &format!("<p>Sorry: {}.</p>\n", escape(message)))
}

fn html(title: &str, content: &str) -> Html<String> {
    Html(format!("<!doctype html>\n<html lang=\"en\">\n<title>{title}</title>\n<h1>{title}</h1>\n{content}</html>\n"))
}

fn item(entry: &Entry) -> String {
    let Entry { id, name, message } = entry;
    format!("<li id=\"entry-{id}\"><strong>{}</strong>: {}</li>\n", escape(name), escape(message))
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
