//! The way from a trust anchor down to a zone's keys (RFC 4035 §5).
//!
//! Label by label: at each name on the way the zone above is asked for DS records. There are four
//! answers, each of which it must prove: a signed zone begins here, and these are digests of its keys
//! (RFC 4035 §5.2); an unsigned one does, or may (RFC 4035 §5.2, RFC 5155 §8.9); none does; the name
//! does not exist. That an answer need not be signed is thus believed only after the zone above has
//! said so of just this delegation, and never because a server leaves signatures out or makes up
//! delegations.

use super::denial::{Delegation, Denial, depth, strictly_below};
use super::kept::Kept;
use super::rrset::RrSet;
use super::upstream::{Reply, Upstream};
use super::work::Work;
use crate::DnsError;
use crate::anchor::Anchors;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, PublicKey};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::sync::Arc;
use std::time::Duration;

/// Zones and names between them that are remembered.
const KEPT: usize = 8192;
/// Longest that a zone's standing is remembered, whatever its TTLs say.
const LONGEST: Duration = Duration::from_secs(3600);
/// Keys of one zone that are looked at.
const MAX_KEYS: usize = 32;
/// Keys of one zone that a digest or anchor names, and that are tried on the set of keys.
const MAX_ENTRY_KEYS: usize = 4;

/// A zone whose keys are proven.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: Name,
    pub(super) keys: Vec<Key>,
}

/// One of its keys.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) tag: u16,
    pub(super) key: DNSKEY,
}

/// What is known of the zone that a name is in.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// It is signed, down from an anchor.
    Signed(Arc<Zone>),
    /// It is proven not to be, or by algorithms nobody here knows.
    Unsigned,
    /// There is no anchor above it.
    Unknown,
}

/// What begins at a name.
#[derive(Debug, Clone)]
enum Cut {
    Signed(Arc<Zone>),
    Unsigned,
    /// Nothing; the zone goes on.
    None,
    /// Nothing, neither there nor below.
    Nothing,
}

/// What the zone above says of a name.
enum Parent {
    Digests(Vec<DS>, u32),
    Cut(Cut, u32),
}

/// Finds zones' keys, and remembers them.
pub(super) struct Chain {
    anchors: Anchors,
    tops: Kept<Name, Arc<Zone>>,
    cuts: Kept<Name, Cut>,
}

impl Chain {
    pub(super) fn new(anchors: Anchors) -> Self {
        let (tops, cuts) = (Kept::new(KEPT, LONGEST), Kept::new(KEPT, LONGEST));
        Self { anchors, tops, cuts }
    }

    /// How the zone that `name` is in stands.
    ///
    /// # Errors
    /// [`DnsError::Bogus`] when the chain to it is broken.
    pub(super) async fn standing(
        &self,
        name: &Name,
        upstream: &Upstream,
        work: &mut Work,
    ) -> Result<Standing, DnsError> {
        let Some(top) = self.anchors.zone_above(name) else { return Ok(Standing::Unknown) };
        let mut zone = self.top(top, upstream, work).await?;
        for labels in depth(top) + 1..=depth(name) {
            match self.cut(&zone, &name.trim_to(labels), upstream, work).await? {
                Cut::Signed(below) => zone = below,
                Cut::Unsigned => return Ok(Standing::Unsigned),
                Cut::None => {}
                Cut::Nothing => break,
            }
        }
        Ok(Standing::Signed(zone))
    }

    /// An anchored zone.
    async fn top(
        &self,
        name: &Name,
        upstream: &Upstream,
        work: &mut Work,
    ) -> Result<Arc<Zone>, DnsError> {
        if let Some(known) = self.tops.get(name) {
            return Ok(known);
        }
        let trusted = |key: &DNSKEY| self.anchors.trusts(name, key);
        let (zone, ttl) = keys(name, trusted, upstream, work).await?;
        self.tops.put(name.clone(), Arc::clone(&zone), ttl);
        Ok(zone)
    }

    /// What begins at a name, of which the zone above is known.
    async fn cut(
        &self,
        zone: &Arc<Zone>,
        at: &Name,
        upstream: &Upstream,
        work: &mut Work,
    ) -> Result<Cut, DnsError> {
        let at = at.to_lowercase();
        if let Some(known) = self.cuts.get(&at) {
            return Ok(known);
        }
        let reply = upstream.ask(&at, RecordType::DS, work).await?;
        let (cut, ttl) = match parent(zone, &at, &reply, work)? {
            Parent::Cut(cut, ttl) => (cut, ttl),
            Parent::Digests(digests, ttl) => {
                let named = |key: &DNSKEY| {
                    digests.iter().any(|digest| {
                        digest.algorithm() == algorithm(key)
                            && digest.covers(&at, key).unwrap_or(false)
                    })
                };
                let (zone, keys_ttl) = keys(&at, named, upstream, work).await?;
                (Cut::Signed(zone), ttl.min(keys_ttl))
            }
        };
        self.cuts.put(at, cut.clone(), ttl);
        Ok(cut)
    }
}

