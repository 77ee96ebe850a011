//! Header fields that end at this hop, in both directions.
//!
//! In: a header map. Out: names. It must not tell requests from responses.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, header};

/// Whether the field is about its connection (RFC 9110 §7.6.1), and not about the message.
///
/// `Proxy-Connection` was never a standard, but clients send it in place of `Connection`.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// The fields of `headers` that its own `Connection` fields declare to be hop-by-hop, besides those that always are.
///
/// A set, so that the look-ups for many headers are not quadratic.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> HashSet<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        // Nearly every request has this value. It needs no name.
        .filter(|option| !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| headers.contains_key(name) && !is_hop_by_hop(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names_fields_in_any_case_and_over_several_lines() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-A,,x-absent"),
            ("connection", "Upgrade ,  x-B, not a token"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("x-c", "3"),
            ("upgrade", "h2c"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let mut named: Vec<_> = named_by_connection(&headers).into_iter().collect();
        named.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(named, ["x-a", "x-b"]);
    }
}
