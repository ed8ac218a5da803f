//! Sets of records with their signatures, and whether a zone's key made one (RFC 4035 §5.3).

use super::chain::{Zone, algorithm};
use super::denial::depth;
use super::work::Work;
use crate::DnsError;
use hickory_resolver::proto::dnssec::Verifier;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::rr::rdata::NULL;
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};

/// Signatures of one set that are looked at.
const MAX_SIGNATURES: usize = 8;
/// Keys with the tag of a signature that are tried (KeyTrap, CVE-2023-50387).
const MAX_KEYS_WITH_TAG: usize = 2;

/// All records of one name and kind in a section, with their signatures.
#[derive(Debug)]
pub(super) struct RrSet<'a> {
    pub(super) owner: &'a Name,
    pub(super) records: Vec<&'a Record>,
    pub(super) signatures: Vec<(&'a RRSIG, u32)>,
}

/// A set whose signature is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proven {
    /// Labels of the name that was signed, `*` not counted: fewer than the owner has when the set was
    /// made from a wildcard (RFC 4034 §3.1.3).
    pub(super) labels: u8,
    /// How long it may be kept, in seconds (RFC 4035 §5.3.3).
    pub(super) ttl: u32,
}

/// Records of one set that are verified; no set of mail's has as many.
const MAX_RECORDS: usize = 512;

impl<'a> RrSet<'a> {
    /// The set, if there is one.
    pub(super) fn of(section: &'a [Record], owner: &Name, kind: RecordType) -> Option<Self> {
        let mut records: Vec<&Record> = Vec::new();
        let mut signatures = Vec::new();
        for record in section.iter().filter(|record| record.name == *owner) {
            match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(signature))
                    if signature.input().type_covered == kind =>
                {
                    signatures.push((signature, record.ttl));
                }
                // A record given twice counts once (RFC 4034 §6.3).
                data if record.record_type() == kind
                    && !records.iter().any(|known| known.data == *data) =>
                {
                    if records.len() >= MAX_RECORDS {
                        return None;
                    }
                    records.push(record);
                }
                _ => {}
            }
        }
        signatures.truncate(MAX_SIGNATURES);
        let owner = &records.first()?.name;
        Some(Self { owner, records, signatures })
    }

    /// How long the records themselves may be kept.
    pub(super) fn ttl(&self) -> u32 {
        self.records.iter().map(|record| record.ttl).min().unwrap_or(0)
    }

    /// Whether one of the zone's keys has signed it, by the rules of RFC 4035 §5.3.1.
    ///
    /// # Errors
    /// When that takes too much work.
    pub(super) fn verify(&self, zone: &Zone, work: &mut Work) -> Result<Option<Proven>, DnsError> {
        let signed = self.canonical();
        for (signature, ttl) in &self.signatures {
            let input = signature.input();
            if input.signer_name != zone.name || !self.fits(signature, work.now) {
                continue;
            }
            let keys = zone
                .keys
                .iter()
                .filter(|key| key.tag == input.key_tag && algorithm(&key.key) == input.algorithm);
            for key in keys.take(MAX_KEYS_WITH_TAG) {
                work.signature()?;
                let records = signed.iter();
                let verified =
                    key.key.verify_rrsig(self.owner, DNSClass::IN, signature, records).is_ok();
                if verified {
                    let left = input.sig_expiration.get().wrapping_sub(work.now);
                    let ttl = self.ttl().min(*ttl).min(input.original_ttl).min(left);
                    return Ok(Some(Proven { labels: input.num_labels, ttl }));
                }
            }
        }
        Ok(None)
    }

    /// Everything about a signature but the signature itself.
    fn fits(&self, signature: &RRSIG, now: u32) -> bool {
        let (input, now) = (signature.input(), SerialNumber::new(now));
        let (signer, labels) = (&input.signer_name, usize::from(input.num_labels));
        signer.zone_of(self.owner)
            && labels <= usize::from(self.owner.num_labels())
            // A wildcard of this zone lies in it.
            && labels >= depth(signer)
            && input.sig_inception <= now
            && now <= input.sig_expiration
    }

    /// The records as they were signed. Hickory knows the canonical form of what it can read; a
    /// DNAME it cannot, whose target is signed in lower case (RFC 4034 §6.2, RFC 6840 §5.1).
    fn canonical(&self) -> Vec<Record> {
        let canonical = |record: &&Record| {
            let mut record = (*record).clone();
            // Hickory sorts by what each record says of its time first; the original time was signed.
            record.ttl = 0;
            match &mut record.data {
                // It sorts before it lower-cases (RFC 4034 §6.2, §6.3).
                RData::MX(mx) => mx.exchange = mx.exchange.to_lowercase(),
                RData::Unknown { code: RecordType::DNAME, rdata } => {
                    // Lengths of labels are below 64, so that they are not taken for letters.
                    *rdata = NULL::with(rdata.anything.to_ascii_lowercase());
                }
                _ => {}
            }
            record
        };
        self.records.iter().map(canonical).collect()
    }
}
