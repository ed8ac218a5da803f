//! ENVELOPE (RFC 9051 §7.5.2).

use std::borrow::Cow;
use wardpost_imap_wire::write;
use wardpost_message::{Envelope, EnvelopeAddress};

/// Appends `(date subject from sender reply-to to cc bcc in-reply-to message-id)`.
pub(crate) fn write(out: &mut Vec<u8>, envelope: &Envelope<'_>, utf8: bool) {
    let nstring = |out: &mut Vec<u8>, text: &Option<Cow<'_, [u8]>>| {
        write::nstring(out, text.as_deref(), utf8);
        out.push(b' ');
    };
    out.push(b'(');
    nstring(out, &envelope.date);
    nstring(out, &envelope.subject);
    for list in [
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ] {
        addresses(out, list, utf8);
        out.push(b' ');
    }
    nstring(out, &envelope.in_reply_to);
    write::nstring(out, envelope.message_id.as_deref(), utf8);
    out.push(b')');
}

/// ABNF: `env-from = "(" 1*address ")" / nil`,
/// `address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"`.
fn addresses(out: &mut Vec<u8>, list: &[EnvelopeAddress<'_>], utf8: bool) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in list {
        let fields = [&address.name, &address.adl, &address.mailbox, &address.host];
        for (field, before) in fields.into_iter().zip([b'(', b' ', b' ', b' ']) {
            out.push(before);
            write::nstring(out, field.as_deref(), utf8);
        }
        out.push(b')');
    }
    out.push(b')');
}
