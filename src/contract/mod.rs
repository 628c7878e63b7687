//! Facts of authentik's contract: releases, paths, types of stages, templates, durations, sentences. Data and pure
//! functions; nothing here asks a database or knows a request.

pub mod comparison;
pub mod duration;
pub mod messages;
pub mod models;
pub mod paths;
pub mod release;
pub mod rules;
pub mod stage_types;
pub mod templates;

pub use release::Release;

/// Where the API stands.
pub const API_PREFIX: &str = "/api/v3";
