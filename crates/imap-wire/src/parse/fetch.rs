//! FETCH (RFC 9051 §6.4.5, RFC 3516, RFC 7162, RFC 8474).

use super::Parsed;
use crate::command::{FetchItem, FetchRequest, MessageText, Section, SectionPart};
use crate::cursor::{Cursor, Fault};
use crate::types::{FieldName, Partial};
use std::num::NonZeroU32;

/// ABNF: `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
/// "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]`.
pub(super) fn fetch(c: &mut Cursor<'_>) -> Parsed<FetchRequest> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Size};
    let mut after = c.clone();
    let items = match after.word().as_deref() {
        Ok("ALL") => Some(vec![Flags, InternalDate, Size, Envelope]),
        Ok("FAST") => Some(vec![Flags, InternalDate, Size]),
        Ok("FULL") => Some(vec![Flags, InternalDate, Size, Envelope, Body]),
        _ => None,
    };
    let items = match items {
        Some(items) => {
            *c = after;
            items
        }
        None if c.peek() == Some(b'(') => c.list(item)?,
        None => vec![item(c)?],
    };
    let mut request = FetchRequest { items, changed_since: None, vanished: false };
    if c.eat(b' ') {
        modifiers(c, &mut request)?;
    }
    Ok(request)
}

/// ABNF (RFC 7162 §7): `fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED"`.
fn modifiers(c: &mut Cursor<'_>, request: &mut FetchRequest) -> Parsed<()> {
    c.list(|c| {
        match c.word()?.as_str() {
            "CHANGEDSINCE" => {
                c.space()?;
                request.changed_since = Some(c.number64()?);
            }
            "VANISHED" => request.vanished = true,
            _ => return Err(Fault::Expected("CHANGEDSINCE")),
        }
        Ok(())
    })?;
    if request.vanished && request.changed_since.is_none() {
        return Err(Fault::Expected("CHANGEDSINCE beside VANISHED"));
    }
    Ok(())
}

/// ABNF: `fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" /
/// ".TEXT"] / "BODY" ["STRUCTURE"] / "UID" / "BODY" section [partial] / "BODY.PEEK" section
/// [partial] / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary`.
fn item(c: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let name = c.word()?;
    let bracket = c.peek() == Some(b'[');
    Ok(match (name.as_str(), bracket) {
        ("FLAGS", false) => FetchItem::Flags,
        ("UID", false) => FetchItem::Uid,
        ("INTERNALDATE", false) => FetchItem::InternalDate,
        ("ENVELOPE", false) => FetchItem::Envelope,
        ("BODY", false) => FetchItem::Body,
        ("BODYSTRUCTURE", false) => FetchItem::BodyStructure,
        ("MODSEQ", false) => FetchItem::ModSeq,
        ("RFC822", false) => FetchItem::Rfc822,
        ("RFC822.SIZE", false) => FetchItem::Size,
        ("RFC822.HEADER", false) => FetchItem::Rfc822Header,
        ("RFC822.TEXT", false) => FetchItem::Rfc822Text,
        ("BODY" | "BODY.PEEK", true) => FetchItem::Section {
            peek: name.ends_with("PEEK"),
            section: section(c)?,
            partial: Partial::read(c)?,
        },
        ("BINARY" | "BINARY.PEEK", true) => FetchItem::Binary {
            peek: name.ends_with("PEEK"),
            part: section_binary(c)?,
            partial: Partial::read(c)?,
        },
        ("BINARY.SIZE", true) => FetchItem::BinarySize(section_binary(c)?),
        _ => return Err(Fault::Expected("a fetch item")),
    })
}

/// ABNF: `section = "[" [section-spec] "]"`,
/// `section-spec = section-msgtext / (section-part ["." section-text])`,
/// `section-text = section-msgtext / "MIME"`.
fn section(c: &mut Cursor<'_>) -> Parsed<Section> {
    c.expect(b'[')?;
    if c.eat(b']') {
        return Ok(Section::Whole);
    }
    let mut part = Vec::new();
    while c.peek().is_some_and(|b| b.is_ascii_digit()) {
        part.push(c.nz_number()?);
        if part.len() > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        if !c.eat(b'.') {
            c.expect(b']')?;
            return Ok(Section::Part(part, SectionPart::Body));
        }
    }
    let text = match c.word()?.as_str() {
        "HEADER" => MessageText::Header,
        "HEADER.FIELDS" => MessageText::HeaderFields(header_list(c)?),
        "HEADER.FIELDS.NOT" => MessageText::HeaderFieldsNot(header_list(c)?),
        "TEXT" => MessageText::Text,
        "MIME" if !part.is_empty() => {
            c.expect(b']')?;
            return Ok(Section::Part(part, SectionPart::Mime));
        }
        _ => return Err(Fault::Expected("a section")),
    };
    c.expect(b']')?;
    Ok(match part.is_empty() {
        true => Section::Message(text),
        false => Section::Part(part, SectionPart::Message(text)),
    })
}

/// No message nests deeper than this in any structure this server shows.
const MAX_DEPTH: usize = 100;

/// ABNF: `header-list = "(" header-fld-name *(SP header-fld-name) ")"`.
fn header_list(c: &mut Cursor<'_>) -> Parsed<Vec<FieldName>> {
    c.space()?;
    c.list(FieldName::read)
}

/// ABNF: `section-binary = "[" [section-part] "]"`, `section-part = nz-number *("." nz-number)`.
fn section_binary(c: &mut Cursor<'_>) -> Parsed<Vec<NonZeroU32>> {
    c.expect(b'[')?;
    let mut part = Vec::new();
    if c.eat(b']') {
        return Ok(part);
    }
    loop {
        part.push(c.nz_number()?);
        if part.len() > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        if !c.eat(b'.') {
            c.expect(b']')?;
            return Ok(part);
        }
    }
}
