//! The mails that go with a parcel: the discreet notice to its recipient, and the code to its sender.

use wardpost_mail::{Address, Secret};

/// What a notice says. Nothing in it tells who wrote, or about what.
#[derive(Debug, Clone)]
pub struct NoticeText<'a> {
    /// The practice's name.
    pub practice: &'a str,
    /// The practice's telephone number, to check that the notice is real.
    pub phone: Option<&'a str>,
    /// The link to the parcel.
    pub link: &'a str,
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The recipient.
    pub to: &'a Address,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// When the parcel goes away, in seconds since 1970 UTC.
    pub expires: i64,
    /// Now.
    pub now: i64,
}

/// What the sender is told when a code was made for a recipient.
#[derive(Debug, Clone)]
pub struct CodeMail<'a> {
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The sender of the message that waits.
    pub to: &'a Address,
    /// Whose provider cannot receive encrypted mail.
    pub recipient: &'a Address,
    /// The code to tell them.
    pub code: &'a Secret<String>,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// Message-ID of the message that waits, for threading.
    pub about: Option<&'a str>,
    /// Now, in seconds since 1970 UTC.
    pub now: i64,
}

/// Writes the notice as a mail.
pub fn build(notice: &NoticeText<'_>) -> Vec<u8> {
    let _ = notice;
    unimplemented!()
}

/// Writes the mail that tells the sender a recipient's code. It is delivered locally only.
pub fn code_mail(mail: &CodeMail<'_>) -> Vec<u8> {
    let _ = mail;
    unimplemented!()
}
