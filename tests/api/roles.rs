//! Roles over REST: their lives, who holds them, and what they are given.

use ak_stages::contract::API_PREFIX;
use drf::permission::Verb;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, EMAIL, Person, Program, TestApp, declared};

const ROLES: &str = "/rbac/roles/";
const PERMISSIONS: &str = "/rbac/permissions/";
const ASSIGNED: &str = "/rbac/permissions/assigned_by_roles/";
const ON_OBJECTS: &str = "/rbac/permissions/roles/";
const DENIED: &str = "You do not have permission to perform this action.";
const BEYOND: &str = "User does not have all permissions that this would give.";
const NOTHING: &str = "0a0b0c0d-1111-4222-8333-0000abcdef01";

fn assign(role: impl std::fmt::Display) -> String {
    format!("{ASSIGNED}{role}/assign/")
}

fn unassign(role: impl std::fmt::Display) -> String {
    format!("{ASSIGNED}{role}/unassign/")
}

/// What a role may do with everything, and with objects: `codename` and `codename key`.
async fn rights(app: &TestApp, role: &str) -> Vec<String> {
    let name = app.admin().get(&format!("{ROLES}{role}/")).await.status(200).json()["name"].clone();
    let mut all = Vec::new();
    for model in ["authentik_core.group", "authentik_stages_email.emailstage", "authentik_rbac.role"] {
        let rows =
            app.admin().get(&format!("{ASSIGNED}?model={model}&page_size=100")).await.status(200).rows();
        let Some(row) = rows.into_iter().find(|row| row["name"] == name) else { continue };
        let text = |permission: &Value, key: &str| permission[key].as_str().unwrap_or_default().to_owned();
        for permission in row["model_permissions"].as_array().unwrap() {
            all.push(text(permission, "codename"));
        }
        for permission in row["object_permissions"].as_array().unwrap() {
            all.push(format!("{} {}", text(permission, "codename"), text(permission, "object_pk")));
        }
    }
    all.sort();
    all.dedup();
    all
}

#[tokio::test]
async fn a_role_is_made_read_renamed_and_deleted() {
    let app = TestApp::new().await;
    let made = app.admin().post(ROLES, json!({ "name": "helpers" })).await.status(201).json();
    let path = format!("{ROLES}{}/", made["pk"].as_str().unwrap());
    assert_eq!(made, json!({ "pk": made["pk"], "name": "helpers" }));
    app.admin().get(&path).await.is(200, made.clone());
    let taken = json!({ "name": ["Role with this name already exists."] });
    app.admin().post(ROLES, json!({ "name": "helpers" })).await.is(400, taken);
    let renamed = app.admin().patch(&path, json!({ "name": "others" })).await.status(200).json();
    assert_eq!(renamed, json!({ "pk": made["pk"], "name": "others" }));
    app.admin().put(&path, json!({ "name": "helpers" })).await.is(200, made);
    app.admin().delete(&path).await.status(204);
    app.admin().get(&path).await.is(404, json!({ "detail": "No Role matches the given query." }));
}

#[tokio::test]
async fn with_a_role_goes_what_it_gave() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let role = app.role_on(&["view_emailstage"], &[("change_emailstage", stage.clone())]).await;
    let group = app.group("a group", false, &[]).await;
    app.assign(group, role).await;
    app.join("plain", group).await;
    app.plain().get(EMAIL).await.status(200);
    let used = app.admin().get(&format!("{ROLES}{role}/used_by/")).await.status(200).json();
    let models: Vec<_> = used.as_array().unwrap().iter().map(|row| row["model_name"].clone()).collect();
    assert_eq!(models, ["group", "rolemodelpermission", "roleobjectpermission"]);
    app.admin().delete(&format!("{ROLES}{role}/")).await.status(204);
    app.plain().get(EMAIL).await.is(403, json!({ "detail": DENIED }));
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM guardian_roleobjectpermission WHERE role_id = $1) \
         + (SELECT count(*) FROM guardian_rolemodelpermission WHERE role_id = $1)",
    )
    .bind(role)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_user_is_put_into_a_role_and_taken_out_of_it() {
    let app = TestApp::new().await;
    let role = app.role(&["view_emailstage"]).await;
    let (add, remove) = (format!("{ROLES}{role}/add_user/"), format!("{ROLES}{role}/remove_user/"));
    let plain = json!({ "pk": app.plain().user_id().await });
    app.plain().get(EMAIL).await.status(403);
    for _ in 0..2 {
        app.admin().post(&add, plain.clone()).await.status(204);
    }
    app.plain().get(EMAIL).await.status(200);
    let of_plain = format!("{ROLES}?users={}", plain["pk"]);
    assert_eq!(app.admin().get(&of_plain).await.status(200).column("pk"), [json!(role)]);
    app.admin().post(&remove, plain.clone()).await.status(204);
    app.plain().get(EMAIL).await.is(403, json!({ "detail": DENIED }));
    for body in [json!({ "pk": 999_999 }), plain.clone()] {
        // Who may change roles and sees no user is told that there is none.
        let client = app.someone_who_may(&["view_role", "change_role"]).await;
        client.post(&add, body).await.is(404, json!({ "detail": "Not found." }));
    }
    app.admin().post(&add, json!({})).await.is(400, json!({ "pk": ["This field is required."] }));
}

