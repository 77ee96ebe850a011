//! The policy: what the rules of a service let its scripts connect to.
//!
//! In: rules, a name or an address, a port. Out: yes, no, or the target to go to instead. Pure: nothing is looked up here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::inside::is_inside;
use super::rule::{Host, Literal, Name, NetRule, Target};

/// Whom a script wants to reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Name(Name),
    Address(IpAddr),
}

/// The rules of a service.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Grant>);

#[derive(Debug)]
struct Grant {
    rule: NetRule,
    /// Somebody has granted what a package asks for, without looking at it.
    as_asked: bool,
}

impl Rules {
    /// Of rules that name the same with targets, the last one counts.
    pub(crate) fn new(granted: Vec<NetRule>, as_asked: Vec<NetRule>) -> Self {
        let grant = |as_asked| move |rule| Grant { rule, as_asked };
        let as_asked = as_asked.into_iter().map(grant(true));
        Self(as_asked.chain(granted.into_iter().map(grant(false))).collect())
    }

    /// Whether a rule has this name, for whatever port. Others are not looked up.
    pub(crate) fn know(&self, name: &Name) -> bool {
        self.0.iter().any(|grant| grant.rule.host.has_name(name))
    }

    /// Where connections to `peer` go instead.
    pub(crate) fn target(&self, peer: &Peer, port: u16) -> Option<&Target> {
        let mut at_port = self.0.iter().rev().filter(|grant| grant.rule.has_port(port) && grant.rule.has_target());
        at_port.find(|grant| grant.rule.host.is(peer)).and_then(|grant| grant.rule.target.as_ref())
    }

    /// Whether `name` has a target at some port.
    pub(crate) fn redirects(&self, name: &Name) -> bool {
        self.0.iter().any(|grant| grant.rule.has_target() && grant.rule.host.has_name(name))
    }

    /// Whether `address` may be connected to, at that port, or at any when none is said. `name` is what led there.
    pub(crate) fn allow(&self, name: Option<&Name>, address: IpAddr, port: Option<u16>) -> bool {
        let address = address.to_canonical();
        let inside = is_inside(address);
        let has_port = |rule: &NetRule| port.is_none_or(|port| rule.has_port(port));
        // A name that only the package knows leads nowhere inside, whatever else is granted.
        let may_lead_inside = name.is_none_or(|name| {
            self.0.iter().any(|grant| !grant.as_asked && has_port(&grant.rule) && grant.rule.host.has_name(name))
        });
        let mut rules = self.0.iter().filter(|grant| !grant.rule.has_target() && has_port(&grant.rule));
        rules.any(|Grant { rule, as_asked }| {
            let by_address = match &rule.host {
                Host::Address(granted) => *granted == address,
                Host::Network(granted) => granted.contains(&address),
                Host::Name(granted) => granted.is_localhost() && LOOPBACK.contains(&address) && !as_asked,
                Host::Suffix(_) | Host::Any => false,
            };
            let by_name = || match name {
                Some(name) => rule.host.has_name(name),
                None => rule.host == Host::Any,
            };
            let leads_inside_as_asked = inside && name.is_some() && (*as_asked || !may_lead_inside);
            by_address && !leads_inside_as_asked || !inside && by_name()
        })
    }

    /// Whether a connection to `name` at `port` is worth a look-up.
    pub(crate) fn grant_name(&self, name: &Name, port: u16) -> bool {
        self.0.iter().any(|grant| grant.rule.has_port(port) && grant.rule.host.has_name(name))
    }
}

/// What of `asked` nobody has granted.
pub(crate) fn not_granted(asked: &[NetRule], granted: &[NetRule]) -> Vec<NetRule> {
    let is_granted = |ask: &NetRule| {
        let covering: Vec<_> = granted.iter().filter(|grant| grant.host.covers(&ask.host)).collect();
        ask.ports().all(|port| covering.iter().any(|grant| grant.has_port(port)))
    };
    asked.iter().filter(|ask| !is_granted(ask)).cloned().collect()
}

/// The rule that would let a script connect to `peer`. `inside` says that the name leads inside.
pub(crate) fn missing_rule(peer: &Peer, port: Option<u16>, inside: bool) -> String {
    let port = port.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
    match peer {
        Peer::Name(name) if inside && !name.is_localhost() => format!("{name}:{port}=HOST:{port}"),
        Peer::Name(name) => format!("{name}:{port}"),
        Peer::Address(address) => format!("{}:{port}", Literal(address.to_canonical())),
    }
}

