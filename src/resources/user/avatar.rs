//! [`avatar`]: the image of a user.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What is percent-encoded in the URL of an avatar.
const NOT_IN_DATA_URLS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'/').remove(b':').remove(b'=');

/// An image of the initials, as a `data:` URL. authentik asks gravatar first; we ask nobody.
pub fn avatar(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next();
    let initials: String = first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect();
    let color = Sha256::digest(name).iter().take(3).fold(0_u32, |color, byte| color << 8 | u32::from(*byte));
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"64\">\
         <rect width=\"64\" height=\"64\" fill=\"#{:06x}\"/><text x=\"32\" y=\"40\" fill=\"#fff\" font-size=\"24\" \
         font-family=\"sans-serif\" text-anchor=\"middle\">{initials}</text></svg>",
        color & 0x7f_7f7f, // dark enough for white letters
    );
    format!("data:image/svg+xml,{}", utf8_percent_encode(&svg, NOT_IN_DATA_URLS))
}
