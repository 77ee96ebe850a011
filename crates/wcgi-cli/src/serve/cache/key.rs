//! What a stored response is found by. Pure functions of a request's head.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

/// Names a target of one opening of a site, or one of its variants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) site: u64,
    target: Arc<[u8]>,
    /// Empty for the target itself.
    variant: Arc<[u8]>,
}

impl Key {
    /// Of the target of a request. Everything that says where a client believes to be is part of it.
    pub(super) fn of(site: u64, parts: &Parts, https: bool) -> Self {
        let mut text = vec![if https { b's' } else { b'p' }];
        let host = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = host.or_else(|| parts.headers.get(HOST).map(|host| host.as_bytes())).unwrap_or_default();
        text.extend(host.to_ascii_lowercase());
        text.push(b'\n');
        text.extend(parts.uri.path_and_query().map_or("/", |target| target.as_str()).bytes());
        for name in ELSEWHERE {
            append(&mut text, &parts.headers, &HeaderName::from_static(name));
        }
        Self { site, target: text.into(), variant: Arc::default() }
    }

    /// The variant of a target that these fields choose. Another `number` has no variant in common.
    pub(super) fn variant(&self, number: u64, names: &[HeaderName], headers: &HeaderMap) -> Self {
        let mut text = number.to_le_bytes().to_vec();
        for name in names {
            append(&mut text, headers, name);
        }
        Self { variant: text.into(), ..self.clone() }
    }

    /// Whether both are of one target.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.site == other.site && self.target == other.target
    }

    pub(super) fn bytes(&self) -> usize {
        self.target.len() + self.variant.len()
    }
}

/// The values of a field, which have no line end in them. No field differs from an empty one.
fn append(text: &mut Vec<u8>, headers: &HeaderMap, name: &HeaderName) {
    text.push(b'\n');
    for value in headers.get_all(name) {
        text.push(b'\r');
        text.extend(value.as_bytes());
    }
}

/// Frameworks make links by these, so a client must not choose them for others.
const ELSEWHERE: [&str; 7] = [
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
];

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn key(uri: &str, fields: &[(&str, &str)]) -> Key {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Key::of(1, &request.body(()).unwrap().into_parts().0, false)
    }

    #[test]
    fn a_target_is_its_host_path_and_query() {
        assert_eq!(key("/x?y", &[("host", "A")]), key("http://a/x?y", &[]));
        let one = key("/x?y", &[("host", "a")]);
        for other in [
            key("/x", &[("host", "a")]),
            key("/x?y", &[("host", "b")]),
            key("/x?y", &[("host", "a"), ("x-forwarded-host", "evil")]),
            key("/x?y", &[("host", "a"), ("x-forwarded-host", "")]),
        ] {
            assert!(one != other && !one.is_beside(&other), "{other:?}");
        }
    }

    #[test]
    fn variants_differ_in_the_fields_that_are_named() {
        let target = key("/", &[]);
        let names = [HeaderName::from_static("accept-language"), HeaderName::from_static("accept")];
        let variant = |number, fields: &[(&'static str, &str)]| {
            let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, value);
            }
            target.variant(number, &names, &headers)
        };
        let one = variant(1, &[("accept-language", "de"), ("accept", "a")]);
        assert_eq!(one, variant(1, &[("accept", "a"), ("cookie", "x"), ("accept-language", "de")]));
        for other in [
            variant(2, &[("accept-language", "de"), ("accept", "a")]),
            variant(1, &[("accept-language", "de")]),
            variant(1, &[("accept-language", "de"), ("accept", "a"), ("accept", "b")]),
            variant(1, &[("accept-language", "a"), ("accept", "de")]),
        ] {
            assert!(one != other && one.is_beside(&other), "{other:?}");
        }
    }
}
