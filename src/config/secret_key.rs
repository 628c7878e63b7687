//! [`SecretKey`]: what an authentik signs with.

use std::fmt::Write;

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// `AUTHENTIK_SECRET_KEY`. There is no `Debug`: it is a secret.
#[derive(Clone)]
pub struct SecretKey {
    text: String,
    signing_key: String,
}

impl SecretKey {
    /// From the setting's value.
    pub fn new(text: String) -> Self {
        let mut signing_key = String::new();
        for byte in Sha512::digest(&text) {
            write!(signing_key, "{byte:02x}").ok(); // to a String it can't fail
        }
        Self { text, signing_key }
    }

    /// Whether it is this text. That takes as long however much of it is right.
    pub fn is(&self, text: &str) -> bool {
        self.text.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// What session cookies are signed with: the hexadecimal text of the secret key's SHA-512, as bytes.
    pub fn signing_key(&self) -> &[u8] {
        self.signing_key.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_signed_with_the_text_of_a_digest() {
        let key = SecretKey::new("abc".to_owned());
        // FIPS 180-2, appendix C.1.
        let digest = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(key.signing_key(), digest.as_bytes());
    }

    #[test]
    fn only_the_whole_key_is_the_key() {
        let key = SecretKey::new("abc".to_owned());
        assert_eq!(
            ["abc", "ab", "abcd", "ABC", ""].map(|text| key.is(text)),
            [true, false, false, false, false]
        );
    }
}
