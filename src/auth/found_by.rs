//! By what a caller is found, and the statement that does it.

use sqlx::PgConnection;

use super::{Caller, Tenant};
use crate::db::{Layout, Need, Sql};
use crate::error::ApiError;

/// The table of the access tokens of OAuth 2.0.
pub(super) const ACCESS_TOKENS: &str = "authentik_providers_oauth2_accesstoken";
/// The table of outposts.
pub(super) const OUTPOSTS: &str = "authentik_outposts_outpost";

/// What is read of credentials, users, groups and roles.
pub(super) const NEEDS: &[Need] = &[
    Need::read(
        "authentik_core_token",
        "key text, intent text, user_id integer, expiring boolean, expires timestamptz",
    ),
    Need::read("authentik_core_user", "id integer, username text, email text, type text, is_active boolean"),
    Need::read("{user_groups}", "user_id integer, group_id uuid"),
    Need::read("authentik_core_group", "group_uuid uuid, is_superuser boolean"),
    Need::read("authentik_core_groupparentage", "child_id uuid, parent_id uuid"),
    Need::read("authentik_core_group_roles", "group_id uuid, role_id uuid"),
    Need::read("authentik_core_user_roles", "user_id integer, role_id uuid"),
    Need::read("guardian_rolemodelpermission", "permission_id integer, role_id uuid"),
];

/// What is read of credentials that only an authentik gives.
pub(super) const NEEDS_OF_AUTHENTIKS: &[Need] = &[
    Need::read(
        ACCESS_TOKENS,
        "id integer, token text, _scope text, user_id integer, expiring boolean, expires timestamptz, revoked boolean",
    ),
    Need::read(OUTPOSTS, "uuid uuid, managed text"),
];

/// What is selected of a user who needs no credentials of the database's.
const WITHOUT_TOKEN: &str =
    "TRUE AS is_for_api, NULL::timestamptz AS token_expires FROM authentik_core_user u WHERE ";

/// By what a caller is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum FoundBy<'a> {
    /// The key of an API token.
    Token(&'a str),
    /// The text of an access token of OAuth 2.0, whichever form it has.
    AccessToken(&'a str),
    /// The service account of the outpost that authentik brings along.
    EmbeddedOutpost,
    /// `authentik_core_user.id`
    Id(i32),
    /// The login name.
    Username(&'a str),
}

impl FoundBy<'_> {
    /// Find the caller, who may still be inactive, or have credentials that have ended or are for something else.
    pub(super) async fn find(
        self,
        connection: &mut PgConnection,
        layout: &Layout,
        host: &str,
    ) -> Result<Option<Caller>, ApiError> {
        let (tenant_columns, tenant_joins) = Tenant::sql(layout);
        let mut query = Sql::new("WITH RECURSIVE host (name) AS (SELECT ");
        query.bind(host).push(
            "), caller AS (\
               SELECT u.id, u.username, u.email, u.type, u.is_active, pg_current_snapshot()::text AS snapshot, ",
        );
        self.push(&mut query);
        query
            .push(
                "), groups (id) AS (\
               SELECT m.group_id FROM caller JOIN ",
            )
            .push(layout.user_groups())
            .push(
                " m ON m.user_id = caller.id UNION \
               SELECT a.parent_id FROM groups JOIN authentik_core_groupparentage a ON a.child_id = groups.id\
             ), roles (id) AS (\
               SELECT r.role_id FROM caller JOIN authentik_core_user_roles r ON r.user_id = caller.id UNION \
               SELECT r.role_id FROM groups JOIN authentik_core_group_roles r ON r.group_id = groups.id\
             ) SELECT caller.*, \
               EXISTS (SELECT 1 FROM groups JOIN authentik_core_group g ON g.group_uuid = groups.id \
                 WHERE g.is_superuser) AS superuser, \
               ARRAY(SELECT id FROM roles) AS roles, \
               ARRAY(SELECT c.app_label || '.' || p.codename FROM roles \
                 JOIN guardian_rolemodelpermission m ON m.role_id = roles.id \
                 JOIN auth_permission p ON p.id = m.permission_id \
                 JOIN django_content_type c ON c.id = p.content_type_id) AS permissions",
            );
        query.push(tenant_columns).push(" FROM caller").push(tenant_joins);
        let caller: Option<Caller> = query.build_query_as().fetch_optional(connection).await?;
        Ok(caller.map(Caller::indexed))
    }

    /// The columns that tell of the credentials, and the rest of the statement that finds the user `u` by them.
    fn push(self, query: &mut Sql) {
        match self {
            Self::Token(key) => {
                query.push(
                    "k.intent = 'api' AS is_for_api, CASE WHEN k.expiring THEN k.expires END AS token_expires \
                     FROM authentik_core_token k JOIN authentik_core_user u ON u.id = k.user_id WHERE k.key = ",
                );
                query.bind(key);
            }
            Self::AccessToken(token) => {
                query.push(
                    "'goauthentik.io/api' = ANY(regexp_split_to_array(k._scope, '\\s+')) AS is_for_api, \
                       CASE WHEN k.expiring THEN k.expires END AS token_expires \
                     FROM authentik_providers_oauth2_accesstoken k JOIN authentik_core_user u ON u.id = k.user_id \
                     WHERE NOT k.revoked AND k.token = ",
                );
                query.bind(token).push(" ORDER BY k.id LIMIT 1");
            }
            Self::EmbeddedOutpost => {
                query.push(
                    "TRUE AS is_for_api, NULL::timestamptz AS token_expires FROM authentik_outposts_outpost o \
                     JOIN authentik_core_user u ON u.username = 'ak-outpost-' || replace(o.uuid::text, '-', '') \
                     WHERE o.managed = 'goauthentik.io/outposts/embedded'",
                );
            }
            Self::Id(id) => {
                query.push(WITHOUT_TOKEN).push("u.id = ").bind(id);
            }
            Self::Username(username) => {
                query.push(WITHOUT_TOKEN).push("u.username = ").bind(username);
            }
        }
    }
}
