//! The four resources' lives, and a read of everything around them, through authentik's own Rust client.
//!
//! The name of a test is its group of operations. Lists take a parameter for every filter: the tests that call one
//! are kept from rustfmt, which would write a line for each.

use std::env::var;
use std::fmt::Debug;
use std::fs::read_to_string;
use std::thread::sleep;
use std::time::Duration;

use authentik_client::apis::configuration::Configuration;
use authentik_client::apis::{Error, admin_api::*, core_api::*, flows_api::*, root_api::*, stages_api::*};
use authentik_client::models::*;
use uuid::Uuid;

fn client(token: &str) -> Configuration {
    Configuration {
        base_path: format!("{}/api/v3", var("BASE").expect("BASE")),
        bearer_access_token: Some(token.to_owned()),
        ..Configuration::default()
    }
}

fn admin() -> Configuration {
    client(&var("TOKEN").expect("TOKEN"))
}

fn plain() -> Configuration {
    client(&var("PLAIN_TOKEN").expect("PLAIN_TOKEN"))
}

fn unique() -> String {
    format!("t{}", Uuid::new_v4().simple())
}

/// Status and body of an error, which the client must have been able to decode.
fn refusal<T: Debug, E: Debug>(result: Result<T, Error<E>>) -> (u16, String) {
    match result {
        Err(Error::ResponseError(response)) => {
            assert!(response.entity.is_some(), "{response:?}");
            (response.status.as_u16(), response.content)
        }
        other => panic!("an answer other than an error: {other:?}"),
    }
}

