//! Who gets in, and who may do what.

use std::collections::BTreeSet;

use ak_stages::resources;
use chrono::Duration;
use drf::action::{Action, Method};
use drf::permission::{Permission, Verb};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Declared, EMAIL, INVITATION, INVITATION_STAGE, Person, TestApp, USER_WRITE, registered,
};

const RESOURCES: [(&str, &str); 4] = [
    (EMAIL, "EmailStage"),
    (USER_WRITE, "UserWriteStage"),
    (INVITATION_STAGE, "InvitationStage"),
    (INVITATION, "Invitation"),
];

const NOT_AUTHENTICATED: &str = "Authentication credentials were not provided.";
const INVALID_TOKEN: &str = "Token invalid/expired";
const DENIED: &str = "You do not have permission to perform this action.";
const NOTHING: &str = "0a0b0c0d-1111-4222-8333-0000abcdef01";

fn detail(sentence: &str) -> Value {
    json!({ "detail": sentence })
}

#[rstest]
#[case::unknown("Bearer no-such-token")]
#[case::expired("Bearer expired")]
#[case::of_an_inactive_user("Bearer inactive")]
#[case::of_another_intent("Bearer apppw")]
#[case::in_other_case("Bearer ADMIN")]
#[tokio::test]
async fn a_wrong_token_is_told_so_everywhere(#[case] authorization: &str) {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let client = app.anonymous().with_authorization(authorization);
    for path in [EMAIL.to_owned(), format!("{EMAIL}{stage}/"), format!("{EMAIL}templates/")] {
        client.get(&path).await.is(403, detail(INVALID_TOKEN));
    }
}

#[tokio::test]
async fn the_anonymous_user_of_django_guardian_is_no_user() {
    let app = TestApp::new().await;
    let rename =
        "UPDATE authentik_core_user SET username = 'AnonymousUser' WHERE username = 'plain' RETURNING id";
    let id: i32 = sqlx::query_scalar(rename).fetch_one(&app.pool).await.unwrap();
    let names = app.admin().get("/core/users/").await.column("username");
    assert!(!names.is_empty() && !names.contains(&json!("AnonymousUser")), "{names:?}");
    app.admin().get(&format!("/core/users/{id}/")).await.is(404, detail("No User matches the given query."));
}

#[rstest]
#[case::another_scheme("Basic dTpw")]
#[case::no_key("Bearer ")]
#[case::no_blank("Bearer")]
#[case::nothing("")]
#[tokio::test]
async fn what_is_no_token_counts_as_no_credentials(#[case] authorization: &str) {
    let app = TestApp::new().await;
    let client = app.anonymous().with_authorization(authorization);
    client.get(EMAIL).await.is(403, detail(NOT_AUTHENTICATED));
    client.get(&format!("{EMAIL}{NOTHING}/")).await.is(403, detail(DENIED));
}

#[rstest]
#[case("bearer admin")]
#[case("BEARER admin")]
#[case("Bearer  admin ")]
#[tokio::test]
async fn the_scheme_may_be_spelled_as_one_likes(#[case] authorization: &str) {
    let app = TestApp::new().await;
    app.anonymous().with_authorization(authorization).get(EMAIL).await.status(200);
}

#[tokio::test]
async fn a_token_ends_at_its_expiry() {
    let app = TestApp::new().await;
    for (key, life, status) in [("just-ended", 0, 403), ("still-valid", 1, 200)] {
        app.token_of_admin(key, Duration::microseconds(life)).await;
        app.bearer(key).get(EMAIL).await.status(status);
    }
}

/// The requests that a resource takes, in the order of a line of the table below.
const REQUESTS: [&str; 8] = [
    "GET list",
    "POST list",
    "GET detail",
    "PUT detail",
    "PATCH detail",
    "GET used_by",
    "OPTIONS list",
    "DELETE detail",
];

#[rstest]
#[case::admin(TestApp::admin, "", [200, 201, 200, 200, 200, 200, 200, 204])]
#[case::viewer(TestApp::viewer, DENIED, [200, 403, 200, 403, 403, 200, 200, 403])]
#[case::plain(TestApp::plain, DENIED, [403, 403, 403, 403, 403, 403, 200, 403])]
#[case::anonymous(TestApp::anonymous, NOT_AUTHENTICATED, [403, 403, 403, 403, 403, 403, 403, 403])]
#[tokio::test]
async fn what_a_persona_may_do(
    #[case] persona: fn(&TestApp) -> Client,
    #[case] refusal_of_lists: &str,
    #[case] expected: [u16; 8],
) {
    let app = TestApp::new().await;
    let client = persona(&app);
    for (path, _) in RESOURCES {
        let pk = app.admin().create(path, &app.new_name()).await;
        let before = app.contents().await;
        let answers = every_request(&app, &client, path, &pk).await;
        let statuses = answers.each_ref().map(|answer| answer.status);
        assert_eq!(statuses, expected, "{path} {REQUESTS:?}");
        for (answer, request) in answers.iter().zip(REQUESTS).filter(|(answer, _)| answer.status == 403) {
            answer.is(403, detail(if request.ends_with("list") { refusal_of_lists } else { DENIED }));
        }
        if expected[1] == 403 {
            assert_eq!(app.contents().await, before, "a refusal writes nothing");
        }
    }
}

