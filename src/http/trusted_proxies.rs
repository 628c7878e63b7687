//! Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
//!
//! Anybody can send those headers, so they count only as far as those who write them are known: proxies in the networks of
//! `AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS`. To `X-Forwarded-For` each of them appends the address that it was called from,
//! so the list is read from its end, and the last address that isn't such a proxy's own is the client's. authentik takes
//! the first one, which a client can make up where a proxy appends.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// In the extensions of a request: its client sent it with https.
#[derive(Debug, Clone, Copy)]
pub struct Https;

/// Put the client in the place of the peer ([`ConnectInfo`]), where the peer is a proxy in one of the `trusted` networks
/// and says who the client is, and [`Https`] in the extensions where it says so. What comes after need not know of proxies.
pub fn name_client(trusted: &[IpNet], mut request: Request<Body>) -> Request<Body> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    if let Some(peer) = peer {
        let client = client(trusted, peer.ip(), request.headers());
        if trusts(trusted, peer.ip().to_canonical()) {
            name_scheme(&mut request);
        }
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, peer.port())));
    }
    request
}

/// Take a trusted proxy's word for how the client sent a request, if it says so: of a list the first one is the client's.
fn name_scheme(request: &mut Request<Body>) {
    let Some(schemes) = request.headers().get(X_FORWARDED_PROTO) else { return };
    let scheme = schemes.to_str().ok().and_then(|schemes| schemes.split(',').next()).map(str::trim);
    if scheme == Some("https") {
        request.extensions_mut().insert(Https);
    } else {
        request.extensions_mut().remove::<Https>();
    }
}

fn trusts(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Who called, as far back as the list can be believed: an address counts if whoever added it is trusted. What can't
/// be read as an address ends the list.
fn client(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    // Several headers are one list (RFC 9110, section 5.3), and so may elements of it be empty.
    let lists = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = lists.flat_map(|list| list.to_str().unwrap_or("unreadable").rsplit(','));
    let mut client = peer.to_canonical();
    for hop in hops.map(str::trim).filter(|hop| !hop.is_empty()) {
        match address(hop) {
            Some(address) if trusts(trusted, client) => client = address,
            _ => break,
        }
    }
    client
}

/// An address, with a port or without: some proxies add it.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    /// Whom a request comes from whose peer is `peer`, with these headers, where `10.0.0.0/8` and `::1/128` are trusted.
    fn named(peer: &str, lists: &[&str]) -> String {
        let mut request = Request::new(Body::empty());
        let peer: IpAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 4711)));
        for list in lists {
            let list = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            request.headers_mut().append(X_FORWARDED_FOR, list);
        }
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        let request = name_client(&trusted, request);
        let ConnectInfo(client) = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap();
        assert_eq!(client.port(), 4711);
        client.ip().to_string()
    }

    #[rstest]
    #[case::nothing_sent("10.0.0.1", &[], "10.0.0.1")]
    #[case::one_proxy("10.0.0.1", &["192.0.2.1"], "192.0.2.1")]
    #[case::a_peer_whom_nobody_trusts("192.0.2.9", &["192.0.2.1"], "192.0.2.9")]
    #[case::a_mapped_peer("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1")]
    #[case::a_mapped_peer_whom_nobody_trusts("::ffff:192.0.2.9", &["192.0.2.1"], "192.0.2.9")]
    #[case::a_mapped_client("::1", &["::ffff:192.0.2.1"], "192.0.2.1")]
    #[case::a_mapped_proxy("::1", &["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1")]
    #[case::the_client_made_up_the_first("10.0.0.1", &["192.0.2.66, 192.0.2.1"], "192.0.2.1")]
    #[case::two_proxies("10.0.0.1", &["192.0.2.66, 192.0.2.1, 10.0.0.2"], "192.0.2.1")]
    #[case::proxies_alone("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3")]
    #[case::without_blanks("10.0.0.1", &["192.0.2.66,192.0.2.1,10.0.0.2"], "192.0.2.1")]
    #[case::with_more_blanks("10.0.0.1", &["  192.0.2.1 \t,  10.0.0.2  "], "192.0.2.1")]
    #[case::with_empty_elements("10.0.0.1", &[",192.0.2.1,, 10.0.0.2,"], "192.0.2.1")]
    #[case::empty("10.0.0.1", &[""], "10.0.0.1")]
    #[case::several_headers("10.0.0.1", &["192.0.2.66, 192.0.2.1", "10.0.0.2"], "192.0.2.1")]
    #[case::several_headers_of_a_client("10.0.0.1", &["192.0.2.66", "192.0.2.1"], "192.0.2.1")]
    #[case::garbage("10.0.0.1", &["unknown"], "10.0.0.1")]
    #[case::garbage_before("10.0.0.1", &["' OR 1=1 --, 192.0.2.1"], "192.0.2.1")]
    #[case::garbage_between("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2")]
    #[case::no_address_but_text("10.0.0.1", &["192.0.2.1", "ä"], "10.0.0.1")]
    #[case::a_port("10.0.0.1", &["192.0.2.1:5000"], "192.0.2.1")]
    #[case::ipv6("::1", &["2001:db8::1"], "2001:db8::1")]
    #[case::ipv6_with_a_port("::1", &["[2001:db8::1]:5000"], "2001:db8::1")]
    fn the_client_is_the_last_who_is_no_proxy(
        #[case] peer: &str,
        #[case] lists: &[&str],
        #[case] expected: &str,
    ) {
        assert_eq!(named(peer, lists), expected);
    }

    #[rstest]
    #[case::nothing_sent("10.0.0.1", false, None, false)]
    #[case::with_tls_of_ours("192.0.2.9", true, None, true)]
    #[case::behind_a_proxy("10.0.0.1", false, Some("https"), true)]
    #[case::behind_two("10.0.0.1", false, Some("https, http"), true)]
    #[case::a_proxy_that_takes_http("10.0.0.1", true, Some("http"), false)]
    #[case::a_mapped_proxy("::ffff:10.0.0.1", false, Some("https"), true)]
    #[case::a_peer_whom_nobody_trusts("192.0.2.9", false, Some("https"), false)]
    #[case::and_its_tls("192.0.2.9", true, Some("http"), true)]
    #[case::garbage("10.0.0.1", false, Some("ftp"), false)]
    fn the_scheme_is_the_client_s(
        #[case] peer: &str,
        #[case] has_tls: bool,
        #[case] sent: Option<&str>,
        #[case] expected: bool,
    ) {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        if has_tls {
            request.extensions_mut().insert(Https);
        }
        if let Some(scheme) = sent {
            request.headers_mut().insert(X_FORWARDED_PROTO, HeaderValue::from_str(scheme).unwrap());
        }
        let request = name_client(&["10.0.0.0/8".parse().unwrap()], request);
        assert_eq!(request.extensions().get::<Https>().is_some(), expected);
    }

    #[test]
    fn a_request_without_a_peer_gets_none() {
        let request = name_client(&[], Request::new(Body::empty()));
        assert!(request.extensions().get::<ConnectInfo<SocketAddr>>().is_none());
    }
}