/// A role through a group and through the groups above it.
#[tokio::test]
async fn inherited_roles_are_found_where_they_are_asked_for() {
    let app = TestApp::new().await;
    let (own, of_group, above) = (app.role(&[]).await, app.role(&[]).await, app.role(&[]).await);
    let top = app.group("top", false, &[]).await;
    let group = app.group("group", false, &[top]).await;
    app.assign(top, above).await;
    app.assign(group, of_group).await;
    app.join("plain", group).await;
    let user = app.plain().user_id().await;
    app.admin().post(&format!("{ROLES}{own}/add_user/"), json!({ "pk": user })).await.status(204);
    let found = async |query: String| {
        let mut found = app.admin().get(&format!("{ROLES}?{query}")).await.status(200).column("pk");
        found.sort_by_key(ToString::to_string);
        found
    };
    let keys = |roles: &[Uuid]| {
        let mut keys: Vec<_> = roles.iter().map(|role| json!(role)).collect();
        keys.sort_by_key(ToString::to_string);
        keys
    };
    assert_eq!(found(format!("users={user}")).await, keys(&[own]));
    assert_eq!(found(format!("users={user}&inherited=true")).await, keys(&[own, of_group, above]));
    assert_eq!(found(format!("users={user}&inherited=false")).await, keys(&[own]));
    for parameter in ["groups", "ak_groups"] {
        assert_eq!(found(format!("{parameter}={group}")).await, keys(&[of_group]));
        assert_eq!(found(format!("{parameter}={group}&inherited=True")).await, keys(&[of_group, above]));
    }
    app.admin().get(&format!("{ROLES}?groups=x")).await.is(400, json!({ "groups": ["Enter a valid UUID."] }));
}

#[tokio::test]
async fn everybody_with_credentials_may_look_permissions_up() {
    let app = TestApp::new().await;
    let query = "?codename=view_emailstage";
    let found = app.plain().get(&format!("{PERMISSIONS}{query}")).await.status(200).rows();
    let id = found[0]["id"].clone();
    let expected = json!({
        "id": id, "name": "Can view Email Stage", "codename": "view_emailstage", "model": "emailstage",
        "app_label": "authentik_stages_email", "app_label_verbose": "authentik Stages.Email",
        "model_verbose": "Email Stage",
    });
    assert_eq!(found, std::slice::from_ref(&expected));
    app.plain().get(&format!("{PERMISSIONS}{id}/")).await.is(200, expected);
    app.anonymous().get(PERMISSIONS).await.status(403);
    let missing = json!({ "detail": "No Permission matches the given query." });
    app.plain().get(&format!("{PERMISSIONS}999999/")).await.is(404, missing);
    let of_others = app.admin().get(&format!("{PERMISSIONS}?content_type__app_label=guardian")).await;
    assert_eq!(of_others.status(200).rows(), Vec::<Value>::new(), "only authentik's are there to be given");
}

