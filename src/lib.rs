//! **ak-stages**: authentik's stages REST API as one small server on PostgreSQL.
//!
//! A tour, from the outside in:
//!
//! - [`app`] puts the server together; [`config`] reads its settings; [`lifecycle`] starts and ends it, and
//!   [`connections`] lead to it. [`http`] finds out who calls through a proxy.
//! - [`resources`] declares what the API is about, one file a resource.
//! - [`drf`] is the dialect of Django REST framework: from a declaration it makes routes, validation, SQL and the
//!   OpenAPI document. It knows no stage.
//! - [`auth`] turns a token into a caller and decides what the caller may see and do.
//! - [`db`] opens PostgreSQL: an embedded one, a given one, or that of a running authentik. [`audit`] writes the events
//!   that authentik keeps.
//! - [`contract`] is what is known of authentik's API beyond what is served here.
//! - [`error`] is every way in which a request can fail.
//!
//! Dependencies point down this list; `docs/ARCHITECTURE.md` walks one request through it.

pub mod app;
pub mod audit;
pub mod auth;
pub mod browser;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod contract;
pub mod db;
pub mod doctor;
pub mod drf;
pub mod email_templates;
pub mod error;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod resources;
pub mod stdout;
pub mod telemetry;
