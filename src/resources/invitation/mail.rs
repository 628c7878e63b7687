//! Mail about an invitation: `send_email/`, and what became of it.

use std::collections::HashSet;

use drf::Body;
use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::FieldErrors;
use drf::field::{Choices, DefaultValue, Field, Fields};
use drf::intake::{self, Content, Draft, Mode};
use drf::permission::{Permission, Verb};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{email_stage, stage};
use super::{Invitation, beyond};
use crate::app::App;
use crate::config::PublicUrl;
use crate::contract::{Release, messages};
use crate::db::extensions;
use crate::error::ApiError;
use crate::invitations::history::Happened;
use crate::mail::outbox::{self, Kind, Limits, Mail, Recipient, Shown, TooMany, Which};
use crate::mail::template::{self, Parts, Refused, Subject};
use crate::mail::{Mailbox, Unusable};
use crate::views::{Action, Answer, Request, Resource};

/// Addresses that a request may name.
const MAX_ADDRESSES: usize = 1000;
/// Messages that are shown of an invitation.
const MAX_SHOWN: i64 = 1000;

const EMAIL_ADDRESSES: Field = Field::list("email_addresses").required();
const CC_ADDRESSES: Field = Field::list("cc_addresses");
const BCC_ADDRESSES: Field = Field::list("bcc_addresses");
const TEMPLATE: Field = Field::text("template").default(DefaultValue::Text("invitation"));
const SUBJECT: Field = Field::text("subject").max_length(200).help("Instead of the usual subject.");
const FROM_ADDRESS: Field = Field::text("from_address").help("Instead of AUTHENTIK_EMAIL__FROM.");
const REPLY_TO: Field = Field::text("reply_to").help("Where answers go, instead of the sender.");
const STAGE: Field = Field::foreign_key("stage", "stage", &stage::TARGET)
    .nullable()
    .help("The email stage whose SMTP server and sender are used, instead of the global ones.");
const CONTEXT: Field = Field::dictionary("context").help("More values for the template.");

const ASKED: Fields = Fields::new(&[
    EMAIL_ADDRESSES,
    CC_ADDRESSES,
    BCC_ADDRESSES,
    TEMPLATE,
    SUBJECT,
    FROM_ADDRESS,
    REPLY_TO,
    STAGE,
    CONTEXT,
]);

const KIND: Choices = Choices {
    name: "InvitationMessageKindEnum",
    since: &[],
    values: &[("to", "To"), ("cc", "Cc"), ("bcc", "Bcc")],
};

const STATE: Choices = Choices {
    name: "InvitationMessageStateEnum",
    since: &[],
    values: &[
        ("queued", "Queued"),
        ("sending", "Sending"),
        ("sent", "Sent"),
        ("failed", "Failed"),
        ("dead", "Dead"),
    ],
};

const MESSAGE: Component = Component {
    name: "InvitationMessage",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::uuid("pk").read_only(),
            Field::choice("kind", &KIND).read_only(),
            Field::text("address").read_only(),
            Field::text("template").read_only(),
            Field::text("subject").read_only(),
            Field::choice("state", &STATE).read_only(),
            Field::integer("attempts").read_only(),
            Field::text("reply").read_only().help("What the SMTP server said last."),
            Field::datetime("created").read_only(),
            Field::datetime("next_attempt").read_only().nullable(),
            Field::datetime("finished").read_only().nullable(),
        ]);
        document.fields("A mail to one recipient", FIELDS)
    },
};

/// `POST …/{invite_uuid}/send_email/`: queue a mail with the invitation's link.
pub const SEND_EMAIL: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "send_email_create",
        Method::Post,
        Route { detail: true, url_path: "send_email" },
        Permission::Model(Verb::Add),
        "Send email",
        "Send invitation link via email to one or more addresses",
    )
    .takes(RequestBody::Unchecked {
        component: "InvitationSendEmail",
        description: "Serializer for sending invitation emails",
        fields: ASKED,
    })
    .answers(Success::Queued(&MESSAGE))
    .since(Release::V2026_5.api()),
    |request, invitation| Box::pin(send_email(request, invitation)),
);

