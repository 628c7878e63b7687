//! `stages/all/user_settings/`: the stages that users can set up for themselves. They are of types that only authentik
//! has, so on our own database there is none.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::contract::stage_types::StageType;
use crate::db::{Layout, Sql};
use crate::error::ApiError;

/// A type of stages that users can set up.
struct Configurable {
    /// Its model in lower case.
    model: &'static str,
    /// The element of authentik's web interface that shows its settings.
    component: &'static str,
    /// An authenticator has a friendly name, and is listed even without a flow that sets it up. A password stage has
    /// no such name, and is not.
    is_authenticator: bool,
}

const fn authenticator(model: &'static str, component: &'static str) -> Configurable {
    Configurable { model, component, is_authenticator: true }
}

/// All of them, in the order of authentik's answer: that of their classes' names.
const CONFIGURABLE: [Configurable; 8] = [
    authenticator("authenticatorduostage", "ak-user-settings-authenticator-duo"),
    authenticator("authenticatoremailstage", "ak-user-settings-authenticator-email"),
    authenticator("authenticatorendpointgdtcstage", "ak-user-settings-authenticator-endpoint"),
    authenticator("authenticatorsmsstage", "ak-user-settings-authenticator-sms"),
    authenticator("authenticatorstaticstage", "ak-user-settings-authenticator-static"),
    authenticator("authenticatortotpstage", "ak-user-settings-authenticator-totp"),
    authenticator("authenticatorwebauthnstage", "ak-user-settings-authenticator-webauthn"),
    Configurable { model: "passwordstage", component: "ak-user-settings-password", is_authenticator: false },
];

/// A stage that users can set up. authentik doesn't send these keys in the order in which it documents them.
#[derive(Debug, Serialize)]
pub struct UserSetting {
    title: String,
    component: &'static str,
    object_uid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    configure_url: Option<String>,
}

/// A row of a configurable type.
#[derive(FromRow)]
struct Row {
    place: i32,
    stage: Uuid,
    friendly_name: String,
    has_flow: bool,
}

/// What users can set up, by type and name. Whoever asks may see all of it, as in authentik. Tables that aren't there, or
/// that the database role may not read, have none.
///
/// # Errors
/// The database failed.
pub async fn find(layout: &Layout, connection: &mut PgConnection) -> Result<Vec<UserSetting>, ApiError> {
    let types: Vec<(&Configurable, &StageType, &str)> = CONFIGURABLE
        .iter()
        .filter_map(|configurable| {
            let mut tables = layout.stage_tables().iter();
            let (stage_type, table) = tables.find(|(found, _)| found.model.model == configurable.model)?;
            layout.reads(table).then_some((configurable, *stage_type, table.as_str()))
        })
        .collect();
    if types.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Sql::new("");
    for (place, (configurable, _, table)) in types.iter().enumerate() {
        let (friendly_name, listed) = if configurable.is_authenticator {
            ("t.friendly_name", "TRUE")
        } else {
            ("''", "t.configure_flow_id IS NOT NULL")
        };
        query.push(if place > 0 { " UNION ALL " } else { "" });
        query.push(format_args!(
            "SELECT {place} AS place, s.name, s.stage_uuid AS stage, coalesce({friendly_name}, '') AS friendly_name, \
               t.configure_flow_id IS NOT NULL AS has_flow \
             FROM {table} t JOIN authentik_flows_stage s ON s.stage_uuid = t.stage_ptr_id WHERE {listed}"
        ));
    }
    query.push(" ORDER BY place, name");
    let rows: Vec<Row> = query.build_query_as().fetch_all(connection).await?;
    let setting = |row: Row| {
        let (configurable, stage_type, _) = types.get(usize::try_from(row.place).ok()?)?;
        let is_named = !row.friendly_name.is_empty();
        Some(UserSetting {
            title: if is_named { row.friendly_name } else { stage_type.verbose_name.to_owned() },
            component: configurable.component,
            object_uid: row.stage,
            configure_url: row.has_flow.then(|| format!("/flows/-/configure/{}/", row.stage)),
        })
    };
    Ok(rows.into_iter().filter_map(setting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::stage_types;

    #[test]
    fn every_configurable_type_is_a_type_of_stages() {
        for configurable in &CONFIGURABLE {
            let is_known = stage_types::ALL.iter().any(|known| known.model.model == configurable.model);
            assert!(is_known, "{}", configurable.model);
        }
    }
}
