//! A body against a declaration: shapes, value rules, then what the database knows.

use std::collections::HashMap;

use drf::Body;
use drf::declaration::Declaration;
use drf::errors::FieldErrors;
use drf::field::{FieldKind, Fields, Place};
use drf::intake::{self, Dialect, Draft, KeyValue, Mode};
use drf::messages;
use sqlx::PgConnection;
use uuid::Uuid;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{Check, Context, Preparation, Resource};
use crate::db::lookups::{self, Fact, LookedUp, Wanted};
use crate::error::ApiError;

/// A body that may be written.
pub(super) struct Valid<R: Resource> {
    /// The values to write.
    pub(super) draft: Draft,
    /// Those that have rules, or that hooks read.
    pub(super) input: R::Input,
    /// The rows that the resource wants for it, by name: [`Resource::wanted`].
    pub(super) found: HashMap<String, Uuid>,
}

/// What can be said of a body by itself: its values, those of them that have rules or that hooks read, and what is wrong
/// with them.
///
/// # Errors
/// A declaration and its `Input` don't fit.
pub fn examine<R: Resource>(
    body: &Body,
    mode: Mode,
    dialect: Dialect,
) -> Result<(Draft, R::Input, FieldErrors), ApiError> {
    let fields = R::DECLARATION.fields;
    let (draft, mut errors) = intake::take(fields, body, mode, dialect);
    let input: R::Input = serde_json::from_value(draft.to_json(fields)).map_err(anyhow::Error::from)?;
    if let Err(broken) = input.validate() {
        merge(&mut errors, fields, &broken);
    }
    Ok((draft, input, errors))
}

/// Everything that is to be written, checked.
///
/// # Errors
/// 400 with every wrong field.
pub(super) async fn validate<R: Resource>(
    context: Context<'_>,
    connection: &mut PgConnection,
    body: &Body,
    mode: Mode,
    row: Option<&R>,
) -> Result<Valid<R>, ApiError> {
    let (mut draft, input, mut errors) = examine::<R>(body, mode, context.app.dialect())?;
    let pk = row.map(|row| row.pk().into());
    // Nothing is locked for what can't be written.
    let wanted = if errors.is_empty() { R::wanted(&input) } else { None };
    let found = look_up(context, connection, R::DECLARATION, &draft, pk, wanted, &mut errors).await?;
    let mut preparation =
        Preparation { context, connection: &mut *connection, mode, row, draft: &mut draft, errors: &errors };
    R::prepare(&mut preparation, &input).await?;
    let mut check = Check { context, connection, mode, row, draft: &draft, errors: &mut errors };
    R::check(&mut check, &input).await?;
    if errors.is_empty() {
        Ok(Valid { draft, input, found })
    } else {
        Err(ApiError::Validation(errors.into_body(R::DECLARATION.fields)))
    }
}

/// What the database says of a body for the row `pk`, or a new one: the keys that it names aren't there, or its unique texts
/// are taken. Gives the rows of the wanted that there are.
async fn look_up(
    context: Context<'_>,
    connection: &mut PgConnection,
    declared: &'static Declaration,
    draft: &Draft,
    pk: Option<KeyValue>,
    wanted: Option<Wanted<'_>>,
    errors: &mut FieldErrors,
) -> Result<HashMap<String, Uuid>, ApiError> {
    let mut probes = lookups::probes(declared, draft);
    probes.retain(|probe| !errors.has(probe.field));
    let layout = &context.app.database.layout;
    let nameable = |target: &_| context.nameable(target);
    let LookedUp { wrong, found } =
        lookups::look_up(connection, declared, layout, &probes, pk, wanted, nameable).await?;
    for (probe, wrong) in probes.iter().zip(wrong) {
        let Some(index) = wrong else { continue };
        let sentence = match &probe.fact {
            Fact::Exist(_, keys) => messages::invalid_pk(&keys[index].spelling),
            Fact::Unique(field, _) => field.unique.unwrap_or_default().to_owned(),
        };
        errors.add(probe.field, sentence);
    }
    Ok(found)
}

/// Add what `validator` found. Only our own sentences are taken over: its parameters hold the offending values.
fn merge(errors: &mut FieldErrors, fields: Fields, broken: &ValidationErrors) {
    for (name, kind) in broken.errors() {
        match kind {
            ValidationErrorsKind::Field(list) => {
                for sentence in list.iter().filter_map(|error| error.message.as_deref()) {
                    errors.add_named(name, sentence);
                }
            }
            ValidationErrorsKind::List(items) => {
                let Some(FieldKind::Nested { fields: inner, .. }) = fields.get(name).map(|field| field.kind)
                else {
                    continue;
                };
                let last = items.keys().next_back().copied().unwrap_or_default();
                let nested = (0..=last).map(|index| {
                    let mut item = FieldErrors::default();
                    if let Some(broken) = items.get(&index) {
                        merge(&mut item, inner, broken);
                    }
                    item.into_body(inner)
                });
                errors.nest(name, nested.collect());
            }
            // An input that is part of another one, its fields beside the other's.
            ValidationErrorsKind::Struct(part) => merge(errors, fields, part),
        }
    }
}

/// The answer where another request took a unique text between our look-up and our write: the field's own sentence, as
/// if the look-up had found it.
pub(super) fn unique_violation(declared: &Declaration, error: sqlx::Error) -> ApiError {
    let field = error.as_database_error().and_then(|error| {
        let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
        if error.code() != "23505" {
            return None;
        }
        // `Key (name)=(…) already exists.`
        let column = error.detail()?.strip_prefix("Key (")?.split_once(")=(")?.0;
        let table = error.table()?;
        declared.fields.iter().find(|field| {
            let own = match field.place {
                Place::Own => declared.table.name == table,
                Place::Parent => declared.table.parent.is_some_and(|parent| parent.name == table),
                Place::Nowhere => false,
            };
            own && field.column.trim_matches('"') == column.trim_matches('"')
        })
    });
    match field.and_then(|field| Some((field, field.unique?))) {
        Some((field, sentence)) => ApiError::field(field.name, sentence),
        None => error.into(),
    }
}
