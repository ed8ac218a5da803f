//! IMAP envelopes, read from kept header fields.

use super::kept::Kept;
use crate::scan::address::{self, Item};
use std::borrow::Cow;

/// An IMAP ENVELOPE (RFC 9051 §7.5.2): header strings unfolded and otherwise as written, which may
/// hold encoded words, 8-bit bytes and, never, CR, LF or NUL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    /// Date.
    pub date: Option<Cow<'a, [u8]>>,
    /// Subject.
    pub subject: Option<Cow<'a, [u8]>>,
    /// From.
    pub from: Vec<EnvelopeAddress<'a>>,
    /// Sender, or From where it is missing or empty.
    pub sender: Vec<EnvelopeAddress<'a>>,
    /// Reply-To, or From where it is missing or empty.
    pub reply_to: Vec<EnvelopeAddress<'a>>,
    /// To.
    pub to: Vec<EnvelopeAddress<'a>>,
    /// Cc.
    pub cc: Vec<EnvelopeAddress<'a>>,
    /// Bcc.
    pub bcc: Vec<EnvelopeAddress<'a>>,
    /// In-Reply-To.
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    /// Message-ID.
    pub message_id: Option<Cow<'a, [u8]>>,
}

/// An address structure of ENVELOPE. A group begins with an entry whose `host` is `None` and whose
/// `mailbox` is its name, and ends with one where both are `None` (RFC 9051 §7.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvelopeAddress<'a> {
    /// Display name, unquoted, encoded words left as they are.
    pub name: Option<Cow<'a, [u8]>>,
    /// At-domain-list (source route) of obsolete syntax.
    pub adl: Option<Cow<'a, [u8]>>,
    /// Local part, unquoted, or a group's name.
    pub mailbox: Option<Cow<'a, [u8]>>,
    /// Domain.
    pub host: Option<Cow<'a, [u8]>>,
}

pub(super) fn read(fields: &Kept) -> Envelope<'_> {
    let mut envelope = Envelope::default();
    for field in fields.iter() {
        let string = |slot: &mut Option<Cow<'_, [u8]>>| slot.is_none();
        match field.name.to_ascii_lowercase().as_slice() {
            b"date" if string(&mut envelope.date) => envelope.date = Some(field.unfolded()),
            b"subject" if string(&mut envelope.subject) => {
                envelope.subject = Some(field.unfolded())
            }
            b"in-reply-to" if string(&mut envelope.in_reply_to) => {
                envelope.in_reply_to = Some(field.unfolded());
            }
            b"message-id" if string(&mut envelope.message_id) => {
                envelope.message_id = Some(field.unfolded());
            }
            b"from" => append(&mut envelope.from, field.value),
            b"sender" => append(&mut envelope.sender, field.value),
            b"reply-to" => append(&mut envelope.reply_to, field.value),
            b"to" => append(&mut envelope.to, field.value),
            b"cc" => append(&mut envelope.cc, field.value),
            b"bcc" => append(&mut envelope.bcc, field.value),
            _ => {}
        }
    }
    for slot in [&mut envelope.sender, &mut envelope.reply_to] {
        if slot.is_empty() {
            slot.clone_from(&envelope.from);
        }
    }
    envelope
}

fn append<'a>(list: &mut Vec<EnvelopeAddress<'a>>, value: &'a [u8]) {
    list.extend(address::parse(value).into_iter().map(|item| match item {
        Item::GroupStart(name) => {
            EnvelopeAddress { mailbox: Some(Cow::Owned(name)), ..EnvelopeAddress::default() }
        }
        Item::GroupEnd => EnvelopeAddress::default(),
        Item::Mailbox { name, route, local, host } => EnvelopeAddress {
            name,
            adl: route,
            mailbox: Some(Cow::Owned(local)),
            host: Some(Cow::Owned(host)),
        },
    }));
}
