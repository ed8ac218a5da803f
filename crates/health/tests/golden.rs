//! Facts and the exact sentences that come of them: `golden.txt` beside this file, to be read by whoever
//! changes a sentence. `UPDATE_GOLDEN=1 cargo test -p wardpost-health` writes it anew.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::fmt::Write;
use support::{DAY, NOW, domain, record, values, well};
use wardpost_health::facts::*;
use wardpost_health::{Report, State, judge};

/// One way in which a box is not well.
type Spoil = fn(&mut Facts);

fn of(facts: &mut Facts, kind: RecordKind) -> &mut RecordFacts {
    facts.records.iter_mut().find(|record| record.kind == kind).unwrap()
}

fn find(facts: &mut Facts, kind: RecordKind, values: &[&str]) {
    of(facts, kind).found = support::values(values);
}

fn host(facts: &mut Facts) -> &mut HostFacts {
    facts.host.as_mut().unwrap()
}

fn calls(facts: &mut Facts, calls: &[Call]) {
    facts.port_out.as_mut().unwrap().calls = calls.to_vec();
}

fn certificate(facts: &mut Facts) -> &mut CertificateFacts {
    facts.certificate.as_mut().unwrap()
}

/// A call to ourselves, with nobody from outside seen.
fn own(facts: &mut Facts, own: bool, answer: OwnAnswer) {
    let address = "203.0.113.7".parse().unwrap();
    let calls = vec![OwnCall { address, own, answer }];
    facts.port_in = Some(PortInFacts { last_visit: None, calls });
}