#[rstest]
#[case("content_type__model=role&ordering=codename", &["add_role", "assign_role_permissions", "change_role"])]
#[case("content_type__app_label=authentik_rbac&ordering=-codename", &["view_role", "unassign_role_permissions"])]
#[case("search=unassign%20role", &["unassign_role_permissions"])]
#[case("role={role}", &["change_group", "view_emailstage"])]
#[tokio::test]
async fn permissions_are_found(#[case] query: &str, #[case] first: &[&str]) {
    let app = TestApp::new().await;
    let role = app.role(&["view_emailstage", "change_group"]).await;
    let query = query.replace("{role}", &role.to_string());
    let found = app.admin().get(&format!("{PERMISSIONS}?{query}")).await.status(200).column("codename");
    assert_eq!(found[..first.len()], first.iter().map(|name| json!(name)).collect::<Vec<_>>(), "{query}");
}

#[tokio::test]
async fn a_role_is_given_permissions_on_everything_and_loses_them() {
    let app = TestApp::new().await;
    let role = app.role(&[]).await.to_string();
    let body =
        json!({ "permissions": ["authentik_core.view_group", "authentik_stages_email.add_emailstage"] });
    let ids = app.admin().post(&assign(&role), body.clone()).await.status(200).json();
    assert!(ids.as_array().unwrap().iter().all(|entry| entry["id"].is_string()), "{ids}");
    // Given again it is the same.
    app.admin().post(&assign(&role), body.clone()).await.is(200, ids);
    assert_eq!(rights(&app, &role).await, ["add_emailstage", "view_group"]);
    let one = json!({ "permissions": ["authentik_core.view_group"] });
    for _ in 0..2 {
        app.admin().patch(&unassign(&role), one.clone()).await.status(204);
    }
    assert_eq!(rights(&app, &role).await, ["add_emailstage"]);
}

#[tokio::test]
async fn a_role_is_given_permissions_on_an_object_and_loses_them() {
    let app = TestApp::new().await;
    let role = app.role(&[]).await.to_string();
    let (one, other) = (app.admin().create(EMAIL, "one").await, app.admin().create(EMAIL, "other").await);
    let body = |pk: &str, permissions: &[&str]| json!({ "permissions": permissions, "model": "authentik_stages_email.emailstage", "object_pk": pk });
    // With or without the app, and however the key is spelled.
    let shouted = one.to_uppercase();
    let both = ["view_emailstage", "authentik_stages_email.change_emailstage"];
    app.admin().post(&assign(&role), body(&shouted, &both)).await.status(200);
    let plain = json!({ "pk": app.plain().user_id().await });
    app.admin().post(&format!("{ROLES}{role}/add_user/"), plain).await.status(204);
    assert_eq!(app.plain().get(EMAIL).await.status(200).column("pk"), [json!(one)]);
    app.plain().patch(&format!("{EMAIL}{one}/"), json!({ "subject": "Hello" })).await.status(200);

    let shown = app
        .admin()
        .get(&format!("{ON_OBJECTS}?uuid={role}&ordering=permission__codename"))
        .await
        .status(200)
        .rows();
    let expected = json!({
        "id": shown[1]["id"], "codename": "view_emailstage", "model": "emailstage",
        "app_label": "authentik_stages_email", "object_pk": one, "name": "Can view Email Stage",
        "app_label_verbose": "authentik Stages.Email", "model_verbose": "Email Stage",
        "object_description": "Stage one",
    });
    assert_eq!((shown.len(), &shown[1]), (2, &expected));
    let of_object = async |pk: &str| {
        let query = format!("?model=authentik_stages_email.emailstage&object_pk={pk}");
        app.admin().get(&format!("{ASSIGNED}{query}")).await.status(200).column("role_pk")
    };
    assert!(of_object(&one).await.contains(&json!(role)));
    assert!(!of_object(&other).await.contains(&json!(role)));

    // What is left of an object that is gone can be taken away.
    app.admin().delete(&format!("{EMAIL}{one}/")).await.status(204);
    app.admin().patch(&unassign(&role), body(&one, &["change_emailstage"])).await.status(204);
    let left = app.admin().get(&format!("{ON_OBJECTS}?uuid={role}")).await.status(200).rows();
    assert_eq!((left.len(), &left[0]["codename"]), (1, &json!("view_emailstage")));
    assert_eq!(left[0]["object_description"], Value::Null);
}

