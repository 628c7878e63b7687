//! What invitations have beyond authentik's, in tables of our own: how often they may be used, what happened to them, and
//! the task that deletes expired ones.

pub mod expiry;
pub mod history;
pub mod uses;