async fn every_request(app: &TestApp, client: &Client, list: &str, pk: &str) -> [Answer; 8] {
    let object = format!("{list}{pk}/");
    let name = || json!({ "name": app.new_name() });
    [
        client.get(list).await,
        client.post(list, name()).await,
        client.get(&object).await,
        client.put(&object, name()).await,
        client.patch(&object, name()).await,
        client.get(&format!("{object}used_by/")).await,
        client.send("OPTIONS", list, &[], "").await,
        client.delete(&object).await,
    ]
}

/// A key as text.
fn text(key: &Value) -> String {
    key.as_str().map_or(key.to_string(), str::to_owned)
}

/// What an action answers to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// It is done, or the body is looked at.
    Done,
    /// 403 with this sentence.
    Refused(&'static str),
    /// 404: they see others of its kind, but not this one.
    NotFound,
}

/// Somebody, and what they see and may, as the declarations say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persona {
    Anonymous,
    /// A key that opens nothing: unknown, expired, of an inactive user, of another intent.
    Wrong(&'static str),
    /// No permission.
    Plain,
    /// May view all of the model, and nothing else.
    Viewer,
    /// May view the object, and nothing else.
    SeesObject,
    /// May view the object and do the action to it.
    Granted,
    /// The permission of the action alone, on all of the model.
    Single,
    /// That, and the right to view all.
    Permitted,
    /// Every permission of the model but the one of the action.
    AllOthers,
    Superuser,
}

impl Persona {
    const ALL: [Self; 13] = [
        Self::Anonymous,
        Self::Wrong("no-such-token"),
        Self::Wrong("expired"),
        Self::Wrong("inactive"),
        Self::Wrong("apppw"),
        Self::Plain,
        Self::Viewer,
        Self::SeesObject,
        Self::Granted,
        Self::Single,
        Self::Permitted,
        Self::AllOthers,
        Self::Superuser,
    ];

    async fn enter(self, app: &TestApp, resource: &Declared, action: &Action, pk: &str) -> Client {
        let view: &str = resource.model.codename(Verb::View).leak();
        let asked: Vec<&str> =
            asked_for(resource, action).into_iter().map(|codename| &*codename.leak()).collect();
        let with = |first: &[&'static str]| {
            let all: BTreeSet<&str> = first.iter().copied().chain(asked.iter().copied()).collect();
            all.into_iter().collect::<Vec<_>>()
        };
        match self {
            Self::Anonymous => app.anonymous(),
            Self::Wrong(key) => app.bearer(key),
            Self::Plain => app.someone_who_may(&[]).await,
            Self::Viewer => app.someone_who_may(&[view]).await,
            Self::SeesObject => app.granted(&[view], pk).await,
            Self::Granted => app.granted(&with(&[view]), pk).await,
            Self::Single => app.someone_who_may(&with(&[])).await,
            Self::Permitted => app.someone_who_may(&with(&[view])).await,
            Self::AllOthers => {
                let verbs = Verb::ALL.map(|verb| &*resource.model.codename(verb).leak());
                let extra = resource.actions.iter().filter_map(|action| match action.permission {
                    Permission::Codename(codename) | Permission::Both(_, codename) => Some(codename),
                    _ => None,
                });
                let others: BTreeSet<&str> = verbs.into_iter().chain(extra).collect();
                let others: Vec<_> =
                    others.into_iter().filter(|codename| !asked.contains(codename)).collect();
                app.someone_who_may(&others).await
            }
            Self::Superuser => app.admin(),
        }
    }

    /// Whether they see the object.
    fn sees(self) -> bool {
        matches!(
            self,
            Self::Viewer
                | Self::SeesObject
                | Self::Granted
                | Self::Permitted
                | Self::AllOthers
                | Self::Superuser
        )
    }

