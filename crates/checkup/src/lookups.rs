//! Questions to the DNS, each with the time that is left for all.

use crate::Parts;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wardpost_dns::{DnsError, Dnssec, OwnKind, OwnRecords, Resolver, reverse_name};
use wardpost_health::facts::{Found, Phase, RecordFacts, RecordKind};
use wardpost_mail::Domain;
use wardpost_publish::records::{Listing, Record, RecordId, RecordPhase};

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(8);
/// Questions that are asked at once.
const AT_ONCE: usize = 24;
/// Records that are looked at, over all domains.
const MAX_RECORDS: usize = 600;

/// Asks.
pub(crate) struct Lookups<'a> {
    own: &'a dyn OwnRecords,
    resolver: &'a dyn Resolver,
    deadline: Instant,
    places: Semaphore,
    answered: AtomicBool,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(parts: &'a Parts, deadline: Instant) -> Self {
        Self {
            own: &*parts.own,
            resolver: &*parts.resolver,
            deadline,
            places: Semaphore::new(AT_ONCE),
            answered: AtomicBool::new(false),
        }
    }

    /// Whether any question was answered so far.
    pub(crate) fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// An answer, in the time that there is.
    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, DnsError>>,
    ) -> Result<T, DnsError> {
        let none = || DnsError::Temporary("it took too long".to_owned());
        let asking = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            let until = self.deadline.min(Instant::now() + QUESTION);
            tokio::time::timeout_at(until, question).await.unwrap_or_else(|_| Err(none()))
        };
        let answer =
            tokio::time::timeout_at(self.deadline, asking).await.unwrap_or_else(|_| Err(none()));
        if !matches!(answer, Err(DnsError::Temporary(_))) {
            self.answered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// What is under a name.
    pub(crate) async fn published(&self, name: &Domain, kind: OwnKind) -> Found {
        found(self.ask(self.own.published(name, kind)).await)
    }

    /// The addresses of a name, of both families.
    pub(crate) async fn addresses(&self, name: &Domain) -> Found {
        let (v4, v6) =
            tokio::join!(self.published(name, OwnKind::A), self.published(name, OwnKind::Aaaa));
        match (v4, v6) {
            (Found::Values(v4), Found::Values(v6)) => Found::Values([v4, v6].concat()),
            // Some servers make a mess of AAAA.
            (Found::Values(some), _) | (_, Found::Values(some)) if !some.is_empty() => {
                Found::Values(some)
            }
            (Found::NoAnswer, _) | (_, Found::NoAnswer) => Found::NoAnswer,
            (other, _) => other,
        }
    }

    /// How far the addresses of a name can be believed.
    pub(crate) async fn validated(&self, name: &Domain) -> Result<Dnssec, DnsError> {
        Ok(self.ask(self.resolver.addresses(name)).await?.dnssec)
    }

    /// The reverse names of an address.
    pub(crate) async fn reverse(&self, address: IpAddr) -> Found {
        match reverse_name(address) {
            Some(name) => self.published(&name, OwnKind::Ptr).await,
            None => Found::NoSuchName,
        }
    }
}

fn found(answer: Result<Option<Vec<String>>, DnsError>) -> Found {
    match answer {
        Ok(Some(values)) => Found::Values(values),
        Ok(None) | Err(DnsError::NoSuchDomain) => Found::NoSuchName,
        Err(DnsError::Bogus) => Found::Bogus,
        Err(DnsError::Temporary(_)) => Found::NoAnswer,
    }
}

/// Looks at all records that are to be published.
pub(crate) async fn records(lookups: &Lookups<'_>, listings: &[Listing]) -> Vec<RecordFacts> {
    let wanted = listings.iter().flat_map(|listing| {
        listing.records.iter().map(move |record| (listing.domain.clone(), record))
    });
    let looking = wanted.take(MAX_RECORDS).map(|(domain, record)| one(lookups, domain, record));
    futures_util::future::join_all(looking).await.into_iter().flatten().collect()
}

