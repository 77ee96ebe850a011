//! The path of a request: decoded, normalised, and split where the mount ends.
//!
//! In: the URI's path as the client sent it, and the part that a router left of it. Out: `SCRIPT_NAME` and
//! `PATH_INFO` (RFC 3875 §4.1.13, §4.1.5). It must not know which scripts and files exist.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind};

/// A request's path in two parts, both decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path at which the service is mounted. In a site the script's own path follows. Empty, or begins with `/` and
    /// does not end with one.
    pub(crate) script_name: Vec<u8>,
    /// The rest: empty, or an absolute path without `.`, `..` and empty segments.
    pub(crate) path_info: Vec<u8>,
}

/// Splits a request's path.
///
/// `original` is the URI's path as the client sent it. `inner` is the part that a router left after stripping its prefix.
/// It equals `original` if nothing was stripped. `mount` is the prefix if it was set explicitly, in plain
/// text: empty, or `/x` without a trailing slash. It then decides alone, and `inner` does not count.
///
/// # Errors
///
/// `MalformedRequest` if [`decode_path`] fails, which includes climbing above the mount. `NotFound` for a path that
/// is not below the explicit mount.
pub(crate) fn split(original: &str, inner: &str, mount: Option<&str>) -> Result<Target, Error> {
    let mount = mount.map(|mount| mount.trim_end_matches('/'));
    // `OPTIONS *` is about the server as a whole (RFC 9110 §9.3.7) and names no path.
    if original == "*" {
        return Ok(Target { script_name: mount.unwrap_or_default().into(), path_info: Vec::new() });
    }

    // The prefix is cut off before anything is normalised, so that no `..` can move the cut.
    let (script_name, rest) = match mount {
        Some(mount) => (mount.as_bytes().to_vec(), strip_mount(original, mount)?),
        None => match original.strip_suffix(inner) {
            Some(prefix) => (decode_prefix(prefix)?, inner),
            // Below `/php` nothing is left of `/php`, and axum makes `/` of that.
            None if inner == "/" => (decode_prefix(original)?, ""),
            // Not stripped but rewritten: the mount of the new path is unknown, so all of it is PATH_INFO.
            None => (Vec::new(), inner),
        },
    };
    Ok(Target { script_name, path_info: decode_path(rest)?.into_owned() })
}

/// Decodes a URI's path once, and removes `.`, `..` and empty segments, so that one place has one name.
///
/// Escapes are decoded first, so `%2e` and `%2f` are as `.` and `/`. A trailing slash stays. Bytes that are not UTF-8
/// stay as they are. A path is absolute; an empty one stays empty.
///
/// # Errors
///
/// `MalformedRequest` for a relative path, `%` without two hexadecimal digits (as Apache and nginx do), NUL, and `..`
/// above the root. Also for `..` beside a `\`, which is part of a name here, but a path separator for some readers of the
/// path.
pub(crate) fn decode_path(raw: &str) -> Result<Cow<'_, [u8]>, Error> {
    let path = percent_decode(raw)?;
    if path.is_empty() {
        return Ok(path);
    }
    // RFC 3986 §3.3: after an authority, and so in every http URI, a path begins with a slash.
    let Some(segments) = path.strip_prefix(b"/") else {
        return Err(malformed("the request's path does not begin with a slash"));
    };
    if is_normal(segments) {
        return Ok(path);
    }

    let mut normal = Vec::with_capacity(path.len());
    let mut is_directory = false;
    for segment in segments.split(|byte| *byte == b'/') {
        // RFC 3986 §5.2.4: a path that ends in a dot segment names a directory.
        is_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = normal.iter().rposition(|byte| *byte == b'/');
                normal.truncate(parent.ok_or_else(|| malformed("the request's path climbs above its root"))?);
            }
            name if name.split(|byte| *byte == b'\\').any(|part| part == b"..") => {
                return Err(malformed("the request's path climbs by way of backslashes"));
            }
            name => {
                normal.push(b'/');
                normal.extend_from_slice(name);
            }
        }
    }
    if is_directory {
        normal.push(b'/');
    }
    Ok(Cow::Owned(normal))
}

/// The part of the original path after the mount, still encoded.
///
/// The mount is compared segment by segment: `/xyz` and `/x%2fy` are not below `/x`.
fn strip_mount<'a>(original: &'a str, mount: &str) -> Result<&'a str, Error> {
    let mut rest = original;
    for segment in mount.split('/').skip(1) {
        let after_slash = rest.strip_prefix('/').ok_or_else(outside_mount)?;
        let (name, after) = match after_slash.find('/').and_then(|at| after_slash.split_at_checked(at)) {
            Some((name, after)) => (name, after),
            None => (after_slash, ""),
        };
        if *percent_decode(name)? != *segment.as_bytes() {
            return Err(outside_mount());
        }
        rest = after;
    }
    Ok(rest)
}