#[rstest]
#[case(json!({}), json!({ "permissions": ["This field is required."] }))]
#[case(json!({ "permissions": "view_group" }), json!({ "permissions": ["Expected a list of items but got type \"str\"."] }))]
#[case(
    json!({ "permissions": ["authentik_core.view_group", "", null, {}] }),
    json!({ "permissions": {
        "1": ["This field may not be blank."], "2": ["This field may not be null."], "3": ["Not a valid string."],
    } })
)]
#[case(
    json!({ "permissions": ["view_group"] }),
    json!({ "permissions": ["When assigning global permissions, codename must be given as app_label.codename"] })
)]
#[case(
    json!({ "permissions": ["view_group"], "model": "authentik_core.group" }),
    json!({ "non_field_errors": ["The fields model, object_pk must be used together."] })
)]
#[case(
    json!({ "permissions": ["view_group"], "object_pk": NOTHING }),
    json!({ "non_field_errors": ["The fields model, object_pk must be used together."] })
)]
#[case(
    json!({ "permissions": ["view_group"], "model": "auth.permission", "object_pk": "1" }),
    json!({ "model": ["\"auth.permission\" is not a valid choice."] })
)]
#[case(
    json!({ "permissions": vec!["authentik_core.view_group"; 1001] }),
    json!({ "permissions": ["Ensure this field has no more than 1000 elements."] })
)]
#[case(
    json!({ "permissions": ["authentik_core.fly"] }),
    json!({ "permissions": ["There is no permission “authentik_core.fly”."] })
)]
#[case(
    json!({ "permissions": ["view_emailstage"], "model": "authentik_core.group", "object_pk": NOTHING }),
    json!({ "permissions": ["There is no permission “view_emailstage”."] })
)]
#[tokio::test]
async fn what_can_not_be_assigned_is_refused(#[case] body: Value, #[case] expected: Value) {
    let app = TestApp::new().await;
    let role = app.role(&[]).await;
    let before = app.contents().await;
    app.admin().post(&assign(role), body.clone()).await.is(400, expected.clone());
    app.admin().patch(&unassign(role), body).await.is(400, expected);
    assert_eq!(app.contents().await, before);
}

/// authentik would give the permission on everything.
#[rstest]
#[case("authentik_core.group", "view_group", NOTHING)]
#[case("authentik_core.group", "view_group", "x")]
#[case("authentik_core.user", "view_user", "99999999999999999999")]
#[case("authentik_core.token", "view_token", "token")]
#[tokio::test]
async fn an_object_that_is_not_there_gets_nobody_anything(
    #[case] model: &str,
    #[case] codename: &str,
    #[case] pk: &str,
) {
    let app = TestApp::new().await;
    let role = app.role(&[]).await;
    let body = json!({ "permissions": [codename], "model": model, "object_pk": pk });
    let refusal = json!({ "object_pk": [format!("Invalid pk \"{pk}\" - object does not exist.")] });
    let before = app.contents().await;
    app.admin().post(&assign(role), body).await.is(400, refusal);
    assert_eq!(app.contents().await, before);
    let elsewhere = json!({ "permissions": ["authentik_core.view_group"] });
    app.admin()
        .post(&assign(NOTHING), elsewhere)
        .await
        .is(404, json!({ "detail": "No Role matches the given query." }));
}

#[tokio::test]
async fn roles_are_listed_by_a_model_that_has_to_be_named() {
    let app = TestApp::new().await;
    let required = json!({ "model": ["This field is required."] });
    for query in ["", "?model=", "?object_pk=x"] {
        app.admin().get(&format!("{ASSIGNED}{query}")).await.is(400, required.clone());
        app.plain().get(&format!("{ASSIGNED}{query}")).await.is(403, json!({ "detail": DENIED }));
    }
    let unknown = json!({ "model": ["Select a valid choice. x.y is not one of the available choices."] });
    app.admin().get(&format!("{ASSIGNED}?model=x.y")).await.is(400, unknown);
    let role = app.role(&["view_group"]).await;
    let row = app.admin().get(&format!("{ASSIGNED}?model=authentik_core.group")).await.status(200).rows();
    let row = row.into_iter().find(|row| row["role_pk"] == json!(role)).unwrap();
    let permission = &row["model_permissions"][0];
    let expected = json!({
        "id": permission["id"], "codename": "view_group", "model": "group", "app_label": "authentik_core",
        "name": "Can view Group",
    });
    assert_eq!((permission, &row["object_permissions"]), (&expected, &json!([])));
}

