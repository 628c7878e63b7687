//! **ak-stages**: authentik's stages REST API as one small server on PostgreSQL.
//!
//! A tour, from the street to the cellar. Each room uses those below it and none above; `docs/ARCHITECTURE.md` draws the
//! line, and a test holds it:
//!
//! - [`cli`]: the program, one file a command.
//! - [`http`]: what comes in and goes out: connections, router, health, the API browser.
//! - [`blueprints`]: files that say what there shall be.
//! - [`resources`]: what the API is about, one file a resource; the registry.
//! - [`views`]: the generic actions: order of checks, look-up, transaction, answer.
//! - `authentik`: what authentik does beside a write.
//! - `auth`: credentials become a caller, a caller becomes a scope.
//! - [`app`]: the state that requests share. [`config`] reads its settings.
//! - [`invitations`]: what invitations have beyond authentik's.
//! - [`db`]: which PostgreSQL, what is in it, statements made from declarations.
//! - [`contract`]: facts of authentik's contract. `error` is every way in which a request can fail.
//!
//! The dialect itself, Django REST framework's, is the crate [`drf`].

pub mod app;
mod auth;
mod authentik;
pub mod blueprints;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod db;
mod email_templates;
mod error;
pub mod http;
pub mod invitations;
mod mail;
mod memory;
pub mod resources;
mod telemetry;
mod throttle;
pub mod views;

/// What fuzz targets look at of credentials.
pub use auth::{bearer, cookie::cookie, csrf, signed::session_key};
