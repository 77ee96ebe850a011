//! Rules: what an operator, or the manifest of a package, lets scripts connect to.
//!
//! In: `NAME:PORT[=TARGET]` as text. Out: a [`NetRule`]. Nothing is looked up here. It must not know the runtime.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

/// What scripts may connect to: `NAME:PORT`, or `NAME:PORT=TARGET`.
///
/// | part | what it may be |
/// |---|---|
/// | `NAME` | `db.example.com`, `*.example.com`, `192.0.2.7`, `[2001:db8::7]`, `10.0.0.0/8`, `[fd00::]/8`, `*` |
/// | `PORT` | `443`, `8000-8010`, `*` |
/// | `TARGET` | `HOST:PORT`, `IP:PORT`, `unix:/path`; only for one name or address and one port |
///
/// A name with a target is never looked up: connections to it go to the target. See [the network](crate::_docs::network).
///
/// ```
/// use tower_wcgi::NetRule;
///
/// let database: NetRule = "db:3306=127.0.0.1:3306".parse()?;
/// assert_eq!(database.to_string(), "db:3306=127.0.0.1:3306");
/// assert!("db:0".parse::<NetRule>().is_err());
/// # Ok::<(), tower_wcgi::InvalidNetRule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetRule {
    pub(super) host: Host,
    /// First and last.
    pub(super) ports: (u16, u16),
    pub(super) target: Option<Target>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Name(Name),
    /// Every name that ends with a dot and this one.
    Suffix(Name),
    Address(IpAddr),
    Network(IpNet),
    Any,
}

/// Where connections go instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Name(Name, u16),
    Address(IpAddr, u16),
    Unix(PathBuf),
}

/// A host's name in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(String);

/// Why a text is no [`NetRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidNetRule(String);

impl NetRule {
    pub(super) fn has_port(&self, port: u16) -> bool {
        (self.ports.0..=self.ports.1).contains(&port)
    }

    pub(super) fn ports(&self) -> RangeInclusive<u16> {
        self.ports.0..=self.ports.1
    }

    /// As text, with room for the target that a name inside needs.
    pub(crate) fn with_open_target(&self) -> String {
        let is_one = matches!(&self.host, Host::Name(name) if !name.is_localhost()) && self.ports.0 == self.ports.1;
        if is_one && self.target.is_none() { format!("{self}=HOST:PORT") } else { self.to_string() }
    }

    pub(crate) fn has_target(&self) -> bool {
        self.target.is_some()
    }
}

impl FromStr for NetRule {
    type Err = InvalidNetRule;

    fn from_str(text: &str) -> Result<Self, InvalidNetRule> {
        let (from, target) = match text.split_once('=') {
            Some((from, target)) => (from, Some(target)),
            None => (text, None),
        };
        let Some((host, ports)) = split_port(from) else {
            return Err(invalid(format!(
                "{from:?} has no port; write NAME:PORT, as db:3306, or NAME:* for every port"
            )));
        };
        let (host, ports) = (Host::parse(host)?, parse_ports(ports)?);
        let target = target.map(Target::parse).transpose()?;
        let is_one = matches!(host, Host::Name(_) | Host::Address(_)) && ports.0 == ports.1;
        if target.is_some() && !is_one {
            return Err(invalid(format!("{from:?} cannot have a target, which is for one name and one port")));
        }
        Ok(Self { host, ports, target })
    }
}

impl fmt::Display for NetRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:")?,
            Host::Suffix(name) => write!(f, "*.{name}:")?,
            Host::Address(address) => write!(f, "{}:", Literal(*address))?,
            Host::Network(network) => write!(f, "{}/{}:", Literal(network.network()), network.prefix_len())?,
            Host::Any => f.write_str("*:")?,
        }
        match self.ports {
            ALL_PORTS => f.write_str("*")?,
            (first, last) if first == last => write!(f, "{first}")?,
            (first, last) => write!(f, "{first}-{last}")?,
        }
        match &self.target {
            None => Ok(()),
            Some(Target::Name(name, port)) => write!(f, "={name}:{port}"),
            Some(Target::Address(address, port)) => write!(f, "={}:{port}", Literal(*address)),
            Some(Target::Unix(path)) => write!(f, "=unix:{}", path.display()),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, InvalidNetRule> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return Name::parse(suffix).map(Self::Suffix);
        }
        if let Some((address, prefix)) = text.split_once('/') {
            return network(text, address, prefix).map(Self::Network);
        }
        match literal(text)? {
            Some(address) => Ok(Self::Address(address)),
            None => Name::parse(text).map(Self::Name),
        }
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, InvalidNetRule> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(invalid(format!("{text:?} is no target: the path of a unix socket begins with a slash")));
            }
            if !cfg!(unix) {
                return Err(invalid(format!("{text:?}: this system has no unix sockets here")));
            }
            // As much as `sockaddr_un` holds, with its NUL.
            if path.len() > MAX_UNIX_PATH || path.contains('\0') {
                return Err(invalid(format!("{text:?}: a unix socket cannot have this path")));
            }
            return Ok(Self::Unix(path.into()));
        }
        let Some((host, port)) = split_port(text) else {
            return Err(invalid(format!("{text:?} is no target; write HOST:PORT, IP:PORT or unix:/path")));
        };
        let port = parse_port(port)?;
        match literal(host)? {
            Some(address) => Ok(Self::Address(address, port)),
            None => Ok(Self::Name(Name::parse(host)?, port)),
        }
    }
}

