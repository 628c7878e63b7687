//! [`Field`]: one line of a resource's declaration. Reading, writing, filtering, ordering, the OpenAPI document and
//! the `OPTIONS` answer all follow from it.

use super::messages;
use super::permission::Model;

/// A version of the API that a server speaks: any number that grows with it. What it stands for is the server's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

/// The values that a choice field takes, with the names people read.
#[derive(Debug)]
pub struct Choices {
    /// The enum's name in the OpenAPI document, such as `UserTypeEnum`.
    pub name: &'static str,
    /// `(value, display name)` in the order in which they are declared.
    pub values: &'static [(&'static str, &'static str)],
    /// The values that came with a version: an older API does not know them.
    pub since: &'static [(&'static str, Version)],
}

impl Choices {
    /// The choices of a version.
    pub fn of(&self, version: Version) -> impl Iterator<Item = &(&'static str, &'static str)> {
        let known = move |value| self.since.iter().all(|(newer, since)| *newer != value || *since <= version);
        self.values.iter().filter(move |(value, _)| known(*value))
    }

    /// Whether `value` is one of a version's choices, to the letter.
    pub fn contains(&self, value: &str, version: Version) -> bool {
        self.of(version).any(|(choice, _)| *choice == value)
    }
}

/// The table that a foreign key points at.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Table name.
    pub table: &'static str,
    /// Its primary key.
    pub pk: &'static str,
    /// The type of that key.
    pub key: Key,
    /// The model of its rows: who may view them may name them.
    pub model: Model,
}

/// The table between two others that holds a many-to-many field.
#[derive(Debug, Clone, Copy)]
pub struct Through {
    /// The table; a layout may put another name in place of `{…}`.
    pub table: &'static str,
    /// The column of the object that is written.
    pub holder: &'static str,
    /// The column of what it holds.
    pub held: &'static str,
    /// The column of a UUID key of its own, where the database counts none.
    pub key: Option<&'static str>,
}

/// The type of a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `uuid`
    Uuid,
    /// `integer`
    Integer,
}

/// What a field holds: its JSON shape, its coercion and its PostgreSQL type.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// A UUID (`uuid`).
    Uuid,
    /// Text (`text`, `varchar`); DRF's `CharField`.
    Text,
    /// Text that must be a slug: DRF's `SlugField`, or its `CharField` with Django's `validate_slug`.
    Slug,
    /// Text that must be an email address; DRF's `EmailField`.
    Email,
    /// A 32-bit integer within these bounds (`integer`).
    Integer {
        /// Smallest value.
        min: i32,
        /// Largest value.
        max: i32,
    },
    /// An integer that the database counts up: a key.
    Serial,
    /// `boolean`
    Boolean,
    /// One of a closed set of texts.
    Choice(&'static Choices),
    /// `timestamp with time zone`
    DateTime,
    /// A JSON object (`jsonb`).
    Dictionary,
    /// A list of anything, of an action's own body.
    List,
    /// A list of texts, of an action's own body; DRF's `ListField` of `CharField`s.
    Texts,
    /// The key of a row of another table.
    ForeignKey(&'static Target),
    /// Keys of rows of another table, kept in a table between the two.
    Many(&'static Target, &'static Through),
    /// Objects inside this one.
    Nested {
        /// The component's name in the OpenAPI document.
        component: &'static str,
        /// The fields of each object.
        fields: Fields,
        /// A list of them, or one.
        many: bool,
    },
    /// Computed text, such as `component`; DRF's `SerializerMethodField`.
    Computed(Schema),
}

/// The OpenAPI type of a computed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `string`
    String,
    /// `string`, format `uuid`
    Uuid,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
    /// `string`, format `date-time`
    DateTime,
    /// A list of UUIDs.
    Uuids,
    /// A list of strings.
    Strings,
    /// An object with any keys.
    Object,
}

/// What an INSERT writes where the request left the field out. No column has a default of its own: the same SQL must
/// serve tables that Django made, which drops the defaults that it declares.
#[derive(Debug, Clone, Copy)]
pub enum DefaultValue {
    /// There is none: the field is required, or the resource sets it.
    None,
    /// `NULL`
    Null,
    /// A text.
    Text(&'static str),
    /// A number.
    Integer(i32),
    /// A boolean.
    Boolean(bool),
    /// `{}`
    EmptyObject,
}

/// Where a field's column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the resource's own table (alias `t`).
    Own,
    /// In the parent table of Django's multi-table inheritance (alias `p`).
    Parent,
    /// In no table of this row: loaded or computed.
    Nowhere,
}

/// The fields of an object, in the order in which answers print them.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    inherited: &'static [Field],
    own: &'static [Field],
}

impl Fields {
    /// No field.
    pub const NONE: Self = Self::new(&[]);

    /// These.
    pub const fn new(own: &'static [Field]) -> Self {
        Self { inherited: &[], own }
    }

