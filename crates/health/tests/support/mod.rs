//! A box that is well, to spoil.

use wardpost_health::facts::*;
use wardpost_mail::Domain;

/// 2 April 2030, noon, UTC.
pub(crate) const NOW: i64 = 1_901_361_600;
pub(crate) const DAY: i64 = 86_400;

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub(crate) fn values(values: &[&str]) -> Found {
    Found::Values(values.iter().map(|&value| value.to_owned()).collect())
}

/// A record that is as it should be.
pub(crate) fn record(kind: RecordKind, name: &str, type_name: &str, wanted: &str) -> RecordFacts {
    let found = match kind {
        RecordKind::MtaStsHost | RecordKind::Settings => {
            Found::Values(wanted.split(' ').map(str::to_owned).collect())
        }
        _ => values(&[wanted]),
    };
    RecordFacts {
        kind,
        domain: domain("clinic.test"),
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        wanted: wanted.to_owned(),
        phase: Phase::Now,
        found,
    }
}

/// All records of a domain, all there.
pub(crate) fn records() -> Vec<RecordFacts> {
    use RecordKind::*;
    [
        (Mx, "clinic.test", "MX", "10 mail.clinic.test."),
        (Spf, "clinic.test", "TXT", "v=spf1 mx -all"),
        (
            Dmarc,
            "_dmarc.clinic.test",
            "TXT",
            "v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@clinic.test",
        ),
        (TlsRpt, "_smtp._tls.clinic.test", "TXT", "v=TLSRPTv1; rua=mailto:tls-reports@clinic.test"),
        (Dkim, "wp1-e._domainkey.clinic.test", "TXT", "v=DKIM1; k=ed25519; p=AAAA"),
        (Dkim, "wp1-r._domainkey.clinic.test", "TXT", "v=DKIM1; k=rsa; p=BBBB"),
        (MtaSts, "_mta-sts.clinic.test", "TXT", "v=STSv1; id=abc;"),
        (MtaStsHost, "mta-sts.clinic.test", "CNAME", "203.0.113.7"),
        (Srv, "_imaps._tcp.clinic.test", "SRV", "0 1 993 mail.clinic.test."),
        (Srv, "_submissions._tcp.clinic.test", "SRV", "0 1 465 mail.clinic.test."),
        (Settings, "autoconfig.clinic.test", "CNAME", "203.0.113.7"),
        (Tlsa, "_25._tcp.mail.clinic.test", "TLSA", "3 1 1 ab"),
        (HostSpf, "mail.clinic.test", "TXT", "v=spf1 a -all"),
        (Caa, "mail.clinic.test", "CAA", "0 issue \"letsencrypt.org\""),
    ]
    .map(|(kind, name, type_name, wanted)| record(kind, name, type_name, wanted))
    .into()
}

/// A box that is well.
pub(crate) fn well() -> Facts {
    let us = "203.0.113.7".parse().unwrap();
    Facts {
        dns: Some(DnsFacts { answers: true, validation: DnsValidation::Validated }),
        host: Some(HostFacts {
            domain: domain("clinic.test"),
            public: vec![us],
            found: values(&["203.0.113.7"]),
            private: Vec::new(),
            reverse: vec![ReverseFacts { address: us, found: values(&["mail.clinic.test"]) }],
            signed: Some(true),
        }),
        records: records(),
        port_out: Some(PortOutFacts {
            smarthost: false,
            calls: vec![Call::Greeted(Tls::Offered), Call::Greeted(Tls::Offered)],
        }),
        port_in: Some(PortInFacts { last_visit: Some(NOW - 600), calls: Vec::new() }),
        certificate: Some(CertificateFacts {
            self_signed: false,
            not_before: NOW - 30 * DAY,
            not_after: NOW + 60 * DAY,
            names_host: true,
            missing: Vec::new(),
            authority: Some(AuthorityFacts::default()),
        }),
        clock: Some(ClockFacts { ahead: vec![0.1, -0.2], synchronized: true }),
        disk: Some(DiskFacts { total: 100 << 30, free: 80 << 30 }),
        opening: Some(Opening::Tpm),
        system_key: Some(KeyProtection::Tpm),
        queue: Some(QueueFacts { messages: 0, oldest: 0, late: 4 * 3600 }),
        backups: Some(BackupFacts { destination: false }),
        ..Facts::new(NOW, domain("mail.clinic.test"))
    }
}
