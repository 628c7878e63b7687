//! What has to hold for any bytes at all that a parser of ours is given. The fuzz targets ask it of what libFuzzer comes
//! up with, and `tests/api/parsers.rs` of what proptest does, and of the inputs in `corpus`.
//!
//! Each function takes the bytes as they come from the wire, and panics where something doesn't hold. More than that
//! nothing panics: what is accepted can be printed and is then read as the same; what isn't is told in Django REST
//! framework's shape. That it doesn't take long is for the caller to see to (`-timeout`).

mod browsers;

use ak_stages::contract::Release;
use ak_stages::contract::duration::parse_timedelta;
use ak_stages::resources::{self, Visitor};
use ak_stages::views::Resource;
use axum::http::{HeaderMap, HeaderValue, header};
use drf::action::RequestBody;
use drf::declaration::{Declaration, LookupKind, PathKey};
use drf::errors::NON_FIELD_ERRORS;
use drf::field::{Field, FieldKind, Fields};
use drf::intake::{Content, Dialect, Draft, Mode, take};
use drf::page::{PageRequest, PageSizes};
use drf::params::{Query, Test, filters, ordering};
use drf::{Body, json, negotiation, python, search, time};
use serde_json::Value;

pub use browsers::{cookies, forgeries};

/// Entries that a nested list may have.
const MAX_NESTED: usize = 8;

/// What is declared of each resource.
fn declarations() -> Vec<&'static Declaration> {
    struct All(Vec<&'static Declaration>);
    impl Visitor for All {
        fn visit<R: Resource>(&mut self) {
            self.0.push(R::DECLARATION);
        }
    }
    let mut all = All(Vec::new());
    resources::visit(&mut all);
    all.0
}

/// The bodies that there are: the resources' own, then those of their other actions.
fn bodies() -> Vec<Fields> {
    struct All(Vec<Fields>);
    impl Visitor for All {
        fn visit<R: Resource>(&mut self) {
            let own = R::actions().filter_map(|action| match action.declared.body {
                RequestBody::Fields { fields, .. } => Some(fields),
                _ => None,
            });
            self.0.extend(own);
        }
    }
    let mut all = All(declarations().into_iter().map(|declared| declared.fields).collect());
    resources::visit(&mut all);
    all.0
}

/// A body: a byte that picks the fields, one that picks method and dialect, the content type up to a line feed, and what
/// is left is the body. All content types but JSON's are refused.
pub fn body(input: &[u8]) {
    let [which, how, rest @ ..] = input else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (content_type, bytes) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let Ok(content_type) = str::from_utf8(content_type) else { return };
    let is_json = negotiation::is_json(content_type);
    let plain = content_type
        .trim_start()
        .get(..16)
        .is_some_and(|start| start.eq_ignore_ascii_case("application/json"));
    assert!(!is_json || plain, "{content_type}");
    assert_eq!(
        is_json,
        negotiation::is_json(&format!("{content_type} ; charset=x")),
        "parameters don't matter"
    );
    if !is_json {
        return;
    }
    let value = match json::parse(bytes) {
        Ok(value) => value,
        Err(sentence) => return says_where(bytes, &sentence),
    };
    assert_eq!(
        json::parse(value.to_string().as_bytes()).as_ref(),
        Ok(&value),
        "what was read can be read again"
    );

    let bodies = bodies();
    let fields = bodies[usize::from(*which) % bodies.len()];
    let mode = [Mode::Create, Mode::Replace, Mode::Partial][usize::from(how & 0x7f) % 3];
    let dialect =
        Dialect { nested: how & 0x80 == 0, max_nested: MAX_NESTED, version: Release::V2026_5.api() };
    let body = match Body::parse(bytes, fields) {
        Ok(body) => body,
        Err(sentence) => {
            let of_ours =
                sentence.starts_with("more than 100000 values") || sentence.starts_with("numbers take more");
            assert!(of_ours, "{value} is JSON, and then it isn't: {sentence}");
            return says_where(bytes, &sentence);
        }
    };
    let (draft, errors) = take(fields, &body, mode, dialect);
    for field in fields.iter() {
        if let Some(content) = draft.get(field) {
            assert!(!errors.has(field), "{} is taken and refused", field.name);
            assert!(is_lawful(field, content), "{}: {content:?}", field.name);
        }
    }
    let taken = draft.to_json(fields);
    if errors.is_empty() {
        let Ok(body) = Body::parse(taken.to_string().as_bytes(), fields) else {
            panic!("{taken} is no JSON")
        };
        let (again, errors) = take(fields, &body, Mode::Partial, dialect);
        assert!(errors.is_empty(), "{taken} was taken, and is then refused: {}", errors.into_body(fields));
        assert_eq!(again.to_json(fields), taken, "what was taken is taken as the same");
    } else {
        has_drfs_shape(fields, &errors.into_body(fields), &draft);
    }
}

