//! Mails that are written on the portal and put into a staff member's mailbox.

use crate::decode::without_controls;
use crate::headers;
use crate::render::{Attachment, file_name};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use wardpost_mail::Address;

/// Most references kept in a thread; the first and the latest matter (RFC 5322 §3.6.4).
const MAX_REFERENCES: usize = 20;

/// An answer to a mail that was read on the portal, or a new message from the practice's web form.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The writer's display name, if known.
    pub from_name: Option<&'a str>,
    /// The writer's address.
    pub from: &'a Address,
    /// Where answers go, when that is not the writer's address.
    pub reply_to: Option<&'a Address>,
    /// The staff member.
    pub to: &'a Address,
    /// The subject, not encoded.
    pub subject: &'a str,
    /// Message-ID of the new mail with angle brackets.
    pub message_id: &'a str,
    /// The mail that is answered, raw: In-Reply-To and References are taken from it (RFC 5322 §3.6.4).
    pub original: Option<&'a [u8]>,
    /// The text; line ends in any form.
    pub text: &'a str,
    /// What comes with it.
    pub attachments: &'a [Attachment],
    /// Now, in seconds since 1970 UTC.
    pub now: i64,
}

/// Writes the mail. Trace fields are the caller's to prepend.
pub fn build(answer: &Answer<'_>) -> Vec<u8> {
    let name = answer.from_name.map(without_controls).filter(|name| !name.is_empty());
    let mut mail = MessageBuilder::new()
        .from(Mailbox::new_address(name, answer.from.to_string()))
        .to(Mailbox::new_address(None::<&str>, answer.to.to_string()))
        .subject(without_controls(answer.subject))
        .date(answer.now)
        .header("Message-ID", Raw::new(answer.message_id));
    if let Some(thread) = answer.original.and_then(Thread::of) {
        mail = mail
            .header("In-Reply-To", Raw::new(thread.parent))
            .header("References", Raw::new(thread.references));
    }
    if let Some(reply_to) = answer.reply_to {
        mail = mail.reply_to(Mailbox::new_address(None::<&str>, reply_to.to_string()));
    }
    mail = mail.text_body(with_crlf(answer.text));
    for attachment in answer.attachments {
        mail = mail.attachment(
            ContentType::new(media_type(&attachment.mime)),
            file_name(&attachment.name),
            attachment.bytes.as_slice(),
        );
    }
    let mut out = Vec::new();
    mail.serialize(&mut out);
    out
}

/// The subject of an answer: `Re: ` before it unless it is there already.
pub fn subject(original: &str) -> String {
    let original = original.trim();
    let has = original.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if has { original.to_owned() } else { format!("Re: {original}").trim_end().to_owned() }
}

struct Thread {
    parent: String,
    references: String,
}

impl Thread {
    fn of(original: &[u8]) -> Option<Self> {
        let parent = message_ids(&headers::get(original, "Message-ID")?).pop()?;
        let earlier = headers::get(original, "References")
            .or_else(|| headers::get(original, "In-Reply-To"))
            .unwrap_or_default();
        let mut ids = message_ids(&earlier);
        ids.retain(|id| *id != parent);
        ids.push(parent.clone());
        if ids.len() > MAX_REFERENCES {
            ids.drain(1..=ids.len() - MAX_REFERENCES);
        }
        Some(Self { parent, references: ids.join(" ") })
    }
}

/// The `msg-id`s in a field; anything else is passed over.
pub(crate) fn message_ids(value: &str) -> Vec<String> {
    value
        .split('<')
        .skip(1)
        .filter_map(|piece| piece.split_once('>').map(|(id, _)| id))
        .filter(|id| !id.is_empty() && id.len() <= 250 && id.bytes().all(|b| b.is_ascii_graphic()))
        .map(|id| format!("<{id}>"))
        .collect()
}

fn is_container(media: &str) -> bool {
    ["multipart", "message"].iter().any(|name| media.eq_ignore_ascii_case(name))
}

