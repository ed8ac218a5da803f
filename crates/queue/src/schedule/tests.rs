use super::*;
use proptest::prelude::*;

const CAPS: Caps = Caps { per_domain: 2, at_first: 2, slow: 9, local: 3, pickup: 1 };
const DIRECT: Route = Route::Direct { floor: TlsGrade::T3 };

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn entry(index: u32, name: &str, due: u64) -> Entry {
    Entry { index, domain: domain(name), route: DIRECT, standing: Standing::Due(due) }
}

fn lease_id(schedule: &mut Schedule, now: u64) -> Option<u64> {
    schedule.lease(now, Draw::Any).map(|leased| leased.id.0)
}

#[test]
fn recipients_of_one_domain_and_route_go_together_and_others_alone() {
    let mut schedule = Schedule::new(CAPS);
    let pickup = Entry { route: Route::Pickup, ..entry(3, "a.test", 5) };
    let t4 = Entry { route: Route::Direct { floor: TlsGrade::T4 }, ..entry(4, "a.test", 5) };
    let all = [entry(0, "a.test", 5), entry(1, "b.test", 5), entry(2, "a.test", 5), pickup, t4];
    schedule.add(QueueId(1), 5, &all);
    let mut groups: Vec<Vec<u32>> =
        std::iter::from_fn(|| schedule.lease(5, Draw::Any)).map(|leased| leased.members).collect();
    groups.sort();
    assert_eq!(groups, [vec![0, 2], vec![1], vec![3], vec![4]]);
}

#[test]
fn nothing_is_leased_before_its_time_or_twice() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 100)]);
    assert_eq!(schedule.lease(99, Draw::Any), None);
    assert_eq!(schedule.next_wake(Draw::Any), Some(100));
    assert!(schedule.lease(100, Draw::Any).is_some());
    assert_eq!(schedule.lease(u64::MAX, Draw::Any), None);
    assert_eq!(schedule.next_wake(Draw::Any), None);
}

#[test]
fn ten_thousand_waiting_for_one_domain_do_not_delay_another() {
    let mut schedule = Schedule::new(CAPS);
    for id in 0..10_000 {
        schedule.add(QueueId(id), 0, &[entry(0, "full.test", 0)]);
    }
    let mut early = 0;
    while schedule.lease(1, Draw::Any).is_some() {
        early += 1;
    }
    assert_eq!(early, CAPS.per_domain, "the cap holds");
    schedule.add(QueueId(10_000), 1, &[entry(0, "fresh.test", 1)]);
    assert_eq!(lease_id(&mut schedule, 1), Some(10_000));
}

#[test]
fn lanes_with_work_take_turns() {
    let mut schedule = Schedule::new(Caps { per_domain: 100, at_first: 100, ..CAPS });
    for id in 0..30 {
        let name = ["a.test", "a.test", "b.test"][id as usize % 3];
        schedule.add(QueueId(id), 0, &[entry(0, name, 0)]);
    }
    let served: Vec<bool> = (0..20)
        .map(|_| schedule.lease(0, Draw::Any).is_some_and(|leased| leased.id.0 % 3 == 2))
        .collect();
    assert_eq!(served.iter().filter(|&&b| b).count(), 10, "{served:?}");
    let thrice = |turns: &[bool]| turns.iter().all(|turn| *turn == turns[0]);
    assert!(!served.windows(3).any(thrice), "{served:?}");
}

#[test]
fn a_deferred_recipient_waits_alone() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 0), entry(1, "a.test", 0)]);
    let leased = schedule.lease(0, Draw::Any).unwrap();
    let far = 10 * TOGETHER_MS;
    let standings = [(0, Standing::Due(far)), (1, Standing::Ended)];
    schedule.give_back(QueueId(1), leased.group, &standings, 0, 0);
    assert_eq!(schedule.open_recipients(QueueId(1)), Some(1));
    assert_eq!(schedule.lease(far - 1, Draw::Any), None);
    assert_eq!(schedule.lease(far, Draw::Any).unwrap().members, [0]);
}

#[test]
fn one_that_is_due_does_not_take_along_one_that_is_not() {
    let mut schedule = Schedule::new(CAPS);
    let late = TOGETHER_MS + 1;
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 0), entry(1, "a.test", late)]);
    let leased = schedule.lease(0, Draw::Any).unwrap();
    assert_eq!(leased.members, [0]);
    schedule.give_back(QueueId(1), leased.group, &[(0, Standing::Ended)], 0, 0);
    assert_eq!(schedule.lease(late, Draw::Any).unwrap().members, [1]);
}

