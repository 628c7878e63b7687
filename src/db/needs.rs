//! [`Needs`]: which tables and columns the server needs, and what for. Most of it follows from the declarations of
//! resources; statements beside those say what they need where they stand, as a [`Need`]. The check of authentik's schema
//! and the privileges of the database role follow from it.

use std::collections::{BTreeMap, BTreeSet};

use drf::Declaration;
use drf::action::{Action, Effect, Method};
use drf::field::{FieldKind, Key, Place, Schema};

/// What a role may be granted on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// `SELECT`
    Select,
    /// `INSERT`
    Insert,
    /// `UPDATE`, which locking a row takes too.
    Update,
    /// `DELETE`
    Delete,
}

impl Privilege {
    /// As SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// What statements beside the declarations need of a table.
#[derive(Debug)]
pub struct Need {
    /// The table; a layout may put another name in place of `{…}`.
    pub table: &'static str,
    /// What the database role has to be granted on it.
    pub privileges: &'static [Privilege],
    /// The columns, as SQL spells them, each with its type behind and commas between; `text` stands for `varchar` too.
    pub columns: &'static str,
}

impl Need {
    /// Rows are read.
    pub const fn read(table: &'static str, columns: &'static str) -> Self {
        Self { table, privileges: &[Privilege::Select], columns }
    }
}

/// What is needed of a table, all in all.
#[derive(Debug, Clone, Default)]
pub struct Needed {
    /// The columns, as SQL spells them, with their types.
    pub columns: BTreeMap<&'static str, &'static str>,
    /// Those of them that may be read.
    pub read: BTreeSet<&'static str>,
    /// Whether rows are inserted: no other column may be required then.
    pub is_inserted: bool,
    /// What the database role has to be granted.
    pub privileges: BTreeSet<Privilege>,
}

impl Needed {
    fn add(&mut self, column: &'static str, kind: &'static str, read: bool) {
        let other = self.columns.insert(column, kind).filter(|other| *other != kind);
        debug_assert_eq!(other, None, "{column} is {kind}");
        if read {
            self.read.insert(column);
        }
    }
}

/// All that is needed.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// The tables; a layout may put another name in place of `{…}`.
    pub tables: BTreeMap<&'static str, Needed>,
    /// Tables that are read only where they are there, and the role may.
    pub optional: BTreeSet<&'static str>,
}

impl Needs {
    /// What statements say of themselves.
    pub fn extend(&mut self, needs: &[Need]) {
        for need in needs {
            let needed = self.table(need.table, need.privileges, true);
            for column in need.columns.split(", ") {
                let (name, kind) = column.split_once(' ').unwrap_or((column, "")); // which no column is of
                needed.add(name, kind, true);
            }
        }
    }

    /// What follows from the declaration of a resource and its actions: its table and the parent's with a column a
    /// field, and the tables that its fields point at or are linked by. Internal fields are never read.
    /// `writing_is_granted` says whether the role is to be granted what writing takes.
    pub fn add_resource<'a>(
        &mut self,
        declared: &Declaration,
        actions: impl Iterator<Item = &'a Action>,
        writing_is_granted: bool,
    ) {
        const LINKED: [Privilege; 3] = [Privilege::Select, Privilege::Insert, Privilege::Delete];
        let (table, fields) = (declared.table, declared.fields);
        let rows: Vec<Privilege> = actions.flat_map(privileges).copied().chain([Privilege::Select]).collect();
        self.table(table.name, &rows, writing_is_granted);
        if let Some(parent) = table.parent {
            self.table(table.name, &[], true).add(parent.link, "uuid", true);
            self.table(parent.name, &rows, writing_is_granted).add(parent.pk, "uuid", true);
        }
        for field in fields.iter() {
            let place = match field.place {
                Place::Own => Some(table.name),
                Place::Parent => table.parent.map(|parent| parent.name),
                Place::Nowhere => None,
            };
            if let (Some(place), Some(kind)) = (place, column_type(field.kind)) {
                self.table(place, &[], true).add(field.column, kind, !field.internal);
            }
            if let FieldKind::ForeignKey(target) | FieldKind::Many(target, _) = field.kind {
                let needed = self.table(target.table, &[Privilege::Select], true);
                needed.add(target.pk, key_type(target.key), true);
            }
            if let FieldKind::Many(target, through) = field.kind {
                let pk = fields.iter().find(|field| field.place == Place::Own && field.column == table.pk);
                let needed = self.table(through.table, &LINKED, writing_is_granted);
                let (key, kind) = through.key.map_or(("id", "integer"), |key| (key, "uuid"));
                needed.add(key, kind, true);
                needed.add(through.held, key_type(target.key), true);
                if let Some(kind) = pk.and_then(|pk| column_type(pk.kind)) {
                    needed.add(through.holder, kind, true);
                }
            }
        }
    }

    fn table(&mut self, name: &'static str, used: &[Privilege], writing_is_granted: bool) -> &mut Needed {
        let needed = self.tables.entry(name).or_default();
        needed.is_inserted |= used.contains(&Privilege::Insert);
        let granted = |privilege: &&Privilege| writing_is_granted || **privilege == Privilege::Select;
        needed.privileges.extend(used.iter().filter(granted));
        needed
    }
}

/// What an action does to the rows of its resource's table. One that writes locks the object first.
fn privileges(action: &Action) -> &'static [Privilege] {
    match (action.effect, action.method) {
        (Effect::Reads, _) | (_, Method::Get) => &[],
        (_, Method::Delete) => &[Privilege::Update, Privilege::Delete],
        _ if action.route.detail => &[Privilege::Update],
        _ => &[Privilege::Insert],
    }
}

/// The type of a field's column, if it has one.
fn column_type(kind: FieldKind) -> Option<&'static str> {
    Some(match kind {
        FieldKind::Uuid | FieldKind::Computed(Schema::Uuid) => "uuid",
        FieldKind::Text
        | FieldKind::Slug
        | FieldKind::Email
        | FieldKind::Choice(_)
        | FieldKind::Computed(Schema::String) => "text",
        FieldKind::Integer { .. } | FieldKind::Serial | FieldKind::Computed(Schema::Integer) => "integer",
        FieldKind::Boolean | FieldKind::Computed(Schema::Boolean) => "boolean",
        FieldKind::DateTime | FieldKind::Computed(Schema::DateTime) => "timestamptz",
        FieldKind::Dictionary | FieldKind::Computed(Schema::Object) => "jsonb",
        FieldKind::ForeignKey(target) => key_type(target.key),
        // Its key stands in the column.
        FieldKind::Nested { fields, .. } => column_type(fields.get("pk")?.kind)?,
        FieldKind::List
        | FieldKind::Texts
        | FieldKind::Many(..)
        | FieldKind::Computed(Schema::Uuids | Schema::Strings) => {
            return None;
        }
    })
}

/// The type of a key's column.
const fn key_type(key: Key) -> &'static str {
    match key {
        Key::Uuid => "uuid",
        Key::Integer => "integer",
    }
}
