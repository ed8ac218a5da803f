//! A mail decoded for a person who reads it on a page.

use crate::scan::address::{self, Item};
use crate::summary::{Kind, Part, Sent, Summary, summarise};
use crate::{decode, headers};

/// Longest file name shown, in characters.
const MAX_NAME: usize = 120;

/// The readable content of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readable {
    /// The first author's name, if given.
    pub from_name: Option<String>,
    /// The first author's address.
    pub from_address: Option<String>,
    /// When it was written.
    pub sent: Option<Sent>,
    /// The decoded subject.
    pub subject: Option<String>,
    /// Message-ID with angle brackets.
    pub message_id: Option<String>,
    /// The plain text; empty when there is only HTML.
    pub text: String,
    /// The HTML as sent. NOT safe to show: sanitise it first.
    pub html: Option<String>,
    /// What can be downloaded, pictures within the HTML excepted.
    pub attachments: Vec<Attachment>,
    /// Parts that the HTML refers to by `cid:`, by their Content-ID without brackets.
    pub inline: Vec<(String, Attachment)>,
}

/// A decoded attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// A file name without path separators and control characters; never empty.
    pub name: String,
    /// The declared media type, `application/pdf`, in lower case.
    pub mime: String,
    /// The decoded content.
    pub bytes: Vec<u8>,
}

/// Decodes a mail for reading. Never fails.
pub fn readable(raw: &[u8]) -> Readable {
    let summary = summarise(raw);
    let mut reader = Reader { raw, out: header_of(raw, &summary) };
    reader.part(summary.structure(), Within::Mixed);
    reader.finish()
}

fn header_of(raw: &[u8], summary: &Summary) -> Readable {
    let (from_name, from_address) = first_author(raw);
    Readable {
        from_name,
        from_address,
        sent: summary.sent(),
        subject: headers::subject(raw).map(|subject| decode::without_controls(&subject)),
        message_id: headers::get(raw, "Message-ID").map(|id| id.into_owned()),
        ..Readable::default()
    }
}

fn first_author(raw: &[u8]) -> (Option<String>, Option<String>) {
    let Some(from) = headers::get(raw, "From") else { return (None, None) };
    let first = address::parse(from.as_bytes()).into_iter().find_map(|item| match item {
        Item::Mailbox { name, local, host, .. } => Some((name, local, host)),
        _ => None,
    });
    let Some((name, local, host)) = first else { return (None, None) };
    let name = name.map(|name| decode::without_controls(&decode::text(&name)));
    let address = format!("{}@{}", String::from_utf8_lossy(&local), String::from_utf8_lossy(&host));
    (name.filter(|name| !name.trim().is_empty()), Some(decode::without_controls(&address)))
}

/// What kind of container a part stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Mixed,
    Alternative,
    Related,
}

struct Reader<'a> {
    raw: &'a [u8],
    out: Readable,
}

impl Reader<'_> {
    // Recursion is as deep as the summary is: bounded.
    fn part(&mut self, part: &Part, within: Within) {
        match &part.kind {
            Kind::Multipart(children) => {
                let inner = if part.subtype.eq_ignore_ascii_case("alternative") {
                    Within::Alternative
                } else if part.subtype.eq_ignore_ascii_case("related") {
                    Within::Related
                } else if within == Within::Alternative {
                    Within::Alternative
                } else {
                    Within::Mixed
                };
                for child in children {
                    self.part(child, inner);
                }
            }
            Kind::Leaf if is_shown(part) && part.is("text", "html") => {
                let html = decode::body_text(self.raw, part);
                self.out.html.get_or_insert_default().push_str(&html);
            }
            Kind::Leaf if is_shown(part) && part.media.eq_ignore_ascii_case("text") => {
                let text = decode::body_text(self.raw, part);
                if within == Within::Alternative && !part.is("text", "plain") {
                    return;
                }
                if !self.out.text.is_empty() {
                    self.out.text.push_str("\n\n");
                }
                self.out.text.push_str(&text.replace("\r\n", "\n"));
                // Text beside an HTML part that is no alternative of it must be seen too.
                if within == Within::Mixed
                    && let Some(html) = &mut self.out.html
                {
                    html.push_str(&mail_parser::decoders::html::text_to_html(&text));
                }
            }
            Kind::Leaf | Kind::Message(_) => self.attachment(part),
        }
    }

    fn attachment(&mut self, part: &Part) {
        let attachment = Attachment {
            name: self.name(part),
            mime: format!("{}/{}", part.media, part.subtype).to_lowercase(),
            bytes: decode::body(self.raw, part).into_owned(),
        };
        let id = part.id.as_deref().map(|id| id.trim_matches(['<', '>', ' ']).to_owned());
        match id {
            Some(id) if !id.is_empty() && part.media.eq_ignore_ascii_case("image") => {
                self.out.inline.push((id, attachment));
            }
            _ => self.out.attachments.push(attachment),
        }
    }

    /// The file name: Content-Disposition's, else Content-Type's, else one that tells the kind.
    fn name(&self, part: &Part) -> String {
        let header = &self.raw[part.header_range()];
        let parameter = |field, name| {
            let value = crate::scan::field::Fields::of(header).find(|f| f.is(field))?.value;
            decode::structured(value, |read| read.attribute(name).map(str::to_owned))?
        };
        parameter("Content-Disposition", "filename")
            .or_else(|| parameter("Content-Type", "name"))
            .map(|name| file_name(&name))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| {
                let number = self.out.attachments.len() + self.out.inline.len() + 1;
                format!("attachment-{number}{}", extension(part))
            })
    }

    /// Pictures with a Content-ID that no HTML refers to are attachments after all.
    fn finish(mut self) -> Readable {
        let html = self.out.html.as_deref().unwrap_or_default();
        let (inline, loose) = std::mem::take(&mut self.out.inline)
            .into_iter()
            .partition(|(id, _)| html.contains(&format!("cid:{id}")));
        self.out.inline = inline;
        let loose: Vec<(String, Attachment)> = loose;
        self.out.attachments.extend(loose.into_iter().map(|(_, attachment)| attachment));
        self.out
    }
}

