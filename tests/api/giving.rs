//! Nobody gives what they don't hold, nobody names what they don't see. With `AUTHENTIK_STAGES__STRICT=false`, as in
//! authentik, whoever may write an object may do both. `climbing.rs` searches for what is missing here.

use drf::action::{Method, Route};
use drf::field::{Field, FieldKind};
use drf::permission::Verb;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Declared, EMAIL, Person, TestApp, USER_WRITE, declared, flow_set_entry};

const GROUPS: &str = "/core/groups/";
const USERS: &str = "/core/users/";
const BINDINGS: &str = "/flows/bindings/";
const SUPERUSER: &str = "User does not have permission to set superuser status to True.";
const BEYOND: &str = "User does not have all permissions that this would give.";
const TAKEN: &str = "Flow with this slug already exists.";
const DENIED: &str = "You do not have permission to perform this action.";
const NOTHING: &str = "0a0b0c0d-1111-4222-8333-0000abcdef01";

/// A server that is strict, and one that isn't.
async fn both() -> [(bool, TestApp); 2] {
    [(true, TestApp::new().await), (false, TestApp::with(|settings| settings.strict = false).await)]
}

async fn admins(app: &TestApp) -> Uuid {
    let group = "SELECT group_uuid FROM authentik_core_group WHERE name = 'authentik Admins'";
    sqlx::query_scalar(group).fetch_one(&app.pool).await.unwrap()
}

async fn is_superuser(client: &Client) -> bool {
    client.get("/core/users/me/").await.status(200).json()["user"]["is_superuser"] == true
}

/// A request that a strict server refuses, and writes nothing; another one does as it is told.
async fn refused_if_strict(
    (strict, app): &(bool, TestApp),
    client: &Client,
    (method, path, body): (&str, &str, Value),
    (status, refusal): (u16, Value),
) {
    let before = app.contents().await;
    let answer = client.send_json(method, path, &body).await;
    if *strict {
        answer.is(status, refusal);
        assert_eq!(app.contents().await, before, "{answer}");
    } else {
        assert!((200..300).contains(&answer.status), "{answer}");
    }
}

#[tokio::test]
async fn a_group_below_the_admins_is_not_for_everybody_to_make() {
    for server in both().await {
        let app = &server.1;
        let admins = admins(app).await;
        let below = app.group("below", false, &[admins]).await;
        for parent in [admins, below] {
            let climber = app.someone_who_may(&["add_group", "view_group", "view_user"]).await;
            let me = climber.user_id().await;
            let body = json!({ "name": app.new_name(), "parents": [parent], "users": [me] });
            let refusal = json!({ "parents": [SUPERUSER], "users": [SUPERUSER] });
            refused_if_strict(&server, &climber, ("POST", GROUPS, body), (400, refusal)).await;
            assert_eq!(is_superuser(&climber).await, !server.0);
        }
        // authentik refuses this, too.
        let climber = app.someone_who_may(&["add_group"]).await;
        let body = json!({ "name": "mine", "is_superuser": true });
        climber.post(GROUPS, body).await.is(400, json!({ "is_superuser": [SUPERUSER] }));
    }
}

#[tokio::test]
async fn a_new_user_is_no_superuser() {
    for server in both().await {
        let (app, admins) = (&server.1, admins(&server.1).await);
        let below = app.group("below", false, &[admins]).await;
        let climber = app.someone_who_may(&["add_user", "view_group"]).await;
        for group in [admins, below] {
            let body = json!({ "username": app.new_name(), "name": "", "groups": [group] });
            let refusal = json!({ "groups": [SUPERUSER] });
            refused_if_strict(&server, &climber, ("POST", USERS, body), (400, refusal)).await;
        }
    }
}

#[tokio::test]
async fn nobody_joins_the_admins_by_changing_them() {
    for server in both().await {
        let (app, admins) = (&server.1, admins(&server.1).await);
        let below = app.group("below", false, &[admins]).await;
        for group in [admins, below] {
            let path = format!("{GROUPS}{group}/");
            let members = app.admin().get(&path).await.status(200).json()["users"].take();
            for method in ["PATCH", "PUT"] {
                let climber = app.someone_who_may(&["view_group", "change_group", "view_user"]).await;
                let mut all = members.as_array().unwrap().clone();
                all.push(json!(climber.user_id().await));
                let body = json!({ "name": app.new_name(), "users": all });
                let refusal = (400, json!({ "users": [SUPERUSER] }));
                refused_if_strict(&server, &climber, (method, &path, body), refusal).await;
                // Who is a member already may be named.
                let body = json!({ "name": app.new_name(), "users": members });
                climber.send_json(method, &path, &body).await.status(200);
            }
            let climber = app.someone_who_may(&["view_group", "add_user_to_group", "view_user"]).await;
            let (path, body) = (format!("{path}add_user/"), json!({ "pk": climber.user_id().await }));
            let refusal = (403, json!({ "detail": DENIED }));
            refused_if_strict(&server, &climber, ("POST", &path, body), refusal).await;
            assert_eq!(is_superuser(&climber).await, !server.0);
        }
    }
}