#[rustfmt::skip]
const CASES: &[(&str, Spoil)] = &[
    ("no DNS server answers", |f| {
        f.dns = Some(DnsFacts { answers: false, validation: DnsValidation::Validated });
        f.records.iter_mut().for_each(|record| record.found = Found::NoAnswer);
        host(f).found = Found::NoAnswer;
        host(f).reverse[0].found = Found::NoAnswer;
    }),
    ("DNS servers strip signatures", |f| f.dns = Some(DnsFacts { answers: true, validation: DnsValidation::Stripped })),
    ("nobody asked the DNS yet", |f| f.dns = Some(DnsFacts { answers: true, validation: DnsValidation::Undecided })),
    ("one question is not answered", |f| of(f, RecordKind::Dmarc).found = Found::NoAnswer),
    ("a zone's signatures are wrong", |f| {
        host(f).found = Found::Bogus;
        of(f, RecordKind::Mx).found = Found::Bogus;
    }),
    ("the name leads nowhere", |f| host(f).found = Found::NoSuchName),
    ("the name leads elsewhere", |f| host(f).found = values(&["198.51.100.9"])),
    ("the name leads to a private address", |f| {
        host(f).found = values(&["192.168.1.10"]);
        host(f).private = vec!["192.168.1.10".parse().unwrap()];
    }),
    ("an IPv6 address is missing", |f| host(f).public.push("2001:db8::7".parse().unwrap())),
    ("the public address is not known", |f| {
        host(f).public.clear();
        own(f, false, OwnAnswer::Nobody);
    }),
    ("the public address is not known, and answers", |f| {
        host(f).public.clear();
        own(f, false, OwnAnswer::We);
    }),
    ("nothing is known of the address", |f| {
        host(f).public.clear();
        host(f).found = Found::NoSuchName;
        host(f).reverse.clear();
        f.port_in = Some(PortInFacts { last_visit: None, calls: Vec::new() });
    }),
    ("no reverse name", |f| host(f).reverse[0].found = Found::NoSuchName),
    ("another reverse name", |f| host(f).reverse[0].found = values(&["dialup-7.provider.test."])),
    ("the reverse name does not lead back", |f| host(f).found = values(&["203.0.113.7", "203.0.113.8"])),
    ("no such domain", |f| of(f, RecordKind::Mx).found = Found::NoSuchName),
    ("no MX", |f| find(f, RecordKind::Mx, &[])),
    ("MX of the old provider", |f| find(f, RecordKind::Mx, &["10 mx1.old.test.", "20 mx2.old.test."])),
    ("MX of the old provider besides", |f| find(f, RecordKind::Mx, &["10 MAIL.clinic.test.", "20 mx2.old.test."])),
    ("MX of the old provider first", |f| find(f, RecordKind::Mx, &["10 mail.clinic.test.", "5 mx2.old.test."])),
    ("null MX", |f| find(f, RecordKind::Mx, &["0 ."])),
    ("MX with another preference", |f| find(f, RecordKind::Mx, &["0 mail.clinic.test"])),
    ("port 25 is blocked", |f| calls(f, &[Call::Silence, Call::Refused, Call::NotFound])),
    ("a proxy answers", |f| calls(f, &[Call::Odd, Call::Silence])),
    ("all turn us away", |f| calls(f, &[Call::TurnedAway, Call::TurnedAway])),
    ("one turns us away", |f| calls(f, &[Call::TurnedAway, Call::Greeted(Tls::Offered)])),
    ("one is silent", |f| calls(f, &[Call::Silence, Call::Greeted(Tls::Offered)])),
    ("nobody is found to call", |f| calls(f, &[Call::NotFound])),
    ("nobody is to be called", |f| calls(f, &[])),
    ("by a smarthost", |f| f.port_out = Some(PortOutFacts { smarthost: true, calls: Vec::new() })),
    ("STARTTLS is written over", |f| calls(f, &[Call::Greeted(Tls::Overwritten), Call::Greeted(Tls::Offered)])),
    ("STARTTLS is taken away", |f| calls(f, &[Call::Greeted(Tls::Missing), Call::Greeted(Tls::Missing)])),
    ("one without STARTTLS is all there is", |f| calls(f, &[Call::Greeted(Tls::Missing), Call::Silence])),
    ("one without STARTTLS among others", |f| calls(f, &[Call::Greeted(Tls::Missing), Call::Greeted(Tls::Offered)])),
    ("the last visit is long ago", |f| {
        own(f, true, OwnAnswer::We);
        f.port_in.as_mut().unwrap().last_visit = Some(NOW - 2 * DAY);
    }),
    ("nobody came yet, and the router does not lead back in", |f| own(f, false, OwnAnswer::Nobody)),
    ("somebody else answers at our address", |f| own(f, false, OwnAnswer::SomebodyElse)),
    ("we do not answer at our own address", |f| own(f, true, OwnAnswer::Nobody)),
    ("self-signed, and an authority is asked", |f| certificate(f).self_signed = true),
    ("self-signed, and the authority cannot reach us", |f| {
        certificate(f).self_signed = true;
        certificate(f).authority = Some(AuthorityFacts {
            failure: Some("the authority could not connect to port 80 of mail.clinic.test".to_owned()),
            to_do: "On the router, lead TCP port 80 to this server.".to_owned(),
            next_try: Some(NOW + 3600),
            left_out: Vec::new(),
        });
    }),
    ("the authority says something that nobody has words for", |f| {
        certificate(f).authority = Some(AuthorityFacts {
            failure: Some("urn:ietf:params:acme:error:weird: write to help@authority.test".to_owned()),
            ..AuthorityFacts::default()
        });
    }),
    ("self-signed, and nobody is asked", |f| {
        certificate(f).self_signed = true;
        certificate(f).authority = None;
    }),
    ("expired", |f| certificate(f).not_after = NOW - DAY),
    ("from the future", |f| certificate(f).not_before = NOW + DAY),
    ("ends in two days", |f| {
        certificate(f).not_after = NOW + 2 * DAY;
        certificate(f).authority = None;
    }),
    ("ends in two weeks", |f| {
        certificate(f).not_after = NOW + 14 * DAY;
        certificate(f).authority = None;
    }),
    ("a certificate for six days, renewed in time", |f| {
        certificate(f).not_before = NOW - 4 * DAY;
        certificate(f).not_after = NOW + 2 * DAY;
    }),
    ("for another host", |f| certificate(f).names_host = false),
    ("names are missing", |f| certificate(f).missing = vec!["mta-sts.clinic.test".to_owned(), "autoconfig.clinic.test".to_owned()]),
    ("the authority did not take a name", |f| {
        certificate(f).missing = vec!["mta-sts.clinic.test".to_owned()];
        certificate(f).authority.as_mut().unwrap().left_out = vec![LeftOutFacts {
            name: "mta-sts.clinic.test".to_owned(),
            says: "a CAA record of mta-sts.clinic.test does not allow it".to_owned(),
            to_do: "Take the CAA record out.".to_owned(),
        }];
    }),
    ("names are missing in files", |f| {
        certificate(f).missing = vec!["mta-sts.clinic.test".to_owned()];
        certificate(f).authority = None;
    }),
    ("no SPF", |f| find(f, RecordKind::Spf, &["google-site-verification=xyz"])),
    ("SPF of somebody else", |f| find(f, RecordKind::Spf, &["v=spf1 ip4:198.51.100.0/24 -all"])),
    ("SPF with our address", |f| find(f, RecordKind::Spf, &["v=spf1 ip4:203.0.113.0/28 include:news.test ~all"])),
    ("SPF that hands on", |f| find(f, RecordKind::Spf, &["v=spf1 include:_spf.big.test ~all"])),
    ("SPF for everybody", |f| find(f, RecordKind::Spf, &["v=spf1 mx +all"])),
    ("SPF that forbids us", |f| find(f, RecordKind::Spf, &["v=spf1 -mx ~all"])),
    ("two SPF", |f| find(f, RecordKind::Spf, &["v=spf1 mx -all", "v=spf1 -all"])),
    ("no SPF for the host", |f| find(f, RecordKind::HostSpf, &[])),
    ("no DKIM", |f| f.records.iter_mut().filter(|r| r.kind == RecordKind::Dkim).for_each(|r| r.found = Found::NoSuchName)),
    ("another DKIM key", |f| find(f, RecordKind::Dkim, &["v=DKIM1; k=ed25519; p=CCCC"])),
    ("a DKIM key with spaces in it", |f| find(f, RecordKind::Dkim, &["v=DKIM1;k=ed25519;p=AA AA"])),
    ("the next DKIM key is not seen yet", |f| {
        let next = record(RecordKind::Dkim, "wp2-e._domainkey.clinic.test", "TXT", "v=DKIM1; p=DDDD");
        f.records.push(RecordFacts { phase: Phase::Coming, found: Found::NoSuchName, ..next });
    }),
    ("the last DKIM key is gone too early", |f| {
        let last = record(RecordKind::Dkim, "wp0-e._domainkey.clinic.test", "TXT", "v=DKIM1; p=EEEE");
        f.records.push(RecordFacts { phase: Phase::Leaving, found: Found::NoSuchName, ..last });
    }),
    ("no DMARC", |f| of(f, RecordKind::Dmarc).found = Found::NoSuchName),
    ("DMARC that only watches", |f| find(f, RecordKind::Dmarc, &["v=DMARC1; p=none"])),
    ("DMARC of somebody else's", |f| find(f, RecordKind::Dmarc, &["v=DMARC1; p=reject; rua=mailto:joe@home.test"])),
    ("DMARC that says nothing", |f| find(f, RecordKind::Dmarc, &["v=DMARC1"])),
    ("two DMARC", |f| find(f, RecordKind::Dmarc, &["v=DMARC1; p=none", "v=DMARC1; p=reject"])),
    ("no MTA-STS", |f| of(f, RecordKind::MtaSts).found = Found::NoSuchName),
    ("an old MTA-STS id", |f| find(f, RecordKind::MtaSts, &["v=STSv1; id=old"])),
    ("two MTA-STS", |f| find(f, RecordKind::MtaSts, &["v=STSv1; id=abc", "v=STSv1; id=old"])),
    ("the policy host leads nowhere", |f| of(f, RecordKind::MtaStsHost).found = Found::NoSuchName),
    ("the policy host is somebody else", |f| find(f, RecordKind::MtaStsHost, &["198.51.100.9"])),
    ("no TLS-RPT", |f| of(f, RecordKind::TlsRpt).found = Found::NoSuchName),
    ("TLS-RPT to somebody else", |f| find(f, RecordKind::TlsRpt, &["v=TLSRPTv1; rua=mailto:joe@home.test"])),
    ("no TLSA in a signed zone", |f| of(f, RecordKind::Tlsa).found = Found::NoSuchName),
    ("no TLSA in a zone without signatures", |f| {
        of(f, RecordKind::Tlsa).found = Found::NoSuchName;
        host(f).signed = Some(false);
    }),
    ("TLSA of another key", |f| find(f, RecordKind::Tlsa, &["3 1 1 cd"])),
    ("TLSA of another key in a zone without signatures", |f| {
        find(f, RecordKind::Tlsa, &["3 1 1 cd"]);
        host(f).signed = Some(false);
    }),
    ("the next TLSA is not seen yet", |f| {
        let next = record(RecordKind::Tlsa, "_25._tcp.mail.clinic.test", "TLSA", "3 1 1 ef");
        f.records.push(RecordFacts { phase: Phase::Coming, found: values(&["3 1 1 AB"]), ..next });
    }),
    ("TLSA in a zone without signatures", |f| host(f).signed = Some(false)),
    ("mail programs find nothing", |f| f.records.iter_mut().filter(|r| matches!(r.kind, RecordKind::Srv | RecordKind::Settings)).for_each(|r| r.found = Found::NoSuchName)),
    ("mail programs find the old provider", |f| find(f, RecordKind::Srv, &["0 1 993 imap.old.test."])),
    ("SRV with another weight", |f| find(f, RecordKind::Srv, &["5 0 993 Mail.Clinic.test"])),
    ("no CAA", |f| find(f, RecordKind::Caa, &[])),
    ("CAA of another authority", |f| find(f, RecordKind::Caa, &["0 issue \"other.test; account=7\"", "0 iodef \"mailto:joe@home.test\""])),
    ("CAA that allows nobody", |f| find(f, RecordKind::Caa, &["0 issue \";\""])),
    ("CAA of several authorities", |f| find(f, RecordKind::Caa, &["0 issue \"other.test\"", "0 issue \"letsencrypt.org\""])),
    ("the clock is fast", |f| f.clock = Some(ClockFacts { ahead: vec![19.6, 20.2, -900.0], synchronized: true })),
    ("the clock is an hour slow", |f| f.clock = Some(ClockFacts { ahead: vec![-3600.0], synchronized: true })),
    ("no time server answers", |f| f.clock = Some(ClockFacts { ahead: Vec::new(), synchronized: false })),
    ("no time server answers, but the system knows", |f| f.clock = Some(ClockFacts { ahead: vec![f64::NAN], synchronized: true })),
    ("the disk is four fifths full", |f| f.disk = Some(DiskFacts { total: 100 << 30, free: 19 << 30 })),
    ("the disk is nearly full", |f| f.disk = Some(DiskFacts { total: 100 << 30, free: 4 << 30 })),
    ("a small disk", |f| f.disk = Some(DiskFacts { total: 2 << 30, free: 1000 << 20 })),
    ("a disk of no size", |f| f.disk = Some(DiskFacts { total: 0, free: 0 })),
    ("a passphrase opens the disk", |f| f.opening = Some(Opening::Passphrase)),
    ("the disk is not encrypted", |f| f.opening = Some(Opening::Unencrypted)),
    ("a plain Debian", |f| f.opening = Some(Opening::NotKnown)),
    ("the key is sealed by the host, on the encrypted disk", |f| f.system_key = Some(KeyProtection::Host)),
    ("the key is sealed by the host, and nobody knows the disk", |f| {
        (f.system_key, f.opening) = (Some(KeyProtection::Host), Some(Opening::NotKnown));
    }),
    ("the key is sealed by systemd", |f| f.system_key = Some(KeyProtection::Systemd)),
    ("the key is a file", |f| f.system_key = Some(KeyProtection::File)),
    ("mail waits", |f| f.queue = Some(QueueFacts { messages: 1, oldest: 90, late: 4 * 3600 })),
    ("mail is late", |f| f.queue = Some(QueueFacts { messages: 12, oldest: 5 * 3600, late: 4 * 3600 })),
    ("mail waits for days", |f| f.queue = Some(QueueFacts { messages: 3, oldest: 3 * 86_400, late: 4 * 3600 })),
    ("a place for backups is known", |f| f.backups = Some(BackupFacts { destination: true })),
    ("the daemon does not run", |f| *f = Facts { daemon: Some(false), ..Facts::new(NOW, domain("mail.clinic.test")) }),
    ("a boot that went well", |f| *f = Facts { daemon: Some(true), store: Some(Ok(())), ports: Some(Vec::new()), units: Some(Ok(Vec::new())), ..Facts::new(NOW, domain("mail.clinic.test")) }),
    ("a boot that did not", |f| *f = Facts {
        daemon: Some(true),
        store: Some(Err("No space left on device (os error 28)".to_owned())),
        ports: Some(vec!["imaps".to_owned(), "mx".to_owned()]),
        units: Some(Ok(vec!["wardpost-firewall.service".to_owned()])),
        ..Facts::new(NOW, domain("mail.clinic.test"))
    }),
    ("a boot of which systemd says nothing", |f| *f = Facts {
        daemon: Some(true),
        units: Some(Err("systemctl did not start: Permission denied (os error 13)".to_owned())),
        ..Facts::new(NOW, domain("mail.clinic.test"))
    }),
];