#[test]
fn a_lease_given_back_without_a_word_is_due_again() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 0)]);
    let leased = schedule.lease(0, Draw::Any).unwrap();
    schedule.give_back(QueueId(1), leased.group, &[], 60, 0);
    schedule.give_back(QueueId(1), leased.group, &[(0, Standing::Ended)], 60, 0);
    assert_eq!(schedule.lease(59, Draw::Any), None, "the second word is too late");
    assert_eq!(schedule.lease(60, Draw::Any).unwrap().members, [0]);
}

#[test]
fn held_recipients_count_and_are_never_leased() {
    let mut schedule = Schedule::new(CAPS);
    let held = Entry { standing: Standing::Held, ..entry(0, "a.test", 0) };
    schedule.add(QueueId(1), 0, &[held, entry(1, "a.test", 0)]);
    assert_eq!(schedule.lease(0, Draw::Any).unwrap().members, [1]);
    assert_eq!(schedule.lease(u64::MAX, Draw::Any), None);
    let counts = schedule.counts(0);
    assert_eq!((counts.recipients, counts.held, counts.leased), (2, 1, 1));
    assert_eq!(schedule.open_recipients(QueueId(1)), Some(2));
}

#[test]
fn hurrying_makes_what_waits_due_and_leaves_what_is_on_its_way() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 0), entry(1, "b.test", 900)]);
    let on_its_way = schedule.lease(0, Draw::Any).unwrap();
    assert!(schedule.hurry(QueueId(1), 10));
    assert_eq!(schedule.lease(10, Draw::Any).unwrap().members, [1]);
    assert_eq!(schedule.lease(10, Draw::Any), None);
    schedule.give_back(QueueId(1), on_its_way.group, &[(0, Standing::Due(20))], 0, 0);
    assert_eq!(schedule.lease(20, Draw::Any).unwrap().members, [0]);
    assert!(!schedule.hurry(QueueId(2), 10));
}

#[test]
fn removing_an_item_frees_its_lanes() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 0), entry(1, "b.test", 50)]);
    let leased = schedule.lease(0, Draw::Any).unwrap();
    schedule.remove(QueueId(1));
    schedule.give_back(QueueId(1), leased.group, &[(0, Standing::Due(0))], 0, 0);
    assert_eq!(schedule.lease(u64::MAX, Draw::Any), None);
    assert!(schedule.lanes.is_empty() && schedule.lane_names.is_empty());
    assert!(schedule.by_due.is_empty() && schedule.ready.iter().all(BTreeSet::is_empty));
}

#[test]
fn a_clock_set_back_does_not_wedge_a_lane() {
    let mut schedule = Schedule::new(CAPS);
    schedule.add(QueueId(1), 0, &[entry(0, "a.test", 100)]);
    schedule.add(QueueId(2), 0, &[entry(0, "b.test", 100)]);
    assert!(schedule.lease(100, Draw::Any).is_some(), "and both lanes are ready now");
    assert_eq!(schedule.lease(50, Draw::Any), None);
    assert_eq!(schedule.next_wake(Draw::Any), Some(100));
    assert!(schedule.lease(100, Draw::Any).is_some());
}

/// Lets a lane answer after `took` milliseconds.
fn answered(schedule: &mut Schedule, id: u64, name: &str, took: u64) {
    schedule.add(QueueId(id), 0, &[entry(0, name, 0)]);
    let leased = schedule.lease(0, Draw::Any).unwrap();
    schedule.give_back(leased.id, leased.group, &[(0, Standing::Ended)], 0, took);
}

#[test]
fn an_unknown_lane_begins_small_and_a_brisk_one_has_its_cap() {
    let mut schedule = Schedule::new(Caps { per_domain: 7, ..CAPS });
    answered(&mut schedule, 1, "known.test", 100);
    for id in 10..30 {
        let name = if id < 20 { "known.test" } else { "new.test" };
        schedule.add(QueueId(id), 0, &[entry(0, name, 0)]);
    }
    let leased: Vec<u64> = std::iter::from_fn(|| lease_id(&mut schedule, 200)).collect();
    assert_eq!(leased.iter().filter(|id| **id < 20).count(), 7);
    assert_eq!(leased.iter().filter(|id| **id >= 20).count(), CAPS.at_first);
}

