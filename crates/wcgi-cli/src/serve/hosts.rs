//! Which site a request is for: its host and its path → the index of a site. A pure function.

use std::borrow::Cow;
use std::collections::HashMap;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use percent_encoding::percent_decode_str;

/// The sites by host and path. A more exact host goes before a longer path.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    exact: HashMap<String, Paths>,
    /// By what follows the `*.`.
    below: HashMap<String, Paths>,
    /// For the hosts that no site names.
    others: Paths,
}

/// Paths and their sites, the longest first.
#[derive(Debug, Default)]
struct Paths(Vec<(String, usize)>);

impl Hosts {
    /// Adds the site with this index, for `host` or for all hosts that no site names. `path` is empty, or a slash and names.
    pub(crate) fn add(&mut self, host: Option<&str>, path: &str, site: usize) {
        let paths = match host {
            None => &mut self.others,
            Some(host) => match host.strip_prefix("*.") {
                Some(suffix) => self.below.entry(suffix.to_owned()).or_default(),
                None => self.exact.entry(host.to_owned()).or_default(),
            },
        };
        paths.0.push((path.to_owned(), site));
        paths.0.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    }

    /// The site for a host in lower case and a path that is still encoded.
    pub(crate) fn site(&self, host: Option<&str>, path: &str) -> Option<usize> {
        // It asks about the server as a whole (RFC 9110 §9.3.7).
        let path = if path == "*" { "/" } else { path };
        let exact = host.and_then(|host| self.exact.get(host));
        let suffixes = host.into_iter().flat_map(|host| host.match_indices('.').map(|(at, _)| host.get(at + 1..)));
        let below = suffixes.flatten().filter_map(|suffix| self.below.get(suffix));
        let mut named = exact.into_iter().chain(below).peekable();
        if named.peek().is_none() {
            return self.others.site(path);
        }
        named.find_map(|paths| paths.site(path))
    }
}

impl Paths {
    fn site(&self, path: &str) -> Option<usize> {
        self.0.iter().find(|(mount, _)| is_below(path, mount)).map(|(_, site)| *site)
    }
}

/// Whether a path that is still encoded is `mount`, or below it: as the service that is mounted there decides.
fn is_below(path: &str, mount: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    mount
        .split('/')
        .skip(1)
        .all(|name| segments.next().is_some_and(|segment| Cow::from(percent_decode_str(segment)) == name.as_bytes()))
}

/// The host that a request names.
///
/// # Errors
///
/// When it names several, or what is no host (RFC 9112 §3.2).
pub(crate) fn host(parts: &Parts) -> Result<Option<Host>, BadHost> {
    // A target with an authority wins over the header (RFC 9112 §3.2.2), and HTTP/2 has the host there.
    if let Some(authority) = parts.uri.authority() {
        return Host::new(authority.as_str()).map(Some);
    }
    let mut sent = parts.headers.get_all(HOST).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(host), None) if host.is_empty() => Ok(None),
        (Some(host), None) => Host::new(host.to_str().map_err(|_| BadHost)?).map(Some),
        (Some(_), Some(_)) => Err(BadHost),
    }
}

/// The host of a request, in lower case and without a dot at its end.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
}

/// A request's host is none.
#[derive(Debug)]
pub(crate) struct BadHost;

impl Host {
    fn new(text: &str) -> Result<Self, BadHost> {
        let authority: Authority = text.parse().map_err(|_| BadHost)?;
        if authority.as_str().contains('@') {
            return Err(BadHost);
        }
        let name = authority.host().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        if name.is_empty() { Err(BadHost) } else { Ok(Self { name }) }
    }

    /// Without a port.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_most_exact_host_and_then_the_longest_path_win() {
        let mut hosts = Hosts::default();
        for (site, (host, path)) in [
            (None, ""),
            (None, "/app"),
            (Some("a.example"), ""),
            (Some("a.example"), "/wiki"),
            (Some("a.example"), "/wiki/old pages"),
            (Some("b.example"), "/only"),
            (Some("*.example"), "/any"),
            (Some("*.deep.example"), ""),
            (Some("[::1]"), ""),
        ]
        .into_iter()
        .enumerate()
        {
            hosts.add(host, path, site);
        }
        for (host, path, site) in [
            (None, "/", Some(0)),
            (Some("other"), "/x", Some(0)),
            (Some("other"), "/app", Some(1)),
            (Some("other"), "/app/x", Some(1)),
            (Some("other"), "/%61pp/x", Some(1)),
            (Some("other"), "/apps", Some(0)),
            (Some("other"), "*", Some(0)),
            (Some("a.example"), "/", Some(2)),
            (Some("a.example"), "/wikis", Some(2)),
            (Some("a.example"), "/wiki/", Some(3)),
            (Some("a.example"), "/wiki/old%20pages/1", Some(4)),
            // It has `/any` of the wildcard too, but its own root is more exact.
            (Some("a.example"), "/any", Some(2)),
            (Some("b.example"), "/only", Some(5)),
            (Some("b.example"), "/any/thing", Some(6)),
            (Some("b.example"), "/", None),
            (Some("x.y.example"), "/any", Some(6)),
            (Some("x.y.example"), "/", None),
            (Some("x.deep.example"), "/any", Some(7)),
            (Some("deep.example"), "/any", Some(6)),
            (Some("example"), "/any", Some(0)),
            (Some("[::1]"), "/", Some(8)),
        ] {
            assert_eq!(hosts.site(host, path), site, "{host:?} {path}");
        }
    }

    #[test]
    fn the_host_of_a_request() {
        let named = |uri: &str, sent: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for host in sent {
                request = request.header(HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            host(&parts).map(|host| host.map(|host| host.name().to_owned()))
        };
        for (uri, sent, expected) in [
            ("/", &["a.example:8000"][..], "a.example"),
            ("/", &["A.Example."], "a.example"),
            ("/", &["[::1]:80"], "[::1]"),
            ("http://B.example:1/x", &["a.example"], "b.example"),
        ] {
            assert_eq!(named(uri, sent).unwrap().as_deref(), Some(expected));
        }
        for sent in [&[][..], &[""]] {
            assert_eq!(named("/", sent).unwrap(), None);
        }
        for sent in [&["a", "a"][..], &["a b"], &["user@a"], &["a/b"], &[":80"], &["a\u{e9}"]] {
            assert!(named("/", sent).is_err(), "{sent:?}");
        }
    }
}
