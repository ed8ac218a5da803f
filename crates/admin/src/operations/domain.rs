//! Domains, and the DNS records each of them needs.

use super::Admin;
use crate::error::Failure;
use crate::request::DomainRequest;
use crate::views::{Answer, DnsRecordView, DomainView};
use wardpost_mail::Domain;

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
            DomainRequest::Remove { domain } => {
                self.parts.directory.remove_domain(&domain).await?;
                tracing::info!("domain removed");
                Ok(Answer::Done)
            }
        }
    }

    fn domain_view(&self, domain: Domain) -> DomainView {
        let keys = self.parts.directory.dkim_keys(&domain);
        let hostname = self.parts.host.hostname();
        let record = |name: String, kind: &str, value: String, purpose: &str| DnsRecordView {
            name,
            kind: kind.to_owned(),
            value,
            purpose: purpose.to_owned(),
        };
        let mut records = vec![
            record(
                domain.to_string(),
                "MX",
                format!("10 {hostname}."),
                "mail comes to this server",
            ),
            record(
                domain.to_string(),
                "TXT",
                "v=spf1 mx -all".to_owned(),
                "only this server sends mail of the domain (SPF)",
            ),
            record(
                format!("_dmarc.{domain}"),
                "TXT",
                "v=DMARC1; p=quarantine".to_owned(),
                "forged mail of the domain is distrusted (DMARC)",
            ),
        ];
        records.extend(keys.into_iter().map(|key| {
            let name = key.record_name(&domain);
            record(name, "TXT", key.public_record, "the key that signs mail of the domain (DKIM)")
        }));
        DomainView { domain, records }
    }
}
