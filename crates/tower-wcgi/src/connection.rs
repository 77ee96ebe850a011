//! Who is at the other end: the client's address and whether it used TLS, also behind proxies.
//!
//! In: a request's head. Out: the facts for `REMOTE_ADDR`, `REMOTE_PORT`, HTTPS and `REQUEST_SCHEME`. A header counts only
//! if a trusted proxy sent it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

use crate::error::{Error, ErrorKind};

/// Facts about the connection of a request. Unknown facts stay unset in the script's environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    remote_addr: Option<SocketAddr>,
    https: Option<bool>,
}

impl ConnectionInfo {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Facts that the server has left in the request's extensions: a `ConnectionInfo`, axum's `ConnectInfo<SocketAddr>`, or a plain
    /// [`SocketAddr`]. The default.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        let left = parts.extensions.get().copied();
        left.unwrap_or_else(|| Self { remote_addr: peer(&parts.extensions), https: None })
    }

    /// The client's address: `REMOTE_ADDR`, `REMOTE_HOST` and, unless it is 0, `REMOTE_PORT`.
    #[must_use]
    pub fn remote_addr(mut self, address: SocketAddr) -> Self {
        self.remote_addr = Some(address);
        self
    }

    /// Whether the client used TLS: HTTPS and `REQUEST_SCHEME`.
    #[must_use]
    pub fn https(mut self, https: bool) -> Self {
        self.https = Some(https);
        self
    }

    /// The client's address, if it is known. Its port is 0 if only a proxy has seen the client.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Whether the client used TLS, if that is known.
    #[must_use]
    pub fn is_https(&self) -> Option<bool> {
        self.https
    }

    pub(crate) fn parts(self) -> (Option<SocketAddr>, Option<bool>) {
        (self.remote_addr, self.https)
    }
}