    fn expected(self, resource: &Declared, action: &Action) -> Reply {
        let detail = action.route.detail;
        let by_look_up = detail && action.permission != Permission::Authenticated;
        // Everybody sees their own tokens.
        let sees_others = resource.path == "/core/tokens/";
        match self {
            Self::Anonymous => return Reply::Refused(if by_look_up { DENIED } else { NOT_AUTHENTICATED }),
            Self::Wrong(_) => return Reply::Refused(INVALID_TOKEN),
            Self::Superuser => return Reply::Done,
            _ => {}
        }
        if by_look_up && !self.sees() {
            return if sees_others { Reply::NotFound } else { Reply::Refused(DENIED) };
        }
        let held = match action.permission {
            Permission::Open | Permission::Public | Permission::Authenticated => true,
            Permission::View => detail || self.sees() || sees_others,
            // That to view is one of its own where nothing is looked up.
            Permission::Model(Verb::View) if !detail => {
                matches!(self, Self::Viewer | Self::Single | Self::Permitted)
            }
            // A permission on an object is none on the list.
            Permission::Model(_) | Permission::Codename(_) | Permission::Both(..) => {
                matches!(self, Self::Single | Self::Permitted) || (self == Self::Granted && detail)
            }
        };
        if held { Reply::Done } else { Reply::Refused(DENIED) }
    }
}

/// The permissions that an action asks for.
fn asked_for(resource: &Declared, action: &Action) -> Vec<String> {
    action.permission.codenames(&resource.model)
}

/// Every persona and every declared action: a new action is in the table from the moment it is declared.
#[tokio::test]
async fn every_persona_gets_the_answer_that_an_actions_declaration_says() {
    let app = TestApp::new().await;
    let mut cells = 0;
    for resource in registered() {
        let mut row = app.row(&resource, app.fresh()).await;
        for action in &resource.actions {
            for persona in Persona::ALL {
                let pk = if row["pk"].is_null() { resource.key_of(&row) } else { text(&row["pk"]) };
                let client = persona.enter(&app, &resource, action, &pk).await;
                let (method, path) = (action.method, resource.place_of(action, &row));
                let expected = persona.expected(&resource, action);
                let writes_nothing = method != Method::Get && expected != Reply::Done;
                let before = if writes_nothing { Some(app.contents().await) } else { None };
                let answer = client.send_json(method.name(), &path, &json!({})).await;
                let cell = format!("{persona:?}: {answer}");
                match expected {
                    // The key inside of the object is none.
                    Reply::Done if action.route.parameter().is_some() => {
                        assert_eq!(answer.status, 404, "{cell}");
                    }
                    Reply::Done => {
                        let fine = [200, 201, 204, 400].contains(&answer.status);
                        assert!(fine && (method != Method::Get || answer.status == 200), "{cell}");
                    }
                    Reply::Refused(sentence) => {
                        assert_eq!((answer.status, answer.json()), (403, detail(sentence)), "{cell}");
                    }
                    Reply::NotFound => assert_eq!(answer.status, 404, "{cell}"),
                }
                if let Some(before) = before {
                    assert_eq!(app.contents().await, before, "a refusal writes nothing: {cell}");
                }
                if answer.status == 204 {
                    row = app.row(&resource, app.fresh()).await;
                }
                cells += 1;
            }
        }
    }
    assert!(cells >= 70 * Persona::ALL.len(), "{cells} cells");
}

/// Every permission alone and every declared action: it opens what it is the permission of, and nothing else.
#[tokio::test]
async fn a_single_permission_opens_what_it_is_for_and_nothing_else() {
    let app = TestApp::new().await;
    let mut rows = Vec::new();
    for resource in registered() {
        let row = app.row(&resource, app.fresh()).await;
        rows.push((resource, row));
    }
    let permissions: BTreeSet<String> =
        resources::permissions().into_iter().map(|(_, codename)| codename).collect();
    let mut cells = 0;
    for codename in &permissions {
        let client = app.someone_who_may(&[&*codename.clone().leak()]).await;
        let before = app.contents().await;
        for (resource, row) in &rows {
            for action in &resource.actions {
                let persona = match () {
                    () if resource.model.codename(Verb::View) == *codename => Persona::Viewer,
                    () if asked_for(resource, action) == [codename.as_str()] => Persona::Single,
                    () => Persona::Plain,
                };
                let path = resource.place_of(action, row);
                let answer = client.send_json(action.method.name(), &path, &json!({})).await;
                let cell = format!("{codename}: {answer}");
                match persona.expected(resource, action) {
                    // The key inside of the object is none.
                    Reply::Done if action.route.parameter().is_some() => {
                        assert_eq!(answer.status, 404, "{cell}");
                    }
                    Reply::Done => assert!([200, 400].contains(&answer.status), "{cell}"),
                    Reply::Refused(sentence) => {
                        assert_eq!((answer.status, answer.json()), (403, detail(sentence)), "{cell}");
                    }
                    Reply::NotFound => assert_eq!(answer.status, 404, "{cell}"),
                }
                cells += 1;
            }
        }
        assert_eq!(app.contents().await, before, "{codename} alone writes nothing without a body");
    }
    assert!(cells >= 70 * permissions.len() && permissions.len() >= 44, "{cells} cells");
}

