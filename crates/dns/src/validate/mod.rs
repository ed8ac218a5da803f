//! DNSSEC validation (RFC 4033–4035, RFC 5155, RFC 6840): is an answer what its zone's owner signed?
//!
//! Records, keys, signatures and hashes are read and calculated by hickory-proto, questions asked by
//! hickory's pool of servers. What is here is the judgement: from which keys, for which name, with what
//! proof of absence. Hickory has a validator of its own, and in version 0.26.3 it is not one that this
//! server's one promise can hang on. It calls good answers bogus: those from a wildcard in a zone with
//! NSEC (it looks for a denial of the wildcard itself, which no server sends), aliases by DNAME, and
//! aliases whose target lacks records of that kind. And it believes too much: DS records of any name
//! that come with an answer, absences shown with an unsigned record of some other zone, and unsigned
//! delegations below a signed zone where the zone above that is opt-out. Any of these would let
//! somebody on the way switch DANE off, or forge it. `tests/forger.rs` holds this module to all of
//! them.
//!
//! # Layout
//! - [`upstream`]: questions and answers, nothing believed yet;
//! - [`rrset`]: records of one name and kind, and whether a zone's key signed them;
//! - [`denial`], [`nsec`], [`nsec3`]: what proofs of absence prove;
//! - [`chain`]: from an anchor to a zone's keys, or to the proof that it has none;
//! - [`work`], [`kept`]: bounds on work and memory;
//! - here: one question, alias by alias.
//!
//! Each name on the way is asked for by itself and each set of records judged by itself; whatever else
//! an answer holds is left alone.
//!
//! # Left out
//! Roll-over of trust anchors (RFC 5011). Aggressive use of denials (RFC 8198). Ed448 and GOST, which
//! the library beneath does not know; zones that use nothing else count as unsigned (RFC 4035 §5.2).

mod chain;
mod denial;
mod kept;
mod nsec;
mod nsec3;
mod rrset;
mod upstream;
mod work;

use crate::anchor::Anchors;
use crate::{DnsError, Dnssec};
use chain::{Chain, Standing, Zone, dname_owners};
use denial::{Absence, Denial, Strength};
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::BinDecodable;
use kept::Kept;
use rrset::RrSet;
use std::sync::Arc;
use std::time::Duration;
use upstream::{Reply, Upstream};
use work::Work;

/// Answers that are remembered.
const KEPT: usize = 8192;
/// Longest that an answer is remembered, whatever its TTL says.
const LONGEST: Duration = Duration::from_secs(3600);
/// Longest that an absence is remembered, in seconds: people mend their zones while we wait.
const ABSENCE: u32 = 60;
/// Aliases that are followed.
const MAX_ALIASES: usize = 8;
/// Zones whose denials in one answer are looked at.
const MAX_DENIERS: usize = 3;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Traced {
    /// What is at the end of the aliases.
    pub(crate) found: Found,
    /// The truth of the weakest link.
    pub(crate) dnssec: Dnssec,
    /// The truth of the first alias, and the name that the last one leads to.
    pub(crate) alias: Option<(Dnssec, Name)>,
}

/// What there is at a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// Records; none, when the name has none of this kind.
    Records(Vec<Record>),
    /// No such name.
    NoName,
}

/// Validates answers from these servers by these anchors.
pub(crate) struct Validator {
    upstream: Upstream,
    chain: Chain,
    kept: Kept<(Name, RecordType), Traced>,
}

/// How far something can be believed, and how long, in seconds.
#[derive(Debug, Clone, Copy)]
struct Link {
    truth: Dnssec,
    ttl: u32,
}

/// What one name has.
enum Step {
    End(Found, Link),
    Alias(Name, Link),
}

/// A set of records, judged by its signatures.
enum Judged {
    Secure { zone: Arc<Zone>, labels: u8, ttl: u32 },
    Otherwise(Dnssec),
}

impl Validator {
    /// For these servers or, without any, the system's.
    pub(crate) fn new(servers: &[NameServerConfig], anchors: Anchors) -> Result<Self, DnsError> {
        Ok(Self {
            upstream: Upstream::new(servers)?,
            chain: Chain::new(anchors),
            kept: Kept::new(KEPT, LONGEST),
        })
    }