/// Decodes the part of the path that a router matched.
///
/// It is not normalised. A prefix that needs that looks like an attempt to make `SCRIPT_NAME` name another place than the
/// one that was routed to.
fn decode_prefix(raw: &str) -> Result<Vec<u8>, Error> {
    let prefix = percent_decode(raw)?;
    if prefix.is_empty() || decode_path(raw)? == prefix && !prefix.ends_with(b"/") {
        return Ok(prefix.into_owned());
    }
    Err(malformed("the request's path has dot or empty segments where the service is mounted"))
}

/// Percent-decodes, once.
fn percent_decode(raw: &str) -> Result<Cow<'_, [u8]>, Error> {
    // The crate leaves invalid escapes as they are. Two programs that disagree on that see two paths.
    let mut after_percent = raw.as_bytes().split(|byte| *byte == b'%').skip(1);
    if !after_percent.all(|text| matches!(text, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())) {
        return Err(malformed("the request's path has a `%` that begins no escape"));
    }
    let decoded = Cow::from(percent_decode_str(raw));
    // A C string ends there: the guest would open another file than the one that was checked.
    if decoded.contains(&0) {
        return Err(malformed("the request's path has a NUL"));
    }
    Ok(decoded)
}

/// Whether these segments need no change, as far as a look at each byte can tell. Only the last may be empty, and none
/// begins with a dot or has a `\`.
fn is_normal(segments: &[u8]) -> bool {
    let mut after_slash = true;
    let mut plain = segments.iter().map(|byte| {
        let suspicious = *byte == b'\\' || (after_slash && matches!(byte, b'/' | b'.'));
        after_slash = *byte == b'/';
        !suspicious
    });
    plain.all(|plain| plain)
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::MalformedRequest, message)
}