fn lines(report: &Report, but: &Report) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().filter(|finding| !but.findings.contains(finding)) {
        writeln!(text, "{} {}: {}", finding.state.name(), finding.check, finding.says).unwrap();
        if !finding.to_do.is_empty() {
            writeln!(text, "    {}", finding.to_do).unwrap();
        }
    }
    text
}

#[test]
fn facts_and_their_sentences() {
    let normal = judge(&well());
    let mut text = format!("# a box that is well\n{}", lines(&normal, &Report::default()));
    for (name, spoil) in CASES {
        let mut facts = well();
        spoil(&mut facts);
        write!(text, "\n# {name}\n{}", lines(&judge(&facts), &normal)).unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap();
    for (is, should) in text.split("\n\n").zip(golden.split("\n\n")) {
        assert_eq!(is, should);
    }
    assert_eq!(text, golden);
}

#[test]
fn a_box_that_is_well_has_nothing_but_backups_to_complain_about() {
    let report = judge(&well());
    let wrong = report.findings.iter().filter(|finding| finding.state != State::Good);
    assert_eq!(wrong.map(|finding| &*finding.check).collect::<Vec<_>>(), ["backups"]);
    assert_eq!(report.worst(), State::Warning);
}

#[test]
fn of_several_domains_each_has_its_finding_and_the_worst_counts() {
    let mut facts = well();
    let mut other: Vec<RecordFacts> = support::records();
    other.retain(|record| record.kind == RecordKind::Mx);
    other[0].domain = domain("branch.test");
    other[0].found = Found::NoSuchName;
    facts.records.extend(other);
    let report = judge(&facts);
    let of_mx = report.findings.iter().filter(|finding| finding.check == "dns-mx");
    let of_mx: Vec<_> = of_mx.map(|finding| (&*finding.about, finding.state)).collect();
    assert_eq!(of_mx, [("branch.test", State::Bad), ("clinic.test", State::Good)]);
    assert_eq!(report.state_of(wardpost_health::Check::DnsMx), State::Bad);
}
