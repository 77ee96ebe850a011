//! The server as the client addresses it: the `Host` header, or the authority of the request's target.
//!
//! In: bytes. Out: a host and a port that are safe in URLs, or none. It must not know headers.

use std::net::Ipv6Addr;

/// A host, with the brackets if it is an IPv6 address, and the port if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

/// Reads `host [ ":" port ]` (RFC 9110 §7.2), as strictly as RFC 3875 §4.1.14 allows a server name to be.
///
/// Scripts build links, cookies and even file names from it. So everything that could mean more than a host there is refused:
/// user information, percent escapes, `/`, `\`, white space, empty labels (and so `..`).
pub(crate) fn parse(text: &[u8]) -> Option<Authority<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
        (text.strip_suffix(after)?, port)
    } else {
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        (is_host_name(name).then_some(name)?, port)
    };
    // RFC 3986 §3.2.3: the digits after the colon may be missing, which means the default port.
    let port = match port.unwrap_or_default() {
        "" => None,
        digits => Some(parse_port(digits)?),
    };
    Some(Authority { host, port })
}

fn is_host_name(name: &str) -> bool {
    // A final dot marks a fully qualified name.
    let labels = name.strip_suffix('.').unwrap_or(name);
    name.len() <= MAX_HOST_NAME
        && labels.split('.').all(|label| {
            // By the RFCs no host name has a `_`, but many in test and container networks do.
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

fn parse_port(digits: &str) -> Option<u16> {
    // `u16::from_str` alone would take a sign.
    let port = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok()? } else { 0 };
    (port != 0).then_some(port)
}

/// The longest name DNS has, in its text form with the final dot (RFC 1035 §2.3.4).
const MAX_HOST_NAME: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_port() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("example.com:", "example.com", None),
            ("example.com.", "example.com.", None),
            ("Ex-ample_1:65535", "Ex-ample_1", Some(65535)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
            ("[::ffff:1.2.3.4]:", "[::ffff:1.2.3.4]", None),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_more_than_a_host_is_refused() {
        for text in [
            "",
            ":80",
            ".",
            "..",
            "a..b",
            ".a",
            "../../etc",
            "a/b",
            "a\\b",
            "a b",
            " a",
            "a ",
            "a\tb",
            "user@a",
            "a,b",
            "%61",
            "a?b",
            "a#b",
            "a:b",
            "a:0",
            "a:65536",
            "a:+80",
            "a:-1",
            "a:80:80",
            "a:8 0",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[a]",
            "[::1%25eth0]",
            "[1.2.3.4]",
            "a[::1]",
            "<script>",
            "a\"b",
            "ü.example",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"a\xff"), None);
        assert_eq!(parse("a".repeat(255).as_bytes()), None);
    }
}