/// `…: line L column C (char N)`, of a place that is there.
fn says_where(bytes: &[u8], sentence: &str) {
    let place = sentence.rsplit_once(": line ").and_then(|(_, place)| place.strip_suffix(')'));
    let numbers = place.and_then(|place| {
        let (line, rest) = place.split_once(" column ")?;
        let (column, char) = rest.split_once(" (char ")?;
        Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?, char.parse::<usize>().ok()?))
    });
    let Some((line, column, char)) = numbers else { panic!("{sentence}") };
    let text = String::from_utf8_lossy(bytes);
    let before: String = text.chars().take(char).collect();
    assert_eq!(before.chars().count(), char, "{sentence} is behind the end");
    assert_eq!(before.matches('\n').count() + 1, line, "{sentence}");
    assert_eq!(before.rsplit('\n').next().unwrap_or_default().chars().count() + 1, column, "{sentence}");
}

/// Whether a field may hold this.
fn is_lawful(field: &Field, content: &Content) -> bool {
    match (field.kind, content) {
        (_, Content::Null) => field.nullable,
        (FieldKind::Choice(choices), Content::Text(text)) => choices.contains(text, Release::V2026_5.api()),
        (_, Content::Text(text)) => {
            python::strip(text) == text
                && !text.contains('\0')
                && (field.blank || !text.is_empty())
                && field.max_length.is_none_or(|most| text.chars().count() <= most)
        }
        (FieldKind::Integer { min, max }, Content::Integer(number)) => (min..=max).contains(number),
        (FieldKind::Boolean, Content::Boolean(_))
        | (FieldKind::List | FieldKind::Nested { .. }, Content::Objects(_)) => true,
        (FieldKind::DateTime, Content::DateTime(instant)) => is_the_same_instant(&time::format(instant)),
        (FieldKind::Dictionary, Content::Dictionary(text)) => {
            json::parse(text.as_bytes()).is_ok_and(|value| value.is_object() && !json::holds_nul(&value))
        }
        (FieldKind::ForeignKey(_), Content::Keys(keys)) => keys.len() == 1,
        (FieldKind::Many(..), Content::Keys(keys)) => {
            keys.iter().enumerate().all(|(at, key)| keys[..at].iter().all(|other| other.key != key.key))
        }
        _ => false,
    }
}

/// An object: under each name of a field that was refused a list of sentences, or one of such objects.
fn has_drfs_shape(fields: Fields, body: &Value, draft: &Draft) {
    let Value::Object(errors) = body else { panic!("{body}") };
    assert!(!errors.is_empty(), "an error without a word");
    for (name, told) in errors {
        let field = fields.get(name).filter(|field| field.writable());
        assert!(field.is_some() || name == NON_FIELD_ERRORS, "there is no {name} to be written");
        assert!(field.is_none_or(|field| draft.get(field).is_none()), "{name} was taken");
        match field.map(|field| field.kind) {
            Some(FieldKind::Nested { fields, .. }) => is_about_objects(fields, told),
            _ => are_sentences(told),
        }
    }
}

