//! Summaries of whole mails: structure, offsets, envelopes, and what hostile mail does to them.

#![allow(clippy::unwrap_used)] // In tests that is how to fail.

use proptest::prelude::*;
use std::fs;
use std::path::Path;
use wardpost_message::{Envelope, EnvelopeAddress, Kind, Part, SearchField, Summary, summarise};

fn seed(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name)).unwrap()
}

fn seeds() -> Vec<Vec<u8>> {
    fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

fn body<'a>(raw: &'a [u8], summary: &Summary, number: &[u32]) -> &'a str {
    let part = summary.part(number).unwrap_or_else(|| panic!("no part {number:?}"));
    std::str::from_utf8(&raw[part.body_range()]).unwrap()
}

/// The tree in short: `mixed(alternative(plain html) pdf)`.
fn shape(part: &Part) -> String {
    match &part.kind {
        Kind::Leaf => part.subtype.clone(),
        Kind::Multipart(children) => {
            let inner: Vec<String> = children.iter().map(shape).collect();
            format!("{}({})", part.subtype, inner.join(" "))
        }
        Kind::Message(embedded) => format!("{}[{}]", part.subtype, shape(&embedded.structure)),
    }
}

fn address(entry: &EnvelopeAddress<'_>) -> String {
    let text = |field: &Option<std::borrow::Cow<'_, [u8]>>| {
        field.as_deref().map_or("NIL".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
    };
    [&entry.name, &entry.adl, &entry.mailbox, &entry.host].map(text).join("|")
}

fn addresses(list: &[EnvelopeAddress<'_>]) -> Vec<String> {
    list.iter().map(address).collect()
}

#[test]
fn an_ordinary_mail_is_small_in_the_index() {
    let raw = seed("plain.eml");
    let summary = summarise(&raw);
    let encoded = postcard::to_stdvec(&summary).unwrap();
    assert!(encoded.len() <= 600, "{} octets", encoded.len());
    assert_eq!(postcard::from_bytes::<Summary>(&encoded).unwrap(), summary);
    assert_eq!(summary.size() as usize, raw.len());
    let sent = summary.sent().unwrap();
    assert_eq!((sent.unix, sent.offset_minutes), (1_795_360_200, -300));
    assert_eq!(body(&raw, &summary, &[1]), "Hello,\r\n\r\nmay I come an hour later?\r\n");
    assert_eq!(summary.part(&[1]).unwrap().lines, 3);
    assert!(summary.part(&[2]).is_none() && summary.part(&[1, 1]).is_none());
    assert!(summary.part(&[0]).is_none());
    assert_eq!(summary.body_range().end, raw.len());
    assert!(raw[summary.header_range()].ends_with(b"\r\n\r\n"));
    assert_eq!(summary.search_text(SearchField::To), "\"dr. dana clinic\" <dana@clinic.test>");
}

#[test]
fn version_one_of_the_record_still_reads() {
    // Frozen: summaries lie in stores for years. A change here needs a new record version.
    let raw = b"Subject: x\r\nX-Other: 1\r\n\r\nbody\r\n";
    let frozen = [
        32, 0, 12, 83, 117, 98, 106, 101, 99, 116, 58, 32, 120, 13, 10, 1, 1, 208, 140, 1, 0, 26,
        6, 4, 116, 101, 120, 116, 5, 112, 108, 97, 105, 110, 1, 7, 99, 104, 97, 114, 115, 101, 116,
        8, 117, 115, 45, 97, 115, 99, 105, 105, 0, 0, 4, 55, 98, 105, 116, 1, 0, 0, 0, 0, 0,
    ];
    assert_eq!(postcard::from_bytes::<Summary>(&frozen).unwrap(), summarise(raw));
}

#[test]
fn listed_fields_are_answered_without_the_mail() {
    let raw = seed("plain.eml");
    let summary = summarise(&raw);
    let fields = summary.header_fields(&["SUBJECT", "from", "X-Not-There", "References"]).unwrap();
    assert_eq!(
        String::from_utf8(fields).unwrap(),
        "From: Lee Example <lee@example.test>\r\nSubject: Question about my appointment on Tuesday\r\n"
    );
    assert_eq!(summary.header_fields(&["Received"]), None, "it is there but was not kept");
}

#[test]
fn a_header_too_large_to_keep_is_not_answered_from_the_index() {
    let raw = format!("To: {}\r\nSubject: x\r\n\r\n", "a@b.test, ".repeat(10_000));
    let summary = summarise(raw.as_bytes());
    assert_eq!(summary.header_fields(&["Subject"]), None);
    assert_eq!(summary.envelope().subject.as_deref(), Some(&b"x"[..]));
}

#[test]
fn structure_and_extension_fields_are_read() {
    let raw = seed("alternative-attachment.eml");
    let summary = summarise(&raw);
    assert_eq!(shape(summary.structure()), "mixed(alternative(plain html) pdf)");
    assert_eq!(summary.structure().language, ["en", "de"]);
    assert_eq!(body(&raw, &summary, &[1, 1]), "caf=C3=A9 =\r\nsoft");
    assert_eq!(body(&raw, &summary, &[1, 2]), "<p>café</p>");
    assert_eq!(body(&raw, &summary, &[2]), "JVBERg==");
    assert!(body(&raw, &summary, &[]).ends_with("--outer--\r\nEpilogue\r\n"));
    let pdf = summary.part(&[2]).unwrap();
    assert_eq!(pdf.encoding, "base64");
    assert_eq!(pdf.id.as_deref(), Some("<pdf@x>"));
    assert_eq!(pdf.description.as_deref(), Some("the result"));
    assert_eq!(pdf.md5.as_deref(), Some("Q2hlY2sgSW50ZWdyaXR5IQ=="));
    assert_eq!(pdf.location.as_deref(), Some("https://x.test/r.pdf"));
    let disposition = pdf.disposition.as_ref().unwrap();
    assert_eq!(disposition.kind, "attachment");
    let names: Vec<&str> = disposition.parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["filename*0*", "filename*1", "size"]);
    let mime = &raw[pdf.header_range()];
    assert!(mime.starts_with(b"Content-Type: application/pdf") && mime.ends_with(b"\r\n\r\n"));
}

