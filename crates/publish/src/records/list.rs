//! The list itself.

use super::{DkimKeyFacts, DkimKeyStage, Facts, Record, RecordId, RecordPhase, home_of_host};
use crate::{OwnPolicy, PlannedKey, Stage};
use std::net::IpAddr;
use wardpost_mail::{DMARC_REPORTS, Domain, TLS_REPORTS};
use wardpost_verdict::StsMode;

/// All records to publish for a domain of ours; `dkim` are its own keys.
pub fn records(facts: &Facts, domain: &Domain, dkim: &[DkimKeyFacts]) -> Vec<Record> {
    let mut records = mail_records(facts, domain);
    records.extend(dkim.iter().map(dkim_record));
    records.extend(sts_records(facts, domain));
    records.extend(service_records(facts, domain));
    records.extend(client_records(facts, domain));
    if home_of_host(&facts.hostname, &facts.domains) == Some(domain) {
        records.extend(host_records(facts));
    }
    records
}

/// MX (RFC 5321 §5.1), SPF (RFC 7208), DMARC (RFC 9989) and TLS-RPT (RFC 8460 §3).
fn mail_records(facts: &Facts, domain: &Domain) -> Vec<Record> {
    vec![
        record(
            RecordId::Mx,
            domain,
            "MX",
            format!("10 {}.", facts.hostname),
            "mail comes to this server",
        ),
        record(
            RecordId::Spf,
            domain,
            "TXT",
            "v=spf1 mx -all".to_owned(),
            "only this server sends mail of the domain (SPF)",
        ),
        record(
            RecordId::Dmarc,
            &format!("_dmarc.{domain}"),
            "TXT",
            format!("v=DMARC1; p=quarantine; rua=mailto:{DMARC_REPORTS}@{domain}"),
            "forged mail of the domain is distrusted, and others report who tries (DMARC)",
        ),
        record(
            RecordId::TlsRpt,
            &format!("_smtp._tls.{domain}"),
            "TXT",
            format!("v=TLSRPTv1; rua=mailto:{TLS_REPORTS}@{domain}"),
            "other servers report when they cannot reach us over good TLS (TLS-RPT)",
        ),
    ]
}

/// The record of a DKIM key.
pub fn dkim_record(key: &DkimKeyFacts) -> Record {
    let purpose = match key.stage {
        DkimKeyStage::Waiting => {
            "the key that will sign mail of the domain once this record is seen (DKIM)"
        }
        DkimKeyStage::Signing => "the key that signs mail of the domain (DKIM)",
        DkimKeyStage::Leaving => {
            "the key that signed mail still under way: leave it for now (DKIM)"
        }
        DkimKeyStage::Revoked => {
            "a revoked key: publish it empty like this, or remove the record (DKIM)"
        }
    };
    // RFC 6376 §3.6.1: an empty key is a revoked one.
    let value = match key.stage {
        DkimKeyStage::Revoked => "v=DKIM1; p=".to_owned(),
        _ => key.record.clone(),
    };
    let phase = match key.stage {
        DkimKeyStage::Waiting => RecordPhase::Coming,
        DkimKeyStage::Signing => RecordPhase::Now,
        DkimKeyStage::Leaving => RecordPhase::Leaving,
        DkimKeyStage::Revoked => RecordPhase::Over,
    };
    Record { phase, ..record(RecordId::Dkim, &key.name, "TXT", value, purpose) }
}

/// The policy's announcement and the host it is fetched from (RFC 8461 §3.1, §3.3).
fn sts_records(facts: &Facts, domain: &Domain) -> Vec<Record> {
    let Some(policy) = &facts.policy else { return Vec::new() };
    let hostname = &facts.hostname;
    let purpose = match policy.mode {
        StsMode::Enforce => "other servers must reach us over verified TLS (MTA-STS)",
        StsMode::Testing => {
            "other servers tell when they cannot reach us over verified TLS (MTA-STS)"
        }
        StsMode::None => "other servers learn that our MTA-STS policy holds no longer",
    };
    let name = format!("_mta-sts.{domain}");
    let mut records = vec![record(RecordId::MtaSts, &name, "TXT", policy.record(), purpose)];
    if let Some(host) = OwnPolicy::policy_host(domain).filter(|host| host != hostname) {
        let purpose = "the MTA-STS policy is fetched from this server";
        let value = format!("{hostname}.");
        records.push(record(RecordId::MtaStsHost, &host, "CNAME", value, purpose));
    }
    records
}

