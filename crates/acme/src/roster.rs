//! Which names are ordered, how each is proven, and what becomes of those that fail. Pure.

use crate::order::{Wanted, Way};
use crate::schedule;
use crate::status::LeftOut;
use crate::trouble::{Kind, Trouble};
use std::collections::HashMap;
use wardpost_mail::Domain;

/// The names of one attempt.
pub(crate) struct Roster {
    ways: Vec<Way>,
    wanted: Vec<Wanted>,
    left_out: Vec<LeftOut>,
    /// What happened to names that are proven in the other way now.
    before: HashMap<Domain, Trouble>,
    /// What happened to a name first: to the host's, if anything did.
    failed: Option<Trouble>,
}

impl Roster {
    /// The host's name and those of `others` that are not left out, to be proven as it worked last, or
    /// else in the first of the `ways`. `None` when there is no way.
    pub(crate) fn new(
        host: &Domain,
        others: Vec<Domain>,
        left_out: Vec<LeftOut>,
        ways: &[Way],
        worked: Option<Way>,
        now: i64,
    ) -> Option<Self> {
        let way = worked.filter(|way| ways.contains(way)).or(ways.first().copied())?;
        let is_out = |name: &Domain| left_out.iter().any(|l| l.name == *name && l.until > now);
        let others = others.into_iter().filter(|name| name != host && !is_out(name));
        let wanted =
            [host.clone()].into_iter().chain(others).map(|name| Wanted { name, way }).collect();
        let ways = ways.to_vec();
        Some(Self { ways, wanted, left_out, before: HashMap::new(), failed: None })
    }

