//! Counting, making and sending.

use super::*;
use crate::tally::MAX_ROWS;
use mail_parser::{MessageParser, MimeHeaders};

const DAY: u64 = 86_400;

fn only_report(world: &World) -> TlsReport {
    let mails = world.taker.mails.lock();
    let [letter] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    attached(&letter.message)
}

fn attached(message: &[u8]) -> TlsReport {
    let mail = MessageParser::new().parse(message).unwrap();
    TlsReport::parse(&gunzip(mail.attachment(0).unwrap().contents())).unwrap()
}

#[tokio::test]
async fn a_day_becomes_a_mail_as_rfc_8460_5_3_wants_it() {
    let world = World::new();
    world.txt("_smtp._tls.lab.test", "v=TLSRPTv1; rua=mailto:tls@lab.test");
    let reports = world.open();
    let (lab, mx) = (domain("lab.test"), domain("mx.lab.test"));
    let expired = failure(FailureKind::CertificateExpired, PolicyType::NoPolicyFound);
    for failures in [vec![], vec![], vec![&expired]] {
        reports.record_tls(&TlsResult {
            domain: &lab,
            policy: PolicyFound::none(),
            host: Some(&mx),
            receiving: Some([192, 0, 2, 7].into()),
            sending: Some([192, 0, 2, 1].into()),
            failures,
        });
    }
    world.tick(&reports).await;
    assert!(world.taker.mails.lock().is_empty(), "the day is not over");
    world.pass(DAY / 2 + 4 * 3600);
    world.tick(&reports).await;
    world.tick(&reports).await;

    let report = only_report(&world);
    assert_eq!(report.organization_name, "Clinic");
    assert_eq!(report.contact_info, "postmaster@clinic.test");
    let text = String::from_utf8(report.to_json()).unwrap();
    assert!(!text.contains("null"), "{text}");
    let [policy] = report.policies.as_slice() else { panic!("{report:?}") };
    assert_eq!(policy.policy.policy_type, "no-policy-found");
    assert_eq!(policy.policy.policy_domain, "lab.test");
    assert_eq!(policy.summary.total_successful_session_count, 2);
    assert_eq!(policy.summary.total_failure_session_count, 1);
    let [detail] = policy.failure_details.as_slice() else { panic!("{policy:?}") };
    assert_eq!(detail.result_type, "certificate-expired");
    assert_eq!(detail.receiving_mx_hostname.as_deref(), Some("mx.lab.test"));
    assert_eq!(detail.failed_session_count, 1);

    let mails = world.taker.mails.lock();
    assert_eq!(mails[0].to, Address::parse("tls@lab.test").unwrap());
    assert_eq!(mails[0].submitter, domain("clinic.test"));
    let raw = String::from_utf8(mails[0].message.clone()).unwrap();
    assert!(raw.contains("\r\nTLS-Report-Domain: lab.test\r\n"), "{raw}");
    assert!(raw.contains("\r\nTLS-Report-Submitter: clinic.test\r\n"), "{raw}");
    let mail = MessageParser::new().parse(&mails[0].message).unwrap();
    let id = &report.report_id;
    let subject = format!("Report Domain: lab.test Submitter: clinic.test Report-ID: <{id}>");
    assert_eq!(mail.subject(), Some(subject.as_str()));
    let kind = mail.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("tlsrpt"));
    let part = mail.attachment(0).unwrap();
    assert_eq!(part.content_type().unwrap().subtype(), Some("tlsrpt+gzip"));
    let start = NOON / DAY * DAY;
    let name = format!("clinic.test!lab.test!{start}!{}.json.gz", start + DAY - 1);
    assert_eq!(part.attachment_name(), Some(name.as_str()));
}

#[tokio::test]
async fn reports_are_spread_over_four_hours() {
    let world = World::new();
    let reports = world.open();
    for n in 0..60 {
        world.txt(&format!("_smtp._tls.d{n}.test"), "v=TLSRPTv1;rua=mailto:t@lab.test");
        went_well(&reports, &format!("d{n}.test"));
    }
    world.pass(DAY / 2);
    let mut sent = Vec::new();
    for _ in 0..4 {
        world.tick(&reports).await;
        sent.push(world.taker.mails.lock().len());
        world.pass(3600);
    }
    world.tick(&reports).await;
    assert_eq!(world.taker.mails.lock().len(), 60);
    assert!(sent[0] < 10 && sent.windows(2).all(|two| two[0] < two[1]), "{sent:?}");
}

