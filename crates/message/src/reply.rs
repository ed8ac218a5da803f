//! Mails that are written on the portal and put into a staff member's mailbox.

use crate::render::Attachment;
use wardpost_mail::Address;

/// An answer to a mail that was read on the portal, or a new message from the practice's web form.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The writer's display name, if known.
    pub from_name: Option<&'a str>,
    /// The writer's address.
    pub from: &'a Address,
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
    let _ = answer;
    unimplemented!()
}

/// The subject of an answer: `Re: ` before it unless it is there already.
pub fn subject(original: &str) -> String {
    let _ = original;
    unimplemented!()
}
