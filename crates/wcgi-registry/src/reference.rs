//! References: `REGISTRY/NAME[:TAG][@sha256:DIGEST]`.
//!
//! In: text from a command line or a manifest. Out: a [`Reference`], whose parts are as the distribution specification
//! wants them. It knows neither files nor the network.

use std::fmt::{self, Display};
use std::net::IpAddr;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};

/// The name of a package in a registry.
///
/// The first part is a registry if it has a `.` or a `:`, or is `localhost`. Without one, the name is for the registry
/// that is [set](crate::Options::registry).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: Option<String>,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// ```
    /// # use wcgi_registry::Reference;
    /// let blog = Reference::parse("localhost:5000/me/blog:1.0").unwrap();
    /// assert_eq!(blog.registry(), Some("localhost:5000"));
    /// assert_eq!((blog.name(), blog.tag()), ("me/blog", Some("1.0")));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Reference`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let message = format!("{:?} is not a reference: {why}", text.chars().take(LONGEST).collect::<String>());
            Error::new(ErrorKind::Reference, message).with_hint(SHAPE)
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest);
                (rest, Some(digest.ok_or_else(|| refuse("after @ comes sha256: and 64 hexadecimal digits"))?))
            }
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, rest),
        };
        if let Some(registry) = registry {
            check_host(registry).map_err(refuse)?;
        }
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        check_name(name).map_err(refuse)?;
        if let Some(tag) = tag {
            check_tag(tag).map_err(refuse)?;
        }
        Ok(Self { registry: registry.map(str::to_owned), name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// Whether `text` can only be meant as a reference, and not as a path: it names a registry, a tag or a digest.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        if text.starts_with(['.', '/', '~']) || text.contains('\\') {
            return false;
        }
        let first = text.split_once('/').is_some_and(|(first, _)| is_registry(first));
        let last = text.rsplit('/').next().unwrap_or_default();
        first || last.contains([':', '@'])
    }

    /// Host and port of the registry, if it was written.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The name within the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag, if it was written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if it was written.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a registry is asked for: the digest, else the tag, else `latest`.
    pub(crate) fn wanted(&self) -> String {
        self.digest.as_ref().map_or_else(|| self.tag_or_latest().to_owned(), Digest::to_string)
    }

    pub(crate) fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The same in `registry`, if it has none itself.
    pub(crate) fn within(&self, registry: Option<&Prefix>) -> Option<Self> {
        if self.registry.is_some() {
            return Some(self.clone());
        }
        let Prefix { host, path } = registry?;
        let name = if path.is_empty() { self.name.clone() } else { format!("{path}/{}", self.name) };
        Some(Self { registry: Some(host.clone()), name, ..self.clone() })
    }

    /// The same, and no other version of it.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self { digest: Some(digest.clone()), ..self.clone() }
    }

    /// The same by its tag alone, which is `latest` when there is none.
    pub(crate) fn tagged(&self) -> Self {
        Self { tag: Some(self.tag_or_latest().to_owned()), digest: None, ..self.clone() }
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A registry to look in for names without one: a host, and a path below which its names begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    host: String,
    path: String,
}

impl Prefix {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (host, path) = text.trim_end_matches('/').split_once('/').unwrap_or((text.trim_end_matches('/'), ""));
        let checked = check_host(host).and_then(|()| if path.is_empty() { Ok(()) } else { check_name(path) });
        checked.map_err(|why| {
            Error::new(ErrorKind::Package, format!("{text:?} is not a registry: {why}"))
                .with_hint("write host and port, such as localhost:5000 or registry.example/team")
        })?;
        Ok(Self { host: host.to_owned(), path: path.to_owned() })
    }
}