/// Proxies whose headers about the client are believed: `Forwarded` (RFC 7239), or else `X-Forwarded-For` and
/// `X-Forwarded-Proto`.
///
/// ```
/// # use tower_wcgi::{TrustedProxies, WcgiService};
/// # fn main() -> Result<(), tower_wcgi::Error> {
/// let proxies = TrustedProxies::new(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])?;
/// let builder = WcgiService::builder().connection_info(move |parts| proxies.connection_info(parts));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks, as `127.0.0.1` or `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] for text that is neither.
    pub fn new(networks: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        let parse = |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let networks = networks.into_iter().map(|text| {
            let text = text.as_ref();
            parse(text)
                .ok_or_else(|| Error::new(ErrorKind::Host, format!("`{text}` is neither an address nor a network")))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// The connection of the client, as the proxies between the client and this server report it. A header from
    /// anybody else is not believed. A client that a proxy does not name is unknown.
    #[must_use]
    pub fn connection_info(&self, parts: &Parts) -> ConnectionInfo {
        let direct = ConnectionInfo::of(parts);
        let Some(peer) = direct.remote_addr.filter(|peer| self.trusts(peer.ip())) else { return direct };
        let hops = match forwarded(&parts.headers) {
            hops if hops.is_empty() => x_forwarded(&parts.headers),
            hops => hops,
        };
        let mut client = ConnectionInfo { remote_addr: Some(peer), https: direct.https };
        // The peer added the last entry, the address in that entry added the one before, and so on (RFC 7239 §4).
        for hop in hops.into_iter().rev() {
            client = ConnectionInfo { remote_addr: hop.address, https: hop.https.or(client.https) };
            if !hop.address.is_some_and(|address| self.trusts(address.ip())) {
                break;
            }
        }
        client
    }

    /// As text, for a manifest.
    #[cfg(feature = "compiler")]
    pub(crate) fn networks(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The function by which a service learns about a request's connection.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn(&Parts) -> ConnectionInfo + Send + Sync>);

impl Hook {
    pub(crate) fn new(hook: impl Fn(&Parts) -> ConnectionInfo + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn of(&self, parts: &Parts) -> ConnectionInfo {
        (self.0)(parts)
    }
}

impl Default for Hook {
    fn default() -> Self {
        Self::new(ConnectionInfo::of)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// One proxy's report on the sender of the request.
struct Hop {
    address: Option<SocketAddr>,
    https: Option<bool>,
}

/// RFC 7239 §4.
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let values = headers.get_all("forwarded").iter().filter_map(|value| value.to_str().ok());
    let elements = values.flat_map(|value| split_unquoted(value, ',')).filter(|element| !element.trim().is_empty());
    elements
        .map(|element| {
            let mut hop = Hop { address: None, https: None };
            for pair in split_unquoted(element, ';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.address = node(value),
                    "proto" => hop.https = scheme(value),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let list = |name| -> Vec<&str> {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
    };
    let (addresses, schemes) = (list("x-forwarded-for"), list("x-forwarded-proto"));
    // Most proxies replace the scheme and add to the addresses.
    let one_each = addresses.len() == schemes.len();
    let nearest = schemes.last().and_then(|value| scheme(value));
    let hops = addresses.iter().enumerate().map(|(at, address)| Hop {
        address: node(address),
        https: if one_each { schemes.get(at).and_then(|value| scheme(value)) } else { nearest },
    });
    hops.collect()
}

/// An address without its port, which has no meaning here. Names, `unknown` and `_hidden` are not addresses.
fn node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip(), 0));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|ip| SocketAddr::new(ip, 0))
}

fn scheme(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// Splits at a character that is not within quotes.
fn split_unquoted(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == at && !quoted
    })
}

fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(*address);
    }
    extensions.get::<SocketAddr>().copied()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)]) -> (String, Option<bool>) {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(peer.parse::<SocketAddr>().unwrap());
        let proxies = TrustedProxies::new(["10.0.0.0/8", "127.0.0.1", "::1"]).unwrap();
        let (address, https) = proxies.connection_info(&parts).parts();
        (address.map_or("unknown".to_owned(), |address| address.to_string()), https)
    }

    #[test]
    fn headers_of_a_stranger_are_not_believed() {
        for header in ["x-forwarded-for", "forwarded"] {
            let seen = client("203.0.113.9:5", &[(header, "for=1.2.3.4;proto=https"), ("x-forwarded-proto", "https")]);
            assert_eq!(seen, ("203.0.113.9:5".to_owned(), None));
        }
    }

    #[test]
    fn the_nearest_address_no_trusted_proxy_has_is_the_client() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<bool>);
        let cases: [Case<'_>; 15] = [
            (&[], "10.0.0.1:9", None),
            (&[("x-forwarded-for", "1.2.3.4")], "1.2.3.4:0", None),
            (&[("x-forwarded-for", "1.2.3.4:567"), ("x-forwarded-proto", "https")], "1.2.3.4:0", Some(true)),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-proto", "https")], "1.2.3.4:0", Some(true)),
            (
                &[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.9.9.9"), ("x-forwarded-proto", "http")],
                "1.2.3.4:0",
                Some(false),
            ),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4:0", None),
            (&[("x-forwarded-for", "2001:db8::1")], "[2001:db8::1]:0", None),
            (&[("x-forwarded-for", "not-an-address")], "unknown", None),
            (&[("forwarded", "for=1.2.3.4;proto=https")], "1.2.3.4:0", Some(true)),
            (&[("forwarded", "For=\"[2001:db8::1]:4711\";Proto=http")], "[2001:db8::1]:0", Some(false)),
            (
                &[("forwarded", "for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.7;proto=http")],
                "1.2.3.4:0",
                Some(true),
            ),
            (&[("forwarded", "for=unknown;proto=https")], "unknown", Some(true)),
            (&[("forwarded", "for=\"_a,b;c\", for=1.2.3.4")], "1.2.3.4:0", None),
            (&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "6.6.6.6")], "1.2.3.4:0", None),
            (&[("x-forwarded-for", "10.0.0.3, ::ffff:10.0.0.2")], "10.0.0.3:0", None),
        ];
        for (headers, address, https) in cases {
            assert_eq!(client("10.0.0.1:9", headers), (address.to_owned(), https), "{headers:?}");
        }
    }

    #[test]
    fn a_server_that_ends_tls_says_so_in_the_extensions() {
        let info = |peer: &str, forwarded: Option<&str>| {
            let mut request = Request::builder();
            if let Some(forwarded) = forwarded {
                request = request.header("forwarded", forwarded);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let peer = peer.parse::<SocketAddr>().unwrap();
            parts.extensions.insert(ConnectionInfo::unknown().remote_addr(peer).https(true));
            let info = TrustedProxies::new(["10.0.0.0/8"]).unwrap().connection_info(&parts);
            assert_eq!(ConnectionInfo::of(&parts).client(), Some(peer));
            (info.client().unwrap().to_string(), info.is_https())
        };
        assert_eq!(info("203.0.113.9:5", Some("for=1.2.3.4;proto=http")), ("203.0.113.9:5".to_owned(), Some(true)));
        assert_eq!(info("10.0.0.1:9", None), ("10.0.0.1:9".to_owned(), Some(true)));
        assert_eq!(info("10.0.0.1:9", Some("for=1.2.3.4")), ("1.2.3.4:0".to_owned(), Some(true)));
        assert_eq!(info("10.0.0.1:9", Some("for=1.2.3.4;proto=http")), ("1.2.3.4:0".to_owned(), Some(false)));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0"] {
            assert!(TrustedProxies::new([text]).is_err(), "{text}");
        }
    }
}
