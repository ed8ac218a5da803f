//! What is known for a while: a bounded map whose entries run out.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Things known until their time is over.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    capacity: usize,
    longest: Duration,
}

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    /// Holds so many things, none longer than that.
    pub(super) fn new(capacity: usize, longest: Duration) -> Self {
        Self { entries: Mutex::default(), capacity, longest }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        // A panic elsewhere leaves a map that is still a map.
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = entries.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Keeps it for `ttl` seconds. When there is no room, what ran out goes, and if that is not
    /// enough, everything: it can all be asked again.
    pub(super) fn put(&self, key: K, value: V, ttl: u32) {
        let now = Instant::now();
        let until = now + self.longest.min(Duration::from_secs(ttl.into()));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, (until, _)| now < *until);
            if entries.len() >= self.capacity {
                entries.clear();
            }
        }
        entries.insert(key, (until, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outlives_its_time_or_the_room() {
        let kept = Kept::new(2, Duration::from_secs(60));
        kept.put("gone", 1, 0);
        assert_eq!(kept.get(&"gone"), None);
        kept.put("a", 2, 100);
        assert_eq!(kept.get(&"a"), Some(2));
        kept.put("b", 3, 100);
        assert_eq!((kept.get(&"a"), kept.get(&"b")), (Some(2), Some(3)), "the first made room");
        kept.put("c", 4, 100);
        assert_eq!((kept.get(&"a"), kept.get(&"c")), (None, Some(4)));
    }
}