    /// What is ordered, the host's name first.
    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Goes on after some names failed: in the other way where that may help, or without them.
    ///
    /// # Errors
    /// When it is the host's name that is left, with all that happened to it.
    pub(crate) fn fail(&mut self, failed: Vec<(Domain, Trouble)>, now: i64) -> Result<(), Trouble> {
        let mut fatal = None;
        for (name, trouble) in failed {
            let Some(place) = self.wanted.iter().position(|wanted| wanted.name == name) else {
                continue;
            };
            if trouble.kind != Kind::RateLimited && (place == 0 || self.failed.is_none()) {
                self.failed = Some(trouble.clone());
            }
            let other = self.ways.iter().copied().find(|way| *way != self.wanted[place].way);
            match (other, self.before.remove(&name)) {
                (Some(other), None) if trouble.kind.other_way_may_help() => {
                    self.wanted[place].way = other;
                    self.before.insert(name, trouble);
                }
                (_, before) => {
                    let trouble = match before {
                        Some(before) => before.and(trouble),
                        None => trouble,
                    };
                    match place {
                        0 => fatal = Some(trouble),
                        _ => {
                            self.wanted.remove(place);
                            self.leave_out(name, &trouble, now);
                        }
                    }
                }
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// What happened to a name, the host's above all.
    pub(crate) fn failed(&self) -> Option<&Trouble> {
        self.failed.as_ref()
    }

    /// Who is left out after this, for as long as there is no success.
    pub(crate) fn left_out_so_far(&self) -> Vec<LeftOut> {
        self.left_out.clone()
    }

    /// Who is left out when this succeeded, of the names there are.
    pub(crate) fn left_out(self, others: &[Domain]) -> Vec<LeftOut> {
        let mut left_out = self.left_out;
        let is_in = |name: &Domain| self.wanted.iter().any(|wanted| wanted.name == *name);
        left_out.retain(|left| others.contains(&left.name) && !is_in(&left.name));
        left_out
    }

    fn leave_out(&mut self, name: Domain, trouble: &Trouble, now: i64) {
        let known = self.left_out.iter().find(|left| left.name == name);
        let times = known.map_or(0, |left| left.times).saturating_add(1);
        self.left_out.retain(|left| left.name != name);
        self.left_out.push(LeftOut {
            name,
            until: now.saturating_add(schedule::left_out_for(times)),
            times,
            says: trouble.says.clone(),
            to_do: trouble.to_do.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use std::time::Duration;

    const BOTH: &[Way] = &[Way::Http, Way::TlsAlpn];

    fn name(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn roster(others: &[&str], ways: &[Way], worked: Option<Way>) -> Option<Roster> {
        let others = others.iter().map(|text| name(text)).collect();
        Roster::new(&name("h.test"), others, Vec::new(), ways, worked, 0)
    }

    fn trouble(kind: Kind) -> Trouble {
        Trouble::new(kind, format!("It is {}.", kind.name()))
    }

    fn shown(roster: &Roster) -> Vec<(&str, Way)> {
        roster.wanted().iter().map(|wanted| (wanted.name.as_str(), wanted.way)).collect()
    }

    #[test]
    fn the_host_comes_first_and_is_proven_as_it_worked_last() {
        assert!(roster(&[], &[], None).is_none());
        assert_eq!(shown(&roster(&[], BOTH, None).unwrap()), [("h.test", Way::Http)]);
        let worked = Some(Way::TlsAlpn);
        let two = roster(&["a.test", "h.test"], BOTH, worked).unwrap();
        assert_eq!(shown(&two), [("h.test", Way::TlsAlpn), ("a.test", Way::TlsAlpn)]);
        // A port that is off now does not count, whatever worked then.
        assert_eq!(shown(&roster(&[], &[Way::Http], worked).unwrap()), [("h.test", Way::Http)]);
    }

    #[test]
    fn each_name_gets_both_ways_and_then_goes_without_the_host() {
        let mut roster = roster(&["a.test", "b.test"], BOTH, None).unwrap();
        let both = vec![
            (name("h.test"), trouble(Kind::NotReachable)),
            (name("a.test"), trouble(Kind::WrongAnswer)),
        ];
        roster.fail(both, 0).unwrap();
        assert_eq!(
            shown(&roster),
            [("h.test", Way::TlsAlpn), ("a.test", Way::TlsAlpn), ("b.test", Way::Http)]
        );
        roster.fail(vec![(name("a.test"), trouble(Kind::NotReachable))], 100).unwrap();
        // What no other way cures is left out at once; strangers' names are nobody's.
        let more = vec![(name("b.test"), trouble(Kind::Caa)), (name("x.test"), trouble(Kind::Caa))];
        roster.fail(more, 100).unwrap();
        assert_eq!(shown(&roster), [("h.test", Way::TlsAlpn)]);
        let left_out = roster.left_out(&[name("a.test"), name("b.test")]);
        assert_eq!(left_out.len(), 2);
        assert_eq!(left_out[0].says, "It is wrong-answer. It is not-reachable.");
        assert!(left_out.iter().all(|left| left.times == 1 && left.until > 100));
    }

    #[test]
    fn the_host_is_never_left_out() {
        let mut one = roster(&["a.test"], BOTH, None).unwrap();
        let failed = || vec![(name("h.test"), trouble(Kind::NotReachable))];
        one.fail(failed(), 0).unwrap();
        let fatal = one.fail(failed(), 0).unwrap_err();
        assert_eq!(fatal.kind, Kind::NotReachable);
        assert_eq!(shown(&one)[0].0, "h.test");
        let mut two = roster(&[], &[Way::TlsAlpn], None).unwrap();
        assert!(two.fail(failed(), 0).is_err(), "there is no other way");
        assert!(
            roster(&[], BOTH, None)
                .unwrap()
                .fail(vec![(name("h.test"), trouble(Kind::Dns))], 0)
                .is_err()
        );
    }

    #[test]
    fn what_happened_is_known_when_the_authority_wants_no_more() {
        let busy = || Trouble { wait: Some(Duration::from_secs(9)), ..trouble(Kind::RateLimited) };
        let mut one = roster(&["a.test"], BOTH, None).unwrap();
        assert!(one.failed().is_none());
        one.fail(vec![(name("a.test"), trouble(Kind::Caa))], 0).unwrap();
        assert_eq!(one.failed().unwrap().kind, Kind::Caa);
        assert_eq!(one.left_out_so_far().len(), 1);
        // The host's is the one that counts; the other way is not tried any more.
        one.fail(vec![(name("h.test"), trouble(Kind::NotReachable))], 0).unwrap();
        assert_eq!(one.failed().unwrap().kind, Kind::NotReachable);
        let fatal = one.fail(vec![(name("h.test"), busy())], 0).unwrap_err();
        assert_eq!((fatal.kind, fatal.wait), (Kind::NotReachable, busy().wait));
        let mut two = roster(&[], BOTH, None).unwrap();
        assert_eq!(
            two.fail(vec![(name("h.test"), busy())], 0).unwrap_err().kind,
            Kind::RateLimited
        );
        assert!(two.failed().is_none());
    }

    #[test]
    fn who_was_left_out_comes_back_after_a_while_and_waits_longer_each_time() {
        let left = LeftOut {
            name: name("a.test"),
            until: 50,
            times: 1,
            says: String::new(),
            to_do: String::new(),
        };
        let at = |now| {
            let others = vec![name("a.test")];
            Roster::new(&name("h.test"), others, vec![left.clone()], BOTH, None, now).unwrap()
        };
        assert_eq!(at(49).wanted().len(), 1);
        let mut again = at(50);
        assert_eq!(again.wanted().len(), 2);
        again.fail(vec![(name("a.test"), trouble(Kind::Refused))], 50).unwrap();
        assert_eq!(again.left_out(&[name("a.test")])[0].times, 2);
        // One that succeeded is forgotten, and one that nobody wants any longer.
        assert!(at(50).left_out(&[name("a.test")]).is_empty());
        assert!(at(49).left_out(&[]).is_empty());
    }
}