#[test]
fn envelopes_keep_groups_and_encoded_words() {
    let raw = seed("alternative-attachment.eml");
    let summary = summarise(&raw);
    let envelope = summary.envelope();
    assert_eq!(addresses(&envelope.from), ["=?utf-8?q?J=C3=BCrgen?=|NIL|j|example.test"]);
    assert_eq!(envelope.sender, envelope.from);
    assert_eq!(envelope.reply_to, envelope.from);
    assert_eq!(
        addresses(&envelope.to),
        [
            "NIL|NIL|A Group|NIL",
            "NIL|NIL|x|one.test",
            "Q, R|NIL|y|two.test",
            "NIL|NIL|NIL|NIL",
            "NIL|NIL|z|three.test",
        ]
    );
    assert_eq!(addresses(&envelope.cc), ["NIL|NIL|undisclosed-recipients|NIL", "NIL|NIL|NIL|NIL"]);
    assert_eq!(envelope.in_reply_to.as_deref(), Some(&b"<a@b>"[..]));
    assert_eq!(summary.search_text(SearchField::Subject), "caféé");
    assert_eq!(summary.sent().unwrap().unix, 880_127_706);
    assert_eq!(summarise(b"").envelope(), Envelope::default());
}

#[test]
fn mails_within_mails_are_numbered_as_imap_wants() {
    let raw = seed("forwarded.eml");
    let summary = summarise(&raw);
    assert_eq!(shape(summary.structure()), "mixed(plain rfc822[alternative(plain html)])");
    assert_eq!(body(&raw, &summary, &[2, 1]), "one\r\ntwo");
    assert_eq!(summary.part(&[2, 1]).unwrap().lines, 1);
    let embedded = summary.part(&[2]).unwrap().embedded().unwrap();
    assert_eq!(embedded.envelope().subject.as_deref(), Some(&b"it"[..]));
    assert!(body(&raw, &summary, &[2]).starts_with("From: inner@c.test\r\n"));
    assert!(raw[embedded.structure.header_range()].starts_with(b"From: inner@c.test"));
    assert_eq!(summary.part(&[2]).unwrap().lines, 14);

    let digest = summarise(&seed("digest.eml"));
    assert_eq!(shape(digest.structure()), "digest(rfc822[plain] plain)");
    assert_eq!(body(&seed("digest.eml"), &digest, &[1, 1]), "body 1");
}

#[test]
fn text_is_found_decoded() {
    let raw = seed("alternative-attachment.eml");
    let summary = summarise(&raw);
    let text = summary.body_text(&raw);
    assert!(text.contains("café soft") && text.contains("<p>café</p>") && !text.contains("%pdf"));
    assert_eq!(summary.part(&[2]).unwrap().decoded(&raw).as_deref(), Some(&b"%PDF"[..]));
    let forwarded = seed("forwarded.eml");
    assert!(
        summarise(&forwarded).body_text(&forwarded).contains("from: inner@c.test\nto: a@b.test")
    );
    let broken = seed("broken-encodings.eml");
    assert_eq!(summarise(&broken).part(&[1]).unwrap().decoded(&broken), None);
    assert_eq!(wardpost_message::headers::decoded(&raw, "subject").as_deref(), Some("caféé"));
    assert_eq!(wardpost_message::headers::decoded(&raw, "no"), None);
}

