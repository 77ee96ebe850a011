//! The page that a developer sees in place of a bare status: what went wrong, and all that is known of it.
//!
//! In: an error. Out: HTML or text. It tells what clients must never know, so a service shows it only where that was asked for.

use std::fmt::{self, Display, Write as _};

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use crate::error::Error;
use crate::request::RequestId;

/// How the client would like to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Text,
}

impl Form {
    /// Browsers say that they take HTML, and the tools of a terminal do not.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let takes_html = |item: &str| item.trim().starts_with("text/html");
        if accepted.flat_map(|value| value.split(',')).any(takes_html) { Self::Html } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

pub(super) fn page(id: &RequestId, error: &Error, form: Form) -> String {
    let status = error.kind().status();
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let causes = error.causes().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let parts = [
        ("What went wrong", error.to_string()),
        ("What to do", error.hint().unwrap_or_default().to_owned()),
        ("Why, from the outside in", causes),
        ("The last that the script wrote to stderr", error.stderr().trim_end().to_owned()),
    ];
    let parts = parts.iter().filter(|(_, text)| !text.is_empty());
    let about = format!("request {id}, {}", error.kind().as_str());
    match form {
        Form::Text => {
            parts.fold(format!("{title}\n{about}\n"), |page, (heading, text)| page + &text_part(heading, text))
        }
        Form::Html => html(&title, &about, status, parts.map(|(heading, text)| (*heading, text.as_str()))),
    }
}

fn text_part(heading: &str, text: &str) -> String {
    let mut part = format!("\n{heading}:\n");
    for line in text.lines() {
        // A String takes everything.
        let _ = writeln!(part, "    {}", Shown(line));
    }
    part
}

fn html<'a>(title: &str, about: &str, status: StatusCode, parts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body class=\"s{}\"><main><h1>{title}</h1><p>{}</p>",
        status.as_u16() / 100,
        Html(about)
    );
    for (heading, text) in parts {
        let _ = write!(page, "<h2>{heading}</h2><pre>{}</pre>", Html(text));
    }
    page + "<footer>Shown because this server runs with --dev. Clients of others see the status alone.</footer></main></body></html>\n"
}

/// Text without what would drive a terminal.
struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() && c != '\n' && c != '\t' {
                write!(f, "\\u{{{:x}}}", u32::from(c))?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Text as it stands in HTML.
struct Html<'a>(&'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in Shown(self.0).to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:light-dark(#fafafa,#16181b);color:light-dark(#1c1e21,#e6e8ea)}\
main{max-width:60rem;margin:0 auto;padding:1rem}h1{font-size:1.5rem;margin-bottom:0}\
h1::before{content:'';display:inline-block;width:.7rem;height:.7rem;border-radius:50%;background:#c33;margin-right:.6rem}\
.s4 h1::before{background:#c80}p,footer{opacity:.7}h2{font-size:1rem;margin:1.5rem 0 .3rem}footer{font-size:.8rem;margin-top:2rem}\
pre{margin:0;padding:.8rem 1rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem;\
background:light-dark(#fff,#202327);border:1px solid light-dark(#e2e4e8,#33373c);border-radius:.5rem}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn everything_is_said_and_nothing_of_it_is_markup() {
        let error = Error::new(ErrorKind::Trap, "the <script> trapped").with_source("at \"f\"").with_hint("mend it");
        let error = error.with_stderr("PHP \u{1b}[2J".to_owned());
        let id = RequestId::new("r<1>");
        let text = page(&id, &error, Form::Text);
        let expected = "502 Bad Gateway\nrequest r<1>, trap\n\nWhat went wrong:\n    the <script> trapped\n\nWhat to do:\n    \
                        mend it\n\nWhy, from the outside in:\n    at \"f\"\n\nThe last that the script wrote to stderr:\n    \
                        PHP \\u{1b}[2J\n";
        assert_eq!(text, expected);
        let html = page(&id, &error, Form::Html);
        assert!(html.contains("<pre>the &lt;script&gt; trapped</pre>") && html.contains("r&lt;1&gt;"), "{html}");
        assert!(!html.contains("<script") && !html.contains('\u{1b}'), "{html}");
    }

    #[test]
    fn html_is_for_those_who_say_so() {
        for (accept, form) in [
            (Some("text/html,application/xhtml+xml;q=0.9"), Form::Html),
            (Some("application/json, text/html;q=0.5"), Form::Html),
            (Some("*/*"), Form::Text),
            (None, Form::Text),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Form::asked_for(&headers), form, "{accept:?}");
        }
    }
}