/// Where mail programs find their servers (RFC 6186 §3, RFC 8314 §5.1).
fn service_records(facts: &Facts, domain: &Domain) -> Vec<Record> {
    let (hostname, services) = (&facts.hostname, &facts.services);
    let (read, send) = ("where to read mail", "where to send mail");
    [
        (RecordId::SrvImaps, "imaps", services.imaps, read),
        (RecordId::SrvSubmissions, "submissions", services.submissions, send),
        (RecordId::SrvSubmission, "submission", services.submission, send),
        (RecordId::SrvAutodiscover, "autodiscover", services.https, "their settings (Outlook)"),
    ]
    .into_iter()
    .filter_map(|(id, service, port, what)| {
        let value = format!("0 1 {} {hostname}.", port?);
        let name = format!("_{service}._tcp.{domain}");
        Some(record(id, &name, "SRV", value, &format!("mail programs find {what}")))
    })
    .collect()
}

/// The hosts that mail programs fetch their settings from.
fn client_records(facts: &Facts, domain: &Domain) -> Vec<Record> {
    let hostname = &facts.hostname;
    if facts.services.https.is_none() {
        return Vec::new();
    }
    [
        (RecordId::Autoconfig, "autoconfig", "mail programs set themselves up (Thunderbird)"),
        (RecordId::Autodiscover, "autodiscover", "mail programs set themselves up (Outlook)"),
    ]
    .into_iter()
    .filter_map(|(id, label, purpose)| {
        // A name that would be too long cannot be there.
        let name = Domain::parse(&format!("{label}.{domain}")).ok()?;
        (name != *hostname).then(|| record(id, &name, "CNAME", format!("{hostname}."), purpose))
    })
    .collect()
}

/// What belongs to the host: its addresses, the keys of its certificate (RFC 7672), who may issue it, and
/// its own name in SPF, for reports, which have no sender (RFC 7208 §2.3).
///
/// The CAA record stands at the host and not at the domain, so that whoever runs the practice's web site
/// is free in their choice. It holds for our other names too: they are aliases of the host's, and an
/// authority follows aliases (RFC 8659 §3).
fn host_records(facts: &Facts) -> Vec<Record> {
    let hostname = &facts.hostname;
    let mut records = address_records(facts);
    records.extend(facts.keys.iter().map(|key| tlsa_record(hostname, key)));
    if !facts.domains.contains(hostname) {
        let purpose = "this server may introduce itself under its own name (SPF)";
        let value = "v=spf1 a -all".to_owned();
        records.push(record(RecordId::HostSpf, hostname, "TXT", value, purpose));
    }
    records.extend(facts.authorities.iter().map(|authority| {
        let purpose = "nobody else may issue certificates for this server";
        record(RecordId::Caa, hostname, "CAA", format!("0 issue \"{authority}\""), purpose)
    }));
    records
}

fn address_records(facts: &Facts) -> Vec<Record> {
    let purpose = "where this server is";
    let one = |kind: &str, value: String| {
        record(RecordId::Address, &facts.hostname, kind, value, purpose)
    };
    if facts.addresses.is_empty() {
        return vec![one("A", "<the public address of this server>".to_owned())];
    }
    let addresses = facts.addresses.iter();
    let kind = |address: &IpAddr| if address.is_ipv4() { "A" } else { "AAAA" };
    addresses.map(|address| one(kind(address), address.to_string())).collect()
}

/// The record of one of our host's keys.
pub fn tlsa_record(hostname: &Domain, key: &PlannedKey) -> Record {
    let purpose = match key.stage {
        Stage::Current { .. } => "the key that this server has: nobody can pose as it (DANE)",
        Stage::Next { .. } => "the key that this server will have next (DANE)",
        Stage::Old { .. } => "the key that this server had: leave it for some days (DANE)",
    };
    let name = format!("_25._tcp.{hostname}");
    let phase = match key.stage {
        Stage::Current { .. } => RecordPhase::Now,
        Stage::Next { .. } => RecordPhase::Coming,
        Stage::Old { .. } => RecordPhase::Leaving,
    };
    Record { phase, ..record(RecordId::Tlsa, &name, "TLSA", key.tlsa.to_string(), purpose) }
}

