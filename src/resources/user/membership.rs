//! The groups that a user is in, and what their attributes come to.

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::db::{Dictionary, Layout, Sql};
use crate::error::ApiError;

/// A group that a user is in, directly or through a group below it.
#[derive(Debug, Serialize, FromRow)]
pub struct Membership {
    name: String,
    pk: Uuid,
    #[serde(skip)]
    attributes: Dictionary,
}

/// All groups of a user, by name.
///
/// # Errors
/// The database failed.
pub async fn all_groups(
    layout: &Layout,
    connection: &mut PgConnection,
    user: i32,
) -> Result<Vec<Membership>, ApiError> {
    let mut query = Sql::new("WITH RECURSIVE up (id) AS (SELECT m.group_id FROM ");
    query.push(layout.user_groups()).push(" m WHERE m.user_id = ").bind(user).push(
        " UNION SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
         ) SELECT g.name, g.group_uuid AS pk, g.attributes FROM up \
         JOIN authentik_core_group g ON g.group_uuid = up.id ORDER BY g.name",
    );
    Ok(query.build_query_as().fetch_all(connection).await?)
}

/// One of authentik's `group_attributes`: that of all groups and then a user's own, one merged into the other. Objects are
/// merged key by key, lists appended; of anything else the later one counts.
///
/// # Errors
/// 400 for one that takes more than an answer may.
pub fn group_attribute(
    groups: &[Membership],
    own: &Dictionary,
    name: &str,
) -> Result<Option<Value>, ApiError> {
    let mut merged = Map::new();
    for attributes in groups.iter().map(|group| &group.attributes).chain([own]) {
        if let Some(value) = attributes.member(name)? {
            merge(&mut merged, Map::from_iter([(name.to_owned(), value)]));
        }
    }
    Ok(merged.remove(name))
}

fn merge(merged: &mut Map<String, Value>, next: Map<String, Value>) {
    for (key, value) in next {
        match (merged.get_mut(&key), value) {
            (Some(Value::Object(merged)), Value::Object(next)) => merge(merged, next),
            (Some(Value::Array(merged)), Value::Array(next)) => merged.extend(next),
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Dictionary, Membership, group_attribute};

    #[test]
    fn attributes_are_merged_from_the_groups_to_the_user() {
        let dictionary = |value: Value| Dictionary::of(value.to_string()).unwrap();
        let group = |attributes| Membership {
            name: String::new(),
            pk: Uuid::nil(),
            attributes: dictionary(attributes),
        };
        let groups = [
            group(
                json!({ "a": 1, "list": [1], "settings": { "theme": "dark", "layout": { "type": "row" } } }),
            ),
            group(json!({ "a": 2, "b": {}, "list": [2, 1], "settings": { "theme": "light" } })),
        ];
        let own = dictionary(json!({ "b": null, "list": [3], "settings": { "layout": { "wide": true } } }));
        for (name, expected) in [
            ("a", Some(json!(2))),
            ("b", Some(Value::Null)),
            ("c", None),
            ("list", Some(json!([1, 2, 1, 3]))),
            ("settings", Some(json!({ "theme": "light", "layout": { "type": "row", "wide": true } }))),
        ] {
            assert_eq!(group_attribute(&groups, &own, name).unwrap(), expected, "{name}");
        }
    }
}