fn outside_mount() -> Error {
    Error::new(ErrorKind::NotFound, "the request's path is not below the mount")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(script_name: &str, path_info: &str) -> Target {
        Target { script_name: script_name.into(), path_info: path_info.into() }
    }

    fn kind(result: Result<impl std::fmt::Debug, Error>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn script_name_is_what_a_router_stripped() {
        for (original, inner, script_name, path_info) in [
            ("/php/a/b", "/a/b", "/php", "/a/b"),
            ("/php/a/", "/a/", "/php", "/a/"),
            ("/php", "/", "/php", ""),
            ("/php/", "/", "/php", "/"),
            ("/php//a", "//a", "/php", "/a"),
            ("/a/php/b", "/b", "/a/php", "/b"),
            ("/my%20app/a%20b", "/a%20b", "/my app", "/a b"),
            ("/.well-known/x/a", "/a", "/.well-known/x", "/a"),
            ("/php/a/../b", "/a/../b", "/php", "/b"),
            // A rewrite, not a strip.
            ("/pretty", "/index.php", "", "/index.php"),
        ] {
            assert_eq!(split(original, inner, None).unwrap(), target(script_name, path_info), "{original} {inner}");
        }
    }

    #[test]
    fn script_name_is_empty_at_the_root() {
        for (path, path_info) in [("/", "/"), ("/a/b", "/a/b"), ("/a/", "/a/"), ("/a%2fb", "/a/b"), ("", "")] {
            assert_eq!(split(path, path, None).unwrap(), target("", path_info), "{path}");
            assert_eq!(split(path, path, Some("")).unwrap(), target("", path_info), "{path}");
        }
    }

    #[test]
    fn script_name_is_the_explicit_mount() {
        for (original, mount, script_name, path_info) in [
            ("/x/a", "/x", "/x", "/a"),
            ("/x", "/x", "/x", ""),
            ("/x/", "/x", "/x", "/"),
            ("/x/y/a/../b", "/x/y", "/x/y", "/b"),
            ("/%78/a", "/x", "/x", "/a"),
            ("/my%20app/a", "/my app", "/my app", "/a"),
            ("/a", "/", "", "/a"),
        ] {
            assert_eq!(split(original, original, Some(mount)).unwrap(), target(script_name, path_info), "{original}");
        }
        // The mount decides, whatever a router left.
        assert_eq!(split("/x/y/a", "/y/a", Some("/x/y")).unwrap(), target("/x/y", "/a"));
    }

    #[test]
    fn a_path_beside_the_mount_names_nothing() {
        for path in ["/xyz", "/", "", "/y/x/a", "//x/a", "/./x/a", "/y/../x/a", "/x%2fa", "/X/a", "/x%00a", "/%2578/a"]
        {
            let expected = if path.contains("%00") { ErrorKind::MalformedRequest } else { ErrorKind::NotFound };
            assert_eq!(kind(split(path, path, Some("/x"))), expected, "{path}");
        }
    }

    #[test]
    fn no_path_climbs_out_of_the_mount() {
        for path in [
            "/php/../x",
            "/php/%2e%2e/x",
            "/php/.%2E/x",
            "/php/..%2fx",
            "/php/..%2Fphp/x",
            "/php/a/../../x",
            "/php/..",
            "/php//..",
            "/php/./..",
            "/php/..\\x",
            "/php/a\\..\\..\\x",
            "/php/a%5c..%5c..%5cx",
            "/php/../php/x",
        ] {
            assert_eq!(kind(split(path, path, Some("/php"))), ErrorKind::MalformedRequest, "{path}");
            let inner = path.strip_prefix("/php").unwrap();
            assert_eq!(kind(split(path, inner, None)), ErrorKind::MalformedRequest, "{path}");
        }
        // Where the routed prefix holds what the client chose, as below `/{tenant}`.
        for prefix in
            ["/..", "/.", "/a/../b", "/a//b", "//", "/a%2f..", "/%2e%2e", "/a%2f", "/a\\..", "/%00", "/%", "a"]
        {
            assert_eq!(kind(split(&format!("{prefix}/x"), "/x", None)), ErrorKind::MalformedRequest, "{prefix}");
        }
    }

    #[test]
    fn asterisk_form_has_no_path() {
        assert_eq!(split("*", "*", None).unwrap(), target("", ""));
        assert_eq!(split("*", "*", Some("/x")).unwrap(), target("/x", ""));
    }

    #[test]
    fn path_info_is_decoded_and_normalised() {
        for (raw, path) in [
            ("", ""),
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/./a/./b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2f..%2fb", "/b"),
            ("/...", "/..."),
            ("/.a/..b/c..", "/.a/..b/c.."),
            ("/a%20b+c", "/a b+c"),
            ("/a\\b", "/a\\b"),
            // Once: what is still an escape then is a name.
            ("/%252e%252e/a", "/%2e%2e/a"),
            ("/%2500", "/%00"),
            // RFC 3986 §2.2: decoded, these delimit nothing.
            ("/a%3Fb%23c", "/a?b#c"),
            ("/ü", "/ü"),
        ] {
            assert_eq!(*decode_path(raw).unwrap(), *path.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn path_info_passes_bytes_that_are_not_utf8() {
        assert_eq!(*decode_path("/%ff%FE").unwrap(), *b"/\xff\xfe");
        // An overlong dot is no dot.
        assert_eq!(*decode_path("/a/%c0%ae%c0%ae/b").unwrap(), *b"/a/\xc0\xae\xc0\xae/b");
    }

    #[test]
    fn traversal_and_nul_and_bad_escapes_are_malformed() {
        for raw in [
            "/..",
            "/../",
            "/../a",
            "/%2e%2e/a",
            "/%2E./a",
            "/..%2fa",
            "/a/../../b",
            "/a/..//../b",
            "/a%2f..%2f..%2fb",
            "/..\\a",
            "/a\\..",
            "/a\\..\\b",
            "/a%5c..%5cb",
            "/%00",
            "/a%00.php",
            "/a%00/../b",
            "/%",
            "/%4",
            "/%zz",
            "/%%41",
            "/a%",
            "/%c",
            "/%+1",
            "a",
            "a/../b",
            "*",
            "http://a/",
            "%2fa%",
            "..",
        ] {
            assert_eq!(kind(decode_path(raw)), ErrorKind::MalformedRequest, "{raw}");
        }
    }

    /// CVE-2026-24895, CVE-2026-45062: lower-casing `İ` makes it longer, and an offset found in the one text cut the
    /// other.
    #[test]
    fn cve_2026_24895_unicode_is_never_folded() {
        assert_eq!(*decode_path("/%C4%B0.php.txt.php").unwrap(), *"/İ.php.txt.php".as_bytes());
        assert_eq!(split("/x/İ.php.txt.php", "/İ.php.txt.php", None).unwrap(), target("/x", "/İ.php.txt.php"));
    }

    proptest! {
        #[test]
        fn a_decoded_path_names_one_place(raw in r"(/|\.|\.\.|%2e|%2F|%5c|\\|%00|%|a|%25|b|ü){0,12}") {
            if let Ok(path) = decode_path(&raw) {
                prop_assert!(path.is_empty() || path.starts_with(b"/"));
                prop_assert!(!path.contains(&0) && !path.windows(2).any(|pair| pair == b"//"));
                prop_assert!(!path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b".."));
                prop_assert!(!path.split(|byte| *byte == b'/').any(|segment| segment == b"."));
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(raw in "\\PC*", inner in "\\PC*", mount in prop::option::of("(/\\PC+)?")) {
            let is_plain = |path: &[u8]| path.is_empty() || path.starts_with(b"/") && !path.contains(&0);
            match decode_path(&raw) {
                Ok(path) => prop_assert!(is_plain(&path), "{path:?}"),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::MalformedRequest),
            }
            match split(&raw, &inner, mount.as_deref()) {
                Ok(target) => prop_assert!(is_plain(&target.path_info) && is_plain(&target.script_name), "{target:?}"),
                Err(error) => {
                    prop_assert!(matches!(error.kind(), ErrorKind::MalformedRequest | ErrorKind::NotFound), "{error:?}");
                }
            }
        }

        #[test]
        fn a_mount_is_the_script_name_or_nothing(rest in r"(/|\.|\.\.|%2e|%2F|a|x){0,8}") {
            let original = format!("/x{rest}");
            if let Ok(target) = split(&original, &original, Some("/x")) {
                prop_assert_eq!(target.script_name, b"/x");
            }
            if rest.starts_with('/') && let Ok(target) = split(&original, &rest, None) {
                prop_assert_eq!(target.script_name, b"/x");
            }
        }
    }
}
