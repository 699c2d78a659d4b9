//! What is due when.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// Keys by the time at which somebody has to look at them.
///
/// A full queue takes nothing more: whoever fills it has another way to find what
/// is missing.
#[derive(Debug)]
pub(super) struct Queue<K> {
    times: HashMap<K, u64>,
    order: BTreeSet<(u64, K)>,
    capacity: usize,
}

impl<K: Copy + Eq + Hash + Ord> Queue<K> {
    /// An empty one for so many keys.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            times: HashMap::new(),
            order: BTreeSet::new(),
            capacity,
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Sets the time of a key.
    pub(super) fn set(&mut self, key: K, time: u64) {
        self.remove(&key);
        if self.times.len() < self.capacity {
            self.times.insert(key, time);
            self.order.insert((time, key));
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(time) = self.times.remove(key) {
            self.order.remove(&(time, *key));
        }
    }

    /// Takes the key that is due for the longest time, if one is.
    pub(super) fn take_due(&mut self, now: u64) -> Option<K> {
        let (time, key) = self.order.first().copied()?;
        if time > now {
            return None;
        }
        self.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_time() {
        let mut queue = Queue::new(3);
        queue.set('a', 30);
        queue.set('b', 20);
        queue.set('c', 10);
        queue.set('d', 5);
        queue.set('c', 25);
        queue.remove(&'x');
        assert_eq!(queue.take_due(19), None);
        assert_eq!(queue.take_due(30), Some('b'));
        assert_eq!(queue.take_due(30), Some('c'));
        queue.remove(&'a');
        assert_eq!(queue.take_due(u64::MAX), None);
        assert!(queue.times.is_empty() && queue.order.is_empty());
    }
}
