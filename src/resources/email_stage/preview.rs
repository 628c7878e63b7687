//! `templates/{name}/preview/`: what a template says.

use axum::http::HeaderValue;
use axum::http::header::VARY;
use drf::action::{Component, Method, Route, Success};
use drf::field::{Field, Fields};
use drf::permission::{Permission, Verb};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::super::stage::Stage;
use super::EmailStage;
use crate::contract::messages;
use crate::error::ApiError;
use crate::mail::preview::preview;
use crate::mail::template::{self, Refused};
use crate::views::{Action, Answer, Request};

/// The answer follows the language that is asked for.
const ACCEPT_LANGUAGE: HeaderValue = HeaderValue::from_static("accept-language");

/// The answer.
#[derive(Serialize)]
struct Shown {
    name: String,
    html: String,
    text: String,
}

const SHOWN: Component = Component {
    name: "EmailTemplatePreview",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::text("name").read_only(),
            Field::text("html").read_only(),
            Field::text("text").read_only(),
        ]);
        document.fields("What an email template says of made-up values", FIELDS)
    },
};

/// `GET /stages/email/templates/{name}/preview/`. The name stands percent-encoded in the path: `email%2Finvitation.html`.
pub const PREVIEW: Action<Stage<EmailStage>> = Action::on_list(
    drf::Action::extra(
        "templates_preview_retrieve",
        Method::Get,
        Route { detail: false, url_path: "templates/{name}/preview" },
        Permission::Model(Verb::View),
        "Preview",
        "What a template says of made-up values, as HTML and as text",
    )
    .answers(Success::One(&SHOWN)),
    |request| Box::pin(async move { shown(&request) }),
);

fn shown(request: &Request<'_>) -> Result<Answer, ApiError> {
    let app = request.context.app;
    let name = percent_decode_str(request.own_key).decode_utf8().map_err(|_| ApiError::not_found())?;
    let name = template::full_name(&name);
    let (release, sources) = (app.database.layout.release(), app.templates.sources());
    let parts = preview(name, &sources, release, request.locale(), &app.settings.mail, app.clock.now());
    match parts {
        Ok(parts) => {
            let shown = Shown { name: name.to_owned(), html: parts.html, text: parts.plain };
            Ok(Answer::ok(&shown)?.with_header(VARY, ACCEPT_LANGUAGE))
        }
        Err(Refused::Unknown) => Err(ApiError::not_found()),
        Err(Refused::Broken(reason)) => {
            Err(ApiError::field("name", messages::broken_template(name, &reason)))
        }
    }
}
