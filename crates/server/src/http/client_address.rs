//! Where a request really comes from: the peer, or what trusted proxies say of it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

/// Most entries of a forwarding header that are looked at, counted from its end.
const HOPS_MAX: usize = 32;

/// The client's address.
///
/// SECURITY: a header counts only when the peer itself is a trusted proxy, and then the entry that counts is the
/// rightmost one that is not a trusted proxy: what stands left of it was written by the client, who may write anything.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops = forwarded(headers).unwrap_or_else(|| x_forwarded_for(headers));
    let mut nearest = peer;
    for hop in hops.into_iter().rev().take(HOPS_MAX) {
        match hop {
            Some(address) if is_trusted(&address) => nearest = address,
            Some(address) => return address,
            // Not an address (`unknown`, `_hidden`, nonsense): nothing beyond it can be believed.
            None => return nearest,
        }
    }
    nearest
}

/// Whether the client spoke plain HTTP to a proxy that is trusted to say so.
///
/// The leftmost word counts: it is about the client's own connection. A client that writes it itself deceives only itself.
pub fn came_in_the_clear(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    if !trusted.iter().any(|network| network.contains(&peer)) {
        return false;
    }
    let said = match entries(headers, FORWARDED.as_str()).next() {
        Some(entry) => parameter(entry, "proto"),
        None => entries(headers, "x-forwarded-proto").next(),
    };
    said.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"))
}

/// The `for` parameters of RFC 7239, if that header is there.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    headers.contains_key(FORWARDED).then(|| {
        entries(headers, FORWARDED.as_str())
            .map(|entry| parameter(entry, "for").and_then(address_of))
            .collect()
    })
}

/// A parameter of one entry of a `Forwarded` header.
fn parameter<'a>(entry: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().trim_matches('"'))
}

fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    entries(headers, "x-forwarded-for").map(address_of).collect()
}

/// The entries of all lines of a header, in order.
fn entries<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .map(str::trim)
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "2001:db8:aaaa::/48"];

    fn seen(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = PROXIES.map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_where_it_is() {
        assert_eq!(seen("192.0.2.9", &[("x-forwarded-for", "198.51.100.1")]), "192.0.2.9");
        assert_eq!(seen("192.0.2.9", &[("forwarded", "for=198.51.100.1")]), "192.0.2.9");
    }

    #[test]
    fn only_a_trusted_proxy_says_that_the_client_spoke_plain_http() {
        let trusted = PROXIES.map(|network| network.parse().unwrap());
        let clear = |peer: &str, headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            came_in_the_clear(peer.parse().unwrap(), &map, &trusted)
        };
        for (headers, expected) in [
            (&[("x-forwarded-proto", "http")][..], true),
            (&[("x-forwarded-proto", "HTTP")], true),
            (&[("x-forwarded-proto", "https")], false),
            (&[("x-forwarded-proto", "http, https")], true),
            (&[("x-forwarded-proto", "https, http")], false),
            (&[("forwarded", "for=192.0.2.1;proto=http")], true),
            (
                &[("forwarded", "for=192.0.2.1; Proto=\"http\", for=10.0.0.2;proto=https")],
                true,
            ),
            (
                &[
                    ("forwarded", "for=192.0.2.1;proto=https"),
                    ("x-forwarded-proto", "http"),
                ],
                false,
            ),
            (&[("forwarded", "for=192.0.2.1")], false),
            (&[], false),
        ] {
            assert_eq!(clear("10.0.0.1", headers), expected, "{headers:?}");
            assert!(!clear("192.0.2.9", headers), "{headers:?}");
        }
    }

    #[test]
    fn the_rightmost_entry_that_is_no_proxy_counts() {
        for (headers, expected) in [
            (&[("x-forwarded-for", "198.51.100.1")][..], "198.51.100.1"),
            (
                &[("x-forwarded-for", "203.0.113.6, 198.51.100.1, 10.9.9.9")],
                "198.51.100.1",
            ),
            (
                &[
                    ("x-forwarded-for", "203.0.113.6"),
                    ("x-forwarded-for", "198.51.100.1:4711"),
                ],
                "198.51.100.1",
            ),
            (&[("x-forwarded-for", "::ffff:198.51.100.1")], "198.51.100.1"),
            (
                &[("forwarded", "for=203.0.113.6, for=\"[2001:db8::7]:80\";proto=https")],
                "2001:db8::7",
            ),
            (
                &[("forwarded", "For=198.51.100.1"), ("x-forwarded-for", "203.0.113.6")],
                "198.51.100.1",
            ),
            (&[("forwarded", "for=198.51.100.1, for=unknown")], "10.0.0.1"),
            (&[("x-forwarded-for", "198.51.100.1, x")], "10.0.0.1"),
            (&[("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(seen("10.0.0.1", headers), expected, "{headers:?}");
            assert_eq!(seen("::ffff:10.0.0.1", headers), expected, "{headers:?}");
        }
    }
}