/// Says of names that are to lead here where that is: where our host's name leads.
pub(crate) fn lead_to(host: &Found, records: &mut Vec<RecordFacts>) {
    let host = host.values().join(" ");
    // When our host's name leads nowhere, that is what has to be mended, and its own finding says so.
    let leads_here = |kind| matches!(kind, RecordKind::MtaStsHost | RecordKind::Settings);
    records.retain(|record| !leads_here(record.kind) || !host.is_empty());
    for record in records.iter_mut().filter(|record| leads_here(record.kind)) {
        record.wanted.clone_from(&host);
    }
}

async fn one(lookups: &Lookups<'_>, domain: Domain, record: &Record) -> Option<RecordFacts> {
    let (kind, question) = question(record.id)?;
    let phase = match record.phase {
        RecordPhase::Now => Phase::Now,
        RecordPhase::Coming => Phase::Coming,
        RecordPhase::Leaving => Phase::Leaving,
        // It may be there or not.
        RecordPhase::Over => return None,
    };
    let name = Domain::parse(&record.name).ok()?;
    let found = match question {
        Some(question) => lookups.published(&name, question).await,
        None => lookups.addresses(&name).await,
    };
    Some(RecordFacts {
        kind,
        domain,
        name: record.name.clone(),
        type_name: record.kind.clone(),
        wanted: record.value.clone(),
        phase,
        found,
    })
}

/// What a record is to the judge, and what is asked for; `None` asks for addresses.
fn question(id: RecordId) -> Option<(RecordKind, Option<OwnKind>)> {
    Some(match id {
        // Looked at with our host.
        RecordId::Address => return None,
        RecordId::Mx => (RecordKind::Mx, Some(OwnKind::Mx)),
        RecordId::Spf => (RecordKind::Spf, Some(OwnKind::Txt)),
        RecordId::HostSpf => (RecordKind::HostSpf, Some(OwnKind::Txt)),
        RecordId::Dmarc => (RecordKind::Dmarc, Some(OwnKind::Txt)),
        RecordId::Dkim => (RecordKind::Dkim, Some(OwnKind::Txt)),
        RecordId::MtaSts => (RecordKind::MtaSts, Some(OwnKind::Txt)),
        RecordId::MtaStsHost => (RecordKind::MtaStsHost, None),
        RecordId::TlsRpt => (RecordKind::TlsRpt, Some(OwnKind::Txt)),
        RecordId::Tlsa => (RecordKind::Tlsa, Some(OwnKind::Tlsa)),
        RecordId::SrvImaps
        | RecordId::SrvSubmissions
        | RecordId::SrvSubmission
        | RecordId::SrvAutodiscover => (RecordKind::Srv, Some(OwnKind::Srv)),
        RecordId::Autoconfig | RecordId::Autodiscover => (RecordKind::Settings, None),
        RecordId::Caa => (RecordKind::Caa, Some(OwnKind::Caa)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_to_lead_here_follow_our_host() {
        let record = |kind, wanted: &str| RecordFacts {
            kind,
            domain: Domain::parse("clinic.test").unwrap(),
            name: "name.clinic.test".to_owned(),
            type_name: "A".to_owned(),
            wanted: wanted.to_owned(),
            phase: Phase::Now,
            found: Found::NoAnswer,
        };
        let records = || {
            vec![
                record(RecordKind::MtaStsHost, "mail.clinic.test."),
                record(RecordKind::Mx, "10 mail.clinic.test."),
                record(RecordKind::Settings, "mail.clinic.test."),
            ]
        };
        let wanted = |host: Found| {
            let mut records = records();
            lead_to(&host, &mut records);
            records.into_iter().map(|record| record.wanted).collect::<Vec<_>>().join(", ")
        };
        let found = Found::Values(vec!["203.0.113.7".to_owned(), "2001:db8::7".to_owned()]);
        let here = "203.0.113.7 2001:db8::7";
        assert_eq!(wanted(found), format!("{here}, 10 mail.clinic.test., {here}"));
        for nowhere in [Found::NoAnswer, Found::NoSuchName, Found::Bogus, Found::Values(vec![])] {
            assert_eq!(wanted(nowhere), "10 mail.clinic.test.");
        }
    }
}
