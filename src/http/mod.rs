//! What comes in and goes out.

pub mod trusted_proxies;