#[test]
fn a_slow_lane_has_one_lease_until_it_answers_in_time() {
    let mut schedule = Schedule::new(CAPS);
    answered(&mut schedule, 1, "slow.test", SLOW_MS);
    for id in 2..6 {
        schedule.add(QueueId(id), 0, &[entry(0, "slow.test", 0)]);
    }
    let one = schedule.lease(0, Draw::Any).unwrap();
    assert_eq!(schedule.lease(0, Draw::Any), None);
    schedule.give_back(one.id, one.group, &[(0, Standing::Ended)], 0, SLOW_MS - 1);
    assert!(schedule.lease(0, Draw::Any).is_some() && schedule.lease(0, Draw::Any).is_some());
}

#[test]
fn nobody_follows_those_who_were_not_heard_of() {
    let mut schedule = Schedule::new(Caps { per_domain: 9, ..CAPS });
    answered(&mut schedule, 1, "was.brisk.test", 0);
    for id in 2..9 {
        schedule.add(QueueId(id), 0, &[entry(0, "was.brisk.test", 0)]);
    }
    assert!(schedule.lease(0, Draw::Any).is_some());
    assert!(schedule.lease(SLOW_MS - 1, Draw::Brisk).is_some());
    assert_eq!(schedule.lease(SLOW_MS, Draw::Any), None);
}

#[test]
fn any_number_of_slow_lanes_leaves_room_and_comes_last() {
    let mut schedule = Schedule::new(CAPS);
    for id in 0..1000 {
        answered(&mut schedule, id, &format!("slow{id}.test"), SLOW_MS);
    }
    answered(&mut schedule, 1000, "brisk.test", 1);
    for id in 0..1000 {
        schedule.add(QueueId(id), 0, &[entry(0, &format!("slow{id}.test"), 0)]);
    }
    schedule.add(QueueId(1000), 0, &[entry(0, "brisk.test", 0)]);
    schedule.add(QueueId(1001), 0, &[entry(0, "new.test", 0)]);
    assert_eq!(schedule.lease(0, Draw::Brisk).map(|leased| leased.id.0), Some(1000));
    assert_eq!(schedule.lease(0, Draw::Brisk), None);
    assert_eq!(schedule.next_wake(Draw::Brisk), None);
    let rest: Vec<u64> = std::iter::from_fn(|| lease_id(&mut schedule, 0)).collect();
    assert!(rest[..2].contains(&1001), "at most one slow lane came before: {rest:?}");
    assert_eq!(rest.len(), 1 + CAPS.slow);
    assert_eq!(schedule.next_wake(Draw::Any), None, "until one of them is heard of");
}

#[test]
fn a_lane_whose_attempts_come_to_nothing_is_slow_however_quickly() {
    let mut schedule = Schedule::new(CAPS);
    for id in 0..4 {
        schedule.add(QueueId(id), 0, &[entry(0, "refuses.test", 0)]);
    }
    let one = schedule.lease(0, Draw::Any).unwrap();
    schedule.give_back(one.id, one.group, &[(0, Standing::Due(90_000))], 0, 1);
    assert_eq!(schedule.lease(1, Draw::Brisk), None);
    let two = schedule.lease(1, Draw::Any).unwrap();
    assert_eq!(schedule.lease(1, Draw::Any), None, "one at a time");
    schedule.give_back(two.id, two.group, &[(0, Standing::Ended)], 0, 2);
    assert!(schedule.lease(2, Draw::Brisk).is_some(), "until something arrives");
}

#[test]
fn a_new_domain_does_not_wait_behind_a_thousand_others() {
    let mut schedule = Schedule::new(CAPS);
    for id in 0..1000 {
        schedule.add(QueueId(id), 0, &[entry(0, &format!("new{id}.test"), 0)]);
    }
    let leased: Vec<u64> = (0..4).filter_map(|_| lease_id(&mut schedule, 0)).collect();
    assert!(leased.contains(&0) && leased.contains(&999), "oldest and newest in turn: {leased:?}");
    schedule.add(QueueId(1000), 0, &[entry(0, "fresh.test", 0)]);
    let next: Vec<u64> = (0..2).filter_map(|_| lease_id(&mut schedule, 0)).collect();
    assert!(next.contains(&1000), "{next:?}");
}

