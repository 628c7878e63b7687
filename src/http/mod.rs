//! HTTP: what comes in and what goes out.

mod browser;
mod connections;
mod error;
mod health;
mod metrics;
mod receive;
mod router;
mod trusted_proxies;
mod unread;

pub use connections::{Connections, HEAD_TIME_LIMIT};
pub use metrics::serve_metrics;
pub use router::router;
