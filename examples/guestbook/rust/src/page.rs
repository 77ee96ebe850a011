//! What visitors see, as HTML and as JSON.

use crate::book::Entry;
use crate::problem::Problem;

pub fn html_entries(entries: &[Entry], base: &str, name: &str) -> String {
    let items: String = entries.iter().map(html_item).collect();
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

pub fn html_entry(entry: &Entry, base: &str) -> String {
    let (item, base) = (html_item(entry), escape(base));
    html("Guest book", &format!("<ul>\n{item}</ul>\n<p><a href=\"{base}/\">All entries</a></p>\n"))
}

pub fn html_problem(problem: &Problem) -> String {
    let title = problem.status.split_once(' ').map_or("", |(_, reason)| reason);
    html(title, &format!("<p>Sorry: {}.</p>\n", escape(&problem.message)))
}

pub fn json_entries(entries: &[Entry]) -> String {
    let items: Vec<_> = entries.iter().map(json_entry).collect();
    format!(r#"{{"entries":[{}]}}"#, items.join(","))
}

pub fn json_entry(entry: &Entry) -> String {
    format!(r#"{{"id":{},"name":{},"message":{}}}"#, entry.id, quote(&entry.name), quote(&entry.message))
}

pub fn json_problem(problem: &Problem) -> String {
    format!(r#"{{"error":{}}}"#, quote(&problem.message))
}

fn html(title: &str, content: &str) -> String {
    format!("<!doctype html>\n<html lang=\"en\">\n<title>{title}</title>\n<h1>{title}</h1>\n{content}</html>\n")
}

fn html_item(entry: &Entry) -> String {
    let Entry { id, name, message } = entry;
    format!("<li id=\"entry-{id}\"><strong>{}</strong>: {}</li>\n", escape(name), escape(message))
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// A JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