/// A declared media type, if it has the form of one.
fn media_type(declared: &str) -> String {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+_".contains(&b))
    };
    match declared.split_once('/') {
        // Containers inside an attachment would become structure.
        Some((media, sub)) if token(media) && token(sub) && !is_container(media) => {
            declared.to_owned()
        }
        _ => "application/octet-stream".to_owned(),
    }
}

/// Text with every line end as CRLF, and without NUL.
pub(crate) fn with_crlf(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace(['\r', '\0'], "\n");
    let mut out = unix.replace('\n', "\r\n");
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::readable;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_answer_is_threaded_and_carries_files() {
        let original = b"Message-ID: <2@clinic.test>\r\nReferences: <0@x>\r\n <1@x>\r\n\r\nhello";
        let file = Attachment {
            name: "../r\u{e9}sultat.pdf".into(),
            mime: "application/pdf".into(),
            bytes: (0..=255).collect(),
        };
        let raw = build(&Answer {
            from_name: None,
            from: &address("lee@example.test"),
            reply_to: None,
            to: &address("dana@clinic.test"),
            subject: &subject("Your visit\r\nBcc: x@y.test"),
            message_id: "<3@clinic.test>",
            original: Some(original),
            text: "Thank you.\nLee\r.",
            attachments: std::slice::from_ref(&file),
            now: 0,
        });
        assert_eq!(headers::get(&raw, "In-Reply-To").unwrap(), "<2@clinic.test>");
        assert_eq!(headers::get(&raw, "References").unwrap(), "<0@x> <1@x> <2@clinic.test>");
        assert!(headers::get(&raw, "Bcc").is_none());
        assert_eq!(headers::authors(&raw).unwrap(), [address("lee@example.test")]);
        let read = readable(&raw);
        assert_eq!(read.subject.as_deref(), Some("Re: Your visitBcc: x@y.test"));
        assert_eq!(read.text.trim_end(), "Thank you.\nLee\n.");
        assert_eq!(read.attachments[0].bytes, file.bytes);
        assert_eq!(read.attachments[0].name, "résultat.pdf");
    }

    #[test]
    fn no_declared_type_turns_a_file_into_structure() {
        assert_eq!(media_type("application/pdf"), "application/pdf");
        for declared in ["multipart/mixed", "Multipart/Mixed", "MESSAGE/rfc822", "a/b; c=d", "x"] {
            assert_eq!(media_type(declared), "application/octet-stream", "{declared}");
        }
    }

    #[test]
    fn subjects_are_prefixed_once() {
        assert_eq!(subject("Visit"), "Re: Visit");
        assert_eq!(subject("RE: Visit"), "RE: Visit");
        assert_eq!(subject(""), "Re:");
    }

    #[test]
    fn long_threads_keep_their_root_and_their_end() {
        let ids: Vec<String> = (0..50).map(|n| format!("<{n}@x>")).collect();
        let original = format!("Message-ID: <p@x>\r\nReferences: {}\r\n\r\n", ids.join("\r\n "));
        let thread = Thread::of(original.as_bytes()).unwrap();
        let kept = message_ids(&thread.references);
        assert_eq!(kept.len(), MAX_REFERENCES);
        assert_eq!((kept[0].as_str(), kept[MAX_REFERENCES - 1].as_str()), ("<0@x>", "<p@x>"));
    }

    proptest! {
        #[test]
        fn no_text_or_name_can_change_the_header(name in "(?s).{0,80}", text in "(?s).{0,200}", mime in ".{0,30}") {
            let file = Attachment { name: name.clone(), mime, bytes: text.clone().into_bytes() };
            let raw = build(&Answer {
                from_name: Some(&name),
                from: &address("lee@example.test"),
                reply_to: None,
                to: &address("dana@clinic.test"),
                subject: &name,
                message_id: "<3@clinic.test>",
                original: None,
                text: &text,
                attachments: &[file],
                now: 0,
            });
            prop_assert_eq!(headers::authors(&raw).unwrap(), [address("lee@example.test")]);
            prop_assert_eq!(headers::addresses(&raw, "To"), [address("dana@clinic.test")]);
            prop_assert_eq!(readable(&raw).attachments.len(), 1);
        }
    }
}