/// Text that is part of the letter rather than a file.
fn is_shown(part: &Part) -> bool {
    let shown = part.is("text", "plain") || part.is("text", "html") || part.is("text", "enriched");
    let file = part.disposition.as_ref().is_some_and(|d| {
        d.kind.eq_ignore_ascii_case("attachment")
            || d.parameters.iter().any(|p| p.name.to_ascii_lowercase().starts_with("filename"))
    });
    shown && !file
}

/// The text within HTML, for reading where HTML is not shown.
pub fn text_of_html(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// A name that is safe to save under: no path, no control or direction-changing characters, no
/// leading dots.
pub fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_direction_mark(*c) && !"\"<>:|?*".contains(*c))
        .collect();
    let kept = kept.trim().trim_start_matches('.').trim();
    let length = kept.chars().count();
    if length <= MAX_NAME {
        return kept.to_owned();
    }
    // Keep the end: the extension tells what to open the file with.
    kept.chars().skip(length - MAX_NAME).collect()
}

/// Characters that make `fdp.exe` look like `exe.pdf` (Unicode bidirectional controls).
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn extension(part: &Part) -> &'static str {
    let table = [
        ("application", "pdf", ".pdf"),
        ("image", "jpeg", ".jpg"),
        ("image", "png", ".png"),
        ("image", "gif", ".gif"),
        ("text", "plain", ".txt"),
        ("text", "html", ".html"),
        ("text", "calendar", ".ics"),
        ("text", "csv", ".csv"),
        ("message", "rfc822", ".eml"),
        ("application", "zip", ".zip"),
    ];
    table.iter().find(|(media, sub, _)| part.is(media, sub)).map_or("", |(_, _, end)| end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crlf(text: &str) -> Vec<u8> {
        text.replace('\n', "\r\n").into_bytes()
    }

    #[test]
    fn reads_alternatives_pictures_and_files() {
        let raw = crlf(
            "From: =?utf-8?q?Dr=2E_J=C3=BCrgen?= <dana@clinic.test>\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\n\
             Date: Sun, 22 Nov 2026 10:10:00 +0000\nMessage-ID: <1@clinic.test>\n\
             Content-Type: multipart/mixed; boundary=m\n\n--m\n\
             Content-Type: multipart/related; boundary=r\n\n--r\n\
             Content-Type: multipart/alternative; boundary=a\n\n--a\n\
             Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
             caf=E9\n--a\nContent-Type: text/html\n\n<p>caf&eacute;<img src=\"cid:pic@x\">\n--a--\n--r\n\
             Content-Type: image/png\nContent-ID: <pic@x>\nContent-Transfer-Encoding: base64\n\naGk=\n--r--\n--m\n\
             Content-Type: application/pdf; name=a\nContent-Disposition: attachment;\n \
             filename*=utf-8''..%2Fr%C3%A9sultat.pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n--m--\n",
        );
        let read = readable(&raw);
        assert_eq!(read.from_name.as_deref(), Some("Dr. Jürgen"));
        assert_eq!(read.from_address.as_deref(), Some("dana@clinic.test"));
        assert_eq!(read.subject.as_deref(), Some("Grüße"));
        assert_eq!(read.sent.unwrap().to_string(), "Sunday, November 22, 2026, 10:10\u{a0}AM");
        assert_eq!(read.text, "café");
        assert!(read.html.unwrap().contains("cid:pic@x"));
        assert_eq!(read.inline.len(), 1);
        assert_eq!(read.inline[0].1.bytes, b"hi");
        assert_eq!(read.attachments.len(), 1);
        assert_eq!(read.attachments[0].name, "résultat.pdf");
        assert_eq!(read.attachments[0].bytes, b"%PDF");
    }

    #[test]
    fn a_picture_nobody_refers_to_can_be_downloaded() {
        let raw = crlf("Content-Type: image/png\nContent-ID: <x@y>\n\nx");
        let read = readable(&raw);
        assert_eq!(read.attachments[0].name, "attachment-1.png");
        assert!(read.inline.is_empty());
    }

    #[test]
    fn file_names_cannot_climb_or_deceive() {
        for (given, safe) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\report.pdf", "report.pdf"),
            ("..", ""),
            ("a\u{202e}fdp.exe", "afdp.exe"),
            ("a\r\nb\".txt", "ab.txt"),
        ] {
            assert_eq!(file_name(given), safe, "{given:?}");
        }
        assert!(file_name(&format!("{}.pdf", "x".repeat(500))).ends_with(".pdf"));
    }

    proptest! {
        #[test]
        fn never_panics(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
            readable(&raw);
        }

        #[test]
        fn html_becomes_text_whatever_it_is(html in "(?s)[<>/!a-z &;#\"'é–-]{0,200}") {
            text_of_html(&html);
        }

        #[test]
        fn file_names_are_never_paths(name in ".{0,200}") {
            let name = file_name(&name);
            prop_assert!(!name.contains(['/', '\\', '\0', '\n', '\r', '"']));
        }
    }
}
