//! Sections of a message: which octets they are and how they are named in answers
//! (RFC 9051 §6.4.5.1, §7.5.2).

use std::borrow::Cow;
use std::num::NonZeroU32;
use wardpost_imap_wire::{FieldName, MessageText, Partial, Section, SectionPart, write};
use wardpost_message::{Part, Summary};

/// The header fields of a section, where the summary knows them and the message need not be opened.
pub(crate) fn from_summary(summary: &Summary, section: &Section) -> Option<Vec<u8>> {
    let Section::Message(MessageText::HeaderFields(names)) = section else { return None };
    let names: Vec<&str> = names.iter().map(FieldName::as_str).collect();
    let mut fields = summary.header_fields(&names)?;
    // The line that ends a header is part of every such section (RFC 9051 §6.4.5.1).
    fields.extend_from_slice(b"\r\n");
    Some(fields)
}

/// A section of an opened message; nothing when there is no such part.
pub(crate) fn of_message<'a>(
    raw: &'a [u8],
    summary: &Summary,
    section: &Section,
) -> Option<Cow<'a, [u8]>> {
    match section {
        Section::Whole => Some(raw.into()),
        Section::Message(text) => text_of(raw, summary.structure(), text),
        Section::Part(number, wanted) => {
            let part = find(summary, number)?;
            match wanted {
                SectionPart::Body => raw.get(part.body_range()).map(Cow::from),
                SectionPart::Mime => raw.get(part.header_range()).map(Cow::from),
                SectionPart::Message(text) => text_of(raw, &part.embedded()?.structure, text),
            }
        }
    }
}

/// A part with its transfer encoding undone; the whole message for no number. Nothing when there is
/// no such part or its encoding is not known.
pub(crate) fn decoded<'a>(
    raw: &'a [u8],
    summary: &Summary,
    number: &[NonZeroU32],
) -> Option<Cow<'a, [u8]>> {
    if number.is_empty() {
        return Some(raw.into());
    }
    find(summary, number)?.decoded(raw)
}

/// The part of that number.
fn find<'a>(summary: &'a Summary, number: &[NonZeroU32]) -> Option<&'a Part> {
    let number: Vec<u32> = number.iter().map(|n| n.get()).collect();
    summary.part(&number)
}

/// A text of the message whose root part is given.
fn text_of<'a>(raw: &'a [u8], root: &Part, text: &MessageText) -> Option<Cow<'a, [u8]>> {
    let header = raw.get(root.header_range())?;
    Some(match text {
        MessageText::Header => header.into(),
        MessageText::Text => raw.get(root.body_range())?.into(),
        MessageText::HeaderFields(names) => select(header, |name| is_any(name, names)).into(),
        MessageText::HeaderFieldsNot(names) => select(header, |name| !is_any(name, names)).into(),
    })
}

fn is_any(name: &[u8], names: &[FieldName]) -> bool {
    names.iter().any(|wanted| wanted.as_str().as_bytes().eq_ignore_ascii_case(name))
}

/// The fields of a header whose names are wanted, verbatim, with a closing empty line.
fn select(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut out, mut taking) = (Vec::new(), false);
    for line in header.split_inclusive(|b| *b == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
        // A line that begins with white space goes on with its field (RFC 5322 §2.2.3).
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            let name = line.split(|b| *b == b':').next().unwrap_or(line);
            taking = wanted(name.trim_ascii_end());
        }
        if taking {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends the section's name in brackets and, for a part of it, where that begins.
pub(crate) fn write_name(out: &mut Vec<u8>, section: &Section, partial: Option<Partial>) {
    out.push(b'[');
    match section {
        Section::Whole => {}
        Section::Message(text) => write_text(out, text),
        Section::Part(number, wanted) => {
            write_number(out, number);
            match wanted {
                SectionPart::Body => {}
                SectionPart::Mime => out.extend_from_slice(b".MIME"),
                SectionPart::Message(text) => {
                    out.push(b'.');
                    write_text(out, text);
                }
            }
        }
    }
    out.push(b']');
    write_origin(out, partial);
}

/// Appends `<offset>`, if only a part was wanted.
pub(crate) fn write_origin(out: &mut Vec<u8>, partial: Option<Partial>) {
    if let Some(partial) = partial {
        out.push(b'<');
        write::number(out, partial.offset);
        out.push(b'>');
    }
}

/// Appends `1.2.3`.
pub(crate) fn write_number(out: &mut Vec<u8>, number: &[NonZeroU32]) {
    for (i, n) in number.iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        write::number(out, n.get().into());
    }
}

fn write_text(out: &mut Vec<u8>, text: &MessageText) {
    let (word, names) = match text {
        MessageText::Header => return out.extend_from_slice(b"HEADER"),
        MessageText::Text => return out.extend_from_slice(b"TEXT"),
        MessageText::HeaderFields(names) => ("HEADER.FIELDS (", names),
        MessageText::HeaderFieldsNot(names) => ("HEADER.FIELDS.NOT (", names),
    };
    out.extend_from_slice(word.as_bytes());
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        let name = name.as_str().as_bytes();
        if name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            out.extend_from_slice(name);
        } else {
            write::string(out, name, false);
        }
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_imap_wire::{Command, FetchItem, Tagged};
    use wardpost_message::summarise;

    const MAIL: &[u8] = b"From: a@b.test\r\nSubject: one\r\n two\r\nX-Lab: 1\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n\
        --x\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
        --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--x--\r\n";

    fn section(text: &str) -> Section {
        let line = format!("a FETCH 1 BODY[{text}]");
        match Tagged::parse(line.as_bytes(), false).unwrap().command {
            Command::Fetch { request, .. } => match request.items.into_iter().next() {
                Some(FetchItem::Section { section, .. }) => section,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn read(text: &str) -> Option<String> {
        let octets = of_message(MAIL, &summarise(MAIL), &section(text))?;
        Some(String::from_utf8(octets.into_owned()).unwrap())
    }

    #[test]
    fn sections_are_the_right_octets() {
        for (text, octets) in [
            ("HEADER.FIELDS (subject)", "Subject: one\r\n two\r\n\r\n"),
            ("HEADER.FIELDS.NOT (From Content-Type)", "Subject: one\r\n two\r\nX-Lab: 1\r\n\r\n"),
            ("HEADER.FIELDS (nothing)", "\r\n"),
            ("1", "hello"),
            ("1.MIME", "Content-Type: text/plain\r\n\r\n"),
            ("2.HEADER", "Subject: inner\r\n\r\n"),
            ("2.TEXT", "inner body"),
            ("2.1", "inner body"),
        ] {
            assert_eq!(read(text).as_deref(), Some(octets), "{text}");
        }
        assert_eq!(read("").unwrap().len(), MAIL.len());
        assert!(read("TEXT").unwrap().starts_with("--x"));
        assert_eq!(read("3"), None);
        assert_eq!(read("1.HEADER"), None);
    }

    #[test]
    fn the_summary_and_the_message_tell_the_same() {
        let wanted = section("HEADER.FIELDS (Subject X-Other)");
        let summary = summarise(MAIL);
        let known = from_summary(&summary, &wanted);
        assert_eq!(known.as_deref(), of_message(MAIL, &summary, &wanted).as_deref());
    }

    #[test]
    fn names_are_written_as_asked() {
        for text in ["", "1.2", "1.MIME", "HEADER", "1.TEXT", "HEADER.FIELDS (To X-A)"] {
            let mut out = Vec::new();
            write_name(&mut out, &section(text), None);
            assert_eq!(String::from_utf8(out).unwrap(), format!("[{text}]"));
        }
    }
}