#[tokio::test]
async fn missing_objects_are_missing_for_those_who_see_any() {
    let app = TestApp::new().await;
    for (path, model) in RESOURCES {
        let missing = format!("{path}{NOTHING}/");
        let no_match = detail(&format!("No {model} matches the given query."));
        for client in [app.admin(), app.viewer()] {
            client.get(&missing).await.is(404, no_match.clone());
            client.get(&format!("{missing}used_by/")).await.is(404, no_match.clone());
            client.get(&format!("{path}not-a-uuid/")).await.is(404, detail("Not found."));
        }
        app.admin().delete(&missing).await.is(404, no_match);
        app.plain().get(&missing).await.is(403, detail(DENIED));
        app.plain().get(&format!("{path}not-a-uuid/")).await.is(403, detail(DENIED));
    }
}

/// Codenames of a resource's permissions.
fn permissions(path: &str) -> [&'static str; 3] {
    match path {
        EMAIL => ["view_emailstage", "change_emailstage", "delete_emailstage"],
        USER_WRITE => ["view_userwritestage", "change_userwritestage", "delete_userwritestage"],
        INVITATION_STAGE => ["view_invitationstage", "change_invitationstage", "delete_invitationstage"],
        _ => ["view_invitation", "change_invitation", "delete_invitation"],
    }
}

#[tokio::test]
async fn a_permission_on_one_object_shows_just_that_object() {
    let app = TestApp::new().await;
    for (path, model) in RESOURCES {
        let mine = app.admin().create(path, &app.new_name()).await;
        let other = app.admin().create(path, &app.new_name()).await;
        let [view, ..] = permissions(path);
        let somebody = app.granted(&[view], &mine).await;

        let list = somebody.get(path).await.status(200);
        assert_eq!(list.column("pk"), [json!(mine)]);
        assert_eq!(list.json()["pagination"]["count"], 1);
        somebody.get(&format!("{path}{mine}/")).await.status(200);
        let no_match = detail(&format!("No {model} matches the given query."));
        somebody.get(&format!("{path}{other}/")).await.is(404, no_match.clone());
        somebody.patch(&format!("{path}{other}/"), json!({})).await.is(404, no_match.clone());
        somebody.delete(&format!("{path}{other}/")).await.is(404, no_match);
        somebody.patch(&format!("{path}{mine}/"), json!({})).await.is(403, detail(DENIED));
        somebody.delete(&format!("{path}{mine}/")).await.is(403, detail(DENIED));
        somebody.post(path, json!({ "name": "new" })).await.is(403, detail(DENIED));
    }
}

#[tokio::test]
async fn permissions_on_one_object_let_change_and_delete_it() {
    let app = TestApp::new().await;
    for (path, _) in RESOURCES {
        let pk = app.admin().create(path, &app.new_name()).await;
        let object = format!("{path}{pk}/");
        let [view, change, delete] = permissions(path);
        let editor = app.granted(&[view, change], &pk).await;
        let name = app.new_name();
        assert_eq!(editor.patch(&object, json!({ "name": name })).await.status(200).json()["name"], name);
        editor.delete(&object).await.is(403, detail(DENIED));
        let blind = app.granted(&[change, delete], &pk).await;
        blind.patch(&object, json!({})).await.is(403, detail(DENIED));
        app.granted(&[view, delete], &pk).await.delete(&object).await.status(204);
        app.admin().get(&object).await.status(404);
    }
}