#[tokio::test]
async fn nobody_puts_themselves_or_their_group_among_the_admins() {
    for server in both().await {
        let (app, admins) = (&server.1, admins(&server.1).await);
        let climber = app.someone_who_may(&["view_user", "change_user", "view_group"]).await;
        let path = format!("{USERS}{}/", climber.user_id().await);
        let refusal = (400, json!({ "groups": [SUPERUSER] }));
        refused_if_strict(&server, &climber, ("PATCH", &path, json!({ "groups": [admins] })), refusal).await;

        let group = app.group("mine", false, &[]).await;
        let climber = app.enter(Person::named("climber").may("view_group").may("change_group")).await;
        app.join("climber", group).await;
        for key in ["parents", "parent"] {
            let parent = if key == "parent" { json!(admins) } else { json!([admins]) };
            let request = ("PATCH", &*format!("{GROUPS}{group}/"), json!({ key: parent }));
            refused_if_strict(&server, &climber, request, (400, json!({ "parents": [SUPERUSER] }))).await;
        }
        assert_eq!(is_superuser(&climber).await, !server.0);
    }
}

#[tokio::test]
async fn who_may_make_superusers_may_make_them_by_a_membership() {
    let app = TestApp::new().await;
    let admins = admins(&app).await;
    let (below, other) = (app.group("below", false, &[admins]).await, app.group("other", true, &[]).await);
    let common = ["view_group", "change_group", "add_user_to_group", "view_user", "change_user"];
    let all = app.someone_who_may(&[&common[..], &["enable_group_superuser"]].concat()).await;
    let me = json!({ "pk": all.user_id().await });
    all.post(&format!("{GROUPS}{below}/add_user/"), me).await.status(204);
    assert!(is_superuser(&all).await);

    // On one group: by that one and those below it.
    let person = common.into_iter().fold(Person::named("one"), Person::may);
    let one = app.enter(person.may_on("enable_group_superuser", &admins.to_string())).await;
    let plain = json!({ "pk": app.plain().user_id().await });
    one.post(&format!("{GROUPS}{other}/add_user/"), plain.clone()).await.status(403);
    let refusal = json!({ "users": [SUPERUSER] });
    one.patch(&format!("{GROUPS}{other}/"), json!({ "users": [plain["pk"]] })).await.is(400, refusal);
    let refusal = json!({ "groups": [SUPERUSER] });
    one.patch(&format!("{USERS}{}/", plain["pk"]), json!({ "groups": [other] })).await.is(400, refusal);
    for group in [admins, below] {
        one.post(&format!("{GROUPS}{group}/add_user/"), plain.clone()).await.status(204);
    }
    one.patch(&format!("{GROUPS}{admins}/"), json!({ "users": [plain["pk"]] })).await.status(200);
}

/// A group that makes superusers, with the name and the roles that it had.
#[tokio::test]
async fn what_a_group_is_after_the_write_counts() {
    let app = TestApp::new().await;
    let group = app.group("powerful", true, &[]).await;
    app.assign(group, app.role(&["delete_user"]).await).await;
    let person = Person::named("one").may("view_group").may("change_group").may("view_user");
    let client = app.enter(person.may_on("disable_group_superuser", &group.to_string())).await;
    let plain = app.plain().user_id().await;
    let path = format!("{GROUPS}{group}/");
    let body = json!({ "is_superuser": false, "users": [plain] });
    client.patch(&path, body).await.is(400, json!({ "users": [BEYOND] }));
    let body = json!({ "is_superuser": false, "roles": [], "users": [plain] });
    client.patch(&path, body).await.status(200);
}

