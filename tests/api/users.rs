//! Users as clients write them: defaults, rules, groups and roles, deletion. What holds for every resource is in
//! [`crate::laws`].

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Client, INVITATION, NOW, Program, TestApp, empty_database};

const USERS: &str = "/core/users/";

fn at(user: &Value) -> String {
    format!("{USERS}{}/", user["pk"])
}

async fn create(client: &Client, body: Value) -> Value {
    client.post(USERS, body).await.status(201).json()
}

async fn jane(app: &TestApp) -> Value {
    create(&app.admin(), json!({ "username": "jane", "name": "Jane Doe" })).await
}

#[tokio::test]
async fn a_user_with_nothing_but_the_required_fields() {
    let app = TestApp::new().await;
    let user = jane(&app).await;
    let expected = json!({
        "pk": user["pk"], "username": "jane", "name": "Jane Doe", "is_active": true, "last_login": null,
        "date_joined": NOW, "is_superuser": false, "groups": [], "groups_obj": [], "roles": [], "roles_obj": [],
        "email": "", "avatar": user["avatar"], "attributes": {}, "uid": user["uid"], "path": "users",
        "type": "internal", "uuid": user["uuid"], "password_change_date": NOW, "last_updated": NOW,
    });
    assert_eq!(user, expected);
    assert_eq!(app.admin().get(&at(&user)).await.status(200).json(), expected);
}

/// Django marks a password that nothing matches by what it begins with.
#[tokio::test]
async fn a_new_user_has_no_password_whatever_the_request_says() {
    let app = TestApp::new().await;
    let body = json!({ "username": "jane", "name": "", "password": "secret", "date_joined": "2001-01-01" });
    assert_eq!(create(&app.admin(), body).await["date_joined"], NOW);
    let passwords = "SELECT password FROM authentik_core_user WHERE username = 'jane'";
    let password: String = sqlx::query_scalar(passwords).fetch_one(&app.pool).await.unwrap();
    assert!(password.starts_with('!') && password.len() > 40, "it can't be guessed");
}

