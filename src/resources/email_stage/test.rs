//! Test mails: `test/` of a stage, and of what isn't saved yet. They take the steps of a delivery, and the answer tells each.

use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::FieldErrors;
use drf::field::{Choices, DefaultValue, Field, Fields};
use drf::intake::{Content, Draft};
use drf::messages as sentences;
use drf::permission::{Permission, Verb};
use serde::Serialize;

use super::super::stage::Stage;
use super::{
    EmailStage, FROM_ADDRESS, HOST, PASSWORD, PORT, TIMEOUT, USE_GLOBAL_SETTINGS, USE_SSL, USE_TLS, USERNAME,
};
use crate::contract::messages;
use crate::error::ApiError;
use crate::mail::steps::Done;
use crate::mail::trial::{self, Extent, Trial};
use crate::mail::{Mailbox, StageSmtp, Unusable};
use crate::views::{Action, Answer, Request, Resource};

const MODE: Field = Field::choice(
    "mode",
    &Choices {
        name: "EmailStageTestModeEnum",
        since: &[],
        values: &[("connect", "Connect"), ("auth", "Auth"), ("send", "Send")],
    },
)
.default(DefaultValue::Text("send"))
.help("How far it goes: greetings are exchanged, somebody logs in, a mail is sent.");
const TO: Field = Field::text("to").help("Who gets the mail; a test that sends one needs it.");

/// A step in the answer.
#[derive(Serialize)]
struct Told {
    step: &'static str,
    successful: bool,
    reply: String,
    milliseconds: u128,
}

/// The answer.
#[derive(Serialize)]
struct Outcome {
    successful: bool,
    steps: Vec<Told>,
}

impl Outcome {
    fn of(done: Vec<Done>) -> Self {
        let told = |done: Done| Told {
            step: done.step.name(),
            successful: done.is_ok,
            reply: done.words,
            milliseconds: done.took.as_millis(),
        };
        let steps: Vec<Told> = done.into_iter().map(told).collect();
        Self { successful: steps.iter().all(|step| step.successful), steps }
    }
}

const OUTCOME: Component = Component {
    name: "EmailStageTestResult",
    schema: |document| {
        const STEP: Fields = Fields::new(&[
            Field::text("step").read_only(),
            Field::boolean("successful").read_only(),
            Field::text("reply").read_only().help("What the SMTP server said, or what went wrong."),
            Field::integer("milliseconds").read_only(),
        ]);
        const FIELDS: Fields = Fields::new(&[
            Field::boolean("successful").read_only(),
            Field::nested_list("steps", "EmailStageTestStep", STEP).read_only(),
        ]);
        document.fields("What became of a test, step by step", FIELDS)
    },
};

/// `POST …/{stage_uuid}/test/`: with the settings of a stage, as they are stored.
pub const TEST: Action<Stage<EmailStage>> = Action::on_object(
    drf::Action::extra(
        "test_create",
        Method::Post,
        Route { detail: true, url_path: "test" },
        Permission::Model(Verb::Change),
        "Test",
        "Talk to the SMTP server of the stage as a delivery does, and tell each step",
    )
    .takes(RequestBody::Fields {
        component: "EmailStageTest",
        description: "How far a test goes, and to whom",
        fields: Fields::new(&[TO, MODE]),
    })
    .answers(Success::One(&OUTCOME)),
    |request, stage| Box::pin(of_stage(request, stage)),
);

/// `POST /stages/email/test/`: with the settings of the body. No stored password has a part in it: whoever asks names the
/// host.
pub const TEST_UNSAVED: Action<Stage<EmailStage>> = Action::on_list(
    drf::Action::extra(
        "test_unsaved_create",
        Method::Post,
        Route { detail: false, url_path: "test" },
        Permission::Model(Verb::Add),
        "Test",
        "Talk to an SMTP server as a delivery does, and tell each step, before a stage is saved",
    )
    .takes(RequestBody::Fields {
        component: "EmailStageUnsavedTest",
        description: "The settings of a stage that isn't saved, how far a test goes, and to whom",
        fields: Fields::new(&[
            USE_GLOBAL_SETTINGS,
            HOST,
            PORT,
            USERNAME,
            PASSWORD,
            USE_TLS,
            USE_SSL,
            TIMEOUT,
            FROM_ADDRESS,
            TO,
            MODE,
        ]),
    })
    .answers(Success::One(&OUTCOME)),
    |mut request| Box::pin(async move { of_body(&mut request) }),
);