fn record(
    id: RecordId,
    name: &(impl ToString + ?Sized),
    kind: &str,
    value: String,
    purpose: &str,
) -> Record {
    Record {
        id,
        name: name.to_string(),
        kind: kind.to_owned(),
        value,
        purpose: purpose.to_owned(),
        phase: RecordPhase::Now,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::super::Services;
    use super::*;
    use std::time::Duration;
    use wardpost_verdict::Tlsa;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn facts() -> Facts {
        let hostname = domain("mail.clinic.test");
        let max_age = Duration::from_secs(86_400);
        let host = hostname.clone();
        Facts {
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            domains: vec![domain("clinic.test"), domain("branch.test")],
            services: Services {
                imaps: Some(993),
                submissions: Some(465),
                submission: Some(587),
                https: Some(443),
            },
            policy: Some(OwnPolicy { mode: StsMode::Enforce, max_age, host }),
            keys: vec![PlannedKey {
                tlsa: Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xab] },
                stage: Stage::Current { announced: true, seen: true },
                since: 0,
            }],
            authorities: vec!["letsencrypt.org".to_owned()],
            hostname,
        }
    }

    fn id_text(id: RecordId) -> String {
        serde_json::to_value(id).unwrap().as_str().unwrap().to_owned()
    }

    fn lines(facts: &Facts, of: &str) -> Vec<String> {
        let dkim = [DkimKeyFacts {
            name: format!("wp1-e._domainkey.{of}"),
            record: "v=DKIM1; k=ed25519; p=AA".to_owned(),
            stage: DkimKeyStage::Signing,
        }];
        let line = |it: Record| format!("{}: {} {} {}", id_text(it.id), it.name, it.kind, it.value);
        records(facts, &domain(of), &dkim).into_iter().map(line).collect()
    }

    #[test]
    fn the_whole_list() {
        let policy = facts().policy.unwrap().record();
        let clinic = lines(&facts(), "clinic.test");
        assert_eq!(
            clinic,
            [
                "mx: clinic.test MX 10 mail.clinic.test.",
                "spf: clinic.test TXT v=spf1 mx -all",
                "dmarc: _dmarc.clinic.test TXT v=DMARC1; p=quarantine; \
                 rua=mailto:dmarc-reports@clinic.test",
                "tls-rpt: _smtp._tls.clinic.test TXT v=TLSRPTv1; rua=mailto:tls-reports@clinic.test",
                "dkim: wp1-e._domainkey.clinic.test TXT v=DKIM1; k=ed25519; p=AA",
                &format!("mta-sts: _mta-sts.clinic.test TXT {policy}"),
                "mta-sts-host: mta-sts.clinic.test CNAME mail.clinic.test.",
                "srv-imaps: _imaps._tcp.clinic.test SRV 0 1 993 mail.clinic.test.",
                "srv-submissions: _submissions._tcp.clinic.test SRV 0 1 465 mail.clinic.test.",
                "srv-submission: _submission._tcp.clinic.test SRV 0 1 587 mail.clinic.test.",
                "srv-autodiscover: _autodiscover._tcp.clinic.test SRV 0 1 443 mail.clinic.test.",
                "autoconfig: autoconfig.clinic.test CNAME mail.clinic.test.",
                "autodiscover: autodiscover.clinic.test CNAME mail.clinic.test.",
                "address: mail.clinic.test A 192.0.2.1",
                "address: mail.clinic.test AAAA 2001:db8::1",
                "tlsa: _25._tcp.mail.clinic.test TLSA 3 1 1 ab",
                "host-spf: mail.clinic.test TXT v=spf1 a -all",
                "caa: mail.clinic.test CAA 0 issue \"letsencrypt.org\"",
            ]
        );
        // Another domain needs all but what belongs to the host.
        let branch = lines(&facts(), "branch.test");
        let of_branch: Vec<String> =
            clinic[..13].iter().map(|l| l.replace("clinic.test", "branch.test")).collect();
        let of_branch = of_branch.iter().map(|l| l.replace("mail.branch", "mail.clinic"));
        assert_eq!(branch, of_branch.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_off_or_unknown_is_not_made_up() {
        let facts = Facts {
            addresses: Vec::new(),
            services: Services::default(),
            policy: None,
            keys: Vec::new(),
            authorities: Vec::new(),
            ..facts()
        };
        let all = records(&facts, &domain("clinic.test"), &[]);
        let ids: Vec<_> = all.iter().map(|record| id_text(record.id)).collect();
        assert_eq!(ids, ["mx", "spf", "dmarc", "tls-rpt", "address", "host-spf"]);
        let unknown: Vec<&Record> = all.iter().filter(|record| !record.is_known()).collect();
        assert_eq!(unknown.len(), 1);
        assert_eq!(unknown[0].value, "<the public address of this server>");
    }

    #[test]
    fn a_host_that_is_one_of_the_special_names_gets_no_alias_to_itself() {
        for label in ["mta-sts", "autoconfig", "autodiscover"] {
            let host = domain(&format!("{label}.clinic.test"));
            let facts = Facts { hostname: host.clone(), ..facts() };
            let all = records(&facts, &domain("clinic.test"), &[]);
            assert!(!all.iter().any(|it| it.kind == "CNAME" && it.name == host.as_str()));
        }
    }
}
