//! `?dry_run=true`: a write is checked and done like any other, answered, and undone. What it would do beside what its
//! answer shows, to the flows of a `flow_set`, is told in a header.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderName, HeaderValue};
use drf::action::Method;
use drf::params::Query;

use super::Answer;
use crate::contract::messages;
use crate::error::ApiError;

/// The parameter that asks for it.
const PARAMETER: &str = "dry_run";
/// The header of its answers.
const EFFECTS: HeaderName = HeaderName::from_static("x-ak-stages-effects");
/// Characters of slugs in it, at most: proxies bound the head of an answer.
const MAX_LENGTH: usize = 3000;

/// Whether a request asks for a dry run. Only writes do; a read with the parameter is a read.
///
/// # Errors
/// 400 for anything but `true` and `false`.
pub(super) fn is_asked(query: &Query, declared: &drf::Action) -> Result<bool, ApiError> {
    if declared.method == Method::Get {
        return Ok(false);
    }
    let mut is_asked = None;
    for value in query.all(PARAMETER) {
        let asked = match value {
            "true" => true,
            "false" => false,
            _ => return Err(ApiError::field(PARAMETER, messages::TRUE_OR_FALSE)),
        };
        if is_asked.is_some_and(|before| before != asked) {
            return Err(ApiError::field(PARAMETER, messages::TRUE_OR_FALSE));
        }
        is_asked = Some(asked);
    }
    Ok(is_asked.unwrap_or_default())
}

/// What a write does to the flows of a stage, by their slugs.
#[derive(Debug, Default)]
pub struct Effects(Mutex<Flows>);

#[derive(Debug, Default)]
struct Flows {
    created: BTreeSet<String>,
    bound: BTreeSet<String>,
    unbound: BTreeSet<String>,
}

impl Effects {
    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This flow is made, and the stage bound to it.
    pub fn creates(&self, slug: &str) {
        self.flows().created.insert(slug.to_owned());
    }

    /// The stage is bound to this flow, which exists.
    pub fn binds(&self, slug: &str) {
        self.flows().bound.insert(slug.to_owned());
    }

    /// The stage is bound to this flow no more.
    pub fn unbinds(&self, slug: &str) {
        self.flows().unbound.insert(slug.to_owned());
    }

    /// The answer to a dry run that had these effects. It has no tag: what it shows is nowhere.
    pub(super) fn shown_on(&self, answer: Answer) -> Answer {
        let answer = Answer { etag: None, ..answer };
        match HeaderValue::from_str(&self.to_string()) {
            Ok(value) => answer.with_header(EFFECTS, value),
            Err(_) => answer,
        }
    }
}

/// A dictionary of structured fields (RFC 9651): `create="a b", unbind="c"`, with `more=12` for so many slugs that there is
/// no room for; `none` alone where there is nothing to tell.
impl std::fmt::Display for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flows = self.flows();
        let (mut members, mut left, mut more) = (Vec::new(), MAX_LENGTH, 0);
        let kinds = [("create", &flows.created), ("bind", &flows.bound), ("unbind", &flows.unbound)];
        for (name, slugs) in kinds {
            let mut named: Vec<&str> = Vec::new();
            for slug in slugs {
                match left.checked_sub(slug.len() + 1).filter(|_| is_plain(slug)) {
                    Some(rest) => {
                        left = rest;
                        named.push(slug);
                    }
                    None => more += 1,
                }
            }
            if !named.is_empty() {
                members.push(format!("{name}=\"{}\"", named.join(" ")));
            }
        }
        if more > 0 {
            members.push(format!("more={more}"));
        }
        f.write_str(if members.is_empty() { "none" } else { "" })?;
        f.write_str(&members.join(", "))
    }
}

/// Whether it is a slug as the API takes them; a database may hold others.
fn is_plain(slug: &str) -> bool {
    slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::absent("", Some(false))]
    #[case::other("page=2", Some(false))]
    #[case::yes("dry_run=true", Some(true))]
    #[case::no("dry_run=false", Some(false))]
    #[case::twice("dry_run=true&dry_run=true", Some(true))]
    #[case::both("dry_run=true&dry_run=false", None)]
    #[case::empty("dry_run", None)]
    #[case::python("dry_run=True", None)]
    #[case::number("dry_run=1", None)]
    fn only_true_and_false_are_taken(#[case] query: &str, #[case] expected: Option<bool>) {
        let query = Query::parse(Some(query));
        assert_eq!(is_asked(&query, &drf::Action::CREATE).ok(), expected);
        assert_eq!(is_asked(&query, &drf::Action::RETRIEVE).ok(), Some(false));
    }

    #[test]
    fn effects_are_named_as_far_as_there_is_room() {
        let effects = Effects::default();
        assert_eq!(effects.to_string(), "none");
        effects.unbinds("c");
        effects.creates("a");
        effects.creates("b");
        assert_eq!(effects.to_string(), "create=\"a b\", unbind=\"c\"");
        effects.binds("d\" e");
        assert_eq!(effects.to_string(), "create=\"a b\", unbind=\"c\", more=1");
        for number in 0..100 {
            effects.binds(&format!("{number:050}"));
        }
        let value = effects.to_string();
        assert!(value.len() < MAX_LENGTH + 50 && value.ends_with(", more=43"), "{value}");
    }
}