#[rstest]
#[case::all_of_it(&["view_emailstage", "add_emailstage"], true)]
#[case::more_than_it(&["view_emailstage", "add_emailstage", "view_token"], true)]
#[case::a_part(&["view_emailstage"], false)]
#[case::nothing(&[], false)]
#[tokio::test]
async fn a_role_is_given_by_those_who_hold_what_it_gives(
    #[case] held: &[&'static str],
    #[case] allowed: bool,
) {
    for server in both().await {
        let app = &server.1;
        let role = app.role(&["view_emailstage", "add_emailstage"]).await;
        let (with_role, below) = (app.group("with", false, &[]).await, app.group("in", false, &[]).await);
        app.assign(with_role, role).await;
        let writes = ["add_user", "add_group", "change_group", "add_user_to_group", "change_user"];
        let views = ["view_group", "view_user", "view_role"];
        let giver = app.someone_who_may(&[&writes[..], &views, held].concat()).await;
        let plain = app.plain().user_id().await;
        let (at, user) = (|group| format!("{GROUPS}{group}/"), format!("{USERS}{plain}/"));
        let name = || app.new_name();
        for (method, path, body, field) in [
            ("POST", GROUPS.to_owned(), json!({ "name": name(), "roles": [role] }), "roles"),
            ("POST", GROUPS.to_owned(), json!({ "name": name(), "parents": [with_role] }), "parents"),
            ("POST", USERS.to_owned(), json!({ "username": name(), "name": "", "roles": [role] }), "roles"),
            ("PATCH", user.clone(), json!({ "groups": [with_role] }), "groups"),
            ("PATCH", at(with_role), json!({ "users": [giver.user_id().await] }), "users"),
            ("PATCH", at(below), json!({ "parents": [with_role] }), "parents"),
        ] {
            let request = (method, &*path, body);
            if allowed {
                let answer = giver.send_json(method, &path, &request.2).await;
                assert!(answer.status < 300, "{answer}");
            } else {
                refused_if_strict(&server, &giver, request, (400, json!({ field: [BEYOND] }))).await;
            }
        }
        let path = format!("{}add_user/", at(with_role));
        let status = if allowed || !server.0 { 204 } else { 403 };
        giver.post(&path, json!({ "pk": giver.user_id().await })).await.status(status);
    }
}

#[tokio::test]
async fn a_permission_on_one_object_is_given_by_those_who_hold_it_there() {
    let app = TestApp::new().await;
    let (one, two) = (app.admin().create(EMAIL, "one").await, app.admin().create(EMAIL, "two").await);
    // The role of somebody who sees one of the stages.
    app.enter(Person::named("seer").may_on("view_emailstage", &one)).await;
    let role: Uuid = sqlx::query_scalar("SELECT uuid FROM authentik_rbac_role WHERE name = 'peer-seer-role'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let common = ["view_user", "change_user", "view_role"];
    let user = format!("{USERS}{}/", app.plain().user_id().await);
    let person = |name: &str| common.into_iter().fold(Person::named(name), Person::may);
    for (giver, status) in [
        (person("nothing"), 400),
        (person("other-object").may_on("view_emailstage", &two), 400),
        (person("other-permission").may_on("change_emailstage", &one), 400),
        (person("same").may_on("view_emailstage", &one), 200),
        (person("everywhere").may("view_emailstage"), 200),
    ] {
        let giver = app.enter(giver).await;
        app.admin().patch(&user, json!({ "roles": [] })).await.status(200);
        giver.patch(&user, json!({ "roles": [role] })).await.status(status);
    }
}

#[tokio::test]
async fn a_stage_puts_nobody_into_a_group_that_gives_more_than_its_maker_holds() {
    for server in both().await {
        let (app, admins) = (&server.1, admins(&server.1).await);
        let rights = ["view_userwritestage", "add_userwritestage", "change_userwritestage", "view_group"];
        let climber = app.someone_who_may(&rights).await;
        let refusal = || (400, json!({ "create_users_group": [SUPERUSER] }));
        let body = json!({ "name": app.new_name(), "create_users_group": admins });
        refused_if_strict(&server, &climber, ("POST", USER_WRITE, body), refusal()).await;
        let harmless = app.group("harmless", false, &[]).await;
        let body = json!({ "name": app.new_name(), "create_users_group": harmless });
        let path = format!("{USER_WRITE}{}/", climber.post(USER_WRITE, body).await.status(201).pk());
        let body = json!({ "create_users_group": admins });
        refused_if_strict(&server, &climber, ("PATCH", &path, body), refusal()).await;
        // What a superuser has put there stays.
        let body = json!({ "create_users_group": admins });
        app.admin().patch(&path, body.clone()).await.status(200);
        climber.patch(&path, body).await.status(200);
    }
}

/// A permission of the resource's model, for [`TestApp::someone_who_may`].
fn codename(resource: &Declared, verb: Verb) -> &'static str {
    resource.model.codename(verb).leak()
}

/// The fields that name other rows, with the permission to view those.
fn references(resource: &Declared) -> impl Iterator<Item = (&'static Field, &'static str)> {
    resource.writable().filter_map(|field| match field.kind {
        FieldKind::ForeignKey(target) | FieldKind::Many(target, _) => {
            Some((field, &*target.model.codename(Verb::View).leak()))
        }
        _ => None,
    })
}

