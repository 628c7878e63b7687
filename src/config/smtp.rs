//! An SMTP server, and how to talk to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;

use super::Source;

/// How a connection to the SMTP server is kept from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// It isn't.
    None,
    /// It begins in the clear and must be changed over.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

impl Encryption {
    /// As authentik and Django tell it: by two flags. `None` for both at once.
    pub fn of(use_tls: bool, use_ssl: bool) -> Option<Self> {
        match (use_tls, use_ssl) {
            (true, true) => None,
            (true, false) => Some(Self::StartTls),
            (false, true) => Some(Self::Tls),
            (false, false) => Some(Self::None),
        }
    }
}

/// How somebody logs in. There is no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// Nobody does.
    Nobody,
    /// With a name and a password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// With a name and a token of OAuth 2.0 (XOAUTH2).
    Token {
        /// The name.
        username: String,
        /// Who asks for the token, and where.
        client: Arc<TokenClient>,
    },
}

impl Login {
    /// With this name, if it is one.
    pub fn of(username: String, password: String) -> Self {
        if username.is_empty() { Self::Nobody } else { Self::Password { username, password } }
    }
}

/// Who asks for tokens of OAuth 2.0, and where. There is no `Debug`: a secret is in it.
#[derive(PartialEq, Eq, Hash)]
pub struct TokenClient {
    /// Where.
    pub endpoint: TokenEndpoint,
    /// The client's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// What the token is to be for; may be empty.
    pub scope: String,
}

/// A URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenEndpoint {
    /// Whether it is `https`. Without, it has to be on this machine.
    pub is_secure: bool,
    /// Host and port, as written.
    pub authority: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl TokenEndpoint {
    fn of(text: &str) -> Option<Self> {
        let url: Uri = text.parse().ok()?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_secure = match url.scheme_str()? {
            "https" => true,
            "http" if host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) => false,
            _ => return None,
        };
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let path = url.path_and_query()?.to_string();
        Some(Self { is_secure, authority: authority.to_string(), host, port, path })
    }
}

impl Login {
    fn read(source: &Source<'_>) -> anyhow::Result<Self> {
        const URL: &str = "AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL";
        const LOCAL: &str = "a URL that begins with https://, or with http:// on this machine";
        let username = source.text("AUTHENTIK_EMAIL__USERNAME")?;
        if source.given(URL)?.is_none() {
            return Ok(Self::of(username, source.text("AUTHENTIK_EMAIL__PASSWORD")?));
        }
        let needed = |name| {
            let value = source.given(name)?;
            value.ok_or_else(|| anyhow::anyhow!("{name}: must be set, since {URL} is"))
        };
        needed("AUTHENTIK_EMAIL__USERNAME")?;
        let client = TokenClient {
            endpoint: source.parse(URL, LOCAL, TokenEndpoint::of)?,
            id: needed("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID")?,
            secret: needed("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET")?,
            scope: source.text("AUTHENTIK_STAGES__EMAIL_OAUTH_SCOPE")?,
        };
        Ok(Self::Token { username, client: Arc::new(client) })
    }
}

/// An SMTP server. There is no `Debug`: a secret is among it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SmtpServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in, and how.
    pub login: Login,
    /// How the connection is kept from being read.
    pub encryption: Encryption,
    /// How long a step of a delivery may take.
    pub timeout: Duration,
}

impl SmtpServer {
    /// The seconds that [`Self::timeout`] may be at most.
    pub const MAX_TIMEOUT: u64 = 300;

