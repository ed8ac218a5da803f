#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zip(octets: &[u8], files: usize) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..files {
        writer.start_file(format!("f{n}"), ::zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(octets).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_is_packed_honestly_unpacks() {
    let text = b"{\"report-id\":\"1\"}".repeat(1000);
    assert_eq!(unpack(Packing::Gzip, &gzip(&text)).unwrap(), text);
    assert_eq!(unpack(Packing::Zip, &zip(&text, 1)).unwrap(), text);
    assert_eq!(unpack(Packing::Gzip, &zip(&text, 1)).unwrap(), text, "called by the wrong name");
    assert_eq!(unpack(Packing::Plain, &text).unwrap(), text);
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; 64 << 20];
    assert_eq!(unpack(Packing::Gzip, &gzip(&zeros)), Err(UnpackError::TooLarge));
    assert_eq!(unpack(Packing::Zip, &zip(&zeros, 1)), Err(UnpackError::TooLarge));
    // Small enough, but nothing honest packs this well.
    assert_eq!(unpack(Packing::Gzip, &gzip(&zeros[..1 << 20])), Err(UnpackError::TooLarge));
    // Of an archive with many files one is read.
    let many = zip(&[b'x'; 1000], 5000);
    assert_eq!(unpack(Packing::Zip, &many).unwrap().len(), 1000);
}

#[test]
fn a_bomb_in_a_bomb_stays_packed() {
    let inner = gzip(&vec![0; 8 << 20]);
    assert_eq!(unpack(Packing::Gzip, &gzip(&inner)).unwrap(), inner);
}

#[test]
fn lies_and_garbage_are_errors() {
    for (packing, octets) in [
        (Packing::Gzip, &b"\x1f\x8b\x08"[..]),
        (Packing::Gzip, b"no"),
        (Packing::Zip, b"PK\x03\x04"),
        (Packing::Zip, b""),
    ] {
        assert!(unpack(packing, octets).is_err());
    }
    let mut cut = gzip(b"a report");
    cut.truncate(cut.len() - 6);
    assert_eq!(unpack(Packing::Gzip, &cut), Err(UnpackError::Broken));
    let mut forged = zip(b"a report", 1);
    let size = forged.windows(4).position(|w| w == b"PK\x01\x02").unwrap() + 24;
    forged[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(unpack(Packing::Zip, &forged).map_or(0, |out| out.len()) <= 8);
}

#[test]
fn few_parts_are_tried() {
    let mut mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    for _ in 0..50 {
        mail.push_str("--b\r\nContent-Type: application/json\r\n\r\n{}\r\n");
    }
    mail.push_str("--b--\r\n");
    let message = Mail::parse(mail.as_bytes()).unwrap();
    assert_eq!(message.reports(ReportKind::Tls).count(), MAX_PARTS);
    assert_eq!(message.reports(ReportKind::Dmarc).count(), 0);
    assert_eq!(Mail::parse(&vec![b'x'; MAX_MAIL + 1]).err(), Some(UnpackError::TooLarge));
}

#[test]
fn a_mail_built_unlike_any_report_is_not_parsed() {
    let nested = b"Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
    let parts = b"--b\nContent-Type: multipart/mixed; boundary=z\n\n".repeat(50_000);
    let fields = b"a:\n".repeat(1_000_000);
    for raw in [nested, parts, fields] {
        assert!(matches!(Mail::parse(&raw), Err(UnpackError::TooLarge)));
    }
}
