//! Where a request comes from, behind proxies.
//!
//! What a proxy adds to a request is believed of the proxies that the operator has named, and of nobody else. Each hop
//! appends the address that called it, so the list is read from its end: the first address that is no trusted proxy's is
//! where the request came from, and whatever stands before it its sender may have made up.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// Of hops that are looked at: more proxies than anybody has behind one another.
const MOST_HOPS: usize = 32;

/// Where a request comes from. It is among the extensions of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Of the client, or of the last hop that is known.
    pub(crate) address: IpAddr,
    /// What the client spoke to the first proxy, where one has told.
    pub(crate) https: Option<bool>,
}

/// The proxies whose word is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.to_vec())
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    pub(super) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.to_canonical();
        let mut origin = Origin { address: peer, https: None };
        if !self.trusts(peer) {
            return origin;
        }
        let listed = self.client(peer, x_forwarded_for(headers));
        let (hops, protos) = forwarded(headers);
        let told = self.client(peer, hops);
        origin.address = match (listed, told) {
            // A proxy that knows one of the two headers hands the other on as the client has sent it. Which it is, nobody
            // here can tell.
            (Some(listed), Some(told)) if listed != told => peer,
            (listed, told) => listed.or(told).unwrap_or(peer),
        };
        let proto = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
        let proto = proto.and_then(|list| list.rsplit(',').next()).map(str::trim).or(protos.last().map(String::as_str));
        origin.https = match proto {
            Some(proto) if proto.eq_ignore_ascii_case("https") => Some(true),
            Some(proto) if proto.eq_ignore_ascii_case("http") => Some(false),
            _ => None,
        };
        origin
    }

    /// The rightmost that is no trusted proxy's; where all are, the leftmost. A hop that has no address ends the list: it is
    /// the one before it, towards us, that counts then. Nothing where there is no list.
    fn client(&self, peer: IpAddr, hops: Vec<Option<IpAddr>>) -> Option<IpAddr> {
        if hops.is_empty() {
            return None;
        }
        let mut last = peer;
        for hop in hops.into_iter().rev().take(MOST_HOPS) {
            let Some(hop) = hop else { break };
            last = hop.to_canonical();
            if !self.trusts(last) {
                break;
            }
        }
        Some(last)
    }
}

/// Each hop in turn, nothing for one that is no address.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(FORWARDED_FOR).iter();
    values.flat_map(|value| value.to_str().unwrap_or("?").split(',').map(address).collect::<Vec<_>>()).collect()
}

/// The hops and the protocols of RFC 7239.
fn forwarded(headers: &HeaderMap) -> (Vec<Option<IpAddr>>, Vec<String>) {
    let (mut hops, mut protos) = (Vec::new(), Vec::new());
    for value in headers.get_all(http::header::FORWARDED) {
        for element in value.to_str().unwrap_or("for=?").split(',') {
            let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let mut hop = None;
            for (name, value) in pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                if name.eq_ignore_ascii_case("for") {
                    hop = Some(address(value));
                } else if name.eq_ignore_ascii_case("proto") {
                    protos.push(value.to_owned());
                }
            }
            // One that does not say whom it stands for hides him.
            hops.push(hop.flatten());
        }
    }
    (hops, protos)
}

/// With or without a port, an IPv6 one in brackets or plain.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let plain = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    plain.ok().or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(&["10.0.0.0/8".parse().expect("a net"), "fd00::1/128".parse().expect("a net")])
    }

    fn origin(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        proxies().origin(peer.parse().expect("an address"), &map).address.to_string()
    }

    const XFF: &str = FORWARDED_FOR;
    const FWD: &str = "forwarded";

    #[test]
    fn the_rightmost_address_that_is_no_proxys_counts() {
        for (peer, headers, from) in [
            ("192.0.2.7", &[(XFF, "203.0.113.9")][..], "192.0.2.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            ("::ffff:10.0.0.1", &[(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 203.0.113.9, 10.2.2.2")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "203.0.113.9:4711")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "10.3.3.3,10.2.2.2")], "10.3.3.3"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, unknown, 10.2.2.2")], "10.2.2.2"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("fd00::1", &[(XFF, "2001:db8::5")], "2001:db8::5"),
            ("fd00::1", &[(XFF, "[2001:db8::5]:80")], "2001:db8::5"),
            ("fd00::2", &[(XFF, "2001:db8::5")], "fd00::2"),
            ("10.0.0.1", &[(FWD, "for=1.1.1.1, for=203.0.113.9;proto=https;by=10.0.0.1")], "203.0.113.9"),
            ("10.0.0.1", &[(FWD, "For=\"[2001:db8::5]:4711\"")], "2001:db8::5"),
            ("10.0.0.1", &[(FWD, "for=1.1.1.1, for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[(FWD, "for=1.1.1.1, proto=https")], "10.0.0.1"),
            // One of the two is the client's own.
            ("10.0.0.1", &[(FWD, "for=1.1.1.1"), (XFF, "203.0.113.9")], "10.0.0.1"),
            ("10.0.0.1", &[(FWD, "for=203.0.113.9"), (XFF, "203.0.113.9")], "203.0.113.9"),
        ] {
            assert_eq!(origin(peer, headers), from, "{peer} {headers:?}");
        }
        let many = "10.9.9.9,".repeat(100) + "10.8.8.8";
        let mut map = HeaderMap::new();
        map.append(XFF, many.parse().expect("a value"));
        assert_eq!(proxies().origin([10, 0, 0, 1].into(), &map).address, IpAddr::from([10, 9, 9, 9]));
    }

    #[test]
    fn what_was_spoken_to_the_proxy_is_the_proxys_word() {
        let https = |peer: [u8; 4], name: &'static str, value: &'static str| {
            let map = HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))]);
            proxies().origin(peer.into(), &map).https
        };
        assert_eq!(https([10, 0, 0, 1], FORWARDED_PROTO, "https"), Some(true));
        assert_eq!(https([10, 0, 0, 1], FORWARDED_PROTO, "https, http"), Some(false));
        assert_eq!(https([10, 0, 0, 1], FORWARDED_PROTO, "gopher"), None);
        assert_eq!(https([10, 0, 0, 1], FWD, "for=1.1.1.1;proto=HTTPS"), Some(true));
        assert_eq!(https([192, 0, 2, 1], FORWARDED_PROTO, "https"), None);
    }
}
