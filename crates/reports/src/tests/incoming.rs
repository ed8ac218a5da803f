//! Taking in.

use super::*;
use flate2::Compression;
use std::io::Write;

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zip(text: &[u8]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default();
    writer.start_file("report", options).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap().into_inner()
}

pub(super) fn mail(from: &str, media_type: &str, file: &str, content: &[u8]) -> Vec<u8> {
    let body = data_encoding(content);
    format!(
        "From: <{from}>\r\nTo: <tls-reports@clinic.test>\r\nSubject: Report Domain: clinic.test\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n\
         --b\r\nContent-Type: {media_type}; name=\"{file}\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{file}\"\r\n\r\n{body}\r\n--b--\r\n"
    )
    .into_bytes()
}

/// Base64 in lines.
fn data_encoding(content: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (n, three) in content.chunks(3).enumerate() {
        let value =
            three.iter().fold(0u32, |v, b| v << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (value >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit > three.len() { '=' } else { char::from(DIGITS[index]) });
        }
        if n % 19 == 18 {
            text.push_str("\r\n");
        }
    }
    text
}

pub(super) fn json(id: &str, day: u64) -> String {
    let day = jiff::Timestamp::from_second(i64::try_from(day * 86_400).unwrap()).unwrap();
    let day = day.to_string().replace("T00:00:00Z", "");
    format!(
        r#"{{"organization-name":"Big Mail","date-range":{{"start-datetime":"{day}T00:00:00Z",
        "end-datetime":"{day}T23:59:59Z"}},"contact-info":"x@big.test","report-id":"{id}",
        "policies":[{{"policy":{{"policy-type":"sts","policy-string":[],"policy-domain":"clinic.test",
        "mx-host":"mail.clinic.test"}},"summary":{{"total-successful-session-count":40,
        "total-failure-session-count":2}},"failure-details":[{{"result-type":"certificate-expired",
        "sending-mta-ip":"192.0.2.50","receiving-mx-hostname":"mail.clinic.test",
        "failed-session-count":2}}]}}]}}"#
    )
}

fn arrived<'a>(message: &'a [u8], signed_by: &'a [Domain], ours: &'a [Domain]) -> Arrived<'a> {
    Arrived { kind: ReportKind::Tls, message, signed_by, dmarc_passed: false, ours }
}

const YESTERDAY: u64 = NOON / 86_400 - 1;

#[tokio::test]
async fn a_proven_report_is_kept_shown_and_counted_once() {
    let world = World::new();
    let reports = world.open();
    let (signer, ours) = ([domain("big.test")], [domain("clinic.test")]);
    let text = json("r-1", YESTERDAY);
    for content in [gzip(text.as_bytes()), gzip(text.as_bytes()), zip(text.as_bytes())] {
        let mail = mail("tls@big.test", "application/tlsrpt+gzip", "r.json.gz", &content);
        reports.take_in(arrived(&mail, &signer, &ours)).await.unwrap();
    }
    let reports = world.open();
    let view = TlsView::of(7, &reports.tls_received(7).unwrap());
    assert_eq!((view.success, view.failure, view.reporters.len()), (40, 2, 1));
    assert_eq!(view.reporters[0].organization, "Big Mail");
    assert_eq!(view.failures[0].kind, "certificate-expired");
    assert!(view.failures[0].advice.contains("renew"));
    assert_eq!(view.servers[0].host.as_deref(), Some("mail.clinic.test"));
    assert!(view.unproven.is_empty());
}

#[tokio::test]
async fn metrics_count_what_is_proven() {
    let world = World::new();
    let reports = world.open();
    let (signer, ours) = ([domain("mail.big.test")], [domain("clinic.test")]);
    let take = async |id: &str, signers: &[Domain]| {
        let text = json(id, YESTERDAY);
        let mail = mail("tls@big.test", "application/json", "r.json", text.as_bytes());
        reports.take_in(arrived(&mail, signers, &ours)).await.unwrap();
    };
    take("r-1", &signer).await;
    take("r-1", &signer).await;
    take("r-2", &[domain("evil.test"), domain("test")]).await;
    let metrics = reports.metrics();
    assert_eq!(metrics.sessions.with_label_values(&["success"]).get(), 40);
    assert_eq!(metrics.sessions.with_label_values(&["failure"]).get(), 2);
    assert_eq!(metrics.failures.with_label_values(&["certificate-expired"]).get(), 2);
    for (outcome, count) in [("taken", 1), ("repeated", 1), ("unproven", 1)] {
        assert_eq!(metrics.received.with_label_values(&["tls", outcome]).get(), count);
    }
    let view = TlsView::of(7, &reports.tls_received(7).unwrap());
    assert_eq!((view.reporters.len(), view.unproven.len()), (1, 1));
}

