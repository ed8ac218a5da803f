//! Domains, and the DNS records each of them needs ([`wardpost_publish::records`]).

use super::Admin;
use crate::error::Failure;
use crate::request::{DkimRequest, DomainRequest};
use crate::views::{Answer, DomainView};
use std::net::SocketAddr;
use std::time::SystemTime;
use wardpost_directory::{DirectoryError, DkimPair, DkimStage};
use wardpost_mail::Domain;
use wardpost_publish::OwnPolicy;
use wardpost_publish::records::{
    self, DkimKeyFacts, DkimKeyStage, Facts, Listing, Record, Services, Source, home_of_host,
};

impl Admin {
    pub(super) async fn domain(&self, request: DomainRequest) -> Result<Answer, Failure> {
        match request {
            DomainRequest::Add { domain } => {
                self.parts.directory.add_domain(&domain).await?;
                tracing::info!("domain added");
                Ok(Answer::Domain(self.domain_view(domain)))
            }
            DomainRequest::List => {
                let domains = self.parts.directory.domains().into_iter();
                Ok(Answer::Domains(domains.map(|domain| self.domain_view(domain)).collect()))
            }
            DomainRequest::Show { domain } => {
                self.ours(&domain)?;
                Ok(Answer::Domain(self.domain_view(domain)))
            }
            DomainRequest::Remove { domain } => {
                self.parts.directory.remove_domain(&domain).await?;
                tracing::info!("domain removed");
                Ok(Answer::Done)
            }
            DomainRequest::Dkim { domain, request } => {
                self.ours(&domain)?;
                match request {
                    DkimRequest::Show => self.dkim_show(domain),
                    DkimRequest::Rotate { now, force } => {
                        self.dkim_rotate(domain, now, force).await
                    }
                }
            }
        }
    }

    fn ours(&self, domain: &Domain) -> Result<(), Failure> {
        if self.parts.directory.is_ours(domain) {
            return Ok(());
        }
        Err(DirectoryError::NoSuchDomain.into())
    }

    /// What is printed: records that can be published as they are.
    fn domain_view(&self, domain: Domain) -> DomainView {
        let mut view = self.full_listing(domain);
        // What cannot be published as it is stands in the notes.
        view.records.retain(Record::is_known);
        view
    }

    /// All records, with those whose value only a person knows.
    fn full_listing(&self, domain: Domain) -> Listing {
        let facts = self.record_facts();
        let records = records::records(&facts, &domain, &self.dkim_facts(&domain));
        let mut notes = Vec::new();
        if home_of_host(&facts.hostname, &facts.domains) == Some(&domain) {
            notes.extend(self.host_notes());
        }
        notes.extend(self.sts_note(&domain));
        Listing { domain, records, notes }
    }

    /// What the records of all our domains are made from.
    fn record_facts(&self) -> Facts {
        let (host, listeners) = (&self.parts.host, self.parts.host.listeners());
        let port = |service: &str| {
            let listener = listeners.iter().find(|listener| listener.service == service)?;
            listener.addresses.first().map(SocketAddr::port)
        };
        Facts {
            hostname: host.hostname().clone(),
            addresses: host.addresses(),
            domains: self.parts.directory.domains(),
            services: Services {
                imaps: port("imaps"),
                submissions: port("submissions"),
                submission: port("submission"),
                https: port("https"),
            },
            policy: self.sts_policy(),
            keys: self.parts.keys.keys(SystemTime::now()).keys,
            authorities: host.authorities(),
        }
    }

    /// All DKIM keys of a domain that must be visible now.
    fn dkim_facts(&self, domain: &Domain) -> Vec<DkimKeyFacts> {
        let now = unix_now();
        let pairs = self.parts.directory.dkim_pairs(domain).into_iter();
        pairs.flat_map(|pair| dkim_pair_facts(domain, pair, now)).collect()
    }

    /// Their records.
    pub(super) fn dkim_records(&self, domain: &Domain) -> Vec<Record> {
        self.dkim_facts(domain).iter().map(records::dkim_record).collect()
    }

    fn host_notes(&self) -> Vec<String> {
        let hostname = self.parts.host.hostname();
        let address = match self.parts.host.addresses().is_empty() {
            true => format!(
                "{hostname} needs an A record with the public address of this machine (and an AAAA \
                 record if it has an IPv6 address), and whoever gave you the address must make its \
                 reverse record name {hostname}."
            ),
            false => format!(
                "Whoever gave you the address of this machine must make its reverse record name \
                 {hostname}."
            ),
        };
        vec![
            address,
            format!(
                "TLSA records count only where the zone of {hostname} is signed with DNSSEC; without \
                 it they do no harm and no good."
            ),
        ]
    }

    /// Our policy as it is served with the certificate in use.
    pub(super) fn sts_policy(&self) -> Option<OwnPolicy> {
        let vouched_for = !self.parts.host.tls().certificate().self_issued;
        self.parts.host.mta_sts().map(|policy| policy.served(vouched_for))
    }

    /// Why the policy of a domain does not work as it should.
    pub(super) fn sts_note(&self, domain: &Domain) -> Option<String> {
        self.parts.host.mta_sts()?;
        let certificate = self.parts.host.tls().certificate();
        let host = OwnPolicy::policy_host(domain)?;
        if certificate.self_issued {
            return Some(
                "The certificate is self-signed, so other servers cannot fetch the MTA-STS policy, \
                 and it asks for no more than \"testing\". Get a certificate from an authority."
                    .to_owned(),
            );
        }
        (!certificate.covers(&host)).then(|| {
            format!(
                "The certificate is not for {host}, so other servers cannot fetch the MTA-STS \
                 policy. Get one that names it besides {}.",
                self.parts.host.hostname()
            )
        })
    }
}

fn dkim_pair_facts(domain: &Domain, pair: DkimPair, now: i64) -> Vec<DkimKeyFacts> {
    let stage = match pair.stage {
        DkimStage::Waiting { .. } => DkimKeyStage::Waiting,
        DkimStage::Signing { .. } => DkimKeyStage::Signing,
        DkimStage::Retired { until, .. } if until > now => DkimKeyStage::Leaving,
        DkimStage::Retired { .. } => DkimKeyStage::Revoked,
    };
    let keys = pair.keys.into_iter();
    keys.map(|key| DkimKeyFacts {
        name: key.record_name(domain).to_string(),
        record: key.public_record,
        stage,
    })
    .collect()
}

/// For whoever shows the records, or looks whether they are there: with those whose value only a person
/// knows.
impl Source for Admin {
    fn domains(&self) -> Vec<Domain> {
        self.parts.directory.domains()
    }

    fn listing(&self, domain: &Domain) -> Option<Listing> {
        self.parts.directory.is_ours(domain).then(|| self.full_listing(domain.clone()))
    }
}

pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}