fn is_about_objects(fields: Fields, told: &Value) {
    match told {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items.iter().filter(|item| **item != Value::Object(serde_json::Map::new())) {
                has_drfs_shape(fields, item, &Draft::default());
            }
        }
        Value::Object(errors) => errors.values().for_each(are_sentences),
        other => are_sentences(other),
    }
}

fn are_sentences(told: &Value) {
    let sentences = told.as_array().unwrap_or_else(|| panic!("{told} is no list"));
    let all = sentences.iter().all(|sentence| sentence.as_str().is_some_and(|sentence| !sentence.is_empty()));
    assert!(all && !sentences.is_empty(), "{told}");
}

/// A query string.
pub fn query(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let query = Query::parse(Some(text));
    let printed: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query.iter()).finish();
    assert!(Query::parse(Some(&printed)).iter().eq(query.iter()), "what was read can be read again");

    negotiation::accept(std::iter::once(text), &query).ok();
    is_a_page(&query);
    are_terms(&query);
    for declared in declarations() {
        let read = filters(declared, &query, Release::V2026_5.api());
        match read {
            Ok(filters) => {
                let tests = filters.conditions.iter().map(|condition| &condition.test);
                for value in tests.chain(filters.existing.iter().map(|rows| &rows.values)) {
                    can_be_bound(value);
                }
            }
            Err(Value::Object(errors)) => {
                assert!(!errors.is_empty(), "an error without a word");
                for (name, told) in &errors {
                    assert!(query.last(name).is_some(), "{name} wasn't asked for");
                    are_sentences(told);
                }
            }
            Err(other) => are_sentences(&other),
        }
        for order in ordering(declared, &query) {
            let known = declared.fields.get(order.name).is_some_and(|field| field.sortable)
                || declared.order_expressions.iter().any(|(name, _)| *name == order.name)
                || declared.default_order.iter().any(|default| default.name == order.name);
            assert!(known, "{}", order.name);
        }
        for (include, _) in declared.includes {
            declared.included(&query, include);
        }
    }
    for (_, value) in query.iter() {
        if let Some(PathKey::Uuid(uuid)) = PathKey::read(LookupKind::Uuid, value) {
            assert_eq!(PathKey::read(LookupKind::Uuid, &uuid.to_string()), Some(PathKey::Uuid(uuid)));
        }
        if let Some(PathKey::Integer(number)) = PathKey::read(LookupKind::Integer, value) {
            assert_eq!(
                PathKey::read(LookupKind::Integer, &number.to_string()),
                Some(PathKey::Integer(number))
            );
        }
        assert_eq!(PathKey::read(LookupKind::Text, value).is_some(), !value.contains('\0'));
    }
}

/// A page is within what there is, whatever was asked for.
fn is_a_page(query: &Query) {
    const SIZES: PageSizes = PageSizes { default: 20, max: 100 };
    let asked = PageRequest::read(query, SIZES);
    assert!((1..=SIZES.max).contains(&asked.size), "{asked:?}");
    for count in [0, 1, 20, 21, 1_000_000_000_000] {
        if let Some(page) = asked.locate(count) {
            assert!(page.offset() >= 0 && page.rows() >= 0 && page.behind() >= 0, "{page:?}");
            assert_eq!(page.offset() + page.rows() + page.behind(), count, "{page:?}");
            assert!(page.rows() > 0 || count == 0, "{page:?}");
        }
    }
}

fn are_terms(query: &Query) {
    const MOST: usize = 32;
    let given = query.last("search").unwrap_or_default();
    match search::terms(query, MOST) {
        Ok(terms) => {
            assert!(terms.len() <= MOST && !given.contains('\0'), "{terms:?}");
            for (at, term) in terms.iter().enumerate() {
                assert!(!terms[..at].contains(term), "{term} counts twice");
                assert!(term.len() <= given.len(), "{term} is more than was asked for");
                let escaped = search::escape_like(term);
                assert_eq!(without_escapes(&escaped).as_ref(), Some(term), "{escaped}");
            }
        }
        Err(sentence) => assert!(given.contains('\0') || sentence.contains("32"), "{sentence}"),
    }
}

