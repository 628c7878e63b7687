//! What a template says of made-up things, for those who write one.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, json};

use super::template::{self, Parts, Refused, Subject};
use crate::config::{Locale, MailSettings};
use crate::contract::Release;
use crate::email_templates::Sources;

/// Where links lead as long as nothing says so.
const BASE: (&str, &str) = ("https://id.example.com", "id.example.com");
/// The built-in template that shows a code; those of the directory may.
const OF_A_CODE: &str = "email/email_otp.html";
/// The key of an invitation that there isn't.
const KEY: &str = "00000000-0000-4000-8000-000000000000";

/// Render a template as [`template::render`] does, about an invitation that ends in two days.
///
/// # Errors
/// As there.
pub fn preview(
    name: &str,
    sources: &Sources,
    release: Release,
    locale: Locale,
    settings: &MailSettings,
    now: DateTime<Utc>,
) -> Result<Parts, Refused> {
    let (base, host) = settings.public_url.as_ref().map_or(BASE, |url| (url.as_str(), url.host()));
    let mut context = Map::new();
    if name == OF_A_CODE || sources.get(name).is_some() {
        context.insert("code".into(), json!("123 456"));
    }
    let subject = Subject {
        url: &format!("{base}/if/flow/enrollment/?itoken={KEY}"),
        expires: Some(now + Duration::days(2)),
        host,
        context,
    };
    template::render(name, sources, release, locale, subject)
}