impl Host {
    fn has_name(&self, name: &Name) -> bool {
        match self {
            Self::Name(granted) => granted == name,
            Self::Suffix(suffix) => name.is_below(suffix),
            Self::Any => true,
            Self::Address(_) | Self::Network(_) => false,
        }
    }

    fn is(&self, peer: &Peer) -> bool {
        match (self, peer) {
            (Self::Name(granted), Peer::Name(name)) => granted == name,
            (Self::Address(granted), Peer::Address(address)) => *granted == address.to_canonical(),
            _ => false,
        }
    }

    /// Whether everything that `asked` is about may be reached by this one.
    fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Any, Self::Any | Self::Suffix(_)) => true,
            (Self::Any, Self::Name(name)) => !name.is_localhost(),
            (Self::Any, Self::Address(address)) => !is_inside(*address),
            (Self::Any, Self::Network(network)) => !is_inside(network.network()),
            (Self::Suffix(suffix), Self::Suffix(asked)) => asked == suffix || asked.is_below(suffix),
            (_, Self::Name(name)) => self.has_name(name),
            (Self::Name(name), Self::Address(address)) => name.is_localhost() && LOOPBACK.contains(address),
            (Self::Address(granted), Self::Address(asked)) => granted == asked,
            (Self::Network(granted), Self::Address(asked)) => granted.contains(asked),
            (Self::Network(granted), Self::Network(asked)) => granted.contains(asked),
            _ => false,
        }
    }
}

