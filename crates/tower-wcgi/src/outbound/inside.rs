//! Which addresses lie inside: this host, its networks, and what no server outside has.
//!
//! In: an address. Out: whether a name must not lead there. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` is of this host or of a network around it, or carries such an address.
pub(super) fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => is_inside_v6(address),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    match a {
        // "This network", private, loopback.
        0 | 10 | 127 => true,
        // Carrier-grade NAT (RFC 6598).
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        // Private, and special purposes (RFC 6890).
        192 => b == 168 || (b, c) == (0, 0),
        // Benchmarks (RFC 2544); also the addresses that stand for targets.
        198 => b & 0xfe == 18,
        // Multicast, reserved, broadcast.
        _ => a >= 224,
    }
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        // Unspecified and loopback are IPv4-compatible addresses of 0.0.0.0/8.
        [0, 0, 0, 0, 0, 0, high, low] => is_inside_v4(v4(high, low)),
        // IPv4-mapped, and translated (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => is_inside_v4(v4(high, low)),
        // NAT64 (RFC 6052), and that of a network of one's own (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_inside_v4(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => true,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => is_inside_v4(v4(high, low)),
        // Teredo (RFC 4380): its server, and its client's address with every bit turned over.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            is_inside_v4(v4(high, low)) || is_inside_v4(v4(!client_high, !client_low))
        }
        // Unique local; link-local and site-local; multicast.
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first & 0xff00 == 0xff00,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const INSIDE: [&str; 28] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "::127.0.0.1/128",
        "::ffff:10.0.0.0/104",
        "::ffff:127.0.0.0/104",
        "::ffff:169.254.0.0/112",
        "64:ff9b::a00:0/104",
        "64:ff9b::a9fe:a9fe/128",
        "64:ff9b:1::/48",
        "2002:7f00::/24",
        "2002:c0a8::/32",
        "fc00::/7",
        "fd00:ec2::254/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    fn is_in_the_table(address: IpAddr) -> bool {
        INSIDE.iter().any(|network| network.parse::<ipnet::IpNet>().unwrap().contains(&address))
    }

    #[test]
    fn both_ends_of_every_network_are_inside() {
        for network in INSIDE {
            let network: ipnet::IpNet = network.parse().unwrap();
            for address in [network.network(), network.broadcast()] {
                assert!(is_inside(address), "{address} of {network}");
            }
        }
    }

    #[test]
    fn what_lies_beside_them_is_outside() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
        ] {
            assert!(!is_inside(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn teredo_goes_by_both_addresses_that_it_carries() {
        let teredo = |server: [u8; 4], client: [u8; 4]| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&[0x20, 1, 0, 0]);
            bytes[4..8].copy_from_slice(&server);
            bytes[12..].copy_from_slice(&client.map(|byte| !byte));
            is_inside(IpAddr::from(bytes))
        };
        assert!(!teredo([8, 8, 8, 8], [9, 9, 9, 9]));
        assert!(teredo([10, 8, 8, 8], [9, 9, 9, 9]));
        assert!(teredo([8, 8, 8, 8], [192, 168, 9, 9]));
    }

    proptest! {
        #[test]
        fn every_ipv4_address_is_as_in_the_table_however_it_is_carried(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let inside = is_inside(IpAddr::V4(address));
            assert_eq!(inside, is_in_the_table(IpAddr::V4(address)), "{address}");
            let [a, b, c, d] = bits.to_be_bytes();
            let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            for carrier in [
                [0, 0, 0, 0, 0, 0xffff, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x2002, high, low, 1, 2, 3, 4, 5],
            ] {
                assert_eq!(is_inside(IpAddr::from(carrier)), inside, "{address} in {carrier:x?}");
            }
        }

        #[test]
        fn addresses_of_the_networks_are_inside(which in 0..INSIDE.len(), v4 in any::<u32>(), v6 in any::<u128>()) {
            let network: ipnet::IpNet = INSIDE[which].parse().unwrap();
            let address = match network {
                ipnet::IpNet::V4(net) => IpAddr::from((u32::from(net.network()) | v4 & u32::from(net.hostmask())).to_be_bytes()),
                ipnet::IpNet::V6(net) => IpAddr::from((u128::from(net.network()) | v6 & u128::from(net.hostmask())).to_be_bytes()),
            };
            assert!(is_inside(address), "{address} of {network}");
        }
    }
}
