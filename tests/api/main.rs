//! The API from the outside: the real router on a real PostgreSQL, and the real program where that is the subject.
//!
//! One file a theme. [`laws`] holds for every resource because it reads the same declarations as the server;
//! [`conformance`] replays what authentik answered; the others are about one rule each.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]
#![expect(clippy::disallowed_methods, reason = "a test may put SQL together as it likes")]

mod access;
mod attributes;
mod bad_input;
mod blueprints;
mod bulk;
mod climbing;
mod compatibility;
mod conditional;
mod conformance;
mod console;
mod contract;
mod credentials;
mod documents;
mod door;
mod dry_run;
mod durability;
mod email_templates;
mod every_filter;
mod expiry;
mod faults;
mod filters;
mod flat;
mod flow_set;
mod giving;
mod groups;
mod history;
mod hostile;
mod http;
mod idempotency;
mod import;
mod invitations;
mod laws;
mod mail;
mod mail_delivery;
mod mail_oauth;
mod mail_preview;
mod mail_secrets;
mod mail_stages;
mod mail_test;
mod memory;
mod needs;
mod one_connection;
mod overload;
mod paging;
mod parsers;
mod properties;
mod races;
mod redeem;
mod roles;
mod search;
mod seen;
mod sessions;
mod support;
mod tls;
mod tokens;
mod used_by;
mod users;
mod writes;
