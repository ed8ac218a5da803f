//! Who is signed in, in bounded memory and for a bounded time.
//!
//! A session is found by a random 256-bit *ticket* that the browser keeps in a cookie; only the ticket's
//! hash is kept here. It ends by signing out, when nothing was asked for a while, or after its longest
//! time.

use crate::random::{hash, random};
use parking_lot::Mutex;
use prometheus::IntGauge;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often sessions that are over are looked for.
const SWEEP: Duration =
    if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(60) };

/// How much and how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a session lasts without anything being asked for.
    pub idle: Duration,
    /// How long a session lasts at all.
    pub longest: Duration,
    /// Sessions at the same time; the one unused for longest gives way.
    pub sessions: usize,
    /// What all sessions may weigh together.
    pub weight: usize,
}

/// Sessions that hold a `T` each.
pub struct Sessions<T> {
    bounds: Bounds,
    gauge: IntGauge,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    entries: HashMap<[u8; 32], Entry<T>>,
    /// Whether a task looks for those that are over: there is never more than one.
    sweeping: bool,
}

struct Entry<T> {
    value: Arc<T>,
    weight: usize,
    begun: Instant,
    seen: Instant,
}

impl<T: Send + Sync + 'static> Sessions<T> {
    /// No sessions yet; `gauge` follows how many there are.
    pub fn new(bounds: Bounds, gauge: IntGauge) -> Arc<Self> {
        let held = Held { entries: HashMap::new(), sweeping: false };
        Arc::new(Self { bounds, gauge, held: Mutex::new(held) })
    }

    /// Begins a session; the answer is its ticket. Needs a tokio runtime.
    pub fn begin(self: &Arc<Self>, value: Arc<T>, weight: usize) -> String {
        let ticket = random(32);
        let now = Instant::now();
        let sweeping = {
            let mut held = self.held.lock();
            let entries = &mut held.entries;
            self.sweep(entries, now);
            self.make_room(entries, weight);
            entries.insert(hash(&ticket), Entry { value, weight, begun: now, seen: now });
            self.gauge.set(entries.len() as i64);
            std::mem::replace(&mut held.sweeping, true)
        };
        if !sweeping {
            tokio::spawn(forget_in_time(Arc::downgrade(self)));
        }
        ticket
    }

    /// The session of a ticket, if it is one that `wanted` says yes to. It is in use from now on.
    pub fn find(&self, ticket: &str, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.get(ticket, wanted, true)
    }

    /// As [`find`](Self::find), but the session does not count as used: for pages that load themselves.
    pub fn look(&self, ticket: &str, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.get(ticket, wanted, false)
    }

    fn get(&self, ticket: &str, wanted: impl Fn(&T) -> bool, used: bool) -> Option<Arc<T>> {
        let now = Instant::now();
        let mut held = self.held.lock();
        let entry = held.entries.get_mut(&hash(ticket))?;
        if entry.is_over(&self.bounds, now) || !wanted(&entry.value) {
            return None;
        }
        if used {
            entry.seen = now;
        }
        Some(Arc::clone(&entry.value))
    }

    /// Ends every session that `which` says yes to.
    pub fn end(&self, which: impl Fn(&T) -> bool) {
        let mut held = self.held.lock();
        held.entries.retain(|_, entry| !which(&entry.value));
        self.gauge.set(held.entries.len() as i64);
    }

    fn sweep(&self, entries: &mut HashMap<[u8; 32], Entry<T>>, now: Instant) {
        entries.retain(|_, entry| !entry.is_over(&self.bounds, now));
    }

    fn make_room(&self, entries: &mut HashMap<[u8; 32], Entry<T>>, weight: usize) {
        let held =
            |entries: &HashMap<_, Entry<T>>| entries.values().map(|e| e.weight).sum::<usize>();
        while !entries.is_empty()
            && (entries.len() >= self.bounds.sessions
                || held(entries) + weight > self.bounds.weight)
        {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.seen).map(|(key, _)| *key);
            if let Some(key) = oldest {
                entries.remove(&key);
            }
        }
    }
}