impl Name {
    /// Reads a name in any case, with or without a dot at its end.
    ///
    /// # Errors
    ///
    /// When no host can have the name, or it could be taken for an address.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidNetRule> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if !name.is_ascii() {
            return Err(invalid(format!(
                "{text:?} is not ASCII; write the name as the DNS has it, as xn--bcher-kva.example"
            )));
        }
        let is_label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(plain)
        };
        // Resolvers take `127.1`, `0x7f.1` and `2130706433` for addresses.
        let is_number = |label: &str| {
            let digits = label.strip_prefix("0x").or(label.strip_prefix("0X"));
            label.bytes().all(|byte| byte.is_ascii_digit())
                || digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.len() > MAX_NAME || !name.split('.').all(is_label) || is_number(last) {
            return Err(invalid(format!("{text:?} is neither a host name nor an address")));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_localhost(&self) -> bool {
        self.0 == "localhost"
    }

    /// Whether it is below `suffix`.
    pub(super) fn is_below(&self, suffix: &Self) -> bool {
        self.0.strip_suffix(&suffix.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidNetRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidNetRule {}

/// An address as a rule has it: one of version 6 in brackets.
pub(crate) struct Literal(pub(crate) IpAddr);

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Cuts at the last colon that is not inside of brackets.
fn split_port(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
}

fn parse_ports(text: &str) -> Result<(u16, u16), InvalidNetRule> {
    if text == "*" {
        return Ok(ALL_PORTS);
    }
    let Some((first, last)) = text.split_once('-') else { return parse_port(text).map(|port| (port, port)) };
    let ports = (parse_port(first)?, parse_port(last)?);
    if ports.0 > ports.1 {
        return Err(invalid(format!("the ports {text} end before they begin")));
    }
    Ok(ports)
}

fn parse_port(text: &str) -> Result<u16, InvalidNetRule> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(invalid(format!("{text:?} is no port; write a number from 1 to 65535"))),
    }
}

/// The address that `text` is, if it is one. An IPv4-mapped one is the IPv4 address.
fn literal(text: &str) -> Result<Option<IpAddr>, InvalidNetRule> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return match address {
            Some(address) => Ok(Some(IpAddr::V6(address).to_canonical())),
            None => Err(invalid(format!("{text:?} is no IPv6 address"))),
        };
    }
    if text.contains(':') {
        return Err(invalid(format!("{text:?}: an IPv6 address is written in brackets, as [::1]:443")));
    }
    Ok(text.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
}

fn network(text: &str, address: &str, prefix: &str) -> Result<IpNet, InvalidNetRule> {
    let wrong = || invalid(format!("{text:?} is no network; write 10.0.0.0/8 or [fd00::]/8"));
    let prefix: u8 = Some(prefix)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(wrong)?;
    let (written, canonical) = match address.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok()).ok_or_else(wrong)?;
            (IpAddr::V6(inner), IpAddr::V6(inner).to_canonical())
        }
        None => {
            let address = literal(address)?.ok_or_else(wrong)?;
            (address, address)
        }
    };
    let net = match prefix.checked_sub(MAPPED_PREFIX) {
        Some(prefix) if written != canonical => IpNet::new(canonical, prefix),
        _ => IpNet::new(written, prefix),
    };
    net.map(|net| net.trunc()).map_err(|_| wrong())
}

fn invalid(why: String) -> InvalidNetRule {
    InvalidNetRule(why)
}

