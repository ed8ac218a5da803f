//! What NSEC3 records prove (RFC 5155 §8, RFC 6840 §4, RFC 9276).
//!
//! As NSEC, but the names are hashed, and so are their order and the question what lies between two
//! of them. That a name does not exist is proven by an ancestor that does (the *closest encloser*)
//! and a record that covers the name one label below it (the *next closer name*). A covering record
//! may be *opt-out*: then there may be unsigned delegations in between, and nothing else.

use super::denial::{Absence, Delegation, Strength, depth, has_no, wildcard};
use data_encoding::BASE32_DNSSEC;
use hickory_resolver::proto::dnssec::rdata::NSEC3;
use hickory_resolver::proto::rr::{Name, RecordType};

/// More iterations than this prove no more than an unsigned zone would (RFC 9276 §3.2).
const SOFT_ITERATIONS: u16 = 100;
/// More than this are not even calculated.
const HARD_ITERATIONS: u16 = 500;

/// NSEC3 records of one zone, with the same parameters.
#[derive(Debug)]
pub(super) struct Nsec3Chain<'a> {
    zone: &'a Name,
    links: Vec<Link<'a>>,
}

#[derive(Debug)]
struct Link<'a> {
    hash: Vec<u8>,
    nsec3: &'a NSEC3,
}

/// A name that does not exist: how many labels its closest encloser has, and what covers the name
/// below that.
struct Missing<'c, 'a> {
    encloser: usize,
    cover: &'c Link<'a>,
}

impl<'a> Nsec3Chain<'a> {
    /// Takes proven records of the zone. Those whose parameters differ from the first's are left out
    /// (RFC 5155 §8.2).
    pub(super) fn new(zone: &'a Name, records: &[(&'a Name, &'a NSEC3)]) -> Self {
        let mut links: Vec<Link<'a>> = Vec::new();
        for (owner, nsec3) in records {
            let in_zone = owner.base_name() == *zone && depth(owner) == depth(zone) + 1;
            let alike = links.first().is_none_or(|first| {
                first.nsec3.hash_algorithm() == nsec3.hash_algorithm()
                    && first.nsec3.iterations() == nsec3.iterations()
                    && first.nsec3.salt() == nsec3.salt()
            });
            let label = owner.iter().next().map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
            if let (Ok(hash), true) = (BASE32_DNSSEC.decode(&label), in_zone && alike) {
                links.push(Link { hash, nsec3 });
            }
        }
        links.retain(|link| link.nsec3.iterations() <= HARD_ITERATIONS);
        Self { zone, links }
    }

    /// Whether `name` has no records of this kind (RFC 5155 §8.4–8.7).
    pub(super) fn absence(&self, name: &Name, kind: RecordType) -> Option<(Absence, Strength)> {
        if let Some(link) = self.matching(name) {
            let strength = self.strength(None);
            return has_no(kind, link.nsec3.type_set()).then_some((Absence::Type, strength));
        }
        let missing = self.missing(name)?;
        let strength = self.strength(Some(missing.cover));
        if kind == RecordType::DS && missing.cover.nsec3.opt_out() {
            return Some((Absence::Type, strength));
        }
        let wildcard = wildcard(name, missing.encloser)?;
        if let Some(link) = self.matching(&wildcard) {
            return has_no(kind, link.nsec3.type_set()).then_some((Absence::Type, strength));
        }
        self.covering(&wildcard).map(|_| (Absence::Name, strength))
    }

    /// Whether a wildcard with `labels` labels after its `*` is what answers for `name`: the next
    /// closer name does not exist (RFC 5155 §8.8).
    pub(super) fn expansion(&self, name: &Name, labels: usize) -> Option<Strength> {
        if labels < depth(self.zone) || labels >= depth(name) {
            return None;
        }
        let cover = self.covering(&name.trim_to(labels + 1))?;
        Some(self.strength(Some(cover)))
    }

    /// What there is at a name that has no DS records (RFC 5155 §8.6, §8.9).
    pub(super) fn delegation(&self, name: &Name) -> Option<Delegation> {
        if let Some(link) = self.matching(name) {
            return Delegation::by(link.nsec3.type_set());
        }
        match self.missing(name)?.cover.nsec3.opt_out() {
            true => Some(Delegation::Unsigned),
            false => Some(Delegation::NoName),
        }
    }

    fn strength(&self, cover: Option<&Link<'_>>) -> Strength {
        let costly = self.links.iter().any(|link| link.nsec3.iterations() > SOFT_ITERATIONS);
        match cover {
            _ if costly => Strength::Weak,
            Some(link) if link.nsec3.opt_out() => Strength::Weak,
            _ => Strength::Full,
        }
    }

    /// The closest encloser proof (RFC 5155 §8.3).
    fn missing(&self, name: &Name) -> Option<Missing<'_, 'a>> {
        let above = (depth(self.zone)..depth(name)).rev();
        let mut above = above.map(|labels| (labels, name.trim_to(labels)));
        let (encloser, link) =
            above.find_map(|(labels, name)| Some((labels, self.matching(&name)?)))?;
        // From above a zone cut, or at a DNAME, it says nothing of what is below.
        if link.nsec3.is_ancestor_delegation() {
            return None;
        }
        let cover = self.covering(&name.trim_to(encloser + 1))?;
        Some(Missing { encloser, cover })
    }

    fn matching(&self, name: &Name) -> Option<&Link<'a>> {
        let hash = self.hash(name)?;
        self.links.iter().find(|link| link.hash == hash)
    }

    fn covering(&self, name: &Name) -> Option<&Link<'a>> {
        let hash = self.hash(name)?;
        self.links.iter().find(|link| {
            let (from, to) = (link.hash.as_slice(), link.nsec3.next_hashed_owner_name());
            let hash = hash.as_slice();
            // The last hash of a zone leads back to the first.
            if from < to {
                from < hash && hash < to
            } else {
                hash != from && (from < hash || hash < to)
            }
        })
    }

    fn hash(&self, name: &Name) -> Option<Vec<u8>> {
        let first = self.links.first()?.nsec3;
        if !self.zone.zone_of(name) {
            return None;
        }
        let hash = first.hash_algorithm().hash(first.salt(), name, first.iterations());
        hash.ok().map(|hash| hash.as_ref().to_vec())
    }
}
