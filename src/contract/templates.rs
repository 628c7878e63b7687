//! authentik's own email templates.

use super::Release;

/// Name, description, and the release that each came with as far as that is told apart.
const BUILT_IN: [(&str, &str, Release); 5] = [
    ("email/password_reset.html", "Password Reset", Release::V2025_12),
    ("email/account_confirmation.html", "Account Confirmation", Release::V2025_12),
    ("email/email_otp.html", "Email OTP", Release::V2025_12),
    ("email/event_notification.html", "Event Notification", Release::V2025_12),
    ("email/invitation.html", "Invitation", Release::V2026_5),
];

/// The templates of a release: name and description.
pub fn built_in(release: Release) -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN
        .into_iter()
        .filter(move |(.., since)| *since <= release)
        .map(|(name, description, _)| (name, description))
}
