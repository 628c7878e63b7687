//! [`Declaration`]: what there is to say about a resource, said once, as a value.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::field::{Field, FieldKind, Fields, Key};
use super::params::{Filter, Order, Query};
use super::permission::Model;
use super::python;
use super::search::Searched;

/// A resource: names, fields, and how lists of it are filtered, searched and sorted. Texts of SQL name the resource's
/// table `t` and its parent table `p`.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// Names and permissions.
    pub model: Model,
    /// The path below the API's prefix, such as `/stages/email/`.
    pub path: &'static str,
    /// The stem of the operation ids, such as `stages_email`.
    pub operation: &'static str,
    /// The viewset's name in an `OPTIONS` answer, such as `Email Stage`.
    pub view_name: &'static str,
    /// The name of its component in the OpenAPI document, such as `EmailStage`.
    pub component: &'static str,
    /// Where the rows stand.
    pub table: Table,
    /// The type of their key.
    pub key: Key,
    /// The fields, in the order in which answers print them.
    pub fields: Fields,
    /// How a path names one object.
    pub lookup: Lookup,
    /// Query parameters beside those of the fields.
    pub filters: &'static [Filter],
    /// The search grammar that a list's `autocomplete` describes: of the few that have one.
    pub autocomplete: Option<fn() -> Map<String, Value>>,
    /// Boolean query parameters that say what else to show, with their defaults.
    pub includes: &'static [(&'static str, bool)],
    /// SQL for the rows that clients may meet at all.
    pub rows: &'static str,
    /// What `?search=` looks through.
    pub search: &'static [Searched],
    /// The order where the query names none.
    pub default_order: &'static [Order],
    /// Names for `?ordering=` that are no field, with their SQL.
    pub order_expressions: &'static [(&'static str, &'static str)],
    /// SELECT expressions for what the row holds beside its fields, each with a comma in front; in parts that others may
    /// have, too.
    pub extra_columns: &'static [&'static str],
    /// The most rows that a client may ask for in a page, where that is fewer than the installation's.
    pub max_page_size: Option<i64>,
}

impl Declaration {
    /// What a declaration says of itself where it says nothing else.
    pub const fn of(model: Model, table: Table) -> Self {
        Self {
            model,
            path: "",
            operation: "",
            view_name: model.name,
            component: model.name,
            table,
            key: Key::Uuid,
            fields: Fields::NONE,
            lookup: Lookup { parameter: "", expression: "", kind: LookupKind::Text, description: "" },
            filters: &[],
            autocomplete: None,
            includes: &[],
            rows: "TRUE",
            search: &[],
            default_order: &[],
            order_expressions: &[],
            extra_columns: &[],
            max_page_size: None,
        }
    }

    /// Whether the query asks for one of the [`Self::includes`]: `true` in any case does, anything else not.
    pub fn included(&self, query: &Query, name: &str) -> bool {
        let default = self.includes.iter().any(|(include, default)| *include == name && *default);
        query.last(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// The fields that the row itself holds.
    pub fn columns(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| {
            field.readable() && field.in_a_table() && !matches!(field.kind, FieldKind::Nested { .. })
        })
    }
}

/// Where a resource's rows stand.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The table (alias `t`).
    pub name: &'static str,
    /// Its primary key.
    pub pk: &'static str,
    /// The parent of Django's multi-table inheritance.
    pub parent: Option<Parent>,
    /// LEFT JOINs on keys that extra columns and filters need: PostgreSQL drops one that a statement doesn't use.
    pub joins: &'static str,
}

impl Table {
    /// The column that links a row to its parent, where that has a key of its own.
    pub fn link(&self) -> Option<&'static str> {
        self.parent.filter(|parent| parent.link != self.pk).map(|parent| parent.link)
    }
}

/// A parent table (alias `p`).
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// The table.
    pub name: &'static str,
    /// Its primary key.
    pub pk: &'static str,
    /// The child's column that points at it.
    pub link: &'static str,
}

/// How a path names one object.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// The path parameter in the OpenAPI document.
    pub parameter: &'static str,
    /// The SQL that must equal it.
    pub expression: &'static str,
    /// What the text has to be.
    pub kind: LookupKind,
    /// The parameter's description in the OpenAPI document.
    pub description: &'static str,
}

/// What a path parameter has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// A UUID in any spelling Python takes.
    Uuid,
    /// Any text.
    Text,
    /// An integer.
    Integer,
}

/// A path parameter, read as [`LookupKind`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKey {
    /// A UUID.
    Uuid(Uuid),
    /// A slug or an identifier.
    Text(String),
    /// A number.
    Integer(i32),
}

impl PathKey {
    /// `None` where the text can't be a key of this kind.
    pub fn read(kind: LookupKind, text: &str) -> Option<Self> {
        match kind {
            LookupKind::Uuid => python::uuid(text).map(Self::Uuid),
            LookupKind::Text => (!text.contains('\0')).then(|| Self::Text(text.to_owned())),
            LookupKind::Integer => {
                python::int(text).and_then(|number| i32::try_from(number).ok()).map(Self::Integer)
            }
        }
    }
}