/// Create, retrieve, PUT, PATCH, list, used_by, delete, and the errors: given what to send, a field to change, and the
/// functions of a resource, which differ from another's in their names and types alone.
macro_rules! life_cycle {
    (
        $Request:ident { $($sent:tt)* }, $Patch:ident, $field:ident: $changed:expr,
        $create:ident, $retrieve:ident, $update:ident, $partial_update:ident, $used_by:ident, $destroy:ident,
        |$admin:ident, $search:ident, $page:ident| $list:expr
    ) => {{
        let $admin = &admin();
        let name = unique();
        let request = $Request { $($sent)*, ..$Request::new(name.clone()) };
        let created = $create($admin, request.clone()).await.unwrap();
        assert_eq!(created.$field, request.$field);
        let pk = &created.pk.to_string();
        assert_eq!($retrieve($admin, pk).await.unwrap(), created);

        // PUT keeps what it doesn't name.
        let mut changed = created.clone();
        changed.$field = $changed;
        let change = $Request { $field: $changed, ..$Request::new(name.clone()) };
        assert_eq!($update($admin, pk, change).await.unwrap(), changed);
        assert_ne!(changed, created);
        let back = $Patch { $field: created.$field, ..$Patch::default() };
        assert_eq!($partial_update($admin, pk, Some(back)).await.unwrap(), created);

        let second = $Request { name: format!("{name}-2"), ..request.clone() };
        let second = $create($admin, second).await.unwrap().pk.to_string();
        let ($search, mut $page, mut pages) = (name.as_str(), 1, Vec::new());
        while $page > 0 {
            let answer = $list.await.unwrap();
            pages.push(answer.results.into_iter().map(|row| row.name).collect::<Vec<_>>());
            $page = answer.pagination.next as i32;
        }
        assert_eq!(pages, [[format!("{name}-2")], [name.clone()]]);

        let blank = refusal($create($admin, $Request::new(String::new())).await);
        assert_eq!(blank, (400, r#"{"name":["This field may not be blank."]}"#.to_owned()));
        let forbidden = refusal($create(&plain(), request.clone()).await);
        assert_eq!(
            forbidden,
            (403, r#"{"detail":"You do not have permission to perform this action."}"#.to_owned())
        );
        let stranger = refusal($retrieve(&client("no-such-token"), pk).await);
        assert_eq!(stranger, (403, r#"{"detail":"Token invalid/expired"}"#.to_owned()));

        assert_eq!($used_by($admin, pk).await.unwrap(), []);
        for pk in [pk, &second] {
            $destroy($admin, pk).await.unwrap();
            assert_eq!(refusal($retrieve($admin, pk).await).0, 404);
        }
    }};
}

#[tokio::test]
#[rustfmt::skip]
async fn email() {
    life_cycle!(
        EmailStageRequest {
            port: Some(587),
            password: Some("correct horse".to_owned()),
            token_expiry: Some("hours=3;minutes=17".to_owned()),
            recovery_max_attempts: Some(3)
        },
        PatchedEmailStageRequest,
        port: Some(2525),
        stages_email_create,
        stages_email_retrieve,
        stages_email_update,
        stages_email_partial_update,
        stages_email_used_by_list,
        stages_email_destroy,
        |admin, search, page| stages_email_list(
            admin, None, None, None, None, Some("-name"), Some(page), Some(1), None, Some(search), None, None,
            None, None, None, None, None, None,
        )
    );
}

#[tokio::test]
#[rustfmt::skip]
async fn user_write() {
    life_cycle!(
        UserWriteStageRequest {
            user_type: Some(UserTypeEnum::Internal),
            user_creation_mode: Some(UserCreationModeEnum::AlwaysCreate)
        },
        PatchedUserWriteStageRequest,
        user_type: Some(UserTypeEnum::ServiceAccount),
        stages_user_write_create,
        stages_user_write_retrieve,
        stages_user_write_update,
        stages_user_write_partial_update,
        stages_user_write_used_by_list,
        stages_user_write_destroy,
        |admin, search, page| stages_user_write_list(
            admin, None, None, None, Some("-name"), Some(page), Some(1), Some(search), None, None, None, None,
        )
    );
}

#[tokio::test]
#[rustfmt::skip]
async fn invitation_stage() {
    life_cycle!(
        InvitationStageRequest { continue_flow_without_invitation: Some(true) },
        PatchedInvitationStageRequest,
        continue_flow_without_invitation: Some(false),
        stages_invitation_stages_create,
        stages_invitation_stages_retrieve,
        stages_invitation_stages_update,
        stages_invitation_stages_partial_update,
        stages_invitation_stages_used_by_list,
        stages_invitation_stages_destroy,
        |admin, search, page| stages_invitation_stages_list(
            admin, None, None, None, Some("-name"), Some(page), Some(1), Some(search), None,
        )
    );
}

#[tokio::test]
#[rustfmt::skip]
async fn invitation() {
    let flow = new_flow().await;
    life_cycle!(
        InvitationRequest {
            expires: Some(Some("2040-02-29T12:30:15.250Z".parse().unwrap())),
            fixed_data: Some([("visits".to_owned(), (1_u64 << 40).into())].into()),
            single_use: Some(true),
            flow: Some(Some(flow.pk))
        },
        PatchedInvitationRequest,
        single_use: Some(false),
        stages_invitation_invitations_create,
        stages_invitation_invitations_retrieve,
        stages_invitation_invitations_update,
        stages_invitation_invitations_partial_update,
        stages_invitation_invitations_used_by_list,
        stages_invitation_invitations_destroy,
        |admin, search, page| stages_invitation_invitations_list(
            admin, None, None, None, None, Some("-name"), Some(page), Some(1), Some(search),
        )
    );
    flows_instances_destroy(&admin(), &flow.slug).await.unwrap();
}

/// Without a flow, flow_obj is null, which the client takes for impossible. The invitation is there all the same.
#[tokio::test]
async fn invitation_without_flow() {
    let admin = &admin();
    let flow = new_flow().await;
    let request = InvitationRequest { flow: Some(Some(flow.pk)), ..InvitationRequest::new(unique()) };
    let pk = &stages_invitation_invitations_create(admin, request).await.unwrap().pk.to_string();
    let patch = PatchedInvitationRequest { flow: Some(None), ..Default::default() };
    match stages_invitation_invitations_partial_update(admin, pk, Some(patch)).await {
        Err(Error::Serde(error)) => {
            assert!(error.to_string().contains("invalid type: null, expected struct Flow"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    stages_invitation_invitations_destroy(admin, pk).await.unwrap();
    flows_instances_destroy(admin, &flow.slug).await.unwrap();
}

#[tokio::test]
async fn invitation_by_mail() {
    let admin = &admin();
    let flow = new_flow().await;
    let request = InvitationRequest { flow: Some(Some(flow.pk)), ..InvitationRequest::new(unique()) };
    let pk = &stages_invitation_invitations_create(admin, request).await.unwrap().pk.to_string();
    let address = format!("{}@example.org", unique());
    let to = |address: &str| InvitationSendEmailRequest {
        template: Some("email/invitation.html".to_owned()),
        ..InvitationSendEmailRequest::new(vec![address.into()])
    };
    stages_invitation_invitations_send_email_create(admin, pk, to(&address)).await.unwrap();
    let refused = stages_invitation_invitations_send_email_create(admin, pk, to("nobody")).await;
    let error = r#"{"email_addresses":["“nobody” is not a valid email address."]}"#;
    assert_eq!(refusal(refused), (400, error.to_owned()));
    if let Ok(inbox) = var("INBOX") {
        let mail = (0..600).find_map(|_| {
            sleep(Duration::from_millis(50));
            read_to_string(format!("{inbox}/{address}")).ok()
        });
        assert!(mail.expect("no mail").contains(&format!("itoken={pk}")));
    }
    stages_invitation_invitations_destroy(admin, pk).await.unwrap();
    flows_instances_destroy(admin, &flow.slug).await.unwrap();
}

async fn new_flow() -> Flow {
    let name = unique();
    let request = FlowRequest::new(name.clone(), name.clone(), name, FlowDesignationEnum::Enrollment);
    flows_instances_create(&admin(), request).await.unwrap()
}

#[tokio::test]
#[rustfmt::skip]
async fn flow() {
    let admin = &admin();
    let flow = new_flow().await;
    let listed = flows_instances_list(admin, None, None, None, None, None, None, None, None, Some(&flow.slug));
    assert_eq!(listed.await.unwrap().results, [flow.clone()]);
    assert_eq!(flows_instances_retrieve(admin, &flow.slug).await.unwrap(), flow);
    flows_instances_destroy(admin, &flow.slug).await.unwrap();
}

#[tokio::test]
#[rustfmt::skip]
async fn binding() {
    let admin = &admin();
    let flow = new_flow().await;
    let stage = stages_email_create(admin, EmailStageRequest::new(unique())).await.unwrap();
    let request = FlowStageBindingRequest::new(flow.pk, stage.pk, 10);
    let binding = flows_bindings_create(admin, request).await.unwrap();
    let target = flow.pk.to_string();
    let listed = flows_bindings_list(
        admin, None, None, None, None, None, None, None, None, None, None, None, None, None, Some(&target),
    );
    let rows = listed.await.unwrap().results;
    assert_eq!(rows, [flows_bindings_retrieve(admin, &binding.pk.to_string()).await.unwrap()]);
    assert_eq!(rows[0].stage_obj.component, stage.component);
    flows_instances_destroy(admin, &flow.slug).await.unwrap();
    stages_email_destroy(admin, &stage.pk.to_string()).await.unwrap();
}

#[tokio::test]
#[rustfmt::skip]
async fn group() {
    let admin = &admin();
    let group = core_groups_create(admin, GroupRequest::new(unique())).await.unwrap();
    let name = Some(group.name.as_str());
    let listed = core_groups_list(
        admin, None, None, None, None, None, None, None, None, name, None, None, None, None,
    );
    assert_eq!(listed.await.unwrap().results, [group.clone()]);
    core_groups_destroy(admin, &group.pk.to_string()).await.unwrap();
}

#[tokio::test]
#[rustfmt::skip]
async fn token() {
    let admin = &admin();
    let token = core_tokens_create(admin, TokenRequest::new(unique())).await.unwrap();
    let identifier = token.identifier.as_str();
    let listed = core_tokens_list(
        admin, None, None, None, Some(identifier), None, None, None, None, None, None, None,
    );
    assert_eq!(listed.await.unwrap().results, [token.clone()]);
    let key = core_tokens_view_key_retrieve(admin, identifier).await.unwrap().key;
    assert_eq!(core_users_me_retrieve(&client(&key)).await.unwrap().user.username, "akadmin");
    core_tokens_destroy(admin, identifier).await.unwrap();
}

#[tokio::test]
async fn stage() {
    let admin = &admin();
    let made = stages_email_create(admin, EmailStageRequest::new(unique())).await.unwrap();
    let pk = made.pk.to_string();
    let listed = stages_all_list(admin, Some(&made.name), None, None, None, None).await.unwrap().results;
    assert_eq!(listed, [stages_all_retrieve(admin, &pk).await.unwrap()]);
    assert_eq!(listed[0].component, made.component);
    let types = stages_all_types_list(&plain()).await.unwrap();
    assert!(types.iter().any(|row| row.component == made.component));
    stages_all_destroy(admin, &pk).await.unwrap();
    assert_eq!(refusal(stages_email_retrieve(admin, &pk).await).0, 404);
}

#[tokio::test]
#[rustfmt::skip]
async fn user() {
    let admin = &admin();
    let user = core_users_create(admin, UserRequest::new(unique(), "Jane Doe".to_owned())).await.unwrap();
    let username = Some(user.username.as_str());
    let listed = core_users_list(
        admin, None, None, None, None, None, None, None, None, None, None, None, None, None, None, None,
        None, None, None, None, None, None, None, None, None, None, None, None, None, username, None,
    );
    assert_eq!(listed.await.unwrap().results, [user.clone()]);
    assert_eq!(core_users_retrieve(admin, user.pk).await.unwrap(), user);
    let patch = PatchedUserRequest { is_active: Some(false), ..PatchedUserRequest::new() };
    let patched = core_users_partial_update(admin, user.pk, Some(patch)).await.unwrap();
    assert_eq!((patched.username, patched.is_active), (user.username, Some(false)));
    core_users_destroy(admin, user.pk).await.unwrap();
    assert_eq!(core_users_me_retrieve(admin).await.unwrap().user.username, "akadmin");
}

#[tokio::test]
async fn server() {
    assert!(!root_config_retrieve(&plain()).await.unwrap().error_reporting.enabled);
    assert!(!admin_version_retrieve(&plain()).await.unwrap().outdated);
}