/// Reads what the zone above says of a name from its answer to the question for DS records.
fn parent(zone: &Zone, at: &Name, reply: &Reply, work: &mut Work) -> Result<Parent, DnsError> {
    if let Some(set) = RrSet::of(&reply.answers, at, RecordType::DS) {
        let proven = set.verify(zone, work)?.filter(|proven| proven.labels == at.num_labels());
        let proven = proven.ok_or(DnsError::Bogus)?;
        let digests = usable(&set);
        // "If the resolver does not support any of the algorithms … it SHOULD treat this case as it
        // would … no DS RRset" (RFC 4035 §5.2).
        return Ok(match digests.is_empty() {
            true => Parent::Cut(Cut::Unsigned, proven.ttl),
            false => Parent::Digests(digests, proven.ttl),
        });
    }
    // An alias is no zone cut (RFC 1034 §3.6.2).
    if let Some(set) = RrSet::of(&reply.answers, at, RecordType::CNAME)
        && let Some(proven) = set.verify(zone, work)?
        && proven.labels == at.num_labels()
    {
        return Ok(Parent::Cut(Cut::None, proven.ttl));
    }
    // Nothing is below a DNAME (RFC 6672 §2.4).
    for owner in dname_owners(&reply.answers, at) {
        if let Some(set) = RrSet::of(&reply.answers, owner, RecordType::DNAME)
            && let Some(proven) = set.verify(zone, work)?
            && proven.labels == owner.num_labels()
        {
            return Ok(Parent::Cut(Cut::Nothing, proven.ttl));
        }
    }
    let denial = Denial::of(&reply.authorities, zone, work)?;
    let cut = match denial.delegation(at).ok_or(DnsError::Bogus)? {
        Delegation::Unsigned => Cut::Unsigned,
        Delegation::NoCut => Cut::None,
        Delegation::NoName => Cut::Nothing,
    };
    Ok(Parent::Cut(cut, denial.ttl))
}

/// Owners of DNAME records above a name.
pub(super) fn dname_owners<'a>(answers: &'a [Record], name: &'a Name) -> Vec<&'a Name> {
    let above = answers.iter().filter(|record| {
        record.record_type() == RecordType::DNAME && strictly_below(name, &record.name)
    });
    above.map(|record| &record.name).take(2).collect()
}

/// The digests that can be used. SHA-1 counts only where there is nothing better (RFC 4509 §3).
fn usable(set: &RrSet<'_>) -> Vec<DS> {
    let digests = set.records.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
        _ => None,
    });
    let mut usable: Vec<DS> = digests
        .filter(|ds| ds.algorithm().is_supported() && ds.digest_type().is_supported())
        .cloned()
        .collect();
    if usable.iter().any(|ds| ds.digest_type() != DigestType::SHA1) {
        usable.retain(|ds| ds.digest_type() != DigestType::SHA1);
    }
    usable
}

/// A zone's keys: the set must be signed by one of those that are named already (RFC 4035 §5.2).
async fn keys(
    name: &Name,
    named: impl Fn(&DNSKEY) -> bool,
    upstream: &Upstream,
    work: &mut Work,
) -> Result<(Arc<Zone>, u32), DnsError> {
    let reply = upstream.ask(name, RecordType::DNSKEY, work).await?;
    let set = RrSet::of(&reply.answers, name, RecordType::DNSKEY).ok_or(DnsError::Bogus)?;
    let all: Vec<Key> = set.records.iter().take(MAX_KEYS).filter_map(|r| usable_key(r)).collect();
    let entry = all.iter().filter(|key| named(&key.key)).take(MAX_ENTRY_KEYS);
    let entry = entry.map(|key| Key { tag: key.tag, key: key.key.clone() }).collect();
    let entry = Zone { name: name.clone(), keys: entry };
    let proven = set.verify(&entry, work)?.filter(|proven| proven.labels == name.num_labels());
    let proven = proven.ok_or(DnsError::Bogus)?;
    Ok((Arc::new(Zone { name: name.clone(), keys: all }), proven.ttl))
}

/// A key that may sign a zone's records (RFC 4034 §2.1.1, RFC 5011 §2.1).
fn usable_key(record: &Record) -> Option<Key> {
    let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data else { return None };
    let usable = key.zone_key() && !key.revoke() && algorithm(key).is_supported();
    let tag = key.calculate_key_tag().ok()?;
    usable.then(|| Key { tag, key: key.clone() })
}

/// A key's algorithm.
pub(super) fn algorithm(key: &DNSKEY) -> Algorithm {
    key.public_key().algorithm()
}
