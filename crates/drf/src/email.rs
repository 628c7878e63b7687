//! The `EmailValidator` of Django 5.2, which differs from the HTML standard's rule: a quoted local part is fine, a domain
//! needs a dot (or is `localhost`, or an address in brackets), and its last label has at least two letters and no digit.

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
    domain == "localhost" || is_domain(domain)
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

/// Labels between dots, of at most 63 characters, none of which begins or ends with a hyphen. The last one has two or more
/// letters, or is encoded.
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<IpAddr>().is_ok();
    }
    let Some((labels, last)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_letter = |c: char| c.is_ascii_alphabetic() || ('\u{a1}'..='\u{ffff}').contains(&c);
    let is_label = |label: &str, least: usize, fits: &dyn Fn(char) -> bool| {
        (least..=63).contains(&label.chars().count())
            && label.chars().all(|c| c == '-' || fits(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_encoded = || {
        let code = last.get(..4).filter(|start| start.eq_ignore_ascii_case("xn--")).map(|_| &last[4..]);
        code.is_some_and(|code| {
            (1..=59).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    };
    labels.split('.').all(|label| is_label(label, 1, &|c| is_letter(c) || c.is_ascii_digit()))
        && (is_label(last, 2, &is_letter) || is_encoded())
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
    #[case("a@b.xn--p1ai", true)]
    #[case("a@b.c\u{2003}", true)]
    #[case("a@b.\u{1f600}\u{1f600}", false)]
    #[case("a@b.c1", false)]
    #[case("a@b.xn--", false)]
    #[case("a@1.2.co", true)]
    #[case("a@b.co.", false)]
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