impl<T> Entry<T> {
    fn is_over(&self, bounds: &Bounds, now: Instant) -> bool {
        now.duration_since(self.seen) > bounds.idle
            || now.duration_since(self.begun) > bounds.longest
    }
}

/// Looks each minute for sessions that are over, until there are none.
async fn forget_in_time<T: Send + Sync + 'static>(sessions: Weak<Sessions<T>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(sessions) = sessions.upgrade() else { return };
        let mut held = sessions.held.lock();
        sessions.sweep(&mut held.entries, Instant::now());
        sessions.gauge.set(held.entries.len() as i64);
        if held.entries.is_empty() {
            held.sweeping = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(bounds: Bounds) -> Arc<Sessions<u32>> {
        Sessions::new(bounds, IntGauge::new("test", "test").unwrap())
    }

    fn count(sessions: &Sessions<u32>) -> usize {
        sessions.held.lock().entries.len()
    }

    const BOUNDS: Bounds = Bounds {
        idle: Duration::from_secs(60),
        longest: Duration::from_secs(600),
        sessions: 3,
        weight: 100,
    };

    #[tokio::test]
    async fn a_ticket_finds_its_session_until_it_ends() {
        let sessions = sessions(BOUNDS);
        let one = sessions.begin(Arc::new(1), 1);
        let two = sessions.begin(Arc::new(2), 1);
        assert_eq!(sessions.find(&one, |_| true).as_deref(), Some(&1));
        assert_eq!(sessions.look(&two, |_| true).as_deref(), Some(&2));
        assert!(sessions.find(&one, |n| *n == 2).is_none());
        assert!(sessions.find("", |_| true).is_none());
        sessions.end(|n| *n == 1);
        assert!(sessions.find(&one, |_| true).is_none());
        assert_eq!((count(&sessions), sessions.gauge.get()), (1, 1));
    }

    #[tokio::test]
    async fn one_task_at_most_looks_for_sessions_that_are_over() {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let sessions = sessions(BOUNDS);
        for _ in 0..2 {
            for n in 0..20 {
                sessions.begin(Arc::new(n), 1);
                sessions.end(|_| true);
            }
            assert_eq!(tasks(), 1);
            // It ends when there is nothing to look for, and another begins with the next session.
            let deadline = Instant::now() + Duration::from_secs(10);
            while tasks() > 0 {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(SWEEP).await;
            }
        }
    }

    #[tokio::test]
    async fn time_ends_a_session_and_looking_does_not_prolong_it() {
        let idle = Duration::from_millis(60);
        let sessions = sessions(Bounds { idle, ..BOUNDS });
        let ticket = sessions.begin(Arc::new(1), 1);
        let begun = Instant::now();
        while begun.elapsed() <= idle {
            sessions.look(&ticket, |_| true);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(sessions.find(&ticket, |_| true).is_none());
        let longest = self::sessions(Bounds { longest: Duration::ZERO, ..BOUNDS });
        let ticket = longest.begin(Arc::new(1), 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(longest.find(&ticket, |_| true).is_none());
    }

    #[tokio::test]
    async fn the_one_unused_for_longest_gives_way() {
        let sessions = sessions(BOUNDS);
        let tickets: Vec<String> = (0..3)
            .map(|n| {
                std::thread::sleep(Duration::from_millis(2));
                sessions.begin(Arc::new(n), 10)
            })
            .collect();
        sessions.find(&tickets[0], |_| true);
        sessions.begin(Arc::new(9), 10);
        assert!(sessions.look(&tickets[0], |_| true).is_some());
        assert!(sessions.look(&tickets[1], |_| true).is_none(), "too many");
        sessions.begin(Arc::new(10), 95);
        assert_eq!(count(&sessions), 1, "too heavy");
    }
}
