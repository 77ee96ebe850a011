//! The variables of a CGI program (RFC 3875 §4.1): the public view of them.
//!
//! In: the process's environment. Out: values by name. It must not know how the request is made from them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::uri::{self, Authority, PathAndQuery, Scheme, Uri};

use crate::url;

/// The variables with which the server called this program (RFC 3875 §4.1), in the extensions of each request.
///
/// ```
/// use http::Request;
/// use wcgi_guest::{MetaVariables, RequestBody};
///
/// fn greeting(request: &Request<RequestBody>) -> String {
///     let user = request.extensions().get::<MetaVariables>().and_then(|variables| variables.remote_user());
///     format!("Hello, {}!", user.unwrap_or("stranger"))
/// }
/// ```
///
/// In an axum handler, `Extension(variables): Extension<MetaVariables>` is an extractor for them. To test a handler without a
/// server, collect them from names and values:
///
/// ```
/// use wcgi_guest::MetaVariables;
///
/// let variables = MetaVariables::from_iter([("SCRIPT_NAME", "/my shop"), ("PATH_INFO", "/cart"), ("HTTP_HOST", "[::1]:8080")]);
/// assert_eq!(variables.script_name(), "/my shop");
/// assert_eq!(variables.base(), "/my%20shop");
/// assert_eq!(variables.url(), "http://[::1]:8080/my%20shop/cart");
/// ```
///
/// An empty variable means the same as an unset one (RFC 3875 §4.1), and reads as unset here.
#[derive(Clone, Default)]
pub struct MetaVariables(Arc<[(OsString, OsString)]>);

