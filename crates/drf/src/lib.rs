#![doc = include_str!("../README.md")]

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
pub mod search;
pub mod time;

pub use action::Action;
pub use declaration::Declaration;
