//! From a mail to the report in it, with bounded work.
//!
//! A report is a part of the mail, most often compressed, and whoever likes may send us one. So few
//! parts are tried, of an archive only the first file, and nothing unpacks to more than
//! [`MAX_REPORT`] octets or to more than [`MAX_RATIO`] times its packed size.

use super::ReportKind;
use flate2::read::GzDecoder;
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};
use std::io::{Cursor, Read};
use thiserror::Error;

/// Longest mail that is looked into, in octets.
const MAX_MAIL: usize = 16 << 20;
/// Longest report, unpacked, in octets.
pub const MAX_REPORT: usize = 10 << 20;
/// Longest packed report; whoever packs better than this has no honest report.
const MAX_PACKED: usize = 2 << 20;
/// How much more than its packed size a report may be. Honest ones stay below a hundred.
const MAX_RATIO: usize = 250;
/// What every report may unpack to, however small it is packed.
const SMALL: usize = 64 << 10;
/// Parts of a mail that are tried.
const MAX_PARTS: usize = 4;

/// Why there is no report in a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// It has no part that could be one.
    #[error("there is no report in the message")]
    None,
    /// It is larger than reports are.
    #[error("the report is too large")]
    TooLarge,
    /// It does not unpack.
    #[error("the report cannot be unpacked")]
    Broken,
}

/// How a part is packed.
#[derive(Clone, Copy)]
enum Packing {
    Plain,
    Gzip,
    Zip,
}

/// Lines without anything in them that a report's mail may have: every level of nesting, and every part,
/// needs one.
const MAX_BLANK_LINES: usize = 200;
/// Lines of a report's mail. A report of the greatest size in base64 has fewer.
const MAX_LINES: usize = 300_000;
/// Pairs of hyphens in it, as delimiters of parts begin with.
const MAX_DASHES: usize = 2_000;

/// Whether a mail is built as plainly as reports are. The parser bounds neither nesting nor parts, and what
/// it makes of nesting is dropped by recursion.
fn is_plain(raw: &[u8]) -> bool {
    let (mut lines, mut blank) = (0_usize, 0_usize);
    for line in raw.split(|octet| *octet == b'\n') {
        lines += 1;
        blank += usize::from(line.trim_ascii().is_empty());
        if lines > MAX_LINES || blank > MAX_BLANK_LINES {
            return false;
        }
    }
    memchr::memmem::find_iter(raw, b"--").take(MAX_DASHES + 1).count() <= MAX_DASHES
}

/// A mail with a report in it.
#[derive(Debug)]
pub struct Mail<'m>(Message<'m>);

impl<'m> Mail<'m> {
    /// Parses a mail.
    ///
    /// # Errors
    /// When it is larger than reports are, or no mail.
    pub fn parse(raw: &'m [u8]) -> Result<Self, UnpackError> {
        if raw.len() > MAX_MAIL || !is_plain(raw) {
            return Err(UnpackError::TooLarge);
        }
        MessageParser::new().parse(raw).map(Self).ok_or(UnpackError::None)
    }

    /// The parts that may be reports, unpacked one by one: whoever reads them stops at the first that is.
    pub fn reports(
        &self,
        kind: ReportKind,
    ) -> impl Iterator<Item = Result<Vec<u8>, UnpackError>> + '_ {
        let candidates = self.0.parts.iter().filter_map(move |part| {
            let octets = match &part.body {
                PartType::Binary(octets) | PartType::InlineBinary(octets) => octets.as_ref(),
                PartType::Text(text) => text.as_bytes(),
                _ => return None,
            };
            Some((packing(part, kind)?, octets))
        });
        candidates.take(MAX_PARTS).map(|(packing, octets)| unpack(packing, octets))
    }
}

/// What a part's type or file name says. Types are often wrong, so the name decides where the type
/// says nothing.
fn packing(part: &MessagePart<'_>, kind: ReportKind) -> Option<Packing> {
    let plain = match kind {
        ReportKind::Tls => "json",
        ReportKind::Dmarc => "xml",
    };
    let subtype = part.content_type().and_then(|content| content.subtype()).unwrap_or_default();
    let by_type = match subtype.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" | "tlsrpt+gzip" => Some(Packing::Gzip),
        "zip" | "x-zip-compressed" | "x-zip" => Some(Packing::Zip),
        "tlsrpt+json" => Some(Packing::Plain),
        subtype if subtype == plain => Some(Packing::Plain),
        _ => None,
    };
    by_type.or_else(|| {
        let (_, extension) = part.attachment_name()?.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Some(Packing::Gzip),
            "zip" => Some(Packing::Zip),
            extension if extension == plain => Some(Packing::Plain),
            _ => None,
        }
    })
}

fn unpack(packing: Packing, octets: &[u8]) -> Result<Vec<u8>, UnpackError> {
    match packing {
        Packing::Plain if octets.len() > MAX_REPORT => Err(UnpackError::TooLarge),
        Packing::Plain => Ok(octets.to_vec()),
        _ if octets.len() > MAX_PACKED => Err(UnpackError::TooLarge),
        // Some say gzip and send a zip archive.
        _ if octets.starts_with(b"PK\x03\x04") => unzip(octets),
        Packing::Gzip => bounded(GzDecoder::new(octets), octets.len()),
        Packing::Zip => unzip(octets),
    }
}

fn unzip(octets: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let archive = zip::ZipArchive::new(Cursor::new(octets));
    let mut archive = archive.map_err(|_| UnpackError::Broken)?;
    let file = archive.by_index(0).map_err(|_| UnpackError::Broken)?;
    bounded(file, octets.len())
}

fn bounded(reader: impl Read, packed: usize) -> Result<Vec<u8>, UnpackError> {
    let most = packed.saturating_mul(MAX_RATIO).clamp(SMALL, MAX_REPORT);
    let mut unpacked = Vec::new();
    let mut reader = reader.take(most as u64 + 1);
    reader.read_to_end(&mut unpacked).map_err(|_| UnpackError::Broken)?;
    if unpacked.len() > most { Err(UnpackError::TooLarge) } else { Ok(unpacked) }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
