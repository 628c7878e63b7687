//! `bulk/`: up to ten thousand invitations with one request.

use chrono::{DateTime, Utc};
use drf::Body;
use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::{FieldErrors, NON_FIELD_ERRORS};
use drf::field::{Field, Fields};
use drf::intake::{self, Content, Dialect, Draft, Mode};
use drf::messages::{NOT_A_DICTIONARY, REQUIRED, expected_list, max_elements};
use drf::permission::{Permission, Verb};
use drf::python::type_name;
use drf::time;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{self, Entry, Made};
use super::{EXPIRES, FIXED_DATA, FLOW, Invitation, MAX_USES, NAME, SINGLE_USE, beyond};
use crate::authentik::Change;
use crate::contract::messages;
use crate::error::ApiError;
use crate::resources::flow;
use crate::views::{Action, Answer, Request, Resource, examine};

/// The tag of what authentik's API doesn't have.
pub(super) const TAG: &str = "invitations";

/// Invitations that a request may make, or delete.
pub(super) const MOST: u16 = 10_000;
/// Bytes that the fixed data of a template may take when repeated: a body of 2.5 MiB isn't to become 25 GB.
const MAX_REPEATED: usize = 8 * 1024 * 1024;

const INVITATIONS: Field = Field::nested_list("invitations", "Invitation", Invitation::DECLARATION.fields)
    .help("The invitations, at most 10000.");
const TEMPLATE: Field = Field::nested_object("template", "InvitationTemplate", TEMPLATE_FIELDS)
    .help("What all of them have in common; with names or a count.");
const NAMES: Field = Field::list("names").help("A name for each, at most 10000.");
const COUNT: Field = Field::integer_within("count", 1, MOST as i32)
    .help("How many to make: they have the template's name with -1, -2 and so on behind it.");
const PARTIAL: Field =
    Field::boolean("partial").help("Make those that can be made, rather than all or nothing.");

const TEMPLATE_FIELDS: Fields =
    Fields::new(&[Field::slug("name"), EXPIRES, FIXED_DATA, SINGLE_USE, FLOW, MAX_USES]);
const ASKED: Fields = Fields::new(&[INVITATIONS, TEMPLATE, NAMES, COUNT, PARTIAL]);
/// What is no invitation.
const AROUND: Fields = Fields::new(&[NAMES, COUNT, PARTIAL]);

const RESULT: Component = Component {
    name: "InvitationBulk",
    schema: |document| {
        const ENTRY: Fields = Fields::new(&[
            Field::uuid("pk").read_only().nullable(),
            Field::slug("name").read_only().nullable(),
            Field::datetime("expires").read_only().nullable(),
            Field::dictionary("errors").read_only().nullable().help("Why it was not made."),
        ]);
        const FIELDS: Fields = Fields::new(&[
            Field::integer("created").read_only(),
            Field::integer("refused").read_only(),
            Field::nested_list("results", "InvitationBulkEntry", ENTRY)
                .read_only()
                .help("An entry for each, in the order of the request."),
        ]);
        document.fields("What became of a bulk request", FIELDS)
    },
};

/// `POST …/bulk/`: make them, all or none unless the request says otherwise.
pub const CREATE: Action<Invitation> = Action::on_list(
    drf::Action::extra(
        "bulk_create",
        Method::Post,
        Route { detail: false, url_path: "bulk" },
        Permission::Model(Verb::Add),
        "Bulk",
        "Make up to 10000 invitations, each with values of its own or from a template",
    )
    .takes(RequestBody::Unchecked {
        component: "InvitationBulkCreate",
        description: "Invitations to be made",
        fields: ASKED,
    })
    .answers(Success::One(&RESULT))
    .tagged(TAG),
    |request| Box::pin(create(request)),
);

/// What is answered.
#[derive(Serialize)]
struct Outcome {
    created: usize,
    refused: usize,
    results: Vec<Shown>,
}

/// What became of an entry.
#[derive(Default, Serialize)]
struct Shown {
    pk: Option<Uuid>,
    name: Option<String>,
    #[serde(serialize_with = "time::serialize_option")]
    expires: Option<DateTime<Utc>>,
    errors: Option<Value>,
}

async fn create(mut request: Request<'_>) -> Result<Answer, ApiError> {
    let body = std::mem::take(&mut request.body);
    let Asked { entries, of, partial } = Asked::read(body, &mut request).await?;
    if !partial && entries.iter().any(Result::is_err) {
        let fields = Invitation::DECLARATION.fields;
        let errors: Value =
            entries.into_iter().map(|entry| entry.err().unwrap_or_default().into_body(fields)).collect();
        return Err(ApiError::Validation(json!({ of: errors })));
    }
    let drafts: Vec<&Draft> = entries.iter().flatten().collect();
    let made = if drafts.is_empty() { Vec::new() } else { make(&mut request, &drafts).await? };
    let created = made.len();
    let mut made = made.into_iter();
    let results = entries.into_iter().map(|entry| match entry {
        Err(errors) => Shown::refused(errors),
        Ok(_) => made.next().map_or_else(Shown::default, Shown::made),
    });
    let results: Vec<Shown> = results.collect();
    Answer::ok(&Outcome { created, refused: results.len() - created, results })
}

/// Make them, with what authentik does beside.
async fn make(request: &mut Request<'_>, drafts: &[&Draft]) -> Result<Vec<Made>, ApiError> {
    let (context, connection) = (request.context, &mut *request.connection);
    let made = batch::insert(connection, &context.app.ids, drafts, context.caller.id).await?;
    let named = Made::named(&made);
    beyond::made(context, connection, &named, &Made::limits(&made)).await?;
    context.trace.wrote_all(connection, Change::Created, &Invitation::DECLARATION.model, &named).await?;
    let (created, user) = (made.len(), context.caller.id);
    request.after_commit.push(move || tracing::debug!(user, created, "invitations were made"));
    Ok(made)
}

