//! HTTP: what comes in and what goes out.

mod assets;
mod body;
mod browser;
mod conditional;
mod connections;
mod console;
mod door;
mod error;
mod health;
mod metrics;
mod receive;
mod router;
mod sessions;
mod stream;
mod tls;
mod trusted_proxies;
mod unread;

pub use connections::{Connections, HEAD_TIME_LIMIT, Limits};
pub use door::raise_open_files;
pub use metrics::serve_metrics;
pub use router::router;
pub use tls::Tls;