/// authentik's search runs before it decides whether somebody sees anything at all, its filters after.
#[tokio::test]
async fn a_search_without_a_hit_is_refused_to_those_who_see_single_objects() {
    let app = TestApp::new().await;
    let mine = app.admin().create(EMAIL, "mine").await;
    app.admin().create(EMAIL, "other").await;
    let somebody = app.granted(&["view_emailstage"], &mine).await;
    assert_eq!(somebody.get(&format!("{EMAIL}?search=min")).await.status(200).column("pk"), [json!(mine)]);
    for path in [format!("{EMAIL}?search=other"), format!("{EMAIL}{mine}/?search=other")] {
        somebody.get(&path).await.is(403, detail(DENIED));
    }
    assert_eq!(somebody.get(&format!("{EMAIL}?name=other")).await.status(200).rows(), Vec::<Value>::new());
    assert_eq!(
        app.viewer().get(&format!("{EMAIL}?search=nothing")).await.status(200).rows(),
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn a_permission_of_another_model_is_none() {
    let app = TestApp::new().await;
    let invitation = app.admin().create(INVITATION, "an-invitation").await;
    let somebody = app.someone_who_may(&["view_invitationstage", "view_stage"]).await;
    somebody.get(INVITATION).await.is(403, detail(DENIED));
    let somebody = app.granted(&["view_invitationstage"], &invitation).await;
    somebody.get(INVITATION).await.is(403, detail(DENIED));
}

#[tokio::test]
async fn a_member_of_a_group_below_a_superusers_group_is_a_superuser() {
    let app = TestApp::new().await;
    let superusers = app.group("superusers", true, &[]).await;
    let middle = app.group("middle", false, &[superusers]).await;
    let low = app.group("low", false, &[middle]).await;
    app.plain().get(EMAIL).await.status(403);
    app.join("plain", low).await;
    app.plain().get(EMAIL).await.status(200);
    app.plain().create(EMAIL, "a stage").await;
}

#[tokio::test]
async fn a_group_above_ones_own_does_not_inherit_downwards() {
    let app = TestApp::new().await;
    let parent = app.group("parent", false, &[]).await;
    app.group("superusers", true, &[parent]).await;
    app.join("plain", parent).await;
    app.plain().get(EMAIL).await.is(403, detail(DENIED));
}

#[tokio::test]
async fn the_roles_of_a_groups_ancestors_count() {
    let app = TestApp::new().await;
    let grandparent = app.group("grandparent", false, &[]).await;
    let parent = app.group("parent", false, &[grandparent]).await;
    app.assign(grandparent, app.role(&["view_emailstage"]).await).await;
    app.assign(parent, app.role(&["add_emailstage"]).await).await;
    app.join("plain", parent).await;
    app.plain().create(EMAIL, "a stage").await;
    app.plain().get(EMAIL).await.status(200);
    app.plain().get(USER_WRITE).await.is(403, detail(DENIED));
}

#[tokio::test]
async fn groups_in_a_circle_do_no_harm() {
    let app = TestApp::new().await;
    let first = app.group("first", false, &[]).await;
    let second = app.group("second", false, &[first]).await;
    sqlx::query("INSERT INTO authentik_core_groupparentage (uuid, child_id, parent_id) VALUES (gen_random_uuid(), $1, $2)")
        .bind(first)
        .bind(second)
        .execute(&app.pool)
        .await
        .unwrap();
    app.join("plain", second).await;
    app.plain().get(EMAIL).await.is(403, detail(DENIED));
}

#[tokio::test]
async fn an_internal_service_account_is_shown_an_empty_list() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let outpost = app.enter(Person::named("outpost").of_type("internal_service_account")).await;
    for (path, _) in RESOURCES {
        let list = outpost.get(path).await.status(200).json();
        assert_eq!(list["results"], json!([]));
        assert_eq!(list["pagination"]["count"], 0);
    }
    let no_match = detail("No EmailStage matches the given query.");
    outpost.get(&format!("{EMAIL}{stage}/")).await.is(404, no_match);
    outpost.post(EMAIL, json!({ "name": "new" })).await.is(403, detail(DENIED));
}

/// Permission comes before body and method, so a caller without it learns nothing about either.
#[tokio::test]
async fn permission_is_checked_before_the_body() {
    let app = TestApp::new().await;
    let headers = [("content-type", "text/plain")];
    for client in [app.plain(), app.viewer()] {
        client.send("POST", EMAIL, &headers, "not JSON").await.is(403, detail(DENIED));
    }
    app.anonymous().send("POST", EMAIL, &headers, "not JSON").await.is(403, detail(NOT_AUTHENTICATED));
    app.anonymous().send("PUT", EMAIL, &[], "").await.is(403, detail(NOT_AUTHENTICATED));
}

#[tokio::test]
async fn used_by_shows_only_what_the_caller_may_view() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    app.bind(app.flow("a-flow").await, &stage, 0).await;
    let path = format!("{EMAIL}{stage}/used_by/");
    let models = async |client: Client| {
        let rows = client.get(&path).await.status(200).json();
        rows.as_array().unwrap().iter().map(|row| row["model_name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(models(app.admin()).await, ["flow", "flowstagebinding"]);
    assert_eq!(models(app.viewer()).await, Vec::<Value>::new());
    assert_eq!(models(app.someone_who_may(&["view_emailstage", "view_flow"]).await).await, ["flow"]);
}
