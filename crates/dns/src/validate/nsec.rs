//! What NSEC records prove (RFC 4035 §5.4, RFC 6840 §4).
//!
//! Each record links a name of the zone to the next one in canonical order (RFC 4034 §6.1): nothing
//! lies between the two. All records given here are proven, and of one zone.

use super::denial::{
    Absence, Delegation, Strength, depth, has_no, shared, strictly_below, wildcard,
};
use hickory_resolver::proto::dnssec::rdata::NSEC;
use hickory_resolver::proto::rr::{Name, RecordType};

/// NSEC records of one zone.
#[derive(Debug)]
pub(super) struct NsecChain<'a> {
    pub(super) zone: &'a Name,
    pub(super) links: Vec<(&'a Name, &'a NSEC)>,
}

/// The record that covers a name: the name is not an owner of records in this zone.
struct Cover<'a> {
    owner: &'a Name,
    next: &'a Name,
}

impl Cover<'_> {
    /// The name has no records, but a name below it does: it exists, empty (RFC 4035 §3.1.3.2,
    /// RFC 8020 §2).
    fn is_empty_non_terminal(&self, name: &Name) -> bool {
        strictly_below(self.next, name)
    }

    /// How many labels the deepest existing name above `name` has. Both neighbours exist, and so does
    /// everything above them; whatever shares more labels with `name` would lie between the two.
    fn closest_encloser(&self, name: &Name) -> usize {
        shared(name, self.owner).max(shared(name, self.next))
    }
}

impl<'a> NsecChain<'a> {
    /// Whether `name` has no records of this kind.
    pub(super) fn absence(&self, name: &Name, kind: RecordType) -> Option<(Absence, Strength)> {
        if let Some(nsec) = self.matching(name) {
            return has_no(kind, nsec.type_set()).then_some((Absence::Type, Strength::Full));
        }
        let cover = self.covering(name)?;
        if cover.is_empty_non_terminal(name) {
            return Some((Absence::Type, Strength::Full));
        }
        // "Proving that the requested RRset does not exist also requires proving that no possible
        // wildcard RRset exists that could have been used" (RFC 4035 §5.4).
        let wildcard = wildcard(name, cover.closest_encloser(name))?;
        if let Some(nsec) = self.matching(&wildcard) {
            return has_no(kind, nsec.type_set()).then_some((Absence::Type, Strength::Full));
        }
        let absence = match self.covering(&wildcard)?.is_empty_non_terminal(&wildcard) {
            true => Absence::Type,
            false => Absence::Name,
        };
        Some((absence, Strength::Full))
    }

    /// Whether a wildcard with `labels` labels after its `*` is what answers for `name`: the name
    /// does not exist, nor anything between it and the wildcard's parent (RFC 4035 §5.3.4).
    pub(super) fn expansion(&self, name: &Name, labels: usize) -> Option<Strength> {
        let cover = self.covering(name)?;
        let closest = cover.closest_encloser(name) == labels;
        (closest && !cover.is_empty_non_terminal(name)).then_some(Strength::Full)
    }

    /// What there is at a name that has no DS records.
    pub(super) fn delegation(&self, name: &Name) -> Option<Delegation> {
        match self.matching(name) {
            Some(nsec) => Delegation::by(nsec.type_set()),
            None if self.covering(name)?.is_empty_non_terminal(name) => Some(Delegation::NoCut),
            None => Some(Delegation::NoName),
        }
    }

    fn matching(&self, name: &Name) -> Option<&'a NSEC> {
        self.links.iter().find(|(owner, _)| *owner == name).map(|(_, nsec)| *nsec)
    }

    fn covering(&self, name: &Name) -> Option<Cover<'a>> {
        let covers = |owner: &Name, nsec: &NSEC| {
            let next = nsec.next_domain_name();
            // The last name of a zone leads back to the apex (RFC 4034 §4.1.1). A record from above a
            // zone cut, or at a DNAME, says nothing of what is below (RFC 6840 §4.1).
            let between = owner < name && (name < next || next == self.zone);
            between && !(nsec.is_ancestor_delegation() && owner.zone_of(name))
        };
        if !self.zone.zone_of(name) || depth(name) == depth(self.zone) {
            return None;
        }
        let (owner, nsec) = self.links.iter().find(|(owner, nsec)| covers(owner, nsec))?;
        Some(Cover { owner, next: nsec.next_domain_name() })
    }
}
