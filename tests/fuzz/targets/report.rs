//! A mail to a report address: what is found in it unpacks within bounds, and reads or is refused. What
//! reads as a TLS report reads the same again when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardpost_message::report::{MAX_REPORT, Mail, ReportKind, TlsReport};

fuzz_target!(|raw: &[u8]| {
    if let Ok(report) = TlsReport::parse(raw) {
        assert_eq!(TlsReport::parse(&report.to_json()).as_ref(), Ok(&report));
    }
    let _ = mail_auth::report::Report::parse_xml(raw);
    let Ok(mail) = Mail::parse(raw) else { return };
    for kind in [ReportKind::Tls, ReportKind::Dmarc] {
        for report in mail.reports(kind).flatten() {
            assert!(report.len() <= MAX_REPORT);
            match kind {
                ReportKind::Tls => _ = TlsReport::parse(&report),
                ReportKind::Dmarc => _ = mail_auth::report::Report::parse_xml(&report),
            }
        }
    }
});