    /// Those of a base model, and behind them these.
    pub const fn extending(inherited: &'static [Field], own: &'static [Field]) -> Self {
        Self { inherited, own }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'static Field> {
        self.inherited.iter().chain(self.own)
    }

    /// The one with this name.
    pub fn get(self, name: &str) -> Option<&'static Field> {
        self.iter().find(|field| field.name == name)
    }
}

/// One field of a resource.
#[derive(Debug, Clone, Copy)]
#[must_use = "a field declares something only as part of a field table"]
pub struct Field {
    /// The key in requests and answers.
    pub name: &'static str,
    /// The column.
    pub column: &'static str,
    /// Where the column stands.
    pub place: Place,
    /// Its type.
    pub kind: FieldKind,
    /// Must be in the body of POST and PUT.
    pub required: bool,
    /// May be `null`.
    pub nullable: bool,
    /// May be `""`.
    pub blank: bool,
    /// Never taken from a request.
    pub read_only: bool,
    /// Never shown.
    pub write_only: bool,
    /// Neither read nor written through the API; INSERT still has to name it.
    pub internal: bool,
    /// What a value that is no text at all is told where text belongs: DRF's message `invalid`, which fields that add a
    /// rule to `CharField` have their own of.
    pub invalid: &'static str,
    /// Largest number of characters.
    pub max_length: Option<usize>,
    /// What an INSERT writes where the request left it out.
    pub default: DefaultValue,
    /// Has a query parameter of its own name.
    pub filter: bool,
    /// May be named in `?ordering=`.
    pub sortable: bool,
    /// No two rows may share it; holds the sentence for the second.
    pub unique: Option<&'static str>,
    /// The label in an `OPTIONS` answer, where it is not the name in words.
    pub label: Option<&'static str>,
    /// The help text.
    pub help: &'static str,
    /// A many-to-many field that PUT empties where the body doesn't name it: a `default` of DRF's rather than of the
    /// model, and so of every request but PATCH.
    pub emptied_by_put: bool,
    /// `OPTIONS` doesn't tell of it: what it says is the contract's, which has no such field.
    pub beyond_contract: bool,
    /// Required in answers of the OpenAPI document although it isn't in requests.
    pub always: bool,
}

