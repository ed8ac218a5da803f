//! The schedule in memory: who is due when, and whose turn it is.
//!
//! Recipients of an item that share a lane, a domain and a route form a *group*, the unit of a lease.
//! Groups wait in *lanes*: one for each destination domain, one for local deliveries, one for
//! pickups. A lane has a cap of concurrent leases. Lanes that have something due take turns, the one
//! served longest ago first, so a full lane costs the others nothing.
//!
//! Domains whose servers let us wait, or do not answer, are another matter: a thousand of them, one attempt
//! each, would hold every worker there is. So each lane has a [`Pace`], the one that it showed last. A lane
//! nobody knows begins with few leases; a brisk one may have its whole cap; a slow one has one lease at a
//! time, comes after the others in three turns of four, and all slow lanes together have a share that leaves
//! room.
//! Some of the workers draw from brisk lanes only ([`Draw::Brisk`]): what goes to a domain that answers is
//! never held up by any number of those that do not.
//!
//! Every lane that can be served is listed in exactly one ordered set: `by_due` until its first group's
//! time comes, then the one of `ready` that is its pace's. All operations are logarithmic in the number of
//! lanes and of groups. Nothing here touches the store or a clock: times are milliseconds since 1970.

mod pace;

use pace::{Pace, Paces, SLOW_MS};
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
    /// For a domain whose pace is not known.
    pub(crate) at_first: usize,
    /// For all slow domains together.
    pub(crate) slow: usize,
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

/// Whose work a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    Any,
    /// Lanes that answered in good time only.
    Brisk,
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
    /// Since when.
    leased_at: u64,
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
    pace: Pace,
    leases: usize,
    /// Since when there has been a lease and no word of any, at the longest.
    silent_since: u64,
    /// When it was last served, counted in turns.
    served: u64,
    listed: Listed,
}

impl LaneState {
    /// How many leases it may have at its pace.
    fn room(&self, caps: &Caps) -> usize {
        match (&self.lane, self.pace) {
            (Lane::Local | Lane::Pickup, _) | (_, Pace::Brisk) => self.cap,
            (_, Pace::Unknown) => self.cap.min(caps.at_first.max(1)),
            (_, Pace::Slow) => 1,
        }
    }
}

/// Where a lane is listed, and under what.
#[derive(Debug, Clone, Copy)]
enum Listed {
    No,
    ByDue(u64),
    Ready(Pace, u64),
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
    /// By pace.
    ready: [BTreeSet<(u64, u64)>; 3],
    paces: Paces,
    /// Leases that slow lanes have.
    slow_leases: usize,
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
            ready: Default::default(),
            paces: Paces::default(),
            slow_leases: 0,
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
                groups.push(Group {
                    lane,
                    members: BTreeMap::new(),
                    leased: Vec::new(),
                    leased_at: 0,
                });
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
        let pace = match lane {
            Lane::Local | Lane::Pickup => Pace::Brisk,
            Lane::Domain(_) => self.paces.recall(&lane),
        };
        let state = LaneState {
            lane,
            cap: cap.max(1),
            groups: BTreeSet::new(),
            pace,
            leases: 0,
            silent_since: 0,
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

    /// Changes a lane and lists it anew; forgets it when nothing is left of it but its pace.
    fn change_lane(&mut self, number: u64, change: impl FnOnce(&mut LaneState)) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        match lane.listed {
            Listed::No => false,
            Listed::ByDue(due) => self.by_due.remove(&(due, number)),
            Listed::Ready(pace, served) => self.ready[pace.index()].remove(&(served, number)),
        };
        lane.listed = Listed::No;
        let slow_before = if lane.pace == Pace::Slow { lane.leases } else { 0 };
        change(lane);
        let slow_after = if lane.pace == Pace::Slow { lane.leases } else { 0 };
        self.slow_leases = self.slow_leases.saturating_sub(slow_before) + slow_after;
        match lane.groups.first() {
            Some(&(due, ..)) if lane.leases < lane.room(&self.caps) => {
                lane.listed = Listed::ByDue(due);
                self.by_due.insert((due, number));
            }
            None if lane.leases == 0 => {
                self.lane_names.remove(&lane.lane);
                if let Some(gone) = self.lanes.remove(&number) {
                    self.paces.remember(gone.lane, gone.pace);
                }
            }
            _ => {}
        }
    }