impl MetaVariables {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self(env::vars_os().collect())
    }

    /// The variable called `name`, whether the RFC knows it or not. None if it is empty or unset, or not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.bytes(name)).ok().filter(|value| !value.is_empty())
    }

    /// The variable called `name`, which need not be UTF-8. Empty if it is unset.
    #[must_use]
    pub fn bytes(&self, name: &str) -> &[u8] {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or(&[], |(_, value)| value.as_encoded_bytes())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The scheme by which the client was authenticated, such as `Basic` (RFC 3875 §4.1.1).
    #[must_use]
    pub fn auth_type(&self) -> Option<&str> {
        self.get("AUTH_TYPE")
    }

    /// The interface, `CGI/1.1` (RFC 3875 §4.1.4).
    #[must_use]
    pub fn gateway_interface(&self) -> Option<&str> {
        self.get("GATEWAY_INTERFACE")
    }

    /// The decoded path below the program (RFC 3875 §4.1.5). It is the path of the request's URI, but empty
    /// and not `/` for the program itself. Also empty if it is not UTF-8.
    #[must_use]
    pub fn path_info(&self) -> &str {
        self.get("PATH_INFO").unwrap_or_default()
    }

    /// The file the server would serve for [`path_info`](Self::path_info) (RFC 3875 §4.1.6).
    #[must_use]
    pub fn path_translated(&self) -> Option<&str> {
        self.get("PATH_TRANSLATED")
    }

    /// The part after the `?`, not decoded (RFC 3875 §4.1.7). It is the same in the request's URI.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.get("QUERY_STRING").unwrap_or_default()
    }

    /// The client's address, or that of the last proxy (RFC 3875 §4.1.8).
    #[must_use]
    pub fn remote_addr(&self) -> Option<IpAddr> {
        self.get("REMOTE_ADDR").and_then(|address| address.trim_matches(['[', ']']).parse().ok())
    }

    /// The client's name (RFC 3875 §4.1.9); many servers put its address here.
    #[must_use]
    pub fn remote_host(&self) -> Option<&str> {
        self.get("REMOTE_HOST")
    }

    /// The user, as authenticated by the server (RFC 3875 §4.1.11).
    #[must_use]
    pub fn remote_user(&self) -> Option<&str> {
        self.get("REMOTE_USER")
    }

    /// The path at which the program is mounted, decoded (RFC 3875 §4.1.13). It is empty at the root, else begins with a `/` and
    /// does not end with one. Also empty if it is not UTF-8.
    #[must_use]
    pub fn script_name(&self) -> &str {
        self.get("SCRIPT_NAME").unwrap_or_default()
    }

    /// [`script_name`](Self::script_name), percent-encoded for URLs. Links, redirects and the paths of cookies
    /// begin with it.
    #[must_use]
    pub fn base(&self) -> String {
        let mut base = String::new();
        url::encode(&mut base, self.bytes("SCRIPT_NAME"), url::in_path);
        base
    }

    /// The name by which the client addressed the server (RFC 3875 §4.1.14).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.get("SERVER_NAME")
    }

    /// The port on which the request came (RFC 3875 §4.1.15).
    #[must_use]
    pub fn server_port(&self) -> Option<u16> {
        self.get("SERVER_PORT").and_then(|port| port.parse().ok())
    }

    /// The protocol of the request, such as `HTTP/1.1` (RFC 3875 §4.1.16); the same as the request's version.
    #[must_use]
    pub fn server_protocol(&self) -> Option<&str> {
        self.get("SERVER_PROTOCOL")
    }

    /// The server's name and version (RFC 3875 §4.1.17).
    #[must_use]
    pub fn server_software(&self) -> Option<&str> {
        self.get("SERVER_SOFTWARE")
    }

    /// Whether the client uses TLS, from `REQUEST_SCHEME` or `HTTPS`. No RFC has these variables, but most servers set them.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        let is_https = match self.get("REQUEST_SCHEME") {
            Some(scheme) => scheme.eq_ignore_ascii_case("https"),
            None => self.get("HTTPS").is_some_and(|value| !value.eq_ignore_ascii_case("off")),
        };
        if is_https { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// The whole URL that the client has asked for. If `REQUEST_URI` is set, it is as it was sent. Otherwise it is put together from
    /// `SCRIPT_NAME`, `PATH_INFO` and `QUERY_STRING` (RFC 3875 §3.3). Its host is that of the header `Host`, or else
    /// `SERVER_NAME`. Without either it has no host and no scheme.
    #[must_use]
    pub fn url(&self) -> Uri {
        let mut target = String::new();
        let (sent_path, sent_query) = url::split(self.bytes("REQUEST_URI"));
        let query = if sent_path.is_empty() {
            url::encode(&mut target, self.bytes("SCRIPT_NAME"), url::in_path);
            url::encode(&mut target, self.bytes("PATH_INFO"), url::in_path);
            Some(self.bytes("QUERY_STRING")).filter(|query| !query.is_empty())
        } else {
            url::encode(&mut target, sent_path, url::in_encoded_path);
            sent_query
        };
        if let Some(query) = query {
            target.push('?');
            url::encode(&mut target, query, url::in_query);
        }

        // Only a target that is too long is invalid.
        let target = PathAndQuery::try_from(target).unwrap_or_else(|_| PathAndQuery::from_static("/"));
        let authority = self.authority(self.get("HTTP_HOST"), None);
        let authority = authority.or_else(|| self.authority(self.get("SERVER_NAME"), self.server_port()));
        let mut parts = uri::Parts::default();
        parts.scheme = authority.is_some().then(|| self.scheme());
        parts.authority = authority;
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn authority(&self, host: Option<&str>, port: Option<u16>) -> Option<Authority> {
        let default_port = if self.scheme() == Scheme::HTTPS { 443 } else { 80 };
        match port.filter(|port| *port != default_port) {
            Some(port) => format!("{}:{port}", host?).parse().ok(),
            None => host?.parse().ok(),
        }
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for MetaVariables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Only the names: values may be secret.
impl fmt::Debug for MetaVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables<const N: usize>(variables: [(&str, &str); N]) -> MetaVariables {
        variables.into_iter().collect()
    }

    #[test]
    fn empty_is_unset() {
        let variables = variables([("REMOTE_USER", ""), ("REMOTE_ADDR", "[::1]"), ("SERVER_PORT", "x")]);
        assert_eq!((variables.remote_user(), variables.server_port()), (None, None));
        assert_eq!(variables.remote_addr(), Some("::1".parse().unwrap()));
        assert_eq!((variables.script_name(), variables.path_info(), variables.query_string()), ("", "", ""));
    }

    #[test]
    fn the_url_is_what_was_sent_or_put_together() {
        let sent = [("REQUEST_URI", "/a%2Fb?x"), ("SCRIPT_NAME", "/other"), ("HTTP_HOST", "example.com:81")];
        assert_eq!(variables(sent).url(), "http://example.com:81/a%2Fb?x");
        let parts = [
            ("SCRIPT_NAME", "/my shop"),
            ("PATH_INFO", "/a?b"),
            ("QUERY_STRING", "x=%20"),
            ("SERVER_NAME", "example.com"),
            ("SERVER_PORT", "8443"),
            ("HTTPS", "on"),
        ];
        assert_eq!(variables(parts).url(), "https://example.com:8443/my%20shop/a%3Fb?x=%20");
        let ports = [("SERVER_NAME", "example.com"), ("SERVER_PORT", "443"), ("REQUEST_SCHEME", "https")];
        assert_eq!(variables(ports).url(), "https://example.com/");
        assert_eq!(variables([("HTTP_HOST", "no host"), ("PATH_INFO", "/a")]).url(), "/a");
    }

    #[test]
    fn plain_http_where_nothing_else_is_said() {
        for (https, scheme) in [("", "http"), ("off", "http"), ("on", "https"), ("1", "https")] {
            assert_eq!(variables([("HTTPS", https)]).scheme(), *scheme, "{https}");
        }
    }

    #[test]
    fn what_it_prints_tells_no_values() {
        assert_eq!(format!("{:?}", variables([("HTTP_COOKIE", "secret")])), r#"["HTTP_COOKIE"]"#);
    }
}