#[tokio::test]
async fn who_publishes_no_record_gets_no_report_and_leaves_nothing() {
    let world = World::new();
    let reports = world.open();
    went_well(&reports, "silent.test");
    reports.flush().await.unwrap();
    assert_eq!(world.send_now(&reports).await, SentNow { domains: 1, made: 0, waiting: 0 });
    let left = world.store.scan(Column::Report, b"t", None, 10).unwrap();
    assert!(left.is_empty());
    assert!(world.open().0.tally.lock().tls.is_empty());
}

#[tokio::test]
async fn counts_survive_a_restart_and_go_on() {
    let world = World::new();
    world.txt("_smtp._tls.lab.test", "v=TLSRPTv1; rua=mailto:tls@lab.test");
    let first = world.open();
    went_well(&first, "lab.test");
    first.flush().await.unwrap();
    went_well(&first, "lab.test");
    // The second was not written down when the program was killed.
    drop(first);
    let second = world.open();
    went_well(&second, "lab.test");
    world.send_now(&second).await;
    let report = only_report(&world);
    assert_eq!(report.policies[0].summary.total_successful_session_count, 2);
}

#[tokio::test]
async fn a_mail_is_sent_once_whatever_crashes() {
    let world = World::new();
    world.txt("_smtp._tls.lab.test", "v=TLSRPTv1; rua=mailto:tls@lab.test");
    let first = world.open();
    went_well(&first, "lab.test");
    *world.taker.refuses.lock() = true;
    assert_eq!(world.send_now(&first).await, SentNow { domains: 1, made: 1, waiting: 1 });
    // Killed after the report was made: the next start finds and sends it, and the start after that,
    // and whoever has an old copy of what waits, find nothing.
    drop(first);
    let stale = world.open();
    *world.taker.refuses.lock() = false;
    let second = world.open();
    world.pass(600);
    world.tick(&second).await;
    world.tick(&second).await;
    world.tick(&world.open()).await;
    world.tick(&stale).await;
    assert_eq!(world.taker.mails.lock().len(), 1);
    assert!(world.store.scan(Column::Report, b"o", None, 1).unwrap().is_empty());
}

#[tokio::test]
async fn failures_are_tried_for_a_day_with_growing_waits() {
    let world = World::new();
    world.txt("_smtp._tls.lab.test", "v=TLSRPTv1; rua=https://lab.test/tls");
    let reports = world.open();
    went_well(&reports, "lab.test");
    *world.taker.refuses.lock() = true;
    world.send_now(&reports).await;
    for _ in 0..200 {
        world.pass(600);
        world.tick(&reports).await;
    }
    let failed = reports.metrics().failed.with_label_values(&["tls"]).get();
    assert_eq!(failed, 1);
    assert!(world.store.scan(Column::Report, b"o", None, 1).unwrap().is_empty());
}

#[tokio::test]
async fn https_gets_the_compressed_report_and_every_destination_its_own() {
    let world = World::new();
    let record = "v=TLSRPTv1; rua=https://lab.test/tls?x=1 , mailto:tls%40lab.test";
    world.txt("_smtp._tls.lab.test", record);
    let reports = world.open();
    went_well(&reports, "lab.test");
    assert_eq!(world.send_now(&reports).await, SentNow { domains: 1, made: 2, waiting: 0 });
    let posts = world.taker.posts.lock();
    let [(url, media_type, body)] = posts.as_slice() else { panic!("{}", posts.len()) };
    assert_eq!(url, "https://lab.test/tls?x=1");
    assert_eq!(media_type, "application/tlsrpt+gzip");
    assert_eq!(TlsReport::parse(&gunzip(body)).unwrap(), only_report(&world));
}