impl Shown {
    fn made(made: Made) -> Self {
        Self { pk: Some(made.pk), name: Some(made.name), expires: made.expires, errors: None }
    }

    fn refused(errors: FieldErrors) -> Self {
        Self { errors: Some(errors.into_body(Invitation::DECLARATION.fields)), ..Self::default() }
    }
}

/// What a request asks for.
struct Asked {
    entries: Vec<Entry>,
    /// The field that the entries come from: errors are told there.
    of: &'static str,
    /// Whether to make what can be made.
    partial: bool,
}

impl Asked {
    async fn read(mut body: Body, request: &mut Request<'_>) -> Result<Self, ApiError> {
        let context = request.context;
        let (dialect, expires) = (context.app.dialect(), context.default_expiry());
        let (around, wrong) = intake::take(AROUND, &body, Mode::Create, dialect);
        if !wrong.is_empty() {
            return Err(ApiError::Validation(wrong.into_body(AROUND)));
        }
        let partial = around.get(&PARTIAL) == Some(&Content::Boolean(true));
        let has = |field: &Field| body.value.get(field.name).is_some();
        match (has(&INVITATIONS), has(&TEMPLATE), has(&NAMES), has(&COUNT)) {
            (true, false, false, false) => {
                let bodies = take_list(&mut body)?;
                let mut entries = batch::check(bodies, dialect, expires).await?;
                let scope = context.nameable(&flow::TARGET);
                batch::check_flows(request.connection, &mut entries, scope).await?;
                Ok(Self { entries, of: INVITATIONS.name, partial })
            }
            (false, true, named, counted) if named != counted => {
                let bodies = body.take_bodies(TEMPLATE.name).and_then(|mut bodies| bodies.pop());
                let bodies = bodies.ok_or_else(|| ApiError::field(TEMPLATE.name, NOT_A_DICTIONARY))?;
                let template = template(bodies, counted, request).await?;
                let entries = repeat(&template, names(&around, &template)?, dialect).await?;
                Ok(Self { entries, of: NAMES.name, partial })
            }
            _ => Err(ApiError::field(NON_FIELD_ERRORS, messages::NO_INVITATIONS)),
        }
    }
}

/// The invitations that are listed.
fn take_list(body: &mut Body) -> Result<Vec<Body>, ApiError> {
    let sentence = match body.take_bodies(INVITATIONS.name) {
        None => expected_list(type_name(&body.value[INVITATIONS.name])),
        Some(bodies) if bodies.is_empty() => messages::EMPTY_LIST.to_owned(),
        Some(bodies) if bodies.len() > usize::from(MOST) => max_elements(MOST.into()),
        Some(bodies) => return Ok(bodies),
    };
    Err(ApiError::field(INVITATIONS.name, sentence))
}

/// The values of a template. Its name is needed where names are counted.
async fn template(body: Body, counted: bool, request: &mut Request<'_>) -> Result<Draft, ApiError> {
    let context = request.context;
    let (mut draft, input, mut errors) = examine::<Invitation>(&body, Mode::Partial, context.app.dialect())?;
    if counted && draft.get(&NAME).is_none() && !errors.has(&NAME) {
        errors.add(&NAME, REQUIRED);
    }
    batch::give_expiry(&mut draft, Mode::Create, &input, context.default_expiry());
    let mut entry = [if errors.is_empty() { Ok(draft) } else { Err(errors) }];
    batch::check_flows(request.connection, &mut entry, context.nameable(&flow::TARGET)).await?;
    let [entry] = entry;
    entry.map_err(|errors| {
        ApiError::Validation(json!({ TEMPLATE.name: errors.into_body(Invitation::DECLARATION.fields) }))
    })
}

/// The names, as the request has them, or as they are counted.
fn names(around: &Draft, template: &Draft) -> Result<Vec<Value>, ApiError> {
    let names = match (around.get(&NAMES), around.get(&COUNT)) {
        (Some(Content::Objects(names)), _) => names.clone(),
        (_, Some(Content::Integer(count))) => {
            let name = template.text(&NAME).unwrap_or_default();
            (1..=*count).map(|number| json!(format!("{name}-{number}"))).collect()
        }
        _ => Vec::new(),
    };
    let repeated = match template.get(&FIXED_DATA) {
        Some(Content::Dictionary(text)) => text.len() * names.len(),
        _ => 0,
    };
    if names.is_empty() {
        Err(ApiError::field(NAMES.name, messages::EMPTY_LIST))
    } else if names.len() > usize::from(MOST) {
        Err(ApiError::field(NAMES.name, max_elements(MOST.into())))
    } else if repeated > MAX_REPEATED {
        let sentence = messages::too_much_repeated(MAX_REPEATED);
        Err(ApiError::Validation(json!({ TEMPLATE.name: { FIXED_DATA.name: [sentence] } })))
    } else {
        Ok(names)
    }
}

/// The template under each of the names.
async fn repeat(template: &Draft, names: Vec<Value>, dialect: Dialect) -> Result<Vec<Entry>, ApiError> {
    let mut entries = Vec::with_capacity(names.len());
    for (number, name) in names.into_iter().enumerate() {
        batch::give_way(number).await;
        let body = json!({ NAME.name: name }).into();
        let (examined, _, errors) = examine::<Invitation>(&body, Mode::Partial, dialect)?;
        entries.push(match examined.get(&NAME) {
            Some(name) if errors.is_empty() => {
                let mut draft = template.clone();
                draft.set(&NAME, name.clone());
                Ok(draft)
            }
            _ => Err(errors),
        });
    }
    Ok(entries)
}