async fn of_stage(mut request: Request<'_>, stage: Stage<EmailStage>) -> Result<Answer, ApiError> {
    let stored = StageSmtp::find(&mut *request.connection, stage.pk()).await?;
    test(&mut request, &stored.ok_or(ApiError::Conflict)?)
}

fn of_body(request: &mut Request<'_>) -> Result<Answer, ApiError> {
    let draft = &request.draft;
    let text = |field: &Field| match (draft.text(field), field.default) {
        (Some(text), _) | (None, DefaultValue::Text(text)) => text.to_owned(),
        _ => String::new(),
    };
    let number = |field: &Field| match (draft.get(field), field.default) {
        (Some(Content::Integer(number)), _) => *number,
        (_, DefaultValue::Integer(number)) => number,
        _ => 0,
    };
    let is = |field: &Field| matches!(draft.get(field), Some(Content::Boolean(true)));
    let unsaved = StageSmtp {
        use_global_settings: is(&USE_GLOBAL_SETTINGS),
        host: text(&HOST),
        port: number(&PORT),
        username: text(&USERNAME),
        password: text(&PASSWORD),
        use_tls: is(&USE_TLS),
        use_ssl: is(&USE_SSL),
        timeout: number(&TIMEOUT),
        from_address: text(&FROM_ADDRESS),
    };
    test(request, &unsaved)
}

/// Test these settings. That is done once the request has given its connection to the database back, and let go of the
/// stage: it may take its time.
fn test(request: &mut Request<'_>, smtp: &StageSmtp) -> Result<Answer, ApiError> {
    let app = request.context.app.clone();
    let trial = prepared(request, smtp)?;
    app.mail_tests.count(&request.context.caller.id).map_err(ApiError::Throttled)?;
    request.after_commit.answer(async move {
        let done = trial.run(&app.settings.mail).await?;
        Answer::ok(&Outcome::of(done))
    });
    Ok(Answer::no_content())
}

/// # Errors
/// 400 with every field that is wrong.
fn prepared(request: &Request<'_>, smtp: &StageSmtp) -> Result<Trial, ApiError> {
    let app = request.context.app;
    let settings = &app.settings.mail;
    let mut errors = FieldErrors::default();
    let mut wrong = |unusable: Unusable| errors.add_named(unusable.field, unusable.sentence);
    let server = smtp.server(settings).map_err(&mut wrong).ok();
    let extent = match request.draft.text(&MODE) {
        Some("connect") => Some(Extent::Connect),
        Some("auth") => Some(Extent::Auth),
        _ => {
            let sender = smtp.sender(settings).map_err(&mut wrong).ok();
            let recipient = recipient(&request.draft).map_err(wrong).ok();
            let (key, now, locale) = (app.ids.next(), app.clock.now(), request.locale());
            let mail = |(from, to)| trial::mail(settings, locale, &from, &to, key, now);
            sender.zip(recipient).map(mail).transpose()?.map(Extent::Send)
        }
    };
    match server.zip(extent) {
        Some((server, extent)) => Ok(Trial { server, extent }),
        None => Err(ApiError::Validation(errors.into_body(Fields::NONE))),
    }
}

/// # Errors
/// It isn't there, or is no address.
fn recipient(draft: &Draft) -> Result<Mailbox, Unusable> {
    let unusable = |sentence| Unusable { field: TO.name, sentence };
    let text = draft.text(&TO).ok_or_else(|| unusable(sentences::REQUIRED.to_owned()))?;
    Mailbox::read(text).ok_or_else(|| unusable(messages::invalid_address(text)))
}
