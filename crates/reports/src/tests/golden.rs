//! The examples of the RFCs, in and out.

use super::*;
use crate::layout::{FailureRow, PolicyCount, TlsDay};
use proptest::prelude::*;

/// RFC 8460 Appendix B, as it is printed there.
const RFC_8460_B: &str = r#"{
  "organization-name": "Company-X",
  "date-range": {
    "start-datetime": "2016-04-01T00:00:00Z",
    "end-datetime": "2016-04-01T23:59:59Z"
  },
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
  "policies": [{
    "policy": {
      "policy-type": "sts",
      "policy-string": ["version: STSv1","mode: testing",
            "mx: *.mail.company-y.example","max_age: 86400"],
      "policy-domain": "company-y.example",
      "mx-host": "*.mail.company-y.example"
    },
    "summary": {
      "total-successful-session-count": 5326,
      "total-failure-session-count": 303
    },
    "failure-details": [{
      "result-type": "certificate-expired",
      "sending-mta-ip": "2001:db8:abcd:0012::1",
      "receiving-mx-hostname": "mx1.mail.company-y.example",
      "failed-session-count": 100
    }, {
      "result-type": "starttls-not-supported",
      "sending-mta-ip": "2001:db8:abcd:0013::1",
      "receiving-mx-hostname": "mx2.mail.company-y.example",
      "receiving-ip": "203.0.113.56",
      "failed-session-count": 200,
      "additional-information": "https://reports.company-x.example/report_info ? id = 5065427 c - 23 d3# StarttlsNotSupported "
    }, {
      "result-type": "validation-failure",
      "sending-mta-ip": "198.51.100.62",
      "receiving-ip": "203.0.113.58",
      "receiving-mx-hostname": "mx-backup.mail.company-y.example",
      "failed-session-count": 3,
      "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"
    }]
  }]
}"#;

fn counted() -> TlsDay {
    let row = |kind, host: &str, sending: &str, receiving: Option<&str>, detail: &str, count| {
        FailureRow {
            kind,
            host: Some(domain(host)),
            receiving: receiving.map(|ip| ip.parse().unwrap()),
            sending: Some(sending.parse().unwrap()),
            detail: detail.to_owned(),
            count,
        }
    };
    let policy = wardpost_verdict::StsPolicy::parse(
        b"version: STSv1\nmode: testing\nmx: *.mail.company-y.example\nmax_age: 86400\n",
    );
    TlsDay {
        domain: domain("company-y.example"),
        begin: 1_459_468_800,
        policies: vec![PolicyCount {
            policy: PolicyFound::sts(&policy.unwrap()),
            success: 5326,
            failure: 303,
            rows: vec![
                row(
                    FailureKind::CertificateExpired,
                    "mx1.mail.company-y.example",
                    "2001:db8:abcd:0012::1",
                    None,
                    "",
                    100,
                ),
                row(
                    FailureKind::StarttlsNotSupported,
                    "mx2.mail.company-y.example",
                    "2001:db8:abcd:0013::1",
                    Some("203.0.113.56"),
                    "",
                    200,
                ),
                row(
                    FailureKind::ValidationFailure,
                    "mx-backup.mail.company-y.example",
                    "198.51.100.62",
                    Some("203.0.113.58"),
                    "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
                    3,
                ),
            ],
        }],
    }
}