#[tokio::test]
async fn a_second_report_of_a_day_begins_where_the_first_ended() {
    let world = World::new();
    world.txt("_smtp._tls.lab.test", "v=TLSRPTv1; rua=mailto:tls@lab.test");
    let reports = world.open();
    went_well(&reports, "lab.test");
    world.send_now(&reports).await;
    world.pass(60);
    let reports = world.open();
    went_well(&reports, "lab.test");
    world.send_now(&reports).await;
    let mails = world.taker.mails.lock();
    let (first, second) = (attached(&mails[0].message), attached(&mails[1].message));
    assert_eq!(first.date_range.end_datetime, second.date_range.start_datetime);
    assert_ne!(first.report_id, second.report_id);
}

#[test]
fn a_session_counts_under_each_policy_that_something_was_wrong_with() {
    let world = World::new();
    let reports = world.open();
    let lab = domain("lab.test");
    let testing = failure(FailureKind::CertificateExpired, PolicyType::Sts);
    let plain = failure(FailureKind::CertificateExpired, PolicyType::NoPolicyFound);
    let unusable = failure(FailureKind::TlsaInvalid, PolicyType::Tlsa);
    let sts = PolicyFound {
        lines: vec!["mode: testing".into()],
        ..PolicyFound::unspecified(PolicyType::Sts)
    };
    reports.record_tls(&TlsResult {
        domain: &lab,
        policy: sts,
        host: None,
        receiving: None,
        sending: None,
        failures: vec![&plain, &testing, &unusable],
    });
    let tally = reports.0.tally.lock();
    let counts = tally.tls.values().next().unwrap();
    let seen: Vec<_> = counts
        .policies
        .iter()
        .map(|count| (count.policy.kind, count.success, count.failure, count.rows.len()))
        .collect();
    assert_eq!(seen, [(PolicyType::Sts, 0, 1, 1), (PolicyType::Tlsa, 0, 1, 1)]);
}

#[test]
fn what_is_counted_is_bounded_and_nothing_is_lost_in_the_sum() {
    let world = World::new();
    let reports = world.open();
    let lab = domain("lab.test");
    let broken = failure(FailureKind::ValidationFailure, PolicyType::NoPolicyFound);
    for n in 0..1000u32 {
        reports.record_tls(&TlsResult {
            domain: &lab,
            policy: PolicyFound::none(),
            host: None,
            receiving: Some(n.to_be_bytes().into()),
            sending: None,
            failures: vec![&broken],
        });
        reports.record_dmarc(judged("lab.test", &std::net::Ipv4Addr::from(n).to_string(), true));
    }
    let tally = reports.0.tally.lock();
    let tls = tally.tls.values().next().unwrap();
    assert_eq!(tls.policies[0].failure, 1000);
    assert_eq!(tls.policies[0].rows.len(), MAX_ROWS + 1);
    assert_eq!(tls.policies[0].rows.iter().map(|row| row.count).sum::<u32>(), 1000);
    let dmarc = tally.dmarc.values().next().unwrap();
    assert_eq!(dmarc.rows.len(), MAX_ROWS);
    assert_eq!(dmarc.beyond as usize, 1000 - MAX_ROWS);
}

#[tokio::test]
async fn dmarc_reports_go_to_who_asks_one_for_each_policy() {
    let world = World::new();
    world.txt("_dmarc.bank.test", "v=DMARC1; p=reject; sp=quarantine; rua=mailto:d@bank.test");
    let reports = world.open();
    for source in ["192.0.2.1", "192.0.2.1", "2001:db8::1"] {
        reports.record_dmarc(judged("bank.test", source, true));
    }
    reports.record_dmarc(judged("news.bank.test", "192.0.2.9", false));
    reports.record_dmarc(judged("silent.test", "192.0.2.9", false));
    world.pass(DAY / 2 + 4 * 3600);
    world.tick(&reports).await;

    let mails = world.taker.mails.lock();
    let [letter] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(letter.to, Address::parse("d@bank.test").unwrap());
    let mail = MessageParser::new().parse(&letter.message).unwrap();
    let part = mail.attachment(0).unwrap();
    assert_eq!(part.content_type().unwrap().subtype(), Some("gzip"));
    assert!(part.attachment_name().unwrap().starts_with("clinic.test!bank.test!"));
    let report = aggregate::parse(&gunzip(part.contents())).unwrap();
    assert_eq!((report.domain(), report.org_name()), ("bank.test", "Clinic"));
    assert_eq!(report.sp(), mail_auth::report::Disposition::Quarantine);
    let mut rows: Vec<_> = report
        .records()
        .iter()
        .map(|r| (r.header_from().to_owned(), r.source_ip().unwrap().to_string(), r.count()))
        .collect();
    rows.sort();
    let row = |from: &str, ip: &str, count| (from.to_owned(), ip.to_owned(), count);
    assert_eq!(
        rows,
        [
            row("bank.test", "192.0.2.1", 2),
            row("bank.test", "2001:db8::1", 1),
            row("news.bank.test", "192.0.2.9", 1),
        ]
    );
}