/// `GET …/{invite_uuid}/messages/`: what became of the mails, the newest first.
pub const MESSAGES: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "messages_list",
        Method::Get,
        Route { detail: true, url_path: "messages" },
        Permission::View,
        "Messages",
        "What became of the mails about this invitation",
    )
    .answers(Success::Many(&MESSAGE)),
    |request, invitation| Box::pin(list(request, invitation)),
);

/// `GET …/{invite_uuid}/messages/{message_uuid}/`: one of them.
pub const RETRIEVE: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "messages_retrieve",
        Method::Get,
        Route { detail: true, url_path: "messages/{message_uuid}" },
        Permission::View,
        "Message",
        "What became of a mail about this invitation",
    )
    .answers(Success::One(&MESSAGE)),
    |request, invitation| Box::pin(retrieve(request, invitation)),
);

/// `POST …/{invite_uuid}/messages/{message_uuid}/retry/`: try one that failed at once.
pub const RETRY: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "messages_retry_create",
        Method::Post,
        Route { detail: true, url_path: "messages/{message_uuid}/retry" },
        Permission::Model(Verb::Add),
        "Retry",
        "Try a mail that failed or was given up once more",
    )
    .answers(Success::One(&MESSAGE)),
    |request, invitation| Box::pin(retry(request, invitation)),
);

/// What a request asks for, checked.
struct Asked {
    recipients: Vec<(Kind, Mailbox)>,
    template: String,
    subject: Option<String>,
    from: Option<Mailbox>,
    reply_to: Option<Mailbox>,
    stage: Option<Uuid>,
    context: Map<String, Value>,
}

async fn send_email(mut request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let body = std::mem::take(&mut request.body);
    let app = request.context.app;
    if let Value::Object(body) = &body.value
        && is_nothing(body.get(EMAIL_ADDRESSES.name))
    {
        return Err(refusal(messages::NO_ADDRESSES));
    }
    let Some(flow) = invitation.flow else { return Err(refusal(messages::NO_FLOW)) };
    let mut asked = Asked::read(&body, app)?;
    asked.take_sender(&mut request).await?;
    if invitation.expires.is_some_and(|expires| expires <= app.clock.now()) {
        return Err(refusal(messages::EXPIRED));
    }
    let public_url = app.settings.mail.public_url.as_ref();
    let public_url = public_url.ok_or(ApiError::NotSetUp(messages::NO_PUBLIC_URL))?;
    let slug: String = sqlx::query_scalar("SELECT slug FROM authentik_flows_flow WHERE flow_uuid = $1")
        .bind(flow)
        .fetch_one(&mut *request.connection)
        .await?;
    let parts = asked.render(&request, &invitation, public_url, &slug)?;
    let mail = asked.mail(&request, &invitation, parts);
    refuse_too_many(request.connection, &mail, app).await?;
    outbox::queue(request.connection, &mail).await.map_err(unless_missing)?;
    let named = [(invitation.pk, invitation.name.clone())];
    let details = json!({ "template": mail.template, "recipients": mail.recipients.len() });
    beyond::note(request.context, request.connection, Happened::Mailed, &named, &details).await?;
    let waker = app.mail_waker.clone();
    request.after_commit.push(move || waker.notify_one());
    if !request.prefers_representation() {
        return Ok(Answer::no_content());
    }
    let which = Which { mail: Some(mail.key), ..Which::default() };
    Answer::accepted(&show(request.connection, &which).await?)
}

