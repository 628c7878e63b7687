//! Query parameters: filters as django-filter reads them, ordering.
//!
//! What a client writes never names a column: it only picks from a resource's lists. Values are always bound.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::declaration::Declaration;
use super::errors::FieldErrors;
use super::field::{Choices, Field, FieldKind, Target, Version};
use super::json_lookup::{self, JsonLookup};
use super::{json, messages, python, time};

/// A parsed query string. A repeated parameter counts with its last value.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Percent-decode; bytes that are no UTF-8 become U+FFFD.
    pub fn parse(raw: Option<&str>) -> Self {
        Self(form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The last value of `name`.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// How a filter reads its value.
#[derive(Debug, Clone, Copy)]
pub enum FilterKind {
    /// Equal text; blanks around are dropped.
    Text,
    /// `true`, `false`, `1`, `0` in any case; anything else is ignored.
    Boolean,
    /// A decimal number; the fraction is cut off.
    Number,
    /// A UUID in any spelling.
    Uuid,
    /// One of the choices.
    Choice(&'static Choices),
    /// The key of an existing row.
    ForeignKey(&'static Target),
    /// An instant.
    DateTime,
    /// Any of the rows that a repeated parameter names by a text; all have to exist.
    Texts(Rows),
    /// The same by a UUID.
    Uuids(Rows),
    /// The same by a number.
    Numbers(Rows),
    /// Any of the choices that a repeated parameter names.
    Choices(&'static Choices),
    /// A JSON object of look-ups on the operand, see [`super::json_lookup`].
    Attributes,
    /// A boolean that switches between two conditions.
    Switch {
        /// SQL for `true`.
        on: &'static str,
        /// SQL for `false`.
        off: &'static str,
    },
    /// As another kind, with another expression where a boolean parameter is `true`.
    Widened {
        /// How the value is read.
        kind: &'static FilterKind,
        /// The boolean parameter.
        by: &'static str,
        /// The SQL expression then.
        expression: &'static str,
    },
    /// One of the choices, which a list has to name, and with it the text of another parameter: an array of the two.
    ChoiceAnd {
        /// The choices.
        choices: &'static Choices,
        /// The other parameter; its text is empty where the query has none.
        other: &'static str,
    },
}

/// The rows of a table, by a column that tells them apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Table name.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
}

/// A query parameter that filters a list, other than a field's own.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// The parameter.
    pub name: &'static str,
    /// The SQL expression that has to equal the value; or, with a `{}` in it, a condition where the value goes there.
    pub expression: &'static str,
    /// How the value is read.
    pub kind: FilterKind,
}

/// A query parameter of an action that filters nothing.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// How the value is read.
    pub kind: FilterKind,
}

/// The left side of a comparison.
#[derive(Debug, Clone, Copy)]
pub enum Operand {
    /// A column of the field table.
    Column(&'static Field),
    /// An expression from a resource's declaration.
    Expression(&'static str),
}

/// One condition of a list.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What is compared.
    pub operand: Operand,
    /// With what.
    pub test: Test,
}

/// The right side of a comparison.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equal to this text.
    Text(String),
    /// Equal to this boolean.
    Boolean(bool),
    /// Equal to this number.
    Integer(i32),
    /// Equal to this UUID.
    Uuid(Uuid),
    /// Equal to this instant.
    DateTime(DateTime<Utc>),
    /// Any of these texts.
    Texts(Vec<String>),
    /// Any of these UUIDs.
    Uuids(Vec<Uuid>),
    /// Any of these numbers.
    Integers(Vec<i32>),
    /// A JSON object that holds all of this one.
    Contains(String),
    /// All of these hold for its JSON.
    Lookups(Vec<JsonLookup>),
    /// The operand itself is the condition.
    Holds,
    /// No row.
    Never,
}

/// Rows that have to exist before the list is read.
#[derive(Debug, Clone)]
pub struct Existing {
    /// The parameter, for the error.
    pub name: &'static str,
    /// Where they have to be.
    pub rows: Rows,
    /// What the column has to hold: one of the tests on any of several values.
    pub values: Test,
    /// The error's sentence about a value that no row has.
    pub sentence: fn(&str) -> String,
}

/// The filters of a request.
#[derive(Debug, Default)]
pub struct Filters {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// All must exist, else 400.
    pub existing: Vec<Existing>,
}

/// Read the filters of a resource from the query.
///
/// # Errors
/// The body of a 400: one sentence of Django's forms a bad parameter, or a list with one about `?attributes=`.
pub fn filters(declared: &'static Declaration, query: &Query, version: Version) -> Result<Filters, Value> {
    let (mut filters, mut errors) = (Filters::default(), FieldErrors::default());
    let mut attributes = None;
    let own = declared
        .fields
        .iter()
        .filter(|field| field.filter)
        .map(|field| (field.name, Operand::Column(field), FilterKind::of(field)));
    let further = declared.filters.iter().map(|f| (f.name, Operand::Expression(f.expression), f.kind));
    for (name, operand, kind) in own.chain(further) {
        let (operand, kind) = match kind {
            FilterKind::Widened { kind, by, expression } if is_true(query, by) => {
                (Operand::Expression(expression), *kind)
            }
            FilterKind::Widened { kind, .. } => (operand, *kind),
            kind => (operand, kind),
        };
        let Some(value) = query.last(name).filter(|value| kind.is_repeated() || !value.is_empty()) else {
            continue;
        };
        let reading = if kind.is_repeated() {
            read_all(kind, version, query.all(name))
        } else {
            read(kind, version, value)
        };
        match reading {
            Ok(None) => {}
            Ok(Some(Reading::Test(Test::Text(choice)))) if let FilterKind::ChoiceAnd { other, .. } = kind => {
                let other = python::strip(query.last(other).unwrap_or_default()).to_owned();
                filters.conditions.push(Condition { operand, test: Test::Texts(vec![choice, other]) });
            }
            Ok(Some(Reading::Test(test))) => filters.conditions.push(Condition { operand, test }),
            Ok(Some(Reading::Rows(rows, values))) => {
                let sentence = messages::filter_choice;
                filters.existing.push(Existing { name, rows, values: values.clone(), sentence });
                filters.conditions.push(Condition { operand, test: values });
            }
            Ok(Some(Reading::Condition(sql))) => {
                filters.conditions.push(Condition { operand: Operand::Expression(sql), test: Test::Holds });
            }
            Ok(Some(Reading::Attributes(text))) => attributes = Some((operand, text)),
            Ok(Some(Reading::Key(target, key))) => {
                let rows = Rows { table: target.table, column: target.pk };
                let sentence = |_: &str| messages::FILTER_NO_SUCH_ROW.into();
                filters.existing.push(Existing { name, rows, values: Test::Uuids(vec![key]), sentence });
                filters.conditions.push(Condition { operand, test: Test::Uuid(key) });
            }
            Err(sentence) => errors.add_named(name, sentence),
        }
    }
    if !errors.is_empty() {
        return Err(errors.into_body(declared.fields));
    }
    if let Some((operand, text)) = attributes {
        // Read when the form is known to be fine, and so its errors belong to no field.
        let lookups = lookups(text).map_err(|sentence| json!([sentence]))?;
        filters.conditions.push(Condition { operand, test: Test::Lookups(lookups) });
    }
    Ok(filters)
}

/// Whether a boolean parameter is `true`, in any case.
fn is_true(query: &Query, name: &str) -> bool {
    query.last(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The value of `?attributes=`.
fn lookups(text: &str) -> Result<Vec<JsonLookup>, String> {
    match json::parse(text.as_bytes()) {
        Ok(object @ Value::Object(_)) if json::holds_nul(&object) => Err(messages::NULL_CHARACTERS.into()),
        Ok(Value::Object(map)) => json_lookup::read(map),
        Ok(_) => Err(messages::FILTER_NOT_A_MAPPING.into()),
        Err(_) => Err(messages::FILTER_NOT_JSON.into()),
    }
}

impl FilterKind {
    /// How a field's own filter reads its value.
    pub fn of(field: &Field) -> Self {
        match field.kind {
            FieldKind::Boolean => Self::Boolean,
            FieldKind::Integer { .. } | FieldKind::Serial => Self::Number,
            FieldKind::Uuid => Self::Uuid,
            FieldKind::Choice(choices) => Self::Choice(choices),
            FieldKind::ForeignKey(target) => Self::ForeignKey(target),
            FieldKind::DateTime => Self::DateTime,
            _ => Self::Text,
        }
    }

    /// Whether a list can't do without it.
    pub fn has_to_be_named(self) -> bool {
        matches!(self, Self::ChoiceAnd { .. })
    }

    /// Whether all values of the parameter count, the empty one too, and not the last one alone.
    fn is_repeated(self) -> bool {
        matches!(self, Self::Texts(_) | Self::Uuids(_) | Self::Numbers(_) | Self::Choices(_))
    }
}

/// The values of a parameter that [is repeated](FilterKind::is_repeated). Blanks count, and keys are compared as Python prints them.
fn read_all<'q>(
    kind: FilterKind,
    version: Version,
    values: impl Iterator<Item = &'q str>,
) -> Result<Option<Reading<'q>>, String> {
    let (mut texts, mut uuids, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let unknown = || messages::filter_choice(value);
        match kind {
            FilterKind::Choices(choices) if !choices.contains(value, version) => return Err(unknown()),
            _ if value.contains('\0') => return Err(messages::NULL_CHARACTERS.into()),
            FilterKind::Uuids(_) => {
                let uuid = python::uuid(value).ok_or_else(|| messages::invalid_uuid(value))?;
                uuids.push(Some(uuid).filter(|uuid| uuid.to_string() == value).ok_or_else(unknown)?);
            }
            FilterKind::Numbers(_) => {
                let number = python::int(value).ok_or_else(|| messages::filter_value(value))?;
                let number = i32::try_from(number).ok().filter(|number| number.to_string() == value);
                numbers.push(number.ok_or_else(unknown)?);
            }
            _ => texts.push(value.to_owned()),
        }
    }
    Ok(Some(match kind {
        FilterKind::Uuids(rows) => Reading::Rows(rows, Test::Uuids(uuids)),
        FilterKind::Numbers(rows) => Reading::Rows(rows, Test::Integers(numbers)),
        FilterKind::Texts(rows) => Reading::Rows(rows, Test::Texts(texts)),
        _ => Reading::Test(Test::Texts(texts)),
    }))
}

enum Reading<'q> {
    Test(Test),
    Condition(&'static str),
    Key(&'static Target, Uuid),
    Rows(Rows, Test),
    Attributes(&'q str),
}

fn read(kind: FilterKind, version: Version, given: &str) -> Result<Option<Reading<'_>>, String> {
    let value = python::strip(given);
    if value.is_empty() && !matches!(kind, FilterKind::Choice(_) | FilterKind::ChoiceAnd { .. }) {
        return Ok(None);
    }
    let test = match kind {
        FilterKind::Text | FilterKind::Attributes if value.contains('\0') => {
            return Err(messages::NULL_CHARACTERS.into());
        }
        FilterKind::Text => Test::Text(value.to_owned()),
        FilterKind::Boolean => match boolean(given) {
            Some(boolean) => Test::Boolean(boolean),
            None => return Ok(None),
        },
        FilterKind::Switch { on, off } => {
            return Ok(boolean(given).map(|boolean| Reading::Condition(if boolean { on } else { off })));
        }
        FilterKind::Number => number(value)?,
        FilterKind::Uuid => Test::Uuid(python::uuid(value).ok_or(messages::FILTER_UUID)?),
        FilterKind::Choice(choices) | FilterKind::ChoiceAnd { choices, .. } => {
            if !choices.contains(given, version) {
                return Err(messages::filter_choice(given));
            }
            Test::Text(given.to_owned())
        }
        FilterKind::DateTime => Test::DateTime(time::parse(value).map_err(|_| messages::FILTER_DATETIME)?),
        FilterKind::Attributes => return Ok(Some(Reading::Attributes(value))),
        FilterKind::Widened { kind, .. } => return read(*kind, version, given),
        // Repeated parameters are read by `read_all`.
        FilterKind::Texts(_) | FilterKind::Choices(_) | FilterKind::Uuids(_) | FilterKind::Numbers(_) => {
            return Ok(None);
        }
        FilterKind::ForeignKey(target) => {
            let key = python::uuid(given).ok_or_else(|| messages::invalid_uuid(given))?;
            return Ok(Some(Reading::Key(target, key)));
        }
    };
    Ok(Some(Reading::Test(test)))
}

/// django-filter's `BooleanWidget`.
pub fn boolean(given: &str) -> Option<bool> {
    match given.to_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Django's `DecimalField`, then `int()`: `25.5` asks for 25.
fn number(value: &str) -> Result<Test, &'static str> {
    let decimal = value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE_".contains(&b));
    let number = decimal.then(|| python::float(value)).flatten().ok_or(messages::FILTER_NUMBER)?;
    if number.abs() >= 2_147_483_648.0 {
        return Ok(Test::Never);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked, and cutting the fraction is the rule"
    )]
    let whole = number.trunc() as i32;
    Ok(Test::Integer(whole))
}

/// One term of an ordering.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// A field's name.
    pub name: &'static str,
    /// Largest first. PostgreSQL then puts NULL first, and last otherwise.
    pub descending: bool,
}

/// Smallest first.
pub const fn asc(name: &'static str) -> Order {
    Order { name, descending: false }
}

/// Largest first.
pub const fn desc(name: &'static str) -> Order {
    Order { name, descending: true }
}

/// The ordering that the query asks for; names that are no readable field are dropped silently, and the
/// resource's default stands in when none is left.
pub fn ordering(declared: &Declaration, query: &Query) -> Vec<Order> {
    let asked = query.last("ordering").unwrap_or_default().split(',').filter_map(|term| {
        let term = python::strip(term);
        let (name, descending) = term.strip_prefix('-').map_or((term, false), |name| (name, true));
        let known = declared.fields.iter().filter(|field| field.sortable).map(|field| field.name);
        let extra = declared.order_expressions.iter().map(|(name, _)| *name);
        known.chain(extra).find(|known| *known == name).map(|name| Order { name, descending })
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() { declared.default_order.to_vec() } else { asked }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("25.5", Some(25))]
    #[case("1e3", Some(1000))]
    #[case("-7", Some(-7))]
    fn cuts_numbers(#[case] text: &str, #[case] expected: Option<i32>) {
        assert!(matches!(number(text), Ok(Test::Integer(n)) if Some(n) == expected));
    }

    #[rstest]
    #[case("abc")]
    #[case("nan")]
    #[case("inf")]
    #[case("")]
    #[case(".")]
    fn refuses_what_is_no_number(#[case] text: &str) {
        assert!(number(text).is_err());
    }
}
