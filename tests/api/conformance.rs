//! What authentik answered, and what we answer to the same requests.
//!
//! A recording is a JSON Lines file, one scenario a line, each step a request with the answer that authentik gave.
//! What is compared: the status; the body, with every list in its order but for those that [`comparison`] names; the media
//! type, `Allow` and `WWW-Authenticate`. What differs from one installation to another is replaced by names on both sides:
//! a key that a step saved by `{{its name}}`, other UUIDs by `{{uuid}}`, times that no request named by `{{datetime}}`.
//!
//! The recordings have the keys of objects in alphabetical order. That they come in authentik's is known from its OpenAPI
//! document: `tests/drift` holds ours against it, and `support/contract.rs` each of our answers against ours.
//!
//! Every difference is either listed in `known-differences.json` with its reason, or one of order that [`comparison`] proves to be a tie.

mod comparison;
mod names;
mod recording;

use std::collections::{BTreeMap, BTreeSet};

use ak_stages::config::FlowSetMode;
use ak_stages::contract::Release;
use rstest::rstest;

use crate::support::{Answer, Client, TestApp};
use comparison::Difference;
use names::{Memory, substituted};
use recording::{Known, Place, Scenario, Step, known_differences, recordings, scenarios};

/// Keys of other authentik versions, which an answer may hold besides the recorded ones.
const EXTRA_KEYS: [&str; 6] =
    ["background", "parent", "parent_name", "cache_timeout_reputation", "is_current", "users"];
const COMPARED_HEADERS: [&str; 3] = ["content-type", "allow", "www-authenticate"];
/// How much of a request is remembered as something that an answer may echo.
const REMEMBERED: usize = 20_000;

#[rstest]
#[case::core("core-public.jsonl", 99)]
#[case::relations("relations-public.jsonl", 97)]
#[case::cast("cast-public.jsonl", 93)]
#[case::supporting("supporting-public.jsonl", 100)]
#[tokio::test]
async fn answers_are_those_of_authentik(#[case] recording: &str, #[case] percent: usize) {
    let scenarios = scenarios(recording);
    let app = TestApp::new().await;
    let mut replay = Replay::of(&app, scenarios.iter()).await;
    let (answers, differing) = (replay.answers, replay.differences.len());
    print_share(recording, answers - differing, answers);

    let known: BTreeMap<Place, Known> = known_of(&scenarios).map(|known| (known.place(), known)).collect();
    replay.differences.retain(|_, difference| !difference.is_a_tie);
    let unknown: Vec<_> = replay
        .differences
        .iter()
        .filter(|(place, difference)| known.get(place).is_none_or(|known| !known.covers(difference)))
        .map(|((scenario, step), difference)| {
            format!("{scenario}, step {step}, {:?}: {}", difference.at, difference.description)
        })
        .collect();
    assert!(unknown.is_empty(), "{} unknown differences\n{}", unknown.len(), unknown.join("\n"));
    let gone: Vec<_> = known.keys().filter(|place| !replay.differences.contains_key(*place)).collect();
    assert!(gone.is_empty(), "these differ no longer: take them from the list\n{gone:#?}");
    assert!((answers - differing) * 100 >= answers * percent, "{differing} of {answers} answers differ");
}

/// With the release that was recorded, and its way with `flow_set`, what is left lasts.
#[rstest]
#[case::core("core-public.jsonl", 995)]
#[case::relations("relations-public.jsonl", 1000)]
#[case::cast("cast-public.jsonl", 980)]
#[case::supporting("supporting-public.jsonl", 1000)]
#[tokio::test]
async fn settings_take_the_differences_between_releases_away(
    #[case] recording: &str,
    #[case] per_mille: usize,
) {
    let app = TestApp::with(|settings| {
        settings.release = Release::V2025_12;
        settings.flow_set = FlowSetMode::Ignore;
    })
    .await;
    let scenarios = scenarios(recording);
    let mut replay = Replay::of(&app, scenarios.iter()).await;
    let (answers, differing) = (replay.answers, replay.differences.len());
    print_share(recording, answers - differing, answers);
    replay.differences.retain(|_, difference| !difference.is_a_tie);
    let left: BTreeSet<_> = replay.differences.into_keys().collect();
    let expected: BTreeSet<_> =
        known_of(&scenarios).filter(|known| !known.is_settable).map(|known| known.place()).collect();
    assert_eq!(left, expected);
    assert!((answers - differing) * 1000 >= answers * per_mille, "{differing} of {answers} answers differ");
}