#[tokio::test]
async fn what_is_no_report_about_us_is_refused() {
    let world = World::new();
    let reports = world.open();
    let ours = [domain("clinic.test")];
    let good = json("r", YESTERDAY);
    let elsewhere = good.replace("clinic.test", "other.test");
    let old = json("r", YESTERDAY - 100);
    let ahead = json("r", YESTERDAY + 5);
    let deep = "[".repeat(100_000);
    let many = format!("[{}]", "{},".repeat(60_000));
    let cases: [(&str, &[u8], &str); 7] = [
        ("r.json", elsewhere.as_bytes(), "not_ours"),
        ("r.json", old.as_bytes(), "not_ours"),
        ("r.json", ahead.as_bytes(), "not_ours"),
        ("r.json", b"{\"a\":1}", "unreadable"),
        ("r.json", deep.as_bytes(), "unreadable"),
        ("r.json", many.as_bytes(), "unreadable"),
        ("r.pdf", good.as_bytes(), "unreadable"),
    ];
    for (file, content, outcome) in cases {
        let before = reports.metrics().received.with_label_values(&["tls", outcome]).get();
        let mail = mail("tls@big.test", "application/octet-stream", file, content);
        let error = reports.take_in(arrived(&mail, &[], &ours)).await.unwrap_err();
        assert!(!error.is_temporary());
        let after = reports.metrics().received.with_label_values(&["tls", outcome]).get();
        assert_eq!(after, before + 1, "{outcome} {error}");
    }
    assert!(reports.tls_received(90).unwrap().is_empty());
}

#[tokio::test]
async fn one_reporter_cannot_fill_the_disk_and_old_reports_go() {
    let world = World::new();
    let reports = world.open();
    let (signer, ours) = ([domain("big.test")], [domain("clinic.test")]);
    let mut refused = 0;
    for n in 0..60 {
        let text = json(&format!("r-{n}"), YESTERDAY);
        let mail = mail("tls@big.test", "application/json", "r.json", text.as_bytes());
        refused += u32::from(reports.take_in(arrived(&mail, &signer, &ours)).await.is_err());
    }
    assert_eq!(refused, 10);
    world.pass(89 * 86_400);
    world.tick(&reports).await;
    assert_eq!(reports.tls_received(90).unwrap().len(), 50);
    world.pass(2 * 86_400);
    world.tick(&reports).await;
    assert!(world.store.scan(Column::Report, b"i", None, 1).unwrap().is_empty());
}

#[tokio::test]
async fn dmarc_reports_show_who_sends_in_our_name() {
    let world = World::new();
    let reports = world.open();
    let start = YESTERDAY * 86_400;
    let row = |ip: &str, count: u32, pass: &str, disposition: &str| {
        format!(
            "<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>\
             <disposition>{disposition}</disposition><dkim>{pass}</dkim><spf>fail</spf>\
             </policy_evaluated></row><identifiers><header_from>clinic.test</header_from>\
             </identifiers><auth_results><dkim><domain>clinic.test</domain><result>{pass}</result>\
             </dkim></auth_results></record>"
        )
    };
    let xml = format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>Big</org_name>\
         <email>d@big.test</email><report_id>d-1</report_id><date_range><begin>{start}</begin>\
         <end>{}</end></date_range></report_metadata><policy_published><domain>clinic.test</domain>\
         <p>quarantine</p></policy_published>{}{}</feedback>",
        start + 86_399,
        row("192.0.2.10", 30, "pass", "none"),
        row("203.0.113.66", 4, "fail", "quarantine"),
    );
    let mail = mail("d@big.test", "application/zip", "r.xml.zip", &zip(xml.as_bytes()));
    let ours = [domain("clinic.test")];
    let arrived = Arrived {
        kind: ReportKind::Dmarc,
        message: &mail,
        signed_by: &[],
        dmarc_passed: true,
        ours: &ours,
    };
    reports.take_in(arrived).await.unwrap();
    let view = DmarcView::of(7, &reports.dmarc_received(7).unwrap());
    assert_eq!((view.pass, view.fail, view.reporters.len()), (30, 4, 1));
    assert_eq!(view.sources[0].source, Some([203, 0, 113, 66].into()));
    assert_eq!((view.sources[0].fail, view.sources[0].stopped), (4, 4));
    assert_eq!(reports.metrics().messages.with_label_values(&["fail"]).get(), 4);
}