const ALL_PORTS: (u16, u16) = (1, u16::MAX);
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// The same, without the dot at the end.
const MAX_NAME: usize = 253;
const MAX_UNIX_PATH: usize = 107;
/// Of `::ffff:0:0/96`.
const MAPPED_PREFIX: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<NetRule>().unwrap_or_else(|why| panic!("{text}: {why}")).to_string()
    }

    #[test]
    fn every_form_is_read_and_shown() {
        for text in [
            "db:3306",
            "db:3306=127.0.0.1:3306",
            "db:3306=[::1]:3306",
            "db:3306=db.internal:13306",
            "db:3306=unix:/run/mysqld/mysqld.sock",
            "api.example.com:443",
            "*.example.com:443",
            "my_host.example:8000-8010",
            "192.0.2.7:*",
            "[2001:db8::7]:443",
            "10.0.0.0/8:80",
            "[fd00::]/8:80",
            "192.0.2.7:80=127.0.0.1:8080",
            "*:443",
            "*:*",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn there_is_one_way_to_say_a_thing() {
        for (text, said) in [
            ("DB.Example.COM.:443", "db.example.com:443"),
            ("*.Example.com.:443", "*.example.com:443"),
            ("x:8000-8000", "x:8000"),
            ("x:1-65535", "x:*"),
            ("10.1.2.3/8:80", "10.0.0.0/8:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("[::ffff:10.0.0.0]/104:80", "10.0.0.0/8:80"),
            ("[2001:DB8:0::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(shown(text), said);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, why) in [
            ("", "has no port"),
            ("db", "has no port"),
            ("[::1]", "has no port"),
            ("db:", "is no port"),
            ("db:0", "is no port"),
            ("db:65536", "is no port"),
            ("db:+80", "is no port"),
            ("db:http", "is no port"),
            ("db:80-", "is no port"),
            ("db:0-80", "is no port"),
            ("db:81-80", "end before they begin"),
            (":80", "neither a host name nor an address"),
            ("-a b:80", "neither a host name nor an address"),
            ("a..b:80", "neither a host name nor an address"),
            ("*.:80", "neither a host name nor an address"),
            ("*.*:80", "neither a host name nor an address"),
            ("a.*.b:80", "neither a host name nor an address"),
            ("*x:80", "neither a host name nor an address"),
            ("127.1:80", "neither a host name nor an address"),
            ("0x7f.0x1:80", "neither a host name nor an address"),
            ("2130706433:80", "neither a host name nor an address"),
            ("300.0.0.1:80", "neither a host name nor an address"),
            ("b\u{fc}cher.example:443", "is not ASCII"),
            ("::1:80", "in brackets"),
            ("[::1:80", "is no IPv6 address"),
            ("[fe80::1%eth0]:80", "is no IPv6 address"),
            ("[127.0.0.1]:80", "is no IPv6 address"),
            ("10.0.0.0/33:80", "is no network"),
            ("10.0.0.0/:80", "is no network"),
            ("db/8:80", "is no network"),
            ("fd00::/8:80", "in brackets"),
            ("*:443=127.0.0.1:443", "cannot have a target"),
            ("*.x:443=127.0.0.1:443", "cannot have a target"),
            ("10.0.0.0/8:80=127.0.0.1:80", "cannot have a target"),
            ("db:1-2=127.0.0.1:80", "cannot have a target"),
            ("db:80=", "is no target"),
            ("db:80=127.0.0.1", "is no target"),
            ("db:80=127.0.0.1:0", "is no port"),
            ("db:80=*:80", "neither a host name nor an address"),
            ("db:80=unix:run.sock", "begins with a slash"),
            ("db:80=unix:", "begins with a slash"),
        ] {
            let error = text.parse::<NetRule>().map(|rule| panic!("{text} is {rule}")).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!(error.to_string().lines().count(), 1, "{text}");
        }
        assert!("x".repeat(64).parse::<NetRule>().is_err());
        assert!(format!("{}x:80", "abcdefg.".repeat(32)).parse::<NetRule>().is_err());
        assert!(format!("db:80=unix:/{}", "x".repeat(107)).parse::<NetRule>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(text in "[a-z0-9.*:=/\\[\\]-]{0,24}|\\PC{0,24}") {
            match text.parse::<NetRule>() {
                Ok(rule) => assert_eq!(rule.to_string().parse::<NetRule>(), Ok(rule)),
                Err(why) => assert_eq!(why.to_string().lines().count(), 1),
            }
        }
    }
}
