//! What `str()` calls objects that are known by their model and their key.

use std::collections::{BTreeMap, HashMap};

use drf::permission::Model;
use sqlx::PgConnection;

use super::used_by::{BINDING_NAME, FLOW_NAME, GROUP_NAME, INVITATION_NAME, ROLE_NAME, STAGE_NAME};
use crate::db::Sql;
use crate::error::ApiError;
use crate::views::Context;

/// Objects of a model: SQL for the name, for the key and for FROM.
struct Named {
    model: Model,
    name: &'static str,
    key: &'static str,
    from: &'static str,
}

const fn named(
    (app_label, model): (&'static str, &'static str),
    name: &'static str,
    key: &'static str,
    from: &'static str,
) -> Named {
    Named { model: Model { app_label, name: model, model }, name, key, from }
}

/// A stage, by the table of its type.
const fn stage(model: (&'static str, &'static str), from: &'static str) -> Named {
    named(model, STAGE_NAME, "s.stage_uuid", from)
}

const NAMED: [Named; 9] = [
    named(("authentik_core", "group"), GROUP_NAME, "g.group_uuid", "authentik_core_group g"),
    named(("authentik_core", "user"), "u.username", "u.id", "authentik_core_user u"),
    named(("authentik_flows", "flow"), FLOW_NAME, "f.flow_uuid", "authentik_flows_flow f"),
    named(
        ("authentik_flows", "flowstagebinding"),
        BINDING_NAME,
        "b.fsb_uuid",
        "authentik_flows_flowstagebinding b",
    ),
    named(("authentik_rbac", "role"), ROLE_NAME, "r.uuid", "authentik_rbac_role r"),
    stage(
        ("authentik_stages_email", "emailstage"),
        "authentik_stages_email_emailstage t JOIN authentik_flows_stage s ON s.stage_uuid = t.stage_ptr_id",
    ),
    named(
        ("authentik_stages_invitation", "invitation"),
        INVITATION_NAME,
        "i.invite_uuid",
        "authentik_stages_invitation_invitation i",
    ),
    stage(
        ("authentik_stages_invitation", "invitationstage"),
        "authentik_stages_invitation_invitationstage t JOIN authentik_flows_stage s ON s.stage_uuid = t.stage_ptr_id",
    ),
    stage(
        ("authentik_stages_user_write", "userwritestage"),
        "authentik_stages_user_write_userwritestage t JOIN authentik_flows_stage s ON s.stage_uuid = t.stage_ptr_id",
    ),
];

/// What objects are called, by the label of their model and their key as permissions on them spell it: as far as they are
/// there, of a model that is known here, and the caller may view them.
///
/// # Errors
/// The database failed.
pub async fn find(
    context: Context<'_>,
    connection: &mut PgConnection,
    objects: impl Iterator<Item = (String, String)>,
) -> Result<HashMap<(String, String), String>, ApiError> {
    let mut by_model: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (model, key) in objects {
        by_model.entry(model).or_default().push(key);
    }
    let mut found = HashMap::new();
    for (label, keys) in by_model {
        let Some(named) = NAMED.iter().find(|named| named.model.label() == label) else { continue };
        let visible = context.caller.visible(connection, &named.model, keys.clone()).await?;
        let mut query = Sql::new("SELECT ");
        query.push(format_args!("{key}::text, {} FROM {} ", named.name, named.from, key = named.key));
        query.push(format_args!("WHERE {}::text = ANY(", named.key)).bind(keys).push(")");
        let rows: Vec<(String, String)> = query.build_query_as().fetch_all(&mut *connection).await?;
        let seen = |key: &String| visible.as_ref().is_none_or(|visible| visible.contains(key));
        let rows = rows.into_iter().filter(|(key, _)| seen(key));
        found.extend(rows.map(|(key, name)| ((label.clone(), key), name)));
    }
    Ok(found)
}