#[tokio::test]
async fn strangers_get_dmarc_reports_only_with_their_consent_and_within_limits() {
    let world = World::new();
    let record = "v=DMARC1; p=none; rua=mailto:a@no.test,mailto:b@yes.test,mailto:c@bank.test!1k";
    world.txt("_dmarc.bank.test", record);
    world.txt("bank.test._report._dmarc.yes.test", "v=DMARC1;");
    let reports = world.open();
    reports.record_dmarc(judged("bank.test", "192.0.2.1", true));
    world.send_now(&reports).await;
    let mails = world.taker.mails.lock();
    let to: Vec<String> = mails.iter().map(|letter| letter.to.to_string()).collect();
    assert_eq!(to, ["b@yes.test"]);
}

#[test]
fn tls_rpt_records_are_read_strictly() {
    let mail = |to: &str| Destination::Mail { to: Address::parse(to).unwrap(), limit: None };
    let cases: [(&[&str], Vec<Destination>); 12] = [
        (&["v=TLSRPTv1; rua=mailto:a@b.test"], vec![mail("a@b.test")]),
        (&["v=TLSRPTv1;rua=mailto:a@b.test;"], vec![mail("a@b.test")]),
        (&["v=TLSRPTv1; x=y; rua=mailto:a@b.test?subject=x"], vec![mail("a@b.test")]),
        (
            &["v=TLSRPTv1; rua=mailto:a@b.test,https://b.test/x"],
            vec![mail("a@b.test"), Destination::Https("https://b.test/x".into())],
        ),
        (&["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.test"], vec![mail("a@b.test")]),
        (&["v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:c@b.test"], vec![]),
        (&["v=TLSRPTv2; rua=mailto:a@b.test"], vec![]),
        (&["rua=mailto:a@b.test; v=TLSRPTv1"], vec![]),
        (&["v=TLSRPTv1; rua=http://b.test/x"], vec![]),
        (&["v=TLSRPTv1; rua=https://127.0.0.1/x,https://[::1]/,https://localhost/"], vec![]),
        (&["v=TLSRPTv1; rua=mailto:a@b.test\u{1}"], vec![]),
        (&["v=TLSRPTv1; rua="], vec![]),
    ];
    for (records, wanted) in cases {
        let records: Vec<Vec<u8>> = records.iter().map(|text| text.as_bytes().to_vec()).collect();
        assert_eq!(tls_record(&records), wanted, "{records:?}");
    }
}

#[test]
fn what_fails_before_a_session_is_a_failure_and_no_success() {
    let world = World::new();
    let reports = world.open();
    let (lab, mx) = (domain("lab.test"), domain("mx.lab.test"));
    let bogus = failure(FailureKind::DnssecInvalid, PolicyType::Tlsa);
    reports.record_tls(&TlsResult::no_session(&lab, Some(&mx), &bogus));
    let tally = reports.0.tally.lock();
    let counts = &tally.tls.values().next().unwrap().policies;
    assert_eq!(counts.len(), 1);
    assert_eq!(
        (counts[0].policy.kind, counts[0].success, counts[0].failure),
        (PolicyType::Tlsa, 0, 1)
    );
}