    /// Leases the group whose turn it is.
    pub(crate) fn lease(&mut self, now: u64, draw: Draw) -> Option<Leased> {
        while let Some(&(due, number)) = self.by_due.first()
            && due <= now
        {
            self.by_due.pop_first();
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.listed = Listed::Ready(lane.pace, lane.served);
                self.ready[lane.pace.index()].insert((lane.served, number));
            }
        }
        while let Some(number) = self.next_ready(draw) {
            let lane = self.lanes.get(&number)?;
            let &(due, id, group) = lane.groups.first()?;
            if lane.pace != Pace::Slow
                && lane.leases > 0
                && matches!(lane.lane, Lane::Domain(_))
                && now.saturating_sub(lane.silent_since) >= SLOW_MS
            {
                // Those who were sent there have not been heard of: no more follow them.
                self.change_lane(number, |lane| lane.pace = Pace::Slow);
                continue;
            }
            if due > now {
                // The clock was set back.
                self.change_lane(number, |_| ());
                continue;
            }
            self.turn += 1;
            let turn = self.turn;
            self.change_lane(number, |lane| {
                lane.groups.pop_first();
                if lane.leases == 0 {
                    lane.silent_since = now;
                }
                lane.leases += 1;
                lane.served = turn;
            });
            let state = self.items.get_mut(&id)?.groups.get_mut(group)?;
            let together = now.saturating_add(TOGETHER_MS);
            let due_now = state.members.iter().filter(|&(_, due)| *due <= together);
            let members: Vec<u32> = due_now.map(|(&index, _)| index).collect();
            state.leased.clone_from(&members);
            state.leased_at = now;
            return Some(Leased { id, group, members });
        }
        None
    }

    /// The lane whose turn it is among those that are ready.
    fn next_ready(&self, draw: Draw) -> Option<u64> {
        let first = |pace: Pace| self.ready[pace.index()].first().copied();
        let brisk = first(Pace::Brisk);
        if draw == Draw::Brisk {
            return brisk.map(|(_, number)| number);
        }
        // Of lanes that nobody knows the oldest and the newest take turns: a fresh message to a new
        // domain does not wait behind a thousand others that came at once, and none of those for ever.
        let unknown = &self.ready[Pace::Unknown.index()];
        let unknown = if self.turn.is_multiple_of(2) { unknown.first() } else { unknown.last() };
        let known = [brisk, unknown.copied()].into_iter().flatten().min();
        let slow = first(Pace::Slow).filter(|_| self.slow_leases < self.caps.slow.max(1));
        let next = if self.turn.is_multiple_of(4) { slow.or(known) } else { known.or(slow) };
        next.map(|(_, number)| number)
    }

    /// Takes a lease back. `standings` says how its members stand now; members that it leaves out
    /// are due at `otherwise`. Without such an item or lease nothing happens.
    pub(crate) fn give_back(
        &mut self,
        id: QueueId,
        group: usize,
        standings: &[(u32, Standing)],
        otherwise: u64,
        now: u64,
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
        let ended = standings.iter().any(|(_, standing)| *standing == Standing::Ended);
        let pace = Pace::of(now.saturating_sub(state.leased_at), ended);
        self.enter(id, group);
        self.change_lane(lane, |lane| {
            if matches!(lane.lane, Lane::Domain(_)) {
                lane.pace = pace;
            }
            lane.leases = lane.leases.saturating_sub(1);
            lane.silent_since = now;
        });
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
    pub(crate) fn next_wake(&self, draw: Draw) -> Option<u64> {
        if self.next_ready(draw).is_some() {
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