/// # Errors
/// 400 for a mail that would break a limit.
async fn refuse_too_many(connection: &mut PgConnection, mail: &Mail, app: &App) -> Result<(), ApiError> {
    let settings = &app.settings.mail;
    let limits = Limits { recipient: settings.per_recipient, sender: settings.per_sender };
    match outbox::exceeded(connection, mail, limits).await.map_err(unless_missing)? {
        None => Ok(()),
        Some(TooMany::Sender) => Err(refusal(&messages::too_many_of(limits.sender))),
        Some(TooMany::Recipient(address)) => {
            let sentence = messages::too_many_to(&address, limits.recipient);
            Err(ApiError::field(EMAIL_ADDRESSES.name, sentence))
        }
    }
}

async fn list(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let which = Which { invitation: Some(invitation.pk), ..Which::default() };
    Answer::ok(&show(request.connection, &which).await?)
}

async fn retrieve(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let message = message_key(&request)?;
    Answer::ok(&find(request.connection, &invitation, message).await?)
}

async fn retry(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let message = message_key(&request)?;
    find(request.connection, &invitation, message).await?;
    if !outbox::retry(request.connection, message).await.map_err(unless_missing)? {
        return Err(refusal(messages::NOT_FAILED));
    }
    let waker = request.context.app.mail_waker.clone();
    request.after_commit.push(move || waker.notify_one());
    Answer::ok(&find(request.connection, &invitation, message).await?)
}

/// authentik's errors of this action stand under the key `error`.
fn refusal(sentence: &str) -> ApiError {
    ApiError::Validation(json!({ "error": sentence }))
}

/// What Python takes for false.
fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Bool(true)) => false,
    }
}

fn message_key(request: &Request<'_>) -> Result<Uuid, ApiError> {
    request.own_key.parse().map_err(|_| ApiError::not_found())
}

async fn show(connection: &mut PgConnection, which: &Which<'_>) -> Result<Vec<Shown>, ApiError> {
    outbox::show(connection, which, MAX_SHOWN).await.map_err(unless_missing)
}

async fn find(
    connection: &mut PgConnection,
    invitation: &Invitation,
    message: Uuid,
) -> Result<Shown, ApiError> {
    let which = Which { invitation: Some(invitation.pk), message: Some(message), ..Which::default() };
    show(connection, &which).await?.pop().ok_or_else(|| ApiError::no_match("InvitationMessage"))
}

fn unless_missing(error: sqlx::Error) -> ApiError {
    if extensions::are_missing(&error) { ApiError::NotSetUp(messages::NO_EXTENSIONS) } else { error.into() }
}

impl Asked {
    fn read(body: &Body, app: &App) -> Result<Self, ApiError> {
        let (draft, mut errors) = intake::take(ASKED, body, Mode::Create, app.dialect());
        let mut recipients = Vec::new();
        let mut seen = HashSet::new();
        for (field, kind) in
            [(&EMAIL_ADDRESSES, Kind::To), (&CC_ADDRESSES, Kind::Cc), (&BCC_ADDRESSES, Kind::Bcc)]
        {
            for mailbox in mailboxes(&draft, field, &mut errors) {
                if seen.insert(mailbox.address().clone()) {
                    recipients.push((kind, mailbox));
                }
            }
        }
        if recipients.len() > MAX_ADDRESSES {
            errors.add(&EMAIL_ADDRESSES, messages::too_many_addresses(MAX_ADDRESSES));
        }
        let template = template::full_name(draft.text(&TEMPLATE).unwrap_or("invitation")).to_owned();
        let subject = draft.text(&SUBJECT).map(str::to_owned);
        if subject.as_ref().is_some_and(|subject| subject.chars().any(char::is_control)) {
            errors.add(&SUBJECT, messages::CONTROL_CHARACTERS);
        }
        let [from, reply_to] = [&FROM_ADDRESS, &REPLY_TO].map(|field| {
            let text = draft.text(field)?;
            let mailbox = Mailbox::read(text);
            if mailbox.is_none() {
                errors.add(field, messages::invalid_address(text));
            }
            mailbox
        });
        let context = match draft.get(&CONTEXT) {
            Some(Content::Dictionary(text)) => serde_json::from_str(text).map_err(anyhow::Error::from)?,
            _ => Map::new(),
        };
        if !errors.is_empty() {
            return Err(ApiError::Validation(errors.into_body(ASKED)));
        }
        let stage = draft.keys::<Uuid>(&STAGE).and_then(|keys| keys.first().copied());
        Ok(Self { recipients, template, subject, from, reply_to, stage, context })
    }