/// What a random history does.
#[derive(Debug, Clone)]
enum Step {
    Add { domains: Vec<u8>, due: u64 },
    Lease,
    GiveBack { which: usize, standing: u8, due: u64 },
    Hurry { which: u64 },
    Remove { which: u64 },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop::collection::vec(0u8..4, 1..4), 0u64..100)
            .prop_map(|(domains, due)| Step::Add { domains, due }),
        Just(Step::Lease),
        Just(Step::Lease),
        (0usize..8, 0u8..4, 0u64..100).prop_map(|(which, standing, due)| Step::GiveBack {
            which,
            standing,
            due
        }),
        (0u64..20).prop_map(|which| Step::Hurry { which }),
        (0u64..20).prop_map(|which| Step::Remove { which }),
        (0u64..40_000).prop_map(Step::Pass),
    ]
}

/// A schedule that is obviously right: every recipient in one map.
#[derive(Default)]
struct Model {
    now: u64,
    /// (item, index) → due, or `None` while leased.
    open: BTreeMap<(u64, u32), Option<u64>>,
    leases: Vec<Leased>,
}

impl Model {
    fn check(&self, schedule: &Schedule) {
        let counts = schedule.counts(self.now);
        assert_eq!(counts.recipients, self.open.len());
        assert_eq!(counts.leased, self.open.values().filter(|due| due.is_none()).count());
    }
}

proptest! {
    #[test]
    fn a_random_history_loses_and_doubles_nothing(steps in prop::collection::vec(step(), 0..120)) {
        let caps = Caps { per_domain: 3, at_first: 2, slow: 2, local: 3, pickup: 3 };
        let mut schedule = Schedule::new(caps);
        let mut model = Model::default();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Add { domains, due } => {
                    let due = model.now + due;
                    let entries: Vec<Entry> = (0..)
                        .zip(&domains)
                        .map(|(index, n)| entry(index, &format!("d{n}.test"), due))
                        .collect();
                    schedule.add(QueueId(next), model.now, &entries);
                    for entry in entries {
                        model.open.insert((next, entry.index), Some(due));
                    }
                    next += 1;
                }
                Step::Lease => {
                    if let Some(leased) = schedule.lease(model.now, Draw::Any) {
                        for index in &leased.members {
                            let due = model.open.get_mut(&(leased.id.0, *index)).unwrap();
                            prop_assert!(due.unwrap() <= model.now + TOGETHER_MS);
                            *due = None;
                        }
                        model.leases.push(leased);
                    } else {
                        // What is out may keep a slow lane, or all slow ones, from more.
                        let full = !model.leases.is_empty();
                        let due = model.open.values().flatten().any(|due| *due <= model.now);
                        prop_assert!(full || !due, "something is due and not leased");
                    }
                }
                Step::GiveBack { which, standing, due } if which < model.leases.len() => {
                    let leased = model.leases.swap_remove(which);
                    let due = model.now + due;
                    let mut standings = Vec::new();
                    for index in &leased.members {
                        let key = (leased.id.0, *index);
                        match standing {
                            0 => {
                                standings.push((*index, Standing::Ended));
                                model.open.remove(&key);
                            }
                            1 => {
                                standings.push((*index, Standing::Due(due)));
                                model.open.insert(key, Some(due));
                            }
                            _ => {
                                model.open.insert(key, Some(due));
                            }
                        }
                    }
                    schedule.give_back(leased.id, leased.group, &standings, due, model.now);
                }
                Step::GiveBack { .. } => {}
                Step::Hurry { which } => {
                    schedule.hurry(QueueId(which), model.now);
                    for due in model.open.range_mut((which, 0)..(which + 1, 0)) {
                        if let Some(due) = due.1 {
                            *due = model.now.min(*due);
                        }
                    }
                }
                Step::Remove { which } => {
                    schedule.remove(QueueId(which));
                    model.open.retain(|(id, _), _| *id != which);
                    model.leases.retain(|leased| leased.id.0 != which);
                }
                Step::Pass(time) => model.now += time,
            }
            model.check(&schedule);
        }
        // Whatever happened, everything that is open ends if it is worked off.
        for leased in std::mem::take(&mut model.leases) {
            schedule.give_back(leased.id, leased.group, &[], 0, 0);
        }
        let mut left = model.open.len();
        while let Some(leased) = schedule.lease(u64::MAX / 2, Draw::Any) {
            let ended: Vec<_> =
                leased.members.iter().map(|index| (*index, Standing::Ended)).collect();
            left -= ended.len();
            schedule.give_back(leased.id, leased.group, &ended, 0, 0);
        }
        prop_assert_eq!(left, 0);
        prop_assert!(schedule.lanes.is_empty());
    }
}
