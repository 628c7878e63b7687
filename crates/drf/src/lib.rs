//! Django REST framework's dialect as a library: what an API in that dialect takes and answers, from declarations.
//!
//! A resource is declared once ([`Declaration`]): its [`Fields`](field::Fields), its filters, its [actions](action).
//! From that follow the checks of a body ([`intake`]), the meaning of a query string ([`params`], [`page`]), the answer
//! to `OPTIONS` ([`metadata`]) and the OpenAPI document ([`openapi`]).
//!
//! Everything here is a function of its arguments: no I/O, no clock, no database, no HTTP server. SQL stands in
//! declarations as text that somebody else puts together. The rules are those of Django 5.2, Django REST framework 3.16
//! and django-filter 25; nothing in here knows which API is served with them.

pub mod action;
pub mod declaration;
pub mod email;
pub mod errors;
pub mod field;
pub mod intake;
pub mod json;
pub mod json_lookup;
pub mod messages;
pub mod metadata;
pub mod negotiation;
pub mod openapi;
pub mod page;
pub mod params;
pub mod permission;
pub mod python;
pub mod rules;
pub mod time;

pub use action::Action;
pub use declaration::Declaration;
