//! What the servers have acknowledged.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What must be true of one object.
#[derive(Debug, Default, Clone)]
pub struct Entry {
    /// The values that it may have; `None` stands for "not there". One where all is known.
    pub may_be: Vec<Option<String>>,
}

/// What came of all requests so far.
#[derive(Default)]
pub struct Ledger(Mutex<Inner>);

/// See [`Ledger`].
#[derive(Default)]
pub struct Inner {
    /// By name.
    pub entries: BTreeMap<String, Entry>,
    /// How many answers had each status; 0 stands for none.
    pub statuses: BTreeMap<u16, usize>,
    pub unknown: usize,
    pub longest: Duration,
    pub longest_was: String,
    /// What must never be.
    pub wrong: Vec<String>,
    /// When the last read or write succeeded, by server.
    pub last_success: BTreeMap<(usize, bool), Instant>,
    /// Answers to requests for other paths while one table was locked, with those that succeeded.
    pub beside_lock: (usize, usize),
    /// Since when the table has been locked.
    pub locked: Option<Instant>,
}

impl Ledger {
    pub fn open(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}
