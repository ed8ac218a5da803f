//! The schedule in memory: who is due when, and whose turn it is.
//!
//! Recipients of an item that share a lane, a domain and a route form a *group*, the unit of a lease.
//! Groups wait in *lanes*: one for each destination domain, one for local deliveries, one for
//! pickups. A lane has a cap of concurrent leases. Lanes that have something due take turns, the one
//! served longest ago first, so a full lane costs the others nothing.
//!
//! Every lane that can be served is listed in exactly one of two ordered sets: `by_due` until its
//! first group's time comes, `ready` from then on. All operations are logarithmic in the number of
//! lanes and of groups. Nothing here touches the store or a clock: times are milliseconds since 1970.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use wardpost_mail::{Domain, QueueId, TlsGrade};
use wardpost_policy::Route;

/// Recipients that become due this soon after the first of their group are tried along with it.
const TOGETHER_MS: u64 = 30_000;

/// What takes turns with what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Local,
    Pickup,
    Domain(Domain),
}

/// How many leases a lane may have at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) per_domain: usize,
    pub(crate) local: usize,
    pub(crate) pickup: usize,
}

/// One recipient, as the schedule is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) index: u32,
    pub(crate) domain: Domain,
    pub(crate) route: Route,
    pub(crate) standing: Standing,
}

/// How a recipient stands, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Due(u64),
    Held,
    Ended,
}

/// A lease: what is to be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) id: QueueId,
    pub(crate) group: usize,
    pub(crate) members: Vec<u32>,
}

/// Names an item's lock: records of one item are written one after the other.
pub(crate) type ItemLock = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug)]
struct Item {
    created: u64,
    recipients: u32,
    held: usize,
    groups: Vec<Group>,
    lock: ItemLock,
}

#[derive(Debug)]
struct Group {
    lane: u64,
    /// Those that have not ended, and when they are due.
    members: BTreeMap<u32, u64>,
    /// Indices out on a lease; empty when there is none.
    leased: Vec<u32>,
}

impl Group {
    fn first_due(&self) -> Option<u64> {
        self.members.values().copied().min()
    }
}

#[derive(Debug)]
struct LaneState {
    lane: Lane,
    cap: usize,
    /// Groups that wait, by time.
    groups: BTreeSet<(u64, QueueId, usize)>,
    leases: usize,
    /// When it was last served, counted in turns.
    served: u64,
    listed: Listed,
}

/// Where a lane is listed, and under what.
#[derive(Debug, Clone, Copy)]
enum Listed {
    No,
    ByDue(u64),
    Ready(u64),
}

/// Numbers; see [`crate::QueueStats`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) items: usize,
    pub(crate) recipients: usize,
    pub(crate) due: usize,
    pub(crate) leased: usize,
    pub(crate) held: usize,
    pub(crate) oldest: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    caps: Caps,
    items: BTreeMap<QueueId, Item>,
    lane_names: HashMap<Lane, u64>,
    lanes: HashMap<u64, LaneState>,
    by_due: BTreeSet<(u64, u64)>,
    ready: BTreeSet<(u64, u64)>,
    next_lane: u64,
    turn: u64,
}

impl Schedule {
    pub(crate) fn new(caps: Caps) -> Self {
        Self {
            caps,
            items: BTreeMap::new(),
            lane_names: HashMap::new(),
            lanes: HashMap::new(),
            by_due: BTreeSet::new(),
            ready: BTreeSet::new(),
            next_lane: 0,
            turn: 0,
        }
    }

