//! [`UnderWay`]: what requests are finding just now. A commit ends what is remembered, and then all who read the same would find
//! the same at the same time: one does, and the others wait for it.
//!
//! They would wait for nothing where commits come faster than answers. So nobody waits behind one that a commit overtook, until
//! there is one again that none did.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// See the module.
pub struct UnderWay<K: Eq + Hash> {
    all: Mutex<HashMap<K, watch::Receiver<()>>>,
    overtaken: AtomicBool,
}

/// Whose turn it is to find something.
pub enum Turn<'a, K: Eq + Hash + Clone> {
    /// Ours. Others wait until it is dropped.
    Ours(Finding<'a, K>),
    /// Another request's.
    Theirs(Over),
}

/// Somebody finds something: nobody else begins to until this is dropped.
pub struct Finding<'a, K: Eq + Hash + Clone> {
    under_way: &'a UnderWay<K>,
    key: K,
    /// Closed with it, which those who wait see.
    _over: watch::Sender<()>,
}

/// The end of somebody's [`Finding`], whatever came of it.
pub struct Over(watch::Receiver<()>);

impl Over {
    /// Wait for it.
    pub async fn wait(mut self) {
        self.0.changed().await.ok(); // nothing is ever sent
    }
}

impl<K: Eq + Hash> Default for UnderWay<K> {
    fn default() -> Self {
        Self { all: Mutex::default(), overtaken: AtomicBool::new(false) }
    }
}

impl<K: Eq + Hash + Clone> UnderWay<K> {
    /// Begin to find something, unless somebody does; `None` where nobody waits.
    pub fn turn(&self, key: &K) -> Option<Turn<'_, K>> {
        if self.overtaken.load(Ordering::Relaxed) {
            return None;
        }
        Some(match self.all().entry(key.clone()) {
            Entry::Occupied(other) => Turn::Theirs(Over(other.get().clone())),
            Entry::Vacant(vacant) => {
                let (over, waiting) = watch::channel(());
                vacant.insert(waiting);
                Turn::Ours(Finding { under_way: self, key: key.clone(), _over: over })
            }
        })
    }

    /// Something was found, and a commit overtook it, or none did.
    pub fn found(&self, overtaken: bool) {
        self.overtaken.store(overtaken, Ordering::Relaxed);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<()>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Drop for Finding<'_, K> {
    fn drop(&mut self) {
        self.under_way.all().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_finds_it_and_others_wait_for_the_end() {
        let under_way = UnderWay::default();
        let Some(Turn::Ours(finding)) = under_way.turn(&"a") else { panic!("nobody finds it yet") };
        let Some(Turn::Theirs(over)) = under_way.turn(&"a") else { panic!("it is found twice") };
        assert!(matches!(under_way.turn(&"b"), Some(Turn::Ours(_))));
        let waiting = tokio::spawn(over.wait());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(finding);
        waiting.await.unwrap();
        assert!(matches!(under_way.turn(&"a"), Some(Turn::Ours(_))));
        assert!(under_way.all().is_empty());
    }

    #[test]
    fn nobody_waits_where_commits_are_faster() {
        let under_way = UnderWay::default();
        under_way.found(true);
        assert!(under_way.turn(&"a").is_none());
        under_way.found(false);
        assert!(under_way.turn(&"a").is_some());
    }
}