#[tokio::test]
async fn the_key_of_an_invisible_object_is_one_that_does_not_exist() {
    let mut fields = 0;
    for (strict, app) in both().await {
        for resource in declared().iter().filter(|resource| resource.does(Method::Post, Route::LIST)) {
            let add = codename(resource, Verb::Add);
            for (field, view) in references(resource) {
                let blind = app.someone_who_may(&[add]).await;
                let seeing = app.someone_who_may(&[add, view]).await;
                let required = resource.required().filter(|other| other.name != field.name);
                let mut body = app.body(required.chain([field]), app.fresh()).await;
                let named = &body[field.name];
                let key = named.get(0).unwrap_or(named).clone();
                let refusal = |key: &Value| {
                    let key = key.as_str().map_or(key.to_string(), str::to_owned);
                    json!([format!("Invalid pk \"{key}\" - object does not exist.")])
                };
                let answer = blind.post(resource.path, body.clone()).await;
                let told = answer.json()[field.name] == refusal(&key);
                assert_eq!(
                    (answer.status == 400, told),
                    (strict || answer.status == 400, strict),
                    "{answer}"
                );
                let answer = seeing.post(resource.path, body.clone()).await;
                assert!(answer.status == 201 || answer.json().get(field.name).is_none(), "{answer}");
                // So is the one that doesn't.
                let missing = if key.is_string() { json!(NOTHING) } else { json!(999_999) };
                body[field.name] = if named_list(field) { json!([missing]) } else { missing.clone() };
                let answer = seeing.post(resource.path, body).await;
                assert_eq!((answer.status, &answer.json()[field.name]), (400, &refusal(&missing)));
                fields += 1;
            }
        }
    }
    assert!(fields >= 2 * 9, "{fields} fields name rows");
}

fn named_list(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Many(..))
}

/// A client reads, changes one thing and writes everything back.
#[tokio::test]
async fn what_an_object_names_already_may_be_named_again() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Put, Route::OBJECT)) {
        let verbs = [codename(resource, Verb::View), codename(resource, Verb::Change)];
        let editor = app.someone_who_may(&verbs).await;
        for n in [2 * app.fresh(), 2 * app.fresh() + 1] {
            let row = app.row(resource, n).await;
            let answer = editor.put(&resource.path_of(&row), row.clone()).await.status(200).json();
            for (field, _) in references(resource) {
                assert_eq!(answer[field.name], row[field.name], "{} {}", resource.path, field.name);
            }
        }
    }
}

#[tokio::test]
async fn a_stage_is_seen_by_its_type_and_by_itself_too() {
    let app = TestApp::new().await;
    let (one, two) = (app.admin().create(EMAIL, "one").await, app.admin().create(USER_WRITE, "two").await);
    let flow = app.flow("a-flow").await;
    let person = |name: &str| Person::named(name).may("add_flowstagebinding").may("view_flow");
    for (person, sees_one, sees_two) in [
        (person("all"), true, true),
        (person("type").may("view_emailstage"), true, false),
        (person("object").may_on("view_stage", &two), false, true),
        (person("object-by-type").may_on("view_userwritestage", &two), false, true),
        (person("other-type").may("view_invitationstage"), false, false),
    ]
    .map(|(person, one, two)| (if one && two { person.may("view_stage") } else { person }, one, two))
    {
        let binder = app.enter(person).await;
        for (order, stage, seen) in [(1, &one, sees_one), (2, &two, sees_two)] {
            let body = json!({ "target": flow, "stage": stage, "order": 10 * app.fresh() + order });
            binder.post(BINDINGS, body).await.status(if seen { 201 } else { 400 });
        }
    }
}

#[tokio::test]
async fn ones_own_roles_and_oneself_may_be_named() {
    let app = TestApp::new().await;
    let somebody = app.enter(Person::named("one").may("add_group").may("view_emailstage")).await;
    let me = somebody.get("/core/users/me/").await.status(200).json()["user"].take();
    let body = json!({ "name": "mine", "users": [me["pk"]], "roles": [me["roles"][0]["pk"]] });
    somebody.post(GROUPS, body).await.status(201);
}

