//! Mail: what is sent, how it is queued, and how it goes out.
//!
//! A request queues a mail in its own transaction ([`outbox`]): one row a recipient. A task of the server
//! ([`delivery`]) takes the rows one by one and hands each to its SMTP server ([`smtp`]), however many replicas do the
//! same.

pub mod address;
mod bounded;
pub mod delivery;
mod dialogue;
pub mod message;
pub mod outbox;
mod plain_text;
pub mod preview;
mod smtp;
mod stage;
pub mod steps;
pub mod template;
mod tls;
mod token;
pub mod trial;

pub use address::Mailbox;
pub use smtp::Relays;
pub use stage::{StageSmtp, Unusable};
