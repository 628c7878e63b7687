//! What is seen of the server's work: logs, metrics and traces.
//!
//! No value of a request or of the database comes in here: routes and no paths, statements and no parameters.

mod logs;
pub mod metrics;
mod process;
pub mod traces;
mod work;

pub use logs::{LogFormat, start};
pub use work::{Refusal, Work, asked_by, carried, on_trial, refused};
