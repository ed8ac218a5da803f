//! The header fields a summary keeps, verbatim, and what it remembers of the others.
//!
//! Mail programs list a mailbox with `BODY[HEADER.FIELDS (…)]` and name fields most mails do not have.
//! To say "absent" without opening the mail, hashes of the names of all fields that were not kept are
//! remembered; two bytes each. A collision costs an opened mail, never a wrong answer.

use crate::scan::field::{Field, Fields};
use serde::{Deserialize, Serialize};

/// The fields that mail programs ask for when they list mail.
const KEPT: [&str; 21] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Content-Type",
    "MIME-Version",
    "Priority",
    "X-Priority",
    "Importance",
    "List-Id",
    "Newsgroups",
    "Disposition-Notification-To",
    "Auto-Submitted",
    "Content-Transfer-Encoding",
];
/// Most names of other fields that are remembered.
const MAX_OTHERS: usize = 256;

/// The header fields that are kept, and hashes of the names of those that are not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(with = "bytes")]
    lines: Vec<u8>,
    complete: bool,
    others: Vec<u16>,
}

impl Kept {
    /// Collects from a header, at most `limit` octets of fields.
    pub(crate) fn collect(header: &[u8], limit: usize) -> Self {
        let mut kept = Kept { complete: true, ..Kept::default() };
        for field in Fields::of(header) {
            if !is_kept(field.name) {
                kept.remember(field.name);
            } else if kept.lines.len() + field.raw.len() <= limit {
                kept.lines.extend_from_slice(field.raw);
                if !field.raw.ends_with(b"\n") {
                    kept.lines.extend_from_slice(b"\r\n");
                }
            } else {
                kept.complete = false;
            }
        }
        kept.others.sort_unstable();
        kept
    }

    fn remember(&mut self, name: &[u8]) {
        let hash = hash(name);
        if self.others.contains(&hash) {
            return;
        }
        if self.others.len() < MAX_OTHERS {
            self.others.push(hash);
        } else {
            self.complete = false;
        }
    }

    /// How many octets of fields there are.
    pub(crate) fn octets(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn iter(&self) -> Fields<'_> {
        Fields::of(&self.lines)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Field<'a>> {
        self.iter().filter(move |field| field.is(name))
    }

    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<Field<'a>> {
        self.all(name).next()
    }

    /// The named fields, or `None` when that cannot be told from here.
    pub(crate) fn select(&self, names: &[&str]) -> Option<Vec<u8>> {
        let known = |name: &&str| {
            is_kept(name.as_bytes()) || self.others.binary_search(&hash(name.as_bytes())).is_err()
        };
        if !self.complete || !names.iter().all(known) {
            return None;
        }
        let wanted = self.iter().filter(|field| names.iter().any(|name| field.is(name)));
        Some(wanted.fold(Vec::new(), |mut out, field| {
            out.extend_from_slice(field.raw);
            out
        }))
    }
}

fn is_kept(name: &[u8]) -> bool {
    KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept.as_bytes()))
}

/// FNV-1a over the lower-case name, folded to 16 bits.
fn hash(name: &[u8]) -> u16 {
    let full = name.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    (full ^ (full >> 16)) as u16
}

/// Byte vectors as byte strings rather than as sequences of numbers.
mod bytes {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        d.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}
