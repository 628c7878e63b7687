//! Blueprints: files that say what there shall be, as authentik writes and reads them (version 1). Entries go through the
//! actions of the API, so whatever holds for a request holds for them.
//!
//! `yaml.rs` reads a file, `document.rs` its entries, `tags.rs` makes values of what stands in them, and `apply.rs` does what
//! they say to the objects of a resource. `export.rs` makes entries of objects, and `emit.rs` prints them.

mod apply;
mod change;
mod collections;
mod document;
mod emit;
mod export;
mod format;
mod models;
mod refused;
mod tags;
mod yaml;

pub use apply::Import;
pub use change::{Change, What};
pub use document::{Blueprint, Entry};
pub use export::{Export, HEAD};
pub use refused::Refused;
