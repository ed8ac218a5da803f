//! Proofs that something is not there, from NSEC and NSEC3 records.
//!
//! An absence must be proven like a record: whoever could talk TLSA records away would have switched
//! DANE off. The records come from the authority section of an answer; each is verified with the keys
//! of one zone first, and only then asked what it proves. The answer's response code proves nothing.

use super::chain::Zone;
use super::nsec::NsecChain;
use super::nsec3::Nsec3Chain;
use super::rrset::RrSet;
use super::work::Work;
use crate::DnsError;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, RecordTypeSet};

/// Records of one answer that are looked at; three suffice for any proof (RFC 5155 §7.2).
const MAX_SETS: usize = 8;

/// What does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// Records of this kind. The name exists.
    Type,
    /// The name.
    Name,
}

/// How much a proof is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Nothing is there.
    Full,
    /// Nothing signed is there: an unsigned delegation may be (opt-out, RFC 5155 §6), or the zone has
    /// parameters by which nothing is to be believed (RFC 9276 §3.2).
    Weak,
}

/// What there is at a name without DS records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delegation {
    /// A zone without signatures begins there, or may begin there.
    Unsigned,
    /// The name belongs to the zone above, as may names below it.
    NoCut,
    /// The name does not exist, so there is nothing below it either (RFC 8020).
    NoName,
}

impl Delegation {
    /// By the record of the name itself. It must be the parent's: at the child's, or where there is
    /// a DS record after all, it proves nothing (RFC 4035 §5.2, RFC 6840 §4.4).
    pub(super) fn by(types: &RecordTypeSet) -> Option<Self> {
        if types.contains(RecordType::SOA) || types.contains(RecordType::DS) {
            None
        } else if types.contains(RecordType::NS) {
            Some(Self::Unsigned)
        } else {
            Some(Self::NoCut)
        }
    }
}

/// Whether a name with these types has no records of that kind, and no alias. The parent's record at
/// a zone cut speaks of DS alone, the child's of anything but (RFC 4035 §5.2, RFC 6840 §4.1).
pub(super) fn has_no(kind: RecordType, types: &RecordTypeSet) -> bool {
    let (parent, child) = (types.contains(RecordType::NS), types.contains(RecordType::SOA));
    let speaks = if kind == RecordType::DS { !child } else { !parent || child };
    speaks && !types.contains(kind) && !types.contains(RecordType::CNAME)
}

/// The verified denials of one zone in an answer.
#[derive(Debug)]
pub(super) struct Denial<'a> {
    nsec: NsecChain<'a>,
    nsec3: Nsec3Chain<'a>,
    /// How long they may be kept, in seconds.
    pub(super) ttl: u32,
}

impl<'a> Denial<'a> {
    /// Takes what `zone` has signed.
    ///
    /// # Errors
    /// When there is too much to verify.
    pub(super) fn of(
        authorities: &'a [Record],
        zone: &'a Zone,
        work: &mut Work,
    ) -> Result<Self, DnsError> {
        let (mut nsec, mut nsec3) = (Vec::<(&Name, &NSEC)>::new(), Vec::<(&Name, &NSEC3)>::new());
        let mut ttl = u32::MAX;
        let denies = authorities.iter().filter(|record| {
            matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
                && zone.name.zone_of(&record.name)
        });
        for record in denies.take(MAX_SETS) {
            let set = RrSet::of(authorities, &record.name, record.record_type());
            let Some(set) = set.filter(|set| set.records.len() == 1) else { continue };
            let Some(proven) = set.verify(zone, work)? else { continue };
            // None may be made from a wildcard: it would be the wildcard's, not the name's.
            if proven.labels != record.name.num_labels() {
                continue;
            }
            ttl = ttl.min(proven.ttl);
            match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(data)) => nsec.push((&record.name, data)),
                RData::DNSSEC(DNSSECRData::NSEC3(data)) => nsec3.push((&record.name, data)),
                _ => {}
            }
        }
        let nsec = NsecChain { zone: &zone.name, links: nsec };
        Ok(Self { nsec, nsec3: Nsec3Chain::new(&zone.name, &nsec3), ttl })
    }

    /// Whether `name` is proven to have no records of this kind.
    pub(super) fn absence(&self, name: &Name, kind: RecordType) -> Option<(Absence, Strength)> {
        self.nsec.absence(name, kind).or_else(|| self.nsec3.absence(name, kind))
    }

    /// Whether a wildcard with so many labels may answer for `name`.
    pub(super) fn expansion(&self, name: &Name, labels: usize) -> Option<Strength> {
        self.nsec.expansion(name, labels).or_else(|| self.nsec3.expansion(name, labels))
    }

    /// What there is at a name that has no DS records.
    pub(super) fn delegation(&self, name: &Name) -> Option<Delegation> {
        self.nsec.delegation(name).or_else(|| self.nsec3.delegation(name))
    }
}

/// How many labels a name has, `*` included.
pub(super) fn depth(name: &Name) -> usize {
    name.iter().count()
}

/// How many labels two names share, from the right.
pub(super) fn shared(a: &Name, b: &Name) -> usize {
    let pairs = a.iter().rev().zip(b.iter().rev());
    pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Whether a name lies below another and is not the same.
pub(super) fn strictly_below(name: &Name, above: &Name) -> bool {
    above.zone_of(name) && depth(name) > depth(above)
}

/// The wildcard below the ancestor of `name` with so many labels.
pub(super) fn wildcard(name: &Name, labels: usize) -> Option<Name> {
    name.trim_to(labels).prepend_label("*").ok()
}

#[cfg(test)]
#[path = "denial_tests.rs"]
mod tests;
