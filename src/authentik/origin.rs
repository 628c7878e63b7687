//! [`Origin`]: where a request came from, as audit events keep it.

use std::net::{IpAddr, Ipv4Addr};

use drf::params::Query;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// What stands for the values of keys that sound like secrets.
const MASK: &str = "********************";
/// Words that make a key sound like a secret.
const SECRETS: [&str; 8] =
    ["password", "token", "secret", "key", "authorization", "cookie", "signature", "credential"];

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The method.
    pub method: String,
    /// The path, decoded, with the API's prefix.
    pub path: String,
    /// The query, secrets masked.
    pub args: Map<String, Value>,
    /// `User-Agent`
    pub user_agent: String,
    /// The id that the request was given.
    pub request_id: String,
    /// Where the client is.
    pub client_ip: IpAddr,
    /// The host that the client asked, in lower case, without the port.
    pub host: String,
}

impl Origin {
    /// That of no request.
    pub fn nowhere() -> Self {
        let nothing = String::new;
        Self {
            method: nothing(),
            path: nothing(),
            args: Map::new(),
            user_agent: nothing(),
            request_id: nothing(),
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host: nothing(),
        }
    }

    /// The path of an event, from that of a request.
    pub fn decoded_path(path: &str) -> String {
        storable(&percent_decode_str(path).decode_utf8_lossy())
    }

    /// The arguments of an event, from the query of a request.
    pub fn masked_args(query: &Query) -> Map<String, Value> {
        query.iter().map(|(key, value)| (storable(key), mask(key, value))).collect()
    }

    /// The host of a `Host` header.
    pub fn host_name(host: &str) -> String {
        host.rsplit_once(':').map_or(host, |(name, _)| name).to_lowercase()
    }
}

fn mask(key: &str, value: &str) -> Value {
    let key = key.to_lowercase();
    Value::String(if SECRETS.iter().any(|word| key.contains(word)) {
        MASK.to_owned()
    } else {
        storable(value)
    })
}

/// PostgreSQL has no NUL, not in JSON either, and a write must not fail for what its URL holds.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
