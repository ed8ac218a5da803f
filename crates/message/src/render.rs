//! A mail decoded for a person who reads it on a page.

/// The readable content of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readable {
    /// The first author's name, if given.
    pub from_name: Option<String>,
    /// The first author's address.
    pub from_address: Option<String>,
    /// The date, in seconds since 1970 UTC.
    pub date: Option<i64>,
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
    let _ = raw;
    unimplemented!()
}