#[rstest]
#[case::taken(json!({ "username": "akadmin" }), json!({ "username": ["This field must be unique."] }))]
#[case::hidden(json!({ "username": "AnonymousUser" }), json!({ "username": ["This field must be unique."] }))]
#[case::slash_before(json!({ "path": "/users" }), json!({ "path": ["No leading or trailing slashes allowed."] }))]
#[case::slash_behind(json!({ "path": "users/" }), json!({ "path": ["No leading or trailing slashes allowed."] }))]
#[case::only_a_slash(json!({ "path": "/" }), json!({ "path": ["No leading or trailing slashes allowed."] }))]
#[case::two_slashes(json!({ "path": "a//b" }), json!({ "path": ["No empty segments in user path allowed."] }))]
#[case::unknown_type(json!({ "type": "robot" }), json!({ "type": ["\"robot\" is not a valid choice."] }))]
#[case::internal_type(
    json!({ "type": "internal_service_account" }),
    json!({ "type": ["Setting a user to internal service account is not allowed."] })
)]
#[case::address(json!({ "email": "nobody" }), json!({ "email": ["Enter a valid email address."] }))]
#[case::group(
    json!({ "groups": ["0a0b0c0d-1111-4222-8333-0000abcdef01"] }),
    json!({ "groups": ["Invalid pk \"0a0b0c0d-1111-4222-8333-0000abcdef01\" - object does not exist."] })
)]
#[tokio::test]
async fn a_wrong_value_is_refused(#[case] change: Value, #[case] expected: Value) {
    let app = TestApp::new().await;
    let before = app.contents().await;
    let mut body = json!({ "username": "jane", "name": "Jane Doe" });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    app.admin().post(USERS, body).await.is(400, expected);
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn a_user_keeps_its_own_name() {
    let app = TestApp::new().await;
    let (admin, user) = (app.admin(), jane(&app).await);
    admin.put(&at(&user), json!({ "username": "jane", "name": "Jane" })).await.status(200);
    let taken = json!({ "username": ["This field must be unique."] });
    admin.patch(&at(&user), json!({ "username": "plain" })).await.is(400, taken);
}

/// authentik lets a request make one of a user that is there, and then never change it again.
#[tokio::test]
async fn an_internal_service_account_cannot_be_changed() {
    let app = TestApp::new().await;
    let (admin, user) = (app.admin(), jane(&app).await);
    let internal = json!({ "type": "internal_service_account" });
    admin.patch(&at(&user), internal.clone()).await.status(200);
    let before = app.contents().await;
    for (change, expected) in [
        (
            json!({ "name": "other" }),
            json!({ "non_field_errors": ["Can't modify internal service account users"] }),
        ),
        (internal, json!({ "non_field_errors": ["Can't modify internal service account users"] })),
        (
            json!({ "type": "internal" }),
            json!({ "type": ["Can't change internal service account to other user type."] }),
        ),
        (json!({ "username": "" }), json!({ "username": ["This field may not be blank."] })),
    ] {
        admin.patch(&at(&user), change).await.is(400, expected);
    }
    assert_eq!(app.contents().await, before);
    admin.delete(&at(&user)).await.status(204);
}

#[tokio::test]
async fn groups_and_roles_are_replaced_as_a_whole() {
    let app = TestApp::new().await;
    let (admin, user) = (app.admin(), jane(&app).await);
    let (a, b) = (app.group("a", false, &[]).await, app.group("b", true, &[]).await);
    let role = app.role(&["view_emailstage"]).await;
    for (groups, superuser) in [(json!([a]), false), (json!([a, b]), true), (json!([]), false)] {
        let changed = admin.patch(&at(&user), json!({ "groups": groups, "roles": [role] })).await.status(200);
        assert_eq!(changed.json()["groups"], groups);
        assert_eq!(changed.json()["is_superuser"], superuser);
        assert_eq!(changed.json()["roles_obj"][0]["pk"], json!(role));
    }
    admin.patch(&at(&user), json!({ "groups": [a] })).await.status(200);
    let patched = admin.patch(&at(&user), json!({ "name": "other" })).await.status(200).json();
    assert_eq!((&patched["groups"], &patched["roles"]), (&json!([a]), &json!([role])), "PATCH keeps them");
    let put = admin.put(&at(&user), json!({ "username": "jane", "name": "other" })).await.status(200).json();
    assert_eq!((&put["groups"], &put["roles"]), (&json!([]), &json!([])), "PUT doesn't");
}

#[tokio::test]
async fn used_by_names_groups_roles_and_invitations() {
    let app = TestApp::new().await;
    let jane = app.someone_who_may(&["add_invitation"]).await;
    let pk = jane.user_id().await;
    let invitation = jane.create(INVITATION, "welcome").await;
    let (group, parent) = (app.group("a", false, &[]).await, app.group("parent", false, &[]).await);
    let user = format!("{USERS}{pk}/");
    let role = app.admin().get(&user).await.status(200).json()["roles_obj"][0].clone();
    app.admin().patch(&user, json!({ "groups": [group] })).await.status(200);
    let row = |app: &str, model: &str, pk: &Value, name: &str, action: &str| {
        let pk = pk.as_str().map_or(pk.to_string(), str::to_owned);
        json!({ "app": app, "model_name": model, "pk": pk, "name": name, "action": action })
    };
    let role_row = |role: &Value| {
        let name = format!("Role {}", role["name"].as_str().unwrap());
        row("authentik_rbac", "role", &role["pk"], &name, "cascade_many")
    };
    let expected = json!([
        row("authentik_core", "group", &json!(group), "Group a", "cascade_many"),
        row(
            "authentik_stages_invitation",
            "invitation",
            &json!(invitation),
            &format!("Invitation {invitation} created by {pk}"),
            "cascade"
        ),
        role_row(&role),
    ]);
    app.admin().get(&format!("{user}used_by/")).await.is(200, expected);

    let path = format!("/core/groups/{group}/");
    let change = json!({ "parents": [parent], "roles": [role["pk"]] });
    let changed = app.admin().patch(&path, change).await.status(200).json();
    let name = changed["users_obj"][0]["username"].as_str().unwrap();
    let member = row("authentik_core", "user", &json!(pk), name, "cascade_many");
    let above = row("authentik_core", "group", &json!(parent), "Group parent", "cascade_many");
    app.admin().get(&format!("{path}used_by/")).await.is(200, json!([above, role_row(&role), member]));
    let below = row("authentik_core", "group", &json!(group), "Group a", "cascade_many");
    app.admin().get(&format!("/core/groups/{parent}/used_by/")).await.is(200, json!([below]));
    app.viewer().get(&format!("{path}used_by/")).await.status(403);
}

#[tokio::test]
async fn a_deleted_user_takes_along_tokens_and_invitations() {
    let app = TestApp::new().await;
    let before = app.contents().await;
    let jane = app.someone_who_may(&["add_invitation"]).await;
    jane.create(INVITATION, "welcome").await;
    let pk = jane.user_id().await;
    let group = app.group("a", false, &[]).await;
    let user = format!("{USERS}{pk}/");
    let change = json!({ "groups": [group], "attributes": { "a": 1 } });
    let roles = app.admin().patch(&user, change).await.status(200).json()["roles"].clone();
    app.admin().delete(&user).await.status(204);
    app.admin().get(&user).await.status(404);
    jane.get("/core/users/me/").await.is(403, json!({ "detail": "Token invalid/expired" }));
    // What stands for itself stays.
    app.admin().delete(&format!("/core/groups/{group}/")).await.status(204);
    for table in ["guardian_rolemodelpermission", "authentik_rbac_role"] {
        let column = if table == "authentik_rbac_role" { "uuid" } else { "role_id" };
        let delete = format!("DELETE FROM {table} WHERE {column}::text = $1");
        let role = roles[0].as_str().unwrap();
        let gone = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(role).execute(&app.pool).await.unwrap();
        assert_eq!(gone.rows_affected(), 1, "{table}");
    }
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn an_inactive_user_is_out_at_once() {
    let app = TestApp::new().await;
    let plain = app.admin().get("/core/users/?username=plain").await.status(200).rows().remove(0);
    app.plain().get("/core/users/me/").await.status(200);
    app.admin().patch(&at(&plain), json!({ "is_active": false })).await.status(200);
    app.plain().get("/core/users/me/").await.is(403, json!({ "detail": "Token invalid/expired" }));
}

#[tokio::test]
async fn writing_takes_the_permission_on_users() {
    let app = TestApp::new().await;
    let user = jane(&app).await;
    let body = json!({ "username": "joe", "name": "Joe" });
    let viewer = app.someone_who_may(&["view_user"]).await;
    viewer.get(&at(&user)).await.status(200);
    viewer.post(USERS, body.clone()).await.status(403);
    viewer.patch(&at(&user), json!({})).await.status(403);
    viewer.delete(&at(&user)).await.status(403);
    let one = app.granted(&["view_user", "change_user"], &user["pk"].to_string()).await;
    one.patch(&at(&user), json!({ "name": "Janet" })).await.status(200);
    one.delete(&at(&user)).await.status(403);
    let all = app.someone_who_may(&["view_user", "add_user", "delete_user"]).await;
    let joe = create(&all, body).await;
    all.patch(&at(&joe), json!({})).await.status(403);
    all.delete(&at(&joe)).await.status(204);
}

#[tokio::test]
async fn me_has_the_groups_above_and_the_settings_of_all() {
    let app = TestApp::new().await;
    let above = app.group("above", false, &[]).await;
    let group = app.group("group", false, &[above]).await;
    app.join("plain", group).await;
    for (group, settings) in [(above, json!({ "a": 1, "b": 1 })), (group, json!({ "b": 2, "c": 2 }))] {
        let change = json!({ "attributes": { "settings": settings } });
        app.admin().patch(&format!("/core/groups/{group}/"), change).await.status(200);
    }
    let plain = app.admin().get("/core/users/?username=plain").await.status(200).rows().remove(0);
    let change = json!({ "attributes": { "settings": { "c": 3 } } });
    app.admin().patch(&at(&plain), change).await.status(200);
    let me = app.plain().get("/core/users/me/").await.status(200).json()["user"].clone();
    let groups = json!([{ "name": "above", "pk": above }, { "name": "group", "pk": group }]);
    assert_eq!((&me["groups"], &me["settings"]), (&groups, &json!({ "a": 1, "b": 2, "c": 3 })));
    let me = app.admin().get("/core/users/me/").await.status(200).json()["user"].clone();
    assert_eq!(me["settings"], json!({}));
}

/// What `ak-stages user create` says, where it makes none.
fn refused_by_command(environment: &[(&'static str, String)], arguments: &[&str]) -> Option<String> {
    let output = Program::command(environment).args(["user", "create"]).args(arguments).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

/// One that is made before the first start would keep that from making `akadmin`.
#[tokio::test]
async fn the_command_line_makes_users_once_there_is_the_first() {
    let environment = empty_database().await;
    let sentence = refused_by_command(&environment, &["chief", "--superuser"]).unwrap();
    assert!(sentence.contains("the first start of the server makes akadmin"), "{sentence}");

    let app = TestApp::new().await;
    let environment = app.environment();
    assert_eq!(refused_by_command(&environment, &["chief", "--superuser"]), None);
    let sentence = refused_by_command(&environment, &["chief"]).unwrap();
    assert!(sentence.contains("this username is taken"), "{sentence}");
    let found = async |name: &str| {
        let rows = app.admin().get(&format!("{USERS}?username={name}")).await.status(200).json();
        rows["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["is_superuser"] == true)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("chief").await, [true]);

    sqlx::query("UPDATE authentik_core_group SET name = 'Admins' WHERE is_superuser")
        .execute(&app.pool)
        .await
        .unwrap();
    let sentence = refused_by_command(&environment, &["second", "--superuser"]).unwrap();
    assert!(sentence.contains("there is no group `authentik Admins`"), "{sentence}");
    assert!(found("second").await.is_empty());
}
