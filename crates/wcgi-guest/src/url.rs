//! Percent-encoding, and what part of a URL lies below the program.
//!
//! In and out: the bytes of paths and queries. It must not know which variables they come from.

/// Appends `bytes`, and percent-encodes all that `keep` does not keep.
pub(crate) fn encode(text: &mut String, bytes: &[u8], keep: fn(u8) -> bool) {
    for &byte in bytes {
        if keep(byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }
}

/// The bytes that a decoded path keeps as they are (RFC 3986 §3.3).
pub(crate) fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// The bytes that an encoded path may contain. Encoded bytes stay encoded.
pub(crate) fn in_encoded_path(byte: u8) -> bool {
    in_path(byte) || byte == b'%'
}

/// The bytes that a query may contain, allowed or only usual (<https://url.spec.whatwg.org/#query-state>).
pub(crate) fn in_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>".contains(&byte)
}

/// Path and query of a request's target.
pub(crate) fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = path_and_query(target).splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// The target without scheme and authority, which a client may send (RFC 9112 §3.2.2).
fn path_and_query(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let after_scheme = target.windows(3).position(|window| window == b"://").and_then(|at| target.get(at + 3..));
    let path = after_scheme.and_then(|rest| rest.get(rest.iter().position(|byte| *byte == b'/')?..));
    path.unwrap_or_default()
}

/// The end of `path`, still encoded, that means `path_info`, if the part before means `script_name`.
pub(crate) fn below<'a>(path: &'a [u8], script_name: &[u8], path_info: &[u8]) -> Option<&'a [u8]> {
    let mut rest = path;
    for wanted in script_name {
        let (byte, after) = decode_one(rest)?;
        if byte != *wanted {
            return None;
        }
        rest = after;
    }
    let mut undecoded = rest;
    let decoded = std::iter::from_fn(|| {
        let (byte, after) = decode_one(undecoded)?;
        undecoded = after;
        Some(byte)
    });
    decoded.eq(path_info.iter().copied()).then_some(rest)
}

/// The first byte that a path means, and the rest. A `%` that begins no escape is itself.
fn decode_one(path: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = path
        && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
    {
        return Some((high << 4 | low, rest));
    }
    path.split_first().map(|(first, rest)| (*first, rest))
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8], keep: fn(u8) -> bool) -> String {
        let mut text = String::new();
        encode(&mut text, bytes, keep);
        text
    }

    #[test]
    fn encodes_what_cannot_be_said() {
        assert_eq!(encoded("/a b/ü?%2F".as_bytes(), in_path), "/a%20b/%C3%BC%3F%252F");
        assert_eq!(encoded(b"/a%2Fb<", in_encoded_path), "/a%2Fb%3C");
        assert_eq!(encoded(b"a={1}&b=%20\"\xff", in_query), "a={1}&b=%20%22%FF");
    }

    #[test]
    fn splits_targets() {
        assert_eq!(split(b"/a/b?c?d"), (&b"/a/b"[..], Some(&b"c?d"[..])));
        assert_eq!(split(b"http://host:1/a?"), (&b"/a"[..], Some(&b""[..])));
        assert_eq!(split(b"/http://host/a"), (&b"/http://host/a"[..], None));
        assert_eq!(split(b"http://host"), (&b""[..], None));
        assert_eq!(split(b"*"), (&b""[..], None));
    }

    #[test]
    fn what_lies_below_stays_encoded() {
        let below = |path: &'static str, script_name: &str, path_info: &str| {
            below(path.as_bytes(), script_name.as_bytes(), path_info.as_bytes())
                .map(|rest| str::from_utf8(rest).unwrap())
        };
        assert_eq!(below("/b%6Fok/a%2Fb", "/book", "/a/b"), Some("/a%2Fb"));
        assert_eq!(below("/book", "/book", ""), Some(""));
        assert_eq!(below("/100%/%zz", "", "/100%/%zz"), Some("/100%/%zz"));
        assert_eq!(below("/book/a//b", "/book", "/a/b"), None, "the server has cleaned it");
        assert_eq!(below("/other/a", "/book", "/a"), None, "the server has rewritten it");
        assert_eq!(below("/bo", "/book", ""), None);
    }
}