/// The known differences in these scenarios.
fn known_of(scenarios: &[Scenario]) -> impl Iterator<Item = Known> {
    let known = known_differences().into_iter();
    known.filter(|known| scenarios.iter().any(|scenario| scenario.name == known.scenario))
}

#[test]
fn a_known_difference_is_in_a_recording_and_has_a_reason() {
    let steps: BTreeSet<Place> = recordings()
        .iter()
        .flat_map(|recording| scenarios(recording))
        .flat_map(|scenario| (0..scenario.steps.len()).map(move |step| (scenario.name.clone(), step)))
        .collect();
    for known in known_differences() {
        assert!(steps.contains(&known.place()), "{known:?} is in no recording");
        assert!(known.reason.ends_with('.'), "{known:?} has no reason");
    }
}

#[expect(clippy::print_stdout, reason = "the figure that the documentation quotes")]
fn print_share(recording: &str, same: usize, all: usize) {
    println!("{recording}: {same} of {all} answers the same");
}

/// All scenarios of a recording, one after the other on one server.
struct Replay<'a> {
    app: &'a TestApp,
    answers: usize,
    differences: BTreeMap<Place, Difference>,
}

impl<'a> Replay<'a> {
    async fn of(app: &'a TestApp, scenarios: impl Iterator<Item = &Scenario>) -> Self {
        let mut replay = Self { app, answers: 0, differences: BTreeMap::new() };
        for scenario in scenarios {
            replay.scenario(scenario).await;
        }
        replay
    }

    async fn scenario(&mut self, scenario: &Scenario) {
        let mut memory = Memory::default();
        for (number, step) in scenario.steps.iter().enumerate() {
            if step.only_if.as_ref().is_some_and(|name| !memory.saved.contains_key(name)) {
                continue;
            }
            let answer = self.perform(step, &memory).await;
            let ours = memory.take_in(step, &answer);
            let Some(theirs) = &step.expect else { continue };
            self.answers += 1;
            if let Some(difference) = Difference::between(theirs, &ours, &step.path, &answer) {
                self.differences.insert((scenario.name.clone(), number), difference);
            }
        }
    }

    async fn perform(&self, step: &Step, memory: &Memory) -> Answer {
        let client = self.client(&step.token);
        let path = step.path_with(&memory.saved);
        let mut headers = vec![("accept", "application/json")];
        let body = match (&step.raw, &step.json) {
            (Some(raw), _) => {
                let given = step.headers.iter().filter(|(_, value)| !value.is_empty());
                headers.extend(given.map(|(name, value)| (name.as_str(), value.as_str())));
                raw.clone()
            }
            (None, Some(json)) => {
                headers.push(("content-type", "application/json"));
                substituted(json, &memory.saved).to_string()
            }
            (None, None) => String::new(),
        };
        client.send(&step.method, &path, &headers, body).await
    }

    /// Whom the recording calls by this name.
    fn client(&self, token: &str) -> Client {
        match token {
            "none" => self.app.anonymous(),
            "empty" => self.app.anonymous().with_authorization("Bearer "),
            "basic" => self.app.anonymous().with_authorization("Basic dTpw"),
            "bad" => self.app.bearer("no-such-token"),
            "lowercase" => self.app.anonymous().with_authorization("bearer admin"),
            name => self.app.bearer(name),
        }
    }
}
