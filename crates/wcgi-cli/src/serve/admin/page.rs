//! The pages of the admin address, for a person with a browser or a phone. They need no script.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::status::{Status, millis};

/// What there is.
pub(super) fn links() -> String {
    let items: String = ["status", "metrics", "healthz", "readyz"]
        .iter()
        .map(|name| format!("<li><a href=\"/{name}\">/{name}</a></li>"))
        .collect();
    page("wcgi", &format!("<h1>wcgi</h1><ul>{items}</ul>"))
}

pub(super) fn status(status: &Status) -> String {
    let mut body = String::from("<h1>wcgi</h1>");
    let busy = status.permits.saturating_sub(status.available);
    let up = Up(Duration::from_secs(status.uptime_seconds));
    let version = env!("CARGO_PKG_VERSION");
    // A String takes everything, here and below.
    let _ = write!(
        body,
        "<dl><div><dt>version</dt><dd>{version}</dd></div><div><dt>up</dt><dd>{up}</dd></div>\
         <div><dt>running</dt><dd>{busy} <small>of {}</small></dd></div>\
         <div><dt>queued</dt><dd>{}</dd></div></dl>",
        status.permits, status.queued
    );
    body += "<h2>Sites</h2><div class=\"wide\"><table><thead><tr><th>site<th>package<th class=\"n\">requests\
             <th class=\"n\">running<th class=\"n\">queued</thead><tbody>";
    for site in &status.sites {
        let _ = write!(
            body,
            "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}",
            Html(&site.name),
            Html(&site.package),
            site.requests,
            site.running,
            site.queued
        );
    }
    body += "</tbody></table></div><h2>Running requests</h2>";
    if status.running.is_empty() {
        body += "<p>None.</p>";
        return page("wcgi: status", &body);
    }
    body += "<div class=\"wide\"><table><thead><tr><th>request<th>site<th>state<th class=\"n\">age<th class=\"n\">memory\
             <th>id</thead><tbody>";
    for exchange in status.running.iter().take(MOST) {
        let _ = write!(
            body,
            "<tr><td>{} {}<td>{}<td>{}<td class=\"n\">{} ms<td class=\"n\">{:.1} MiB<td>{}",
            Html(exchange.method()),
            Html(exchange.path()),
            Html(exchange.site()),
            exchange.state().as_str(),
            millis(exchange),
            exchange.memory() as f64 / 1_048_576.0,
            Html(exchange.id())
        );
    }
    body += "</tbody></table></div>";
    if status.running.len() > MOST {
        let _ = write!(body, "<p>And {} more.</p>", status.running.len() - MOST);
    }
    page("wcgi: status", &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n"
    )
}

/// Text, as it stands in HTML.
struct Html<'a>(&'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// How long something has run.
struct Up(Duration);

impl Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0, s) => write!(f, "{s} s"),
            (0, 0, m, s) => write!(f, "{m} min {s} s"),
            (0, h, m, _) => write!(f, "{h} h {m} min"),
            (d, h, ..) => write!(f, "{d} d {h} h"),
        }
    }
}

/// A page that nobody could read to its end helps nobody.
const MOST: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:light-dark(#fafafa,#16181b);color:light-dark(#1c1e21,#e6e8ea)}\
main{max-width:70rem;margin:0 auto;padding:1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
dl{display:flex;flex-wrap:wrap;gap:1rem;margin:0}\
dl div{background:light-dark(#fff,#202327);border:1px solid light-dark(#e2e4e8,#33373c);border-radius:.5rem;padding:.5rem 1rem}\
dt{font-size:.8rem;opacity:.7}dd{margin:0;font-size:1.2rem}small{font-size:.8rem;opacity:.7}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;padding:.4rem .7rem;border-bottom:1px solid light-dark(#e2e4e8,#33373c);overflow-wrap:anywhere}\
th{font-weight:600;opacity:.7}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
a{color:inherit}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_named_is_text() {
        let escaped = Html("<script>\"&\u{1b}").to_string();
        assert_eq!(escaped, "&lt;script&gt;&quot;&amp;\\u{1b}");
    }

    #[test]
    fn how_long_it_has_run() {
        for (seconds, text) in [(59, "59 s"), (61, "1 min 1 s"), (3660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(Up(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