#[test]
fn rfc_8460_appendix_b_is_read_and_written() {
    let mut wanted = TlsReport::parse(RFC_8460_B.as_bytes()).unwrap();
    // We have nothing to say there.
    wanted.policies[0].failure_details[1].additional_information = None;
    let made = tlsrpt::report(
        &counted(),
        (1_459_468_800, 1_459_555_199),
        "Company-X",
        "sts-reporting@company-x.example",
        "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
    );
    assert_eq!(made, wanted);
    let text = String::from_utf8(made.to_json()).unwrap();
    // A list, as the grammar has it (RFC 8460 §4.4), not the text that the example shows.
    assert!(text.contains(r#""mx-host":["*.mail.company-y.example"]"#), "{text}");
    assert!(text.contains(r#""start-datetime":"2016-04-01T00:00:00Z""#), "{text}");
    assert_eq!(TlsReport::parse(text.as_bytes()).unwrap(), made);
}

#[test]
fn what_others_write_a_little_differently_is_read() {
    let google = RFC_8460_B
        .replace("\"*.mail.company-y.example\"\n", "null\n")
        .replace("\"203.0.113.56\"", "\"mx2.example\"")
        .replace("\"contact-info\"", "\"unknown\": [1, {}], \"contact-info\"");
    let report = TlsReport::parse(google.as_bytes()).unwrap();
    assert!(report.policies[0].policy.mx_host.is_empty());
    assert_eq!(report.policies[0].failure_details[1].receiving_ip, None);
    for broken in ["", "null", "[]", "{}", "{\"date-range\":{}}"] {
        assert!(TlsReport::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}

/// A report after the schema of RFC 7489 Appendix C, with every element it has.
const RFC_7489_C: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>Receiver &amp; Sons</org_name>
    <email>dmarc@receiver.example</email>
    <extra_contact_info>https://receiver.example/dmarc</extra_contact_info>
    <report_id>20160401.1</report_id>
    <date_range><begin>1459468800</begin><end>1459555199</end></date_range>
    <error>one message was lost</error>
  </report_metadata>
  <policy_published>
    <domain>company-y.example</domain>
    <adkim>r</adkim><aspf>s</aspf><p>reject</p><sp>none</sp><pct>100</pct><fo>1</fo>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.44</source_ip>
      <count>2</count>
      <policy_evaluated>
        <disposition>none</disposition><dkim>fail</dkim><spf>pass</spf>
        <reason><type>forwarded</type><comment>a list</comment></reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <envelope_to>receiver.example</envelope_to>
      <envelope_from>bounce.company-y.example</envelope_from>
      <header_from>company-y.example</header_from>
    </identifiers>
    <auth_results>
      <dkim><domain>list.example</domain><selector>k1</selector><result>pass</result>
        <human_result>fine</human_result></dkim>
      <spf><domain>company-y.example</domain><scope>mfrom</scope><result>pass</result></spf>
    </auth_results>
  </record>
</feedback>"#;

#[test]
fn rfc_7489_appendix_c_is_read() {
    let report = aggregate::parse(RFC_7489_C.as_bytes()).unwrap();
    // mail-auth 0.13.3 drops spaces beside an entity: a blemish in a name.
    assert_eq!(report.org_name(), "Receiver&Sons");
    assert_eq!((report.date_range_begin(), report.date_range_end()), (1459468800, 1459555199));
    assert_eq!(report.domain(), "company-y.example");
    let [record] = report.records() else { panic!("{report:?}") };
    assert_eq!(record.count(), 2);
    assert_eq!(record.source_ip(), Some([192, 0, 2, 44].into()));
    assert_eq!(record.dmarc_spf_result(), mail_auth::report::DmarcResult::Pass);
    assert_eq!(record.dkim_auth_result()[0].domain(), "list.example");
}

#[test]
fn entities_do_not_expand_and_depth_does_no_harm() {
    let billion = RFC_7489_C.replace(
        "<feedback>",
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><feedback>",
    );
    let billion = billion.replace("Receiver &amp; Sons", "&b;&b;&b;");
    if let Ok(report) = aggregate::parse(billion.as_bytes()) {
        assert!(report.org_name().len() < 40, "{}", report.org_name());
    }
    let deep = RFC_7489_C.replace("<error>", &"<x>".repeat(200_000));
    assert!(aggregate::parse(deep.as_bytes()).is_err());
    let many = RFC_7489_C.replace("<version>", &"<record></record>".repeat(300_000));
    assert_eq!(aggregate::parse(many.as_bytes()), Err(aggregate::XmlError::TooMany));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::None),
        Just(Outcome::Pass),
        Just(Outcome::Fail),
        Just(Outcome::Neutral),
        Just(Outcome::TempError),
        Just(Outcome::PermError)
    ]
}

proptest! {
    #[test]
    fn tls_reports_round_trip(
        success: u32, failure: u32, organization: String, id: String,
        rows in proptest::collection::vec((0usize..10, any::<u32>(), any::<Option<[u8; 16]>>(), ".{0,30}"), 0..8),
        begin in 0u64..4_000_000_000, length in 0u64..86_400,
    ) {
        let rows = rows.into_iter().map(|(kind, count, address, detail)| FailureRow {
            kind: FailureKind::ALL[kind],
            host: address.map(|_| domain("mx.lab.test")),
            receiving: address.map(Into::into),
            sending: None,
            detail,
            count,
        });
        let policy = PolicyFound { lines: vec![organization.clone()], ..PolicyFound::none() };
        let rows = rows.collect();
        let counts = TlsDay {
            domain: domain("lab.test"),
            begin,
            policies: vec![PolicyCount { policy, success, failure, rows }],
        };
        let report = tlsrpt::report(&counts, (begin, begin + length), &organization, "a@b.test", &id);
        prop_assert_eq!(TlsReport::parse(&report.to_json()).unwrap(), report);
    }

    #[test]
    fn dmarc_reports_round_trip(
        rows in proptest::collection::vec((any::<[u8; 4]>(), 1u32.., any::<bool>(), any::<bool>(), outcome(), outcome()), 0..8),
        organization in "[a-zA-Z&<>\"']{0,30}x", strict: bool,
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(source, count, dkim, spf, dkim_out, spf_out)| {
            let mut result = judged("bank.test", "192.0.2.1", dkim);
            result.row.source = source.into();
            result.row.spf_aligned = spf;
            result.row.dkim[0].outcome = dkim_out;
            result.row.spf.outcome = spf_out;
            (result.row, count)
        }).collect();
        let day = layout::DmarcDay {
            domain: domain("bank.test"),
            begin: 0,
            published: Published { strict_spf: strict, testing: strict, p: Asked::Reject, ..Published::default() },
            rows,
            beyond: 3,
        };
        let frame = aggregate::Frame {
            organization: &organization,
            contact: "postmaster@clinic.test",
            id: "1",
            period: (0, 86_399),
        };
        let report = aggregate::report(&frame, &day);
        let read = aggregate::parse(report.to_xml().as_bytes()).unwrap();
        prop_assert_eq!(read.records(), report.records());
        prop_assert_eq!(&read.policy_published, &report.policy_published);
        prop_assert_eq!(read.org_name(), organization);
        prop_assert_eq!(read.error().len(), 1);
    }

    #[test]
    fn anything_is_read_or_refused(bytes in proptest::collection::vec(0u8.., 0..500)) {
        let _ = TlsReport::parse(&bytes);
        let _ = aggregate::parse(&bytes);
        let ours = [domain("clinic.test")];
        for kind in [ReportKind::Tls, ReportKind::Dmarc] {
            let arrived = Arrived { kind, message: &bytes, signed_by: &[], dmarc_passed: false, ours: &ours };
            let _ = examine(&arrived, NOON);
        }
    }
}
