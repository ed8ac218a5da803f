//! A message from anybody: the summary's ranges lie within it, and nothing that reads or edits it panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardpost_mail::Domain;
use wardpost_message::{headers, render, results, summarise};

fuzz_target!(|raw: &[u8]| {
    let summary = summarise(raw);
    let _ = summary.envelope();
    let _ = render::readable(raw);
    let domain = Domain::parse("clinic.test").expect("a domain");
    let _ = headers::authors(raw);
    let _ = headers::count_received(raw);
    let stripped = headers::strip(raw, &["Bcc"]);
    assert!(headers::get(&stripped, "Bcc").is_none());
    let dated = headers::ensure_date_and_message_id(raw, &domain, 0);
    assert!(headers::get(&dated, "Message-ID").is_some());
    let clean = headers::remove_forged_results(raw, "mail.clinic.test");
    assert!(clean.len() <= raw.len());
    let _ = (results::read(raw), results::read_arc(raw));
});