/// What `localhost` is, whatever a resolver says (RFC 6761 §6.3).
pub(super) const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn rules(texts: &[&str]) -> Vec<NetRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn granted(texts: &[&str]) -> Rules {
        Rules::new(rules(texts), Vec::new())
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Whether `granted` allows what the name leads to, at port 80.
    fn by_name(granted: &Rules, of: &str, leads_to: &str) -> bool {
        granted.allow(Some(&name(of)), address(leads_to), Some(80))
    }

    fn by_address(granted: &Rules, at: &str) -> bool {
        granted.allow(None, address(at), Some(80))
    }

    #[test]
    fn nothing_granted_is_nothing_allowed() {
        let none = granted(&[]);
        assert!(!by_name(&none, "example.com", "8.8.8.8") && !by_address(&none, "8.8.8.8"));
        assert!(!none.know(&name("localhost")));
    }

    #[test]
    fn a_name_is_granted_with_its_port_and_nothing_else() {
        let granted = granted(&["API.example.com.:80"]);
        assert!(granted.grant_name(&name("api.EXAMPLE.com."), 80));
        assert!(!granted.grant_name(&name("api.example.com"), 81));
        assert!(granted.know(&name("api.example.com")));
        for other in ["example.com", "x.api.example.com", "xapi.example.com", "api.example.com.evil.example"] {
            assert!(!granted.know(&name(other)), "{other}");
        }
        assert!(by_name(&granted, "api.example.com", "8.8.8.8"));
        assert!(!granted.allow(Some(&name("api.example.com")), address("8.8.8.8"), Some(443)));
        assert!(!by_address(&granted, "8.8.8.8"), "an address is not a name");
    }

    #[test]
    fn a_suffix_is_what_is_below_it() {
        let granted = granted(&["*.x.example:80"]);
        for (text, has) in [
            ("a.x.example", true),
            ("a.b.x.example", true),
            ("A.X.EXAMPLE.", true),
            ("x.example", false),
            ("ax.example", false),
            ("x.example.a", false),
        ] {
            assert_eq!(granted.grant_name(&name(text), 80), has, "{text}");
        }
    }

    #[test]
    fn ports_are_one_some_or_all() {
        for (rule, port, has) in [
            ("x:80", 80, true),
            ("x:80", 79, false),
            ("x:8000-8010", 8000, true),
            ("x:8000-8010", 8010, true),
            ("x:8000-8010", 7999, false),
            ("x:8000-8010", 8011, false),
            ("x:*", 1, true),
            ("x:*", 65535, true),
            ("x:*", 0, false),
        ] {
            assert_eq!(granted(&[rule]).grant_name(&name("x"), port), has, "{rule} {port}");
        }
    }

    #[test]
    fn no_name_leads_inside() {
        for rule in ["evil.example:80", "*.example:80", "*:80", "*:*"] {
            let granted = granted(&[rule]);
            assert!(by_name(&granted, "evil.example", "93.184.216.34"), "{rule}");
            for inside in [
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "0.0.0.0",
                "::1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "fe80::1",
                "fd00:ec2::254",
                "64:ff9b::a00:1",
                "198.18.0.1",
            ] {
                assert!(!by_name(&granted, "evil.example", inside), "{rule} {inside}");
                assert!(!by_address(&granted, inside), "{rule} {inside}");
            }
        }
    }

    #[test]
    fn an_address_or_a_network_is_granted_however_it_was_come_by() {
        let both = granted(&["inside.example:80", "10.0.0.0/8:80"]);
        assert!(by_name(&both, "inside.example", "10.1.2.3") && by_address(&both, "10.1.2.3"));
        assert!(by_address(&both, "::ffff:10.1.2.3"));
        assert!(!by_name(&both, "inside.example", "192.168.0.1"));
        assert!(!both.know(&name("other.example")), "a network grants no look-up");
        let one = granted(&["127.0.0.1:80"]);
        assert!(by_address(&one, "127.0.0.1") && by_address(&one, "::ffff:127.0.0.1"));
        assert!(!by_address(&one, "127.0.0.2") && !by_address(&one, "::1"));
        assert!(by_address(&granted(&["169.254.169.254:80"]), "169.254.169.254"));
        assert!(by_address(&granted(&["[fd00::]/8:80"]), "fd12::1"));
    }

    #[test]
    fn localhost_is_a_name_and_both_loopback_addresses() {
        let granted = granted(&["localhost:80"]);
        assert!(granted.know(&name("LOCALHOST.")));
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(by_name(&granted, "localhost", loopback) && by_address(&granted, loopback), "{loopback}");
        }
        assert!(!by_address(&granted, "127.0.0.2"));
        assert!(!by_name(&granted, "localhost", "10.0.0.1"));
        assert!(!granted.allow(None, address("127.0.0.1"), Some(81)));
    }

    #[test]
    fn everything_is_what_lies_outside() {
        let granted = granted(&["*:80"]);
        assert!(granted.know(&name("any.example")) && by_address(&granted, "8.8.8.8"));
        assert!(granted.know(&name("localhost")) && !by_name(&granted, "localhost", "127.0.0.1"));
    }

    #[test]
    fn a_target_goes_before_everything_else() {
        let granted =
            granted(&["*:80", "db:80", "db:80=127.0.0.1:3306", "192.0.2.1:80=unix:/run/x", "192.0.2.0/24:80"]);
        let target = |peer: Peer, port| granted.target(&peer, port).cloned();
        assert_eq!(target(Peer::Name(name("DB.")), 80), Some(Target::Address(address("127.0.0.1"), 3306)));
        assert_eq!(target(Peer::Name(name("db")), 81), None);
        assert_eq!(target(Peer::Name(name("other")), 80), None);
        assert_eq!(target(Peer::Address(address("192.0.2.1")), 80), Some(Target::Unix("/run/x".into())));
        assert_eq!(target(Peer::Address(address("192.0.2.2")), 80), None);
        assert!(granted.redirects(&name("db")) && !granted.redirects(&name("other")));
        let alone = super::Rules::new(rules(&["db:80=127.0.0.1:3306"]), Vec::new());
        assert!(!by_address(&alone, "127.0.0.1"), "a target is no grant of its own");
    }

    #[test]
    fn of_two_targets_the_last_counts() {
        let granted = granted(&["db:80=127.0.0.1:1", "db:80=127.0.0.1:2"]);
        assert_eq!(granted.target(&Peer::Name(name("db")), 80), Some(&Target::Address(address("127.0.0.1"), 2)));
    }

    #[test]
    fn without_a_port_every_rule_counts() {
        let granted = granted(&["a.example:80", "10.0.0.0/8:81"]);
        assert!(granted.allow(Some(&name("a.example")), address("8.8.8.8"), None));
        assert!(granted.allow(Some(&name("a.example")), address("10.0.0.1"), None));
        assert!(!granted.allow(Some(&name("a.example")), address("10.0.0.1"), Some(80)));
        assert!(!granted.allow(Some(&name("a.example")), address("127.0.0.1"), None));
    }

    #[test]
    fn what_is_granted_as_asked_lets_no_name_inside() {
        let asked = Rules::new(
            Vec::new(),
            rules(&["evil.example:80", "*:80", "127.0.0.1:80", "10.0.0.0/8:80", "localhost:80"]),
        );
        assert!(by_name(&asked, "evil.example", "8.8.8.8"));
        assert!(by_address(&asked, "127.0.0.1") && by_address(&asked, "10.0.0.1"), "it has asked for these themselves");
        assert!(!by_name(&asked, "evil.example", "127.0.0.1") && !by_name(&asked, "evil.example", "10.0.0.1"));
        assert!(!by_name(&asked, "localhost", "127.0.0.1") && !by_address(&asked, "::1"));
        let mixed = Rules::new(rules(&["10.0.0.0/8:80", "mine.example:80"]), rules(&["evil.example:80"]));
        assert!(by_name(&mixed, "mine.example", "10.0.0.1") && by_name(&mixed, "evil.example", "8.8.8.8"));
        assert!(!by_name(&mixed, "evil.example", "10.0.0.1"));
    }

    #[test]
    fn a_wider_grant_satisfies_what_is_asked() {
        let missing = |asked: &[&str], granted: &[&str]| {
            not_granted(&rules(asked), &rules(granted)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (asked, granted) in [
            ("db:3306", "db:3306=127.0.0.1:13306"),
            ("db:3306", "DB:*"),
            ("a.x.example:443", "*.x.example:443"),
            ("*.a.x.example:443", "*.x.example:1-1000"),
            ("*.x.example:443", "*:443"),
            ("192.0.2.7:80", "192.0.2.0/24:80"),
            ("10.1.0.0/16:80", "10.0.0.0/8:80"),
            ("8.8.8.8:80", "*:*"),
            ("127.0.0.1:80", "localhost:80"),
        ] {
            assert!(missing(&[asked], &[granted]).is_empty(), "{asked} by {granted}");
        }
        for (asked, granted) in [
            ("db:3306", "db:3307"),
            ("db:3306-3307", "db:3306"),
            ("db:*", "db:1-65534"),
            ("x.example:443", "*.x.example:443"),
            ("*.x.example:443", "a.x.example:443"),
            ("*:443", "*.example:443"),
            ("localhost:80", "*:80"),
            ("10.0.0.1:80", "*:80"),
            ("10.0.0.0/8:80", "10.1.0.0/16:80"),
            ("db:80", "10.0.0.0/8:80"),
        ] {
            assert_eq!(missing(&[asked], &[granted]), [asked], "by {granted}");
        }
        assert!(missing(&["x:1-3"], &["x:1", "x:2-3"]).is_empty());
        assert_eq!(missing(&["a:1", "b:2", "c:3"], &["b:2"]), ["a:1", "c:3"]);
    }

    #[test]
    fn the_rule_that_is_missing_is_one() {
        let at = |text: &str| Peer::Address(address(text));
        for (peer, port, inside, rule) in [
            (Peer::Name(name("db")), Some(3306), false, "db:3306"),
            (Peer::Name(name("db")), None, false, "db:PORT"),
            (Peer::Name(name("db")), Some(80), true, "db:80=HOST:80"),
            (Peer::Name(name("localhost")), Some(80), true, "localhost:80"),
            (at("127.0.0.1"), Some(80), true, "127.0.0.1:80"),
            (at("::ffff:127.0.0.1"), Some(80), true, "127.0.0.1:80"),
            (at("fd00::1"), Some(80), true, "[fd00::1]:80"),
        ] {
            assert_eq!(missing_rule(&peer, port, inside), rule);
        }
    }

    proptest! {
        #[test]
        fn a_name_never_leads_inside(bits in any::<u128>(), v4 in any::<u32>(), port in 1..u16::MAX) {
            let everything = granted(&["*:*", "evil.example:*", "*.example:*"]);
            for address in [IpAddr::from(bits.to_be_bytes()), IpAddr::from(v4.to_be_bytes())] {
                let allowed = everything.allow(Some(&name("evil.example")), address, Some(port));
                assert_eq!(allowed, !is_inside(address.to_canonical()), "{address}");
                assert_eq!(everything.allow(None, address, Some(port)), allowed);
            }
        }
    }
}
