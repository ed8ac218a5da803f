//! One message's answer, item by item (RFC 9051 §7.5.2).

use super::{Message, Plan, envelope, section, structure};
use crate::connection::{Connection, End};
use crate::flags;
use crate::user::Features;
use crate::view::{fetch_start, mod_seq};
use std::borrow::Cow;
use std::num::NonZeroU32;
use wardpost_imap_wire::{DateTime, FetchItem, MessageText, Partial, Section, write};
use wardpost_mailbox::MessageState;
use wardpost_message::Summary;

/// Whether an item is told from the message's state alone.
pub(super) fn is_of_state(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Uid
            | FetchItem::Size
            | FetchItem::ModSeq
            | FetchItem::Flags
            | FetchItem::InternalDate
    )
}

/// What is needed to write one answer.
pub(super) struct Answer<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) features: Features,
    pub(super) plan: &'a Plan,
    /// The message itself, if an item needs it.
    pub(super) body: Option<&'a [u8]>,
    /// A part's encoding could not be undone (RFC 3516 §4.3).
    pub(super) undecodable: bool,
}

impl Answer<'_> {
    /// Writes the whole answer. `fields` has, for each item of the plan, the header fields that the
    /// summary gave.
    pub(super) async fn write(
        &mut self,
        number: u32,
        message: &Message,
        fields: Vec<Option<Vec<u8>>>,
    ) -> Result<(), End> {
        fetch_start(self.connection.out(), number);
        for (at, (item, fields)) in self.plan.items.iter().zip(fields).enumerate() {
            let out = self.connection.out();
            if at > 0 {
                out.push(b' ');
            }
            if is_of_state(item) {
                write_state(out, item, &message.state);
            } else if let Some(summary) = &message.summary {
                // A plan with such an item has read the summaries.
                self.item(item, summary, fields).await?;
            }
        }
        self.flags_after_reading(message);
        self.connection.out().extend_from_slice(b")\r\n");
        self.connection.relieve().await
    }

    /// Writes an item that is not of the state.
    async fn item(
        &mut self,
        item: &FetchItem,
        summary: &Summary,
        fields: Option<Vec<u8>>,
    ) -> Result<(), End> {
        let (out, utf8) = (self.connection.out(), self.features.rev2);
        match item {
            FetchItem::Envelope => {
                out.extend_from_slice(b"ENVELOPE ");
                envelope::write(out, &summary.envelope(), utf8);
            }
            FetchItem::Body | FetchItem::BodyStructure => {
                let extended = *item == FetchItem::BodyStructure;
                out.extend_from_slice(if extended {
                    b"BODYSTRUCTURE ".as_slice()
                } else {
                    b"BODY "
                });
                structure::write(out, summary.structure(), extended, utf8);
            }
            FetchItem::Section { section, partial, .. } => {
                out.extend_from_slice(b"BODY");
                section::write_name(out, section, *partial);
                self.section(section, *partial, summary, fields).await?;
            }
            FetchItem::Binary { part, partial, .. } => {
                self.binary(part, *partial, summary).await?;
            }
            FetchItem::BinarySize(part) => self.binary_size(part, summary),
            FetchItem::Rfc822Header => {
                out.extend_from_slice(b"RFC822.HEADER");
                let header = Section::Message(MessageText::Header);
                self.section(&header, None, summary, None).await?;
            }
            FetchItem::Rfc822Text => {
                out.extend_from_slice(b"RFC822.TEXT");
                let text = Section::Message(MessageText::Text);
                self.section(&text, None, summary, None).await?;
            }
            _ => {
                out.extend_from_slice(b"RFC822");
                self.section(&Section::Whole, None, summary, None).await?;
            }
        }
        Ok(())
    }

    /// Writes ` {n}` and a section, or ` NIL` where there is no such part.
    async fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        summary: &Summary,
        fields: Option<Vec<u8>>,
    ) -> Result<(), End> {
        let octets = match fields {
            Some(fields) => Some(Cow::Owned(fields)),
            None => self.body.and_then(|body| section::of_message(body, summary, section)),
        };
        let Some(octets) = octets else {
            self.connection.out().extend_from_slice(b" NIL");
            return Ok(());
        };
        let octets = piece(&octets, partial);
        self.connection.out().push(b' ');
        write::literal_start(self.connection.out(), octets.len());
        self.connection.write_large(octets).await
    }

    /// Writes `BINARY[1] {n}` and a part without its transfer encoding (RFC 3516 §4.2).
    async fn binary(
        &mut self,
        part: &[NonZeroU32],
        partial: Option<Partial>,
        summary: &Summary,
    ) -> Result<(), End> {
        let out = self.connection.out();
        out.extend_from_slice(b"BINARY[");
        section::write_number(out, part);
        out.push(b']');
        section::write_origin(out, partial);
        let Some(octets) = self.body.and_then(|body| section::decoded(body, summary, part)) else {
            out.extend_from_slice(b" NIL");
            self.undecodable = true;
            return Ok(());
        };
        let octets = piece(&octets, partial);
        // Only a literal8 may hold NUL (RFC 9051 §4.3.1).
        out.extend_from_slice(if octets.contains(&0) { b" ~".as_slice() } else { b" " });
        write::literal_start(out, octets.len());
        self.connection.write_large(octets).await
    }

    /// Writes `BINARY.SIZE[1] n` (RFC 3516 §4.2).
    fn binary_size(&mut self, part: &[NonZeroU32], summary: &Summary) {
        let octets = self.body.and_then(|body| section::decoded(body, summary, part));
        self.undecodable |= octets.is_none();
        let out = self.connection.out();
        out.extend_from_slice(b"BINARY.SIZE[");
        section::write_number(out, part);
        out.extend_from_slice(b"] ");
        write::number(out, octets.map_or(0, |octets| octets.len() as u64));
    }

    /// Flags that reading has changed, unless they were asked for anyway.
    fn flags_after_reading(&mut self, message: &Message) {
        if !message.seen_now {
            return;
        }
        let out = self.connection.out();
        if !self.plan.items.contains(&FetchItem::Flags) {
            out.extend_from_slice(b" FLAGS ");
            flags::write(out, &message.state.flags);
        }
        if self.features.condstore && !self.plan.items.contains(&FetchItem::ModSeq) {
            out.push(b' ');
            mod_seq(out, message.state.modseq);
        }
    }
}

/// The part of a text that was asked for.
fn piece(octets: &[u8], partial: Option<Partial>) -> &[u8] {
    match partial {
        Some(partial) => &octets[partial.of(octets.len())],
        None => octets,
    }
}

/// Writes an item that is told from the message's state alone.
fn write_state(out: &mut Vec<u8>, item: &FetchItem, state: &MessageState) {
    let mut numbered = |word: &str, n: u64| {
        out.extend_from_slice(word.as_bytes());
        write::number(out, n);
    };
    match item {
        FetchItem::Uid => numbered("UID ", state.uid.0.into()),
        FetchItem::Size => numbered("RFC822.SIZE ", state.size.into()),
        FetchItem::Flags => {
            out.extend_from_slice(b"FLAGS ");
            flags::write(out, &state.flags);
        }
        FetchItem::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            DateTime::from_unix(state.internal_date).write(out);
        }
        _ => mod_seq(out, state.modseq),
    }
}
