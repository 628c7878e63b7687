//! HTTP: what comes in and what goes out.

mod browser;
mod connections;
mod error;
mod health;
mod receive;
mod router;
mod trusted_proxies;
mod unread;

pub use connections::{Connections, HEAD_TIME_LIMIT};
pub use router::router;
