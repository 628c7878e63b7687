//! The settings of mail.

use std::path::PathBuf;
use std::time::Duration;

use drf::negotiation;

use super::smtp::{Hosts, SmtpServer};
use super::{Rate, Source, rate, seconds};

/// The languages of the built-in templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// English
    English,
    /// German
    German,
}

impl Locale {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The code of the language, as HTML and HTTP spell it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language with this code.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|locale| locale.code().eq_ignore_ascii_case(code))
    }

    /// The one that an `Accept-Language` header wants most, of those that there are.
    pub fn asked(accept_language: &str) -> Option<Self> {
        let wanted = negotiation::languages(accept_language);
        wanted.into_iter().find_map(|tag| Self::of(tag.split('-').next().unwrap_or_default()))
    }
}

/// Where people reach authentik.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let fine = |b: u8| b.is_ascii_graphic() && !b"?#@\"'<>\\".contains(&b);
        let whole = !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(fine);
        whole.then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// It, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// The host alone.
    pub fn host_name(&self) -> &str {
        let host = self.host();
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

/// All of them, checked. There is no `Debug`: secrets are among them.
#[derive(Clone)]
pub struct MailSettings {
    /// Where people reach authentik; without it there is no mail.
    pub public_url: Option<PublicUrl>,
    /// The SMTP server.
    pub smtp: SmtpServer,
    /// Those that email stages may name beside it.
    pub hosts: Hosts,
    /// The sender of mails that name none.
    pub from: String,
    /// A file with more certificates to trust.
    pub root_cert: Option<PathBuf>,
    /// The language of the built-in templates.
    pub locale: Locale,
    /// How long after the first failure a mail is tried again.
    pub retry: Duration,
    /// How often it is tried.
    pub attempts: i32,
    /// Messages that an address gets within a day; 0 is for any number.
    pub per_recipient: u32,
    /// Messages that a user sends within a day, likewise.
    pub per_sender: u32,
    /// Tests of SMTP servers that a user may ask for.
    pub tests: Rate,
}

impl MailSettings {
    /// Whether mail may go through this server: it is the one of the settings, or one that email stages may name.
    pub fn allow(&self, server: &SmtpServer) -> bool {
        (&server.host, server.port) == (&self.smtp.host, self.smtp.port)
            || self.hosts.have(&server.host, server.port)
    }

    pub(super) fn read(source: &Source<'_>) -> anyhow::Result<Self> {
        let number = |text: &str| text.parse().ok();
        Ok(Self {
            public_url: source.parse(
                "AUTHENTIK_STAGES__PUBLIC_URL",
                "a URL without query and user, such as https://id.example.com",
                |text| if text.is_empty() { Some(None) } else { PublicUrl::read(text).map(Some) },
            )?,
            smtp: SmtpServer::read(source)?,
            hosts: source.parse(
                "AUTHENTIK_STAGES__EMAIL_HOSTS",
                "hosts and ports with commas between, such as mail.example.com:587,*.example.com:465",
                Hosts::of,
            )?,
            from: source.text("AUTHENTIK_EMAIL__FROM")?,
            root_cert: source.given("AUTHENTIK_STAGES__EMAIL_ROOT_CERT")?.map(PathBuf::from),
            locale: source.parse("AUTHENTIK_STAGES__EMAIL_LOCALE", "en or de", Locale::of)?,
            retry: source.parse(
                "AUTHENTIK_STAGES__EMAIL_RETRY",
                "a duration such as seconds=30, at most hours=1",
                |text| seconds(text, 3600).filter(|pause| !pause.is_zero()),
            )?,
            attempts: source.parse(
                "AUTHENTIK_STAGES__EMAIL_ATTEMPTS",
                "a number from 1 to 1000",
                |text| text.parse().ok().filter(|number| (1..=1000).contains(number)),
            )?,
            per_recipient: source.parse("AUTHENTIK_STAGES__EMAIL_PER_RECIPIENT", "a number", number)?,
            per_sender: source.parse("AUTHENTIK_STAGES__EMAIL_PER_SENDER", "a number", number)?,
            tests: source.parse(
                "AUTHENTIK_STAGES__EMAIL_TESTS",
                "a number of tests a period, such as 30/hour",
                rate,
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://id.example.com", "https://id.example.com", "id.example.com", "id.example.com")]
    #[case(
        "http://id.example.com:9000/",
        "http://id.example.com:9000",
        "id.example.com:9000",
        "id.example.com"
    )]
    #[case("https://example.com/sso//", "https://example.com/sso", "example.com", "example.com")]
    #[case("http://[::1]:9000", "http://[::1]:9000", "[::1]:9000", "[::1]")]
    fn a_public_url_has_a_host(
        #[case] text: &str,
        #[case] url: &str,
        #[case] host: &str,
        #[case] name: &str,
    ) {
        let read = PublicUrl::read(text).unwrap();
        assert_eq!((read.as_str(), read.host(), read.host_name()), (url, host, name));
    }

    #[rstest]
    #[case("de", Some(Locale::German))]
    #[case("de-AT,en;q=0.9", Some(Locale::German))]
    #[case("fr, en-GB;q=0.8, de;q=0.9", Some(Locale::German))]
    #[case("DE;q=0.1, en ; q=0.2", Some(Locale::English))]
    #[case("de;q=0, en;q=0.1", Some(Locale::English))]
    #[case("fr, *", None)]
    #[case("de;q=x", None)]
    #[case("", None)]
    fn a_language_is_asked_for(#[case] header: &str, #[case] expected: Option<Locale>) {
        assert_eq!(Locale::asked(header), expected);
    }

    #[rstest]
    #[case("id.example.com")]
    #[case("https://")]
    #[case("https:///path")]
    #[case("https://user@example.com")]
    #[case("https://example.com/?a=1")]
    #[case("https://exa mple.com")]
    #[case("javascript://example.com")]
    fn what_is_none_is_refused(#[case] text: &str) {
        assert_eq!(PublicUrl::read(text), None);
    }
}