    /// Adds an item with all its recipients.
    pub(crate) fn add(&mut self, id: QueueId, created: u64, entries: &[Entry]) {
        let mut groups: Vec<Group> = Vec::new();
        let mut names: HashMap<(&Domain, &str, Option<TlsGrade>), usize> = HashMap::new();
        let mut held = 0;
        for entry in entries {
            let due = match entry.standing {
                Standing::Due(due) => due,
                Standing::Held => {
                    held += 1;
                    continue;
                }
                Standing::Ended => continue,
            };
            let floor = match entry.route {
                Route::Direct { floor } => Some(floor),
                _ => None,
            };
            let name = (&entry.domain, entry.route.name(), floor);
            let group = *names.entry(name).or_insert_with(|| {
                let lane = self.lane_for(&entry.domain, &entry.route);
                groups.push(Group { lane, members: BTreeMap::new(), leased: Vec::new() });
                groups.len() - 1
            });
            groups[group].members.insert(entry.index, due);
        }
        let recipients = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.items
            .insert(id, Item { created, recipients, held, groups, lock: ItemLock::default() });
        let count = self.items.get(&id).map_or(0, |item| item.groups.len());
        for group in 0..count {
            self.enter(id, group);
        }
    }

    /// The lane of a recipient; made when there is none.
    fn lane_for(&mut self, domain: &Domain, route: &Route) -> u64 {
        let (lane, cap) = match route {
            Route::Local => (Lane::Local, self.caps.local),
            Route::Pickup => (Lane::Pickup, self.caps.pickup),
            _ => (Lane::Domain(domain.clone()), self.caps.per_domain),
        };
        if let Some(&number) = self.lane_names.get(&lane) {
            return number;
        }
        let number = self.next_lane;
        self.next_lane += 1;
        self.lane_names.insert(lane.clone(), number);
        let state = LaneState {
            lane,
            cap: cap.max(1),
            groups: BTreeSet::new(),
            leases: 0,
            // A new lane queues up behind those that wait, each of which gets one turn before it.
            served: self.turn,
            listed: Listed::No,
        };
        self.lanes.insert(number, state);
        number
    }

    /// Puts a group that is not leased in its lane.
    fn enter(&mut self, id: QueueId, group: usize) {
        let Some(state) = self.items.get(&id).and_then(|item| item.groups.get(group)) else {
            return;
        };
        let Some(due) = state.first_due() else { return };
        let lane = state.lane;
        self.change_lane(lane, |lane| {
            lane.groups.insert((due, id, group));
        });
    }

