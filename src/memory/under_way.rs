//! [`UnderWay`]: what requests are finding just now. A commit ends what is remembered, and then all who read the same would find
//! the same at the same time: one does, and the others wait for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// See the module.
pub struct UnderWay<K: Eq + Hash>(Mutex<HashMap<K, watch::Receiver<()>>>);

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
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> UnderWay<K> {
    /// Begin to find something, unless somebody does.
    pub fn turn(&self, key: &K) -> Turn<'_, K> {
        match self.all().entry(key.clone()) {
            Entry::Occupied(other) => Turn::Theirs(Over(other.get().clone())),
            Entry::Vacant(vacant) => {
                let (over, waiting) = watch::channel(());
                vacant.insert(waiting);
                Turn::Ours(Finding { under_way: self, key: key.clone(), _over: over })
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Turn::Ours(finding) = under_way.turn(&"a") else { panic!("nobody finds it yet") };
        let Turn::Theirs(over) = under_way.turn(&"a") else { panic!("it is found twice") };
        assert!(matches!(under_way.turn(&"b"), Turn::Ours(_)));
        let waiting = tokio::spawn(over.wait());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(finding);
        waiting.await.unwrap();
        assert!(matches!(under_way.turn(&"a"), Turn::Ours(_)));
        assert!(under_way.all().is_empty());
    }
}