    /// Whose settings send it: without a sender of its own it has theirs.
    ///
    /// # Errors
    /// 400 for a stage that the caller doesn't see, or whose settings are of no use.
    async fn take_sender(&mut self, request: &mut Request<'_>) -> Result<(), ApiError> {
        let settings = &request.context.app.settings.mail;
        let Some(key) = self.stage else { return Ok(()) };
        let stage = email_stage::smtp(request.context, request.connection, key).await?;
        let unknown = || ApiError::field(STAGE.name, drf::messages::invalid_pk(&key.to_string()));
        let stage = stage.ok_or_else(unknown)?;
        let unusable = |unusable: Unusable| ApiError::field(STAGE.name, unusable.sentence);
        stage.server(settings).map_err(unusable)?;
        if self.from.is_none() {
            self.from = Some(stage.sender(settings).map_err(unusable)?);
        }
        Ok(())
    }

    /// What the mail says.
    fn render(
        &self,
        request: &Request<'_>,
        invitation: &Invitation,
        public_url: &PublicUrl,
        slug: &str,
    ) -> Result<Parts, ApiError> {
        let url = format!("{}/if/flow/{slug}/?itoken={}", public_url.as_str(), invitation.pk);
        let subject = Subject {
            url: &url,
            expires: invitation.expires,
            host: public_url.host(),
            context: self.context.clone(),
        };
        let app = request.context.app;
        let (release, locale) = (app.database.layout.release(), request.locale());
        let rendered = template::render(&self.template, &app.templates.sources(), release, locale, subject);
        rendered.map_err(|refused| {
            let sentence = match refused {
                Refused::Unknown => {
                    let known = app.templates.list(release);
                    let names: Vec<&str> = known.iter().map(|template| template.name.as_str()).collect();
                    messages::unknown_template(&self.template, &names)
                }
                Refused::Broken(reason) => messages::broken_template(&self.template, &reason),
            };
            ApiError::field(TEMPLATE.name, sentence)
        })
    }

    fn mail(self, request: &Request<'_>, invitation: &Invitation, parts: Parts) -> Mail {
        let app = request.context.app;
        let key = app.ids.next();
        let address = |mailbox: Mailbox| mailbox.to_string();
        let recipients = self.recipients.into_iter();
        Mail {
            key,
            created: app.clock.now(),
            created_by: request.context.caller.id,
            invitation: invitation.pk(),
            stage: self.stage,
            template: self.template,
            sender: self.from.map_or_else(|| app.settings.mail.from.clone(), address),
            reply_to: self.reply_to.map(address).unwrap_or_default(),
            subject: self.subject.unwrap_or(parts.subject),
            html: parts.html,
            plain: parts.plain,
            recipients: recipients
                .map(|(kind, mailbox)| Recipient { key: app.ids.next(), kind, mailbox })
                .collect(),
        }
    }
}

/// The addresses of a list; what isn't one is an error that names it.
fn mailboxes(draft: &Draft, field: &Field, errors: &mut FieldErrors) -> Vec<Mailbox> {
    let Some(Content::Objects(items)) = draft.get(field) else { return Vec::new() };
    let mut mailboxes = Vec::new();
    for item in items.iter().take(MAX_ADDRESSES + 1) {
        match item.as_str().and_then(Mailbox::read) {
            Some(mailbox) => mailboxes.push(mailbox),
            None => {
                let given = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                errors.add(field, messages::invalid_address(&given.chars().take(100).collect::<String>()));
            }
        }
    }
    mailboxes
}