    /// Changes a lane and lists it anew; forgets it when nothing is left of it.
    fn change_lane(&mut self, number: u64, change: impl FnOnce(&mut LaneState)) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        match lane.listed {
            Listed::No => false,
            Listed::ByDue(due) => self.by_due.remove(&(due, number)),
            Listed::Ready(served) => self.ready.remove(&(served, number)),
        };
        lane.listed = Listed::No;
        change(lane);
        match lane.groups.first() {
            Some(&(due, ..)) if lane.leases < lane.cap => {
                lane.listed = Listed::ByDue(due);
                self.by_due.insert((due, number));
            }
            None if lane.leases == 0 => {
                self.lane_names.remove(&lane.lane);
                self.lanes.remove(&number);
            }
            _ => {}
        }
    }

    /// Leases the group whose turn it is.
    pub(crate) fn lease(&mut self, now: u64) -> Option<Leased> {
        while let Some(&(due, number)) = self.by_due.first()
            && due <= now
        {
            self.by_due.pop_first();
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.listed = Listed::Ready(lane.served);
                self.ready.insert((lane.served, number));
            }
        }
        while let Some(&(_, number)) = self.ready.first() {
            let first = self.lanes.get(&number).and_then(|lane| lane.groups.first().copied());
            let (due, id, group) = first?;
            if due > now {
                // The clock was set back.
                self.change_lane(number, |_| ());
                continue;
            }
            self.turn += 1;
            let turn = self.turn;
            self.change_lane(number, |lane| {
                lane.groups.pop_first();
                lane.leases += 1;
                lane.served = turn;
            });
            let state = self.items.get_mut(&id)?.groups.get_mut(group)?;
            let together = now.saturating_add(TOGETHER_MS);
            let due_now = state.members.iter().filter(|&(_, due)| *due <= together);
            let members: Vec<u32> = due_now.map(|(&index, _)| index).collect();
            state.leased.clone_from(&members);
            return Some(Leased { id, group, members });
        }
        None
    }

    /// Takes a lease back. `standings` says how its members stand now; members that it leaves out
    /// are due at `otherwise`. Without such an item or lease nothing happens.
    pub(crate) fn give_back(
        &mut self,
        id: QueueId,
        group: usize,
        standings: &[(u32, Standing)],
        otherwise: u64,
    ) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let Some(state) = item.groups.get_mut(group) else { return };
        if state.leased.is_empty() {
            return;
        }
        for index in std::mem::take(&mut state.leased) {
            let told = standings.iter().find(|(told, _)| *told == index);
            match told.map_or(Standing::Due(otherwise), |(_, standing)| *standing) {
                Standing::Due(due) => {
                    state.members.insert(index, due);
                }
                Standing::Held => {
                    state.members.remove(&index);
                    item.held += 1;
                }
                Standing::Ended => {
                    state.members.remove(&index);
                }
            }
        }
        let lane = state.lane;
        self.enter(id, group);
        self.change_lane(lane, |lane| lane.leases = lane.leases.saturating_sub(1));
    }

    /// How many recipients of an item have not ended; `None` when there is no such item.
    pub(crate) fn open_recipients(&self, id: QueueId) -> Option<usize> {
        let item = self.items.get(&id)?;
        Some(item.held + item.groups.iter().map(|group| group.members.len()).sum::<usize>())
    }

    /// How many recipients an item began with; `None` when there is no such item.
    pub(crate) fn recipients(&self, id: QueueId) -> Option<u32> {
        self.items.get(&id).map(|item| item.recipients)
    }

    /// The lock of an item; `None` when there is no such item.
    pub(crate) fn lock_of(&self, id: QueueId) -> Option<ItemLock> {
        self.items.get(&id).map(|item| item.lock.clone())
    }

    /// Whether a recipient is out on a lease.
    pub(crate) fn is_leased(&self, id: QueueId, index: u32) -> bool {
        let groups = self.items.get(&id).map(|item| item.groups.iter());
        groups.into_iter().flatten().any(|group| group.leased.contains(&index))
    }

    /// Forgets an item, leases included.
    pub(crate) fn remove(&mut self, id: QueueId) {
        let Some(item) = self.items.remove(&id) else { return };
        for (number, group) in item.groups.into_iter().enumerate() {
            let due = group.first_due();
            self.change_lane(group.lane, |lane| {
                if !group.leased.is_empty() {
                    lane.leases = lane.leases.saturating_sub(1);
                } else if let Some(due) = due {
                    lane.groups.remove(&(due, id, number));
                }
            });
        }
    }

    /// Makes all of an item's recipients that wait due now. Says whether there is such an item.
    pub(crate) fn hurry(&mut self, id: QueueId, now: u64) -> bool {
        let Some(item) = self.items.get_mut(&id) else { return false };
        let mut moves = Vec::new();
        for (number, group) in item.groups.iter_mut().enumerate() {
            let Some(before) = group.first_due() else { continue };
            for (index, due) in &mut group.members {
                if !group.leased.contains(index) {
                    *due = now.min(*due);
                }
            }
            if group.leased.is_empty() {
                moves.push((group.lane, before, number));
            }
        }
        for (lane, before, number) in moves {
            self.change_lane(lane, |lane| {
                lane.groups.remove(&(before, id, number));
                lane.groups.insert((now.min(before), id, number));
            });
        }
        true
    }

    /// When something becomes due that could then be leased. `Some` of a past time when it is already.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        self.by_due.first().map(|&(due, _)| due)
    }

    pub(crate) fn counts(&self, now: u64) -> Counts {
        let mut counts = Counts {
            items: self.items.len(),
            oldest: self.items.values().map(|item| item.created).min(),
            ..Counts::default()
        };
        for item in self.items.values() {
            counts.held += item.held;
            for group in &item.groups {
                counts.recipients += group.members.len();
                counts.leased += group.leased.len();
                if group.leased.is_empty() {
                    counts.due += group.members.values().filter(|&&due| due <= now).count();
                }
            }
        }
        counts.recipients += counts.held;
        counts
    }
}

#[cfg(test)]
mod tests;