    pub(super) fn read(source: &Source<'_>) -> anyhow::Result<Self> {
        let start_tls = source.boolean("AUTHENTIK_EMAIL__USE_TLS")?;
        let encryption = source.parse(
            "AUTHENTIK_EMAIL__USE_SSL",
            "true or false, and not true together with AUTHENTIK_EMAIL__USE_TLS",
            |text| Encryption::of(start_tls, text.to_ascii_lowercase().parse().ok()?),
        )?;
        Ok(Self {
            host: source.text("AUTHENTIK_EMAIL__HOST")?,
            port: source.parse("AUTHENTIK_EMAIL__PORT", "a port number", |text| text.parse().ok())?,
            login: Login::read(source)?,
            encryption,
            timeout: source.parse("AUTHENTIK_EMAIL__TIMEOUT", "seconds, from 1 to 300", |text| {
                let fits = |number: &u64| (1..=Self::MAX_TIMEOUT).contains(number);
                text.parse().ok().filter(fits).map(Duration::from_secs)
            })?,
        })
    }
}

/// Hosts with ports: a name or an address, `*.` before a domain for any name in it, `*` for any host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<(String, u16)>);

impl Hosts {
    /// Read them, with commas between; `None` for what isn't that.
    pub(super) fn of(text: &str) -> Option<Self> {
        let one = |text: &str| {
            let (host, port) = text.trim().rsplit_once(':')?;
            let name = host.strip_prefix("*.").unwrap_or(if host == "*" { "any" } else { host });
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            let fine = !name.is_empty() && name.bytes().all(is_name);
            fine.then_some((bare(host), port.parse().ok()?))
        };
        text.split(',').map(one).collect::<Option<_>>().map(Self)
    }

    /// Whether this one is among them.
    pub fn have(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        self.0.iter().any(|(pattern, allowed)| {
            let fits = match pattern.strip_prefix('*') {
                Some(end) => host.len() > end.len() && host.ends_with(end),
                None => host == *pattern,
            };
            fits && *allowed == port
        })
    }
}

/// A host as they are compared: in small letters, without the brackets of an address or the dot at the end of a name.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("*:25,*:587", "mail.example.com", 587, true)]
    #[case("*:25,*:587", "mail.example.com", 22, false)]
    #[case("mail.example.com:587", "Mail.Example.com.", 587, true)]
    #[case("mail.example.com:587", "evil.example.com", 587, false)]
    #[case("*.example.com:465, [::1]:25", "smtp.example.com", 465, true)]
    #[case("*.example.com:465, [::1]:25", "smtp.example.com", 25, false)]
    #[case("*.example.com:465", "example.com", 465, false)]
    #[case("*.example.com:465", "evilexample.com", 465, false)]
    #[case("*.example.com:465, [::1]:25", "::1", 25, true)]
    fn a_host_is_among_them(#[case] text: &str, #[case] host: &str, #[case] port: u16, #[case] is: bool) {
        assert_eq!(Hosts::of(text).unwrap().have(host, port), is);
    }

    #[rstest]
    #[case("https://login.example.com/token", Some((true, "login.example.com", 443, "/token")))]
    #[case("https://login.example.com:8443/a?b=c", Some((true, "login.example.com", 8443, "/a?b=c")))]
    #[case("http://127.0.0.1:9001/token", Some((false, "127.0.0.1", 9001, "/token")))]
    #[case("http://[::1]/token", Some((false, "::1", 80, "/token")))]
    #[case("http://login.example.com/token", None)]
    #[case("https://me@login.example.com/token", None)]
    #[case("ftp://localhost/token", None)]
    #[case("/token", None)]
    fn an_endpoint_is_a_url(#[case] text: &str, #[case] expected: Option<(bool, &str, u16, &str)>) {
        let read = TokenEndpoint::of(text);
        let parts = read.as_ref().map(|url| (url.is_secure, url.host.as_str(), url.port, url.path.as_str()));
        assert_eq!(parts, expected);
    }

    #[rstest]
    #[case("mail.example.com")]
    #[case("mail.example.com:x")]
    #[case(":25")]
    #[case("*:25,")]
    #[case("a*.example.com:25")]
    #[case("*.*.example.com:25")]
    fn what_is_none_is_refused(#[case] text: &str) {
        assert_eq!(Hosts::of(text), None);
    }
}
