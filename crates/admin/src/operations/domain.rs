//! Domains, and the DNS records each of them needs. What they are for is told at length in docs/dns.md.

use super::Admin;
use crate::error::Failure;
use crate::request::{DkimRequest, DomainRequest};
use crate::views::{Answer, DnsRecordView, DomainView};
use std::time::SystemTime;
use wardpost_directory::{DirectoryError, DkimPair, DkimStage};
use wardpost_mail::{DMARC_REPORTS, Domain, TLS_REPORTS};
use wardpost_publish::{OwnPolicy, PlannedKey, Stage};
use wardpost_verdict::StsMode;

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

    fn domain_view(&self, domain: Domain) -> DomainView {
        let mut records = self.mail_records(&domain);
        records.extend(self.dkim_records(&domain));
        records.extend(self.sts_records(&domain));
        records.extend(self.service_records(&domain));
        let mut notes = Vec::new();
        if self.home_of_host() == domain {
            records.extend(self.host_records());
            notes.extend(self.host_notes());
        }
        notes.extend(self.sts_note(&domain));
        DomainView { domain, records, notes }
    }

    /// The domain whose list holds the records of our mail host: the one it lies in, or else the main
    /// one.
    fn home_of_host(&self) -> Domain {
        let (hostname, mut domains) = (self.parts.host.hostname(), self.parts.directory.domains());
        let homes = domains.iter().filter(|domain| hostname.is_within(domain));
        match homes.max_by_key(|domain| domain.as_str().len()) {
            Some(home) => home.clone(),
            // There is always the main domain.
            None => domains.remove(0),
        }
    }

    /// MX (RFC 5321 §5.1), SPF (RFC 7208), DMARC (RFC 9989) and TLS-RPT (RFC 8460 §3).
    fn mail_records(&self, domain: &Domain) -> Vec<DnsRecordView> {
        let hostname = self.parts.host.hostname();
        vec![
            record(domain, "MX", format!("10 {hostname}."), "mail comes to this server"),
            record(
                domain,
                "TXT",
                "v=spf1 mx -all".to_owned(),
                "only this server sends mail of the domain (SPF)",
            ),
            record(
                &format!("_dmarc.{domain}"),
                "TXT",
                format!("v=DMARC1; p=quarantine; rua=mailto:{DMARC_REPORTS}@{domain}"),
                "forged mail of the domain is distrusted, and others report who tries (DMARC)",
            ),
            record(
                &format!("_smtp._tls.{domain}"),
                "TXT",
                format!("v=TLSRPTv1; rua=mailto:{TLS_REPORTS}@{domain}"),
                "other servers report when they cannot reach us over good TLS (TLS-RPT)",
            ),
        ]
    }

    /// The records of all DKIM keys that must be visible now.
    pub(super) fn dkim_records(&self, domain: &Domain) -> Vec<DnsRecordView> {
        let now = unix_now();
        let pairs = self.parts.directory.dkim_pairs(domain).into_iter();
        pairs.flat_map(|pair| dkim_pair_records(domain, pair, now)).collect()
    }

    /// The policy's announcement and the host it is fetched from (RFC 8461 §3.1, §3.3).
    fn sts_records(&self, domain: &Domain) -> Vec<DnsRecordView> {
        let Some(policy) = self.sts_policy() else { return Vec::new() };
        let hostname = self.parts.host.hostname();
        let purpose = match policy.mode {
            StsMode::Enforce => "other servers must reach us over verified TLS (MTA-STS)",
            StsMode::Testing => {
                "other servers tell when they cannot reach us over verified TLS (MTA-STS)"
            }
            StsMode::None => "other servers learn that our MTA-STS policy holds no longer",
        };
        let mut records =
            vec![record(&format!("_mta-sts.{domain}"), "TXT", policy.record(), purpose)];
        if let Some(host) = OwnPolicy::policy_host(domain).filter(|host| host != hostname) {
            let purpose = "the MTA-STS policy is fetched from this server";
            records.push(record(&host, "CNAME", format!("{hostname}."), purpose));
        }
        records
    }

    /// Where mail programs find their servers (RFC 6186 §3, RFC 8314 §5.1).
    fn service_records(&self, domain: &Domain) -> Vec<DnsRecordView> {
        let hostname = self.parts.host.hostname();
        let listeners = self.parts.host.listeners();
        let port = |service: &str| {
            let listener = listeners.iter().find(|listener| listener.service == service)?;
            listener.addresses.first().map(std::net::SocketAddr::port)
        };
        [
            ("imaps", "mail programs find where to read mail"),
            ("submissions", "mail programs find where to send mail"),
        ]
        .into_iter()
        .filter_map(|(service, purpose)| {
            let value = format!("0 1 {} {hostname}.", port(service)?);
            Some(record(&format!("_{service}._tcp.{domain}"), "SRV", value, purpose))
        })
        .collect()
    }

    /// What belongs to the host: the keys of its certificate (RFC 7672), and its own name in SPF, for
    /// reports, which have no sender (RFC 7208 §2.3).
    fn host_records(&self) -> Vec<DnsRecordView> {
        let hostname = self.parts.host.hostname();
        let keys = self.parts.keys.keys(SystemTime::now());
        let mut records: Vec<_> = keys.keys.iter().map(|key| tlsa_record(hostname, key)).collect();
        if !self.parts.directory.is_ours(hostname) {
            let purpose = "this server may introduce itself under its own name (SPF)";
            records.push(record(hostname, "TXT", "v=spf1 a -all".to_owned(), purpose));
        }
        records
    }

    fn host_notes(&self) -> Vec<String> {
        let hostname = self.parts.host.hostname();
        vec![
            format!(
                "{hostname} needs an A record with the public address of this machine (and an AAAA \
                 record if it has an IPv6 address), and whoever gave you the address must make its \
                 reverse record name {hostname}."
            ),
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

fn record(
    name: &(impl ToString + ?Sized),
    kind: &str,
    value: String,
    purpose: &str,
) -> DnsRecordView {
    DnsRecordView {
        name: name.to_string(),
        kind: kind.to_owned(),
        value,
        purpose: purpose.to_owned(),
    }
}

fn dkim_pair_records(domain: &Domain, pair: DkimPair, now: i64) -> Vec<DnsRecordView> {
    let (purpose, revoked) = match pair.stage {
        DkimStage::Waiting { .. } => {
            ("the key that will sign mail of the domain once this record is seen (DKIM)", false)
        }
        DkimStage::Signing { .. } => ("the key that signs mail of the domain (DKIM)", false),
        DkimStage::Retired { until, .. } if until > now => {
            ("the key that signed mail still under way: leave it for now (DKIM)", false)
        }
        DkimStage::Retired { .. } => {
            ("a revoked key: publish it empty like this, or remove the record (DKIM)", true)
        }
    };
    let keys = pair.keys.into_iter();
    keys.map(|key| {
        let name = key.record_name(domain);
        // RFC 6376 §3.6.1: an empty key is a revoked one.
        let value = if revoked { "v=DKIM1; p=".to_owned() } else { key.public_record };
        record(&name, "TXT", value, purpose)
    })
    .collect()
}

/// The record of one of our host's keys.
pub(super) fn tlsa_record(hostname: &Domain, key: &PlannedKey) -> DnsRecordView {
    let purpose = match key.stage {
        Stage::Current { .. } => "the key that this server has: nobody can pose as it (DANE)",
        Stage::Next { .. } => "the key that this server will have next (DANE)",
        Stage::Old { .. } => "the key that this server had: leave it for some days (DANE)",
    };
    record(&format!("_25._tcp.{hostname}"), "TLSA", key.tlsa.to_string(), purpose)
}

pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}