impl Field {
    const fn new(name: &'static str, kind: FieldKind) -> Self {
        Self {
            name,
            column: name,
            place: Place::Own,
            kind,
            required: false,
            nullable: false,
            blank: false,
            read_only: false,
            write_only: false,
            internal: false,
            invalid: messages::NOT_A_STRING,
            max_length: None,
            default: DefaultValue::None,
            filter: false,
            sortable: true,
            unique: None,
            label: None,
            help: "",
            emptied_by_put: false,
            beyond_contract: false,
            always: false,
        }
    }
    /// A UUID.
    pub const fn uuid(name: &'static str) -> Self {
        Self::new(name, FieldKind::Uuid)
    }
    /// Text.
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, FieldKind::Text)
    }
    /// A slug; a `CharField` with `validate_slug`, as DRF makes it of a model's `TextField`.
    pub const fn slug(name: &'static str) -> Self {
        Self::new(name, FieldKind::Slug)
    }
    /// A slug; DRF's `SlugField`, as it makes it of a model's `SlugField`. It goes with [`rules::slug_field`].
    ///
    /// [`rules::slug_field`]: super::rules::slug_field
    pub const fn slug_field(name: &'static str) -> Self {
        let mut field = Self::new(name, FieldKind::Slug);
        field.invalid = messages::NOT_A_SLUG_FIELD;
        field
    }
    /// An email address; DRF's `EmailField`.
    pub const fn email(name: &'static str) -> Self {
        let mut field = Self::new(name, FieldKind::Email);
        field.invalid = messages::NOT_AN_EMAIL;
        field
    }
    /// An integer within these bounds.
    pub const fn integer_within(name: &'static str, min: i32, max: i32) -> Self {
        Self::new(name, FieldKind::Integer { min, max })
    }
    /// A signed 32-bit integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, FieldKind::Integer { min: i32::MIN, max: i32::MAX })
    }
    /// An integer from 0 to 2147483647.
    pub const fn positive_integer(name: &'static str) -> Self {
        Self::new(name, FieldKind::Integer { min: 0, max: i32::MAX })
    }
    /// A counted key; read-only.
    pub const fn serial(name: &'static str) -> Self {
        Self::new(name, FieldKind::Serial).read_only()
    }
    /// A boolean.
    pub const fn boolean(name: &'static str) -> Self {
        Self::new(name, FieldKind::Boolean)
    }
    /// One of `choices`.
    pub const fn choice(name: &'static str, choices: &'static Choices) -> Self {
        Self::new(name, FieldKind::Choice(choices))
    }
    /// A point in time.
    pub const fn datetime(name: &'static str) -> Self {
        Self::new(name, FieldKind::DateTime)
    }
    /// A JSON object.
    pub const fn dictionary(name: &'static str) -> Self {
        Self::new(name, FieldKind::Dictionary)
    }
    /// A list of anything.
    pub const fn list(name: &'static str) -> Self {
        Self::new(name, FieldKind::List).nowhere()
    }
    /// A list of texts.
    pub const fn texts(name: &'static str) -> Self {
        Self::new(name, FieldKind::Texts).nowhere()
    }
    /// A foreign key; its column is named `<name>_id`, which [`Field::column`] has to say.
    pub const fn foreign_key(name: &'static str, column: &'static str, target: &'static Target) -> Self {
        Self::new(name, FieldKind::ForeignKey(target)).column(column)
    }
    /// Keys of other rows, through a table between.
    pub const fn many(name: &'static str, target: &'static Target, through: &'static Through) -> Self {
        Self::new(name, FieldKind::Many(target, through)).nowhere()
    }
    /// A list of objects inside this one.
    pub const fn nested_list(name: &'static str, component: &'static str, fields: Fields) -> Self {
        Self::new(name, FieldKind::Nested { component, fields, many: true }).nowhere()
    }
    /// An object inside this one; read-only.
    pub const fn nested(name: &'static str, component: &'static str, fields: Fields) -> Self {
        Self::new(name, FieldKind::Nested { component, fields, many: false }).nowhere().read_only()
    }
    /// An object inside the body of an action.
    pub const fn nested_object(name: &'static str, component: &'static str, fields: Fields) -> Self {
        Self::new(name, FieldKind::Nested { component, fields, many: false }).nowhere()
    }
    /// Something computed; read-only.
    pub const fn computed(name: &'static str, schema: Schema) -> Self {
        Self::new(name, FieldKind::Computed(schema)).nowhere().read_only()
    }

    /// The column has another name than the field.
    pub const fn column(mut self, column: &'static str) -> Self {
        self.column = column;
        self
    }
    /// The column stands in the parent table.
    pub const fn on_parent(mut self) -> Self {
        self.place = Place::Parent;
        self
    }
    /// It stands in no column.
    pub const fn nowhere(mut self) -> Self {
        self.place = Place::Nowhere;
        self.sortable = false;
        self
    }
    /// A computed or nested field stands for this column: lists can be sorted by it.
    pub const fn on(mut self, column: &'static str) -> Self {
        self.column = column;
        self.place = Place::Own;
        self.sortable = true;
        self
    }
    /// POST and PUT must name it.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// May be `null`.
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }
    /// May be empty.
    pub const fn blank(mut self) -> Self {
        self.blank = true;
        self
    }
    /// Never taken from a request.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
    /// Never shown, and so never sorted by.
    pub const fn write_only(mut self) -> Self {
        self.write_only = true;
        self.sortable = false;
        self
    }
    /// Not part of the API at all; INSERT writes the default.
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self.sortable = false;
        self
    }
    /// At most this many characters.
    pub const fn max_length(mut self, characters: usize) -> Self {
        self.max_length = Some(characters);
        self
    }
    /// What POST stores where the body left it out.
    pub const fn default(mut self, default: DefaultValue) -> Self {
        self.default = default;
        self
    }
    /// Has a query parameter.
    pub const fn filter(mut self) -> Self {
        self.filter = true;
        self
    }
    /// `?ordering=` ignores it.
    pub const fn unsortable(mut self) -> Self {
        self.sortable = false;
        self
    }
    /// No two rows share it; `sentence` is what the second one is told.
    pub const fn unique(mut self, sentence: &'static str) -> Self {
        self.unique = Some(sentence);
        self
    }
    /// The label, where it isn't the name in words.
    pub const fn label(mut self, label: &'static str) -> Self {
        self.label = Some(label);
        self
    }
    /// The help text.
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }
    /// A PUT that doesn't name it empties it.
    pub const fn emptied_by_put(mut self) -> Self {
        self.emptied_by_put = true;
        self
    }
    /// The contract has no such field: `OPTIONS` doesn't tell of it.
    pub const fn beyond_contract(mut self) -> Self {
        self.beyond_contract = true;
        self
    }
    /// Answers always hold it, says the OpenAPI document.
    pub const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Whether a request may set it.
    pub const fn writable(&self) -> bool {
        !self.read_only && !self.internal
    }
    /// Whether an answer holds it.
    pub const fn readable(&self) -> bool {
        !self.write_only && !self.internal
    }
    /// Whether it stands in a column of its row.
    pub const fn in_a_table(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }
    /// The alias of the table that holds the column.
    pub const fn alias(&self) -> &'static str {
        match self.place {
            Place::Parent => "p",
            Place::Own | Place::Nowhere => "t",
        }
    }
}