#[tokio::test]
async fn permissions_on_objects_come_ten_a_page_at_most() {
    let app = TestApp::new().await;
    let mut on = Vec::new();
    for number in 0..12 {
        on.push(("view_group", app.group(&format!("group {number}"), false, &[]).await.to_string()));
    }
    let role = app.role_on(&[], &on).await;
    let list = app.admin().get(&format!("{ON_OBJECTS}?uuid={role}&page_size=50")).await.status(200);
    assert_eq!((list.rows().len(), &list.json()["pagination"]["total_pages"]), (10, &json!(2)));
    // It looks through nothing, and so finds everything.
    let list = app.admin().get(&format!("{ON_OBJECTS}?uuid={role}&search=nothing")).await.status(200);
    assert_eq!(list.json()["pagination"]["count"], 12);
}

/// What an object is called is for those to know who may view it.
#[tokio::test]
async fn the_name_of_an_object_is_shown_to_those_who_see_it() {
    let app = TestApp::new().await;
    let group = app.group("secret", false, &[]).await.to_string();
    let role = app.role_on(&[], &[("view_group", group)]).await;
    let path = format!("{ON_OBJECTS}?uuid={role}");
    let names = async |client: Client| client.get(&path).await.status(200).column("object_description");
    assert_eq!(names(app.admin()).await, [json!("Group secret")]);
    assert_eq!(names(app.someone_who_may(&["view_roleobjectpermission"]).await).await, [Value::Null]);
    let seeing = app.someone_who_may(&["view_roleobjectpermission", "view_group"]).await;
    assert_eq!(names(seeing).await, [json!("Group secret")]);
}

const GIVER: [&str; 3] = ["view_role", "add_role", "assign_role_permissions"];

#[tokio::test]
async fn nobody_assigns_what_they_do_not_hold() {
    for strict in [true, false] {
        let app = TestApp::with(|settings| settings.strict = strict).await;
        let stage = app.admin().create(EMAIL, "a stage").await;
        let giver = GIVER.into_iter().fold(Person::named("giver"), Person::may);
        let giver = app.enter(giver.may("view_group").may_on("change_emailstage", &stage)).await;
        let role = app.role(&[]).await.to_string();
        let beyond = |permission: &str| json!({ "permissions": [permission] });
        let on = |codename: &str, pk: &str| json!({ "permissions": [codename], "model": "authentik_stages_email.emailstage", "object_pk": pk });
        let group = app.group("a group", false, &[]).await.to_string();
        let of_group =
            json!({ "permissions": ["view_group"], "model": "authentik_core.group", "object_pk": group });
        for held in [beyond("authentik_core.view_group"), of_group, on("change_emailstage", &stage)] {
            giver.post(&assign(&role), held).await.status(200);
        }
        let expected =
            vec![format!("change_emailstage {stage}"), "view_group".into(), format!("view_group {group}")];
        assert_eq!(rights(&app, &role).await, expected);
        let other = app.admin().create(EMAIL, "another").await;
        for given in [
            beyond("authentik_core.add_group"),
            beyond("authentik_core.enable_group_superuser"),
            beyond("authentik_stages_email.change_emailstage"),
            on("view_emailstage", &stage),
            on("change_emailstage", &other),
            json!({ "permissions": ["authentik_core.view_group", "authentik_core.change_user"] }),
        ] {
            let before = app.contents().await;
            let answer = giver.post(&assign(&role), given).await;
            if strict {
                answer.is(400, json!({ "permissions": [BEYOND] }));
                assert_eq!(app.contents().await, before);
            } else {
                answer.status(200);
            }
        }
    }
}