#[test]
fn broken_mails_get_the_best_reading() {
    for (name, expected) in [
        ("unclosed.eml", "mixed(mixed(plain) plain)"),
        ("no-header-end.eml", "mixed(plain plain)"),
        ("bare-lf.eml", "mixed(plain)"),
        ("broken-encodings.eml", "mixed(plain html octet-stream)"),
        ("odd-types.eml", "plain"),
        ("latin1-header.eml", "plain"),
    ] {
        assert_eq!(shape(summarise(&seed(name)).structure()), expected, "{name}");
    }
    let raw = seed("unclosed.eml");
    assert_eq!(body(&raw, &summarise(&raw), &[1, 1]), "inner never closed");
    let raw = seed("bare-lf.eml");
    assert_eq!(body(&raw, &summarise(&raw), &[1]), "hello");
    let summary = summarise(b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno such part\r\n");
    assert!(summary.structure().is("text", "plain"), "a multipart needs parts");
}

#[test]
fn a_line_end_may_end_a_header_and_precede_a_delimiter() {
    let raw = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b\r\n";
    let summary = summarise(raw);
    check_ranges(summary.structure(), 0..raw.len());
    assert_eq!(summary.part(&[1]).unwrap().octets(), 2);
}

#[test]
fn ten_thousand_nested_parts_are_harmless() {
    let multiparts: String = (0..10_000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect();
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(10_000);
    let siblings = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\nContent-Type: text/plain; name=\"0123456789012345678901234567890123456789\"\r\n\r\nx\r\n"
            .repeat(100_000)
    );
    for raw in [multiparts, messages, siblings] {
        let begun = std::time::Instant::now();
        let summary = summarise(raw.as_bytes());
        assert!(begun.elapsed().as_secs() < 5, "took {:?}", begun.elapsed());
        let encoded = postcard::to_stdvec(&summary).unwrap();
        assert!(encoded.len() < 512 * 1024, "{} octets", encoded.len());
        wardpost_message::render::readable(raw.as_bytes());
    }
}

#[test]
fn an_ordinary_mail_is_summarised_in_no_time() {
    let mut raw = seed("plain.eml");
    raw.resize(4096, b'x');
    let begun = std::time::Instant::now();
    for _ in 0..1_000 {
        assert_eq!(summarise(&raw).size(), 4096);
    }
    // Optimised it is a few microseconds each; this guards against growth by orders of magnitude.
    assert!(begun.elapsed().as_millis() < 1_000, "{:?}", begun.elapsed());
}

fn check_ranges(part: &Part, outer: std::ops::Range<usize>) {
    let whole = part.header_range().start..part.body_range().end;
    assert!(outer.start <= whole.start && whole.end <= outer.end, "{whole:?} not in {outer:?}");
    match &part.kind {
        Kind::Leaf => {}
        Kind::Multipart(children) => {
            assert!(!children.is_empty());
            for child in children {
                check_ranges(child, part.body_range());
            }
        }
        Kind::Message(embedded) => check_ranges(&embedded.structure, part.body_range()),
    }
}

fn check(raw: &[u8]) {
    let summary = summarise(raw);
    assert_eq!(summary.body_range().end, raw.len());
    check_ranges(summary.structure(), 0..raw.len());
    let encoded = postcard::to_stdvec(&summary).unwrap();
    assert_eq!(postcard::from_bytes::<Summary>(&encoded).unwrap(), summary);
    let envelope = summary.envelope();
    for text in [&envelope.subject, &envelope.date].into_iter().flatten() {
        assert!(!text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
    summary.search_text(SearchField::From);
    wardpost_message::render::readable(raw);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(raw in prop::collection::vec(any::<u8>(), 0..2_000)) {
        check(&raw);
    }

    #[test]
    fn pieces_of_mime_in_any_order_do_no_harm(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "\r\n", "\n", "--a\r\n", "--a--\r\n", "--b\r\n", "--b--", "x", "text\r\n", " folded\r\n",
            "Content-Type: multipart/mixed; boundary=a\r\n", "Content-Type: message/rfc822\r\n",
            "Content-Type: multipart/digest; boundary=\"b\"\r\n", "Content-Transfer-Encoding: base64\r\n",
            "Subject: =?utf-8?q?=00=0d=0a?=\r\n", "From: a@b.test\r\n", "\0", "Date: x\r\n",
        ]), 0..40)
    ) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn mutated_mails_do_no_harm(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..12)
    ) {
        let seeds = seeds();
        let mut raw = which.get(&seeds).clone();
        for (at, byte, what) in edits {
            let at = at.index(raw.len().max(1));
            match what {
                0 if at < raw.len() => raw[at] = byte,
                1 => raw.insert(at.min(raw.len()), byte),
                _ => { raw.truncate(raw.len() - raw.len() / 8); }
            }
        }
        check(&raw);
    }
}