    /// Whether the root's keys as the servers show them are those of the anchor.
    ///
    /// # Errors
    /// [`DnsError::Temporary`] when there was no answer at all.
    pub(crate) async fn knows_the_root(&self) -> Result<bool, DnsError> {
        match self.chain.standing(&Name::root(), &self.upstream, &mut Work::new()).await {
            Ok(standing) => Ok(matches!(standing, Standing::Signed(_))),
            Err(DnsError::Bogus) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The records of one kind at `name`, aliases followed.
    ///
    /// # Errors
    /// [`DnsError::Bogus`] or [`DnsError::Temporary`].
    pub(crate) async fn look(&self, name: &Name, kind: RecordType) -> Result<Traced, DnsError> {
        let key = (name.to_lowercase(), kind);
        if let Some(known) = self.kept.get(&key) {
            return Ok(known);
        }
        let (traced, ttl) = self.trace(name, kind, &mut Work::new()).await?;
        self.kept.put(key, traced.clone(), ttl);
        Ok(traced)
    }

    async fn trace(
        &self,
        name: &Name,
        kind: RecordType,
        work: &mut Work,
    ) -> Result<(Traced, u32), DnsError> {
        let (mut at, mut first, mut weakest) = (name.clone(), None, None);
        let mut ttl = u32::MAX;
        for _ in 0..=MAX_ALIASES {
            let step = self.step(&at, kind, work).await?;
            let (Step::Alias(_, link) | Step::End(_, link)) = &step;
            let truth = link.truth;
            let dnssec = weakest.map_or(truth, |weakest: Dnssec| weakest.and(truth));
            (weakest, ttl) = (Some(dnssec), ttl.min(link.ttl));
            match step {
                Step::End(found, _) => {
                    let alias = first.map(|first| (first, at));
                    return Ok((Traced { found, dnssec, alias }, ttl));
                }
                Step::Alias(target, _) => {
                    first.get_or_insert(truth);
                    at = target;
                }
            }
        }
        Err(DnsError::Temporary("aliases lead on and on".into()))
    }

    async fn step(&self, at: &Name, kind: RecordType, work: &mut Work) -> Result<Step, DnsError> {
        let reply = self.upstream.ask(at, kind, work).await?;
        if let Some(set) = RrSet::of(&reply.answers, at, kind) {
            let link = self.link(&set, &reply, work).await?;
            let records = set.records.into_iter().cloned().collect();
            return Ok(Step::End(Found::Records(records), link));
        }
        let alias = RrSet::of(&reply.answers, at, RecordType::CNAME);
        // One that carries a signature was not made by DNAME, whose CNAMEs are not signed.
        if alias.as_ref().is_none_or(|alias| alias.signatures.is_empty())
            && let Some(step) = self.dname(at, alias.as_ref(), &reply, work).await?
        {
            return Ok(step);
        }
        let Some(set) = alias else { return self.absent(at, kind, &reply, work).await };
        let target = cname_target(&set)?;
        let link = self.link(&set, &reply, work).await?;
        Ok(Step::Alias(target, link))
    }

    /// How far a set can be believed.
    async fn link(
        &self,
        set: &RrSet<'_>,
        reply: &Reply,
        work: &mut Work,
    ) -> Result<Link, DnsError> {
        let (zone, labels, ttl) = match self.judge(set, work).await? {
            Judged::Secure { zone, labels, ttl } => (zone, labels, ttl),
            Judged::Otherwise(truth) => return Ok(Link { truth, ttl: set.ttl() }),
        };
        if labels >= set.owner.num_labels() {
            return Ok(Link { truth: Dnssec::Secure, ttl });
        }
        // "If the Labels field … is less than … the RRset is the result of wildcard expansion … the
        // resolver MUST verify the … non-existence of an exact match or closer wildcard match"
        // (RFC 4035 §5.3.4): else it may be replayed for a name that exists.
        let denial = Denial::of(&reply.authorities, &zone, work)?;
        let strength = denial.expansion(set.owner, labels.into()).ok_or(DnsError::Bogus)?;
        Ok(Link { truth: by(strength), ttl: ttl.min(denial.ttl) })
    }

    /// Judges a set by its signatures; without a good one, it must be proven that it needs none.
    async fn judge(&self, set: &RrSet<'_>, work: &mut Work) -> Result<Judged, DnsError> {
        for signer in signers(set.signatures.iter().map(|(rrsig, _)| &rrsig.input().signer_name)) {
            if !signer.zone_of(set.owner) {
                continue;
            }
            if let Some(zone) = self.signed(signer, work).await?
                && let Some(proven) = set.verify(&zone, work)?
            {
                return Ok(Judged::Secure { zone, labels: proven.labels, ttl: proven.ttl });
            }
        }
        self.unsigned(set.owner, work).await.map(Judged::Otherwise)
    }

    /// The zone of that very name, if it is signed. A name that leads to no such zone, by a broken
    /// chain or by none, cannot vouch for anything; whether somebody had to is asked for apart.
    async fn signed(&self, name: &Name, work: &mut Work) -> Result<Option<Arc<Zone>>, DnsError> {
        match self.chain.standing(name, &self.upstream, work).await {
            Ok(Standing::Signed(zone)) if zone.name == *name => Ok(Some(zone)),
            Ok(_) | Err(DnsError::Bogus) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The truth of what a name shows without a good signature.
    async fn unsigned(&self, name: &Name, work: &mut Work) -> Result<Dnssec, DnsError> {
        match self.chain.standing(name, &self.upstream, work).await? {
            Standing::Signed(_) => Err(DnsError::Bogus),
            Standing::Unsigned => Ok(Dnssec::Insecure),
            Standing::Unknown => Ok(Dnssec::Indeterminate),
        }
    }

    /// An alias made from a DNAME above the name (RFC 6672 §5.3.1: "the validating resolver … MUST
    /// … verify that the CNAME was properly synthesized", by the DNAME's signature). Only where that is
    /// proven; the CNAME of an unsigned zone is taken as any other.
    async fn dname(
        &self,
        at: &Name,
        alias: Option<&RrSet<'_>>,
        reply: &Reply,
        work: &mut Work,
    ) -> Result<Option<Step>, DnsError> {
        for owner in dname_owners(&reply.answers, at) {
            let Some(set) = RrSet::of(&reply.answers, owner, RecordType::DNAME) else { continue };
            let Judged::Secure { labels, ttl, .. } = self.judge(&set, work).await? else {
                continue;
            };
            let target = match set.records.as_slice() {
                [dname] if labels == owner.num_labels() => substitute(at, dname)?,
                _ => return Err(DnsError::Bogus),
            };
            if let Some(alias) = alias
                && cname_target(alias)? != target
            {
                return Err(DnsError::Bogus);
            }
            return Ok(Some(Step::Alias(target, Link { truth: Dnssec::Secure, ttl })));
        }
        Ok(None)
    }

    /// Nothing of this kind and no alias: proven so by the zone, or by nobody when the zone is proven
    /// to be unsigned. In a signed zone the response code is not asked.
    async fn absent(
        &self,
        at: &Name,
        kind: RecordType,
        reply: &Reply,
        work: &mut Work,
    ) -> Result<Step, DnsError> {
        let kept = reply.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        let ttl = kept.unwrap_or(ABSENCE).min(ABSENCE);
        let end = |name_exists: bool, truth, ttl| {
            let found = if name_exists { Found::Records(Vec::new()) } else { Found::NoName };
            Ok(Step::End(found, Link { truth, ttl }))
        };
        for signer in signers(reply.authorities.iter().filter_map(denier)) {
            if !signer.zone_of(at) {
                continue;
            }
            let Some(zone) = self.signed(signer, work).await? else { continue };
            let denial = Denial::of(&reply.authorities, &zone, work)?;
            if let Some((absence, strength)) = denial.absence(at, kind) {
                return end(absence == Absence::Type, by(strength), ttl.min(denial.ttl));
            }
        }
        let truth = self.unsigned(at, work).await?;
        end(!reply.no_such_name, truth, ttl)
    }
}

fn by(strength: Strength) -> Dnssec {
    match strength {
        Strength::Full => Dnssec::Secure,
        Strength::Weak => Dnssec::Insecure,
    }
}

/// Who signed, each once, the deepest first.
fn signers<'a>(names: impl Iterator<Item = &'a Name>) -> Vec<&'a Name> {
    let mut signers: Vec<&Name> = Vec::new();
    for name in names {
        if signers.len() < MAX_DENIERS && !signers.contains(&name) {
            signers.push(name);
        }
    }
    signers.sort_by_key(|name| std::cmp::Reverse(name.num_labels()));
    signers
}

/// Who signed a denial.
fn denier(record: &Record) -> Option<&Name> {
    let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &record.data else { return None };
    let input = rrsig.input();
    let denies = matches!(input.type_covered, RecordType::NSEC | RecordType::NSEC3);
    denies.then_some(&input.signer_name)
}

/// Where a CNAME leads; there is but one (RFC 2181 §10.1).
fn cname_target(set: &RrSet<'_>) -> Result<Name, DnsError> {
    match set.records.as_slice() {
        [record] => match &record.data {
            RData::CNAME(target) => Ok(target.0.clone()),
            _ => Err(DnsError::Bogus),
        },
        _ => Err(DnsError::Bogus),
    }
}

/// The name that a DNAME makes of a name below its owner (RFC 6672 §2.2).
fn substitute(name: &Name, dname: &Record) -> Result<Name, DnsError> {
    let RData::Unknown { rdata, .. } = &dname.data else { return Err(DnsError::Bogus) };
    let target = Name::from_bytes(&rdata.anything).map_err(|_| DnsError::Bogus)?;
    let prefix = denial::depth(name) - denial::depth(&dname.name);
    let prefix = Name::from_labels(name.iter().take(prefix)).map_err(|_| DnsError::Bogus)?;
    // Too long a name has no answer (RFC 6672 §2.2, YXDOMAIN); that is for its owner to mend.
    let too_long = |_| DnsError::Temporary("an alias leads to a name that is too long".into());
    prefix.append_name(&target).map_err(too_long)
}