#[tokio::test]
async fn nobody_puts_a_user_into_a_role_of_more_than_they_hold() {
    for strict in [true, false] {
        let app = TestApp::with(|settings| settings.strict = strict).await;
        let giver = app.someone_who_may(&["view_role", "change_role", "view_user", "view_group"]).await;
        let (weak, strong) =
            (app.role(&["view_group"]).await, app.role(&["view_group", "change_group"]).await);
        let plain = json!({ "pk": app.plain().user_id().await });
        giver.post(&format!("{ROLES}{weak}/add_user/"), plain.clone()).await.status(204);
        let answer = giver.post(&format!("{ROLES}{strong}/add_user/"), plain.clone()).await;
        if strict {
            answer.is(403, json!({ "detail": DENIED }));
            app.admin().post(&format!("{ROLES}{strong}/add_user/"), plain.clone()).await.status(204);
            // Who is in it already is given nothing.
            giver.post(&format!("{ROLES}{strong}/add_user/"), plain.clone()).await.status(204);
        } else {
            answer.status(204);
        }
        giver.post(&format!("{ROLES}{strong}/remove_user/"), plain).await.status(204);
    }
}

/// authentik's check of the method asks for `add_role` or `change_role` beside the permission of the action.
#[tokio::test]
async fn assigning_takes_two_permissions() {
    let app = TestApp::new().await;
    let role = app.role(&[]).await;
    let body = json!({ "permissions": ["authentik_rbac.view_role"] });
    for held in [&["view_role", "add_role"][..], &["view_role", "assign_role_permissions"]] {
        let client = app.someone_who_may(held).await;
        client.post(&assign(role), body.clone()).await.is(403, json!({ "detail": DENIED }));
    }
    for held in [&["view_role", "change_role"][..], &["view_role", "unassign_role_permissions"]] {
        let client = app.someone_who_may(held).await;
        client.patch(&unassign(role), body.clone()).await.is(403, json!({ "detail": DENIED }));
    }
    app.someone_who_may(&GIVER).await.post(&assign(role), body.clone()).await.status(200);
    let taker = app.someone_who_may(&["view_role", "change_role", "unassign_role_permissions"]).await;
    taker.patch(&unassign(role), body).await.status(204);
}

/// What is remembered of a caller, and of answers, ends with the permission: on the server where it was taken, and on
/// another one of the same database.
#[tokio::test]
async fn a_permission_counts_and_ceases_to_count_with_the_next_request() {
    let app = TestApp::new().await;
    let other = Program::serve(&app.environment());
    let stage = app.admin().create(EMAIL, "a stage").await;
    let role = app.role(&[]).await.to_string();
    let plain = json!({ "pk": app.plain().user_id().await });
    app.admin().post(&format!("{ROLES}{role}/add_user/"), plain).await.status(204);
    let is_let_in = async |expected: bool| {
        for _ in 0..3 {
            let here = app.plain().get(EMAIL).await.status;
            let there = other.request("GET", &format!("{API_PREFIX}{EMAIL}"), "plain", "").unwrap().0;
            let status = if expected { 200 } else { 403 };
            assert_eq!((here, there), (status, status));
        }
    };
    let everywhere = json!({ "permissions": ["authentik_stages_email.view_emailstage"] });
    let on_one = json!({
        "permissions": ["view_emailstage"], "model": "authentik_stages_email.emailstage", "object_pk": stage,
    });
    for given in [everywhere, on_one] {
        is_let_in(false).await;
        app.admin().post(&assign(&role), given.clone()).await.status(200);
        is_let_in(true).await;
        app.admin().patch(&unassign(&role), given).await.status(204);
    }
    is_let_in(false).await;
}

/// A new permission is the API's to give from the moment that it is declared.
#[tokio::test]
async fn every_permission_of_every_resource_can_be_given() {
    let app = TestApp::new().await;
    for resource in declared() {
        let role = app.role(&[]).await;
        let all = Verb::ALL.map(|verb| resource.model.permission(verb));
        let ids = app.admin().post(&assign(role), json!({ "permissions": all })).await.status(200).json();
        assert_eq!(ids.as_array().unwrap().len(), 4, "{}", resource.path);
    }
}

/// Names of roles had an end up to 2025.12.
#[tokio::test]
async fn a_long_name_is_for_later_releases() {
    use ak_stages::contract::Release;
    let long = "x".repeat(151);
    let app = TestApp::new().await;
    app.admin().post(ROLES, json!({ "name": long })).await.status(201);
    let app = TestApp::with(|settings| settings.release = Release::V2025_12).await;
    let refusal = json!({ "name": ["Ensure this field has no more than 150 characters."] });
    app.admin().post(ROLES, json!({ "name": long })).await.is(400, refusal);
}
