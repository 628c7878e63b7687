//! Facts of authentik's contract.

pub mod paths;