/// The text that LIKE finds by this pattern; none if it finds more than one.
fn without_escapes(pattern: &str) -> Option<String> {
    let mut chars = pattern.chars();
    let mut text = String::new();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => chars.next()?,
            '%' | '_' => return None,
            other => other,
        });
    }
    Some(text)
}

/// What PostgreSQL takes as a value.
fn can_be_bound(value: &Test) {
    match value {
        Test::Text(text) => assert!(!text.contains('\0'), "{text:?}"),
        Test::Texts(texts) => assert!(texts.iter().all(|text| !text.contains('\0')), "{texts:?}"),
        Test::DateTime(instant) => assert!(is_the_same_instant(&time::format(instant)), "{instant}"),
        _ => {}
    }
}

/// A duration.
pub fn duration(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = parse_timedelta(text);
    assert_eq!(parse_timedelta(&text.to_ascii_uppercase()), read, "upper case");
    assert_eq!(parse_timedelta(&text.to_ascii_lowercase()), read, "lower case");
    assert_eq!(parse_timedelta(&format!("unknown=1;{text}")), read, "what isn't known is skipped");
    assert_eq!(parse_timedelta(&format!("{text};")), None, "an empty part");
    let Some(read) = read else { return };
    assert!(read.num_days().abs() < 1_000_000_000, "beyond Python's timedelta: {read}");
    assert_eq!(parse_timedelta(&format!("{text};{text}")), Some(read), "later parts replace earlier ones");
    // Twenty digits are more than a double holds, and so it is read unit by unit.
    let days = read.num_days();
    let rest = read.num_microseconds().map(|all| all % 86_400_000_000);
    if let Some(rest) = rest {
        let printed = format!("days={days};seconds={};microseconds={}", rest / 1_000_000, rest % 1_000_000);
        let again = parse_timedelta(&printed).unwrap_or_else(|| panic!("{printed}"));
        let precision = (read.as_seconds_f64().abs() * 1e-15).max(1e-6);
        assert!((again - read).as_seconds_f64().abs() <= precision, "{printed}: {again} isn't {read}");
    }
}

/// A point in time.
pub fn date(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(instant) = time::parse(text) {
        let printed = time::format(&instant);
        assert!(is_the_same_instant(&printed), "{text}: {printed}");
        assert_eq!(time::parse(&printed), Ok(instant), "{text}");
        assert_eq!(time::parse(&time::python_str(&instant)), Ok(instant), "{text}");
    }
}

/// Whether this is how Python prints an instant, and it is read as that.
fn is_the_same_instant(printed: &str) -> bool {
    let shape: String = printed.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    matches!(shape.as_str(), "9999-99-99T99:99:99Z" | "9999-99-99T99:99:99.999999Z")
        && !printed.contains(".000000")
        && time::parse(printed).is_ok_and(|instant| time::format(&instant) == printed)
}

/// The value of an `Authorization` header.
pub fn bearer(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    let Some(key) = ak_stages::bearer(&headers) else { return };
    let text = String::from_utf8_lossy(input);
    assert!(!key.is_empty() && key.trim() == key, "{text}: {key:?}");
    assert!(
        text.len() > "bearer ".len() && text.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("bearer ")),
        "{text}"
    );
    assert!(text.trim_end().ends_with(key), "{text}: {key:?}");
    assert!(key.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{text}: {key:?}");
    let again = HeaderValue::from_str(&format!("Bearer {key}"));
    let again = HeaderMap::from_iter(again.map(|value| (header::AUTHORIZATION, value)));
    assert_eq!(ak_stages::bearer(&again), Some(key));
}
