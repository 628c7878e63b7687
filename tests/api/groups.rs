//! Groups: members, the superusers' flag, inherited roles. What holds for every resource is in [`crate::laws`].

use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestApp;

fn at(group: Uuid) -> String {
    format!("/core/groups/{group}/")
}

#[tokio::test]
async fn put_empties_the_members_that_it_does_not_name() {
    let app = TestApp::new().await;
    let group = app.group("a", false, &[]).await;
    let (parent, role) = (app.group("parent", false, &[]).await, app.role(&[]).await);
    let body = json!({ "users": [app.plain().user_id().await], "parents": [parent], "roles": [role] });
    app.admin().patch(&at(group), body.clone()).await.status(200);
    let patched = app.admin().patch(&at(group), json!({ "name": "b" })).await.status(200).json();
    assert_eq!(patched["users"], body["users"]);
    let put = app.admin().put(&at(group), json!({ "name": "c" })).await.status(200).json();
    assert_eq!(put["users"], json!([]));
    assert_eq!((&put["parents"], &put["roles"]), (&body["parents"], &body["roles"]), "these stay");
}

#[rstest]
#[case::stays_off(false, false, &[], 200)]
#[case::stays_on(true, true, &[], 200)]
#[case::on(false, true, &[], 400)]
#[case::off(true, false, &[], 400)]
#[case::on_with_the_wrong_permission(false, true, &["disable_group_superuser"], 400)]
#[case::on_with_the_permission(false, true, &["enable_group_superuser"], 200)]
#[case::off_with_the_permission(true, false, &["disable_group_superuser"], 200)]
#[tokio::test]
async fn only_a_change_of_the_superusers_flag_takes_a_permission(
    #[case] before: bool,
    #[case] after: bool,
    #[case] permissions: &[&'static str],
    #[case] status: u16,
) {
    let app = TestApp::new().await;
    let group = app.group("a", before, &[]).await;
    let client = app.someone_who_may(&[&["view_group", "change_group"], permissions].concat()).await;
    let answer = client.put(&at(group), json!({ "name": "a", "is_superuser": after })).await.status(status);
    if status == 400 {
        let flag = if after { "True" } else { "False" };
        let sentence = format!("User does not have permission to set superuser status to {flag}.");
        answer.is(400, json!({ "is_superuser": [sentence] }));
    }
}

#[tokio::test]
async fn nobody_adds_or_removes_a_user_whom_they_do_not_see() {
    let app = TestApp::new().await;
    let group = app.group("a", false, &[]).await;
    let plain = json!({ "pk": app.plain().user_id().await });
    let may = ["view_group", "add_user_to_group", "remove_user_from_group"];
    let blind = app.someone_who_may(&may).await;
    let seeing = app.someone_who_may(&[&may[..], &["view_user"]].concat()).await;
    for (view, members) in [("add_user", 1), ("remove_user", 0)] {
        let path = format!("{}{view}/", at(group));
        blind.post(&path, plain.clone()).await.is(404, json!({ "detail": "Not found." }));
        seeing.post(&path, plain.clone()).await.status(204);
        let users = app.admin().get(&at(group)).await.json()["users"].clone();
        assert_eq!(users.as_array().map(Vec::len), Some(members), "{view}");
    }
}

#[tokio::test]
async fn inherited_roles_are_those_that_the_group_does_not_have_itself() {
    let app = TestApp::new().await;
    let (own, shared, above) = (app.role(&[]).await, app.role(&[]).await, app.role(&[]).await);
    let top = app.group("top", false, &[]).await;
    let middle = app.group("middle", false, &[top]).await;
    let group = app.group("group", false, &[middle]).await;
    for (group, role) in [(group, own), (group, shared), (middle, shared), (top, above)] {
        app.assign(group, role).await;
    }
    let path = format!("{}?include_inherited_roles=true", at(group));
    let inherited = app.admin().get(&path).await.status(200).json()["inherited_roles_obj"].clone();
    let keys: Vec<&Value> = inherited.as_array().unwrap().iter().map(|role| &role["pk"]).collect();
    assert_eq!(keys, [&json!(above)]);
}

#[rstest]
#[case("", true)]
#[case("?include_users=true", true)]
#[case("?include_users=TRUE", true)]
#[case("?include_users=false&include_users=true", true)]
#[case("?include_users=1", false)]
#[case("?include_users=", false)]
#[case("?include_users=no", false)]
#[tokio::test]
async fn an_include_is_asked_for_by_true_alone(#[case] query: &str, #[case] expected: bool) {
    let app = TestApp::new().await;
    let group = app.group("a", false, &[]).await;
    let answer = app.admin().get(&format!("{}{query}", at(group))).await.status(200).json();
    assert_eq!(answer["users_obj"].is_array(), expected);
}
