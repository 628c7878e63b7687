#![doc = include_str!("../README.md")]

pub mod action;
mod body;
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
mod transcode;

pub use action::Action;
pub use body::Body;
pub use declaration::Declaration;