#[tokio::test]
async fn flow_set_binds_no_flow_that_the_caller_does_not_see() {
    for server in both().await {
        let app = &server.1;
        let hidden = app.flow("hidden").await;
        let rights = ["view_emailstage", "add_emailstage", "change_emailstage"];
        let may = async |more: &[&'static str]| app.someone_who_may(&[&rights[..], more].concat()).await;
        let set = |slugs: &[&str]| slugs.iter().map(|slug| flow_set_entry(slug)).collect::<Value>();
        let body = |slugs| json!({ "name": app.new_name(), "flow_set": set(slugs) });

        let maker = may(&["add_flow", "add_flowstagebinding"]).await;
        let refusal = || (400, json!({ "flow_set": [{}, { "slug": [TAKEN] }] }));
        let request = ("POST", EMAIL, body(&["new", "hidden"]));
        refused_if_strict(&server, &maker, request, refusal()).await;
        let stage = app.admin().create(EMAIL, &app.new_name()).await;
        let path = format!("{EMAIL}{stage}/");
        refused_if_strict(&server, &maker, ("PATCH", &path, body(&["newer", "hidden"])), refusal()).await;

        // To those who can't make a flow it is as if there were none.
        let binder = may(&["add_flowstagebinding"]).await;
        binder.post(EMAIL, body(&["no-such-flow"])).await.status(403);
        let denied = (403, json!({ "detail": DENIED }));
        refused_if_strict(&server, &binder, ("POST", EMAIL, body(&["hidden"])), denied).await;

        let seeing = may(&["add_flowstagebinding", "view_flow"]).await;
        seeing.post(EMAIL, body(&["hidden"])).await.status(201);
        let person = ["add_emailstage", "add_flowstagebinding"].into_iter();
        let person = person.fold(Person::named("object"), Person::may);
        let seeing = app.enter(person.may_on("view_flow", &hidden.to_string())).await;
        seeing.post(EMAIL, body(&["hidden"])).await.status(201);

        // What is bound already is shown anyway.
        let stage = app.admin().create(EMAIL, &app.new_name()).await;
        app.bind(hidden, &stage, 0).await;
        may(&[]).await.patch(&format!("{EMAIL}{stage}/"), body(&["hidden"])).await.status(200);
    }
}

#[tokio::test]
async fn the_password_of_a_mail_server_goes_to_no_other_one() {
    for (strict, app) in both().await {
        let settings = json!({
            "name": "a stage", "host": "mail.example.org", "port": 25, "username": "mailer", "password": "secret",
        });
        let path = format!("{EMAIL}{}/", app.admin().post(EMAIL, settings.clone()).await.status(201).pk());
        let stored = async || -> String {
            let select = "SELECT password FROM authentik_stages_email_emailstage";
            sqlx::query_scalar(select).fetch_one(&app.pool).await.unwrap()
        };
        let editor = app.someone_who_may(&["view_emailstage", "change_emailstage"]).await;
        for (change, expected) in [
            (json!({}), "secret"),
            (json!({ "subject": "Other", "timeout": 20 }), "secret"),
            (json!({ "host": "mail.example.org", "port": 25, "username": "mailer" }), "secret"),
            (json!({ "host": "evil.example.org" }), ""),
            (json!({ "port": 2525 }), ""),
            (json!({ "username": "other" }), ""),
            (json!({ "host": "new.example.org", "password": "new" }), "new"),
        ] {
            for method in ["PATCH", "PUT"] {
                app.admin().put(&path, settings.clone()).await.status(200);
                let mut change = change.clone();
                change["name"] = json!("a stage");
                editor.send_json(method, &path, &change).await.status(200);
                let expected = if strict || expected == "new" { expected } else { "secret" };
                assert_eq!(stored().await, expected, "{method} {change}");
            }
        }
    }
}

#[tokio::test]
async fn who_may_change_users_does_not_make_unending_tokens_by_it() {
    for server in both().await {
        let app = &server.1;
        let climber = app.someone_who_may(&["view_user", "add_user", "change_user"]).await;
        let path = format!("{USERS}{}/", climber.user_id().await);
        let attributes = json!({ "goauthentik.io/user/token-expires": false });
        let sentence = "User does not have permission to make tokens that never expire.";
        let refusal = || (400, json!({ "attributes": [sentence] }));
        let request = ("PATCH", &*path, json!({ "attributes": attributes }));
        refused_if_strict(&server, &climber, request, refusal()).await;
        let body = json!({ "username": app.new_name(), "name": "", "attributes": attributes });
        refused_if_strict(&server, &climber, ("POST", USERS, body), refusal()).await;
        // What a superuser said stays, and then it may be passed on.
        app.admin().patch(&path, json!({ "attributes": attributes })).await.status(200);
        climber.patch(&path, json!({ "attributes": attributes })).await.status(200);
        let body = json!({ "username": app.new_name(), "name": "", "attributes": attributes });
        climber.post(USERS, body).await.status(201);
    }
}