/// Whether a host, which may have a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("the host has no closing bracket")?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "the host is no IPv6 address")?;
            // What comes after the bracket is a colon and a port, or nothing.
            (None, (!port.is_empty()).then(|| port.strip_prefix(':').unwrap_or_default()))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (Some(name), Some(port)),
            None => (Some(host), None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.is_some_and(|name| name.len() > 253 || !name.split('.').all(is_label)) {
        return Err("the registry is no host name");
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0) || port.starts_with('+')) {
        return Err("the registry's port is no number from 1 to 65535");
    }
    Ok(())
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`; such parts joined by `/`.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_part = |part: &str| {
        let joins = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_join = |join: &str| matches!(join, "" | "." | "_" | "__") || join.bytes().all(|byte| byte == b'-');
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(ends) && part.ends_with(ends) && joins.into_iter().all(is_join)
    };
    if name.is_empty() {
        return Err("it has no name");
    }
    if name.len() > LONGEST {
        return Err("its name is longer than 255 characters");
    }
    if !name.split('/').all(is_part) {
        return Err("a name is lower-case letters and digits, joined by `.`, `_`, `-` or `/`");
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let is_tag = begins && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_tag && tag.len() <= 128 { Ok(()) } else { Err("a tag is up to 128 letters, digits, `.`, `_` and `-`") }
}

const LONGEST: usize = 255;
const SHAPE: &str = "write REGISTRY/NAME:TAG, such as localhost:5000/me/blog:1.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_reference() {
        let hex = "0123456789abcdef".repeat(4);
        for (text, registry, name, tag, digest) in [
            ("localhost:5000/me/blog:1.0", Some("localhost:5000"), "me/blog", Some("1.0"), false),
            ("localhost/blog", Some("localhost"), "blog", None, false),
            ("ghcr.io/a/b_c/d--e", Some("ghcr.io"), "a/b_c/d--e", None, false),
            ("[::1]:5000/x", Some("[::1]:5000"), "x", None, false),
            ("127.0.0.1:5000/x:latest", Some("127.0.0.1:5000"), "x", Some("latest"), false),
            ("php:8.4", None, "php", Some("8.4"), false),
            ("me/blog", None, "me/blog", None, false),
            (&format!("a.b/c:1@sha256:{hex}"), Some("a.b"), "c", Some("1"), true),
            (&format!("a.b/c@sha256:{hex}"), Some("a.b"), "c", None, true),
        ] {
            let parsed = Reference::parse(text).unwrap();
            assert_eq!((parsed.registry(), parsed.name(), parsed.tag()), (registry, name, tag), "{text}");
            assert_eq!(parsed.digest().is_some(), digest, "{text}");
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference() {
        let long = "a".repeat(256);
        for text in [
            "",
            ":1",
            "localhost:5000/",
            "localhost:5000/Me/blog",
            "localhost:5000/me//blog",
            "localhost:5000/me/blog:",
            "localhost:5000/me/blog:a:b",
            "localhost:5000/me/-blog",
            "localhost:5000/me/blog..x",
            "localhost:5000/me/../blog",
            "localhost:0/x",
            "localhost:65536/x",
            "localhost:/x",
            "localhost:+1/x",
            "-a.b/x",
            "a..b/x",
            "[::1/x",
            "[::g]/x",
            "[::1]5000/x",
            "a b",
            "x@sha256:00",
            "x@md5:00",
            "x:.1",
            &long,
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Reference, "{text}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn what_can_only_be_a_reference() {
        for text in ["a.b/c", "localhost/x", "php:8.4", "x/y:1", "x@sha256:0", "localhost:5000/ME:"] {
            assert!(Reference::is_meant(text), "{text}");
        }
        for text in ["./a.b/c", "../x:1", "/x:1", "~/x:1", "blog", "blog.wasm", "a/b.c", r"C:\x"] {
            assert!(!Reference::is_meant(text), "{text}");
        }
    }

    #[test]
    fn names_without_a_registry_are_for_the_one_that_is_set() {
        let php = Reference::parse("php:8.4").unwrap();
        assert_eq!(php.within(None), None);
        let within = |registry| php.within(Some(&Prefix::parse(registry).unwrap())).unwrap().to_string();
        assert_eq!(within("localhost:5000"), "localhost:5000/php:8.4");
        assert_eq!(within("ghcr.io/team/"), "ghcr.io/team/php:8.4");
        let full = Reference::parse("a.b/c").unwrap();
        assert_eq!(full.within(Some(&Prefix::parse("x.y").unwrap())), Some(full));
        for text in ["", "http://x", "a b", "x.y/UPPER"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_known_by_its_name_or_address() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "[::2]", "example.org:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
