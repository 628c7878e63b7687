//! What no log may hold: the tokens, passwords and keys of invitations that a test has used.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;

use super::INVITATION;

/// Shorter ones are words that a log may have for another reason.
const SHORTEST: usize = 8;

/// The secrets that a server has met.
#[derive(Default)]
pub struct Secrets(Mutex<BTreeSet<String>>);

impl Secrets {
    /// Those that it was started with.
    pub fn of(environment: &[(&str, String)]) -> Self {
        let secrets = Self::default();
        for (name, value) in environment {
            if name.ends_with("TOKEN") || name.ends_with("PASSWORD") {
                secrets.add(value);
            }
        }
        secrets
    }

    /// One more.
    pub fn add(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.0.lock().unwrap().insert(secret.to_owned());
        }
    }

    /// Those of a request and of its answer: the token; passwords that are sent, and keys of tokens that are shown; the keys
    /// of invitations, with and without hyphens.
    pub fn of_request(&self, path: &str, token: &str, sent: &str, answered: &str) {
        self.add(token);
        let (sent, answered) = (serde_json::from_str(sent), serde_json::from_str::<Value>(answered));
        if let Some(password) = sent.ok().as_ref().and_then(|sent: &Value| sent["password"].as_str()) {
            self.add(password);
        }
        let Ok(answered) = answered else { return };
        if path.ends_with("/view_key/") {
            self.add(answered["key"].as_str().unwrap_or_default());
        }
        let Some((_, rest)) = path.split_once(INVITATION) else { return };
        if !rest.contains("/messages/") {
            let listed = answered["results"].as_array().map(Vec::as_slice).unwrap_or_default();
            for key in std::iter::once(&answered).chain(listed).filter_map(|one| one["pk"].as_str()) {
                self.add(key);
                self.add(&key.replace('-', ""));
            }
        }
    }

    /// The first line of a text that holds one of them.
    pub fn line_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        let secrets = self.0.lock().unwrap();
        text.lines().find(|line| secrets.iter().any(|secret| line.contains(secret)))
    }
}
