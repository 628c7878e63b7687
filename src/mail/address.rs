//! [`Mailbox`]: an address, and perhaps whose it is.

use drf::email;
use lettre::Address;
use lettre::message::Mailbox as Written;

/// An address, and perhaps a name before it. The domain is in ASCII; the local part may be in any script (RFC 6531).
#[derive(Debug, Clone)]
pub struct Mailbox(Written);

impl Mailbox {
    /// Read `user@example.com` or `A name <user@example.com>`; `None` for what is neither.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return None; // which would begin another header
        }
        let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", text),
        };
        let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let name = quoted.map_or_else(|| name.to_owned(), |name| name.replace("\\\"", "\""));
        let (local, domain) = address.rsplit_once('@')?;
        // Django's rule, for which letters of other scripts are letters.
        let plain = |c: char| if c.is_ascii() || c.is_whitespace() { c } else { 'x' };
        let domain = idna::domain_to_ascii(domain).ok()?;
        let rule = format!("{}@{domain}", local.chars().map(plain).collect::<String>());
        let address = email::is_valid(&rule).then(|| Address::new(local, &domain).ok())??;
        Some(Self(Written::new((!name.is_empty()).then_some(name), address)))
    }

    /// The address alone.
    pub fn address(&self) -> &Address {
        &self.0.email
    }

    /// As a header of a mail takes it.
    pub(super) fn written(&self) -> Written {
        self.0.clone()
    }
}

/// As [`Mailbox::read`] takes it.
impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "\"{}\" <{}>", name.replace('"', "\\\""), self.0.email),
            None => self.0.email.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a@example.com", "a@example.com")]
    #[case(" a@example.com ", "a@example.com")]
    #[case("Ann <a@example.com>", "\"Ann\" <a@example.com>")]
    #[case("\"Ann, B.\" <a@example.com>", "\"Ann, B.\" <a@example.com>")]
    #[case("Jörg 北 <jörg@münchen.de>", "\"Jörg 北\" <jörg@xn--mnchen-3ya.de>")]
    #[case("a@localhost", "a@localhost")]
    #[case("a+b@sub.example.com", "a+b@sub.example.com")]
    fn reads_what_is_one(#[case] text: &str, #[case] expected: &str) {
        let mailbox = Mailbox::read(text).unwrap();
        assert_eq!(mailbox.to_string(), expected);
        assert_eq!(Mailbox::read(expected).unwrap().to_string(), expected, "it is stored like this");
    }

    #[rstest]
    #[case("")]
    #[case("a")]
    #[case("a@")]
    #[case("@example.com")]
    #[case("a@b")]
    #[case("a b@example.com")]
    #[case("a\u{a0}b@example.com")]
    #[case("a@example.com, b@example.com")]
    #[case("a@example.com\r\nBcc: b@example.com")]
    #[case("Ann\r\nBcc: b@example.com <a@example.com>")]
    #[case("<a@example.com")]
    #[case("a@example.com>")]
    #[case("Ann <>")]
    fn refuses_what_is_none(#[case] text: &str) {
        assert!(Mailbox::read(text).is_none());
    }
}
