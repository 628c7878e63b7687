//! Django's `EmailValidator`, which differs from the HTML standard's rule: a quoted local part is fine, a domain needs
//! a dot (or is `localhost`, or an address in brackets), and its last label has at least two characters.

use std::net::IpAddr;

/// Whether Django takes `address` as an email address.
pub fn is_valid(address: &str) -> bool {
    if address.chars().count() > 320 {
        return false;
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    if !(is_dot_atom(local) || is_quoted(local)) {
        return false;
    }
    domain == "localhost"
        || is_domain(domain)
        || idna::domain_to_ascii(domain).is_ok_and(|ascii| is_domain(&ascii))
}

/// The domain of an address in ASCII; `None` for one that can't be.
pub fn ascii_domain(domain: &str) -> Option<String> {
    if domain.is_ascii() { Some(domain.to_owned()) } else { idna::domain_to_ascii(domain).ok() }
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"-!#$%&'*+/=?^_`{}|~".contains(&b))
    })
}

fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    for byte in inner.bytes() {
        let fine = match byte {
            0x01..=0x09 | 0x0b..=0x0c | 0x0e..=0x7f if escaped => true,
            b'\\' => {
                escaped = true;
                continue;
            }
            0x01..=0x08 | 0x0b..=0x0c | 0x0e..=0x1f | 0x21 | 0x23..=0x5b | 0x5d..=0x7f => true,
            _ => false,
        };
        escaped = false;
        if !fine {
            return false;
        }
    }
    !escaped
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<IpAddr>().is_ok();
    }
    let Some((labels, last)) = domain.rsplit_once('.') else {
        return false;
    };
    let alphanumeric = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    labels.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(alphanumeric)
            && !label.starts_with('-')
            && !label.ends_with('-')
    }) && (2..=63).contains(&last.len())
        && last.bytes().all(alphanumeric)
        && !last.ends_with('-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a@b.co", true)]
    #[case("x@localhost", true)]
    #[case("system@authentik.local", true)]
    #[case("\"quo ted\"@b.co", false)]
    #[case("\"quoted\"@b.co", true)]
    #[case("a@[127.0.0.1]", true)]
    #[case("a@münchen.de", true)]
    #[case("x@y", false)]
    #[case("@x.com", false)]
    #[case("a b@c.de", false)]
    #[case("a@ex_ample.com", false)]
    #[case("ü@example.com", false)]
    #[case("Name <a@b.co>", false)]
    #[case("a..b@c.de", false)]
    fn follows_django(#[case] address: &str, #[case] valid: bool) {
        assert_eq!(is_valid(address), valid);
    }
}
